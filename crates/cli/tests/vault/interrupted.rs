use diesel_async::SimpleAsyncConnection as _;
use test_support::eventually;

use crate::world::{World, both, new};

/// Any number that no lock of ours has.
const GATE: &str = "9130571";

#[tokio::test]
async fn a_run_killed_midway_is_finished_by_the_next() {
    let world = World::new().await;
    for number in 0..150 {
        world.put(&format!("person-{number}"), "s").await;
    }
    // The last batch stops before a gate that is held here.
    world
        .auth(&format!(
            "CREATE FUNCTION stop_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF NEW.id = (SELECT max(id::text)::uuid FROM auth_vault) THEN
                     PERFORM pg_advisory_xact_lock({GATE});
                 END IF;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER gate BEFORE UPDATE ON auth_vault
                 FOR EACH ROW EXECUTE FUNCTION stop_at_gate()"
        ))
        .await;
    let mut gate = world.auth.connect().await;
    gate.batch_execute(&format!("SELECT pg_advisory_lock({GATE})")).await.unwrap();
    let arguments = ["rewrap", "--service", "auth-manager"];
    let mut child = world.command(&both(), &arguments).spawn().unwrap();
    let waiting = "pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually("it stands before the gate", async || {
        (world.count(waiting).await == 1).then_some(())
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    gate.batch_execute(&format!("SELECT pg_advisory_unlock({GATE})")).await.unwrap();
    eventually("its transaction is over", async || (world.count(waiting).await == 0).then_some(()))
        .await;

    assert_eq!(world.count("auth_vault WHERE sealing_key_id = 'new'").await, 100);
    assert!(world.vault(&both(), &["verify", "--service", "auth-manager"]).0);
    let (done, told) = world.vault(&both(), &arguments);
    assert!(done && told.contains("moved 200 to `new`, damaged 0, left 0, total 200"), "{told}");
    assert!(world.vault(&new(), &["verify", "--service", "auth-manager"]).0);
}
