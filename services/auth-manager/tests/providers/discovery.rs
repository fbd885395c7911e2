//! What a discovery document may not say.

use auth_manager::providers::{AuthorizationRequest, Fault};
use common::clock::Clock;
use common::metrics::Metrics;
use test_support::{FaultProxy, ProvidersFile, ProxyFault, keycloak_url};

use crate::log;
use crate::world::{DISCOVERY, LOGIN, NONCE, VERIFIER, World, redirect_uri, start, unique_name};

const REQUEST: AuthorizationRequest<'static> = AuthorizationRequest {
    client_id: LOGIN,
    redirect_uri: "http://localhost/",
    scope: "openid",
    state: "a state",
    nonce: NONCE,
    code_challenge: "a challenge",
};

#[tokio::test]
async fn a_document_of_another_issuer_or_of_none_is_not_used_and_read_again() {
    let world = World::new().await;
    for (fault, said) in [
        (ProxyFault::Answer(200, r#"{"issuer":"https://evil.example"}"#), "`issuer` is not"),
        (ProxyFault::Answer(200, "{}"), "`issuer` is not"),
        (ProxyFault::Answer(200, "<html></html>"), "not a JSON object"),
        (ProxyFault::Answer(200, r#"["issuer"]"#), "not a JSON object"),
        (ProxyFault::Answer(404, ""), "404"),
        (ProxyFault::Answer(302, ""), "redirects"),
    ] {
        world.proxy.fail(DISCOVERY, fault);
        match world.provider().authorization_url(&REQUEST).await {
            Err(Fault::Misconfigured(reason)) => assert!(reason.contains(said), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    world.proxy.fail(DISCOVERY, ProxyFault::Answer(503, ""));
    let away = world.provider().authorization_url(&REQUEST).await;
    assert!(matches!(away, Err(Fault::Away { .. })), "{away:?}");
    world.proxy.mend(DISCOVERY);
    let calls = world.proxy.calls(DISCOVERY);
    for _ in 0..2 {
        let url = world.provider().authorization_url(&REQUEST).await.unwrap();
        assert!(url.starts_with(&world.realm.issuer()), "{url}");
    }
    assert_eq!(world.proxy.calls(DISCOVERY), calls + 1);
    assert!(log::says("provider_misconfigured", &[&world.name, "discovery"]));
}

#[tokio::test]
async fn an_issuer_that_speaks_tls_is_called_by_tls_alone() {
    let (name, proxy) = (unique_name(), FaultProxy::start(&keycloak_url()).await);
    let file = ProvidersFile::new().with(&format!(
        r#"
        [{name}]
        kind = "openid"
        issuer = "https://id.example"
        login_client = {{ id = "{LOGIN}", secret = "a secret" }}
        endpoints = {{ discovery = "{}{DISCOVERY}" }}
        "#,
        proxy.url()
    ));
    let (clock, metrics) = (Clock::default(), Metrics::new("auth-manager"));
    let providers = start(&name, &file.path(), &[], &clock, &metrics).unwrap();
    let plain = r#"{"issuer":"https://id.example","token_endpoint":"http://id.example/token"}"#;
    proxy.fail(DISCOVERY, ProxyFault::Answer(200, plain));
    match providers.default().refresh(LOGIN, "token", None).await {
        Err(Fault::Misconfigured(reason)) => assert!(reason.contains("is not https"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let without = r#"{"issuer":"https://id.example"}"#;
    proxy.fail(DISCOVERY, ProxyFault::Answer(200, without));
    match providers.default().refresh(LOGIN, "token", None).await {
        Err(Fault::Misconfigured(reason)) => assert!(reason.contains("no token endpoint")),
        other => panic!("{other:?}"),
    }
    // Nothing to revoke at is nothing to do.
    providers.default().revoke(LOGIN, "token").await.unwrap();
}

#[tokio::test]
async fn any_openid_connect_issuer_will_do() {
    let world = World::new().await;
    let name = unique_name();
    let file = ProvidersFile::new().with(&format!(
        r#"
        [{name}]
        kind = "openid"
        issuer = "{}"
        login_client = {{ id = "{LOGIN}", secret = "{LOGIN}-development-secret" }}
        verify_locally = true
        "#,
        world.realm.issuer()
    ));
    let (clock, metrics) = (Clock::default(), Metrics::new("auth-manager"));
    let providers = start(&name, &file.path(), &[], &clock, &metrics).unwrap();
    let (provider, code) = (providers.default(), world.code(LOGIN, "openid").await);
    let traded = provider.exchange_code(LOGIN, &code, VERIFIER, redirect_uri(LOGIN)).await;
    let answer = traded.unwrap();
    let said = provider.check_access_token(answer.access_token.expose()).await.unwrap().unwrap();
    assert_eq!(said.subject, world.user.id);
    // It has no admin API, which is no error.
    assert!(!provider.can_end_sessions());
    provider.end_session(&said.session_state_id.unwrap()).await.unwrap();
    assert_eq!(world.realm.sessions(&world.user).await.len(), 1);
}
