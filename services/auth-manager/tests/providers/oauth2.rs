//! A provider without discovery, id tokens and introspection.

use auth_manager::models::grant::GrantState;
use reqwest::Method;
use serde_json::json;
use test_support::{Browser, TestRealm, TestUser};

use crate::service::{App, data, text};
use crate::stand_in::{StandIn, USER};

/// Nobody is asked who they are there.
fn nobody() -> TestUser {
    TestUser { id: USER.to_string(), username: String::new(), password: String::new() }
}

async fn app(hub: &StandIn) -> App {
    let realm = TestRealm::create(&json!({})).await;
    App::start(realm, &hub.table("hub")).await
}

/// Links the account at the hub to whoever `token` belongs to.
async fn link(app: &App, token: &str) -> serde_json::Value {
    let asked = app.ask(Method::POST, "/accounts/link?provider=hub", token).await.expect(200);
    let cookie = asked.header("set-cookie").split(';').next().unwrap().to_owned();
    let back = Browser::new().sign_in(&text(&data(&asked), "link_url"), &nobody()).await;
    data(&app.return_with(&back, &cookie).await.expect(200))
}

#[tokio::test]
async fn somebody_signs_in_by_userinfo_and_is_the_same_person_again() {
    let hub = StandIn::start().await;
    let app = app(&hub).await;
    let first = app.sign_in(&Browser::new(), "?provider=hub", &nobody()).await;
    assert_eq!(text(&first, "access_token"), hub.access_token());
    assert_eq!(first["expires_in"].as_i64().unwrap() / 100, 287);
    let second = app.sign_in(&Browser::new(), "?provider=hub", &nobody()).await;
    assert_eq!(first["user_id"], second["user_id"]);
    // It knows no sessions: each sign-in is one of its own.
    assert_ne!(first["session_state_id"], second["session_state_id"]);
    // Nobody can be asked about its tokens, so that they open nothing here.
    let refused = app.ask(Method::GET, "/validate-token", &text(&second, "access_token")).await;
    refused.expect_error(401, "token_not_active");
}

#[tokio::test]
async fn a_linked_account_is_drawn_on_and_unlinked() {
    let hub = StandIn::start().await;
    let app = app(&hub).await;
    let user = app.realm.create_user().await;
    let token = text(&app.sign_in(&Browser::new(), "", &user).await, "access_token");
    let linked = link(&app, &token).await;
    let id = text(&linked, "persistent_token_id");
    let accounts = data(&app.ask(Method::GET, "/accounts", &token).await.expect(200));
    let account = &accounts["items"][0];
    assert_eq!(
        (text(account, "provider"), text(account, "subject")),
        ("hub".into(), USER.to_string())
    );

    let draw = format!("/access-token?persistent_token_id={id}");
    for _ in 0..2 {
        let before = hub.access_token();
        app.forget_drawn().await;
        let drawn = data(&app.ask(Method::POST, &draw, &token).await.expect(200));
        assert_eq!(text(&drawn, "access_token"), hub.access_token());
        assert_ne!(hub.access_token(), before);
    }
    hub.forget_all();
    app.forget_drawn().await;
    app.ask(Method::POST, &draw, &token).await.expect_error(401, "token_not_active");
    assert_eq!(app.grant_of(&id).await.state(), GrantState::Dead);

    let path = format!("/accounts/{}", text(account, "id"));
    app.ask(Method::DELETE, &path, &token).await.expect(200);
    app.ask(Method::POST, &draw, &token).await.expect_error(404, "token_not_found");
}

#[tokio::test]
async fn its_errors_come_with_status_200_and_are_errors() {
    let hub = StandIn::start().await;
    let app = app(&hub).await;
    let browser = Browser::new();
    let begun = browser.get(&app.url("/login?provider=hub")).await.expect(302);
    let state = url::Url::parse(begun.header("location")).unwrap();
    let (_, state) = state.query_pairs().find(|(name, _)| name == "state").unwrap();
    let back = app.url(&format!("/callback?code=invented&state={state}"));
    let refused = browser.get(&back).await.expect_error(400, "provider_error");
    assert_eq!(refused.json["details"]["error"], "bad_verification_code");

    // An answer in another issuer's name is nobody's, though this one sends none of its own.
    let begun = browser.get(&app.url("/login?provider=hub")).await.expect(302);
    let back = browser.sign_in(begun.header("location"), &nobody()).await;
    let (_, query) = back.split_once('?').unwrap();
    let back = app.url(&format!("/callback?{query}&iss={}", app.realm.issuer()));
    browser.get(&back).await.expect_error(400, "invalid_state_token");
}
