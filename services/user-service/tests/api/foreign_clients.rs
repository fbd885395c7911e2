//! Verifiers that nobody here wrote, with their default settings.

use std::path::Path;

use test_support::{ForeignClients, eventually};

use super::support::{Session, TestApp};

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// How often the key set was fetched so far.
async fn fetches(app: &TestApp) -> u64 {
    let name = r#"user_service_http_requests_total{method="GET",route="/.well-known/jwks.json",status="200"}"#;
    app.metric(name).await
}

/// Each of them takes the session's token.
pub(crate) async fn all_accept(app: &TestApp, session: &Session) {
    let clients = ForeignClients::provide(Path::new(CLIENTS)).await;
    let discovery = app.get("/.well-known/oauth-authorization-server").await.expect(200);
    let keys = app.server.url("/.well-known/jwks.json");
    let arguments = [keys.as_str(), &discovery.member("issuer"), "latchkey"];
    for program in ["verify.py", "jose.mjs", "jwks_rsa.mjs"] {
        let verdict = clients.start(program, &arguments).await.ask(&session.access_token).await;
        assert_eq!(verdict, format!("accepted {}", session.user_id), "{program}");
    }
}

#[tokio::test]
async fn clients_that_fetched_the_key_set_before_the_login_accept_its_token() {
    let clients = ForeignClients::provide(Path::new(CLIENTS)).await;
    let app = TestApp::start().await;
    eventually("a key is published", || async {
        let set = app.get("/.well-known/jwks.json").await.expect(200);
        (!set.json["keys"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
    let discovery = app.get("/.well-known/oauth-authorization-server").await.expect(200);
    let keys = app.server.url("/.well-known/jwks.json");
    let arguments = [keys.as_str(), &discovery.member("issuer"), "latchkey"];
    let mut ready = Vec::new();
    // jwks-rsa, the last, fetches the set for each key id that is new to it.
    for program in ["verify.py", "jose.mjs", "jwks_rsa.mjs"] {
        ready.push(clients.start(program, &arguments).await);
    }
    let before = fetches(&app).await;
    assert!(before >= 4, "{before}");
    let session = app.sign_in().await;
    for client in &mut ready {
        let verdict = client.ask(&session.access_token).await;
        assert_eq!(verdict, format!("accepted {}", session.user_id), "{}", client.name());
        if client.name() != "jwks_rsa.mjs" {
            assert_eq!(fetches(&app).await, before, "{} fetched again", client.name());
        }
    }
    let (message, signature) = session.access_token.rsplit_once('.').unwrap();
    let damaged = format!("{message}.{}", signature.chars().rev().collect::<String>());
    for client in &mut ready {
        let verdict = client.ask(&damaged).await;
        assert!(verdict.starts_with("refused"), "{}: {verdict}", client.name());
    }
}
