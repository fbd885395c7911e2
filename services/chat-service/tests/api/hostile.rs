//! Requests that nobody means well with, to every operation.

use test_support::Target;

use super::issuer::User;
use super::support::TestApp;

async fn target(app: &TestApp) -> Target {
    Target::new(&app.server, &User::new().token, "").await
}

#[tokio::test]
async fn hostile_bodies_are_refused_by_every_operation_of_chat_service() {
    let app = TestApp::start().await;
    target(&app).await.refuse_hostile_bodies().await;
}

#[tokio::test]
async fn path_tricks_lead_nowhere_at_chat_service() {
    let app = TestApp::start().await;
    target(&app).await.refuse_hostile_paths().await;
}
