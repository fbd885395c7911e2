//! What the admin listener says of the keys: what is wrong with them, and why.

use chrono::TimeDelta;
use diesel_async::RunQueryDsl as _;
use test_support::{TestServer, eventually};

use user_service::service_keys::Occasion;

use super::feed_reader::FeedReader;
use super::service_keys::{ES256, kid_of, published, ring};
use super::support::{TestApp, send};
use super::transit_stand_in::TransitStandIn;

/// Waits until a replica says of `name` that it is `status`, and answers the reason.
pub(crate) async fn until(app: &TestApp, server: &TestServer, name: &str, status: &str) -> String {
    eventually(&format!("{name} is {status}"), || async {
        let ready = send(app.client.get(server.admin_url("/ready"))).await.json;
        let findings = ready["dependencies"].as_array().unwrap().clone();
        let finding = findings.into_iter().find(|finding| finding["name"] == name).unwrap();
        let reason = finding["reason"].as_str().unwrap_or_default().to_owned();
        (finding["status"] == status).then_some(reason)
    })
    .await
}

#[tokio::test]
async fn a_replica_that_can_sign_no_token_says_so_and_why_and_serves_the_rest() {
    let transit = TransitStandIn::start();
    let app = TestApp::with(&transit.settings()).await;
    assert_eq!(until(&app, &app.server, "signing_keys", "ready").await, "");
    transit.go_away().await;
    let replica = app.replica().await;
    let reason = until(&app, &replica, "signing_keys", "degraded").await;
    assert!(reason.starts_with("no token can be signed: the signer is away: "), "{reason}");
    eventually("traffic is served", || async {
        let ready = send(app.client.get(replica.url("/health/ready"))).await;
        (ready.status == 200).then_some(())
    })
    .await;
    transit.come_back();
    until(&app, &replica, "signing_keys", "ready").await;
}

/// What the public probe answers, which is what distributes traffic.
async fn probed(app: &TestApp, server: &TestServer) -> u16 {
    send(app.client.get(server.url("/health/ready"))).await.status.into()
}

/// Waits until a replica says so of the keys, and why it has none.
async fn until_no_key(app: &TestApp, server: &TestServer, status: &str) {
    let why = "no service key that can be used: the service keys are not looked after: the signer";
    eventually("readiness says why", || async {
        let reason = until(app, server, "signing_keys", status).await;
        reason.starts_with(why).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_replica_that_signed_serves_on_while_there_is_no_key_and_one_that_never_did_does_not() {
    let transit = TransitStandIn::start();
    let settings = [&transit.settings()[..], &[ES256]].concat();
    let app = TestApp::with(&settings).await;
    let session = app.sign_in().await;
    let mut ring = ring(&app, &settings).await;
    transit.go_away().await;
    let current = kid_of(&session.access_token);
    let emergency = Occasion::Emergency { current, with_next: true };
    let rotation = ring.rotate(&emergency).await.unwrap();
    assert_eq!((&rotation.current, &rotation.next), (&None, &None));
    until_no_key(&app, &app.server, "degraded").await;
    // Verifiers are served, and whoever would get a token is told to come again.
    assert_eq!(probed(&app, &app.server).await, 200);
    assert!(published(&app, &app.server).await.is_empty());
    let _ = FeedReader::open(&app, &app.server, None).await.replay().await;
    let judged = app.post_token("/api/auth/introspect", &session.access_token).await.expect(200);
    assert_eq!(judged.json["active"], false);
    let body = app.login_body(&session.device, &session.username);
    let refused = app.post("/api/auth/login", &body).await.expect_error(503, "signer_unavailable");
    assert_eq!(refused.header("retry-after"), "2");
    let late = app.replica().await;
    until_no_key(&app, &late, "not_ready").await;
    assert_eq!(probed(&app, &late).await, 503);
    transit.come_back();
    for server in [&app.server, &late] {
        assert_eq!(until(&app, server, "signing_keys", "ready").await, "");
        assert_eq!(probed(&app, server).await, 200);
    }
}

#[tokio::test]
async fn a_key_that_seals_here_and_that_this_replica_lacks_is_said_while_it_runs() {
    let app = TestApp::with(&[("USER_SERVICE__SIGNING__MODE", "service")]).await;
    app.sign_in().await;
    assert_eq!(until(&app, &app.server, "keyring", "ready").await, "");
    let mut connection = app.database.connect().await;
    let own = "(SELECT sealing_key_id FROM service_keys WHERE state = 'current')";
    for (key, status) in [("'of another ring'", "degraded"), (own, "ready")] {
        let sealed = format!("UPDATE service_keys SET sealing_key_id = {key} WHERE state = 'next'");
        assert_eq!(diesel::sql_query(sealed).execute(&mut connection).await.unwrap(), 1);
        app.clock.turn(TimeDelta::minutes(1));
        let reason = until(&app, &app.server, "keyring", status).await;
        assert_eq!(
            reason.contains("lacks key `of another ring`"),
            status == "degraded",
            "{reason}"
        );
    }
}
