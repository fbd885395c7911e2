//! `latchkey vault rewrap` while auth-manager draws, and a real Keycloak rotates each token.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use test_support::eventually;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::live::{Live, Replica};
use crate::world::{World, both, new, old};

const GRANTS: usize = 4;
/// Each has an access token of its own, and each new one rotates the grant's one token.
const SCOPES: [&str; 3] = ["openid", "openid%20email", "openid%20profile"];
const ARGUMENTS: [&str; 3] = ["rewrap", "--service", "auth-manager"];

/// Draws as fast as it is answered, and counts how often; each draw must succeed.
fn go_on_drawing(replica: &Arc<Replica>, id: &str, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    let (replica, id, stop) = (Arc::clone(replica), id.to_owned(), Arc::clone(stop));
    tokio::spawn(async move {
        while !stop.load(Ordering::Relaxed) {
            for scope in SCOPES {
                replica.draw(&id, scope).await.expect(200);
            }
        }
    })
}

async fn rewrap(world: &Arc<World>) -> (bool, String) {
    let world = Arc::clone(world);
    spawn_blocking(move || world.vault(&both(), &ARGUMENTS)).await.unwrap()
}

async fn finish(replica: Arc<Replica>, stop: &AtomicBool, tasks: Vec<JoinHandle<()>>) {
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    spawn_blocking(move || drop(replica)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_grant_is_lost_while_rewrap_meets_rotation() {
    let (world, live) = (Arc::new(World::new().await), Live::start().await);
    // One replica writes with the new key already, the other one has still to be restarted.
    let late = Arc::new(live.replica(&world.auth, &format!("{},{}", old(), new())).await);
    let mut ids = Vec::new();
    for _ in 0..GRANTS {
        ids.push(live.consent(&late).await);
    }
    let early = Arc::new(live.replica(&world.auth, &both()).await);
    let [stop_late, stop_early] = [false, false].map(|stop| Arc::new(AtomicBool::new(stop)));
    let drawing = |replica, stop| ids.iter().map(|id| go_on_drawing(replica, id, stop)).collect();
    let by_late: Vec<_> = drawing(&late, &stop_late);
    let by_early: Vec<_> = drawing(&early, &stop_early);
    let unmoved = format!("auth_vault WHERE version < {}", 2 * SCOPES.len());
    eventually("every grant has been rotated and moved by turns", async || {
        let (_, told) = rewrap(&world).await;
        assert!(told.contains("damaged 0"), "{told}");
        (world.count(&unmoved).await == 0 && !told.contains("moved 0")).then_some(())
    })
    .await;
    finish(late, &stop_late, by_late).await;

    let rotated = world.text("SELECT sum(version) FROM auth_vault").await;
    eventually("a run leaves nothing under the old key", async || {
        let (done, told) = rewrap(&world).await;
        (done && told.contains("left 0")).then_some(())
    })
    .await;
    eventually("draws go on", async || {
        (world.text("SELECT sum(version) FROM auth_vault").await != rotated).then_some(())
    })
    .await;
    finish(early, &stop_early, by_early).await;
    check_end(&world, &live, &ids).await;
}

/// The old key can be dropped, and with the new one alone all is as it was.
async fn check_end(world: &World, live: &Live, ids: &[String]) {
    let (done, told) = world.vault(&both(), &["keys", "--service", "auth-manager"]);
    assert!(done && told.contains("auth-manager: `old` can be dropped"), "{told}");
    let counted = |column: &str| {
        let row = told.lines().find(|row| row.contains(column)).unwrap();
        let mut words = row.split_whitespace().skip(2);
        (words.next().unwrap() == "new").then(|| words.next().unwrap().parse::<usize>().unwrap())
    };
    assert_eq!(counted("auth_vault.encrypted_token"), Some(GRANTS), "{told}");
    // One for each scope, and one that came with the consent.
    let drawn = GRANTS * (SCOPES.len() + 1);
    assert_eq!(counted("drawn_tokens.sealed_access_token"), Some(drawn), "{told}");
    let (done, told) = world.vault(&new(), &["verify", "--service", "auth-manager"]);
    assert!(done && told.contains(" 0 damaged"), "{told}");
    let live_rows = "auth_vault WHERE state = 'live' AND sealing_key_id = 'new'";
    assert_eq!(world.count(live_rows).await, i64::try_from(GRANTS).unwrap());
    let restarted = live.replica(&world.auth, &new()).await;
    world.auth("DELETE FROM drawn_tokens").await;
    let before = world.text("SELECT sum(version) FROM auth_vault").await;
    for id in ids {
        restarted.draw(id, SCOPES[0]).await.expect(200);
    }
    let grown = format!("SELECT sum(version) - {before} FROM auth_vault");
    assert_eq!(world.text(&grown).await, GRANTS.to_string());
}
