//! Requests that nobody means well with, to every operation.

use base64::Engine as _;
use test_support::Target;

use super::support::{FEED_CLIENT, TestApp};

async fn target(app: &TestApp) -> Target {
    let session = app.sign_in().await;
    let (id, secret) = FEED_CLIENT;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
    Target::new(&app.server, &session.access_token, &basic).await
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
