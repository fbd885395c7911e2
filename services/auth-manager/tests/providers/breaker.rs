//! A provider that fails again and again is left alone, and tried by one call at a time.

use std::time::{Duration, Instant};

use auth_manager::providers::Fault;
use serde_json::json;
use test_support::ProxyFault;

use crate::world::{OFFLINE, REVOCATION, TOKEN, World, pass};

const PAUSE: Duration = Duration::from_secs(40);

async fn world() -> (World, String) {
    let breaker = [
        ("AUTH_MANAGER__PROVIDERS__BREAKER_FAILURES", "3"),
        ("AUTH_MANAGER__PROVIDERS__BREAKER_PAUSE", "40s"),
    ];
    let world = World::with(&json!({}), "", &breaker).await;
    let token = world.offline_token().await;
    (world, token)
}

fn is_open(world: &World) -> bool {
    let line = format!(r#"auth_manager_provider_breaker_open{{provider="{}"}}"#, world.name);
    world.metric(&line) == 1
}

async fn refuse(world: &World, token: &str) -> (bool, Duration) {
    match world.provider().refresh(OFFLINE, token, None).await {
        Err(Fault::Away { sent, retry_after }) => (sent, retry_after),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn it_is_left_alone_after_failures_in_a_row_and_one_call_tries_again() {
    let (world, token) = world().await;
    world.proxy.fail(TOKEN, ProxyFault::Answer(503, ""));
    for _ in 0..3 {
        assert!(!is_open(&world));
        assert!(refuse(&world, &token).await.0);
    }
    assert!(is_open(&world));
    let (calls, started) = (world.proxy.calls(TOKEN), Instant::now());
    let (sent, retry_after) = refuse(&world, &token).await;
    assert!(!sent && retry_after > PAUSE / 2 && retry_after <= PAUSE);
    assert!(started.elapsed() < Duration::from_millis(200), "at once");
    // Other calls are not made either, nor repeated.
    world.provider().revoke(OFFLINE, &token).await.unwrap_err();
    assert_eq!((world.proxy.calls(TOKEN), world.proxy.calls(REVOCATION)), (calls, 0));
    assert_eq!(world.calls("refresh", "breaker_open"), 1);

    // A probe that fails opens it again.
    pass(PAUSE).await;
    assert!(refuse(&world, &token).await.0);
    assert!(!refuse(&world, &token).await.0);
    assert_eq!(world.proxy.calls(TOKEN), calls + 1);

    pass(PAUSE).await;
    world.proxy.fail(TOKEN, ProxyFault::HoldBefore);
    let probing = world.provider().refresh(OFFLINE, &token, None);
    let others = async {
        world.proxy.until_calls(TOKEN, calls + 2).await;
        let (sent, retry_after) = refuse(&world, &token).await;
        assert!(!sent && retry_after <= Duration::from_secs(1));
        assert!(is_open(&world));
        world.proxy.mend(TOKEN);
    };
    let (probed, ()) = tokio::join!(probing, others);
    probed.unwrap();
    assert!(!is_open(&world));
    world.provider().refresh(OFFLINE, &token, None).await.unwrap();
    assert_eq!(world.proxy.calls(TOKEN), calls + 3);
}

#[tokio::test]
async fn refusals_are_answers_and_open_nothing() {
    let (world, token) = world().await;
    world.realm.change_client(OFFLINE, &json!({ "enabled": false })).await;
    for _ in 0..5 {
        let fault = world.provider().refresh(OFFLINE, &token, None).await.unwrap_err();
        assert!(matches!(fault, Fault::Misconfigured(_)), "{fault:?}");
    }
    assert!(!is_open(&world));
}
