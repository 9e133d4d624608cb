//! The machine: warps, the blocks they form, and what their instructions do.

pub(super) mod access;
pub(super) mod arrived;
pub(super) mod atomic;
pub(super) mod barrier;
pub(super) mod block;
pub(super) mod machine;
pub(super) mod step;
pub(super) mod sync;
pub(super) mod warp;
