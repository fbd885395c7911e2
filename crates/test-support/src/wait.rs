use std::time::{Duration, Instant};

/// Far longer than anything takes; a test never passes or fails by it otherwise.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks until `condition` answers something.
///
/// # Panics
/// When it has not after 20 seconds.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "still not: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
