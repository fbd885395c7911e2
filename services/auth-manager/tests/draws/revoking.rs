use auth_manager::models::grant::GrantState;
use test_support::ProxyFault;

use crate::realm::Rotation;
use crate::world::{TOKEN, World};

#[tokio::test]
async fn a_token_that_arrives_for_a_grant_to_be_revoked_is_stored_and_gives_no_access() {
    let world = World::with(Rotation::Strict, 1).await;
    let process = world.process().await;
    let presented = world.token().await;
    world.proxy.fail(TOKEN, ProxyFault::HoldAfter);
    let drawing = process.begin(world.request());
    world.proxy.until_answered(TOKEN, 1).await;
    world.run("UPDATE auth_vault SET state = 'revoking'").await;
    world.proxy.mend(TOKEN);
    assert_eq!(drawing.await.unwrap().unwrap_err().code, "token_not_active");
    let row = world.row().await;
    assert_eq!((row.state(), row.version), (GrantState::Revoking, 1));
    assert_eq!((row.lease_holder, row.call_deadline), (None, None));
    assert_ne!(world.token().await, presented);
    assert!(world.realm.honours(&world.token().await).await);
    assert_eq!(world.draw(&process).await.unwrap_err().code, "token_not_active");
}

#[tokio::test]
async fn a_stored_access_token_of_a_grant_to_be_revoked_is_not_served() {
    let world = World::with(Rotation::Off, 1).await;
    let process = world.process().await;
    world.draw(&process).await.unwrap();
    world.run("UPDATE auth_vault SET state = 'revoking'").await;
    assert_eq!(world.draw(&process).await.unwrap_err().code, "token_not_active");
    assert_eq!(world.proxy.calls(TOKEN), 1);
}

#[tokio::test]
async fn a_successor_finds_its_place_though_the_lease_was_lost() {
    let world = World::with(Rotation::Strict, 1).await;
    let process = world.process().await;
    world.proxy.fail(TOKEN, ProxyFault::HoldAfter);
    let drawing = process.begin(world.request());
    world.proxy.until_answered(TOKEN, 1).await;
    let taken = "UPDATE auth_vault SET lease_holder = gen_random_uuid(), state = 'outcome_unknown'";
    world.run(taken).await;
    world.proxy.mend(TOKEN);
    assert!(drawing.await.unwrap().is_ok());
    let row = world.row().await;
    assert_eq!((row.state(), row.version, row.presentations), (GrantState::Live, 1, 0));
    assert!(world.realm.honours(&world.token().await).await);
}
