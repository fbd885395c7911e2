//! The repository of keysets, on a real database.

use serde_json::Map;
use test_support::TestDatabase;
use user_service::MIGRATIONS;
use user_service::models::user_keyset::{self, DeviceJwk, Keyset};
use user_service::models::{published_key, user};
use uuid::Uuid;

use super::support::{TestApp, header, send};

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
    let metrics = send(app.client.get(replica.admin_url("/metrics"))).await.text;
    for outcome in ["hit", "miss"] {
        let line = format!(
            "user_service_key_lookups_total{{cache=\"verifying\",outcome=\"{outcome}\"}} 1"
        );
        assert!(metrics.contains(&line), "{outcome}");
    }
    let _ = app.log_out(&session.refresh_token).await.expect(200);
    assert_eq!(ask().await, 401);
}
