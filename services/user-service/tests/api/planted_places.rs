//! Cookies planted at every place from which a browser sends them here, whatever the host and the
//! operation: a few answers take all of them away.

use std::collections::BTreeSet;

use reqwest::cookie::{CookieStore as _, Jar};
use reqwest::header::SET_COOKIE;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use test_support::Answer;

use super::browser_support::{LOGIN, REFRESH, any_body, deployed, operations};
use super::support::{PASSWORD, TestApp, send};

const CSRF: &str = "/api/v5/auth/csrf";
const PAGE: &str = "https://app.example.com";
/// So many answers are enough.
const ENOUGH: usize = 5;
/// Bytes that proxies allow an answer's head to have.
const LARGEST_HEAD: usize = 4096;

/// A place that a cookie can have.
type Place = (String, Option<String>);

async fn deployed_at(public_url: &str, more: &[(&str, &str)]) -> TestApp {
    let settings = [
        ("USER_SERVICE__SIGNING__ALGORITHM", "ES256"),
        ("USER_SERVICE__PUBLIC_URL", public_url),
        ("USER_SERVICE__CORS__ALLOWED_ORIGINS", PAGE),
        ("USER_SERVICE__BROWSER__ROLLOUT_SHARE", "0"),
    ];
    deployed("production", &[&settings[..], more].concat()).await
}

/// Every place from which a cookie is sent to `url`.
fn places(url: &Url) -> BTreeSet<Place> {
    let (host, path) = (url.host_str().unwrap(), url.path());
    let cut = |at: usize| [path[..at].to_owned(), path[..=at].to_owned()];
    let paths = path.match_indices('/').flat_map(|(at, _)| cut(at)).chain([path.to_owned()]);
    let beneath = host.match_indices('.').map(|(at, _)| &host[at + 1..]);
    let domains = beneath.filter(|domain| domain.contains('.')).chain([host]);
    let domains: Vec<_> = domains.map(|domain| Some(domain.to_owned())).chain([None]).collect();
    let paths = paths.filter(|path| !path.is_empty());
    paths.flat_map(|path| domains.iter().map(move |of| (path.clone(), of.clone()))).collect()
}

/// The places at which an answer takes cookies of that name away.
fn cleared<'a>(answer: &'a Answer, name: &'a str) -> impl Iterator<Item = Place> + 'a {
    let cookies = answer.headers.get_all(SET_COOKIE).iter().map(|it| it.to_str().unwrap());
    let cookies = cookies.filter(move |it| it.starts_with(&format!("{name}=; Max-Age=0; ")));
    cookies.map(|cookie| {
        let said = |attribute| cookie.split("; ").find_map(|it| it.strip_prefix(attribute));
        (said("Path=").unwrap().to_owned(), said("Domain=").map(str::to_owned))
    })
}

#[track_caller]
fn check_head(answer: &Answer) {
    let lines = answer.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let head = "HTTP/1.1 401 Unauthorized\r\n\r\n".len() + lines.sum::<usize>();
    assert!(head <= LARGEST_HEAD, "{head}");
}

#[tokio::test]
async fn every_place_is_cleared_within_a_few_answers_whatever_the_host_and_the_operation() {
    let (older, newer) = ("__Secure-latchkey_v4_refresh", "__Secure-latchkey_v5_access");
    let domain = [("USER_SERVICE__BROWSER__COOKIE_DOMAIN", "example.com")];
    for (public_url, more, name, own) in [
        ("https://example.com", &[][..], older, ("/api", None)),
        ("https://auth.example.com", &[], older, ("/api", None)),
        ("https://auth.example.co.uk", &[], older, ("/api", None)),
        ("https://auth.eu.example.com/base", &[], older, ("/base/api", None)),
        ("https://auth.eu.example.com", &domain, newer, ("/", Some("example.com"))),
    ] {
        let app = deployed_at(public_url, more).await;
        for (method, path) in operations(&app).await {
            let mut left = places(&format!("{public_url}{path}").parse().unwrap());
            // A session may be in our own, and an answer that leaves the session leaves it.
            assert!(left.remove(&(own.0.to_owned(), own.1.map(str::to_owned))));
            for _ in 0..ENOUGH {
                if left.is_empty() {
                    break;
                }
                let request = app.request(method.clone(), &path).header("origin", PAGE);
                let request = request.header("cookie", format!("{name}=planted; {name}=too"));
                let request =
                    if method == Method::GET { request } else { request.json(&any_body()) };
                let answer = send(request).await;
                check_head(&answer);
                for place in cleared(&answer, name) {
                    left.remove(&place);
                }
            }
            assert!(left.is_empty(), "{method} {public_url}{path}: {left:?}");
        }
    }
}

/// A browser that knows the service by its public URL, before which a proxy takes the base path away.
struct FarBrowser<'a> {
    app: &'a TestApp,
    public_url: &'a str,
    jar: Jar,
}

impl FarBrowser<'_> {
    fn url(&self, path: &str) -> Url {
        format!("{}{path}", self.public_url).parse().unwrap()
    }

    fn plant(&self, name: &str, path: &str) {
        let url = self.url(path);
        for (path, domain) in places(&url) {
            let domain = domain.map(|domain| format!("; Domain={domain}")).unwrap_or_default();
            let cookie = format!("{name}=planted; Path={path}; Secure{domain}");
            self.jar.add_cookie_str(&cookie, &url);
        }
    }

    async fn ask(&self, method: Method, path: &str, csrf: &str, body: &Value) -> Answer {
        let url = self.url(path);
        let request = self.app.request(method, path).header("origin", PAGE);
        let cookies = self.jar.cookies(&url).map(|it| it.to_str().unwrap().to_owned());
        let request = request.header("cookie", cookies.unwrap_or_default());
        let answer = send(request.header("x-csrf-token", csrf).json(body)).await;
        check_head(&answer);
        self.jar.set_cookies(&mut answer.headers.get_all(SET_COOKIE).iter(), &url);
        answer
    }

    /// What a page does until a refresh goes well; whether it does.
    async fn sign_in(&self) -> bool {
        let nothing = json!({});
        let page = self.ask(Method::GET, CSRF, "", &nothing).await.expect(200);
        let body = json!({ "username": "alice", "password": PASSWORD });
        let login = self.ask(Method::POST, LOGIN, &page.member("csrf_token"), &body).await;
        let Some(csrf) = login.json["csrf_token"].as_str() else { return false };
        self.ask(Method::POST, REFRESH, csrf, &nothing).await.status == 200
    }
}

#[tokio::test]
async fn whoever_has_cookies_planted_at_every_place_is_signed_in_again_after_a_few_tries() {
    for public_url in
        ["https://auth.example.com", "https://auth.example.co.uk", "https://id.eu.example.com/base"]
    {
        let app = deployed_at(public_url, &[]).await;
        let _ = app.register("alice").await.expect(201);
        let browser = FarBrowser { app: &app, public_url, jar: Jar::default() };
        assert!(browser.sign_in().await);
        for kind in ["access", "refresh", "presession", "csrf", "browser"] {
            for path in [CSRF, LOGIN, REFRESH] {
                browser.plant(&format!("__Secure-latchkey_v4_{kind}"), path);
                let mut tries = 1;
                while !browser.sign_in().await {
                    tries += 1;
                    // Answers to three paths come by turns.
                    assert!(tries <= 2 * ENOUGH, "{kind} {public_url}{path}");
                }
            }
        }
    }
}
