//! A database whose connections fall silent: nothing is said on them any more, nor are they closed.

use std::time::Duration;

use common::http::Problem;
use futures_util::future::join_all;
use test_support::TcpProxy;
use tokio::time::timeout;

use crate::realm::Rotation;
use crate::world::World;

/// Far longer than a draw waits.
const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn silent_connections_cost_a_draw_moments_and_not_its_answer() {
    let world = World::with(Rotation::Off, 1).await;
    let proxy = TcpProxy::start(world.database.url()).await;
    let url = proxy.url(world.database.url());
    let process = world.process_with(&[("AUTH_MANAGER__DATABASE__URL", &url)]).await;
    let first = world.draw(&process).await.unwrap();
    proxy.freeze();
    let again = timeout(LONG, world.draw(&process)).await.unwrap().unwrap();
    assert_eq!(again.token.expose(), first.token.expose());
}

#[tokio::test]
async fn draws_on_a_database_that_says_nothing_are_told_in_time_and_well_when_it_does() {
    let world = World::with(Rotation::Off, 1).await;
    let proxy = TcpProxy::start(world.database.url()).await;
    let url = proxy.url(world.database.url());
    let process = world.process_with(&[("AUTH_MANAGER__DATABASE__URL", &url)]).await;
    world.draw(&process).await.unwrap();
    proxy.hold();
    let draws = join_all((0..300).map(|_| process.begin(world.request())));
    for drawn in timeout(LONG, draws).await.unwrap() {
        let Problem { status, code, .. } = drawn.unwrap().unwrap_err();
        assert_eq!((status.as_u16(), code), (503, "database_unavailable"));
    }
    proxy.mend();
    let again = test_support::eventually("a draw", async || world.draw(&process).await.ok());
    again.await;
}
