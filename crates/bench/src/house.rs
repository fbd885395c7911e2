//! user-service and any number of chat-services, and people in them.

use anyhow::{Context as _, Error, Result, bail};
use common::clock::Clock;
use common::settings::Environment;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use test_support::{TestBrowser, TestDatabase, TestDevice};
use user_service::config::SCHEMA;
use user_service::service_keys::Ring;
use uuid::Uuid;

use crate::service::{Service, client};

const PASSWORD: &str = "correct horse battery staple";
/// Limits that a measurement would run into.
const UNLIMITED: [(&str, &str); 6] = [
    ("LIMITS__LOGINS_PER_USERNAME_PER_HOUR", "1000000"),
    ("REFRESH__ROTATIONS_PER_HOUR", "0"),
    ("LIMITS__REGISTRATIONS_PER_HOUR", "1000000"),
    ("LIMITS__DEVICE_REGISTRATIONS_PER_HOUR", "1000000"),
    ("LIMITS__LOGINS_PER_MINUTE", "1000000"),
    ("LIMITS__LOGINS_PER_DEVICE_PER_HOUR", "1000000"),
];

/// One key signs for all; what makes keys quickly takes no time from what is measured.
const SERVICE_KEYS: [(&str, &str); 2] =
    [("SIGNING__MODE", "service"), ("SIGNING__ALGORITHM", "ES256")];

/// Services on databases of their own.
pub(crate) struct House {
    pub(crate) users: Service,
    pub(crate) chats: Vec<Service>,
    pub(crate) http: Client,
    database: TestDatabase,
    _chat_database: TestDatabase,
}

/// Somebody signed in on a device.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) username: String,
    pub(crate) device: TestDevice,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}

impl House {
    pub(crate) async fn start(chats: usize) -> Result<Self> {
        Self::start_with(chats, Vec::new()).await
    }

    /// Without chat-services, and with `keys` in the pool: nothing is measured while keys are
    /// made for it, and no login finds it empty.
    pub(crate) async fn with_keys(keys: u32) -> Result<Self> {
        let size = ["SIGNING__POOL_SIZE", "SIGNING__POOL_MAX"].map(|key| (key, keys.to_string()));
        Self::start_with(0, size.to_vec()).await
    }

    /// With one key that signs for all.
    pub(crate) async fn with_service_keys(chats: usize) -> Result<Self> {
        let settings = SERVICE_KEYS.map(|(key, value)| (key, value.to_owned()));
        Self::start_with(chats, settings.to_vec()).await
    }

    async fn start_with(chats: usize, settings: Vec<(&str, String)>) -> Result<Self> {
        let database = TestDatabase::create("user", || user_service::MIGRATIONS).await;
        let chat_database = TestDatabase::create("chat", || chat_service::MIGRATIONS).await;
        let ports = Service::ports()?;
        let url = format!("http://127.0.0.1:{}", ports[0]);
        let mut environment = vec![
            ("DATABASE__URL", database.url().to_owned()),
            ("PUBLIC_URL", url.clone()),
            ("BROWSER__ROLLOUT_SHARE", "100".to_owned()),
        ];
        environment.extend(UNLIMITED.map(|(key, value)| (key, value.to_owned())));
        environment.extend(settings);
        let users = Service::start("user-service", ports, &environment).await?;
        let environment = [
            ("DATABASE__URL", chat_database.url().to_owned()),
            ("VERIFIER__USER_SERVICE_URL", url),
            ("LIVE__MAX_CONNECTIONS", "2000".to_owned()),
        ];
        let mut started = Vec::new();
        for _ in 0..chats {
            let ports = Service::ports()?;
            started.push(Service::start("chat-service", ports, &environment).await?);
        }
        let http = client()?;
        Ok(Self { users, chats: started, http, database, _chat_database: chat_database })
    }

    /// Waits until `keys` wait in the pool.
    pub(crate) async fn rest(&self, keys: u32) -> Result<()> {
        self.users.wait_for("user_service_key_pool_waiting", keys.into()).await
    }

    /// Somebody new, on a new device.
    pub(crate) async fn join(&self) -> Result<Session> {
        let offer = TestDevice::offer();
        let body = json!({ "public_key": offer.public_key });
        let answer = self.ask("/api/auth/register-device", &body).await?;
        let device = TestDevice::agree(&offer, &answer);
        let username = format!("bench-{}", Uuid::new_v4().simple());
        let body = json!({ "username": username, "password": PASSWORD });
        self.ask("/api/auth/register", &body).await?;
        self.log_in(&username, &device).await
    }

    /// Somebody new, in a browser of theirs.
    pub(crate) async fn browse(&self) -> Result<TestBrowser> {
        let url = self.users.url("");
        let browser = TestBrowser::new(&url, &url, "bench");
        browser.get_csrf().await;
        let username = format!("bench-{}", Uuid::new_v4().simple());
        let body = json!({ "username": username, "password": PASSWORD });
        for path in ["/api/v5/auth/register", "/api/v5/auth/login"] {
            let answer = browser.post(path, &body).await;
            if !answer.status.is_success() {
                bail!("{path} answered {}: {}", answer.status, answer.text);
            }
        }
        Ok(browser)
    }

    /// Signs in again on a device.
    pub(crate) async fn log_in(&self, username: &str, device: &TestDevice) -> Result<Session> {
        let now = Clock::default().now().timestamp_millis();
        let answer = self.ask("/api/auth/login", &device.login(username, PASSWORD, now)).await?;
        Ok(Session {
            username: username.to_owned(),
            device: device.clone(),
            access_token: text(&answer, "access_token")?,
            refresh_token: text(&answer, "refresh_token")?,
        })
    }

    /// Exchanges the refresh token.
    pub(crate) async fn refresh(&self, session: &mut Session) -> Result<()> {
        let body = json!({ "refresh_token": session.refresh_token });
        let answer = self.ask("/api/auth/refresh", &body).await?;
        session.access_token = text(&answer, "access_token")?;
        session.refresh_token = text(&answer, "refresh_token")?;
        Ok(())
    }

    /// Ends the session.
    pub(crate) async fn log_out(&self, session: &Session) -> Result<()> {
        let body = json!({ "refresh_token": session.refresh_token });
        self.ask("/api/auth/logout", &body).await?;
        Ok(())
    }

    /// POST at user-service, which must succeed.
    async fn ask(&self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.http.post(self.users.url(path)).json(body).send().await?;
        let status = answer.status();
        let answer: Value = answer.json().await.unwrap_or_default();
        if !status.is_success() {
            bail!("{path} answered {status}: {answer}");
        }
        Ok(answer)
    }

    /// What a chat-service answers to a GET with the token.
    pub(crate) async fn get(&self, url: &str, token: &str) -> Result<StatusCode> {
        let answer = self.http.get(url).bearer_auth(token).send().await?;
        let status = answer.status();
        answer.bytes().await?;
        Ok(status)
    }

    /// POST at the first chat-service, which must succeed.
    pub(crate) async fn chat(&self, path: &str, token: &str, body: &Value) -> Result<Value> {
        let url = self.chats.first().context("a chat-service")?.url(path);
        let answer = self.http.post(url).bearer_auth(token).json(body).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// The service keys, as `latchkey keys` opens them.
    pub(crate) async fn ring(&self) -> Result<Ring> {
        let own = [("ENVIRONMENT", "development"), ("DATABASE__URL", self.database_url())];
        let variable =
            |(key, value): &(&str, &str)| (format!("USER_SERVICE__{key}"), (*value).to_owned());
        let environment: Environment = own.iter().chain(&SERVICE_KEYS).map(variable).collect();
        Ring::open(SCHEMA.load(&environment)?).await.map_err(Error::msg)
    }

    /// A connection to user-service's database.
    pub(crate) async fn sql(&self) -> Result<tokio_postgres::Client> {
        self.database.client().await.map_err(Error::msg)
    }

    /// Where that database is.
    pub(crate) fn database_url(&self) -> &str {
        self.database.url()
    }
}

fn text(answer: &Value, member: &str) -> Result<String> {
    let found = answer[member].as_str().with_context(|| format!("`{member}` in {answer}"))?;
    Ok(found.to_owned())
}
