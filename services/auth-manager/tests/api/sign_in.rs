use chrono::TimeDelta;
use reqwest::Method;
use test_support::Browser;

use crate::support::{APP, TestApp, data, text, with_parameter};

#[tokio::test]
async fn somebody_signs_in_and_their_token_and_id_are_good() {
    let app = TestApp::start().await;
    let signed_in = app.sign_in(&Browser::new()).await;
    let token = text(&signed_in, "access_token");
    assert!((290..=300).contains(&signed_in["expires_in"].as_i64().unwrap()));
    let sessions = app.realm.sessions(&app.user).await;
    assert_eq!(sessions, [text(&signed_in, "session_state_id")]);
    let valid = data(&app.ask(Method::GET, "/validate-token", token).await.expect(200));
    assert_eq!(valid["user_id"], signed_in["user_id"]);
    let id = text(&signed_in, "persistent_token_id");
    let path = format!("/access-token?persistent_token_id={id}");
    let drawn = data(&app.ask(Method::POST, &path, token).await.expect(200));
    assert_eq!(text(&drawn, "access_token"), token);
}

#[tokio::test]
async fn who_signs_in_again_is_the_same_user_in_the_same_session() {
    let app = TestApp::start().await;
    let browser = Browser::new();
    let first = app.sign_in(&browser).await;
    let second = app.sign_in(&browser).await;
    let elsewhere = app.sign_in(&Browser::new()).await;
    assert_eq!(first["user_id"], second["user_id"]);
    assert_eq!(first["session_id"], second["session_id"]);
    assert_eq!(first["user_id"], elsewhere["user_id"]);
    assert_ne!(first["session_id"], elsewhere["session_id"]);
}

#[tokio::test]
async fn a_state_is_good_once_in_its_own_browser_and_in_time() {
    let app = TestApp::start().await;
    let browser = Browser::new();
    let url = app.begin(&browser, "").await;
    let back = app.return_from(&browser, &url).await;
    let stranger = Browser::new();
    stranger.get(back.as_str()).await.expect_error(400, "invalid_state_token");
    app.begin(&stranger, "").await;
    stranger.get(back.as_str()).await.expect_error(400, "invalid_state_token");
    let forged = with_parameter(&back, "state", Some("AAAA"));
    browser.get(forged.as_str()).await.expect_error(400, "invalid_state_token");
    browser.get(back.as_str()).await.expect(200);
    browser.get(back.as_str()).await.expect_error(400, "invalid_state_token");

    let url = app.begin(&browser, "").await;
    let back = app.return_from(&browser, &url).await;
    app.clock.turn(TimeDelta::minutes(11));
    browser.get(back.as_str()).await.expect_error(400, "invalid_state_token");
}

#[tokio::test]
async fn an_answer_of_another_issuer_or_of_none_is_refused() {
    let app = TestApp::start().await;
    let browser = Browser::new();
    for issuer in [None, Some(app.partner.issuer())] {
        let url = app.begin(&browser, "").await;
        let back = app.return_from(&browser, &url).await;
        let changed = with_parameter(&back, "iss", issuer.as_deref());
        browser.get(changed.as_str()).await.expect_error(400, "invalid_state_token");
    }
}

#[tokio::test]
async fn what_the_provider_says_instead_of_a_code_is_passed_on() {
    let app = TestApp::start().await;
    let browser = Browser::new();
    let url = app.begin(&browser, "").await;
    let back = app.return_from(&browser, &url).await;
    let missing = with_parameter(&back, "code", None);
    browser.get(missing.as_str()).await.expect_error(400, "validation_error");
    let failed = with_parameter(&missing, "error", Some("access_denied"));
    let answer = browser.get(failed.as_str()).await.expect_error(400, "provider_error");
    assert_eq!(answer.json["details"]["error"], "access_denied");
    // The state went with it.
    browser.get(back.as_str()).await.expect_error(400, "invalid_state_token");

    let url = app.begin(&browser, "").await;
    let back = app.return_from(&browser, &url).await;
    let bad_code = with_parameter(&back, "code", Some("a.b.c"));
    let answer = browser.get(bad_code.as_str()).await.expect_error(400, "provider_error");
    assert_eq!(answer.json["details"]["error"], "invalid_grant");
}

#[tokio::test]
async fn browsers_are_sent_only_to_origins_on_the_list() {
    let app = TestApp::start().await;
    let browser = Browser::new();
    for target in ["https://evil.example.com/", "//app.example.com", "/"] {
        let url = app.url(&format!("/login?return_to={target}"));
        let answer = browser.get(&url).await.expect_error(400, "validation_error");
        assert_eq!(answer.json["details"]["field"], "return_to");
    }
    let answer = browser.get(&app.url("/login?provider=nobody")).await;
    let answer = answer.expect_error(400, "validation_error");
    assert_eq!(answer.json["details"]["field"], "provider");
    let target = format!("{APP}/welcome");
    let url = app.begin(&browser, &format!("?return_to={target}")).await;
    let back = app.return_from(&browser, &url).await;
    let answer = browser.get(back.as_str()).await.expect(302);
    assert_eq!(answer.header("location"), target);
}

#[tokio::test]
async fn a_sign_in_whose_code_is_traded_goes_on_when_the_database_refuses_a_write() {
    let app = TestApp::start().await;
    app.run(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF nextval('refusals_' || TG_TABLE_NAME) = 1 THEN RAISE EXCEPTION 'not now'; END IF;
             RETURN NEW; END $$",
    )
    .await;
    for table in ["accounts", "auth_vault", "user_sessions"] {
        let first = format!(
            "CREATE SEQUENCE refusals_{table}; CREATE TRIGGER refuse BEFORE INSERT ON {table} \
             FOR EACH ROW EXECUTE FUNCTION refuse()"
        );
        app.run(&first).await;
    }
    let signed_in = app.sign_in(&Browser::new()).await;
    assert_eq!(app.proxy.calls("/token"), 1);
    for rows in ["accounts", "auth_vault", "persistent_tokens", "user_sessions"] {
        assert_eq!(app.count(&format!("SELECT FROM {rows}")).await, 1, "{rows}");
    }
    let token = text(&signed_in, "access_token");
    app.ask(Method::GET, "/validate-token", token).await.expect(200);
}
