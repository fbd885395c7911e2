//! Redis over TLS, whose certificate an authority of one's own vouches for.

use test_support::{TestAuthority, TestRedis};

use super::support::TestApp;

#[tokio::test]
async fn redis_is_asked_over_tls_and_only_where_the_authority_is_the_configured_one() {
    let (authority, other) = (TestAuthority::new(), TestAuthority::new());
    let certificate = authority.issue("127.0.0.1");
    let port = {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.local_addr().unwrap().port().to_string()
    };
    let _redis = TestRedis::start_with(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &certificate.certificate_path,
        "--tls-key-file",
        &certificate.key_path,
        "--tls-ca-cert-file",
        authority.ca_path(),
        "--tls-auth-clients",
        "no",
    ])
    .await;
    let url = format!("rediss://127.0.0.1:{port}");
    for (ca, up) in [(Some(authority.ca_path()), 1), (Some(other.ca_path()), 0), (None, 0)] {
        let mut settings = vec![
            ("USER_SERVICE__REDIS__URL", url.as_str()),
            // A handshake on a busy machine decides nothing.
            ("USER_SERVICE__REDIS__TIMEOUT", "5s"),
        ];
        settings.extend(ca.map(|ca| ("USER_SERVICE__REDIS__CA_FILE", ca)));
        let app = TestApp::with(&settings).await;
        let _ = app.register("alice").await.expect(201);
        assert_eq!(app.metric("user_service_redis_up").await, up, "{ca:?}");
    }
}
