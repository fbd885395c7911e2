//! Work that gives way to everything that somebody waits for.

use std::thread::Builder;

use tokio::sync::oneshot;

/// A tenth of the processor while others want it, all of it while nobody does.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Runs `work` on a thread of its own, since a priority once lowered stays so.
pub(super) async fn in_background<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let (sender, receiver) = oneshot::channel();
    let run = move || {
        give_way();
        // Nobody waits any more where the service is ending.
        let _ = sender.send(work());
    };
    Builder::new().name(name.to_owned()).spawn(run).map_err(|error| error.to_string())?;
    receiver.await.map_err(|_| format!("{name} has died"))
}

/// On Linux alone a thread has a priority of its own.
#[cfg(target_os = "linux")]
fn give_way() {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "priority_not_lowered");
    }
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_dies_is_said_and_one_that_ends_answers() {
        assert_eq!(in_background("adder", || 1 + 1).await, Ok(2));
        let died = in_background("faller", || assert_eq!(1 + 1, 3)).await;
        assert_eq!(died, Err("faller has died".to_owned()));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn work_in_the_background_gives_way_and_nothing_else_does() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        assert_eq!(in_background("worker", nice).await, Ok((before + NICE).min(19)));
        assert_eq!(nice(), before);
    }
}
