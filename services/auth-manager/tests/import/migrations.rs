use auth_manager::MIGRATIONS;
use auth_manager::import::account_vault;
use diesel_async::AsyncMigrationHarness;
use diesel_migrations::MigrationHarness as _;
use serde_json::json;
use test_support::{Browser, TestRealm, TestServer, TestUser};

use crate::world::{World, token_with};

/// Columns that this service knows nothing of, and demands; others that are other than its own.
const OLDER: &str = "
    CREATE TABLE users (id uuid PRIMARY KEY, keycloak_id varchar(64) NOT NULL,
        name text NOT NULL, created_at timestamp DEFAULT now());
    CREATE TABLE user_sessions (id uuid PRIMARY KEY,
        user_id uuid NOT NULL REFERENCES users (id), session_token text NOT NULL UNIQUE,
        access_token text, refresh_token text, id_token text, metadata json,
        active boolean NOT NULL DEFAULT true, expires_at timestamp NOT NULL,
        created_at timestamp NOT NULL DEFAULT '2026-01-02 03:04:05');
    INSERT INTO users VALUES ('00000000-0000-4000-8000-000000000001', 'subject-1', 'one', NULL);
    INSERT INTO user_sessions (id, user_id, session_token, refresh_token, active, expires_at) VALUES
        ('00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000001', 'a', '', true, now()),
        ('00000000-0000-4000-8000-000000000003', '00000000-0000-4000-8000-000000000001', 'b', '', false, now());";

/// Applies what is pending; the error as text.
async fn migrate(world: &World) -> Result<usize, String> {
    let connection = world.database.connect().await;
    tokio::task::spawn_blocking(move || {
        let mut harness = AsyncMigrationHarness::new(connection);
        let applied = harness.run_pending_migrations(MIGRATIONS);
        applied.map(|versions| versions.len()).map_err(|error| error.to_string())
    })
    .await
    .unwrap()
}

async fn older(realm: &TestRealm) -> World {
    let world = World::start_at(realm).await;
    world.run("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
    world.run(OLDER).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_layout_is_completed_imported_and_served() {
    let realm = TestRealm::create(&json!({})).await;
    let world = older(&realm).await;
    let issued_there =
        token_with("Refresh", "subject-1", "sid-1", &json!({ "iss": realm.issuer() }));
    world
        .run(&format!("UPDATE user_sessions SET refresh_token = '{issued_there}' WHERE active"))
        .await;
    let refused = migrate(&world).await.unwrap_err();
    assert!(refused.contains("run `latchkey migrate account-vault` first"), "{refused}");
    assert_eq!(world.count("user_sessions WHERE active = (ended_at IS NULL)").await, 2);
    let created_at = "SELECT min(created_at) AT TIME ZONE 'UTC' FROM user_sessions";
    assert_eq!(world.text(created_at).await, "2026-01-02 03:04:05");

    let tally = account_vault(&world.importer(false), &mut |_| ()).await.unwrap();
    assert_eq!((tally.migrated, tally.skipped, tally.errors), (1, 1, Vec::new()));
    migrate(&world).await.unwrap();
    assert_eq!(world.count("users WHERE name = 'one'").await, 1);

    // Somebody new, of whom the older columns know nothing.
    let (server, new) = (world.serve().await, realm.create_user().await);
    let user_id = sign_in(&server, &new).await;
    assert_eq!(world.count(&format!("users WHERE name IS NULL AND id = '{user_id}'")).await, 1);
    assert_eq!(world.count("user_sessions WHERE session_token IS NULL").await, 1);
    // And somebody whom they know.
    let known = realm.create_user().await;
    world.run(&format!("UPDATE users SET keycloak_id = '{}' WHERE name = 'one'", known.id)).await;
    assert_eq!(sign_in(&server, &known).await, "00000000-0000-4000-8000-000000000001");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_layout_is_not_dropped_by_a_step_back() {
    let realm = TestRealm::create(&json!({})).await;
    let world = older(&realm).await;
    world.run("UPDATE user_sessions SET refresh_token = NULL").await;
    for _ in 1..migrate(&world).await.unwrap() {
        assert_eq!(step_back(&world).await, Ok(()));
    }
    let refused = step_back(&world).await.unwrap_err();
    assert!(refused.contains("restore a backup instead"), "{refused}");
    assert_eq!(world.count("users WHERE name = 'one'").await, 1);
}

async fn step_back(world: &World) -> Result<(), String> {
    let connection = world.database.connect().await;
    tokio::task::spawn_blocking(move || {
        let mut harness = AsyncMigrationHarness::new(connection);
        let reverted = harness.revert_last_migration(MIGRATIONS);
        reverted.map(|_| ()).map_err(|error| error.to_string())
    })
    .await
    .unwrap()
}

/// Our id of who signs in.
async fn sign_in(server: &TestServer, user: &TestUser) -> String {
    let browser = Browser::new();
    let begun = browser.get(&server.url("/api/auth/manager/login")).await.expect(302);
    let back = browser.sign_in(begun.header("location"), user).await;
    let (_, path) = back.split_once(":8000").unwrap();
    let signed_in = browser.get(&server.url(path)).await.expect(200);
    signed_in.json["data"]["user_id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_layout_whose_ids_are_no_uuids_is_refused_in_a_sentence() {
    let realm = TestRealm::create(&json!({})).await;
    let world = older(&realm).await;
    world
        .run("DROP TABLE user_sessions; ALTER TABLE users ALTER id TYPE text USING id::text")
        .await;
    let refused = migrate(&world).await.unwrap_err();
    assert!(
        refused.contains("users.id is text: an older layout is taken over only where"),
        "{refused}"
    );
    assert_eq!(world.count("users").await, 1);
}
