use auth_manager::models::token_use::NewTokenUse;
use auth_manager::models::{persistent_token, token_use};
use chrono::TimeDelta;
use test_support::eventually;

use crate::realm::Rotation;
use crate::world::World;

#[tokio::test]
async fn each_use_is_entered_with_what_came_of_it() {
    let world = World::with(Rotation::Off, 1).await;
    let process = world.process().await;
    world.clock.turn(TimeDelta::minutes(2));
    world.draw(&process).await.unwrap();
    world.draw(&process).await.unwrap();
    world.run("UPDATE auth_vault SET state = 'dead', dead_reason = 'expired'").await;
    world.draw(&process).await.unwrap_err();
    process.ledger.flush().await;
    let mut connection = world.database.connect().await;
    let uses = token_use::list(&mut connection, world.ids[0], world.user_id, None, 10).await;
    let outcomes: Vec<_> = uses.unwrap().into_iter().map(|entry| entry.outcome).collect();
    assert_eq!(outcomes, ["token_not_active", "cached", "refreshed"]);
    let listed = persistent_token::list_of_user(&mut connection, world.user_id, None, 10).await;
    assert!(listed.unwrap()[0].0.last_used_at.is_some());
    assert!(world.row().await.last_access_at > world.row().await.created_at);
}

#[tokio::test]
async fn a_batch_is_listed_in_the_order_of_its_draws() {
    let world = World::with(Rotation::Off, 1).await;
    let use_at = |second| NewTokenUse {
        persistent_token_id: world.ids[0],
        user_id: world.user_id,
        client_id: "job".to_owned(),
        scope: String::new(),
        outcome: "cached",
        used_at: world.clock.now() + TimeDelta::seconds(second),
    };
    let batch: Vec<_> = (0..20).map(use_at).collect();
    let mut connection = world.database.connect().await;
    token_use::insert(&mut connection, &batch).await.unwrap();
    let uses = token_use::list(&mut connection, world.ids[0], world.user_id, None, 50).await;
    let times: Vec<_> = uses.unwrap().into_iter().map(|entry| entry.used_at).collect();
    assert!(times.len() == 20 && times.is_sorted_by(|later, earlier| later > earlier), "{times:?}");
}

#[tokio::test]
async fn uses_are_written_within_a_second_without_being_asked_for() {
    let world = World::with(Rotation::Off, 1).await;
    let process = world.process().await;
    world.draw(&process).await.unwrap();
    eventually("an entry", async || {
        let mut connection = world.database.connect().await;
        let uses = token_use::list(&mut connection, world.ids[0], world.user_id, None, 10).await;
        uses.unwrap().pop()
    })
    .await;
}

#[tokio::test]
async fn entries_and_expired_tokens_are_cleaned_in_batches() {
    use auth_manager::models::drawn_token;
    let world = World::with(Rotation::Off, 1).await;
    let process = world.process().await;
    for _ in 0..3 {
        world.draw(&process).await.unwrap();
    }
    process.ledger.flush().await;
    let mut connection = world.database.connect().await;
    let now = world.clock.now();
    let old = now - TimeDelta::days(90);
    assert_eq!(token_use::delete_before(&mut connection, old, 10).await, Ok(0));
    assert_eq!(token_use::delete_before(&mut connection, now, 2).await, Ok(2));
    assert_eq!(token_use::delete_before(&mut connection, now, 2).await, Ok(1));
    assert_eq!(drawn_token::delete_expired(&mut connection, now, 10).await, Ok(0));
    let late = now + TimeDelta::seconds(400);
    assert_eq!(drawn_token::delete_expired(&mut connection, late, 10).await, Ok(1));
}
