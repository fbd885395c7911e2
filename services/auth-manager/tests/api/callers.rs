use std::sync::Arc;

use reqwest::Method;
use test_support::{Browser, ProxyFault, eventually};

use crate::logout::catch;
use crate::support::{TestApp, data, text};

const INTROSPECTION: &str = "/token/introspect";

#[tokio::test]
async fn a_session_that_ends_while_its_token_is_checked_is_not_believed_in_afterwards() {
    let app = Arc::new(TestApp::start().await);
    let tokens = app.tokens_of(&app.realm, &app.user, "openid").await;
    let token = text(&tokens, "access_token").to_owned();
    app.proxy.fail(INTROSPECTION, ProxyFault::HoldAfter);
    let (asking, asked) = (Arc::clone(&app), token.clone());
    let asking =
        tokio::spawn(async move { asking.ask(Method::GET, "/validate-token", &asked).await });
    // Keycloak has called it active, and the answer is on its way.
    app.proxy.until_answered(INTROSPECTION, 1).await;
    let logout = catch(&app, text(&tokens, "session_state")).await;
    app.post_logout_token(&logout).await.expect(200);
    app.proxy.mend(INTROSPECTION);
    asking.await.unwrap().expect_error(401, "token_not_active");
    app.ask(Method::GET, "/validate-token", &token).await.expect_error(401, "token_not_active");
    assert_eq!(app.proxy.calls(INTROSPECTION), 2);
}

#[tokio::test]
async fn a_person_s_draw_asks_the_database_for_the_draw_alone() {
    let app = TestApp::start_with(&[("AUTH_MANAGER__CALLERS__CACHE", "5m")], "").await;
    let signed_in = app.sign_in(&Browser::new()).await;
    let token = text(&signed_in, "access_token");
    let draw =
        format!("/access-token?persistent_token_id={}", text(&signed_in, "persistent_token_id"));
    app.ask(Method::POST, &draw, token).await.expect(200);
    app.run("ALTER TABLE accounts RENAME TO accounts_away").await;
    app.ask(Method::POST, &draw, token).await.expect(200);
    assert_eq!(app.proxy.calls(INTROSPECTION), 1);
}

#[tokio::test]
async fn who_unlinks_an_account_is_not_its_token_s_user_any_more() {
    let app = TestApp::start().await;
    let signed_in = app.sign_in(&Browser::new()).await;
    let mine = text(&signed_in, "access_token");
    let other = app.partner.create_user().await;
    let tokens = app.tokens_of(&app.partner, &other, "openid").await;
    let theirs = text(&tokens, "access_token");
    let before = data(&app.ask(Method::GET, "/validate-token", theirs).await.expect(200));
    // As if both had been linked all along.
    let user = text(&signed_in, "user_id");
    app.run(&format!("UPDATE accounts SET user_id = '{user}' WHERE provider = 'partner'")).await;
    let listed = data(&app.ask(Method::GET, "/accounts", mine).await.expect(200));
    let partner = &listed["items"].as_array().unwrap()[0];
    assert_eq!(text(partner, "provider"), "partner");
    let path = format!("/accounts/{}", text(partner, "id"));
    app.ask(Method::DELETE, &path, mine).await.expect(200);
    let after = data(&app.ask(Method::GET, "/validate-token", theirs).await.expect(200));
    assert_ne!(after["user_id"], before["user_id"]);
    assert_ne!(after["user_id"], signed_in["user_id"]);
}

#[tokio::test]
async fn a_provider_is_asked_again_while_what_it_said_still_does_so_that_nobody_waits() {
    let app = TestApp::start_with(&[("AUTH_MANAGER__CALLERS__CACHE", "8s")], "").await;
    let tokens = app.tokens_of(&app.realm, &app.user, "openid").await;
    let token = text(&tokens, "access_token");
    app.ask(Method::GET, "/validate-token", token).await.expect(200);
    // From now on Keycloak's answer does not arrive: whoever waited for it would see that.
    app.proxy.fail(INTROSPECTION, ProxyFault::HoldAfter);
    eventually("the provider is asked again", async || {
        app.ask(Method::GET, "/validate-token", token).await.expect(200);
        (app.proxy.calls(INTROSPECTION) > 1).then_some(())
    })
    .await;
    app.ask(Method::GET, "/validate-token", token).await.expect(200);
    assert_eq!(app.proxy.calls(INTROSPECTION), 2);
}
