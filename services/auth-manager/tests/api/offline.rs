use reqwest::Method;
use test_support::Browser;

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
