use auth_manager::import::{Tally, account_vault};
use diesel_async::SimpleAsyncConnection as _;
use test_support::eventually;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::world::{World, token, token_at};

const PLAIN: &str = "user_sessions WHERE refresh_token IS NOT NULL OR id_token IS NOT NULL \
                     OR access_token IS NOT NULL";

pub(crate) async fn add_user(world: &World, keycloak_id: Option<&str>) -> Uuid {
    let id = Uuid::new_v4();
    let keycloak_id = keycloak_id.map_or("NULL".to_owned(), |id| format!("'{id}'"));
    world.run(&format!("INSERT INTO users VALUES ('{id}', {keycloak_id}, now())")).await;
    id
}

pub(crate) async fn add_session(world: &World, user: Uuid, refresh_token: &str) -> Uuid {
    let id = Uuid::new_v4();
    world
        .run(&format!(
            "INSERT INTO user_sessions (id, user_id, access_token, refresh_token, id_token,
                 access_token_expires_at, created_at, updated_at, last_accessed_at)
             VALUES ('{id}', '{user}', 'access', '{refresh_token}', 'id', now() + '1 hour', now(),
                 now(), now())"
        ))
        .await;
    id
}

pub(crate) async fn import(world: &World, dry_run: bool) -> Tally {
    let mut heard = 0;
    let tally = account_vault(&world.importer(dry_run), &mut |_| heard += 1).await.unwrap();
    assert_eq!(heard, tally.total);
    tally
}

#[tokio::test]
async fn plain_tokens_move_into_the_vault_and_no_grant_is_lost() {
    let world = World::start().await;
    let known = add_user(&world, Some("subject-1")).await;
    let unknown = add_user(&world, None).await;
    let own = unknown.to_string();
    add_session(&world, known, &token("Refresh", "subject-1", "sid-1", "a")).await;
    add_session(&world, known, &token("Offline", "subject-1", "sid-2", "b")).await;
    add_session(&world, unknown, &token("Refresh", &own, "sid-3", "c")).await;
    let tally = import(&world, true).await;
    assert_eq!((tally.migrated, tally.total), (3, 3));
    assert_eq!((world.count("auth_vault").await, world.count(PLAIN).await), (0, 3));

    let tally = import(&world, false).await;
    assert_eq!((tally.migrated, tally.skipped, tally.errors.len()), (3, 0, 0));
    assert_eq!(world.count(PLAIN).await, 0);
    assert_eq!(world.count("auth_vault WHERE account_id IS NOT NULL").await, 3);
    assert_eq!(world.count("auth_vault WHERE token_type = 'offline'").await, 1);
    assert_eq!(world.count("persistent_tokens").await, 3);
    assert_eq!(world.count("drawn_tokens").await, 3);
    assert_eq!(world.count("user_sessions WHERE provider_session_id IS NOT NULL").await, 3);
    assert_eq!(world.count("session_events WHERE kind = 'imported'").await, 3);
    let subjects = "SELECT string_agg(subject, ',' ORDER BY subject = 'subject-1') FROM accounts";
    assert_eq!(world.text(subjects).await, format!("{own},subject-1"));
    assert_eq!(import(&world, false).await, Tally::default());
}

#[tokio::test]
async fn a_row_that_fails_is_named_and_left_whole_and_a_duplicate_is_skipped() {
    let world = World::start().await;
    let user = add_user(&world, Some("subject-1")).await;
    let good = token("Refresh", "subject-1", "sid-1", "a");
    add_session(&world, user, &good).await;
    add_session(&world, user, &good).await;
    let malformed = add_session(&world, user, "garbage").await;
    let foreign = add_session(&world, user, &token("Refresh", "else", "sid-2", "b")).await;
    let tally = import(&world, false).await;
    assert_eq!((tally.migrated, tally.skipped, tally.total), (1, 1, 4));
    assert_eq!(rows(&tally.errors), sorted([malformed, foreign]));
    assert!(tally.errors.iter().all(|(_, reason)| !reason.contains("garbage")));
    assert_eq!(world.count(PLAIN).await, 2);
    assert_eq!(world.count("auth_vault").await, 1);
    assert_eq!(import(&world, false).await.errors.len(), 2);
}

fn rows(named: &[(String, String)]) -> Vec<String> {
    sorted(named.iter().map(|(row, _)| row))
}

fn sorted<T: ToString>(rows: impl IntoIterator<Item = T>) -> Vec<String> {
    let mut rows: Vec<String> = rows.into_iter().map(|row| row.to_string()).collect();
    rows.sort();
    rows
}

#[tokio::test]
async fn of_several_tokens_of_one_grant_the_newest_stays_and_the_others_are_named() {
    let world = World::start().await;
    let user = add_user(&world, Some("subject-1")).await;
    let oldest = add_session(&world, user, &token_at(1_700_000_100, "sid-1")).await;
    add_session(&world, user, &token_at(1_700_000_300, "sid-1")).await;
    let older = add_session(&world, user, &token_at(1_700_000_200, "sid-1")).await;
    add_session(&world, user, &token_at(1_700_000_100, "sid-2")).await;
    let foreseen = import(&world, true).await;
    assert_eq!(world.count("auth_vault").await, 0);
    let tally = import(&world, false).await;
    assert_eq!(tally, foreseen);
    assert_eq!((tally.migrated, tally.skipped, tally.total), (2, 0, 4));
    assert_eq!(rows(&tally.replaced), sorted([oldest, older]));
    assert_eq!(world.token_of("sid-1").await, token_at(1_700_000_300, "sid-1"));
    assert_eq!(world.count("auth_vault").await, 2);
    // Nobody holds the ids that the others would have had.
    assert_eq!(world.count("persistent_tokens").await, 2);
    assert_eq!(world.count(PLAIN).await, 0);
    let newest = "SELECT extract(epoch FROM last_refresh_at)::bigint FROM accounts";
    assert_eq!(world.text(newest).await, "1700000300");
}

#[tokio::test]
async fn what_a_later_sign_in_stored_stays_and_what_is_older_gives_way() {
    let world = World::start().await;
    let user = add_user(&world, Some("subject-1")).await;
    add_session(&world, user, &token_at(1_700_000_200, "sid-1")).await;
    assert_eq!(import(&world, false).await.migrated, 1);
    // As the service itself stores it.
    world.run("UPDATE auth_vault SET metadata = '{}'").await;
    let older = add_session(&world, user, &token_at(1_700_000_100, "sid-1")).await;
    let tally = import(&world, false).await;
    assert_eq!(rows(&tally.replaced), sorted([older]));
    assert!(tally.replaced[0].1.contains("the vault has a newer token"), "{tally:?}");
    assert_eq!(world.token_of("sid-1").await, token_at(1_700_000_200, "sid-1"));
    let newer = add_session(&world, user, &token_at(1_700_000_300, "sid-1")).await;
    let tally = import(&world, false).await;
    assert_eq!(rows(&tally.replaced), sorted([newer]));
    assert!(tally.replaced[0].1.contains("took the place"), "{tally:?}");
    assert_eq!(world.token_of("sid-1").await, token_at(1_700_000_300, "sid-1"));
    assert_eq!(world.count("auth_vault WHERE version = 1").await, 1);
}

#[tokio::test]
async fn empty_tokens_are_none() {
    let world = World::start().await;
    let user = add_user(&world, Some("subject-1")).await;
    let nothing = add_session(&world, user, "").await;
    let some = add_session(&world, user, &token_at(1_700_000_100, "sid-1")).await;
    world
        .run(&format!(
            "UPDATE user_sessions SET access_token = '', id_token = '';
             UPDATE user_sessions SET access_token = ' ' WHERE id = '{nothing}';
             UPDATE user_sessions SET id_token = '' WHERE id = '{some}'"
        ))
        .await;
    let tally = import(&world, false).await;
    assert_eq!((tally.migrated, tally.skipped, tally.total), (1, 1, 2));
    assert_eq!(world.count("drawn_tokens").await, 0);
    assert_eq!(world.count("accounts WHERE sealed_id_token IS NULL").await, 1);
    assert_eq!(world.count(PLAIN).await, 0);
}

#[tokio::test]
async fn a_grant_that_is_being_revoked_waits_for_another_run() {
    let world = World::start().await;
    let user = add_user(&world, Some("subject-1")).await;
    let waiting = add_session(&world, user, &token_at(1_700_000_100, "sid-1")).await;
    world
        .run(
            "INSERT INTO provider_calls (id, kind, provider, subject, client_id, session_state_id,
                 next_at, created_at)
             VALUES (gen_random_uuid(), 'end_session', 'keycloak', 'subject-1', 'login', 'sid-1',
                 now(), now())",
        )
        .await;
    let tally = import(&world, false).await;
    assert_eq!(rows(&tally.errors), sorted([waiting]));
    assert_eq!((world.count(PLAIN).await, world.count("auth_vault").await), (1, 0));
    world.run("DELETE FROM provider_calls").await;
    assert_eq!(import(&world, false).await.migrated, 1);
}

#[tokio::test]
async fn an_import_that_is_broken_off_goes_on_where_it_was() {
    let world = World::start().await;
    let user = add_user(&world, Some("subject-1")).await;
    for number in 0..5 {
        add_session(&world, user, &token_at(1_700_000_000, &format!("sid-{number}"))).await;
    }
    let importer = world.importer(false);
    let moved = Notify::new();
    let mut tell = |tally: &Tally| {
        if tally.migrated == 2 {
            moved.notify_one();
        }
    };
    tokio::select! {
        biased;
        () = moved.notified() => {}
        done = account_vault(&importer, &mut tell) => panic!("not broken off: {done:?}"),
    }
    let left = world.count(PLAIN).await;
    assert!((2..=3).contains(&left), "{left}");
    // The first one's connection, and its lock with it, go as soon as the server notices.
    let rest = eventually("the lock is free", async || {
        account_vault(&world.importer(false), &mut |_| ()).await.ok()
    })
    .await;
    assert_eq!((rest.migrated, rest.errors.len()), (rest.total, 0));
    assert_eq!((world.count("auth_vault").await, world.count(PLAIN).await), (5, 0));
}

#[tokio::test]
async fn one_import_runs_at_a_time() {
    let world = World::start().await;
    let mut other = world.database.connect().await;
    other.batch_execute("SELECT pg_advisory_lock(7305790123)").await.unwrap();
    let refused = account_vault(&world.importer(true), &mut |_| ()).await;
    assert_eq!(refused, Err("another import is running on this database".to_owned()));
    other.batch_execute("SELECT pg_advisory_unlock(7305790123)").await.unwrap();
    assert_eq!(import(&world, true).await, Tally::default());
}

#[tokio::test]
async fn where_the_plain_columns_are_gone_there_is_nothing_to_import() {
    let world = World::start().await;
    world
        .run(
            "ALTER TABLE user_sessions DROP COLUMN access_token, DROP COLUMN refresh_token,
                 DROP COLUMN id_token",
        )
        .await;
    assert_eq!(import(&world, true).await, Tally::default());
    assert_eq!(import(&world, false).await, Tally::default());
}
