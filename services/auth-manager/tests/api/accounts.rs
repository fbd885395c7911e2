use reqwest::Method;
use serde_json::Value;
use test_support::{Answer, Browser, TestUser, eventually};

use crate::support::{TestApp, data, text};

/// Links an account at the partner to the user of `token`, in one browser.
async fn link(app: &TestApp, token: &str, who: &TestUser) -> Answer {
    let asked = app.ask(Method::POST, "/accounts/link?provider=partner", token).await.expect(200);
    let url = data(&asked)["link_url"].as_str().unwrap().to_owned();
    let browser = Browser::new();
    let back = app.return_of(&browser, &url, who).await;
    browser.get(back.as_str()).await.expect_error(400, "invalid_state_token");
    let cookie = asked.header("set-cookie").split(';').next().unwrap().to_owned();
    let request = reqwest::Client::builder().build().unwrap().get(back).header("cookie", cookie);
    Answer::read(request.send().await.unwrap()).await
}

async fn accounts(app: &TestApp, token: &str) -> Vec<Value> {
    let answer = app.ask(Method::GET, "/accounts", token).await.expect(200);
    data(&answer)["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn an_account_is_linked_and_unlinked_and_its_grant_revoked() {
    let app = TestApp::start().await;
    let other = app.partner.create_user().await;
    let signed_in = app.sign_in(&Browser::new()).await;
    let token = text(&signed_in, "access_token");
    let linked = data(&link(&app, token, &other).await.expect(200));
    assert_eq!(linked["user_id"], signed_in["user_id"]);
    let mine = accounts(&app, token).await;
    let providers: Vec<&str> = mine.iter().map(|account| text(account, "provider")).collect();
    assert_eq!(providers, ["partner", "keycloak"]);
    assert_eq!(text(&mine[0], "subject"), other.id);
    let by_expiry = async |expired: &str| {
        let path = format!("/accounts?expired={expired}");
        let answer = app.ask(Method::GET, &path, token).await.expect(200);
        data(&answer)["items"].as_array().unwrap().clone()
    };
    assert_eq!(by_expiry("false").await, mine);
    assert!(by_expiry("true").await.is_empty());
    app.run("UPDATE accounts SET access_expires_at = now() WHERE provider = 'partner'").await;
    assert_eq!(by_expiry("true").await[0]["id"], mine[0]["id"]);
    assert_eq!(by_expiry("false").await, mine[1..]);
    let path = "/accounts?expired=maybe";
    app.ask(Method::GET, path, token).await.expect_error(400, "validation_error");
    // Either account is the same user from now on.
    let again = app.sign_in_as(&Browser::new(), "?provider=partner", &other).await;
    assert_eq!(again["user_id"], signed_in["user_id"]);

    let path = format!("/accounts/{}", text(&mine[0], "id"));
    app.ask(Method::DELETE, &path, token).await.expect(200);
    assert_eq!(accounts(&app, token).await.len(), 1);
    app.ask(Method::DELETE, &path, token).await.expect_error(404, "account_not_found");
    eventually("Keycloak ends its sessions", async || {
        app.partner.sessions(&other).await.is_empty().then_some(())
    })
    .await;
    let theirs = text(&linked, "access_token");
    let refused = app.ask(Method::GET, "/validate-token", theirs).await;
    refused.expect_error(401, "token_not_active");
}

#[tokio::test]
async fn an_account_of_somebody_else_is_not_linked() {
    let app = TestApp::start().await;
    let other = app.partner.create_user().await;
    let owner = app.sign_in_as(&Browser::new(), "?provider=partner", &other).await;
    let signed_in = app.sign_in(&Browser::new()).await;
    let token = text(&signed_in, "access_token");
    link(&app, token, &other).await.expect_error(409, "account_taken");
    assert_eq!(accounts(&app, token).await.len(), 1);
    assert_eq!(accounts(&app, text(&owner, "access_token")).await.len(), 1);
    app.ask(Method::DELETE, "/accounts/nothing", token)
        .await
        .expect_error(404, "account_not_found");
}
