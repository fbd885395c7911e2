//! The way to a provider whose certificate an authority of one's own vouches for.

use auth_manager::providers::Fault;
use common::clock::Clock;
use common::metrics::Metrics;
use test_support::{ProvidersFile, TestAuthority, TlsFront, keycloak_url};

use crate::log;
use crate::world::{LOGIN, World, start, unique_name};

#[tokio::test]
async fn keycloak_is_called_over_tls_and_only_where_its_authority_is_the_configured_one() {
    let world = World::new().await;
    let (authority, other) = (TestAuthority::new(), TestAuthority::new());
    let front = TlsFront::start(&keycloak_url(), &authority.issue("127.0.0.1")).await;
    let introspection = world.realm.path("/protocol/openid-connect/token/introspect");
    let token = world.sign_in().await.access_token;
    let clock = Clock::default();
    for (trusted, ca_path) in [
        (Some(true), authority.ca_path()),
        (Some(false), other.ca_path()),
        (None, "/no/such/ca.pem"),
    ] {
        let name = unique_name();
        let file = ProvidersFile::new().with(&format!(
            r#"
            [{name}]
            kind = "openid"
            issuer = "{}"
            ca_path = "{ca_path}"
            login_client = {{ id = "{LOGIN}", secret = "{LOGIN}-development-secret" }}
            endpoints = {{ introspection = "{}" }}
            "#,
            world.realm.issuer(),
            front.url(&introspection)
        ));
        let metrics = Metrics::new("auth-manager");
        let providers = start(&name, &file.path(), &[], &clock, &metrics);
        let Some(trusted) = trusted else {
            let refused = providers.err().unwrap();
            assert!(refused.contains(&format!("`{name}`: `ca_path`: {ca_path}")), "{refused}");
            continue;
        };
        let said = providers.unwrap().default().introspect(token.expose()).await;
        if trusted {
            assert_eq!(said.unwrap().unwrap().subject, world.user.id);
        } else {
            assert!(matches!(said, Err(Fault::Away { sent: false, .. })), "{said:?}");
            let advice = "`ca_path` names the authorities";
            assert!(log::says("provider_call_failed", &[&name, advice]));
        }
    }
}
