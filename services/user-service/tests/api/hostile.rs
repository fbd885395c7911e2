//! Requests that nobody means well with, to every operation.

use base64::Engine as _;
use test_support::{Target, TestBrowser};

use super::browser_support::{ORIGIN, log_in};
use super::support::{FEED_CLIENT, TestApp};

async fn target(app: &TestApp) -> Target {
    let session = app.sign_in().await;
    let (id, secret) = FEED_CLIENT;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
    let browser = TestBrowser::without_agent(&app.server.url(""), ORIGIN);
    let _ = browser.get_csrf().await.expect(200);
    let _ = log_in(&browser, &session.username).await.expect(200);
    Target::new(&app.server, &session.access_token, &basic).await.with_browser(&browser)
}

#[tokio::test]
async fn hostile_bodies_are_refused_by_every_operation_of_user_service() {
    let app = TestApp::start().await;
    target(&app).await.refuse_hostile_bodies().await;
}

#[tokio::test]
async fn path_tricks_lead_nowhere_at_user_service() {
    let app = TestApp::start().await;
    target(&app).await.refuse_hostile_paths().await;
}
