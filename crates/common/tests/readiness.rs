//! Readiness on real listeners.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use common::http::{Cors, CorsSettings};
use common::readiness::{Pace, Readiness, State};
use common::service::Blueprint;
use common::settings::List;
use serde_json::Value;
use test_support::{TestServer, eventually};

const PACE: Pace =
    Pace { interval: Duration::from_millis(20), timeout: Duration::from_millis(200) };

async fn start(readiness: Readiness) -> TestServer {
    let origin = "https://app.example.com".parse().expect("an origin");
    let cors = Cors::new(&CorsSettings { allowed_origins: List(vec![origin]) }, &[]);
    TestServer::start(async || Ok(Blueprint { readiness, cors, ..TestServer::bare(|_| {}) })).await
}

async fn ask(url: String) -> (u16, Value) {
    let answer = reqwest::get(url).await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

#[tokio::test]
async fn the_admin_listener_says_what_is_wrong_and_the_public_one_only_that() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let check = move || {
        let number = count.fetch_add(1, Ordering::Relaxed);
        async move {
            if number > 0 {
                std::future::pending::<()>().await;
            }
            State::Ready
        }
    };
    let server = start(Readiness::default().with_pace("database", PACE, check)).await;
    eventually("it hangs", async || {
        let (status, ready) = ask(server.admin_url("/ready")).await;
        let [database, cors, _tasks] = ready["dependencies"].as_array().unwrap().as_slice() else {
            panic!("{ready}")
        };
        assert_eq!((&cors["name"], &cors["status"]), (&"cors_origins".into(), &"ready".into()));
        assert!(database["duration_ms"].is_number() && database["age_ms"].is_number(), "{ready}");
        let hangs = database["reason"] == "no answer within 200ms";
        assert_eq!(status == 200, database["status"] == "ready", "{ready}");
        hangs.then_some(())
    })
    .await;
    let (status, public) = ask(server.url("/health/ready")).await;
    assert_eq!((status, public.to_string().as_str()), (503, r#"{"status":"not_ready"}"#));
}

#[tokio::test]
async fn nothing_is_asked_any_more_once_the_service_has_ended() {
    let held = Arc::new(());
    let (gone, asking): (Weak<()>, _) = (Arc::downgrade(&held), held);
    let check = move || {
        let asking = Arc::clone(&asking);
        async move {
            drop(asking);
            State::Ready
        }
    };
    let server = start(Readiness::default().with_pace("database", PACE, check)).await;
    eventually("ready", async || (ask(server.url("/health/ready")).await.0 == 200).then_some(()))
        .await;
    assert!(gone.upgrade().is_some());
    drop(server);
    // Workers report their end just before their threads are gone, and what these hold.
    eventually("no check outlives it", async || gone.upgrade().is_none().then_some(())).await;
}

#[tokio::test]
async fn a_task_that_panics_is_begun_again_and_the_admin_listener_names_it() {
    let blueprint = TestServer::bare(|_| {});
    let tasks = blueprint.metrics.tasks();
    let server = TestServer::start(async || Ok(blueprint)).await;
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&begun);
    tasks.run("fragile", move || {
        let number = counted.fetch_add(1, Ordering::Relaxed);
        async move {
            assert!(number > 0, "a panic that the test wants");
            std::future::pending::<()>().await;
        }
    });
    eventually("it is begun again", async || (begun.load(Ordering::Relaxed) == 2).then_some(()))
        .await;
    let (status, ready) = ask(server.admin_url("/ready")).await;
    assert_eq!((status, &ready["status"]), (200, &"degraded".into()));
    let told = &ready["dependencies"][1];
    assert_eq!((&told["name"], &told["status"]), (&"tasks".into(), &"degraded".into()));
    let reason = told["reason"].as_str().unwrap();
    assert!(reason.starts_with("`fragile` panicked, 1 times"), "{reason}");
    let (status, public) = ask(server.url("/health/ready")).await;
    assert_eq!((status, &public["status"]), (200, &"ready".into()));
}
