//! The whole API once per environment, by the settings that are deployed there: a page of the
//! origin that they list, its cookies in a jar that heeds `Secure`, over TLS where that asks for it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use common::clock::Clock;
use common::settings::Environment;
use reqwest::Client;
use reqwest::header::{HeaderMap, SET_COOKIE};
use serde_json::json;
use tempfile::TempDir;
use test_support::{Answer, TestAuthority, TestBrowser, TestDatabase, TestServer};
use user_service::{MIGRATIONS, app, config};

use super::browser_support::FIREFOX;
use super::captcha_stand_in::{CaptchaStandIn, SECRET};
use super::environments_walk::{walk_as_an_app, walk_in_a_browser};
use super::support::TestApp;

/// What an environment is to a browser.
pub(crate) struct Place {
    name: &'static str,
    pub(crate) page: &'static str,
    /// Where the page is, seen from the service.
    site: &'static str,
    pub(crate) prefix: &'static str,
    pub(crate) attributes: &'static [&'static str],
    secure: bool,
    /// What browsers are told of keeping to TLS.
    hsts: &'static str,
    has_captcha: bool,
    /// Percent of sessions that have the newer cookies.
    share: &'static str,
}

const PRODUCTION: Place = Place {
    name: "production",
    page: "https://app.example.com",
    site: "same-site",
    prefix: "__Host-latchkey_",
    attributes: &["Secure", "HttpOnly", "Path=/"],
    secure: true,
    hsts: "max-age=63072000; includeSubDomains",
    has_captcha: true,
    share: "100",
};
/// What most sessions have at first.
const PRODUCTION_WITH_OLDER_COOKIES: Place = Place {
    prefix: "__Secure-latchkey_v4_",
    attributes: &["Secure", "HttpOnly", "SameSite=Lax", "Path=/api;"],
    share: "0",
    ..PRODUCTION
};
const PREVIEW: Place = Place {
    name: "preview",
    page: "https://pull-1.preview.example.net",
    site: "cross-site",
    attributes: &["Secure", "HttpOnly", "SameSite=None", "Path=/"],
    hsts: "max-age=63072000",
    has_captcha: false,
    ..PRODUCTION
};
const DEVELOPMENT: Place = Place {
    name: "development",
    page: "http://localhost:3000",
    site: "same-site",
    prefix: "latchkey_",
    attributes: &["HttpOnly"],
    secure: false,
    hsts: "",
    has_captcha: false,
    share: "100",
};

/// A service as an environment has it, and what has been asked of it.
pub(crate) struct Walk {
    pub(crate) app: TestApp,
    pub(crate) place: Place,
    captcha: CaptchaStandIn,
    authority: TestAuthority,
    walked: RefCell<BTreeSet<(String, String)>>,
    _secrets: TempDir,
}

impl Walk {
    async fn start(place: Place) -> Self {
        let (database, clock) =
            (TestDatabase::create("user", || MIGRATIONS).await, Clock::default());
        let (captcha, authority) = (CaptchaStandIn::start().await, TestAuthority::new());
        let (secrets, file) = settings_of(place.name, database.url());
        // The pool's size costs a test nothing but time, and the provider is on the internet.
        let mut settings = vec![
            ("CONFIG_FILE", file),
            ("SIGNING__POOL_SIZE", "1".to_owned()),
            ("SIGNING__POOL_MAX", "1".to_owned()),
            ("BROWSER__ROLLOUT_SHARE", place.share.to_owned()),
        ];
        if place.has_captcha {
            settings.push(("CAPTCHA__URL", captcha.url()));
        }
        if !place.secure {
            settings.push(("DATABASE__URL", database.url().to_owned()));
        }
        let settings: Vec<(String, String)> = settings
            .into_iter()
            .map(|(key, value)| (format!("USER_SERVICE__{key}"), value))
            .collect();
        let environment: Environment = settings.iter().cloned().collect();
        let loaded: config::Settings = config::SCHEMA.load(&environment).unwrap();
        let (turned, certificate) = (clock.clone(), authority.issue("127.0.0.1"));
        let build = move || app::build(loaded, turned);
        let server = if place.secure {
            TestServer::start_tls(&certificate, build).await
        } else {
            TestServer::start(build).await
        };
        let client = Client::builder().tls_certs_only(authority.roots()).build().unwrap();
        let app = TestApp { clock, server, client, settings, database };
        Self { app, place, captcha, authority, walked: RefCell::default(), _secrets: secrets }
    }

    /// A browser on a page of the listed origin, which says what browsers say of it.
    pub(crate) fn browser(&self) -> TestBrowser {
        let says = [
            ("origin", self.place.page),
            ("sec-fetch-site", self.place.site),
            ("sec-fetch-mode", "cors"),
        ];
        let says: HeaderMap = says
            .into_iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let client = Client::builder()
            .user_agent(FIREFOX)
            .default_headers(says)
            .tls_certs_only(self.authority.roots());
        TestBrowser::with_client(&self.app.server.url(""), self.place.page, client)
    }

    /// The body with which somebody registers.
    pub(crate) fn registration(&self, username: &str, password: &str) -> serde_json::Value {
        let mut body = json!({ "username": username, "password": password });
        if self.place.has_captcha {
            let token = self.captcha.solve(&self.app, "register", &json!({}));
            body["captcha_token"] = token.into();
        }
        body
    }

    /// Notes that `operation`, method and path of the document, was walked and answered `status`.
    #[track_caller]
    pub(crate) fn step(&self, operation: &str, answer: Answer, status: u16) -> Answer {
        let (method, path) = operation.split_once(' ').unwrap();
        self.walked.borrow_mut().insert((method.to_lowercase(), path.to_owned()));
        let answer = answer.expect(status);
        self.check_cookies(&answer);
        answer
    }

    /// The same of an answer to the page, which must be allowed to read it.
    #[track_caller]
    pub(crate) fn page_step(&self, operation: &str, answer: Answer, status: u16) -> Answer {
        let answer = self.step(operation, answer, status);
        assert_eq!(answer.header("access-control-allow-origin"), self.place.page, "{operation}");
        assert_eq!(answer.header("access-control-allow-credentials"), "true", "{operation}");
        answer
    }

    #[track_caller]
    fn check_cookies(&self, answer: &Answer) {
        for cookie in answer.headers.get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            // What goes goes as it came, the older generation's too.
            if cookie.contains("Max-Age=0") {
                continue;
            }
            assert!(cookie.starts_with(self.place.prefix), "{cookie}");
            for attribute in self.place.attributes {
                // The page reads its CSRF token from the body, so that no cookie is for scripts.
                assert!(cookie.contains(attribute), "{attribute}: {cookie}");
            }
            assert_eq!(cookie.contains("Secure"), self.place.secure, "{cookie}");
        }
    }

    async fn check_hsts(&self) {
        let request = self.app.client.get(self.app.server.url("/health"));
        let answer = request.header("host", "auth.example.com").send().await.unwrap();
        let answer = Answer::read(answer).await.expect(200);
        assert_eq!(answer.header("strict-transport-security"), self.place.hsts);
    }

    /// Nothing that the document has is left out.
    async fn end(self) {
        let document = self.app.get("/openapi.json").await.expect(200).json;
        let paths = document["paths"].as_object().unwrap();
        let documented: BTreeSet<_> = paths
            .iter()
            .flat_map(|(path, item)| {
                item.as_object().unwrap().keys().map(|method| (method.clone(), path.clone()))
            })
            .collect();
        assert_eq!(self.walked.into_inner(), documented);
    }
}

/// The file of user-service's settings in `environment`, with secrets where it looks for them.
fn settings_of(environment: &str, database_url: &str) -> (TempDir, String) {
    let (folder, place) = (tempfile::tempdir().unwrap(), "/run/secrets/");
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/config");
    let text = all.join(environment).join("user-service.toml");
    let text = std::fs::read_to_string(text).unwrap();
    for name in text.split('"').filter_map(|text| text.strip_prefix(place)) {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, secret(name, database_url)).unwrap();
    }
    let file = folder.path().join("user-service.toml");
    let here = format!("{}/", folder.path().display());
    std::fs::write(&file, text.replace(place, &here)).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (folder, file)
}

fn secret(name: &str, database_url: &str) -> String {
    match name.rsplit('/').next().unwrap_or_default() {
        "user-database-url" => database_url.to_owned(),
        "user-vault-keys" => format!("first:{}", "5a".repeat(32)),
        "feed-clients" => format!("{}:{}", FEED_CLIENT.0, FEED_CLIENT.1),
        "captcha-secret" => SECRET.to_owned(),
        _ => format!("1:{}", "5a".repeat(32)),
    }
}

/// Who asks about tokens, by a secret that nobody outside this test has.
pub(crate) const FEED_CLIENT: (&str, &str) = ("chat-service", "0123456789abcdef0123456789abcdef");
/// The one that every development environment has.
const DEVELOPMENT_CLIENT: (&str, &str) = ("chat-service", "development-feed-secret");

impl Walk {
    /// Name and secret of a service that may ask about tokens.
    pub(crate) fn client(&self) -> (&'static str, &'static str) {
        if self.place.secure { FEED_CLIENT } else { DEVELOPMENT_CLIENT }
    }
}

async fn walk(place: Place) {
    let walk = Walk::start(place).await;
    walk_in_a_browser(&walk).await;
    walk_as_an_app(&walk).await;
    walk.check_hsts().await;
    walk.end().await;
}

#[tokio::test]
async fn every_endpoint_works_in_production_over_tls_from_a_listed_page() {
    walk(PRODUCTION).await;
}

#[tokio::test]
async fn every_endpoint_works_in_production_with_the_older_cookies_too() {
    walk(PRODUCTION_WITH_OLDER_COOKIES).await;
}

#[tokio::test]
async fn every_endpoint_works_in_preview_over_tls_from_a_page_of_another_site() {
    walk(PREVIEW).await;
}

#[tokio::test]
async fn every_endpoint_works_in_development_from_a_page_on_another_port() {
    walk(DEVELOPMENT).await;
}
