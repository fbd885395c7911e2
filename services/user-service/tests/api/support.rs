//! A user-service of one's own, and one method per endpoint.

use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use common::clock::Clock;
use common::service::HttpSettings;
use common::settings::{Environment, List, Secret};
use diesel_async::AsyncPgConnection;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use test_support::{Answer, TestDatabase, TestDevice, TestServer, eventually, redis_url};
use user_service::{MIGRATIONS, app, config};

pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
pub(crate) const FEED_CLIENT: (&str, &str) = ("chat-service", "development-feed-secret");

/// A server, its database and its clock.
pub(crate) struct TestApp {
    pub(crate) clock: Clock,
    pub(crate) server: TestServer,
    pub(crate) client: Client,
    pub(crate) settings: Vec<(String, String)>,
    /// Last, since fields go in their order: a service whose database has gone ends late.
    pub(crate) database: TestDatabase,
}

/// Somebody signed in on a device.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) device: TestDevice,
    pub(crate) username: String,
    pub(crate) id: String,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    pub(crate) user_id: String,
}

/// Fast settings for tests: light hashes, a small pool, limits out of the way.
const SETTINGS: &[(&str, &str)] = &[
    ("USER_SERVICE__ENVIRONMENT", "development"),
    ("USER_SERVICE__PASSWORDS__MEMORY_KIB", "64"),
    ("USER_SERVICE__PASSWORDS__PASSES", "1"),
    ("USER_SERVICE__PASSWORDS__QUEUE", "64"),
    ("USER_SERVICE__SIGNING__POOL_SIZE", "1"),
    ("USER_SERVICE__SIGNING__POOL_MAX", "1"),
    ("USER_SERVICE__DATABASE__MAX_CONNECTIONS", "8"),
    ("USER_SERVICE__BROWSER__ROLLOUT_SHARE", "100"),
    ("USER_SERVICE__LIMITS__REGISTRATIONS_PER_HOUR", "100000"),
    ("USER_SERVICE__LIMITS__DEVICE_REGISTRATIONS_PER_HOUR", "100000"),
    ("USER_SERVICE__LIMITS__LOGINS_PER_MINUTE", "100000"),
    ("USER_SERVICE__LIMITS__LOGINS_PER_DEVICE_PER_HOUR", "100000"),
    ("USER_SERVICE__LIMITS__LOGINS_PER_USERNAME_PER_HOUR", "100000"),
    ("USER_SERVICE__LIMITS__PASSWORD_CHECKS_PER_HOUR", "100000"),
];

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With other settings than the usual ones.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        let database = TestDatabase::create("user", || MIGRATIONS).await;
        let clock = Clock::default();
        let given = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let settings: Vec<(String, String)> = SETTINGS
            .iter()
            .map(given)
            .chain(redis_settings())
            .chain(settings.iter().map(given))
            .collect();
        let server = serve(&settings, database.secret(), clock.clone()).await;
        let client = Client::builder().user_agent("test/1").build().unwrap();
        Self { clock, server, client, settings, database }
    }

    /// Another replica on the same database.
    pub(crate) async fn replica(&self) -> TestServer {
        self.replica_with(&[]).await
    }

    /// A replica with other settings; the later of two settings counts.
    pub(crate) async fn replica_with(&self, settings: &[(&str, &str)]) -> TestServer {
        self.replica_on(self.database.url(), settings).await
    }

    /// A replica on a machine whose clock goes ahead by `error`, or behind.
    pub(crate) async fn replica_wrong_by(&self, error: TimeDelta) -> TestServer {
        serve(&self.settings, self.database.secret(), self.clock.wrong_by(error)).await
    }

    /// A replica that takes every peer on this machine for a proxy of ours.
    pub(crate) async fn replica_behind_a_proxy(&self) -> TestServer {
        let mut http = TestServer::http();
        http.trusted_proxies = List(vec!["127.0.0.0/8".parse().unwrap()]);
        serve_at(http, &self.settings, self.database.secret(), self.clock.clone()).await
    }

    /// A replica on another database.
    pub(crate) async fn replica_on(&self, url: &str, settings: &[(&str, &str)]) -> TestServer {
        let own = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let settings: Vec<(String, String)> = self.settings.iter().cloned().chain(own).collect();
        serve(&settings, Secret::from(url.to_owned()), self.clock.clone()).await
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.server.url(path))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn get_as(&self, session: &Session, path: &str) -> Answer {
        send(self.request(Method::GET, path).bearer_auth(&session.access_token)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn post_as(&self, session: &Session, path: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, path).bearer_auth(&session.access_token);
        send(request.json(body)).await
    }

    pub(crate) async fn delete_as(&self, session: &Session, path: &str) -> Answer {
        send(self.request(Method::DELETE, path).bearer_auth(&session.access_token)).await
    }

    pub(crate) async fn patch_as(&self, session: &Session, path: &str, body: &Value) -> Answer {
        let request = self.request(Method::PATCH, path).bearer_auth(&session.access_token);
        send(request.json(body)).await
    }

    /// A token given to one of OAuth's endpoints by the configured client.
    pub(crate) async fn post_token(&self, path: &str, token: &str) -> Answer {
        let (client, secret) = FEED_CLIENT;
        let request = self.request(Method::POST, path).basic_auth(client, Some(secret));
        send(request.header("content-type", FORM).body(format!("token={token}"))).await
    }

    pub(crate) async fn register(&self, username: &str) -> Answer {
        self.post("/api/auth/register", &json!({ "username": username, "password": PASSWORD }))
            .await
    }

    pub(crate) async fn register_device(&self) -> TestDevice {
        let offer = TestDevice::offer();
        let body = json!({ "public_key": offer.public_key, "device_name": "phone" });
        let answer = self.post("/api/auth/register-device", &body).await.expect(201);
        TestDevice::agree(&offer, &answer.json)
    }

    pub(crate) fn login_body(&self, device: &TestDevice, username: &str) -> Value {
        device.login(username, PASSWORD, self.now().timestamp_millis())
    }

    pub(crate) async fn log_in(&self, device: &TestDevice, username: &str) -> Session {
        let body = self.login_body(device, username);
        let answer = self.post("/api/auth/login", &body).await.expect(200);
        Session {
            device: device.clone(),
            username: username.to_owned(),
            id: answer.member("session_id"),
            access_token: answer.member("access_token"),
            refresh_token: answer.member("refresh_token"),
            user_id: answer.json["user"]["user_id"].as_str().unwrap().to_owned(),
        }
    }

    /// A new user on a new device.
    pub(crate) async fn sign_in(&self) -> Session {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let username = format!("user-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let _ = self.register(&username).await.expect(201);
        self.log_in(&self.register_device().await, &username).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        self.post("/api/auth/refresh", &json!({ "refresh_token": token })).await
    }

    /// A refresh with a device proof made now.
    pub(crate) async fn refresh_proven(&self, session: &Session, token: &str) -> Answer {
        let body = session.device.refresh(token, self.now().timestamp_millis());
        self.post("/api/auth/refresh", &body).await
    }

    pub(crate) async fn log_out(&self, token: &str) -> Answer {
        self.post("/api/auth/logout", &json!({ "refresh_token": token })).await
    }

    /// Whether the access token is still good at the issuer.
    pub(crate) async fn is_live(&self, session: &Session) -> bool {
        self.get_as(session, "/api/auth/sessions").await.status == 200
    }

    /// The value of a metric, labels and all as `/metrics` writes it; 0 where it is missing.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        self.metric_of(&self.server, name).await
    }

    /// The same of a replica.
    pub(crate) async fn metric_of(&self, server: &TestServer, name: &str) -> u64 {
        let url = server.admin_url("/metrics");
        let text = send(self.client.get(url)).await.text;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }
}

/// Those of a Redis that the run is to use, with keys that are the app's own.
fn redis_settings() -> Vec<(String, String)> {
    let Some(url) = redis_url() else { return Vec::new() };
    let prefix = uuid::Uuid::new_v4().to_string();
    [("REDIS__URL", url), ("REDIS__PREFIX", prefix)]
        .map(|(key, value)| (format!("USER_SERVICE__{key}"), value))
        .into()
}

async fn serve(settings: &[(String, String)], url: Secret, clock: Clock) -> TestServer {
    serve_at(TestServer::http(), settings, url, clock).await
}

async fn serve_at(
    http: HttpSettings,
    settings: &[(String, String)],
    url: Secret,
    clock: Clock,
) -> TestServer {
    let environment: Environment = settings
        .iter()
        .cloned()
        .chain([("USER_SERVICE__DATABASE__URL".to_owned(), url.expose().to_owned())])
        .collect();
    let settings: config::Settings = config::SCHEMA.load(&environment).unwrap();
    TestServer::start_with(http, move || app::build(settings, clock)).await
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    Answer::read(request.send().await.unwrap()).await
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    count: i64,
}

/// A number from the database.
pub(crate) async fn count(connection: &mut AsyncPgConnection, query: &str) -> i64 {
    // Its `load` is not the settings'.
    use diesel_async::RunQueryDsl as _;
    diesel::sql_query(query).get_result::<Count>(connection).await.unwrap().count
}

/// Waits until so many statements of the app wait for a lock.
pub(crate) async fn blocked(app: &TestApp, number: i64) {
    eventually("statements wait for a lock", || async {
        let mut connection = app.database.connect().await;
        let query = "SELECT count(*) AS count FROM pg_stat_activity \
                     WHERE datname = current_database() AND wait_event_type = 'Lock'";
        (count(&mut connection, query).await >= number).then_some(())
    })
    .await;
}

/// The claims of a token, unverified.
pub(crate) fn claims(token: &str) -> Value {
    part(token, 1)
}

/// The header of a token.
pub(crate) fn header(token: &str) -> Value {
    part(token, 0)
}

fn part(token: &str, index: usize) -> Value {
    use base64::Engine as _;
    let encoded = token.split('.').nth(index).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(encoded).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}
