//! A revocation that waits because the provider would end the grant of the other token type too.

use auth_manager::models::grant::TokenType;
use serde_json::json;
use test_support::TestRealm;

use crate::app::App;
use crate::person::Person;
use crate::world::{LOGIN, OFFLINE, World, token_of};

const WAITING: &str = "auth_vault WHERE state = 'revoking'";
const EXPIRE: &str = "UPDATE auth_vault SET grant_expires_at = now() - interval '1 minute'
     WHERE token_type = 'refresh'";

/// An offline grant and an online one of the same client and session.
struct Both {
    person: Person,
    offline: String,
    online: String,
    /// The offline one's.
    token: String,
}

impl Both {
    async fn new(world: &World, app: &App) -> Self {
        Self::of(world, app, world.person(app).await).await
    }

    async fn of(world: &World, app: &App, person: Person) -> Self {
        let offline = world.consent(app, &person).await;
        let grant = world.grant_of(&offline).await;
        let session = &grant.session_state_id;
        let online = world.add_grant(&grant, session, TokenType::Refresh, "an online token").await;
        Self { person, offline, online, token: token_of(&grant) }
    }

    /// The offline one is given up, and waits for the other.
    async fn wait(&self, world: &World, app: &App) {
        let answer = app.revoke_persistent_id(&self.person, &self.offline).await.expect(200);
        assert_eq!(answer.json["data"]["reason"], "shared_session");
        let waiting = format!("{WAITING} AND subject = '{}'", self.person.subject);
        assert_eq!((world.count(&waiting).await, world.count("provider_calls").await), (1, 0));
        assert!(world.realm.refresh(OFFLINE, &self.token).await.is_ok());
    }

    async fn until_revoked(&self, world: &World) {
        world.until(WAITING, 0).await;
        assert!(world.realm.refresh(OFFLINE, &self.token).await.is_err());
    }
}

#[tokio::test]
async fn it_is_made_when_the_other_grant_goes_with_a_logout() {
    let world = World::on(TestRealm::create(&json!({})).await.into()).await;
    let app = world.app().await;
    let url = json!({ "backchannel.logout.url": app.url("backchannel-logout") });
    world.realm.change_client(LOGIN, &json!({ "attributes": url })).await;
    let both = Both::new(&world, &app).await;
    assert_eq!(world.grant_of(&both.online).await.session_state_id, both.person.session);
    both.wait(&world, &app).await;
    world.realm.end_session(&both.person.session).await;
    both.until_revoked(&world).await;
    assert_eq!(world.count("auth_vault").await, 0);
}

#[tokio::test]
async fn it_is_made_when_the_other_grant_dies() {
    let world = World::new().await;
    let app = world.app().await;
    let both = Both::new(&world, &app).await;
    both.wait(&world, &app).await;
    // Keycloak knows no such token.
    app.draw(&both.person, &both.online).await.expect_error(401, "token_not_active");
    both.until_revoked(&world).await;
    assert_eq!(world.count("auth_vault WHERE state = 'dead'").await, 1);
}

#[tokio::test]
async fn it_is_made_when_the_other_grant_has_expired() {
    let world = World::new().await;
    let app = world.app().await;
    let both = Both::new(&world, &app).await;
    both.wait(&world, &app).await;
    world.run(EXPIRE).await;
    // A replica looks at its start.
    let _next = world.app().await;
    both.until_revoked(&world).await;
}

#[tokio::test]
async fn it_goes_on_waiting_while_the_other_grant_is_good() {
    let world = World::new().await;
    let app = world.app().await;
    let both = Both::new(&world, &app).await;
    both.wait(&world, &app).await;
    let other = Both::new(&world, &app).await;
    other.wait(&world, &app).await;
    world.run(&format!("{EXPIRE} AND subject = '{}'", other.person.subject)).await;
    let _next = world.app().await;
    world.until(WAITING, 1).await;
    assert!(world.realm.refresh(OFFLINE, &both.token).await.is_ok());
}

#[tokio::test]
async fn an_expired_grant_shares_nothing_and_keeps_no_session() {
    let world = World::new().await;
    let app = world.app().await;
    let both = Both::of(&world, &app, world.stranger(&app).await).await;
    world.run(EXPIRE).await;
    let answer = app.revoke_persistent_id(&both.person, &both.offline).await.expect(200);
    let data = &answer.json["data"];
    assert_eq!((&data["token_revoked"], &data["shared_with"]), (&json!(true), &json!(0)));
    assert_eq!((&data["session_revoked"], &data["pending"]), (&json!(true), &json!(false)));
    both.until_revoked(&world).await;
}
