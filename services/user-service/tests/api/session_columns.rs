//! The columns that browsers' sessions need, added to and taken from a table in use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel_async::{AsyncMigrationHarness, AsyncPgConnection, SimpleAsyncConnection as _};
use diesel_migrations::MigrationHarness as _;
use test_support::TestDatabase;
use user_service::MIGRATIONS;

use super::browser_support::refresh;
use super::support::{TestApp, count};

const FIRST_STEP: &str = "20261127000020";
const SESSIONS: usize = 3000;
/// What the release before knows, in devices and sessions of its own.
const POPULATE: &str = "
    INSERT INTO users (id, username, username_key, password_hash, created_at, updated_at)
        VALUES ('00000000-0000-4000-8000-000000000001', 'alice', 'alice', '', now(), now());
    INSERT INTO devices (id, user_id, sealed_key, sealing_key_id, created_at)
        SELECT gen_random_uuid(), users.id, '', 'k', now() FROM users, generate_series(1, 3000);
    INSERT INTO auth_sessions (id, user_id, device_id, api, mac_version, sealed_secret,
            sealing_key_id, auth_time, amr, client_id, scope, user_agent, address_range, created_at,
            last_seen_at, rotated_at, last_access_expires_at, expires_at)
        SELECT id, user_id, id, 'bearer', 1, '', 'k', now(), '{pwd}', 'app', 'chat', 'app/1',
            '192.0.2.0/24', now(), now(), now(), now(), now() FROM devices";
/// A browser's session with a key of its own, as this release opens it.
const BROWSER: &str = "
    INSERT INTO devices (id, user_id, sealed_key, sealing_key_id, created_at, browser)
        SELECT gen_random_uuid(), users.id, '', 'k', now(), true FROM users;
    INSERT INTO published_keys (kid, public_jwk, key_type, state, user_id, sealing_key_id, published_at)
        SELECT 'of-a-browser', '{}', 'ES256', 'active', id, 'k', now() FROM users;
    INSERT INTO user_keysets VALUES ('00000000-0000-4000-8000-000000000001',
        '{\"keys\": [{\"kid\": \"of-a-browser\"}, {\"kid\": \"of-an-app\"}]}', now(), now());
    INSERT INTO auth_sessions (id, user_id, device_id, api, kid, mac_version, sealed_secret,
            sealing_key_id, auth_time, amr, client_id, scope, address_range, created_at,
            last_seen_at, rotated_at, last_access_expires_at, expires_at)
        SELECT id, user_id, id, 'cookie', 'of-a-browser', 1, '', 'k', now(), '{pwd}', 'web', 'chat',
            '192.0.2.0/24', now(), now(), now(), now(), now() FROM devices WHERE browser";
/// Refreshes of the release before: one read and one compare-and-set.
const REFRESHES: &str = "
    DO $$ DECLARE chosen record; BEGIN
        SELECT id, counter INTO chosen FROM auth_sessions TABLESAMPLE SYSTEM (5)
            WHERE api = 'bearer' LIMIT 1;
        UPDATE auth_sessions SET counter = chosen.counter + 1, user_agent = 'app/2',
                address_range = '198.51.100.0/24', last_seen_at = now(), rotated_at = now(),
                recent_rotations = ARRAY[now()], mac_version = 1, last_access_expires_at = now()
            WHERE id = chosen.id AND counter = chosen.counter AND ended_at IS NULL;
    END $$";
/// Everything that the steps of this database make, one line each.
const LAYOUT: &str = "
    SELECT string_agg(line, E'\\n' ORDER BY line) AS text FROM (
        SELECT concat_ws(' ', relkind, oid::regclass, relpersistence, reloptions,
            obj_description(oid, 'pg_class')) AS line
        FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT concat_ws(' ', attrelid::regclass, attname,
            format_type(atttypid, atttypmod), attnotnull, attidentity,
            pg_get_expr(adbin, adrelid), col_description(attrelid, attnum))
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
            LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
            AND attnum > 0 AND NOT attisdropped
        UNION ALL SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid),
            convalidated)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
    ) AS lines";
/// Has every statement refused that writes a column of any index, its condition included.
const NO_INDEX_MOVES: &str = "
    CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'an index would have to move'; END $$;
    DO $$ DECLARE columns text; BEGIN
        SELECT string_agg(DISTINCT attname, ', ') INTO columns
        FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum > 0
        WHERE indrelid = 'auth_sessions'::regclass AND (attnum = ANY (indkey) OR EXISTS (
            SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = indexrelid
                AND refobjid = indrelid AND refobjsubid = attnum));
        EXECUTE format('CREATE OR REPLACE TRIGGER refuses BEFORE UPDATE OF %s ON auth_sessions
            EXECUTE FUNCTION refuse()', columns);
    END $$";

#[derive(diesel::QueryableByName)]
struct Text {
    #[diesel(sql_type = diesel::sql_types::Text)]
    text: String,
}

async fn layout(connection: &mut AsyncPgConnection) -> String {
    use diesel_async::RunQueryDsl as _;
    diesel::sql_query(LAYOUT).get_result::<Text>(connection).await.unwrap().text
}

/// Which way to go with the steps from the first of ours on.
#[derive(Clone, Copy)]
enum Way {
    Up,
    Down,
    /// To the bottom, and up to just before them.
    Before,
}

async fn go(database: &TestDatabase, way: Way) {
    let connection = database.connect().await;
    let migrate = move || {
        let mut harness = AsyncMigrationHarness::new(connection);
        let newest = |harness: &mut AsyncMigrationHarness<_>| {
            let applied = harness.applied_migrations().unwrap();
            applied.into_iter().map(|version| version.to_string()).max().unwrap_or_default()
        };
        match way {
            Way::Up => {
                let _ = harness.run_pending_migrations(MIGRATIONS).unwrap();
            }
            Way::Down => {
                while newest(&mut harness).as_str() >= FIRST_STEP {
                    let _ = harness.revert_last_migration(MIGRATIONS).unwrap();
                }
            }
            Way::Before => {
                let _ = harness.revert_all_migrations(MIGRATIONS).unwrap();
                for step in harness.pending_migrations(MIGRATIONS).unwrap() {
                    if step.name().version().to_string().as_str() >= FIRST_STEP {
                        break;
                    }
                    let _ = harness.run_migration(&step).unwrap();
                }
            }
        }
    };
    tokio::task::spawn_blocking(migrate).await.unwrap();
}

/// Refreshes until it is told to stop, and answers how often; none may fail or wait for long.
async fn refresh_on(mut connection: AsyncPgConnection, stop: Arc<AtomicBool>) -> usize {
    connection.batch_execute("SET statement_timeout = '2s'").await.unwrap();
    let mut times = 0;
    while !stop.load(Ordering::Relaxed) {
        connection.batch_execute(REFRESHES).await.unwrap();
        times += 1;
    }
    times
}

#[tokio::test(flavor = "multi_thread")]
async fn the_steps_go_up_down_and_up_beneath_refreshes_and_leave_no_trace() {
    let database = TestDatabase::create("user", || MIGRATIONS).await;
    go(&database, Way::Before).await;
    let mut connection = database.connect().await;
    let before = layout(&mut connection).await;
    connection.batch_execute(POPULATE).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut refreshers = Vec::new();
    for _ in 0..3 {
        let connection = database.connect().await;
        refreshers.push(tokio::spawn(refresh_on(connection, Arc::clone(&stop))));
    }
    go(&database, Way::Up).await;
    let filled = "SELECT count(*) AS count FROM auth_sessions WHERE last_ip_cidr IS NOT NULL \
                  AND device_hash IN (sha256('app/1'), sha256('app/2'))";
    assert_eq!(count(&mut connection, filled).await, i64::try_from(SESSIONS).unwrap());
    let unchecked = "SELECT count(*) AS count FROM pg_constraint WHERE NOT convalidated";
    assert_eq!(count(&mut connection, unchecked).await, 0);
    connection.batch_execute(BROWSER).await.unwrap();
    go(&database, Way::Down).await;
    assert_eq!(layout(&mut connection).await, before);
    the_browser_is_gone(&mut connection).await;
    go(&database, Way::Up).await;
    stop.store(true, Ordering::Relaxed);
    for refresher in refreshers {
        let times = tokio::time::timeout(Duration::from_secs(10), refresher).await.unwrap();
        assert!(times.unwrap() > 0);
    }
    assert_eq!(count(&mut connection, filled).await, i64::try_from(SESSIONS).unwrap());
}

async fn the_browser_is_gone(connection: &mut AsyncPgConnection) {
    for (what, expected) in [
        ("auth_sessions", i64::try_from(SESSIONS).unwrap()),
        ("devices", i64::try_from(SESSIONS).unwrap()),
        ("key_changes", 2),
        ("published_keys WHERE state = 'revoked' AND until IS NOT NULL", 1),
        ("user_keysets WHERE keyset = '{\"keys\": [{\"kid\": \"of-an-app\"}]}'", 1),
    ] {
        let found = count(connection, &format!("SELECT count(*) AS count FROM {what}")).await;
        assert_eq!(found, expected, "{what}");
    }
}

#[tokio::test]
async fn a_family_is_one_row_and_a_device_has_one_live_one_so_that_there_is_one_head() {
    let database = TestDatabase::create("user", || MIGRATIONS).await;
    let mut connection = database.connect().await;
    connection.batch_execute(POPULATE).await.unwrap();
    let columns = "user_id, device_id, api, mac_version, sealed_secret, sealing_key_id, auth_time, \
        amr, client_id, scope, address_range, created_at, last_seen_at, rotated_at, \
        last_access_expires_at, expires_at";
    for (id, broken) in
        [("id", "auth_sessions_pkey"), ("gen_random_uuid()", "auth_sessions_one_live_per_device")]
    {
        let again = format!(
            "INSERT INTO auth_sessions (id, {columns}, counter) \
             SELECT {id}, {columns}, counter + 1 FROM auth_sessions LIMIT 1"
        );
        let error = connection.batch_execute(&again).await.unwrap_err().to_string();
        assert!(error.contains(broken), "{error}");
    }
}

#[tokio::test]
async fn a_refresh_writes_no_column_of_any_index() {
    let app = TestApp::with(&[("USER_SERVICE__SIGNING__ALGORITHM", "ES256")]).await;
    let (session, proven) = (app.sign_in().await, app.sign_in().await);
    let (browser, _) = app.browse_as("alice").await;
    let mut connection = app.database.connect().await;
    connection.batch_execute(NO_INDEX_MOVES).await.unwrap();
    let next = app.refresh(&session.refresh_token).await.expect(200).member("refresh_token");
    // Once more within the grace.
    let _ = app.refresh(&session.refresh_token).await.expect(200);
    let _ = app.refresh_proven(&proven, &proven.refresh_token).await.expect(200);
    let _ = refresh(&browser).await.expect(200);
    // With such an index it would be refused.
    connection.batch_execute("CREATE INDEX ON auth_sessions (last_seen_at)").await.unwrap();
    connection.batch_execute(NO_INDEX_MOVES).await.unwrap();
    assert!(app.refresh(&next).await.status.is_server_error());
}
