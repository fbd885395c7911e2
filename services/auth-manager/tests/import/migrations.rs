use auth_manager::MIGRATIONS;
use diesel_async::AsyncMigrationHarness;
use diesel_migrations::MigrationHarness as _;

use crate::world::World;

const OLDER: &str = "
    CREATE TABLE users (id uuid PRIMARY KEY, keycloak_id text, name text);
    CREATE TABLE user_sessions (id uuid PRIMARY KEY, user_id uuid NOT NULL, access_token text,
        refresh_token text, id_token text, active boolean NOT NULL DEFAULT true,
        created_at timestamptz NOT NULL DEFAULT now());
    INSERT INTO users VALUES ('00000000-0000-4000-8000-000000000001', 'subject-1', 'one');
    INSERT INTO user_sessions (id, user_id, refresh_token, active) VALUES
        ('00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000001', 'x', true),
        ('00000000-0000-4000-8000-000000000003', '00000000-0000-4000-8000-000000000001', '', false);";

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

#[tokio::test(flavor = "multi_thread")]
async fn an_older_layout_is_completed_and_the_last_step_waits_for_the_import() {
    let world = World::start().await;
    world.run("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
    world.run(OLDER).await;
    let refused = migrate(&world).await.unwrap_err();
    assert!(refused.contains("run `latchkey migrate account-vault` first"), "{refused}");
    assert_eq!(world.count("user_sessions WHERE active = (ended_at IS NULL)").await, 2);
    world.run("UPDATE user_sessions SET refresh_token = NULL").await;
    assert_eq!(migrate(&world).await, Ok(1));
    assert_eq!(world.count("users WHERE name = 'one'").await, 1);
}
