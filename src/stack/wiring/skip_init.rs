//! SkipInit (De & Smith 2020, arXiv 2002.10444).
//!
//! x′ = x + g·f(x), one learned g per sublayer, from a constant. No norm: g takes the place of the
//! one that makes a branch small in a deep network. From 0 it is rezero, found independently.

use super::{Streams, Wire};
use crate::choice::Described;
use crate::program::Start;
use crate::stack::Sublayer;

/// x′ = x + g·f(x), g learned from a constant.
#[derive(Debug, Clone, Copy)]
pub struct SkipInit {
    /// What every g starts at.
    pub gain: f64,
}

impl Described for SkipInit {
    const ID: &'static str = "skip_init";
    const ABOUT: &'static str =
        "x' = x + g·f(x), g from a constant, one per sublayer, no norm (De & Smith 2020)";
    fn new() -> Self {
        SkipInit { gain: 0.0 }
    }
}

impl Wire for SkipInit {
    crate::constants! { dyn Wire; gain: Finite }
    fn norms_output(&self) -> bool {
        false
    }
    fn has_norm(&self) -> bool {
        false
    }
    fn wire(&self, s: &mut Sublayer, x: Streams) -> Streams {
        let x = x.one();
        let f = s.branch(x);
        s.gained(x, f, 1, Start::Value(self.gain)).into()
    }
}
