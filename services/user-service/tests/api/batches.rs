//! Batches that replicas write at the same time: whatever the order in which each has its rows, none
//! waits for another that waits for it.

use diesel::QueryResult;
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use serde_json::json;
use test_support::TestDatabase;
use user_service::MIGRATIONS;
use user_service::models::cookie_rollout_session::{self, Seen};
use user_service::models::security_event::{self, NewSecurityEvent};
use uuid::Uuid;

use super::browser_support::log_in;
use super::support::{TestApp, count};

/// One connection has written the lower of two keys and writes the higher, while another one, which
/// has both the other way round, waits for it.
async fn write_crosswise<K: Copy>(
    database: &TestDatabase,
    [low, high]: [K; 2],
    write: impl AsyncFn(&mut AsyncPgConnection, &[K]) -> QueryResult<usize>,
) {
    let (mut first, mut second) = (database.connect().await, database.connect().await);
    first.batch_execute("BEGIN").await.unwrap();
    let _ = write(&mut first, &[low]).await.unwrap();
    let reversed = [high, low];
    let (both, higher) = tokio::join!(write(&mut second, &reversed), async {
        database.until_somebody_waits().await;
        let higher = write(&mut first, &[high]).await;
        first.batch_execute("COMMIT").await.unwrap();
        higher
    });
    let _ = (both.unwrap(), higher.unwrap());
}

#[derive(diesel::QueryableByName)]
struct Id {
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    id: Uuid,
}

#[tokio::test]
async fn two_replicas_write_down_the_same_sessions_in_whatever_order() {
    let app = TestApp::start().await;
    let _ = app.register("alice").await.expect(201);
    for _ in 0..4 {
        let _ = log_in(&app.browser().await, "alice").await.expect(200);
    }
    let mut connection = app.database.connect().await;
    let stored = diesel::sql_query("SELECT id FROM auth_sessions ORDER BY ctid");
    let ids: Vec<Id> = stored.load(&mut connection).await.unwrap();
    // The lower id stands behind the higher one in the table too, as long as chance has it so.
    let behind = ids.windows(2).find(|pair| pair[1].id < pair[0].id).unwrap_or(&ids[..2]);
    let mut keys = [behind[1].id, behind[0].id];
    keys.sort_unstable();
    let now = app.now();
    write_crosswise(&app.database, keys, async |connection, keys| {
        let none = vec![false; keys.len()];
        let seen = Seen { ids: keys.to_vec(), csrf_refused: none.clone(), failed: none };
        cookie_rollout_session::note(connection, 99, &seen, now, now).await
    })
    .await;
    let written = "SELECT count(*) AS count FROM cookie_rollout_sessions WHERE revision = 99";
    assert_eq!(count(&mut connection, written).await, 2);
}

#[tokio::test]
async fn two_replicas_write_the_same_events_of_a_minute_in_whatever_order() {
    let database = TestDatabase::create("user", || MIGRATIONS).await;
    write_crosswise(&database, [1_u8, 2], async |connection, keys| {
        let event = |key: &u8| NewSecurityEvent {
            kind: "rate_limited",
            user_id: None,
            session_id: None,
            device_id: None,
            address: None,
            user_agent: None,
            details: json!({}),
            personal: json!({}),
            once: Some(vec![*key; 32]),
        };
        security_event::insert_all(connection, keys.iter().map(event).collect()).await
    })
    .await;
    let written = "SELECT count(*) AS count FROM security_events";
    assert_eq!(count(&mut database.connect().await, written).await, 2);
}
