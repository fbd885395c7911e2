//! Keycloak is away, slow, cut off, or answers nonsense. Nothing that it would still honour is
//! lost, and what is lost is said.

use auth_manager::models::grant::GrantState;
use test_support::{ProxyFault, TestRealm, eventually};

use crate::process::Drawn;
use crate::realm::{CLIENT, LOGIN, ROTATIONS, Rotation};
use crate::world::{TOKEN, World};

pub(crate) fn code(drawn: &Drawn) -> (u16, &'static str) {
    let problem = drawn.as_ref().unwrap_err();
    (problem.status.as_u16(), problem.code)
}

const DISCOVERY: &str = "/.well-known/openid-configuration";
pub(crate) const AWAY: (u16, &str) = (503, "provider_unavailable");
const DEAD: (u16, &str) = (401, "token_not_active");

/// After a call that Keycloak has used the token for, and whose answer never came.
async fn expect_what_the_realm_allows(world: &World) {
    let process = world.process().await;
    world.proxy.mend(TOKEN);
    world.let_time_pass();
    let drawn = world.draw(&process).await;
    if world.realm.rotation == Rotation::Strict {
        assert_eq!(code(&drawn), DEAD);
        let row = world.row().await;
        assert_eq!(row.state(), GrantState::Dead);
        assert_eq!(row.dead_reason.as_deref(), Some("outcome_unknown"));
        assert_eq!(row.presentations, 2);
        assert!(!world.realm.honours(&world.token().await).await);
    } else {
        assert!(drawn.is_ok(), "{drawn:?}");
        assert_eq!(world.row().await.state(), GrantState::Live);
        assert!(world.realm.honours(&world.token().await).await);
    }
}

#[tokio::test]
async fn a_provider_that_refuses_connections_costs_the_row_nothing() {
    for rotation in ROTATIONS {
        let world = World::with(rotation, 1).await;
        let process = world.process().await;
        world.draw(&process).await.unwrap();
        world.let_time_pass();
        let before = world.row().await;
        world.proxy.go_away().await;
        let drawn = world.draw(&process).await;
        assert_eq!(code(&drawn), AWAY);
        assert!(drawn.unwrap_err().retry_after.is_some());
        let after = world.row().await;
        assert_eq!(after.state(), GrantState::Live);
        assert_eq!((after.presentations, after.version), (0, before.version));
        assert_eq!((after.lease_holder, after.call_deadline), (None, None));
        world.proxy.come_back().await;
        assert!(world.draw(&process).await.is_ok());
    }
}

#[tokio::test]
async fn a_discovery_that_fails_leaves_the_token_unsent() {
    for rotation in ROTATIONS {
        let world = World::with(rotation, 1).await;
        let process = world.process().await;
        world.proxy.fail(DISCOVERY, ProxyFault::Answer(503, ""));
        assert_eq!(code(&world.draw(&process).await), AWAY);
        let row = world.row().await;
        assert_eq!((row.state(), row.presentations), (GrantState::Live, 0));
        assert_eq!((row.lease_holder, row.call_deadline), (None, None));
        world.proxy.mend(DISCOVERY);
        assert!(world.draw(&process).await.is_ok());
        assert_eq!(world.proxy.calls(TOKEN), 1);
    }
}

#[tokio::test]
async fn a_call_cut_off_before_keycloak_saw_it_loses_no_grant() {
    for rotation in ROTATIONS {
        let world = World::with(rotation, 1).await;
        let process = world.process().await;
        world.proxy.fail(TOKEN, ProxyFault::CutBefore);
        assert_eq!(code(&world.draw(&process).await), AWAY);
        let row = world.row().await;
        assert_eq!((row.state(), row.presentations), (GrantState::OutcomeUnknown, 1));
        world.proxy.mend(TOKEN);
        world.let_time_pass();
        assert!(world.draw(&process).await.is_ok());
        assert_eq!((world.row().await.state(), world.row().await.version), (GrantState::Live, 1));
    }
}

#[tokio::test]
async fn an_answer_cut_off_is_asked_for_once_more() {
    for rotation in ROTATIONS {
        let world = World::with(rotation, 1).await;
        world.proxy.fail(TOKEN, ProxyFault::CutAfter);
        assert_eq!(code(&world.draw(&world.process().await).await), AWAY);
        expect_what_the_realm_allows(&world).await;
    }
}

#[tokio::test]
async fn nonsense_is_no_answer() {
    for rotation in ROTATIONS {
        let world = World::with(rotation, 1).await;
        world.proxy.fail(TOKEN, ProxyFault::Garble("<html></html>"));
        assert_eq!(code(&world.draw(&world.process().await).await), AWAY);
        expect_what_the_realm_allows(&world).await;
    }
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_none() {
    for rotation in ROTATIONS {
        let world = World::with(rotation, 1).await;
        world.proxy.fail(TOKEN, ProxyFault::HoldAfter);
        assert_eq!(code(&world.draw(&world.process().await).await), AWAY);
        expect_what_the_realm_allows(&world).await;
    }
}

#[tokio::test]
async fn a_keycloak_that_stood_still_may_use_the_token_when_it_goes_on() {
    for rotation in ROTATIONS {
        let world = World::with(rotation, 1).await;
        world.proxy.fail(TOKEN, ProxyFault::HoldBefore);
        assert_eq!(code(&world.draw(&world.process().await).await), AWAY);
        world.proxy.mend(TOKEN);
        world.proxy.until_answered(TOKEN, 1).await;
        expect_what_the_realm_allows(&world).await;
    }
}

#[tokio::test]
async fn a_successor_is_kept_while_the_database_takes_no_token() {
    let world = World::with(Rotation::Strict, 1).await;
    for statement in [
        "CREATE SEQUENCE refusals",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM nextval(''refusals''); RAISE EXCEPTION ''not now''; END'",
        "CREATE TRIGGER refuse BEFORE UPDATE OF encrypted_token ON auth_vault FOR EACH ROW
             EXECUTE FUNCTION refuse()",
    ] {
        world.run(statement).await;
    }
    let process = world.process().await;
    let drawing = process.begin(world.request());
    eventually("a refusal", async || world.refusals().await).await;
    world.run("DROP TRIGGER refuse ON auth_vault").await;
    assert!(drawing.await.unwrap().is_ok());
    assert_eq!(world.proxy.calls(TOKEN), 1);
    assert!(world.realm.honours(&world.token().await).await);
}

#[tokio::test]
async fn while_an_unanswered_call_may_go_on_the_token_is_not_sent_again() {
    let world = World::with(Rotation::OneReuse, 1).await;
    let process = world.process().await;
    world.proxy.fail(TOKEN, ProxyFault::CutBefore);
    world.draw(&process).await.unwrap_err();
    world.proxy.mend(TOKEN);
    let waiting = process.begin(world.request());
    eventually("somebody who waits", async || {
        process.metric(r#"auth_manager_leases_total{outcome="waited"}"#)
    })
    .await;
    assert_eq!(world.proxy.calls(TOKEN), 1);
    world.let_time_pass();
    assert!(waiting.await.unwrap().is_ok());
    assert_eq!(world.proxy.calls(TOKEN), 2);
}

#[tokio::test]
async fn after_an_unknown_outcome_a_provider_that_is_away_is_not_sent_the_token() {
    let world = World::with(Rotation::Strict, 1).await;
    let process = world.process().await;
    world.proxy.fail(TOKEN, ProxyFault::CutBefore);
    world.draw(&process).await.unwrap_err();
    world.let_time_pass();
    world.proxy.go_away().await;
    assert_eq!(code(&world.draw(&process).await), AWAY);
    assert_eq!(world.row().await.presentations, 1);
    world.proxy.come_back().await;
    world.proxy.mend(TOKEN);
    assert!(world.draw(&process).await.is_ok());
}

#[tokio::test]
async fn a_token_is_never_sent_a_third_time_where_one_use_is_allowed() {
    let world = World::with(Rotation::Strict, 1).await;
    let process = world.process().await;
    world.proxy.fail(TOKEN, ProxyFault::CutBefore);
    for _ in 0..2 {
        assert_eq!(code(&world.draw(&process).await), AWAY);
        world.let_time_pass();
    }
    assert_eq!(code(&world.draw(&process).await), DEAD);
    assert_eq!(world.proxy.calls(TOKEN), 2);
    assert_eq!(world.row().await.dead_reason.as_deref(), Some("outcome_unknown"));
}

#[tokio::test]
async fn a_slow_answer_keeps_its_lease_and_serves_all_processes() {
    let world = World::with(Rotation::Strict, 2).await;
    let (first, second) = (world.process().await, world.process().await);
    world.proxy.fail(TOKEN, ProxyFault::HoldAfter);
    let asking = first.begin(world.request());
    world.proxy.until_answered(TOKEN, 1).await;
    let lease = world.row().await.lease_until;
    let waiting = second.begin(world.request());
    world
        .until_row("a lease renewed twice", |row| {
            row.lease_until > lease.map(|until| until + chrono::TimeDelta::milliseconds(300))
        })
        .await;
    world.proxy.mend(TOKEN);
    let (asked, waited) = (asking.await.unwrap().unwrap(), waiting.await.unwrap().unwrap());
    assert_eq!(asked.token.expose(), waited.token.expose());
    assert_eq!(world.proxy.calls(TOKEN), 1);
    assert_eq!(second.metric(r#"auth_manager_leases_total{outcome="waited"}"#), Some(1));
}

#[tokio::test]
async fn whoever_waits_too_long_for_others_is_told_when_to_come_back() {
    let world = World::with(Rotation::Off, 1).await;
    let first = world.process().await;
    let second = world.process_with(&[("AUTH_MANAGER__DRAW__WAIT", "1s")]).await;
    world.proxy.fail(TOKEN, ProxyFault::HoldBefore);
    let asking = first.begin(world.request());
    world.proxy.until_calls(TOKEN, 1).await;
    let drawn = world.draw(&second).await;
    assert_eq!(code(&drawn), AWAY);
    assert!(drawn.unwrap_err().retry_after.is_some());
    world.proxy.mend(TOKEN);
    assert!(asking.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_session_that_keycloak_has_lost_is_a_dead_grant() {
    let world = World::with(Rotation::Off, 1).await;
    let process = world.process().await;
    world.draw(&process).await.unwrap();
    world.realm.end_session(&world.session, true).await;
    world.let_time_pass();
    assert_eq!(code(&world.draw(&process).await), DEAD);
    let row = world.row().await;
    assert_eq!(row.state(), GrantState::Dead);
    assert_eq!(row.dead_reason.as_deref(), Some("session_ended"));
    assert_eq!(code(&world.draw(&process).await), DEAD);
    assert_eq!(world.proxy.calls(TOKEN), 2);
}

#[tokio::test]
async fn a_secret_of_ours_that_is_wrong_is_no_fault_of_the_grant() {
    for rotation in ROTATIONS {
        let world = World::with(rotation, 1).await;
        world.name_provider(LOGIN, "another-development-secret", "");
        let process = world.process().await;
        for _ in 0..3 {
            assert_eq!(code(&world.draw(&process).await), (502, "provider_misconfigured"));
        }
        let row = world.row().await;
        assert_eq!((row.state(), row.presentations), (GrantState::Live, 0));
        world.name_provider(LOGIN, &TestRealm::secret(CLIENT), "");
        assert!(world.draw(&world.process().await).await.is_ok());
    }
}
