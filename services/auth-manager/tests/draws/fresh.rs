use std::future::ready;
use std::time::Duration;

use auth_manager::models::account::{self, Account};
use auth_manager::models::{persistent_token, token_use};
use auth_manager::vault::{Draw, Scope};
use chrono::TimeDelta;
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};
use diesel_async::RunQueryDsl as _;
use futures_util::future::{join_all, try_join_all};
use test_support::eventually;
use uuid::Uuid;

use crate::process::draw_as;
use crate::realm::Rotation;
use crate::world::{TOKEN, World};

#[tokio::test]
async fn a_thousand_callers_of_three_processes_through_ten_ids_cost_one_call() {
    let world = World::with(Rotation::Strict, 10).await;
    let processes = [world.process().await, world.process().await, world.process().await];
    let callers = (0..1000).map(|caller| {
        let draw = draw_as(world.user_id, world.ids[caller % 10]);
        processes[caller % 3].begin(draw)
    });
    let callers: Vec<_> = callers.collect();
    let tokens = join_all(callers).await.into_iter().map(|drawn| drawn.unwrap().unwrap());
    let tokens: Vec<_> = tokens.map(|drawn| drawn.token.expose().to_owned()).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!(world.proxy.calls(TOKEN), 1);
    assert_eq!(world.row().await.version, 1);
}

#[tokio::test]
async fn a_stored_token_is_served_until_half_a_minute_before_its_end() {
    let world = World::with(Rotation::Off, 1).await;
    let process = world.process().await;
    let first = world.draw(&process).await.unwrap();
    world.clock.turn(TimeDelta::seconds(265));
    let again = world.draw(&process).await.unwrap();
    assert_eq!(again.token.expose(), first.token.expose());
    world.clock.turn(TimeDelta::seconds(6));
    let next = world.draw(&process).await.unwrap();
    assert_ne!(next.token.expose(), first.token.expose());
    assert_eq!(world.proxy.calls(TOKEN), 2);
    let draws = |labels| process.metric(&format!("auth_manager_draws_total{labels}"));
    assert_eq!(draws(r#"{cache="hit",outcome="ok"}"#), Some(1));
    assert_eq!(draws(r#"{cache="miss",outcome="ok"}"#), Some(2));
}

#[tokio::test]
async fn a_caller_who_needs_longer_gets_a_newer_one_past_half_the_life() {
    let world = World::with(Rotation::Off, 1).await;
    let process = world.process().await;
    let first = world.draw(&process).await.unwrap();
    let mut longer = world.request();
    longer.min_ttl = Duration::from_secs(150);
    world.clock.turn(TimeDelta::seconds(140));
    let again = process.draw(longer.clone()).await.unwrap();
    assert_eq!(again.token.expose(), first.token.expose());
    world.clock.turn(TimeDelta::seconds(20));
    let next = process.draw(longer).await.unwrap();
    assert_ne!(next.token.expose(), first.token.expose());
}

#[tokio::test]
async fn a_narrower_scope_has_its_own_token_and_leaves_the_grant_whole() {
    let world = World::with(Rotation::Strict, 1).await;
    let process = world.process().await;
    let whole = world.draw(&process).await.unwrap();
    let mut narrow = world.request();
    narrow.scope = Scope::parse("profile openid").unwrap();
    let narrower = process.draw(narrow.clone()).await.unwrap();
    assert_ne!(narrower.token.expose(), whole.token.expose());
    narrow.scope = Scope::parse("openid  profile").unwrap();
    let again = process.draw(narrow).await.unwrap();
    assert_eq!(again.token.expose(), narrower.token.expose());
    assert_eq!(world.proxy.calls(TOKEN), 2);
    world.let_time_pass();
    assert!(world.draw(&process).await.is_ok());
    assert!(world.realm.honours(&world.token().await).await);
}

#[tokio::test]
async fn draws_that_come_together_are_looked_up_together_and_each_gets_its_own() {
    let world = World::with(Rotation::Off, 5).await;
    let process = world.process().await;
    let mut narrow = world.request();
    narrow.scope = Scope::parse("openid profile").unwrap();
    let own = [world.draw(&process).await.unwrap(), process.draw(narrow.clone()).await.unwrap()];
    process.ledger.flush().await;
    let looked_up = || process.lookup_pool.state().statistics.get_started;
    let all = try_join_all((0..3).map(|_| process.lookup_pool.get())).await.unwrap();
    let before = looked_up();
    let draws: Vec<_> = (0..20)
        .map(|caller| {
            let scope = [world.request().scope, narrow.scope.clone()][caller % 2].clone();
            process.begin(Draw { scope, ..draw_as(world.user_id, world.ids[caller % 5]) })
        })
        .collect();
    let nobody_s = process.begin(draw_as(world.user_id, Uuid::new_v4()));
    eventually("look-ups begin", || ready((looked_up() > before).then_some(()))).await;
    drop(all);
    for (caller, drawn) in join_all(draws).await.into_iter().enumerate() {
        assert_eq!(drawn.unwrap().unwrap().token.expose(), own[caller % 2].token.expose());
    }
    assert_eq!(nobody_s.await.unwrap().unwrap_err().code, "token_not_found");
    assert!(looked_up() - before <= 4, "{} look-ups", looked_up() - before);
    assert_eq!(world.proxy.calls(TOKEN), 2);
}

#[tokio::test]
async fn what_draws_look_up_and_note_is_planned_once() {
    let world = World::with(Rotation::Off, 2).await;
    let process = world.process().await;
    let mut connection = process.lookup_pool.get().await.unwrap();
    for id in &world.ids {
        for scope in ["", "openid"] {
            let looked_up = persistent_token::list_for_draws(&mut connection, [*id], [scope]).await;
            assert_eq!(looked_up.unwrap().len(), 1);
        }
        token_use::touch(&mut connection, &[(*id, world.clock.now())].into()).await.unwrap();
        token_use::insert(&mut connection, &[]).await.unwrap();
    }
    let plans: Vec<Plans> = diesel::sql_query(
        "SELECT statement, generic_plans::int8 AS once, custom_plans::int8 AS each
         FROM pg_prepared_statements WHERE NOT from_sql",
    )
    .load(&mut connection)
    .await
    .unwrap();
    let planned: Vec<_> = plans.iter().filter(|plans| plans.once >= 2).collect();
    assert_eq!(planned.len(), 4, "{plans:?}");
    assert!(plans.iter().all(|plans| plans.each == 0), "{plans:?}");
}

#[derive(Debug, QueryableByName)]
struct Plans {
    #[diesel(sql_type = Text)]
    #[expect(dead_code, reason = "it is shown where the test fails")]
    statement: String,
    #[diesel(sql_type = BigInt)]
    once: i64,
    #[diesel(sql_type = BigInt)]
    each: i64,
}

#[tokio::test]
async fn a_stored_token_that_does_not_open_is_replaced() {
    let world = World::with(Rotation::Off, 1).await;
    let process = world.process().await;
    let first = world.draw(&process).await.unwrap();
    world.run("UPDATE drawn_tokens SET sealed_access_token = '\\x00'").await;
    let next = world.draw(&process).await.unwrap();
    assert_ne!(next.token.expose(), first.token.expose());
    assert_eq!(world.draw(&process).await.unwrap().token.expose(), next.token.expose());
}

#[tokio::test]
async fn the_account_says_when_its_access_token_expires() {
    let world = World::with(Rotation::Off, 1).await;
    let (process, now) = (world.process().await, world.clock.now());
    let mut connection = world.database.connect().await;
    let account = Account::new(world.user_id, "keycloak", "issuer", "subject", now);
    let account = account::upsert(&mut connection, &account).await.unwrap().unwrap();
    world.run(&format!("UPDATE auth_vault SET account_id = '{}'", account.id)).await;
    world.draw(&process).await.unwrap();
    let noted = account::find(&mut connection, world.user_id, account.id).await.unwrap().unwrap();
    assert!(noted.access_expires_at.unwrap() > now + TimeDelta::seconds(290));
    assert!(noted.last_refresh_at.unwrap() >= now);
}
