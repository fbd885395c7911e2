//! A provider that is away, in each way in which that is seen from here.

use std::time::{Duration, Instant};

use auth_manager::providers::Fault;
use test_support::ProxyFault;

use crate::log;
use crate::world::{INTROSPECTION, OFFLINE, REVOCATION, TOKEN, World};

/// Whether the request may have arrived, where the fault is that the provider is away.
fn sent(fault: &Fault) -> bool {
    match fault {
        Fault::Away { sent, .. } => *sent,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_connection_refused_has_carried_nothing() {
    let world = World::new().await;
    let token = world.offline_token().await;
    let before = world.proxy.calls(TOKEN);
    world.proxy.go_away().await;
    let fault = world.provider().refresh(OFFLINE, &token, None).await.unwrap_err();
    assert!(!sent(&fault));
    assert!(!sent(&world.provider().introspect(&token).await.unwrap_err()));
    assert!(world.provider().probe().await.is_err());
    world.proxy.come_back().await;
    world.provider().refresh(OFFLINE, &token, None).await.unwrap();
    assert_eq!(world.proxy.calls(TOKEN), before + 1);
    assert!(world.provider().probe().await.is_ok());
}

#[tokio::test]
async fn a_refresh_without_a_usable_answer_is_sent_once_and_leaves_its_outcome_open() {
    let world = World::with(&serde_json::json!({}), "", &[TIMEOUT]).await;
    let token = world.offline_token().await;
    for fault in [
        ProxyFault::CutBefore,
        ProxyFault::CutAfter,
        ProxyFault::CutAfterHead,
        ProxyFault::HoldBefore,
        ProxyFault::HoldAfter,
        ProxyFault::Answer(500, "oh"),
        ProxyFault::Answer(503, r#"{"error":"invalid_grant","error_description":"Stale token"}"#),
        ProxyFault::Garble("<html></html>"),
        ProxyFault::Garble(r#"{"access_token":7}"#),
    ] {
        let before = world.proxy.calls(TOKEN);
        world.proxy.fail(TOKEN, fault.clone());
        let refreshed = world.provider().refresh(OFFLINE, &token, None).await;
        assert!(sent(&refreshed.unwrap_err()), "{fault:?}");
        assert_eq!(world.proxy.calls(TOKEN), before + 1, "{fault:?}");
        world.proxy.mend(TOKEN);
    }
    assert_eq!(world.calls("refresh", "away"), 8);
    assert!(log::says("provider_call_failed", &[&world.name, "refresh"]));
    world.provider().refresh(OFFLINE, &token, None).await.unwrap();
}

const TIMEOUT: (&str, &str) = ("AUTH_MANAGER__PROVIDERS__TIMEOUT", "1s");

#[tokio::test]
async fn a_slow_provider_costs_no_more_than_the_timeout() {
    let world = World::with(&serde_json::json!({}), "", &[TIMEOUT]).await;
    let answer = world.sign_in().await;
    world.proxy.fail(INTROSPECTION, ProxyFault::HoldBefore);
    let started = Instant::now();
    let fault = world.provider().introspect(answer.access_token.expose()).await.unwrap_err();
    assert!(sent(&fault));
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    world.proxy.mend(INTROSPECTION);
}

#[tokio::test]
async fn what_can_be_repeated_is_tried_three_times() {
    let world = World::new().await;
    let token = world.offline_token().await;
    for fault in [ProxyFault::CutBefore, ProxyFault::CutAfter, ProxyFault::Answer(502, "")] {
        let before = (world.proxy.calls(INTROSPECTION), world.proxy.calls(REVOCATION));
        world.proxy.fail(INTROSPECTION, fault.clone());
        world.proxy.fail(REVOCATION, fault);
        assert!(sent(&world.provider().introspect("any").await.unwrap_err()));
        assert!(sent(&world.provider().revoke(OFFLINE, &token).await.unwrap_err()));
        let after = (world.proxy.calls(INTROSPECTION), world.proxy.calls(REVOCATION));
        assert_eq!(after, (before.0 + 3, before.1 + 3));
    }
    world.proxy.mend(INTROSPECTION);
    world.proxy.mend(REVOCATION);
}

#[tokio::test]
async fn a_repetition_that_is_answered_counts() {
    let world = World::new().await;
    let answer = world.sign_in().await;
    world.proxy.fail(INTROSPECTION, ProxyFault::CutBefore);
    let asking = world.provider().introspect(answer.access_token.expose());
    let mending = async {
        world.proxy.until_calls(INTROSPECTION, 1).await;
        world.proxy.mend(INTROSPECTION);
    };
    let (said, ()) = tokio::join!(asking, mending);
    assert_eq!(said.unwrap().unwrap().subject, world.user.id);
    let (away, good) = (world.calls("introspection", "away"), world.calls("introspection", "ok"));
    assert!(away >= 1 && good == 1, "{away} {good}");
}

#[tokio::test]
async fn nonsense_in_answer_to_a_question_is_an_operators_business() {
    let world = World::new().await;
    for body in ["<html></html>", "{}", r#"{"active":true}"#, r#"{"active":"yes"}"#] {
        let before = world.proxy.calls(INTROSPECTION);
        world.proxy.fail(INTROSPECTION, ProxyFault::Garble(body));
        let fault = world.provider().introspect("any").await.unwrap_err();
        assert!(matches!(fault, Fault::Misconfigured(_)), "{body}: {fault:?}");
        assert_eq!(world.proxy.calls(INTROSPECTION), before + 1);
    }
}
