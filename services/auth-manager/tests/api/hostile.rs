//! Requests that nobody means well with, to every operation.

use test_support::{Browser, Target};

use crate::support::{TestApp, text};

async fn target(app: &TestApp) -> Target {
    let signed_in = app.sign_in(&Browser::new()).await;
    Target::new(&app.server, text(&signed_in, "access_token"), "").await
}

#[tokio::test]
async fn hostile_bodies_are_refused_by_every_operation_of_auth_manager() {
    let app = TestApp::start().await;
    target(&app).await.refuse_hostile_bodies().await;
}

#[tokio::test]
async fn path_tricks_lead_nowhere_at_auth_manager() {
    let app = TestApp::start().await;
    target(&app).await.refuse_hostile_paths().await;
}
