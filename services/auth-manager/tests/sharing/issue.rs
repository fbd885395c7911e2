use auth_manager::models::grant::TokenType;

use crate::world::{OFFLINE, TOKEN, World, token_of};

#[tokio::test]
async fn a_further_id_is_another_handle_on_the_same_grant_without_a_word_to_the_provider() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.person(&app).await;
    let first = world.consent(&app, &person).await;
    let calls = world.proxy.calls(TOKEN);
    let further = app.issue_persistent_id(&person).await.expect(200).json["data"].clone();
    assert_eq!(further["session_state_id"], person.session);
    let second = further["persistent_token_id"].as_str().unwrap();
    assert_ne!(first, second);
    assert_eq!(world.grant_of(&first).await.id, world.grant_of(second).await.id);
    assert_eq!(world.proxy.calls(TOKEN), calls);
}

#[tokio::test]
async fn where_only_an_online_grant_is_there_consent_is_required_and_its_url_leads_there() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.person(&app).await;
    let id = world.consent(&app, &person).await;
    world.run("UPDATE auth_vault SET token_type = 'refresh'").await;
    let refused = app.issue_persistent_id(&person).await.expect_error(409, "consent_required");
    let url = refused.json["details"]["consent_url"].as_str().unwrap();
    let back = person.follow(url).await;
    app.finish_offline_token(&back).await.expect(200);
    app.issue_persistent_id(&person).await.expect(200);
    assert_eq!(world.grant_of(&id).await.token_type(), TokenType::Refresh);
}

#[tokio::test]
async fn a_dead_grant_gives_no_further_id() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.person(&app).await;
    let id = world.consent(&app, &person).await;
    world.run("UPDATE auth_vault SET state = 'dead', dead_reason = 'invalid_grant'").await;
    app.issue_persistent_id(&person).await.expect_error(409, "consent_required");
    let again = world.consent(&app, &person).await;
    let grant = world.grant_of(&id).await;
    assert_eq!((&*grant.state, grant.dead_reason), ("live", None));
    assert!(world.realm.refresh(OFFLINE, &token_of(&world.grant_of(&again).await)).await.is_ok());
}

#[tokio::test]
async fn another_persons_grant_gives_no_further_id() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.person(&app).await;
    world.consent(&app, &person).await;
    let other = world.person(&app).await;
    app.issue_persistent_id(&other).await.expect_error(404, "token_not_found");
}
