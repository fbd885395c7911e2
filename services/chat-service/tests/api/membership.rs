//! Joining, leaving, inviting, removing.

use chrono::TimeDelta;
use test_support::eventually;
use uuid::Uuid;

use super::issuer::{ISSUER, User};
use super::support::TestApp;

#[tokio::test]
async fn anybody_joins_a_public_room_once_or_twice() {
    let app = TestApp::start().await;
    let (room, _, other) = app.room_of_two().await;
    let answer = app.join(&other, room).await.expect(200);
    assert_eq!(answer.member("room_id"), room.to_string());
    let _ = app.send(&other, room, "hello").await.expect(200);
}

#[tokio::test]
async fn a_room_that_is_not_there_and_one_that_is_private_look_the_same() {
    let (app, creator, stranger) = (TestApp::start().await, User::new(), User::new());
    let private = app.create_room(&creator, "private").await;
    let mut answers = Vec::new();
    for room in [private, Uuid::new_v4()] {
        for answer in [
            app.join(&stranger, room).await,
            app.leave(&stranger, room).await,
            app.invite(&stranger, room, stranger.id).await,
            app.remove(&stranger, room, creator.id).await,
            app.send(&stranger, room, "hello").await,
            app.messages(&stranger, room, "").await,
            app.get_as(&stranger, &format!("/api/rooms/{room}/members")).await,
        ] {
            let mut answer = answer.expect_error(404, "room_not_found").json;
            answer["request_id"].take();
            answers.push(answer);
        }
    }
    let (private, missing) = answers.split_at(7);
    assert_eq!(private, missing);
}

#[tokio::test]
async fn an_invitation_opens_a_private_room_once() {
    let (app, creator, guest) = (TestApp::start().await, User::new(), User::new());
    let room = app.create_room(&creator, "private").await;
    let answer = app.invite(&creator, room, guest.id).await.expect(200);
    assert_eq!(answer.member("user_id"), guest.id.to_string());
    let _ = app.join(&guest, room).await.expect(200);
    let _ = app.join(&guest, room).await.expect(200);
    // Any member invites.
    let friend = User::new();
    let _ = app.invite(&guest, room, friend.id).await.expect(200);
    let _ = app.join(&friend, room).await.expect(200);
    let _ = app.leave(&guest, room).await.expect(200);
    let _ = app.join(&guest, room).await.expect_error(404, "room_not_found");
    let _ = app.invite(&creator, room, friend.id).await.expect_error(409, "already_member");
}

#[tokio::test]
async fn an_invitation_is_good_for_a_week_and_then_cleaned_away() {
    let app = TestApp::start().await;
    // Tokens are judged by the same clock, so these live longer.
    let [creator, early, late] = [(); 3].map(|()| User::with(ISSUER, 30 * 86_400));
    let room = app.create_room(&creator, "private").await;
    let _ = app.invite(&creator, room, early.id).await.expect(200);
    let _ = app.invite(&creator, room, late.id).await.expect(200);
    app.clock.turn(TimeDelta::days(7) - TimeDelta::minutes(1));
    let _ = app.join(&early, room).await.expect(200);
    app.clock.turn(TimeDelta::minutes(1));
    let _ = app.join(&late, room).await.expect_error(404, "room_not_found");
    // A replica cleans as it starts.
    let _replica = app.replica().await;
    eventually("cleaned", || async {
        let left = count_invitations(&mut app.database.connect().await).await;
        (left == 0).then_some(())
    })
    .await;
}

async fn count_invitations(connection: &mut diesel_async::AsyncPgConnection) -> i64 {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        count: i64,
    }
    let query = diesel::sql_query("SELECT count(*) AS count FROM room_invitations");
    let row: Row = diesel_async::RunQueryDsl::get_result(query, connection).await.unwrap();
    row.count
}

#[tokio::test]
async fn of_two_joins_at_once_with_one_invitation_both_succeed() {
    let (app, creator) = (TestApp::start().await, User::new());
    let room = app.create_room(&creator, "private").await;
    for _ in 0..10 {
        let guest = User::new();
        let _ = app.invite(&creator, room, guest.id).await.expect(200);
        let (one, other) = tokio::join!(app.join(&guest, room), app.join(&guest, room));
        assert_eq!((one.status.as_u16(), other.status.as_u16()), (200, 200));
    }
}

#[tokio::test]
async fn only_the_creator_removes() {
    let app = TestApp::start().await;
    let (room, creator, other) = app.room_of_two().await;
    let _ = app.remove(&other, room, creator.id).await.expect_error(403, "not_room_creator");
    let _ = app.remove(&creator, room, Uuid::new_v4()).await.expect_error(404, "member_not_found");
    let _ = app.remove(&creator, room, other.id).await.expect(200);
    let _ = app.messages(&other, room, "").await.expect_error(404, "room_not_found");
    let _ = app.send(&other, room, "still here").await.expect_error(404, "room_not_found");
    let _ = app.remove(&creator, room, other.id).await.expect_error(404, "member_not_found");
}

#[tokio::test]
async fn removing_takes_back_an_invitation() {
    let (app, creator, guest) = (TestApp::start().await, User::new(), User::new());
    let room = app.create_room(&creator, "private").await;
    let _ = app.invite(&creator, room, guest.id).await.expect(200);
    let _ = app.remove(&creator, room, guest.id).await.expect(200);
    let _ = app.join(&guest, room).await.expect_error(404, "room_not_found");
}

#[tokio::test]
async fn who_has_left_reads_and_writes_no_more() {
    let app = TestApp::start().await;
    let (room, _, other) = app.room_of_two().await;
    let _ = app.leave(&other, room).await.expect(200);
    let _ = app.leave(&other, room).await.expect_error(404, "room_not_found");
    let _ = app.messages(&other, room, "").await.expect_error(404, "room_not_found");
    let _ = app.send(&other, room, "hello?").await.expect_error(404, "room_not_found");
    assert_eq!(
        app.get_as(&other, "/api/rooms").await.expect(200).json["items"],
        serde_json::json!([])
    );
}
