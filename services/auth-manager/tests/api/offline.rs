use reqwest::Method;
use serde_json::Value;
use test_support::Browser;

use crate::logout::catch;
use crate::support::{TestApp, data, text};

pub(crate) const OFFLINE_CLIENT: &str = "latchkey-offline";

/// Consents to offline use in the browser that the token's session lives in; the new id.
pub(crate) async fn consent(app: &TestApp, browser: &Browser, token: &str) -> String {
    let asked = data(&app.ask(Method::GET, "/offline-token", token).await.expect(200));
    let back = app.return_from(browser, text(&asked, "consent_url")).await;
    let consented = data(&browser.get(back.as_str()).await.expect(200));
    text(&consented, "persistent_token_id").to_owned()
}

#[tokio::test]
async fn a_state_is_good_for_what_it_was_asked_for() {
    let app = TestApp::start().await;
    let browser = Browser::new();
    let signed_in = app.sign_in(&browser).await;
    let token = text(&signed_in, "access_token");
    let asked = data(&app.ask(Method::GET, "/offline-token", token).await.expect(200));
    let consented = app.return_from(&browser, text(&asked, "consent_url")).await;
    let query = consented.query().unwrap();
    let as_sign_in = app.url(&format!("/callback?{query}"));
    browser.get(&as_sign_in).await.expect_error(400, "invalid_state_token");
    // What was refused was not used up.
    browser.get(consented.as_str()).await.expect(200);
    browser.get(consented.as_str()).await.expect_error(400, "invalid_state_token");

    let url = app.begin(&browser, "").await;
    let signed_in = app.return_from(&browser, &url).await;
    let query = signed_in.query().unwrap();
    let as_consent = app.url(&format!("/offline-token/callback?{query}"));
    browser.get(&as_consent).await.expect_error(400, "invalid_state_token");
    browser.get(signed_in.as_str()).await.expect(200);
}

/// Somebody asks for consent, their session ends as `end` has it, and only then they give it, in
/// another browser: its session at the provider is well.
async fn consent_after(end: impl AsyncFnOnce(&TestApp, &Value)) {
    let app = TestApp::start().await;
    let signed_in = app.sign_in(&Browser::new()).await;
    let token = text(&signed_in, "access_token");
    let asked = data(&app.ask(Method::GET, "/offline-token", token).await.expect(200));
    end(&app, &signed_in).await;
    let browser = Browser::new();
    let back = app.return_from(&browser, text(&asked, "consent_url")).await;
    browser.get(back.as_str()).await.expect_error(400, "invalid_state_token");
    assert_eq!(app.count("SELECT FROM auth_vault WHERE token_type = 'offline'").await, 0);
    assert!(app.realm.offline_sessions(&app.user, OFFLINE_CLIENT).await.is_empty());
}

#[tokio::test]
async fn a_consent_that_was_asked_for_is_worth_nothing_after_a_logout() {
    consent_after(async |app, signed_in| {
        let path = format!("/sessions/{}", text(signed_in, "session_id"));
        app.ask(Method::DELETE, &path, text(signed_in, "access_token")).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn a_consent_that_was_asked_for_is_worth_nothing_after_a_back_channel_logout() {
    consent_after(async |app, signed_in| {
        let logout = catch(app, text(signed_in, "session_state_id")).await;
        app.post_logout_token(&logout).await.expect(200);
    })
    .await;
}
