//! Points at which a test holds a process, to kill it there, or has it panic. Releases have none:
//! they are built without debug assertions.

/// Stays here for ever if `USER_SERVICE_FAILPOINT` names this point, and panics if it says
/// something behind a `=`.
#[cfg(debug_assertions)]
pub(crate) async fn reach(point: &'static str) {
    let named = std::env::var("USER_SERVICE_FAILPOINT").unwrap_or_default();
    match named.strip_prefix(point).map(|said| said.strip_prefix('=')) {
        Some(Some(said)) => panic!("{said}"),
        Some(None) => {
            tracing::warn!(point, "failpoint_reached");
            std::future::pending::<()>().await;
        }
        None => {}
    }
}

/// Nothing.
#[cfg(not(debug_assertions))]
pub(crate) async fn reach(_: &'static str) {}
