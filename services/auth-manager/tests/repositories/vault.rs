use auth_manager::models::grant::{self, Grant, GrantState, TokenType};
use auth_manager::models::grant_upsert;
use auth_manager::models::persistent_token::{self, PersistentToken};
use auth_manager::models::sharing::{self, GrantFilter};
use diesel_async::AsyncPgConnection;
use serde_json::json;
use uuid::Uuid;

use crate::world::{World, at, grant};

fn ids(grants: &[Grant]) -> Vec<Uuid> {
    grants.iter().map(|grant| grant.id).collect()
}

async fn add_id(connection: &mut AsyncPgConnection, grant: &Grant, minute: i64) -> Uuid {
    let token = PersistentToken {
        id: Uuid::new_v4(),
        grant_id: grant.id,
        user_id: grant.user_id,
        session_state_id: grant.session_state_id.clone(),
        created_at: at(minute),
        last_used_at: None,
    };
    persistent_token::insert(connection, &token).await.unwrap();
    token.id
}

#[tokio::test]
async fn a_grant_is_found_by_id_by_key_by_token_and_by_session() {
    let mut world = World::new().await;
    let online = world.add_grant("sid-1", TokenType::Refresh, "one").await;
    let offline = world.add_grant("sid-1", TokenType::Offline, "two").await;
    let asked_from = world.add_grant("sid-2", TokenType::Offline, "three").await;
    world
        .run(&format!(
            "UPDATE auth_vault SET consent_session_id = 'sid-1', updated_at = updated_at + '1 hour'
             WHERE id = '{}'",
            asked_from.id
        ))
        .await;
    let (stranger, user) = (world.add_user().await, world.user);
    let connection = &mut world.connection;
    let found = grant::find(connection, online.id).await.unwrap().unwrap();
    assert_eq!((found.state(), found.token_type()), (GrantState::Live, TokenType::Refresh));
    assert!(grant::find(connection, Uuid::new_v4()).await.unwrap().is_none());
    let by_key = grant::find_by_key(connection, &online.key(), TokenType::Offline).await.unwrap();
    assert_eq!(by_key.unwrap().id, offline.id);
    let by_key =
        grant::find_by_key(connection, &asked_from.key(), TokenType::Refresh).await.unwrap();
    assert!(by_key.is_none());
    let of_session = sharing::list_of_session(connection, user, "keycloak", "sid-1").await.unwrap();
    assert_eq!((of_session.len(), of_session[0].id), (3, asked_from.id));
    let theirs = sharing::list_of_session(connection, stranger, "keycloak", "sid-1").await.unwrap();
    assert!(theirs.is_empty());
    for (token_type, expected) in [(None, 2), (Some(TokenType::Offline), 1)] {
        let filter =
            GrantFilter::Session { provider: "keycloak", session_state_id: "sid-1", token_type };
        assert_eq!(sharing::list_matching(connection, filter).await.unwrap().len(), expected);
    }
}

#[tokio::test]
async fn the_same_token_is_found_by_its_hash_while_its_grant_is_good() {
    let mut world = World::new().await;
    let first = world.add_grant("sid-1", TokenType::Refresh, "one").await;
    let (stranger, user) = (world.add_user().await, world.user);
    for (state, found) in
        [("live", true), ("outcome_unknown", true), ("revoking", false), ("dead", false)]
    {
        let reason = if state == "dead" { "'expired'" } else { "NULL" };
        world
            .run(&format!("UPDATE auth_vault SET state = '{state}', dead_reason = {reason}"))
            .await;
        let connection = &mut world.connection;
        let hash = b"hash of one";
        let known = grant_upsert::find_duplicate(connection, user, "keycloak", hash).await.unwrap();
        assert_eq!(known.map(|grant| grant.id), found.then_some(first.id), "{state}");
        for (user, provider, hash) in [
            (stranger, "keycloak", b"hash of one"),
            (user, "partner", b"hash of one"),
            (user, "keycloak", b"hash of two"),
        ] {
            let known = grant_upsert::find_duplicate(connection, user, provider, hash).await;
            assert!(known.unwrap().is_none());
        }
    }
}

#[tokio::test]
async fn a_session_has_one_grant_whose_newer_token_takes_the_older_one_s_place() {
    let mut world = World::new().await;
    let first = world.add_grant("sid-1", TokenType::Refresh, "one").await;
    let holder = Uuid::new_v4();
    world
        .run(&format!(
            "UPDATE auth_vault SET state = 'dead', dead_reason = 'expired', presentations = 2,
                 lease_holder = '{holder}', lease_until = now(), metadata = '{{\"a\": 1}}'"
        ))
        .await;
    // The same one again moves neither version nor lease.
    let connection = &mut world.connection;
    assert_eq!(grant_upsert::upsert(connection, &first).await.unwrap(), first.id);
    let same = grant::find(connection, first.id).await.unwrap().unwrap();
    assert_eq!((same.version, same.lease_holder), (0, Some(holder)));
    let mut newer = grant(world.user, "sid-1", TokenType::Refresh, "two");
    newer.metadata = json!({ "b": 2 });
    newer.updated_at = at(7);
    assert_eq!(grant_upsert::upsert(connection, &newer).await.unwrap(), first.id);
    let stored = grant::find(connection, first.id).await.unwrap().unwrap();
    assert_eq!(stored.encrypted_token, newer.encrypted_token);
    assert_eq!((stored.version, stored.presentations, stored.lease_holder), (1, 0, None));
    assert_eq!((stored.state(), stored.dead_reason.clone()), (GrantState::Live, None));
    assert_eq!((stored.created_at, stored.updated_at), (at(0), at(7)));
    assert_eq!(stored.metadata, json!({ "a": 1, "b": 2 }));
    let other = grant(world.user, "sid-2", TokenType::Refresh, "three");
    assert_eq!(grant_upsert::upsert(connection, &other).await.unwrap(), other.id);
}

#[tokio::test]
async fn a_person_s_ids_are_listed_with_their_grants_and_go_with_them() {
    let mut world = World::new().await;
    let online = world.add_grant("sid-1", TokenType::Refresh, "one").await;
    let offline = world.add_grant("sid-1", TokenType::Offline, "two").await;
    let (stranger, user) = (world.add_user().await, world.user);
    let connection = &mut world.connection;
    let oldest = add_id(connection, &online, 1).await;
    let middle = add_id(connection, &offline, 2).await;
    let newest = add_id(connection, &offline, 3).await;
    let page = persistent_token::list_of_user(connection, user, None, 2).await.unwrap();
    let listed: Vec<_> = page.iter().map(|(token, head)| (token.id, head.id)).collect();
    assert_eq!(listed, [(newest, offline.id), (middle, offline.id)]);
    let before = Some((page[1].0.created_at, page[1].0.id));
    let page = persistent_token::list_of_user(connection, user, before, 2).await.unwrap();
    assert_eq!(page[0].0.id, oldest);
    assert!(persistent_token::find_of_user(connection, oldest, stranger).await.unwrap().is_none());
    let asked = [middle, newest, Uuid::new_v4()];
    let found = persistent_token::list_for_draws(connection, asked, [""]).await.unwrap();
    let mut found: Vec<_> = found.iter().map(|(id, head, _)| (*id, head.id)).collect();
    found.sort_by_key(|(id, _)| *id != middle);
    assert_eq!(found, [(middle, offline.id), (newest, offline.id)]);

    let good = sharing::list_online(connection, user, "keycloak").await.unwrap();
    assert_eq!(ids(&good), [online.id]);
    let moved = grant_upsert::move_ids(connection, &[online.id], offline.id).await.unwrap();
    assert_eq!(moved, 1);
    assert_eq!(sharing::delete(connection, &[offline.id]).await.unwrap(), 1);
    let left = persistent_token::list_of_user(connection, user, None, 9).await.unwrap();
    assert!(left.is_empty());
    assert!(sharing::has_grant(connection, &online.key(), at(0)).await.unwrap());
    assert_eq!(sharing::delete(connection, &[online.id]).await.unwrap(), 1);
    assert!(!sharing::has_grant(connection, &online.key(), at(0)).await.unwrap());
}

#[tokio::test]
async fn a_scope_is_learnt_once() {
    let mut world = World::new().await;
    let known = world.add_grant("sid-1", TokenType::Refresh, "one").await;
    let unknown = world.add_grant("sid-2", TokenType::Refresh, "two").await;
    world.run(&format!("UPDATE auth_vault SET scope = '' WHERE id = '{}'", unknown.id)).await;
    let connection = &mut world.connection;
    assert_eq!(grant::learn_scope(connection, known.id, "email").await.unwrap(), 0);
    assert_eq!(grant::learn_scope(connection, unknown.id, "email").await.unwrap(), 1);
    assert_eq!(grant::learn_scope(connection, unknown.id, "profile").await.unwrap(), 0);
    assert_eq!(grant::find(connection, unknown.id).await.unwrap().unwrap().scope, "email");
}
