//! Who is connected in a room.

use std::collections::BTreeSet;

use diesel_async::SimpleAsyncConnection as _;
use test_support::eventually;
use uuid::Uuid;

use super::issuer::User;
use super::socket::Socket;
use super::support::TestApp;

fn set<const N: usize>(users: [&User; N]) -> BTreeSet<Uuid> {
    users.into_iter().map(|user| user.id).collect()
}

#[tokio::test]
async fn who_comes_and_goes_is_told_on_every_replica() {
    let app = TestApp::start().await;
    let replica = app.replica().await;
    let (room, creator, other) = app.room_of_two().await;
    let mut here = app.connect(&creator).await;
    here.subscribe(room, None).await;
    here.until_present(room, &set([&creator])).await;
    let mut there = Socket::connect(&replica, &other).await;
    there.subscribe(room, None).await;
    here.until_present(room, &set([&creator, &other])).await;
    there.until_present(room, &set([&creator, &other])).await;
    // A second connection of the same person changes nothing, and its end neither.
    let mut second = app.connect(&other).await;
    second.subscribe(room, None).await;
    second.until_present(room, &set([&creator, &other])).await;
    drop(there);
    here.expect_silence().await;
    drop(second);
    here.until_present(room, &set([&creator])).await;
}

#[tokio::test]
async fn unsubscribing_and_leaving_the_room_end_presence() {
    let app = TestApp::start().await;
    let (room, creator, other) = app.room_of_two().await;
    let (mut watching, mut moving) = (app.connect(&creator).await, app.connect(&other).await);
    watching.subscribe(room, None).await;
    for _ in 0..2 {
        moving.subscribe(room, None).await;
        watching.until_present(room, &set([&creator, &other])).await;
        moving.say(&serde_json::json!({ "type": "unsubscribe", "room_id": room })).await;
        watching.until_present(room, &set([&creator])).await;
    }
    moving.subscribe(room, None).await;
    watching.until_present(room, &set([&creator, &other])).await;
    let _ = app.leave(&other, room).await.expect(200);
    watching.until_present(room, &set([&creator])).await;
}

#[tokio::test]
async fn a_dead_replica_s_people_are_gone_and_nothing_of_it_stays() {
    let app = TestApp::start().await;
    let (room, creator, other) = app.room_of_two().await;
    let mut watching = app.connect(&creator).await;
    watching.subscribe(room, None).await;
    watching.until_present(room, &set([&creator])).await;
    // One that died without a word, and told while it lived.
    let dead = format!(
        "WITH replica AS (INSERT INTO live_replicas VALUES (gen_random_uuid(), now()) RETURNING id)
         INSERT INTO presences SELECT '{room}', '{}', id FROM replica;
         SELECT pg_notify('chat_changes', 'presence/{room}/-')",
        other.id
    );
    let mut connection = app.database.connect().await;
    connection.batch_execute(&dead).await.unwrap();
    watching.until_present(room, &set([&creator, &other])).await;
    watching.until_present(room, &set([&creator])).await;
    let look = "DO $$ BEGIN ASSERT 1 = (SELECT count(*) FROM live_replicas) \
        AND 1 = (SELECT count(*) FROM presences); END $$";
    eventually("it is cleared away", || async {
        app.database.connect().await.batch_execute(look).await.ok()
    })
    .await;
}

#[tokio::test]
async fn who_was_taken_for_dead_comes_back() {
    let app = TestApp::start().await;
    let (room, creator, other) = app.room_of_two().await;
    let (mut one, mut two) = (app.connect(&creator).await, app.connect(&other).await);
    one.subscribe(room, None).await;
    two.subscribe(room, None).await;
    one.until_present(room, &set([&creator, &other])).await;
    let forget =
        format!("DELETE FROM live_replicas; SELECT pg_notify('chat_changes', 'presence/{room}/-')");
    app.database.connect().await.batch_execute(&forget).await.unwrap();
    one.until_present(room, &set([])).await;
    one.until_present(room, &set([&creator, &other])).await;
}
