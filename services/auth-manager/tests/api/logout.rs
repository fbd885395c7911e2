use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use test_support::{Answer, Browser, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::offline::{OFFLINE_CLIENT, consent};
use crate::support::{LOGIN_CLIENT, TestApp, data, text};

/// Has Keycloak tell `url` of ended sessions.
async fn tell(app: &TestApp, url: &str) {
    let attributes = json!({ "attributes": { "backchannel.logout.url": url } });
    app.realm.change_client(LOGIN_CLIENT, &attributes).await;
}

/// A logout token that Keycloak sends when the session ends, caught on its way.
pub(crate) async fn catch(app: &TestApp, session: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    tell(app, &format!("http://{}/", listener.local_addr().unwrap())).await;
    let caught = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut request, mut chunk) = (String::new(), [0; 4096]);
        while !is_whole(&request) {
            let length = stream.read(&mut chunk).await.unwrap();
            assert!(length > 0, "cut off: {request}");
            request.push_str(str::from_utf8(&chunk[..length]).unwrap());
        }
        stream.write_all(b"HTTP/1.1 204 OK\r\nConnection: close\r\n\r\n").await.unwrap();
        request.split_once("logout_token=").unwrap().1.to_owned()
    };
    tokio::join!(caught, app.realm.end_session(session)).0
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let length = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.is_some_and(|(_, length)| body.len() >= length.parse::<usize>().unwrap())
}

#[tokio::test]
async fn a_session_that_ends_at_keycloak_ends_here_with_its_tokens() {
    let app = TestApp::start().await;
    tell(&app, &app.url("/backchannel-logout")).await;
    let (ended, other) = (app.sign_in(&Browser::new()).await, app.sign_in(&Browser::new()).await);
    let token = text(&other, "access_token");
    app.realm.end_session(text(&ended, "session_state_id")).await;
    let path = format!("/sessions/{}", text(&ended, "session_id"));
    eventually("the session ends here", async || {
        let shown = data(&app.ask(Method::GET, &path, token).await.expect(200));
        (shown["active"] == false).then_some(())
    })
    .await;
    let shown = data(&app.ask(Method::GET, &path, token).await.expect(200));
    let events = shown["events"].as_array().unwrap();
    assert!(events.iter().any(|event| event["reason"] == "backchannel_logout"), "{shown}");
    let draw = format!("/access-token?persistent_token_id={}", text(&ended, "persistent_token_id"));
    app.ask(Method::POST, &draw, token).await.expect_error(404, "token_not_found");
}

#[tokio::test]
async fn a_logout_token_is_heard_once_and_a_forged_one_never() {
    let app = TestApp::start().await;
    let signed_in = app.sign_in(&Browser::new()).await;
    let other = app.sign_in(&Browser::new()).await;
    let logout = catch(&app, text(&signed_in, "session_state_id")).await;
    let (head, signature) = logout.rsplit_once('.').unwrap();
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{head}.{flipped}{}", &signature[1..]);
    app.post_logout_token(&forged).await.expect_error(400, "invalid_request");
    let access = text(&other, "access_token");
    app.post_logout_token(access).await.expect_error(400, "invalid_request");
    app.post_logout_token("").await.expect_error(400, "invalid_request");
    app.ask(Method::GET, "/validate-token", access).await.expect(200);
    app.post_logout_token(&logout).await.expect(200);
    app.post_logout_token(&logout).await.expect_error(400, "invalid_request");
    let listed = data(&app.ask(Method::GET, "/sessions", access).await.expect(200));
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}

/// What a logout token says.
fn claims(token: &str) -> Value {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

#[tokio::test]
async fn a_logout_of_a_subject_ends_all_its_sessions_and_nobody_else_s() {
    let app = TestApp::start().await;
    let attributes = json!({ "backchannel.logout.session.required": "false" });
    app.realm.change_client(LOGIN_CLIENT, &json!({ "attributes": attributes })).await;
    let (first, second) = (app.sign_in(&Browser::new()).await, app.sign_in(&Browser::new()).await);
    let somebody = app.realm.create_user().await;
    let somebody = app.sign_in_as(&Browser::new(), "", &somebody).await;
    let (token, theirs) = (text(&second, "access_token"), text(&somebody, "access_token"));
    app.ask(Method::GET, "/validate-token", token).await.expect(200);
    let logout = catch(&app, text(&first, "session_state_id")).await;
    let said = claims(&logout);
    assert_eq!((&said["sub"], said.get("sid")), (&json!(app.user.id), None));
    app.post_logout_token(&logout).await.expect(200);
    // Keycloak goes on with it, but here it is over.
    app.ask(Method::GET, "/validate-token", token).await.expect_error(401, "token_not_active");
    app.ask(Method::GET, "/validate-token", theirs).await.expect(200);
    let live = "SELECT FROM user_sessions WHERE active";
    assert_eq!(app.count(live).await, 1);
    assert_eq!(app.count("SELECT FROM auth_vault").await, 1);
    assert_eq!(app.count("SELECT FROM accounts WHERE sealed_id_token IS NOT NULL").await, 1);
}

/// Logs out a session from which somebody consented; what their id then gives, by a token of
/// another session.
async fn log_out_offline(app: &TestApp) -> test_support::Answer {
    let attributes = json!({ "backchannel.logout.revoke.offline.tokens": "true" });
    app.realm.change_client(LOGIN_CLIENT, &json!({ "attributes": attributes })).await;
    let browser = Browser::new();
    let ended = app.sign_in(&browser).await;
    let id = consent(app, &browser, text(&ended, "access_token")).await;
    let other = app.sign_in(&Browser::new()).await;
    let logout = catch(app, text(&ended, "session_state_id")).await;
    assert!(claims(&logout)["events"].to_string().contains("\"revoke_offline_access\":true"));
    app.post_logout_token(&logout).await.expect(200);
    let draw = format!("/access-token?persistent_token_id={id}");
    app.ask(Method::POST, &draw, text(&other, "access_token")).await
}

#[tokio::test]
async fn a_logout_ends_offline_grants_only_where_it_says_so_and_configuration_agrees() {
    let app = TestApp::start().await;
    log_out_offline(&app).await.expect(200);
    let app = TestApp::start_with(&[("AUTH_MANAGER__LOGOUT__REVOKE_OFFLINE", "true")], "").await;
    log_out_offline(&app).await.expect_error(404, "token_not_found");
    eventually("Keycloak hears it", async || {
        app.realm.offline_sessions(&app.user, OFFLINE_CLIENT).await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_no_plain_form_with_one_logout_token_is_refused_unread() {
    let app = TestApp::start().await;
    let form = "application/x-www-form-urlencoded";
    let large = format!("logout_token={}", "x".repeat(70_000));
    for (kind, encoding, body, status, code) in [
        ("application/json", "identity", r#"{"logout_token":"a"}"#, 415, "unsupported_media_type"),
        ("multipart/form-data; boundary=a", "identity", "--a--", 415, "unsupported_media_type"),
        (form, "gzip", "logout_token=a", 415, "unsupported_media_type"),
        (form, "identity", "logout_token=a&logout_token=b", 400, "invalid_request"),
        (form, "identity", "state=a", 400, "invalid_request"),
        (form, "identity", "", 400, "invalid_request"),
        (form, "identity", &large, 413, "payload_too_large"),
    ] {
        let request = app.request(Method::POST, "/api/auth/manager/backchannel-logout");
        let request = request.header("content-type", kind).header("content-encoding", encoding);
        let answer = request.body(body.to_owned()).send().await.unwrap();
        Answer::read(answer).await.expect_error(status, code);
    }
}
