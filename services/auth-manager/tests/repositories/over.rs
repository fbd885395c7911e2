//! What has expired or died: it counts for nothing at once, and goes some time later.

use auth_manager::models::account;
use auth_manager::models::grant::{self, Grant, TokenType};
use auth_manager::models::grant_lease::{self, Holder};
use auth_manager::models::user_session::{self, UserSession};
use auth_manager::models::{grant_end, sharing};
use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use uuid::Uuid;

use crate::world::{World, at, session};

impl World {
    /// A session that ends at `minute` unless it goes on.
    async fn add_session_until(&mut self, sid: &str, minute: i64) -> UserSession {
        let mut session = session(self.user, sid, 0);
        session.expires_at = Some(at(minute));
        user_session::store(&mut self.connection, &session).await.unwrap()
    }

    async fn change(&mut self, grant: &Grant, set: &str) {
        self.run(&format!("UPDATE auth_vault SET {set} WHERE id = '{}'", grant.id)).await;
    }
}

/// For SQL.
fn quoted(minute: i64) -> String {
    format!("'{}'", at(minute).to_rfc3339())
}

async fn is_there(connection: &mut AsyncPgConnection, grant: &Grant) -> bool {
    grant::find(connection, grant.id).await.unwrap().is_some()
}

#[tokio::test]
async fn a_session_is_live_until_its_time_has_run_out_and_ends_as_of_then() {
    let mut world = World::new().await;
    let over = world.add_session_until("sid-1", 10).await;
    let live = world.add_session_until("sid-2", 30).await;
    let (connection, user) = (&mut world.connection, world.user);
    for (now, expected) in [(9, vec![over.id, live.id]), (10, vec![live.id]), (30, vec![])] {
        let mut ids = user_session::list_live_ids(connection, user, at(now)).await.unwrap();
        let listed = user_session::list_live(connection, user, at(now), None, 9).await.unwrap();
        assert_eq!((ids.len(), listed.len()), (expected.len(), expected.len()));
        ids.retain(|id| !expected.contains(id));
        assert!(ids.is_empty(), "{now}");
    }
    assert_eq!(user_session::list_expired(connection, at(10), 9).await.unwrap(), [over.id]);
    assert!(user_session::expire(connection, live.id, at(10)).await.unwrap().is_none());
    let ended = user_session::expire(connection, over.id, at(12)).await.unwrap().unwrap();
    assert_eq!((ended.active, ended.ended_at, ended.has_expired()), (false, Some(at(10)), true));
    assert!(user_session::expire(connection, over.id, at(12)).await.unwrap().is_none());
    assert!(user_session::list_expired(connection, at(12), 9).await.unwrap().is_empty());
    // Another sign-in with the same sid.
    let again = world.add_session_until("sid-1", 60).await;
    assert_eq!((again.id, again.active, again.has_expired()), (over.id, true, false));
}

#[tokio::test]
async fn an_expired_session_keeps_no_tokens_of_its_account() {
    let mut world = World::new().await;
    let account = world.add_account("subject-1", 0).await;
    world.add_session_until("sid-1", 10).await;
    world.run(&format!("UPDATE user_sessions SET account_id = '{}'", account.id)).await;
    let connection = &mut world.connection;
    assert_eq!(account::clear_tokens(connection, &[account.id], at(9)).await.unwrap(), 0);
    assert_eq!(account::clear_tokens(connection, &[account.id], at(10)).await.unwrap(), 1);
}

#[tokio::test]
async fn an_expired_grant_is_nothing_that_somebody_would_lose() {
    let mut world = World::new().await;
    let grant = world.add_grant("sid-1", TokenType::Refresh, "one").await;
    world.change(&grant, &format!("grant_expires_at = {}", quoted(10))).await;
    let connection = &mut world.connection;
    for (now, good) in [(9, true), (10, false)] {
        let there = sharing::has_grant(connection, &grant.key(), at(now)).await.unwrap();
        let used = sharing::session_is_in_use(connection, "keycloak", "sid-1", at(now)).await;
        assert_eq!((there, used.unwrap()), (good, good), "{now}");
    }
}

#[tokio::test]
async fn online_grants_go_after_their_end_and_dead_ones_after_their_death() {
    let mut world = World::new().await;
    let mut grants = Vec::new();
    for (sid, kind, set) in [
        ("over", TokenType::Refresh, format!("grant_expires_at = {}", quoted(10))),
        ("used since", TokenType::Refresh, format!("grant_expires_at = {}", quoted(10))),
        ("later", TokenType::Refresh, format!("grant_expires_at = {}", quoted(30))),
        ("offline", TokenType::Offline, format!("grant_expires_at = {}", quoted(10))),
        (
            "to be revoked",
            TokenType::Refresh,
            format!("grant_expires_at = {}, state = 'revoking'", quoted(10)),
        ),
        ("dead", TokenType::Offline, "state = 'dead', dead_reason = 'expired'".to_owned()),
    ] {
        let grant = world.add_grant(sid, kind, sid).await;
        let changed = if sid == "used since" { quoted(20) } else { quoted(5) };
        world.change(&grant, &format!("{set}, updated_at = {changed}")).await;
        grants.push(grant);
    }
    let connection = &mut world.connection;
    let expired = async |connection: &mut AsyncPgConnection, minute| {
        grant_end::delete_expired(connection, at(minute), 10).await.unwrap()
    };
    assert_eq!((expired(connection, 9).await, expired(connection, 15).await), (0, 1));
    assert!(!is_there(connection, &grants[0]).await);
    for (time, gone) in [(at(4), 0), (at(5), 1), (at(9), 0)] {
        assert_eq!(grant_end::delete_dead(connection, time, 10).await.unwrap(), gone);
    }
    assert!(!is_there(connection, &grants[5]).await);
    for grant in &grants[1..5] {
        assert!(is_there(connection, grant).await, "{}", grant.session_state_id);
    }
}

/// Of a grant whose provider answers an access token and nothing else at minute 20.
async fn kept(end: Option<DateTime<Utc>>, said: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    let mut world = World::new().await;
    let grant = world.add_grant("sid-1", TokenType::Refresh, "one").await;
    let holder = Holder { grant_id: grant.id, id: Uuid::new_v4(), version: 0 };
    let end = end.map_or("NULL".to_owned(), |end| format!("'{}'", end.to_rfc3339()));
    let lease = format!("lease_holder = '{}', lease_until = now()", holder.id);
    world.change(&grant, &format!("grant_expires_at = {end}, {lease}")).await;
    let connection = &mut world.connection;
    let state = grant_lease::keep_token(connection, holder, said, at(20)).await.unwrap();
    assert_eq!(state.as_deref(), Some("live"));
    grant::find(connection, grant.id).await.unwrap().unwrap().grant_expires_at
}

#[tokio::test]
async fn a_token_that_is_kept_has_the_end_that_was_said_last_and_none_that_it_has_outlived() {
    assert_eq!(kept(Some(at(30)), Some(at(50))).await, Some(at(50)));
    assert_eq!(kept(Some(at(30)), None).await, Some(at(30)));
    assert_eq!(kept(Some(at(10)), None).await, None);
    assert_eq!(kept(None, Some(at(50))).await, Some(at(50)));
    assert_eq!(kept(None, None).await, None);
}
