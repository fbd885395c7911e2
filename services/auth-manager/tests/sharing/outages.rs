//! The database goes away, or takes no token, once a code was traded: what came is stored in the
//! end, or revoked.

use serde_json::json;
use test_support::{Answer, ProxyFault, TcpProxy, TestRealm, eventually};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::app::App;
use crate::person::{Parameters, Person};
use crate::world::{OFFLINE, REVOKE, TOKEN, World, token_of};

/// No row gets in; how often that was tried is counted.
const REFUSE: [&str; 3] = [
    "CREATE SEQUENCE refusals",
    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN PERFORM nextval(''refusals''); RAISE EXCEPTION ''not now''; END'",
    "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE OF encrypted_token ON auth_vault FOR EACH ROW
         EXECUTE FUNCTION refuse()",
];
const TAKE: &str = "DROP TRIGGER refuse ON auth_vault";

async fn refuse(world: &World) {
    for statement in REFUSE {
        world.run(statement).await;
    }
}

async fn until_refused(world: &World) {
    let refused = async || (world.count("refusals WHERE is_called").await > 0).then_some(());
    eventually("a refusal", refused).await;
}

async fn consent_at_hand(app: &App, person: &Person) -> Parameters {
    let asked = app.request_offline_token(person).await.expect(200).json["data"].clone();
    person.follow(asked["consent_url"].as_str().unwrap()).await
}

/// The answer's id draws on a token that Keycloak honours.
async fn expect_alive(world: &World, answer: Answer) {
    let stored = answer.expect(200);
    let id = stored.json["data"]["persistent_token_id"].as_str().unwrap().to_owned();
    let token = token_of(&world.grant_of(&id).await);
    assert!(world.realm.refresh(OFFLINE, &token).await.is_ok());
    assert_eq!((world.count("auth_vault").await, world.count("persistent_tokens").await), (1, 1));
}

#[tokio::test]
async fn a_consent_is_stored_though_the_database_was_away_when_its_token_came() {
    let world = World::new().await;
    let database = TcpProxy::start(world.database.url()).await;
    let url = database.url(world.database.url());
    let app = world.app_with(&[("AUTH_MANAGER__DATABASE__URL", &url)]).await;
    let person = world.person(&app).await;
    let back = consent_at_hand(&app, &person).await;
    world.proxy.fail(TOKEN, ProxyFault::HoldAfter);
    let storing = app.begin_finish(&back);
    world.proxy.until_answered(TOKEN, 1).await;
    database.cut();
    world.proxy.mend(TOKEN);
    app.issue_persistent_id(&person).await.expect_error(503, "database_unavailable");
    database.mend();
    expect_alive(&world, storing.await.unwrap()).await;
    assert_eq!((world.proxy.calls(TOKEN), world.proxy.calls(REVOKE)), (1, 0));
}

#[tokio::test]
async fn a_successor_that_trying_a_token_brought_is_kept_while_the_database_takes_none() {
    let rotating = json!({ "revokeRefreshToken": true, "refreshTokenMaxReuse": 0 });
    let world = World::on(TestRealm::shared(&rotating).await).await;
    let app = world.app().await;
    let person = world.person(&app).await;
    let id = world.consent(&app, &person).await;
    app.revoke_persistent_id(&person, &id).await.expect(200);
    let traded = world.proxy.calls(TOKEN);
    let back = consent_at_hand(&app, &person).await;
    refuse(&world).await;
    let storing = app.begin_finish(&back);
    until_refused(&world).await;
    // The code, and its token tried at once, since a revocation has just been.
    assert!(world.proxy.calls(TOKEN) >= traded + 2);
    world.run(TAKE).await;
    expect_alive(&world, storing.await.unwrap()).await;
}

#[tokio::test]
async fn a_token_that_can_t_be_stored_in_the_end_is_revoked() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.person(&app).await;
    let back = consent_at_hand(&app, &person).await;
    refuse(&world).await;
    let storing = app.begin_finish(&back);
    until_refused(&world).await;
    world.let_pass(61);
    storing.await.unwrap().expect_error(500, "internal");
    assert_eq!((world.count("auth_vault").await, world.proxy.calls(REVOKE)), (0, 1));
}

#[tokio::test]
async fn a_browser_whose_connection_breaks_does_not_break_its_consent_off() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.person(&app).await;
    let back = consent_at_hand(&app, &person).await;
    world.proxy.fail(TOKEN, ProxyFault::HoldAfter);
    let mut browser = TcpStream::connect(app.address()).await.unwrap();
    browser.write_all(app.callback(&back).as_bytes()).await.unwrap();
    world.proxy.until_answered(TOKEN, 1).await;
    browser.set_zero_linger().unwrap();
    drop(browser);
    world.proxy.mend(TOKEN);
    world.until("auth_vault WHERE state = 'live'", 1).await;
}
