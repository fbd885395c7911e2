//! However many want something of a provider at once, few connections lead there.

use auth_manager::providers::Fault;
use futures_util::future::join_all;
use serde_json::json;
use test_support::{ProxyFault, eventually};

use crate::world::{OFFLINE, TOKEN, World};

/// With so many connections, and calls that may take so long.
async fn world(connections: &str, timeout: &str) -> (World, String) {
    let settings = [
        ("AUTH_MANAGER__PROVIDERS__CONNECTIONS", connections),
        ("AUTH_MANAGER__PROVIDERS__TIMEOUT", timeout),
    ];
    let world = World::with(&json!({}), "", &settings).await;
    let token = world.offline_token().await;
    (world, token)
}

fn waiting(world: &World) -> u64 {
    world.metric(&format!(r#"auth_manager_provider_calls_waiting{{provider="{}"}}"#, world.name))
}

#[tokio::test]
async fn many_calls_share_as_many_connections_as_configured_and_all_are_answered() {
    let (world, token) = world("3", "20s").await;
    let before = world.proxy.calls(TOKEN);
    world.proxy.fail(TOKEN, ProxyFault::HoldBefore);
    let refreshing = (0..40).map(|_| world.provider().refresh(OFFLINE, &token, None));
    let meanwhile = async {
        eventually("the others wait", async || (waiting(&world) == 37).then_some(())).await;
        world.proxy.until_calls(TOKEN, before + 3).await;
        world.proxy.mend(TOKEN);
    };
    let (refreshed, ()) = tokio::join!(join_all(refreshing), meanwhile);
    for answer in refreshed {
        answer.unwrap();
    }
    assert_eq!((world.proxy.most_at_once(), waiting(&world)), (3, 0));
}

#[tokio::test]
async fn a_token_whose_turn_does_not_come_in_time_was_not_sent() {
    let (world, token) = world("1", "6s").await;
    let before = world.proxy.calls(TOKEN);
    world.proxy.fail(TOKEN, ProxyFault::HoldBefore);
    let held = world.provider().refresh(OFFLINE, &token, None);
    let other = async {
        world.proxy.until_calls(TOKEN, before + 1).await;
        let refreshed = world.provider().refresh(OFFLINE, &token, None).await;
        assert!(matches!(refreshed, Err(Fault::Away { sent: false, .. })), "{refreshed:?}");
        world.proxy.mend(TOKEN);
    };
    let (held, ()) = tokio::join!(held, other);
    held.unwrap();
    assert_eq!(world.proxy.calls(TOKEN), before + 1);
    assert_eq!(world.calls("refresh", "no_connection"), 1);
    assert_eq!(waiting(&world), 0);
}
