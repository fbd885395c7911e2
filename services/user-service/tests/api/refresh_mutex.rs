//! One refresh of a family at a time, where there is Redis.

use diesel_async::SimpleAsyncConnection as _;
use futures_util::future::join_all;
use serde_json::json;
use test_support::{TestRedis, TestServer, eventually};

use super::crashes::killed;
use super::redis::{PREFIX, app};
use super::support::{Session, TestApp, blocked, count, send};

/// Two replicas with one Redis, and a session whose mutex is `key`.
struct Two {
    app: TestApp,
    replica: TestServer,
    session: Session,
    key: String,
}

impl Two {
    async fn start(redis: &TestRedis) -> Self {
        let app = app(&redis.url(), &[]).await;
        let (replica, session) = (app.replica().await, app.sign_in().await);
        let key = format!("{}refresh:{}", PREFIX.1, session.id);
        Self { app, replica, session, key }
    }

    /// Refreshes with one token at once on both; what came of each, successors each once.
    async fn refresh_at_once(&self, token: &str, times: usize) -> Vec<String> {
        let body = json!({ "refresh_token": token });
        let answers = join_all((0..times).map(|number| {
            let server = if number % 2 == 0 { &self.app.server } else { &self.replica };
            send(self.app.client.post(server.url("/api/auth/refresh")).json(&body))
        }));
        let mut found: Vec<String> = answers
            .await
            .into_iter()
            .map(|answer| answer.expect(200).member("refresh_token"))
            .collect();
        found.sort();
        found.dedup();
        found
    }

    /// How many refreshes on both came to `outcome`.
    async fn outcomes(&self, outcome: &str) -> u64 {
        let name = format!(r#"user_service_refresh_mutex_total{{outcome="{outcome}"}}"#);
        self.app.metric(&name).await + self.app.metric_of(&self.replica, &name).await
    }

    async fn is_free(&self, redis: &TestRedis) {
        eventually("it is free", async || {
            (redis.ask(&format!("EXISTS {}", self.key)).await == "0").then_some(())
        })
        .await;
    }
}

/// Waits until Redis has been asked for `command`.
async fn called(redis: &TestRedis, command: &str) {
    eventually(command, async || {
        let calls = redis.ask("INFO commandstats").await;
        calls.contains(&format!("cmdstat_{command}:")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_of_many_refreshes_holds_the_mutex_and_lets_go_of_it() {
    let redis = TestRedis::start().await;
    let two = Two::start(&redis).await;
    let mut row = two.app.database.connect().await;
    row.batch_execute("BEGIN; SELECT FROM auth_sessions FOR UPDATE").await.unwrap();
    let holding = async {
        blocked(&two.app, 1).await;
        // Nothing but letting go makes it free now.
        assert_eq!(redis.ask(&format!("PERSIST {}", two.key)).await, "1");
        called(&redis, "get").await;
        row.batch_execute("COMMIT").await.unwrap();
    };
    let (found, ()) = tokio::join!(two.refresh_at_once(&two.session.refresh_token, 20), holding);
    assert_eq!(found.len(), 1);
    assert!(two.outcomes("held").await >= 1 && two.outcomes("waited").await >= 1);
    let mut connection = two.app.database.connect().await;
    let counter = "SELECT counter AS count FROM auth_sessions WHERE ended_at IS NULL";
    assert_eq!(count(&mut connection, counter).await, 1);
    two.is_free(&redis).await;
}

#[tokio::test]
async fn a_holder_that_dies_costs_two_seconds_once_and_no_session() {
    let redis = TestRedis::start().await;
    let two = Two::start(&redis).await;
    let url = redis.url();
    let more = [("__REDIS__URL", url.as_str()), ("__REDIS__PREFIX", PREFIX.1)];
    killed(&two.app, &two.session, "refresh_before_commit", &more).await;
    // What it leaves goes by being taken away, and by no time that passes.
    assert_eq!(redis.ask(&format!("PERSIST {}", two.key)).await, "1");
    let found = two.refresh_at_once(&two.session.refresh_token, 4).await;
    assert_eq!(found.len(), 1);
    let (gave_up, held) = (two.outcomes("gave_up").await, two.outcomes("held").await);
    assert!((1..=4).contains(&gave_up), "{gave_up}");
    two.is_free(&redis).await;
    assert_eq!(two.refresh_at_once(&found[0], 1).await.len(), 1);
    assert_eq!((two.outcomes("gave_up").await, two.outcomes("held").await), (gave_up, held + 1));
}

#[tokio::test]
async fn a_redis_that_lies_makes_no_second_head() {
    let redis = TestRedis::start().await;
    let two = Two::start(&redis).await;
    // Everybody is told that it is free.
    let forgetting = async {
        loop {
            redis.ask(&format!("DEL {}", two.key)).await;
        }
    };
    let found = tokio::select! {
        found = two.refresh_at_once(&two.session.refresh_token, 20) => found,
        () = forgetting => unreachable!("it goes on for ever"),
    };
    assert_eq!(found.len(), 1);
}

#[tokio::test]
async fn who_has_held_it_for_too_long_leaves_it_to_whoever_holds_it_now() {
    let redis = TestRedis::start().await;
    let two = Two::start(&redis).await;
    // Redis knows the script from now on.
    let found = two.refresh_at_once(&two.session.refresh_token, 1).await;
    two.is_free(&redis).await;
    let mut row = two.app.database.connect().await;
    row.batch_execute("BEGIN; SELECT FROM auth_sessions FOR UPDATE").await.unwrap();
    let holding = async {
        blocked(&two.app, 1).await;
        assert_eq!(redis.ask(&format!("SET {} another", two.key)).await, "OK");
        assert_eq!(redis.ask("CONFIG RESETSTAT").await, "OK");
        row.batch_execute("COMMIT").await.unwrap();
    };
    let (found, ()) = tokio::join!(two.refresh_at_once(&found[0], 1), holding);
    assert_eq!(found.len(), 1);
    called(&redis, "evalsha").await;
    assert_eq!(redis.ask(&format!("EXISTS {}", two.key)).await, "1");
}
