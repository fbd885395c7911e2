//! Revocation over three chat-service processes of one user-service process, one of them killed,
//! all of them cut off.

use std::net::TcpListener;

use common::clock::Clock;
use futures_util::future::join_all;
use test_support::{ServiceProcess, TcpProxy, TestDatabase, eventually, program};

use super::client::{
    ISSUER, close_codes, connect_everywhere, get, log_out, metrics, sign_in, until_metric,
    until_ready, verdicts,
};

/// The least that may be configured, in seconds.
const STALE_LIMIT: f64 = 10.0;

struct Processes {
    chats: Vec<ServiceProcess>,
    users: ServiceProcess,
    /// Between the chats and the user-service.
    proxy: TcpProxy,
    chat_database: TestDatabase,
    _keeps: TestDatabase,
}

pub(crate) async fn serve_users(database: &TestDatabase, port: u16) -> ServiceProcess {
    serve_users_with(database, &[("__HTTP__PORT", &port.to_string())]).await
}

pub(crate) async fn serve_users_with(
    database: &TestDatabase,
    more: &[(&str, &str)],
) -> ServiceProcess {
    let variables = [
        ("__ENVIRONMENT", "development"),
        ("__PUBLIC_URL", ISSUER),
        ("__PASSWORDS__MEMORY_KIB", "64"),
        ("__PASSWORDS__PASSES", "1"),
        ("__DATABASE__URL", database.url()),
    ];
    ServiceProcess::start(program("user-service").await, &[&variables, more].concat()).await
}

pub(crate) async fn serve_chat(database: &TestDatabase, user_service: &str) -> ServiceProcess {
    serve_chat_with(database, user_service, &[]).await
}

pub(crate) async fn serve_chat_with(
    database: &TestDatabase,
    user_service: &str,
    more: &[(&str, &str)],
) -> ServiceProcess {
    let variables = [
        ("__ENVIRONMENT", "development"),
        ("__VERIFIER__USER_SERVICE_URL", user_service),
        ("__VERIFIER__ISSUER", ISSUER),
        ("__VERIFIER__STALE_LIMIT", "10s"),
        ("__DATABASE__URL", database.url()),
        ("__DATABASE__MAX_CONNECTIONS", "4"),
    ];
    ServiceProcess::start(program("chat-service").await, &[&variables, more].concat()).await
}

/// A port that nobody has.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Processes {
    async fn start() -> Self {
        let user_database = TestDatabase::create("user", || user_service::MIGRATIONS).await;
        let chat_database = TestDatabase::create("chat", || chat_service::MIGRATIONS).await;
        let users = serve_users(&user_database, 0).await;
        let proxy = TcpProxy::start(&users.url("")).await;
        let url = proxy.url(&users.url(""));
        let chats = join_all((0..3).map(|_| serve_chat(&chat_database, &url))).await;
        let processes = Self { chats, users, proxy, chat_database, _keeps: user_database };
        until_ready(&processes.urls(), "ready").await;
        processes
    }

    fn urls(&self) -> Vec<String> {
        self.chats.iter().map(|chat| chat.url("")).collect()
    }

    fn admin_urls(&self) -> Vec<String> {
        self.chats.iter().map(|chat| chat.admin_url("")).collect()
    }

    /// As `kill -9` does, to the last of them.
    async fn kill_one(&mut self) {
        self.chats.pop().unwrap().kill().await;
    }

    async fn start_another(&mut self) -> String {
        let url = self.proxy.url(&self.users.url(""));
        self.chats.push(serve_chat(&self.chat_database, &url).await);
        self.chats.last().unwrap().url("")
    }
}

/// Refused in the end, and until then neither accepted nor judged.
async fn never_accepted(chats: &[String], token: &str) {
    eventually("it is refused", || async {
        let verdicts = verdicts(chats, token).await;
        assert!(verdicts.iter().all(|status| [401, 503].contains(status)), "{verdicts:?}");
        verdicts.iter().all(|status| *status == 401).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_is_a_refusal_and_a_closed_connection_in_every_process() {
    let processes = Processes::start().await;
    let (users, chats) = (processes.users.url(""), processes.urls());
    let (session, other) = (sign_in(&users, "alice").await, sign_in(&users, "bob").await);
    let sockets = connect_everywhere(&chats, &session).await;
    assert_eq!(verdicts(&chats, &session.access_token).await, [200; 3]);
    log_out(&users, &session).await;
    assert_eq!(close_codes(sockets).await, [4401; 3]);
    // A connection is closed only after new requests are refused.
    assert_eq!(verdicts(&chats, &session.access_token).await, [401; 3]);
    assert_eq!(verdicts(&chats, &other.access_token).await, [200; 3]);
    // The key and the session: two entries at least, each measured.
    let measured = "chat_service_revocation_delay_seconds_count";
    until_metric(&processes.admin_urls(), measured, |count| count >= 2.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_before_a_revocation_never_accepts_the_token_after_it() {
    let mut processes = Processes::start().await;
    let (users, chats) = (processes.users.url(""), processes.urls());
    let (session, other) = (sign_in(&users, "alice").await, sign_in(&users, "bob").await);
    assert_eq!(verdicts(&chats, &session.access_token).await, [200; 3]);
    processes.kill_one().await;
    log_out(&users, &session).await;
    let started = processes.start_another().await;
    never_accepted(std::slice::from_ref(&started), &session.access_token).await;
    never_accepted(&processes.urls(), &session.access_token).await;
    assert_eq!(verdicts(&processes.urls(), &other.access_token).await, [200; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_cut_off_from_the_feed_say_so_end_their_trust_and_miss_nothing() {
    let processes = Processes::start().await;
    let (users, chats, admins) =
        (processes.users.url(""), processes.urls(), processes.admin_urls());
    let (session, other) = (sign_in(&users, "alice").await, sign_in(&users, "bob").await);
    let sockets = connect_everywhere(&chats, &other).await;
    assert_eq!(verdicts(&chats, &session.access_token).await, [200; 3]);

    processes.proxy.cut();
    until_metric(&admins, "chat_service_feed_connected", |connected| connected < 0.5).await;
    log_out(&users, &session).await;
    let verdicts_now = verdicts(&chats, &session.access_token).await;
    let heard = metrics(&admins, "chat_service_feed_last_heard_timestamp_seconds").await;
    #[expect(clippy::cast_precision_loss, reason = "seconds are few enough")]
    let now = Clock::default().now().timestamp() as f64;
    for ((verdict, heard), admin) in verdicts_now.into_iter().zip(heard).zip(&admins) {
        let ready = get(&format!("{admin}/ready"), "").await.text;
        // A machine too busy to ask in time has not seen the trust, only its end.
        if now - heard < STALE_LIMIT {
            assert_eq!(verdict, 200, "they can't know");
        }
        let said = ["the change feed is lost", "the change feed has been silent"];
        assert!(said.iter().any(|said| ready.contains(said)), "{ready}");
    }

    until_ready(&chats, "not_ready").await;
    assert_eq!(close_codes(sockets).await, [1013; 3]);
    assert_eq!(verdicts(&chats, &session.access_token).await, [503; 3]);
    processes.proxy.mend();
    never_accepted(&chats, &session.access_token).await;
    assert_eq!(verdicts(&chats, &other.access_token).await, [200; 3]);
    until_metric(&admins, "chat_service_feed_connected", |connected| connected > 0.5).await;
}
