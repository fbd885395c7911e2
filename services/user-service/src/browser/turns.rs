use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

/// Where in its list each answer begins that has no room for all of it, as a part of 65,536. Every
/// step goes further by the golden ratio: whichever of the answers one browser gets, they soon
/// have been everywhere.
#[derive(Clone, Debug)]
pub(super) struct Turns(Arc<AtomicU16>);

impl Turns {
    const STEP: u16 = 0x9E37;

    /// Each replica begins elsewhere.
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicU16::new(rand::random())))
    }

    pub(super) fn next(&self) -> u16 {
        self.0.fetch_add(Self::STEP, Ordering::Relaxed)
    }
}
