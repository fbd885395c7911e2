//! Emergencies of the ring of service keys.

use diesel_async::RunQueryDsl as _;
use serde_json::Value;
use test_support::eventually;
use user_service::service_keys::{Occasion, Refused};

use super::feed_reader::FeedReader;
use super::service_keys::{
    ES256, SERVICE, kid_of, kids, planned, published, refreshed, ring, rotate, status_at,
};
use super::support::TestApp;

fn emergency(current: String) -> Occasion {
    Occasion::Emergency { current, with_next: false }
}

#[tokio::test]
async fn an_emergency_ends_every_token_signed_until_then_on_every_replica_and_tells_the_feed() {
    let app = TestApp::with(&[SERVICE, ES256]).await;
    let replica = app.replica().await;
    let mut ring = ring(&app, &[SERVICE, ES256]).await;
    let older = app.sign_in().await;
    rotate(&mut ring).await.unwrap();
    let next = kids(&mut ring).await[1].1.clone();
    let mut newer = eventually("the second key signs", || async {
        let session = app.sign_in().await;
        (kid_of(&session.access_token) != kid_of(&older.access_token)).then_some(session)
    })
    .await;
    let revoked = [kid_of(&newer.access_token), kid_of(&older.access_token)];
    let mut reader = FeedReader::open(&app, &replica, None).await;
    let _ = reader.replay().await;
    let Occasion::Planned { current } = planned(&mut ring).await else { unreachable!() };
    let rotation = ring.rotate(&emergency(current)).await.unwrap();
    assert_eq!((&rotation.revoked[..], &rotation.current), (&revoked[..], &Some(next.clone())));
    for kid in &revoked {
        let event = reader.next().await;
        assert_eq!((&*event.name, &event.data["kid"]), ("key_revoked", &Value::from(&**kid)));
    }
    for server in [&app.server, &replica] {
        for session in [&older, &newer] {
            eventually("the token is refused", || async {
                (status_at(&app, server, session).await == 401).then_some(())
            })
            .await;
        }
        let set = published(&app, server).await;
        assert!(revoked.iter().all(|kid| !set.contains(kid)), "{set:?}");
    }
    // Nobody is logged out by it.
    assert_eq!(refreshed(&app, &replica, &mut newer).await, next);
    assert_eq!(status_at(&app, &app.server, &newer).await, 200);
}

#[tokio::test]
async fn an_emergency_that_a_planned_rotation_came_before_ends_both_keys_and_a_second_one_none() {
    let app = TestApp::with(&[SERVICE, ES256]).await;
    let mut ring = ring(&app, &[SERVICE, ES256]).await;
    app.sign_in().await;
    let seen = kids(&mut ring).await[0].1.clone();
    let newer = rotate(&mut ring).await.unwrap().current.unwrap();
    let emergency = emergency(seen.clone());
    let rotation = ring.rotate(&emergency).await.unwrap();
    assert_eq!(rotation.revoked, [newer, seen]);
    let refused = ring.rotate(&emergency).await;
    assert!(matches!(refused, Err(Refused::ByAnother)), "{refused:?}");
}

#[tokio::test]
async fn an_emergency_ends_a_retired_key_too_whose_end_seems_to_be_past() {
    let app = TestApp::with(&[SERVICE, ES256]).await;
    let mut ring = ring(&app, &[SERVICE, ES256]).await;
    app.sign_in().await;
    let older = kids(&mut ring).await[0].1.clone();
    let current = rotate(&mut ring).await.unwrap().current.unwrap();
    let mut connection = app.database.connect().await;
    // Nobody removes it.
    drop(app.server);
    // Whoever rotated had a clock of his own, as somebody has who looks at it now.
    let past = "UPDATE service_keys SET until = clock_timestamp() - interval '1 day'
                WHERE state = 'retired'";
    assert_eq!(diesel::sql_query(past).execute(&mut connection).await.unwrap(), 1);
    let rotation = ring.rotate(&emergency(current.clone())).await.unwrap();
    assert_eq!(rotation.revoked, [current, older]);
}

#[tokio::test]
async fn an_emergency_with_the_next_key_leaves_none_that_was_made_before_it() {
    let app = TestApp::with(&[SERVICE, ES256]).await;
    let replica = app.replica().await;
    let mut ring = ring(&app, &[SERVICE, ES256]).await;
    app.sign_in().await;
    rotate(&mut ring).await.unwrap();
    let before: Vec<String> = kids(&mut ring).await.into_iter().map(|(_, kid)| kid).collect();
    assert_eq!(before.len(), 3);
    let mut reader = FeedReader::open(&app, &replica, None).await;
    let _ = reader.replay().await;
    let emergency = Occasion::Emergency { current: before[0].clone(), with_next: true };
    let rotation = ring.rotate(&emergency).await.unwrap();
    assert_eq!(rotation.revoked, before);
    for kid in &before {
        let event = reader.next().await;
        assert_eq!((&*event.name, &event.data["kid"]), ("key_revoked", &Value::from(&**kid)));
    }
    // Made at once, and what signs from then on.
    let current = rotation.current.unwrap();
    assert!(!before.contains(&current) && !before.contains(&rotation.next.unwrap()));
    for server in [&app.server, &replica] {
        eventually("the set shows none of them", || async {
            let set = published(&app, server).await;
            (set.contains(&current) && before.iter().all(|kid| !set.contains(kid))).then_some(())
        })
        .await;
    }
    let session = app.sign_in().await;
    assert_eq!(kid_of(&session.access_token), current);
    assert_eq!(status_at(&app, &replica, &session).await, 200);
}
