//! What looks things up for all draws panics.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake};
use std::thread::{self, ThreadId};

use test_support::eventually;

use crate::realm::Rotation;
use crate::world::World;

/// Whoever wakes it panics, on any thread but the test's own.
struct Trap(ThreadId);

impl Wake for Trap {
    fn wake(self: Arc<Self>) {
        assert_eq!(thread::current().id(), self.0, "a panic that the test wants");
    }
}

#[tokio::test]
async fn a_panic_among_the_look_ups_costs_no_later_draw_its_answer() {
    let world = World::with(Rotation::Off, 1).await;
    let process = world.process().await;
    let request = world.request();
    {
        let trapped = pin!(process.draws.draw(&request));
        let waker = Arc::new(Trap(thread::current().id())).into();
        assert!(trapped.poll(&mut Context::from_waker(&waker)).is_pending());
        let panics = r#"auth_manager_tasks_panicked_total{task="lookups"}"#;
        eventually("the panic", async || (process.metric(panics) == Some(1)).then_some(())).await;
    }
    world.draw(&process).await.unwrap();
}
