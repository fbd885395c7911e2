//! Points at which a test holds a process, to kill it there. Releases have none: they are built
//! without debug assertions.

/// Stays here for ever if `USER_SERVICE_FAILPOINT` names this point.
#[cfg(debug_assertions)]
pub(crate) async fn reach(point: &'static str) {
    if std::env::var_os("USER_SERVICE_FAILPOINT").is_some_and(|name| name == point) {
        tracing::warn!(point, "failpoint_reached");
        std::future::pending::<()>().await;
    }
}

/// Nothing.
#[cfg(not(debug_assertions))]
pub(crate) async fn reach(_: &'static str) {}
