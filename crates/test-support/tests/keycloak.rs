//! What tests of auth-manager stand on, tried on the real Keycloak.

#![expect(clippy::unwrap_used, reason = "a test")]

use reqwest::Client;
use serde_json::json;
use test_support::{Answer, Browser, FaultProxy, ProxyFault, TestRealm, keycloak_url};

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const LOGIN_URI: &str = "http://127.0.0.1:12345/api/auth/manager/callback";
const OFFLINE_URI: &str = "http://localhost:12345/api/auth/manager/offline-token/callback";

fn authorization_url(realm: &TestRealm, client: &str, redirect_uri: &str, scope: &str) -> String {
    format!(
        "{}/protocol/openid-connect/auth?response_type=code&state=s&client_id={client}\
         &code_challenge_method=S256&code_challenge={CHALLENGE}&scope={scope}\
         &redirect_uri={redirect_uri}",
        realm.issuer()
    )
}

async fn exchange(
    base: &str,
    realm: &TestRealm,
    client: &str,
    redirected: &str,
) -> reqwest::Result<Answer> {
    let url = url::Url::parse(redirected).unwrap();
    let code = url.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let redirect_uri = redirected.split('?').next().unwrap();
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("grant_type", "authorization_code"), ("code", &code)])
        .extend_pairs([("code_verifier", VERIFIER), ("redirect_uri", redirect_uri)])
        .finish();
    let request = Client::builder()
        .build()
        .unwrap()
        .post(format!("{base}{}", realm.path("/protocol/openid-connect/token")))
        .basic_auth(client, Some(TestRealm::secret(client)))
        .header("content-type", "application/x-www-form-urlencoded");
    Ok(Answer::read(request.body(body).send().await?).await)
}

#[tokio::test]
async fn a_browser_signs_in_once_and_consents_in_the_same_session() {
    let realm = TestRealm::create(&json!({ "accessTokenLifespan": 77 })).await;
    let (user, browser) = (realm.create_user().await, Browser::new());
    let login = authorization_url(&realm, "latchkey-login", LOGIN_URI, "openid");
    let redirected = browser.sign_in(&login, &user).await;
    assert!(redirected.starts_with(LOGIN_URI), "{redirected}");
    let tokens = exchange(&keycloak_url(), &realm, "latchkey-login", &redirected).await.unwrap();
    assert_eq!(tokens.expect(200).json["expires_in"], 77);
    let sessions = realm.sessions(&user).await;
    assert_eq!(sessions.len(), 1);

    let offline =
        authorization_url(&realm, "latchkey-offline", OFFLINE_URI, "openid%20offline_access");
    let refused = browser.refuse_consent(&offline, &user).await;
    assert!(refused.contains("error=access_denied"), "{refused}");
    let redirected = browser.sign_in(&offline, &user).await;
    let tokens = exchange(&keycloak_url(), &realm, "latchkey-offline", &redirected).await.unwrap();
    assert_eq!(tokens.expect(200).member("session_state"), sessions[0]);
    assert_eq!(realm.offline_sessions(&user, "latchkey-offline").await, sessions);
    realm.end_offline_session(&sessions[0]).await;
    assert!(realm.offline_sessions(&user, "latchkey-offline").await.is_empty());
}

#[tokio::test]
async fn the_proxy_passes_cuts_replaces_and_counts() {
    let realm = TestRealm::create(&json!({})).await;
    let (user, browser) = (realm.create_user().await, Browser::new());
    let proxy = FaultProxy::start(&keycloak_url()).await;
    let login = authorization_url(&realm, "latchkey-login", LOGIN_URI, "openid");
    let draw = async || {
        let redirected = browser.sign_in(&login, &user).await;
        exchange(&proxy.url(), &realm, "latchkey-login", &redirected).await
    };
    draw().await.unwrap().expect(200);
    proxy.fail("/token", ProxyFault::CutAfter);
    assert!(draw().await.is_err());
    proxy.fail("/token", ProxyFault::Answer(502, "away"));
    assert_eq!(draw().await.unwrap().expect(502).text, "away");
    proxy.fail("/token", ProxyFault::HoldBefore);
    let (answer, ()) = tokio::join!(draw(), async {
        proxy.until_calls("/token", 4).await;
        proxy.mend("/token");
    });
    answer.unwrap().expect(200);
    proxy.go_away().await;
    assert!(draw().await.is_err());
    proxy.come_back().await;
    draw().await.unwrap().expect(200);
    assert_eq!(proxy.calls("/token"), 5);
}
