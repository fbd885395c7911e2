use auth_manager::models::grant::TokenType;
use serde_json::Value;
use test_support::Answer;

use crate::app::App;
use crate::person::Person;
use crate::races::LEASE;
use crate::world::{LOGIN, OFFLINE, REVOKE, SESSIONS, World, token_of};

fn data(answer: Answer) -> Value {
    answer.expect(200).json["data"].clone()
}

async fn further_id(app: &App, person: &Person) -> String {
    let data = data(app.issue_persistent_id(person).await);
    data["persistent_token_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn only_the_last_id_of_a_grant_revokes_it_and_the_sign_in_goes_on() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.person(&app).await;
    let first = world.consent(&app, &person).await;
    let second = further_id(&app, &person).await;
    let token = token_of(&world.grant_of(&first).await);
    let answer = data(app.revoke_persistent_id(&person, &first).await);
    assert_eq!(answer["shared_with"], 1);
    assert_eq!(
        (&answer["token_revoked"], &answer["reason"]),
        (&false.into(), &"shared_grant".into())
    );
    assert_eq!(world.proxy.calls(REVOKE), 0);
    app.revoke_persistent_id(&person, &first).await.expect_error(404, "token_not_found");
    let answer = data(app.revoke_persistent_id(&person, &second).await);
    assert_eq!((&answer["token_revoked"], &answer["shared_with"]), (&true.into(), &0.into()));
    assert_eq!((&answer["session_revoked"], &answer["pending"]), (&false.into(), &false.into()));
    assert_eq!((world.proxy.calls(REVOKE), world.proxy.calls(SESSIONS)), (1, 0));
    assert_eq!(world.count("auth_vault").await, 0);
    assert!(world.realm.refresh(OFFLINE, &token).await.is_err());
    assert!(world.realm.refresh(LOGIN, &person.refresh_token).await.is_ok());
}

#[tokio::test]
async fn the_session_ends_with_its_last_grant_where_nobody_of_ours_is_in_it() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.stranger(&app).await;
    let id = world.consent(&app, &person).await;
    let answer = data(app.revoke_persistent_id(&person, &id).await);
    assert_eq!(
        (&answer["token_revoked"], &answer["session_revoked"]),
        (&true.into(), &true.into())
    );
    assert!(world.realm.refresh(LOGIN, &person.refresh_token).await.is_err());
}

#[tokio::test]
async fn the_session_stays_where_configuration_says_so() {
    let world = World::new().await;
    let app = world.app_with(&[("AUTH_MANAGER__VAULT__END_SESSION", "false")]).await;
    let person = world.stranger(&app).await;
    let id = world.consent(&app, &person).await;
    let answer = data(app.revoke_persistent_id(&person, &id).await);
    assert_eq!(
        (&answer["token_revoked"], &answer["session_revoked"]),
        (&true.into(), &false.into())
    );
    assert!(world.realm.refresh(LOGIN, &person.refresh_token).await.is_ok());
}

#[tokio::test]
async fn an_id_is_revoked_by_its_own_user_alone() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.person(&app).await;
    let id = world.consent(&app, &person).await;
    let other = world.person(&app).await;
    app.revoke_persistent_id(&other, &id).await.expect_error(404, "token_not_found");
    app.revoke_persistent_id(&other, "no-uuid").await.expect(400);
    assert_eq!((world.count("persistent_tokens").await, world.proxy.calls(REVOKE)), (1, 0));
}

#[tokio::test]
async fn the_other_token_type_of_the_same_client_and_session_shares() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.person(&app).await;
    let offline = world.consent(&app, &person).await;
    let grant = world.grant_of(&offline).await;
    let token = token_of(&grant);
    let session = &grant.session_state_id;
    let online = world.add_grant(&grant, session, TokenType::Refresh, "an online token").await;
    let answer = data(app.revoke_persistent_id(&person, &offline).await);
    assert_eq!((&answer["shared_with"], &answer["reason"]), (&1.into(), &"shared_session".into()));
    assert!(world.realm.refresh(OFFLINE, &token).await.is_ok());
    assert_eq!(world.count("auth_vault WHERE state = 'revoking'").await, 1);
    let answer = data(app.revoke_persistent_id(&person, &online).await);
    assert_eq!((&answer["token_revoked"], &answer["pending"]), (&true.into(), &false.into()));
    assert!(world.realm.refresh(OFFLINE, &token).await.is_err());
    assert_eq!(world.count("auth_vault").await, 0);
}

#[tokio::test]
async fn an_equal_token_in_another_row_shares() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.person(&app).await;
    let own = world.consent(&app, &person).await;
    let grant = world.grant_of(&own).await;
    let token = token_of(&grant);
    let other = world.add_grant(&grant, "an older session", TokenType::Offline, &token).await;
    let answer = data(app.revoke_persistent_id(&person, &own).await);
    assert_eq!((&answer["shared_with"], &answer["reason"]), (&1.into(), &"shared_token".into()));
    assert_eq!((world.proxy.calls(REVOKE), world.count("auth_vault").await), (0, 1));
    let answer = data(app.revoke_persistent_id(&person, &other).await);
    assert_eq!(answer["token_revoked"], true);
    assert!(world.realm.refresh(OFFLINE, &token).await.is_err());
}

#[tokio::test]
async fn an_answer_says_what_became_of_the_grant_while_its_revocation_waited() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.person(&app).await;
    let id = world.consent(&app, &person).await;
    let grant = world.grant_of(&id).await;
    world.run(LEASE).await;
    let revoking = app.begin_revoke(&person, &id);
    world.until("provider_calls", 1).await;
    let session = &grant.session_state_id;
    let online = world.add_grant(&grant, session, TokenType::Refresh, "an online token").await;
    world.run("UPDATE auth_vault SET lease_holder = NULL, lease_until = NULL").await;
    let answer = data(revoking.await.unwrap());
    assert_eq!((&answer["shared_with"], &answer["reason"]), (&1.into(), &"shared_session".into()));

    world.run(LEASE).await;
    let revoking = app.begin_revoke(&person, &online);
    world.until("provider_calls", 2).await;
    // As with a logout that is heard.
    world.run("DELETE FROM auth_vault").await;
    let answer = data(revoking.await.unwrap());
    assert_eq!((&answer["token_revoked"], &answer["pending"]), (&false.into(), &false.into()));
    assert_eq!(answer["reason"], "over");
    assert_eq!(world.proxy.calls(REVOKE), 0);
}
