//! The repository of keysets, on a real database.

use chrono::TimeDelta;
use serde_json::{Map, json};
use test_support::{TestDatabase, TestServer, eventually};
use user_service::MIGRATIONS;
use user_service::models::user_keyset::{self, DeviceJwk, Keyset};
use user_service::models::{published_key, user};
use uuid::Uuid;

use super::support::{Session, TestApp, count, header, send};

fn key(kid: &str, device: Uuid) -> DeviceJwk {
    DeviceJwk { kid: kid.to_owned(), device_id: device, sealed: vec![1], public: Map::new() }
}

async fn add_user(connection: &mut diesel_async::AsyncPgConnection, name: &str) -> Uuid {
    let now = common::clock::Clock::default().now();
    let row = user::User {
        id: Uuid::new_v4(),
        username: name.to_owned(),
        username_key: name.to_owned(),
        password_hash: String::new(),
        password_version: 1,
        display_name: None,
        phone_number: None,
        email: None,
        avatar_url: None,
        created_at: now,
        updated_at: now,
        last_login_at: None,
    };
    assert!(user::insert(connection, &row).await.unwrap());
    row.id
}

#[tokio::test]
async fn keysets_are_saved_found_listed_and_deleted() {
    let database = TestDatabase::create("user", || MIGRATIONS).await;
    let mut connection = database.connect().await;
    let now = common::clock::Clock::default().now();
    let mut users = Vec::new();
    for number in 0..5 {
        let user = add_user(&mut connection, &format!("user-{number}")).await;
        let mut keyset = Keyset::default();
        keyset.set_device_key(key(&format!("k{number}"), Uuid::new_v4()));
        user_keyset::save(&mut connection, user, &keyset, now).await.unwrap();
        assert_eq!(user_keyset::find(&mut connection, user).await.unwrap(), Some(keyset));
        users.push(user);
    }
    users.sort();
    let first = user_keyset::list(&mut connection, None, 3).await.unwrap();
    let rest = user_keyset::list(&mut connection, Some(first[2].0), 3).await.unwrap();
    let listed: Vec<Uuid> = first.iter().chain(&rest).map(|(user, _)| *user).collect();
    assert_eq!(listed, users);
    user_keyset::delete(&mut connection, users[0]).await.unwrap();
    assert_eq!(user_keyset::find(&mut connection, users[0]).await.unwrap(), None);
}

#[tokio::test]
async fn an_empty_keyset_s_row_goes() {
    let database = TestDatabase::create("user", || MIGRATIONS).await;
    let mut connection = database.connect().await;
    let now = common::clock::Clock::default().now();
    let user = add_user(&mut connection, "alice").await;
    let device = Uuid::new_v4();
    let mut keyset = Keyset::default();
    keyset.set_device_key(key("k1", device));
    assert_eq!(keyset.set_device_key(key("k2", device)), Some("k1".to_owned()));
    user_keyset::save(&mut connection, user, &keyset, now).await.unwrap();
    assert_eq!(keyset.remove_device(device), Some("k2".to_owned()));
    user_keyset::save(&mut connection, user, &keyset, now).await.unwrap();
    assert_eq!(user_keyset::find(&mut connection, user).await.unwrap(), None);
}

#[tokio::test]
async fn a_key_is_found_by_its_kid_while_it_lives_and_its_private_part_is_sealed() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let user: Uuid = session.user_id.parse().unwrap();
    let kid = header(&session.access_token)["kid"].as_str().unwrap().to_owned();
    let mut connection = app.database.connect().await;
    let (owner, key) = user_keyset::find_by_kid(&mut connection, &kid).await.unwrap().unwrap();
    assert_eq!((owner, key.device_id.to_string()), (user, session.device.id.clone()));
    assert!(!key.public.contains_key("d"));
    // No DER of a private key begins like a sealed value.
    assert_eq!(vault_crypto::key_id_of(&key.sealed), Some("dev"));
    assert_eq!(
        published_key::list_live_kids(&mut connection, user).await.unwrap(),
        std::slice::from_ref(&kid)
    );
    let _ = app.log_out(&session.refresh_token).await.expect(200);
    assert_eq!(user_keyset::find_by_kid(&mut connection, &kid).await.unwrap(), None);
    assert!(published_key::list_live_kids(&mut connection, user).await.unwrap().is_empty());
    assert_eq!(user_keyset::find(&mut connection, user).await.unwrap(), None);
}

fn kid(session: &Session) -> String {
    header(&session.access_token)["kid"].as_str().unwrap().to_owned()
}

async fn lookups(app: &TestApp, replica: &TestServer, cache: &str, outcome: &str) -> u64 {
    let labels = format!("{{cache=\"{cache}\",outcome=\"{outcome}\"}}");
    app.metric_of(replica, &format!("user_service_key_lookups_total{labels}")).await
}

/// How many keys a replica serves under the session's key id.
async fn served(app: &TestApp, replica: &TestServer, session: &Session) -> usize {
    let url = replica.url(&format!("/.well-known/jwks.json?kid={}", kid(session)));
    let set = send(app.client.get(url)).await.expect(200);
    set.json["keys"].as_array().unwrap().len()
}

/// Another replica that reads the change feed by now.
async fn reading_replica(app: &TestApp) -> TestServer {
    let replica = app.replica().await;
    eventually("the replica is ready", || async {
        let answer = send(app.client.get(replica.url("/health/ready"))).await;
        (answer.status == 200).then_some(())
    })
    .await;
    replica
}

#[tokio::test]
async fn parsed_keys_are_kept_and_another_replica_s_revocation_counts_at_once() {
    let app = TestApp::start().await;
    let replica = app.replica().await;
    let session = app.sign_in().await;
    let ask = || async {
        let request = app.client.get(replica.url("/api/auth/sessions"));
        send(request.bearer_auth(&session.access_token)).await.status.as_u16()
    };
    assert_eq!((ask().await, ask().await), (200, 200));
    for outcome in ["hit", "miss"] {
        assert_eq!(lookups(&app, &replica, "verifying", outcome).await, 1, "{outcome}");
    }
    let _ = app.log_out(&session.refresh_token).await.expect(200);
    assert_eq!(ask().await, 401);
}

#[tokio::test]
async fn a_key_found_by_its_kid_is_kept_until_another_replica_revokes_it() {
    let app = TestApp::start().await;
    let (replica, session) = (reading_replica(&app).await, app.sign_in().await);
    eventually("it comes from memory", || async {
        assert_eq!(served(&app, &replica, &session).await, 1);
        (lookups(&app, &replica, "kid_to_user", "hit").await > 0).then_some(())
    })
    .await;
    assert!(lookups(&app, &replica, "kid_to_user", "miss").await > 0);
    let other = app.log_in(&app.register_device().await, &session.username).await;
    assert_eq!(served(&app, &replica, &other).await, 1, "an addition is there at once");
    let _ = app.log_out(&session.refresh_token).await.expect(200);
    eventually("the revocation is heard of", || async {
        (served(&app, &replica, &session).await == 0).then_some(())
    })
    .await;
    assert_eq!(served(&app, &replica, &other).await, 1);
}

#[tokio::test]
async fn a_key_whose_end_nobody_is_told_of_is_not_served_from_memory_a_moment_too_long() {
    let app = TestApp::start().await;
    let (replica, session) = (reading_replica(&app).await, app.sign_in().await);
    // Two hours of the token and the largest leeway of a verifier, less what clocks may lie apart.
    app.clock.turn(TimeDelta::hours(2) + TimeDelta::seconds(230));
    eventually("it comes from memory", || async {
        assert_eq!(served(&app, &replica, &session).await, 1);
        (lookups(&app, &replica, "kid_to_user", "hit").await > 0).then_some(())
    })
    .await;
    app.clock.turn(TimeDelta::seconds(70));
    let _ = app.log_out(&session.refresh_token).await.expect(200);
    let mut connection = app.database.connect().await;
    let told = "SELECT count(*) AS count FROM key_changes";
    assert_eq!(count(&mut connection, told).await, 0);
    assert_eq!(served(&app, &replica, &session).await, 0);
}

#[tokio::test]
async fn a_keyset_kept_by_user_knows_what_another_replica_adds_and_not_what_it_took_away() {
    let app = TestApp::start().await;
    let (replica, one) = (reading_replica(&app).await, app.sign_in().await);
    let sign_in_again = async || app.log_in(&app.register_device().await, &one.username).await;
    let two = sign_in_again().await;
    let refresh = async |session: &Session| {
        let body = json!({ "refresh_token": session.refresh_token });
        send(app.client.post(replica.url("/api/auth/refresh")).json(&body)).await
    };
    let _ = refresh(&one).await.expect(200);
    assert_eq!(lookups(&app, &replica, "keyset_by_user", "miss").await, 1);
    let _ = refresh(&two).await.expect(200);
    assert_eq!(lookups(&app, &replica, "keyset_by_user", "hit").await, 1);
    let three = sign_in_again().await;
    let answer = refresh(&three).await.expect(200);
    assert_eq!(header(&answer.member("access_token"))["kid"], kid(&three));
    let four = sign_in_again().await;
    let _ = app.log_out(&four.refresh_token).await.expect(200);
    let _ = refresh(&four).await.expect(401);
    assert_eq!(served(&app, &replica, &three).await, 1);
}
