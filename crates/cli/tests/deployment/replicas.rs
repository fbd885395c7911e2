//! Revocation over three chat-services within this process, whose clock can be turned.

use std::net::TcpListener;

use chrono::TimeDelta;
use common::clock::Clock;
use common::service::HttpSettings;
use common::settings::Environment;
use futures_util::future::join_all;
use test_support::{TestDatabase, TestServer};

use super::client::{
    ISSUER, close_codes, connect_everywhere, get, log_out, sign_in, until_metric, until_ready,
    verdicts,
};

/// Three verifiers behind one user-service, which another replica stands beside.
struct Deployment {
    chats: Vec<TestServer>,
    /// Where the chats read keys and feed.
    followed: Option<TestServer>,
    /// Where people log in and out.
    users: TestServer,
    /// The chats' clock.
    clock: Clock,
    followed_http: HttpSettings,
    user_database: TestDatabase,
    _chat_database: TestDatabase,
}

pub(crate) async fn serve_users(database: &TestDatabase, http: HttpSettings) -> TestServer {
    let environment = Environment::from_iter([
        ("USER_SERVICE__ENVIRONMENT", "development"),
        ("USER_SERVICE__PUBLIC_URL", ISSUER),
        ("USER_SERVICE__PASSWORDS__MEMORY_KIB", "64"),
        ("USER_SERVICE__PASSWORDS__PASSES", "1"),
        ("USER_SERVICE__DATABASE__URL", database.url()),
    ]);
    let settings = user_service::config::SCHEMA.load(&environment).unwrap();
    let build = move || user_service::app::build(settings, Clock::default());
    TestServer::start_with(http, build).await
}

pub(crate) async fn serve_chat(
    database: &TestDatabase,
    user_service: &str,
    clock: Clock,
    more: &[(&str, &str)],
) -> TestServer {
    let settings = [
        ("CHAT_SERVICE__ENVIRONMENT", "development"),
        ("USER_SERVICE_URL", user_service),
        ("CHAT_SERVICE__VERIFIER__ISSUER", ISSUER),
        ("CHAT_SERVICE__DATABASE__URL", database.url()),
        ("CHAT_SERVICE__DATABASE__MAX_CONNECTIONS", "4"),
    ];
    let environment: Environment = settings.iter().chain(more).copied().collect();
    let settings = chat_service::config::SCHEMA.load(&environment).unwrap();
    TestServer::start(move || chat_service::app::build(settings, clock)).await
}

impl Deployment {
    async fn start() -> Self {
        let user_database = TestDatabase::create("user", || user_service::MIGRATIONS).await;
        let chat_database = TestDatabase::create("chat", || chat_service::MIGRATIONS).await;
        // It comes back to the same port, so that must be known.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let followed_http = HttpSettings { port, ..TestServer::http() };
        let followed = serve_users(&user_database, followed_http.clone()).await;
        let users = serve_users(&user_database, TestServer::http()).await;
        let (clock, url) = (Clock::default(), followed.url(""));
        let chats = (0..3).map(|_| serve_chat(&chat_database, &url, clock.clone(), &[]));
        let deployment = Self {
            chats: join_all(chats).await,
            followed: Some(followed),
            users,
            clock,
            followed_http,
            user_database,
            _chat_database: chat_database,
        };
        until_ready(&deployment.urls(), "ready").await;
        deployment
    }

    fn urls(&self) -> Vec<String> {
        self.chats.iter().map(|chat| chat.url("")).collect()
    }

    fn admin_urls(&self) -> Vec<String> {
        self.chats.iter().map(|chat| chat.admin_url("")).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_cut_off_trusts_to_the_stale_limit_and_then_misses_nothing() {
    let mut deployment = Deployment::start().await;
    let (users, chats) = (deployment.users.url(""), deployment.urls());
    let (session, other) = (sign_in(&users, "alice").await, sign_in(&users, "bob").await);
    let sockets = connect_everywhere(&chats, &session).await;
    assert_eq!(verdicts(&chats, &session.access_token).await, [200; 3]);
    assert_eq!(verdicts(&chats, &other.access_token).await, [200; 3]);

    drop(deployment.followed.take());
    let connected = "chat_service_feed_connected";
    until_metric(&deployment.admin_urls(), connected, |connected| connected < 0.5).await;
    let degraded = get(&deployment.chats[0].admin_url("/ready"), "").await.expect(200);
    assert!(degraded.text.contains("the change feed is lost"), "{}", degraded.text);
    log_out(&users, &session).await;
    // They can't know, and go on for a while.
    assert_eq!(verdicts(&chats, &session.access_token).await, [200; 3]);

    deployment.clock.turn(TimeDelta::seconds(31));
    until_ready(&chats, "not_ready").await;
    assert_eq!(close_codes(sockets).await, [1013; 3]);
    assert_eq!(verdicts(&chats, &session.access_token).await, [503; 3]);
    assert_eq!(verdicts(&chats, &other.access_token).await, [503; 3]);

    let http = deployment.followed_http.clone();
    deployment.followed = Some(serve_users(&deployment.user_database, http).await);
    until_ready(&chats, "ready").await;
    assert_eq!(verdicts(&chats, &session.access_token).await, [401; 3]);
    assert_eq!(verdicts(&chats, &other.access_token).await, [200; 3]);
}
