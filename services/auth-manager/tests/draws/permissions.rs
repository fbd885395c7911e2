use auth_manager::providers::ServiceClient;
use auth_manager::vault::{DrawnBy, Scope};
use uuid::Uuid;

use crate::process::draw_as;
use crate::realm::{CLIENT, Rotation};
use crate::world::{TOKEN, World};

fn job(consent_client: &str) -> DrawnBy {
    let client = ServiceClient {
        client_id: "job".to_owned(),
        subject: "job".to_owned(),
        consent_clients: vec![consent_client.to_owned()],
        scopes: vec!["openid".to_owned(), "address".to_owned()],
    };
    DrawnBy::Service { provider: "keycloak".to_owned(), client }
}

#[tokio::test]
async fn a_strangers_draw_looks_like_one_of_an_id_that_is_not_there() {
    let world = World::with(Rotation::Off, 1).await;
    let process = world.process().await;
    let unknown = process.draw(draw_as(world.user_id, Uuid::new_v4())).await.unwrap_err();
    let stranger = process.draw(draw_as(Uuid::new_v4(), world.ids[0])).await.unwrap_err();
    let mut by_job = world.request();
    by_job.by = job("another-client");
    let by_job = process.draw(by_job).await.unwrap_err();
    for problem in [unknown, stranger, by_job] {
        assert_eq!((problem.status.as_u16(), problem.code), (404, "token_not_found"));
    }
    assert_eq!(world.proxy.calls(TOKEN), 0);
}

#[tokio::test]
async fn a_configured_job_draws_while_the_user_is_away() {
    let world = World::with(Rotation::Off, 1).await;
    let process = world.process().await;
    let mut draw = world.request();
    draw.by = job(CLIENT);
    assert!(process.draw(draw.clone()).await.is_ok());
    draw.scope = Scope::parse("openid").unwrap();
    assert!(process.draw(draw.clone()).await.is_ok());
    draw.scope = Scope::parse("email").unwrap();
    assert_eq!(process.draw(draw).await.unwrap_err().code, "token_not_found");
}

#[tokio::test]
async fn a_job_that_names_no_scope_gets_no_more_than_is_configured_for_it() {
    let world = World::with(Rotation::Off, 1).await;
    let process = world.process().await;
    let mut draw = world.request();
    process.draw(draw.clone()).await.unwrap();
    assert!(!world.proxy.last(TOKEN).contains("scope="), "a person's own draw");
    draw.by = job(CLIENT);
    process.draw(draw.clone()).await.unwrap();
    // The grant has no `address`, so that is not asked for.
    let asked = world.proxy.last(TOKEN);
    assert!(asked.contains("scope=openid&") || asked.ends_with("scope=openid"), "not that scope");
    process.draw(draw).await.unwrap();
    assert_eq!(world.proxy.calls(TOKEN), 2, "the second draw of the job is served as stored");
}

#[tokio::test]
async fn a_scope_beyond_the_grants_is_the_callers_error() {
    let world = World::with(Rotation::Off, 1).await;
    let process = world.process().await;
    let mut draw = world.request();
    draw.scope = Scope::parse("openid address").unwrap();
    let problem = process.draw(draw).await.unwrap_err();
    assert_eq!((problem.status.as_u16(), problem.code), (400, "validation_error"));
    assert_eq!(problem.details.unwrap()["field"], "scope");
    assert_eq!(world.proxy.calls(TOKEN), 0);
}
