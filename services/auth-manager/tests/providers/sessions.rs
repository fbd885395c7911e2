//! The end of sessions by the admin API.

use auth_manager::providers::Fault;
use test_support::ProxyFault;

use crate::realm_keys::{retire, rotate};
use crate::world::{LOGIN, TOKEN, World, refresh_token};

/// A path that names a session.
fn path(session: &str) -> &'static str {
    format!("/sessions/{session}").leak()
}

#[tokio::test]
async fn sessions_end_with_one_service_token_for_all_of_them() {
    let world = World::new().await;
    let (first, second) = (world.sign_in().await, world.sign_in().await);
    assert_eq!(world.realm.sessions(&world.user).await.len(), 2);
    for session in world.realm.sessions(&world.user).await {
        // Again, and of one that never was, it is as good.
        for _ in 0..2 {
            world.provider().end_session(&session).await.unwrap();
        }
    }
    world.provider().end_session("none-of-this-realms-own-").await.unwrap();
    assert!(world.realm.sessions(&world.user).await.is_empty());
    assert_eq!(world.calls("service_token", "ok"), 1);
    assert_eq!(world.calls("end_session", "ok"), 5);
    for answer in [first, second] {
        let dead = world.provider().refresh(LOGIN, &refresh_token(&answer), None).await;
        assert!(matches!(dead, Err(Fault::GrantDead { .. })), "{dead:?}");
    }
}

#[tokio::test]
async fn a_service_token_that_is_refused_is_renewed_once() {
    let world = World::new().await;
    world.provider().end_session("none-of-this-realms-own-").await.unwrap();
    // Its signature is nobody's any more, as after a restart with other keys.
    rotate(&world.realm).await;
    retire(&world.realm).await;
    world.sign_in().await;
    let session = world.realm.sessions(&world.user).await.pop().unwrap();
    let before = world.proxy.calls(path(&session));
    world.provider().end_session(&session).await.unwrap();
    assert!(world.realm.sessions(&world.user).await.is_empty());
    assert_eq!(world.calls("service_token", "ok"), 2);
    assert_eq!(world.proxy.calls(path(&session)), before + 2);
}

#[tokio::test]
async fn a_service_account_that_is_refused_again_is_an_operators_business() {
    let world = World::new().await;
    let (session, tokens) = ("none-of-this-realms-own-", world.proxy.calls(TOKEN));
    world.proxy.fail(path(session), ProxyFault::Answer(401, ""));
    let refused = world.provider().end_session(session).await;
    assert!(matches!(refused, Err(Fault::Misconfigured(_))), "{refused:?}");
    assert_eq!((world.proxy.calls(path(session)), world.proxy.calls(TOKEN)), (2, tokens + 2));
    world.proxy.fail(path(session), ProxyFault::Answer(403, ""));
    let forbidden = world.provider().end_session(session).await;
    assert!(matches!(forbidden, Err(Fault::Misconfigured(_))), "{forbidden:?}");
    world.proxy.fail(path(session), ProxyFault::Answer(503, ""));
    let away = world.provider().end_session(session).await;
    assert!(matches!(away, Err(Fault::Away { .. })), "{away:?}");
    world.realm.change_client("latchkey-admin", &serde_json::json!({ "enabled": false })).await;
    world.proxy.fail(path(session), ProxyFault::Answer(401, ""));
    let ours = world.provider().end_session(session).await;
    assert!(matches!(ours, Err(Fault::Misconfigured(_))), "{ours:?}");
}
