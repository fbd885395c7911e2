use auth_manager::import::{Tally, account_vault};
use uuid::Uuid;

use crate::world::{World, token};

const PLAIN: &str = "user_sessions WHERE refresh_token IS NOT NULL OR id_token IS NOT NULL \
                     OR access_token IS NOT NULL";

async fn add_user(world: &World, keycloak_id: Option<&str>) -> Uuid {
    let id = Uuid::new_v4();
    let keycloak_id = keycloak_id.map_or("NULL".to_owned(), |id| format!("'{id}'"));
    world.run(&format!("INSERT INTO users VALUES ('{id}', {keycloak_id}, now())")).await;
    id
}

async fn add_session(world: &World, user: Uuid, refresh_token: &str) -> Uuid {
    let id = Uuid::new_v4();
    world
        .run(&format!(
            "INSERT INTO user_sessions (id, user_id, access_token, refresh_token, id_token,
                 access_token_expires_at, created_at, updated_at, last_accessed_at)
             VALUES ('{id}', '{user}', 'access', '{refresh_token}', 'id', now() + '1 hour', now(),
                 now(), now())"
        ))
        .await;
    id
}

async fn import(world: &World, dry_run: bool) -> Tally {
    let mut heard = 0;
    let tally = account_vault(&world.importer(dry_run), &mut |_| heard += 1).await.unwrap();
    assert_eq!(heard, tally.total);
    tally
}

#[tokio::test]
async fn plain_tokens_move_into_the_vault_and_no_grant_is_lost() {
    let world = World::start().await;
    let known = add_user(&world, Some("subject-1")).await;
    let unknown = add_user(&world, None).await;
    let own = unknown.to_string();
    add_session(&world, known, &token("Refresh", "subject-1", "sid-1", "a")).await;
    add_session(&world, known, &token("Offline", "subject-1", "sid-2", "b")).await;
    add_session(&world, unknown, &token("Refresh", &own, "sid-3", "c")).await;
    let tally = import(&world, true).await;
    assert_eq!((tally.migrated, tally.total), (3, 3));
    assert_eq!((world.count("auth_vault").await, world.count(PLAIN).await), (0, 3));

    let tally = import(&world, false).await;
    assert_eq!((tally.migrated, tally.skipped, tally.errors.len()), (3, 0, 0));
    assert_eq!(world.count(PLAIN).await, 0);
    assert_eq!(world.count("auth_vault WHERE account_id IS NOT NULL").await, 3);
    assert_eq!(world.count("auth_vault WHERE token_type = 'offline'").await, 1);
    assert_eq!(world.count("persistent_tokens").await, 3);
    assert_eq!(world.count("drawn_tokens").await, 3);
    assert_eq!(world.count("user_sessions WHERE provider_session_id IS NOT NULL").await, 3);
    assert_eq!(world.count("session_events WHERE kind = 'imported'").await, 3);
    let subjects = "SELECT string_agg(subject, ',' ORDER BY subject = 'subject-1') FROM accounts";
    assert_eq!(world.text(subjects).await, format!("{own},subject-1"));
    assert_eq!(import(&world, false).await, Tally::default());
}

#[tokio::test]
async fn a_row_that_fails_is_named_and_left_whole_and_a_duplicate_is_skipped() {
    let world = World::start().await;
    let user = add_user(&world, Some("subject-1")).await;
    let good = token("Refresh", "subject-1", "sid-1", "a");
    add_session(&world, user, &good).await;
    add_session(&world, user, &good).await;
    let malformed = add_session(&world, user, "garbage").await;
    let foreign = add_session(&world, user, &token("Refresh", "else", "sid-2", "b")).await;
    let tally = import(&world, false).await;
    assert_eq!((tally.migrated, tally.skipped, tally.total), (1, 1, 4));
    let mut failed: Vec<Uuid> = tally.errors.iter().map(|(id, _)| *id).collect();
    failed.sort();
    let mut expected = [malformed, foreign];
    expected.sort();
    assert_eq!(failed, expected);
    assert!(tally.errors.iter().all(|(_, reason)| !reason.contains("garbage")));
    assert_eq!(world.count(PLAIN).await, 2);
    assert_eq!(world.count("auth_vault").await, 1);
    assert_eq!(import(&world, false).await.errors.len(), 2);
}
