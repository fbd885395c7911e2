use auth_manager::models::grant::GrantState;
use test_support::{Answer, Browser};

use crate::app::App;
use crate::person::{Parameters, Person};
use crate::world::{OFFLINE, REVOKE, TOKEN, World, token_of};

async fn consent_url(app: &App, person: &Person) -> String {
    let answer = app.request_offline_token(person).await.expect(200);
    answer.json["data"]["consent_url"].as_str().unwrap().to_owned()
}

fn with(parameters: &Parameters, name: &str, value: &str) -> Parameters {
    let mut changed = parameters.clone();
    changed.insert(name.to_owned(), value.to_owned());
    changed
}

fn without(parameters: &Parameters, name: &str) -> Parameters {
    let mut changed = parameters.clone();
    changed.remove(name);
    changed
}

#[tokio::test]
async fn consent_in_the_signed_in_browser_stores_an_offline_grant_of_the_same_session() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.person(&app).await;
    let asked = app.request_offline_token(&person).await.expect(200).json["data"].clone();
    assert_eq!(asked["session_state_id"], person.session);
    assert!(asked["message"].is_string());
    let back = person.follow(asked["consent_url"].as_str().unwrap()).await;
    assert_eq!(back["state"], asked["state_token"].as_str().unwrap());
    let stored = app.finish_offline_token(&back).await.expect(200);
    assert_eq!(stored.json["data"]["session_state_id"], person.session);
    let grant = world.grant_of(stored.json["data"]["persistent_token_id"].as_str().unwrap()).await;
    assert_eq!((grant.state(), &*grant.token_type), (GrantState::Live, "offline"));
    assert_eq!((&grant.subject, &*grant.client_id), (&person.subject, OFFLINE));
    assert!(world.realm.refresh(OFFLINE, &token_of(&grant)).await.is_ok());
    assert_eq!(world.count("session_events WHERE kind = 'consented'").await, 1);
}

#[tokio::test]
async fn a_second_consent_of_the_session_takes_the_first_ones_place_under_both_ids() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.person(&app).await;
    let first = world.consent(&app, &person).await;
    let before = world.grant_of(&first).await;
    let second = world.consent(&app, &person).await;
    let after = world.grant_of(&first).await;
    assert_eq!(after.id, world.grant_of(&second).await.id);
    assert_ne!(before.token_hash, after.token_hash);
    assert_eq!((after.version, after.presentations), (before.version + 1, 0));
}

#[tokio::test]
async fn a_callback_without_its_code_or_with_a_bad_used_or_old_state_is_refused() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.person(&app).await;
    let url = consent_url(&app, &person).await;
    let back = person.follow(&url).await;
    let refused = app.finish_offline_token(&without(&back, "code")).await;
    refused.expect(400);
    for wrong in [without(&back, "state"), with(&back, "state", "forged")] {
        app.finish_offline_token(&wrong).await.expect_error(400, "invalid_state_token");
    }
    app.finish_offline_token(&back).await.expect(200);
    app.finish_offline_token(&back).await.expect_error(400, "invalid_state_token");
    let url = consent_url(&app, &person).await;
    let late = person.follow(&url).await;
    world.let_pass(601);
    app.finish_offline_token(&late).await.expect_error(400, "invalid_state_token");
    assert_eq!(world.proxy.calls(TOKEN), 1);
}

#[tokio::test]
async fn an_answer_of_another_issuer_or_of_none_is_refused_and_its_code_not_traded() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.person(&app).await;
    for change in [
        |back: &Parameters| without(back, "iss"),
        |back: &Parameters| with(back, "iss", "https://other.example/realms/latchkey"),
    ] {
        let url = consent_url(&app, &person).await;
        let back = change(&person.follow(&url).await);
        app.finish_offline_token(&back).await.expect_error(400, "invalid_state_token");
    }
    assert_eq!(world.proxy.calls(TOKEN), 0);
}

#[tokio::test]
async fn what_the_provider_refuses_is_said_in_details() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.person(&app).await;
    let url = consent_url(&app, &person).await;
    let denied = person.refuse(&url).await;
    let refused = app.finish_offline_token(&denied).await.expect_error(400, "provider_error");
    assert_eq!(refused.json["details"]["error"], "access_denied");
    let url = consent_url(&app, &person).await;
    let back = with(&person.follow(&url).await, "code", "no-code-at-all");
    let refused = app.finish_offline_token(&back).await.expect_error(400, "provider_error");
    assert_eq!(refused.json["details"]["error"], "invalid_grant");
    assert_eq!(world.count("auth_vault").await, 0);
}

/// Somebody's URL, followed by somebody else.
async fn taken_over(app: &App, from: &Person, by: &Person) -> Answer {
    let url = consent_url(app, from).await;
    let back = by.follow(&url).await;
    app.finish_offline_token(&back).await
}

#[tokio::test]
async fn a_callback_for_the_wrong_user_throws_its_token_away_and_revokes_it() {
    let world = World::new().await;
    let app = world.app().await;
    let asking = world.person(&app).await;
    let other = world.person(&app).await;
    taken_over(&app, &asking, &other).await.expect_error(400, "invalid_state_token");
    assert_eq!((world.count("auth_vault").await, world.proxy.calls(REVOKE)), (0, 1));
}

#[tokio::test]
async fn a_callback_for_the_wrong_user_leaves_the_grant_that_this_user_has_here() {
    let world = World::new().await;
    let app = world.app().await;
    let asking = world.person(&app).await;
    let other = world.person(&app).await;
    let id = world.consent(&app, &other).await;
    taken_over(&app, &asking, &other).await.expect_error(400, "invalid_state_token");
    assert_eq!((world.count("auth_vault").await, world.proxy.calls(REVOKE)), (1, 0));
    let token = token_of(&world.grant_of(&id).await);
    assert!(world.realm.refresh(OFFLINE, &token).await.is_ok());
}

#[tokio::test]
async fn another_browser_brings_another_sid_and_both_find_the_grant() {
    let world = World::new().await;
    let app = world.app().await;
    let mut person = world.person(&app).await;
    let url = consent_url(&app, &person).await;
    person.browser = Browser::new();
    let back = person.follow(&url).await;
    let stored = app.finish_offline_token(&back).await.expect(200);
    let grant = world.grant_of(stored.json["data"]["persistent_token_id"].as_str().unwrap()).await;
    assert_ne!(grant.session_state_id, person.session);
    assert_eq!(grant.consent_session_id.as_deref(), Some(&*person.session));
    let further = app.issue_persistent_id(&person).await.expect(200);
    assert_eq!(further.json["data"]["session_state_id"], grant.session_state_id);
}
