use std::collections::HashSet;
use std::sync::LazyLock;

/// Leaked passwords of at least eight characters; origin and licence in `common.LICENSE.txt`.
static COMMON: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("common.txt").lines().collect());

/// Whether many people use `password`, in whatever case.
pub(super) fn is_common(password: &str) -> bool {
    COMMON.contains(password.to_lowercase().as_str())
}
