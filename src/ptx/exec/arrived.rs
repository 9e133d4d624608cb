//! Who has arrived at the barriers of a block.

/// A thread at a barrier.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    pub thread: u32,
    pub at: u32,
    pub time: u32,
    pub waits: bool,
    pub vote: bool,
}

/// One of the sixteen barriers of a block.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(super) arrived: Vec<Arrived>,
    /// How many threads it is for; `None` for all of the block.
    pub(super) count: Option<u32>,
}
