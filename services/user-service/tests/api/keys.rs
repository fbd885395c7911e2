use diesel_async::RunQueryDsl as _;
use futures_util::future::join_all;
use reqwest::Method;

use super::support::{TestApp, claims, header, send};

#[tokio::test]
async fn the_jwks_shows_public_keys_with_etag_and_one_key_by_kid() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let kid = header(&session.access_token)["kid"].as_str().unwrap().to_owned();

    let set = app.get("/.well-known/jwks.json").await.expect(200);
    assert_eq!(set.header("content-type"), "application/jwk-set+json");
    assert_eq!(set.header("cache-control"), "public, max-age=300");
    let keys = set.json["keys"].as_array().unwrap();
    let own = keys.iter().find(|key| key["kid"] == kid).unwrap();
    assert_eq!(
        (&own["kty"], &own["use"], &own["alg"]),
        (&"RSA".into(), &"sig".into(), &"RS256".into())
    );
    for private in ["d", "p", "q", "dp", "dq", "qi", "sealed", "device_id"] {
        assert!(keys.iter().all(|key| key.get(private).is_none()), "{private}");
    }

    let one = app.get(&format!("/.well-known/jwks.json?kid={kid}")).await.expect(200);
    assert_eq!(one.json["keys"].as_array().unwrap(), std::slice::from_ref(own));
    assert_eq!(one.header("cache-control"), "no-store");
    let none = app.get("/.well-known/jwks.json?kid=unknown").await.expect(200);
    assert_eq!(none.json["keys"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn an_unchanged_set_is_304_and_a_revoked_key_leaves_at_once() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let kid = header(&session.access_token)["kid"].clone();
    test_support::eventually("the pool is full and the set rests", || async {
        let etag = app.get("/.well-known/jwks.json").await.header("etag").to_owned();
        let request = app.request(Method::GET, "/.well-known/jwks.json");
        let again = send(request.header("if-none-match", format!("\"x\", W/{etag}"))).await;
        (again.status == 304 && again.text.is_empty() && again.header("etag") == etag).then_some(())
    })
    .await;
    let _ = app.log_out(&session.refresh_token).await.expect(200);
    let set = app.get("/.well-known/jwks.json").await.expect(200);
    assert!(set.json["keys"].as_array().unwrap().iter().all(|key| key["kid"] != kid));
}

#[tokio::test]
async fn keys_wait_in_public_before_they_sign_and_none_is_handed_out_twice() {
    let app = TestApp::with(&[
        ("USER_SERVICE__SIGNING__POOL_SIZE", "4"),
        ("USER_SERVICE__SIGNING__POOL_MAX", "4"),
    ])
    .await;
    let waiting = test_support::eventually("the pool is full", || async {
        let set = app.get("/.well-known/jwks.json").await;
        let keys = set.json["keys"].as_array().unwrap().clone();
        (keys.len() == 4).then_some(keys)
    })
    .await;
    let replica = app.replica().await;
    let _ = app.register("alice").await.expect(201);
    let devices = join_all((0..4).map(|_| app.register_device())).await;
    let logins = devices.iter().enumerate().map(|(number, device)| {
        let server = if number % 2 == 0 { &app.server } else { &replica };
        send(app.client.post(server.url("/api/auth/login")).json(&app.login_body(device, "alice")))
    });
    let mut kids: Vec<String> = join_all(logins)
        .await
        .into_iter()
        .map(|answer| {
            header(&answer.expect(200).member("access_token"))["kid"].as_str().unwrap().to_owned()
        })
        .collect();
    assert!(kids.iter().any(|kid| waiting.iter().any(|key| key["kid"] == *kid)));
    kids.sort();
    kids.dedup();
    assert_eq!(kids.len(), 4);
}

#[tokio::test]
async fn a_dry_pool_makes_a_key_on_the_spot() {
    let app = TestApp::with(&[
        ("USER_SERVICE__SIGNING__POOL_SIZE", "0"),
        ("USER_SERVICE__SIGNING__POOL_MAX", "0"),
    ])
    .await;
    let session = app.sign_in().await;
    assert!(app.is_live(&session).await);
    assert_eq!(app.metric(r#"user_service_keys_taken_total{source="dry"}"#).await, 1);
}

/// Keys in all keysets, and keys published as active.
async fn held_and_live(app: &TestApp) -> (i64, i64) {
    #[derive(diesel::QueryableByName)]
    struct Counts {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        held: i64,
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        live: i64,
    }
    let query = "SELECT (SELECT coalesce(sum(jsonb_array_length(keyset->'keys')), 0)::bigint \
                         FROM user_keysets) AS held, \
                        (SELECT count(*) FROM published_keys WHERE state = 'active') AS live";
    let mut connection = app.database.connect().await;
    let counts: Counts = diesel::sql_query(query).get_result(&mut connection).await.unwrap();
    (counts.held, counts.live)
}

#[tokio::test]
async fn two_hundred_logins_at_once_on_two_hundred_devices_lose_no_key() {
    let app = TestApp::with(&[
        ("USER_SERVICE__SIGNING__ALGORITHM", "ES256"),
        ("USER_SERVICE__SIGNING__POOL_SIZE", "200"),
        ("USER_SERVICE__SIGNING__POOL_MAX", "200"),
        ("USER_SERVICE__PASSWORDS__QUEUE", "400"),
        ("USER_SERVICE__DATABASE__CONNECT_TIMEOUT", "60s"),
    ])
    .await;
    test_support::eventually("the pool is full", || async {
        (app.metric("user_service_key_pool_waiting").await == 200).then_some(())
    })
    .await;
    let _ = app.register("alice").await.expect(201);
    let devices = join_all((0..200).map(|_| app.register_device())).await;
    let sessions = join_all(devices.iter().map(|device| app.log_in(device, "alice"))).await;
    assert_eq!(held_and_live(&app).await, (200, 200));
    // A replica knows no key yet and opens each from the keyset.
    let replica = app.replica_with(&[("USER_SERVICE__DATABASE__CONNECT_TIMEOUT", "60s")]).await;
    let refreshed = join_all(sessions.iter().map(|session| {
        let body = serde_json::json!({ "refresh_token": session.refresh_token });
        send(app.client.post(replica.url("/api/auth/refresh")).json(&body))
    }))
    .await;
    for (session, answer) in sessions.iter().zip(refreshed) {
        let token = answer.expect(200).member("access_token");
        assert_eq!(header(&token)["kid"], header(&session.access_token)["kid"]);
    }
}

#[tokio::test]
async fn concurrent_logins_on_one_device_leave_one_session_and_one_key() {
    let app = TestApp::with(&[("USER_SERVICE__SIGNING__ALGORITHM", "ES256")]).await;
    let session = app.sign_in().await;
    let logins = join_all((0..10).map(|_| app.log_in(&session.device, &session.username))).await;
    let live = join_all(logins.iter().map(|session| app.is_live(session))).await;
    assert_eq!(live.iter().filter(|live| **live).count(), 1);
    let alive = logins.iter().zip(live).find(|(_, live)| *live).unwrap().0;
    let listed = app.get_as(alive, "/api/auth/sessions").await.expect(200);
    assert_eq!(listed.json["items"].as_array().unwrap().len(), 1);
    assert_eq!(held_and_live(&app).await, (1, 1));
}

#[tokio::test]
async fn a_kid_that_can_be_none_is_an_unknown_one() {
    let app = TestApp::start().await;
    for kid in ["%00", "a%20b", "%F0%9F%94%91", ""] {
        let set = app.get(&format!("/.well-known/jwks.json?kid={kid}")).await.expect(200);
        assert_eq!(set.json["keys"].as_array().unwrap().len(), 0, "{kid}");
        let pem = app.get(&format!("/api/auth/public-key?kid={kid}")).await;
        let _ = pem.expect_error(404, "no_such_key");
    }
}

#[tokio::test]
async fn es256_keys_serve_as_well() {
    let app = TestApp::with(&[("USER_SERVICE__SIGNING__ALGORITHM", "ES256")]).await;
    let session = app.sign_in().await;
    assert_eq!(header(&session.access_token)["alg"], "ES256");
    assert!(app.is_live(&session).await);
    let kid = header(&session.access_token)["kid"].as_str().unwrap().to_owned();
    let pem = app.get(&format!("/api/auth/public-key?kid={kid}")).await.expect(200);
    assert!(pem.text.starts_with("-----BEGIN PUBLIC KEY-----"));
}

#[tokio::test]
async fn the_public_key_is_pem_by_kid_and_there_is_no_service_key_in_device_mode() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let kid = header(&session.access_token)["kid"].as_str().unwrap().to_owned();
    let pem = app.get(&format!("/api/auth/public-key?kid={kid}")).await.expect(200);
    assert_eq!(pem.header("content-type"), "application/x-pem-file");
    let key = token_verifier::Key::from_pem(pem.text.as_bytes()).unwrap();
    assert_eq!(key.algorithm(), token_verifier::Algorithm::Rs256);
    let _ = app.get("/api/auth/public-key").await.expect_error(404, "no_such_key");
    let _ = app.get("/api/auth/public-key?kid=x").await.expect_error(404, "no_such_key");
}

#[tokio::test]
async fn in_service_mode_one_key_signs_for_all_and_retired_ones_stay_published() {
    let folder = std::env::temp_dir().join(format!("service-keys-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&folder).unwrap();
    let write = |name: &str| {
        let pair = user_service::pem::generate(token_verifier::Algorithm::Rs256, 2048).unwrap();
        let path = folder.join(name);
        std::fs::write(&path, &*pair.private).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (current, next, retired) = (write("current"), write("next"), write("retired"));
    let app = TestApp::with(&[
        ("USER_SERVICE__SIGNING__MODE", "service"),
        ("JWT_PRIVATE_KEY_PATH", &current),
        ("USER_SERVICE__SIGNING__NEXT_KEY_PATH", &next),
        ("USER_SERVICE__SIGNING__RETIRED_KEY_PATHS", &retired),
    ])
    .await;
    let (one, two) = (app.sign_in().await, app.sign_in().await);
    assert_eq!(header(&one.access_token)["kid"], header(&two.access_token)["kid"]);
    let set = app.get("/.well-known/jwks.json").await.expect(200);
    let kids: Vec<_> =
        set.json["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect();
    assert_eq!(kids[0], header(&one.access_token)["kid"]);
    // Nothing waits in the pool: in service mode it is not filled.
    assert_eq!(kids.len(), 3);
    let _ = app.get("/api/auth/public-key").await.expect(200);
    let refreshed = app.refresh(&one.refresh_token).await.expect(200);
    assert_eq!(claims(&refreshed.member("access_token"))["sid"], one.id);
    let _ = app.log_out(&one.refresh_token).await.expect(200);
    assert!(!app.is_live(&one).await && app.is_live(&two).await);
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn discovery_names_the_tokens_issuer() {
    let app = TestApp::with(&[("USER_SERVICE__PUBLIC_URL", "https://id.example.com/")]).await;
    let session = app.sign_in().await;
    let metadata = app.get("/.well-known/oauth-authorization-server").await.expect(200);
    // Verifiers know no trailing slash.
    assert_eq!(metadata.json["issuer"], "https://id.example.com");
    assert_eq!(metadata.json["issuer"], claims(&session.access_token)["iss"]);
    assert_eq!(metadata.json["jwks_uri"], "https://id.example.com/.well-known/jwks.json");
}
