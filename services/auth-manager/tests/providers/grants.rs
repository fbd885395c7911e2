//! Ways in which a grant dies, and what is only said to be its fault.

use std::time::Duration;

use auth_manager::providers::Fault;
use reqwest::Method;
use serde_json::{Value, json};
use test_support::{TestRealm, eventually};

use crate::log;
use crate::world::{LOGIN, OFFLINE, World, refresh_token};

/// The word for its death, none where it lives.
async fn death(world: &World, client_id: &str, token: &str) -> Option<&'static str> {
    match world.provider().refresh(client_id, token, None).await {
        Ok(_) => None,
        Err(Fault::GrantDead { code, .. }) => Some(code),
        Err(other) => panic!("{other:?}"),
    }
}

async fn misconfigured(world: &World, token: &str) -> String {
    match world.provider().refresh(OFFLINE, token, None).await {
        Err(Fault::Misconfigured(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_grant_that_was_revoked_is_dead_and_revoking_it_again_succeeds() {
    let world = World::new().await;
    let token = world.offline_token().await;
    assert_eq!(death(&world, OFFLINE, &token).await, None);
    for _ in 0..2 {
        world.provider().revoke(OFFLINE, &token).await.unwrap();
    }
    world.provider().revoke(OFFLINE, "never.issued.here").await.unwrap();
    assert_eq!(death(&world, OFFLINE, &token).await, Some("session_ended"));
    assert_eq!(world.calls("revocation", "ok"), 3);
    assert_eq!(world.calls("refresh", "grant_dead"), 1);
}

#[tokio::test]
async fn a_grant_whose_session_was_ended_is_dead() {
    let world = World::new().await;
    let token = world.offline_token().await;
    let session = world.realm.offline_sessions(&world.user, OFFLINE).await;
    world.realm.end_offline_session(&session[0]).await;
    assert_eq!(death(&world, OFFLINE, &token).await, Some("session_ended"));
}

#[tokio::test]
async fn a_refresh_token_past_its_time_is_dead() {
    let world = World::with(&json!({ "ssoSessionMaxLifespan": 2 }), "", &[]).await;
    let token = refresh_token(&world.sign_in().await);
    // The session may end within the second before.
    eventually("its end", async || {
        death(&world, LOGIN, &token).await.filter(|word| *word == "expired")
    })
    .await;
}

#[tokio::test]
async fn a_token_presented_once_too_often_is_dead() {
    let strict = json!({ "revokeRefreshToken": true, "refreshTokenMaxReuse": 0 });
    let world = World::with(&strict, "refresh_token_max_reuse = 0", &[]).await;
    assert_eq!(world.provider().max_presentations(), Some(1));
    let token = world.offline_token().await;
    assert_eq!(death(&world, OFFLINE, &token).await, None);
    assert_eq!(death(&world, OFFLINE, &token).await, Some("reuse_exceeded"));
}

#[tokio::test]
async fn a_grant_of_a_person_who_may_no_longer_is_dead() {
    let world = World::new().await;
    let token = world.offline_token().await;
    world.realm.change_user(&world.user, &json!({ "enabled": false })).await;
    assert_eq!(death(&world, OFFLINE, &token).await, Some("user_disabled"));
    world.realm.change_user(&world.user, &json!({ "enabled": true })).await;
    assert_eq!(death(&world, OFFLINE, &token).await, None);

    let consent = format!("/users/{}/consents/{OFFLINE}", world.user.id);
    world.realm.call(Method::DELETE, &consent, None).await;
    assert_eq!(death(&world, OFFLINE, &token).await, Some("session_ended"));
}

#[tokio::test]
async fn a_grant_is_dead_to_a_client_that_is_not_its_own() {
    let world = World::new().await;
    let token = world.offline_token().await;
    assert_eq!(death(&world, LOGIN, &token).await, Some("invalid_token"));
    assert_eq!(death(&world, OFFLINE, &token).await, None);
}

#[tokio::test]
async fn our_own_client_refused_is_no_fault_of_the_grant() {
    let world = World::new().await;
    let token = world.offline_token().await;
    let good = json!({ "enabled": true, "secret": TestRealm::secret(OFFLINE) });
    let changes: [Value; 2] = [json!({ "enabled": false }), json!({ "secret": "changed there" })];
    for change in changes {
        world.realm.change_client(OFFLINE, &change).await;
        let reason = misconfigured(&world, &token).await;
        assert!(reason.starts_with("refresh: "), "{reason}");
        assert!(log::says("provider_misconfigured", &[&world.name, &reason]), "{reason}");
        let revoked = world.provider().revoke(OFFLINE, &token).await;
        assert!(matches!(revoked, Err(Fault::Misconfigured(_))), "{revoked:?}");
        world.realm.change_client(OFFLINE, &good).await;
    }
    world.realm.change(&json!({ "enabled": false })).await;
    misconfigured(&world, &token).await;
    world.realm.change(&json!({ "enabled": true })).await;
    assert_eq!(world.calls("refresh", "misconfigured"), 3);
    assert_eq!(death(&world, OFFLINE, &token).await, None);
}

#[tokio::test]
async fn a_scope_that_there_is_not_is_refused_and_kills_nothing() {
    let world = World::new().await;
    let token = world.offline_token().await;
    let refused = world.provider().refresh(OFFLINE, &token, Some("openid nothing-like-it")).await;
    assert!(matches!(refused, Err(Fault::Refused { .. })), "{refused:?}");
    assert_eq!(death(&world, OFFLINE, &token).await, None);
}

#[tokio::test]
async fn an_access_token_is_asked_about_until_its_session_ends() {
    let world = World::new().await;
    let (provider, answer) = (world.provider(), world.sign_in().await);
    let said = provider.introspect(answer.access_token.expose()).await.unwrap().unwrap();
    assert_eq!((said.subject, said.client_id.as_str()), (world.user.id.clone(), LOGIN));
    assert_eq!(said.session_state_id, world.realm.sessions(&world.user).await.pop());
    let left = said.expires_at - world.clock.now();
    assert!(left.to_std().unwrap() > Duration::from_secs(290));
    world.realm.end_session(&said.session_state_id.unwrap()).await;
    assert!(provider.introspect(answer.access_token.expose()).await.unwrap().is_none());
    assert!(provider.introspect("no token").await.unwrap().is_none());
    // It is not asked about refresh tokens, so that none passes for an access token.
    assert!(provider.introspect(&refresh_token(&answer)).await.unwrap().is_none());
}
