//! Codes, traded with PKCE.

use auth_manager::providers::{Fault, TokenFacts};
use test_support::ProxyFault;

use crate::world::{LOGIN, NONCE, OFFLINE, TOKEN, VERIFIER, World, redirect_uri, refresh_token};

fn refusal(fault: &Fault) -> &str {
    match fault {
        Fault::Refused { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_code_is_traded_for_tokens_of_the_person_who_signed_in() {
    let world = World::new().await;
    let provider = world.provider();
    let answer = world.sign_in().await;
    let id_token = answer.id_token.as_ref().expect("an id token").expose();
    let claims = provider.check_id_token(id_token, LOGIN, NONCE).await.unwrap();
    assert_eq!(claims.subject, world.user.id);
    let facts = TokenFacts::decode(&refresh_token(&answer)).unwrap();
    assert_eq!(facts.session_state_id, claims.session_state_id);
    assert!(!facts.is_offline());
    let userinfo = provider.userinfo(answer.access_token.expose()).await.unwrap();
    assert_eq!(userinfo.subject, world.user.id);
    for (client, nonce) in [(LOGIN, "another"), (OFFLINE, NONCE)] {
        let wrong = provider.check_id_token(id_token, client, nonce).await.unwrap_err();
        assert!(matches!(wrong, Fault::Misconfigured(_)), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_code_is_good_once_with_its_own_verifier_and_redirect_uri() {
    let world = World::new().await;
    let (provider, uri) = (world.provider(), redirect_uri(LOGIN));
    for (verifier, uri) in [
        ("another-verifier-of-43-or-more-characters-in-all", uri),
        (VERIFIER, redirect_uri(OFFLINE)),
    ] {
        let code = world.code(LOGIN, "openid").await;
        let fault = provider.exchange_code(LOGIN, &code, verifier, uri).await.unwrap_err();
        assert_eq!(refusal(&fault), "invalid_grant");
    }
    let code = world.code(LOGIN, "openid").await;
    let first = provider.exchange_code(LOGIN, &code, VERIFIER, uri).await.unwrap();
    let fault = provider.exchange_code(LOGIN, &code, VERIFIER, uri).await.unwrap_err();
    assert_eq!(refusal(&fault), "invalid_grant");
    assert_eq!(world.calls("code_exchange", "refused"), 3);
    // Whoever used it twice has stolen it, for all that Keycloak knows.
    let ended = provider.refresh(LOGIN, &refresh_token(&first), None).await;
    assert!(matches!(ended, Err(Fault::GrantDead { code: "client_revoked", .. })), "{ended:?}");
}

#[tokio::test]
async fn a_code_is_sent_once_whatever_becomes_of_it() {
    let world = World::new().await;
    let (provider, uri) = (world.provider(), redirect_uri(LOGIN));
    for fault in [ProxyFault::CutBefore, ProxyFault::CutAfter, ProxyFault::Answer(503, "")] {
        let (code, before) = (world.code(LOGIN, "openid").await, world.proxy.calls(TOKEN));
        world.proxy.fail(TOKEN, fault);
        let fault = provider.exchange_code(LOGIN, &code, VERIFIER, uri).await.unwrap_err();
        assert!(matches!(fault, Fault::Away { sent: true, .. }), "{fault:?}");
        assert_eq!(world.proxy.calls(TOKEN), before + 1);
        world.proxy.mend(TOKEN);
    }
    assert_eq!(world.calls("code_exchange", "away"), 3);
}
