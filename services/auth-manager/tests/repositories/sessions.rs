use auth_manager::models::grant::TokenType;
use auth_manager::models::session_event::{self, EventKind};
use auth_manager::models::sharing;
use auth_manager::models::user_session::{self, UserSession, Which};
use uuid::Uuid;

use crate::world::{World, at, session};

fn ids(sessions: &[UserSession]) -> Vec<Uuid> {
    sessions.iter().map(|session| session.id).collect()
}

#[tokio::test]
async fn a_session_is_stored_once_for_a_sid_and_begins_again_after_its_end() {
    let mut world = World::new().await;
    let first = world.add_session("sid-1", 0).await;
    let connection = &mut world.connection;
    user_session::end(connection, Which::Provider("keycloak", "sid-1"), at(1)).await.unwrap();
    let again = world.add_session("sid-1", 5).await;
    assert_eq!((again.id, again.active, again.ended_at), (first.id, true, None));
    assert_eq!((again.created_at, again.last_accessed_at), (at(0), at(5)));
    let mut elsewhere = session(world.user, "sid-1", 5);
    elsewhere.provider = Some("partner".to_owned());
    let elsewhere = user_session::store(&mut world.connection, &elsewhere).await.unwrap();
    assert_ne!(elsewhere.id, first.id);
}

#[tokio::test]
async fn a_session_is_found_with_its_tokens_and_without() {
    let mut world = World::new().await;
    let session = world.add_session("sid-1", 0).await;
    world.add_session("sid-3", 0).await;
    let own = world.add_grant("sid-1", TokenType::Refresh, "one").await;
    let consented = world.add_grant("sid-2", TokenType::Offline, "two").await;
    world
        .run(&format!(
            "UPDATE auth_vault SET consent_session_id = 'sid-1' WHERE id = '{}'",
            consented.id
        ))
        .await;
    world.add_grant("sid-4", TokenType::Refresh, "three").await;
    let (stranger, user) = (world.add_user().await, world.user);
    let connection = &mut world.connection;
    let found = user_session::find(connection, user, session.id).await.unwrap();
    assert_eq!(found.unwrap().user_agent.as_deref(), Some("an agent"));
    assert!(user_session::find(connection, stranger, session.id).await.unwrap().is_none());
    let grants = sharing::list_of_session(connection, user, "keycloak", "sid-1").await.unwrap();
    let (mut grants, mut expected): (Vec<Uuid>, _) =
        (grants.iter().map(|grant| grant.id).collect(), [own.id, consented.id]);
    grants.sort();
    expected.sort();
    assert_eq!(grants, expected);
    for (owner, sid) in [(user, "sid-3"), (stranger, "sid-1")] {
        let none = sharing::list_of_session(connection, owner, "keycloak", sid).await.unwrap();
        assert!(none.is_empty(), "{sid}");
    }
    let by_sid = user_session::find_by_provider_session(connection, "keycloak", "sid-1").await;
    assert_eq!(by_sid.unwrap().unwrap().id, session.id);
}

#[tokio::test]
async fn uses_and_refreshes_are_noted_on_live_sessions_only() {
    let mut world = World::new().await;
    let session = world.add_session("sid-1", 0).await;
    let (connection, user) = (&mut world.connection, world.user);
    let refreshed =
        user_session::touch_refreshed(connection, "keycloak", "sid-1", Some(at(90)), at(2));
    assert!(refreshed.await.unwrap());
    let found = user_session::find(connection, user, session.id).await.unwrap().unwrap();
    assert_eq!((found.expires_at, found.updated_at), (Some(at(90)), at(2)));
    // Used within the minute already.
    assert_eq!(user_session::touch_accessed(connection, found.id, at(1), at(3)).await.unwrap(), 0);
    assert_eq!(user_session::touch_accessed(connection, found.id, at(3), at(4)).await.unwrap(), 1);
    let found = user_session::find(connection, user, session.id).await.unwrap().unwrap();
    assert_eq!(found.last_accessed_at, at(4));
    user_session::end(connection, Which::One(user, session.id), at(5)).await.unwrap();
    let refreshed = user_session::touch_refreshed(connection, "keycloak", "sid-1", None, at(6));
    assert!(!refreshed.await.unwrap());
}

#[tokio::test]
async fn sessions_end_one_by_one_by_account_by_sid_and_all_at_once() {
    let mut world = World::new().await;
    let account = world.add_account("subject-1", 0).await;
    let one = world.add_session("sid-1", 1).await;
    let by_sid = world.add_session("sid-2", 2).await;
    let mut of_account = session(world.user, "sid-3", 3);
    of_account.account_id = Some(account.id);
    user_session::store(&mut world.connection, &of_account).await.unwrap();
    let last = world.add_session("sid-4", 4).await;
    let (stranger, user) = (world.add_user().await, world.user);
    let connection = &mut world.connection;
    let page = user_session::list_live(connection, user, at(9), None, 2).await.unwrap();
    assert_eq!(ids(&page), [last.id, of_account.id]);
    let before = Some((page[1].created_at, page[1].id));
    let page = user_session::list_live(connection, user, at(9), before, 9).await.unwrap();
    assert_eq!(ids(&page), [by_sid.id, one.id]);
    for (which, ended) in [
        (Which::One(stranger, one.id), vec![]),
        (Which::One(user, one.id), vec![one.id]),
        (Which::One(user, one.id), vec![]),
        (Which::Provider("partner", "sid-2"), vec![]),
        (Which::Provider("keycloak", "sid-2"), vec![by_sid.id]),
        (Which::Account(account.id), vec![of_account.id]),
        (Which::User(user), vec![last.id]),
    ] {
        let sessions = user_session::end(connection, which, at(9)).await.unwrap();
        assert_eq!(ids(&sessions), ended, "{which:?}");
        assert!(sessions.iter().all(|session| !session.active && session.ended_at == Some(at(9))));
    }
    assert!(user_session::list_live_ids(connection, user, at(9)).await.unwrap().is_empty());
    // Forgotten later, with their events.
    assert_eq!(user_session::delete_ended(connection, at(8), 10).await.unwrap(), 0);
    assert_eq!(user_session::delete_ended(connection, at(9), 3).await.unwrap(), 3);
    assert_eq!(user_session::delete_ended(connection, at(9), 3).await.unwrap(), 1);
}

#[tokio::test]
async fn events_are_listed_newest_first_and_so_many_of_each_session() {
    let mut world = World::new().await;
    let sessions = [world.add_session("sid-1", 0).await.id, world.add_session("sid-2", 0).await.id];
    let connection = &mut world.connection;
    for (kind, reason) in [
        (EventKind::SignedIn, None),
        (EventKind::Consented, None),
        (EventKind::Ended, Some("user")),
    ] {
        session_event::insert(connection, &sessions, kind, reason, at(1)).await.unwrap();
    }
    let events = session_event::list(connection, sessions[0], 2).await.unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["ended", "consented"]);
    assert_eq!(events[0].reason.as_deref(), Some("user"));
    let events = session_event::list_of_each(connection, &sessions, 1).await.unwrap();
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event.kind == "ended"));
}
