//! A provider that counts as away: nothing is sent there, and nobody waits for it.

use std::time::Duration;

use auth_manager::models::grant::GrantState;
use test_support::ProxyFault;

use crate::faults::{AWAY, code};
use crate::realm::Rotation;
use crate::world::{TOKEN, World};

const fn after_failures(count: &str) -> [(&str, &str); 2] {
    [
        ("AUTH_MANAGER__PROVIDERS__BREAKER_FAILURES", count),
        ("AUTH_MANAGER__PROVIDERS__BREAKER_PAUSE", "1h"),
    ]
}

#[tokio::test]
async fn a_provider_that_counts_as_away_is_not_sent_the_token() {
    let world = World::with(Rotation::Strict, 1).await;
    let process = world.process_with(&after_failures("1")).await;
    world.proxy.fail(TOKEN, ProxyFault::CutBefore);
    world.draw(&process).await.unwrap_err();
    world.proxy.mend(TOKEN);
    world.let_time_pass();
    let drawn = world.draw(&process).await;
    assert_eq!(code(&drawn), AWAY);
    assert!(drawn.unwrap_err().retry_after.unwrap() > Duration::from_mins(59));
    let row = world.row().await;
    assert_eq!((row.state(), row.presentations), (GrantState::OutcomeUnknown, 1));
    assert_eq!(world.proxy.calls(TOKEN), 1);
    assert!(world.draw(&world.process().await).await.is_ok());
}

#[tokio::test]
async fn after_an_unknown_outcome_nobody_waits_for_a_provider_that_counts_as_away() {
    let world = World::with(Rotation::Off, 1).await;
    let process = world.process_with(&after_failures("2")).await;
    world.proxy.fail(TOKEN, ProxyFault::CutBefore);
    world.draw(&process).await.unwrap_err();
    world.let_time_pass();
    world.proxy.go_away().await;
    assert_eq!(code(&world.draw(&process).await), AWAY);
    world.proxy.come_back().await;
    let refused = world.draw(&process).await.unwrap_err();
    assert!(refused.retry_after.unwrap() > Duration::from_mins(59));
    let unasked = r#"{endpoint="discovery",outcome="breaker_open",provider="keycloak"}"#;
    assert_eq!(process.metric(&format!("auth_manager_provider_calls_total{unasked}")), Some(1));
}
