/// Calls that providers still have to hear; clones share everything.
#[derive(Clone, Default)]
pub struct Outbox;
