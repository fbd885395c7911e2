//! What the admin listener says of the keys: what is wrong with them, and why.

use chrono::TimeDelta;
use diesel_async::RunQueryDsl as _;
use test_support::{TestServer, eventually};

use super::outside_keys::transit_settings;
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
    let settings = transit_settings(&transit);
    let settings: Vec<(&str, &str)> =
        settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let app = TestApp::with(&settings).await;
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
