//! A process of the service is killed at each point of a refresh; another one goes on.

use auth_manager::models::grant::GrantState;
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use test_support::ProxyFault;

use crate::realm::{ROTATIONS, Rotation};
use crate::service::Service;
use crate::world::{TOKEN, World};

/// What another process makes of it, once the dead one's call must have ended.
async fn expect_alive(world: &World) {
    let process = world.process().await;
    world.proxy.mend(TOKEN);
    world.let_time_pass();
    let drawn = world.draw(&process).await;
    assert!(drawn.is_ok(), "{:?}: {drawn:?}", world.realm.rotation);
    assert_eq!(world.row().await.state(), GrantState::Live);
    assert!(world.realm.honours(&world.token().await).await);
}

/// A strict realm has used the token up, and its successor died with the process.
async fn expect_alive_or_said(world: &World) {
    if world.realm.rotation != Rotation::Strict {
        return expect_alive(world).await;
    }
    let process = world.process().await;
    world.proxy.mend(TOKEN);
    world.let_time_pass();
    assert_eq!(world.draw(&process).await.unwrap_err().code, "token_not_active");
    assert_eq!(world.row().await.dead_reason.as_deref(), Some("outcome_unknown"));
    assert!(!world.realm.honours(&world.token().await).await);
}

/// Makes counting a presentation wait for a lock that the test holds.
const HOLD: [&str; 2] = [
    "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN PERFORM pg_advisory_xact_lock(77); RETURN NEW; END'",
    "CREATE TRIGGER hold BEFORE UPDATE OF presentations ON auth_vault FOR EACH ROW
         WHEN (NEW.presentations > OLD.presentations) EXECUTE FUNCTION hold()",
];

async fn hold_counting(world: &World) -> AsyncPgConnection {
    for statement in HOLD {
        world.run(statement).await;
    }
    let mut lock = world.database.connect().await;
    let query = diesel::sql_query("SELECT 1 FROM pg_advisory_lock(77)");
    query.execute(&mut lock).await.unwrap();
    lock
}

#[tokio::test]
async fn killed_with_the_lease_and_before_the_call_nothing_is_lost() {
    for rotation in ROTATIONS {
        let world = World::with(rotation, 1).await;
        let lock = hold_counting(&world).await;
        let service = Service::start(&world).await;
        let _drawing = service.begin(world.ids[0]);
        world.until_blocked("call_deadline").await;
        service.kill().await;
        drop(lock);
        world.until_row("its call counted", |row| row.presentations == 1).await;
        assert_eq!(world.proxy.calls(TOKEN), 0);
        expect_alive(&world).await;
        assert_eq!(world.proxy.calls(TOKEN), 1);
    }
}

#[tokio::test]
async fn killed_during_a_call_that_keycloak_never_saw_nothing_is_lost() {
    for rotation in ROTATIONS {
        let world = World::with(rotation, 1).await;
        let service = Service::start(&world).await;
        world.proxy.fail(TOKEN, ProxyFault::HoldBefore);
        let _drawing = service.begin(world.ids[0]);
        world.proxy.until_calls(TOKEN, 1).await;
        service.kill().await;
        world.proxy.fail(TOKEN, ProxyFault::CutBefore);
        let row = world.row().await;
        assert_eq!((row.state(), row.presentations), (GrantState::Live, 1));
        assert!(row.call_deadline.is_some());
        expect_alive(&world).await;
    }
}

#[tokio::test]
async fn killed_during_a_call_that_keycloak_answers_the_realm_decides() {
    for rotation in ROTATIONS {
        let world = World::with(rotation, 1).await;
        let service = Service::start(&world).await;
        world.proxy.fail(TOKEN, ProxyFault::HoldAfter);
        let _drawing = service.begin(world.ids[0]);
        world.proxy.until_answered(TOKEN, 1).await;
        service.kill().await;
        expect_alive_or_said(&world).await;
    }
}

#[tokio::test]
async fn killed_with_the_answer_and_before_the_commit_the_realm_decides() {
    for rotation in ROTATIONS {
        let world = World::with(rotation, 1).await;
        let service = Service::start(&world).await;
        world.proxy.fail(TOKEN, ProxyFault::HoldAfter);
        let _drawing = service.begin(world.ids[0]);
        world.proxy.until_answered(TOKEN, 1).await;
        let mut lock = world.database.connect().await;
        diesel::sql_query("BEGIN").execute(&mut lock).await.unwrap();
        let query = diesel::sql_query("SELECT 1 FROM auth_vault FOR UPDATE");
        query.execute(&mut lock).await.unwrap();
        world.proxy.mend(TOKEN);
        world.until_blocked("encrypted_token").await;
        service.kill().await;
        drop(lock);
        expect_alive_or_said(&world).await;
    }
}

#[tokio::test]
async fn killed_after_the_commit_the_token_is_there_for_the_next() {
    for rotation in ROTATIONS {
        let world = World::with(rotation, 1).await;
        let service = Service::start(&world).await;
        let drawing = service.begin(world.ids[0]);
        world.until_row("the successor stored", |row| row.version == 1).await;
        service.kill().await;
        drop(drawing);
        let next = world.process().await;
        assert!(world.draw(&next).await.is_ok());
        assert_eq!(world.proxy.calls(TOKEN), 1);
        world.let_time_pass();
        assert!(world.draw(&next).await.is_ok());
    }
}

#[tokio::test]
async fn a_caller_who_leaves_does_not_break_the_call_off() {
    let world = World::with(Rotation::Strict, 1).await;
    let process = world.process().await;
    world.proxy.fail(TOKEN, ProxyFault::HoldAfter);
    let drawing = process.begin(world.request());
    world.proxy.until_answered(TOKEN, 1).await;
    drawing.abort();
    world.proxy.mend(TOKEN);
    world.until_row("the successor stored", |row| row.version == 1).await;
    assert!(world.draw(&process).await.is_ok());
    assert_eq!(world.proxy.calls(TOKEN), 1);
}

#[tokio::test]
async fn a_process_that_stood_still_too_long_does_not_send_the_token_any_more() {
    let world = World::with(Rotation::Strict, 1).await;
    let process = world.process().await;
    let lock = hold_counting(&world).await;
    let drawing = process.begin(world.request());
    world.until_blocked_for("call_deadline", "1.1 seconds").await;
    drop(lock);
    assert_eq!(drawing.await.unwrap().unwrap_err().code, "provider_unavailable");
    assert_eq!(world.proxy.calls(TOKEN), 0);
    let row = world.row().await;
    assert_eq!((row.state(), row.presentations), (GrantState::Live, 0));
    assert!(world.draw(&process).await.is_ok());
}
