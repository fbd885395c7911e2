use serde_json::json;
use test_support::{ProxyFault, TestRealm, eventually};

use crate::app::App;
use crate::world::{LOGIN, OFFLINE, REVOKE, SESSIONS, TOKEN, World, token_of};

async fn until_depth(app: &App, depth: i64) {
    let line = "auth_manager_outbox_depth ";
    eventually("the depth", async || (app.metric(line).await == Some(depth)).then_some(())).await;
}

#[tokio::test]
async fn a_provider_that_is_away_hears_it_when_it_is_back() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.person(&app).await;
    let id = world.consent(&app, &person).await;
    let token = token_of(&world.grant_of(&id).await);
    world.proxy.fail(REVOKE, ProxyFault::CutBefore);
    let answer = app.revoke_persistent_id(&person, &id).await.expect(200).json["data"].clone();
    assert_eq!((&answer["pending"], &answer["token_revoked"]), (&true.into(), &false.into()));
    assert_eq!(answer["reason"], "provider_away");
    app.revoke_persistent_id(&person, &id).await.expect_error(404, "token_not_found");
    until_depth(&app, 1).await;
    let waiting = "provider_calls WHERE last_error = 'away' AND state = 'pending'";
    world.until(waiting, 1).await;
    assert!(world.realm.refresh(OFFLINE, &token).await.is_ok());
    world.proxy.mend(REVOKE);
    world.let_pass(600);
    world.until("auth_vault", 0).await;
    assert!(world.realm.refresh(OFFLINE, &token).await.is_err());
    until_depth(&app, 0).await;
}

#[tokio::test]
async fn a_provider_that_refuses_us_leaves_the_entry_in_sight() {
    let world = World::on(TestRealm::create(&json!({})).await.into()).await;
    let app = world.app().await;
    let person = world.person(&app).await;
    let id = world.consent(&app, &person).await;
    let secret = |secret: &str| json!({ "secret": secret });
    world.realm.change_client(OFFLINE, &secret("changed there")).await;
    let answer = app.revoke_persistent_id(&person, &id).await.expect(200).json["data"].clone();
    assert_eq!((&answer["pending"], &answer["reason"]), (&true.into(), &"provider_refuses".into()));
    until_depth(&app, 1).await;
    assert_eq!(world.count("provider_calls WHERE last_error = 'misconfigured'").await, 1);
    world.realm.change_client(OFFLINE, &secret(&TestRealm::secret(OFFLINE))).await;
    world.let_pass(3600);
    world.until("auth_vault", 0).await;
    until_depth(&app, 0).await;
}

#[tokio::test]
async fn a_call_whose_process_ended_in_the_middle_is_made_again_by_the_next() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.stranger(&app).await;
    let id = world.consent(&app, &person).await;
    world.proxy.fail(REVOKE, ProxyFault::HoldBefore);
    let revoking = app.begin_revoke(&person, &id);
    world.proxy.until_calls(REVOKE, 1).await;
    app.stop().await;
    assert!(revoking.await.is_err() || world.count("auth_vault").await == 1);
    assert_eq!(world.count("provider_calls WHERE state = 'calling'").await, 1);
    let next = world.app().await;
    // Its mark holds until the call must have ended.
    until_depth(&next, 1).await;
    assert_eq!(world.proxy.calls(REVOKE), 1);
    world.proxy.mend(REVOKE);
    world.let_pass(60);
    world.until("auth_vault", 0).await;
    world.until("provider_calls WHERE state <> 'ended'", 0).await;
    assert!(world.realm.refresh(LOGIN, &person.refresh_token).await.is_err());
    assert_eq!(world.proxy.calls(SESSIONS), 1);
}

#[tokio::test]
async fn a_session_that_could_not_be_ended_is_ended_later() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.stranger(&app).await;
    let id = world.consent(&app, &person).await;
    world.proxy.fail(SESSIONS, ProxyFault::CutBefore);
    let answer = app.revoke_persistent_id(&person, &id).await.expect(200).json["data"].clone();
    assert_eq!(
        (&answer["token_revoked"], &answer["session_revoked"]),
        (&true.into(), &false.into())
    );
    assert_eq!(answer["pending"], true);
    world.proxy.mend(SESSIONS);
    world.let_pass(600);
    world.until("provider_calls WHERE state <> 'ended'", 0).await;
    assert!(world.realm.refresh(LOGIN, &person.refresh_token).await.is_err());
}

#[tokio::test]
async fn what_was_heard_is_remembered_for_minutes_and_no_longer() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.person(&app).await;
    let id = world.consent(&app, &person).await;
    let answer = app.revoke_persistent_id(&person, &id).await.expect(200);
    assert_eq!(answer.json["data"]["token_revoked"], true);
    assert_eq!(world.count("provider_calls WHERE state = 'ended'").await, 1);
    world.let_pass(180);
    // No token is tried for its sake any more.
    let traded = world.proxy.calls(TOKEN);
    world.consent(&app, &person).await;
    assert_eq!(world.proxy.calls(TOKEN), traded + 1);
    // A replica cleans at its start.
    let _next = world.app().await;
    world.until("provider_calls", 0).await;
}
