//! A consent is on its way into the vault while its session ends or its account is unlinked.

use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use reqwest::Method;

use crate::app::App;
use crate::person::{Parameters, Person};
use crate::world::{REVOKE, World};

/// What writes to `table` waits with all its locks until the gate's connection is dropped.
async fn shut_gate(world: &World, event: &str, table: &str) -> AsyncPgConnection {
    world
        .run(
            "CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN PERFORM pg_advisory_xact_lock(77); RETURN NULL; END'",
        )
        .await;
    // After the checks of foreign keys: triggers go by their names.
    let trigger = format!(
        "CREATE TRIGGER zz_wait_at_gate AFTER {event} ON {table} FOR EACH ROW
             EXECUTE FUNCTION wait_at_gate()"
    );
    world.run(&trigger).await;
    let mut gate = world.database.connect().await;
    let shut = diesel::sql_query("SELECT 1 FROM pg_advisory_lock(77)");
    shut.execute(&mut gate).await.unwrap();
    gate
}

async fn until_waiting(world: &World, number: i64) {
    let waiting =
        "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    world.until(waiting, number).await;
}

async fn consent_at_hand(world: &World) -> (App, Person, Parameters) {
    let app = world.app().await;
    let person = world.person(&app).await;
    let asked = app.request_offline_token(&person).await.expect(200).json["data"].clone();
    let back = person.follow(asked["consent_url"].as_str().unwrap()).await;
    (app, person, back)
}

#[tokio::test]
async fn an_account_is_unlinked_with_the_consent_that_is_on_its_way() {
    let world = World::new().await;
    let (app, person, back) = consent_at_hand(&world).await;
    let account = format!("accounts/{}", world.only_id("accounts").await);
    let gate = shut_gate(&world, "INSERT", "auth_vault").await;
    let storing = app.begin_finish(&back);
    until_waiting(&world, 1).await;
    let unlinking = app.begin(Method::DELETE, &account, &person);
    until_waiting(&world, 2).await;
    drop(gate);
    storing.await.unwrap().expect(200);
    unlinking.await.unwrap().expect(200);
    assert_eq!(world.count("persistent_tokens").await, 0);
    world.until("auth_vault", 0).await;
    assert_eq!(world.proxy.calls(REVOKE), 1);
}

/// A consent that waits for the `DELETE` of `table`'s row comes too late.
async fn expect_too_late(table: &str, path: &str, event: &str) {
    let world = World::new().await;
    let (app, person, back) = consent_at_hand(&world).await;
    let path = format!("{path}/{}", world.only_id(table).await);
    let gate = shut_gate(&world, event, table).await;
    let deleting = app.begin(Method::DELETE, &path, &person);
    until_waiting(&world, 1).await;
    let storing = app.begin_finish(&back);
    until_waiting(&world, 2).await;
    drop(gate);
    deleting.await.unwrap().expect(200);
    storing.await.unwrap().expect_error(400, "invalid_state_token");
    assert_eq!((world.count("auth_vault").await, world.proxy.calls(REVOKE)), (0, 1));
}

#[tokio::test]
async fn a_consent_that_comes_while_its_account_is_unlinked_is_refused_at_once_and_thrown_away() {
    expect_too_late("accounts", "accounts", "DELETE").await;
}

#[tokio::test]
async fn a_consent_that_comes_while_its_session_ends_is_refused_and_thrown_away() {
    expect_too_late("user_sessions", "sessions", "UPDATE").await;
}
