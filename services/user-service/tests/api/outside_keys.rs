//! Service keys that never come into the process: in a `SoftHSM` token, or behind a transit service.

use diesel_async::RunQueryDsl as _;
use reqwest::Method;
use serde_json::json;
use test_support::{SoftHsm, TestAuthority, TlsFront, eventually};
use user_service::service_keys::Occasion;

use super::foreign_clients::all_accept;
use super::readiness::until;
use super::service_keys::{ES256, kid_of, kids, published, ring, rotate, status_at};
use super::support::{TestApp, claims, count, header, send};
use super::transit_stand_in::TransitStandIn;

const SERVICE: (&str, &str) = ("USER_SERVICE__SIGNING__MODE", "service");

/// Tokens of these keys are good for the issuer, for a rotation and for whoever reads the set.
async fn tokens_are_good(settings: &[(&str, &str)], algorithm: &str) {
    let own = [SERVICE, ("USER_SERVICE__SIGNING__ALGORITHM", algorithm)];
    let settings = [&own[..], settings].concat();
    let app = TestApp::with(&settings).await;
    let replica = app.replica().await;
    let session = app.sign_in().await;
    assert_eq!(header(&session.access_token)["alg"], algorithm);
    assert!(app.is_live(&session).await);
    verify(&app, &session.access_token).await;
    let mut ring = ring(&app, &settings).await;
    let next = kids(&mut ring).await[1].1.clone();
    rotate(&mut ring).await.unwrap();
    let mut session = session;
    let newer = eventually("the next key signs on the other replica", || {
        let url = replica.url("/api/auth/refresh");
        let token = session.refresh_token.clone();
        let client = app.client.clone();
        let next = next.clone();
        async move {
            let body = serde_json::json!({ "refresh_token": token });
            let answer = send(client.post(url).json(&body)).await.expect(200);
            (kid_of(&answer.member("access_token")) == next).then_some(answer)
        }
    })
    .await;
    session.access_token = newer.member("access_token");
    assert!(app.is_live(&session).await);
    verify(&app, &session.access_token).await;
    if algorithm == "RS256" {
        all_accept(&app, &session).await;
    }
    eventually("three keys are published", || async {
        (published(&app, &replica).await.len() == 3).then_some(())
    })
    .await;
    let mut connection = app.database.connect().await;
    let sealed = "SELECT count(*) FROM service_keys WHERE sealed_key IS NOT NULL";
    assert_eq!(count(&mut connection, sealed).await, 0);
}

/// As a client would that takes the key out of the set and knows nothing of ours.
async fn verify(app: &TestApp, token: &str) {
    use josekit::jwk::Jwk;
    use josekit::jws::{self, JwsVerifier};
    let set = app.get("/.well-known/jwks.json").await.expect(200).json;
    let kid = kid_of(token);
    let keys = set["keys"].as_array().unwrap();
    let key = keys.iter().find(|key| key["kid"] == *kid).unwrap();
    let jwk = Jwk::from_bytes(serde_json::to_vec(key).unwrap()).unwrap();
    let verifier: Box<dyn JwsVerifier> = if key["kty"] == "RSA" {
        Box::new(jws::RS256.verifier_from_jwk(&jwk).unwrap())
    } else {
        Box::new(jws::ES256.verifier_from_jwk(&jwk).unwrap())
    };
    let (payload, _) = jws::deserialize_compact(token, verifier.as_ref()).unwrap();
    let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(payload["jti"], claims(token)["jti"]);
}

#[actix_web::test]
async fn keys_in_a_token_sign_rs256_and_es256_and_never_leave_it() {
    let test = "outside_keys::keys_in_a_token_sign_rs256_and_es256_and_never_leave_it";
    let Some(module) = SoftHsm::module_of_child(test) else { return };
    let settings = [
        ("USER_SERVICE__SIGNING__SERVICE_KEYS", "pkcs11"),
        ("USER_SERVICE__SIGNING__PKCS11_MODULE", module.as_str()),
        ("USER_SERVICE__SIGNING__PKCS11_TOKEN", SoftHsm::TOKEN),
        ("USER_SERVICE__SIGNING__PKCS11_PIN", SoftHsm::PIN),
    ];
    for algorithm in ["RS256", "ES256"] {
        tokens_are_good(&settings, algorithm).await;
    }
}

#[tokio::test]
async fn keys_behind_a_transit_service_sign_rs256_and_es256() {
    let transit = TransitStandIn::start();
    for algorithm in ["RS256", "ES256"] {
        tokens_are_good(&transit.settings(), algorithm).await;
    }
}

#[tokio::test]
async fn while_the_transit_service_is_away_tokens_wait_and_no_session_is_lost() {
    let transit = TransitStandIn::start();
    let strict = ("USER_SERVICE__REFRESH__GRACE", "0");
    let app = TestApp::with(&[&transit.settings()[..], &[strict, ES256]].concat()).await;
    let session = app.sign_in().await;
    // One failure is made good by one more call, two are not.
    transit.fail_next(1);
    let calls = transit.calls();
    let refreshed = app.refresh(&session.refresh_token).await.expect(200);
    assert_eq!(transit.calls(), calls + 2);
    let token = refreshed.member("refresh_token");
    transit.fail_next(2);
    let refused = app.refresh(&token).await.expect_error(503, "signer_unavailable");
    assert_eq!(refused.header("retry-after"), "2");
    transit.go_away().await;
    let _ = app.refresh(&token).await.expect_error(503, "signer_unavailable");
    let body = app.login_body(&session.device, &session.username);
    let _ = app.post("/api/auth/login", &body).await.expect_error(503, "signer_unavailable");
    // Neither the refresh nor the login has ended anything, and what was signed before is good.
    assert!(app.is_live(&session).await);
    transit.come_back();
    let _ = app.refresh(&token).await.expect(200);
}

/// Nobody has made a next key, and nobody can.
async fn lose_next(app: &TestApp, transit: &TransitStandIn) {
    transit.hang_when_making(true);
    let mut connection = app.database.connect().await;
    let lost = diesel::sql_query("DELETE FROM service_keys WHERE state = 'next'");
    assert_eq!(lost.execute(&mut connection).await.unwrap(), 1);
}

#[tokio::test]
async fn where_no_key_can_be_made_those_that_there_are_go_on() {
    let transit = TransitStandIn::start();
    let settings = [&transit.settings()[..], &[ES256]].concat();
    let app = TestApp::with(&settings).await;
    let session = app.sign_in().await;
    lose_next(&app, &transit).await;
    let replica = app.replica_with(&[("USER_SERVICE__TOKEN__LIFE", "3h")]).await;
    assert_eq!(published(&app, &replica).await, [kid_of(&session.access_token)]);
    assert_eq!(status_at(&app, &replica, &session).await, 200);
    let newer = app.sign_in().await;
    assert_eq!(kid_of(&newer.access_token), kid_of(&session.access_token));
    // Whoever ends the key must know how long its tokens live on the replica that came last.
    eventually("the longest life of its tokens is noted", || async {
        let mut connection = app.database.connect().await;
        let life = "SELECT token_life AS count FROM service_keys WHERE state = 'current'";
        (count(&mut connection, life).await == 3 * 60 * 60).then_some(())
    })
    .await;
    transit.hang_when_making(false);
    eventually("the next key is made", || async {
        (published(&app, &replica).await.len() == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_emergency_waits_for_no_key_to_be_made() {
    let transit = TransitStandIn::start();
    let settings = [&transit.settings()[..], &[ES256]].concat();
    let app = TestApp::with(&settings).await;
    let replica = app.replica().await;
    let session = app.sign_in().await;
    let mut ring = ring(&app, &settings).await;
    lose_next(&app, &transit).await;
    let current = kid_of(&session.access_token);
    let occasion = Occasion::Emergency { current: current.clone(), with_next: false };
    let refused = eventually("the token is refused", || async {
        (status_at(&app, &replica, &session).await == 401).then_some(())
    });
    // Refused while the command still tries to have a key made.
    let (rotation, ()) = tokio::join!(ring.rotate(&occasion), refused);
    let rotation = rotation.unwrap();
    assert_eq!((&rotation.current, &rotation.next), (&None, &None));
    assert_eq!(rotation.revoked, [current]);
    transit.hang_when_making(false);
    let newer = eventually("a new key signs", || async {
        let body = app.login_body(&session.device, &session.username);
        let answer = app.post("/api/auth/login", &body).await;
        (answer.status == 200).then(|| answer.member("access_token"))
    })
    .await;
    assert_ne!(kid_of(&newer), kid_of(&session.access_token));
}

#[tokio::test]
async fn a_key_that_was_being_made_when_the_ring_changed_comes_into_no_ring() {
    let transit = TransitStandIn::start();
    // Longer than the test lets it wait.
    let patient = ("USER_SERVICE__SIGNING__TRANSIT_TIMEOUT", "1m");
    let settings = [&transit.settings()[..], &[ES256, patient]].concat();
    let app = TestApp::with(&settings).await;
    let session = app.sign_in().await;
    let mut ring = ring(&app, &settings).await;
    lose_next(&app, &transit).await;
    let early =
        eventually("a key is being made", || async { transit.waited().into_iter().next() }).await;
    let current = kid_of(&session.access_token);
    let occasion = Occasion::Emergency { current, with_next: true };
    let made = async {
        eventually("the emergency is done", || async {
            let mut connection = app.database.connect().await;
            let keys = "SELECT count(*) FROM service_keys WHERE state = 'current'";
            (count(&mut connection, keys).await == 0).then_some(())
        })
        .await;
        transit.hang_when_making(false);
    };
    // The command waits for the replica to have made its key, and then makes those that are used.
    let (rotation, ()) = tokio::join!(ring.rotate(&occasion), made);
    let current = rotation.unwrap().current.unwrap();
    assert_eq!(kid_of(&app.sign_in().await.access_token), current);
    assert!(kids(&mut ring).await.iter().all(|(_, kid)| !early.ends_with(&**kid)));
    assert!(transit.has(&format!("latchkey-{current}")));
    eventually("it is not left where it was made", || async {
        (!transit.has(&early)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_replica_starts_though_the_transit_service_never_answers_and_signs_once_it_does() {
    let transit = TransitStandIn::start();
    transit.hang_when_making(true);
    let settings = [&transit.settings()[..], &[ES256]].concat();
    let app = TestApp::with(&settings).await;
    assert!(published(&app, &app.server).await.is_empty());
    eventually("readiness says why", || async {
        let reason = until(&app, &app.server, "signing_keys", "not_ready").await;
        reason.contains("the signer is away").then_some(())
    })
    .await;
    transit.hang_when_making(false);
    until(&app, &app.server, "signing_keys", "ready").await;
    app.sign_in().await;
}

#[tokio::test]
async fn a_key_that_somebody_rotates_within_the_transit_service_signs_as_before() {
    let transit = TransitStandIn::start();
    let app = TestApp::with(&transit.settings()).await;
    transit.rotate_within();
    let session = app.sign_in().await;
    verify(&app, &session.access_token).await;
}

#[tokio::test]
async fn a_call_of_the_transit_service_names_the_request_that_causes_it() {
    let transit = TransitStandIn::start();
    let app = TestApp::with(&transit.settings()).await;
    let session = app.sign_in().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = app
        .request(Method::POST, "/api/auth/refresh")
        .header("x-request-id", "request-of-a-test")
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    let body = json!({ "refresh_token": session.refresh_token });
    let _ = send(request.json(&body)).await.expect(200);
    let [request_id, traceparent] = transit.named();
    assert_eq!(request_id.as_deref(), Some("request-of-a-test"));
    assert!(traceparent.unwrap().starts_with(&format!("00-{trace}-")));
}

#[tokio::test]
async fn the_transit_service_is_asked_over_tls_and_only_where_its_authority_is_the_configured_one()
{
    let (authority, other) = (TestAuthority::new(), TestAuthority::new());
    let transit = TransitStandIn::start();
    let front = TlsFront::start(transit.url(), &authority.issue("127.0.0.1")).await;
    let url = front.url("");
    for (ca, status) in [(Some(&authority), 200), (Some(&other), 503), (None, 503)] {
        let mut settings = transit.settings().to_vec();
        settings.push(("USER_SERVICE__SIGNING__TRANSIT_URL", &url));
        // A handshake on a busy machine decides nothing.
        settings.push(("USER_SERVICE__SIGNING__TRANSIT_TIMEOUT", "5s"));
        settings.push(ES256);
        settings.extend(ca.map(|ca| ("USER_SERVICE__SIGNING__TRANSIT_CA_PATH", ca.ca_path())));
        let app = TestApp::with(&settings).await;
        let _ = app.register("alice").await.expect(201);
        let body = app.login_body(&app.register_device().await, "alice");
        let before = transit.calls();
        let _ = app.post("/api/auth/login", &body).await.expect(status);
        assert_eq!(transit.calls() > before, status == 200);
        let ready = if status == 200 { "ready" } else { "not_ready" };
        // Before the first key could not be made there is no reason yet why there is none.
        eventually("readiness says why", || async {
            let reason = until(&app, &app.server, "signing_keys", ready).await;
            (reason.contains("the signer is away") == (status == 503)).then_some(())
        })
        .await;
    }
}
