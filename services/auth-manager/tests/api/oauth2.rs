//! Plain OAuth 2.0, against a stand-in for a provider of GitHub's kind: no discovery, no id token,
//! errors with status 200, users that are numbers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use test_support::Browser;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::support::{TestApp, data, text};

const ACCESS_TOKEN: &str = "gho_of_user_42";

type Form = BTreeMap<String, String>;

struct StandIn {
    base: String,
    /// What came to its token endpoint last.
    form: Arc<Mutex<Form>>,
}

impl StandIn {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let form = Arc::new(Mutex::new(Form::new()));
        let last = Arc::clone(&form);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                answer(stream, &last).await;
            }
        });
        Self { base, form }
    }

    fn table(&self) -> String {
        let base = &self.base;
        format!(
            "[github]\nkind = \"oauth2\"\nissuer = \"{base}\"\nscope = \"read:user\"\n\
             subject_member = \"id\"\n\
             login_client = {{ id = \"our-client\", secret = \"our-secret\" }}\n\
             [github.endpoints]\nauthorization = \"{base}/login/oauth/authorize\"\n\
             token = \"{base}/login/oauth/access_token\"\nuserinfo = \"{base}/user\"\n"
        )
    }
}

async fn answer(mut stream: TcpStream, last: &Mutex<Form>) {
    let (mut request, mut chunk) = (String::new(), [0; 4096]);
    let (head, body) = loop {
        let length = stream.read(&mut chunk).await.unwrap();
        assert!(length > 0, "cut off: {request}");
        request.push_str(str::from_utf8(&chunk[..length]).unwrap());
        if let Some((head, body)) = request.split_once("\r\n\r\n")
            && body.len() >= length_of(head)
        {
            break (head.to_lowercase(), body);
        }
    };
    let json = if head.starts_with("post /login/oauth/access_token ") {
        let form: Form = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let good = form["code"] == "good" && head.contains("accept: application/json");
        *last.lock().unwrap() = form;
        if good {
            json!({ "access_token": ACCESS_TOKEN, "scope": "read:user", "token_type": "bearer" })
        } else {
            json!({ "error": "bad_verification_code", "error_description": "expired" })
        }
    } else {
        assert!(head.starts_with("get /user "), "{head}");
        assert!(head.contains(&format!("authorization: bearer {ACCESS_TOKEN}")), "{head}");
        json!({ "id": 42, "login": "octocat", "email": "octocat@example.com" })
    };
    let json = json.to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{json}",
        json.len()
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
}

fn length_of(head: &str) -> usize {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let length = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.map_or(0, |(_, length)| length.parse().unwrap())
}

/// The parameters with which a browser is sent there.
fn asked(url: &str) -> Form {
    Url::parse(url).unwrap().query_pairs().into_owned().collect()
}

async fn sign_in(app: &TestApp, browser: &Browser) -> Value {
    let asked = asked(&app.begin(browser, "?provider=github").await);
    let back = app.url(&format!("/callback?code=good&state={}", asked["state"]));
    data(&browser.get(&back).await.expect(200))
}

#[tokio::test]
async fn somebody_signs_in_at_a_provider_that_knows_no_openid() {
    let stand_in = StandIn::start().await;
    let app = TestApp::start_with(&[], &stand_in.table()).await;
    let browser = Browser::new();
    let url = app.begin(&browser, "?provider=github").await;
    assert!(url.starts_with(&format!("{}/login/oauth/authorize?", stand_in.base)), "{url}");
    let asked = asked(&url);
    assert_eq!((asked["client_id"].as_str(), asked["scope"].as_str()), ("our-client", "read:user"));
    assert!(!asked.contains_key("nonce"));
    let back = app.url(&format!("/callback?code=good&state={}", asked["state"]));
    Browser::new().get(&back).await.expect_error(400, "invalid_state_token");
    let signed_in = data(&browser.get(&back).await.expect(200));
    assert_eq!(text(&signed_in, "access_token"), ACCESS_TOKEN);
    assert!(signed_in["persistent_token_id"].is_null());
    let form = stand_in.form.lock().unwrap().clone();
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
    assert_eq!(challenge, asked["code_challenge"]);
    assert_eq!(form["redirect_uri"], asked["redirect_uri"]);
    // Whoever it is, they are known by their number, and each sign-in is a session of its own.
    let again = sign_in(&app, &Browser::new()).await;
    assert_eq!(again["user_id"], signed_in["user_id"]);
    assert_ne!(again["session_id"], signed_in["session_id"]);
    let subject = "SELECT FROM accounts WHERE provider = 'github' AND subject = '42'";
    assert_eq!(app.count(subject).await, 1);
}

#[tokio::test]
async fn a_code_that_such_a_provider_refuses_signs_nobody_in() {
    let stand_in = StandIn::start().await;
    let app = TestApp::start_with(&[], &stand_in.table()).await;
    let browser = Browser::new();
    let asked = asked(&app.begin(&browser, "?provider=github").await);
    let back = app.url(&format!("/callback?code=bad&state={}", asked["state"]));
    browser.get(&back).await.expect_error(400, "provider_error");
    assert_eq!(app.count("SELECT FROM users").await, 0);
}

#[tokio::test]
async fn such_an_account_is_linked_to_a_keycloak_user_and_unlinked() {
    let stand_in = StandIn::start().await;
    let app = TestApp::start_with(&[], &stand_in.table()).await;
    let signed_in = app.sign_in(&Browser::new()).await;
    let token = text(&signed_in, "access_token");
    let link = app.ask(Method::POST, "/accounts/link?provider=github", token).await.expect(200);
    let asked = asked(text(&data(&link), "link_url"));
    let cookie = link.header("set-cookie").split(';').next().unwrap().to_owned();
    let back = app.url(&format!("/callback?code=good&state={}", asked["state"]));
    let http = reqwest::Client::builder().build().unwrap();
    let linked = http.get(back).header("cookie", cookie).send().await.unwrap();
    assert_eq!(linked.status().as_u16(), 200);
    let same = sign_in(&app, &Browser::new()).await;
    assert_eq!(same["user_id"], signed_in["user_id"]);
    let listed = data(&app.ask(Method::GET, "/accounts", token).await.expect(200));
    assert_eq!(text(&listed["items"][0], "provider"), "github");
    let path = format!("/accounts/{}", text(&listed["items"][0], "id"));
    app.ask(Method::DELETE, &path, token).await.expect(200);
    let other = sign_in(&app, &Browser::new()).await;
    assert_ne!(other["user_id"], signed_in["user_id"]);
}
