use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a process opens beside connections of its listeners: databases, files, calls of others.
const OTHERS: u64 = 512;

/// Lets this process open as many files as `connections` need, as far as it may, and says how many
/// there is room for. Past them all would be kept waiting, the database's own included.
pub(in super::super) fn make_room(connections: usize) -> usize {
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHERS);
    let limits = getrlimit(Resource::Nofile);
    let allowed = limits.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let enough = limits.current.is_none_or(|current| current >= allowed);
    let raised = Rlimit { current: Some(allowed), maximum: limits.maximum };
    let open_files = if enough || setrlimit(Resource::Nofile, raised).is_ok() {
        allowed
    } else {
        limits.current.unwrap_or(allowed)
    };
    let room = usize::try_from(open_files.saturating_sub(OTHERS).max(1)).unwrap_or(connections);
    if room < connections {
        let what = "raise the limit of open files, or lower `http.max_connections`";
        tracing::warn!(connections, room, open_files, what, "few_open_files");
    }
    room.min(connections)
}
