use reqwest::Method;
use test_support::{Browser, eventually};

use crate::support::{TestApp, data, text};

const GRANTS: &str = "SELECT FROM auth_vault WHERE token_type = 'refresh'";

#[tokio::test]
async fn a_person_has_one_online_grant_per_provider_where_configuration_says_so() {
    let app = TestApp::start_with(&[("AUTH_MANAGER__VAULT__ONE_ONLINE_GRANT", "true")], "").await;
    let other = app.realm.create_user().await;
    app.sign_in_as(&Browser::new(), "", &other).await;
    let first = app.sign_in(&Browser::new()).await;
    let second = app.sign_in(&Browser::new()).await;
    eventually("what it replaced is revoked", async || {
        (app.count(GRANTS).await == 2).then_some(())
    })
    .await;
    // Ids on the older one go on with the newer one.
    let token = text(&second, "access_token");
    for signed_in in [&first, &second] {
        let id = text(signed_in, "persistent_token_id");
        let draw = format!("/access-token?persistent_token_id={id}");
        let drawn = data(&app.ask(Method::POST, &draw, token).await.expect(200));
        assert_eq!(text(&drawn, "access_token"), token);
    }
    // At Keycloak its token is good for nothing any more.
    let gone = app.ask(Method::GET, "/validate-token", text(&first, "access_token")).await;
    gone.expect_error(401, "token_not_active");
}

#[tokio::test]
async fn a_person_has_an_online_grant_per_session_otherwise() {
    let app = TestApp::start().await;
    let (first, second) = (app.sign_in(&Browser::new()).await, app.sign_in(&Browser::new()).await);
    assert_eq!(app.count(GRANTS).await, 2);
    let draw = format!("/access-token?persistent_token_id={}", text(&first, "persistent_token_id"));
    let drawn = app.ask(Method::POST, &draw, text(&second, "access_token")).await.expect(200);
    assert_eq!(text(&data(&drawn), "access_token"), text(&first, "access_token"));
}
