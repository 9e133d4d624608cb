//! Mix-LN (Li et al. 2024, arXiv 2412.13795).
//!
//! The first ⌈share·depth⌉ blocks are Post-LN, the rest Pre-LN, and a norm behind the last block
//! where any is Pre-LN. The embedding is normed where the first block is Post-LN, as under post_ln;
//! the published code does not norm it.

use super::{PostLn, PreLn, Streams, Wire};
use crate::choice::Described;
use crate::stack::Sublayer;

/// Post-LN in the first blocks, Pre-LN in the rest.
#[derive(Debug, Clone, Copy)]
pub struct MixLn {
    /// The share of the blocks, from the first on, that are Post-LN.
    pub share: f64,
}

impl Described for MixLn {
    const ID: &'static str = "mix_ln";
    const ABOUT: &'static str =
        "post_ln in the first ⌈share·N⌉ blocks, pre_ln in the rest, final norm (Li et al. 2024)";
    fn new() -> Self {
        MixLn { share: 0.25 }
    }
}

impl MixLn {
    /// Blocks that are Post-LN, of so many.
    fn post(&self, depth: usize) -> usize {
        // A share such as 0.07 is no number of the binary system, and 100 times that is a little
        // above 7: by less than this, and at most ten thousand blocks are further from it.
        (self.share * depth as f64 - 1e-9).ceil() as usize
    }
}

impl Wire for MixLn {
    crate::constants! { dyn Wire; share: Share }
    fn norms_embedding(&self) -> bool {
        self.share > 0.0
    }
    fn norms_output(&self) -> bool {
        self.share < 1.0
    }
    fn wire(&self, s: &mut Sublayer, x: Streams) -> Streams {
        if s.layer() <= self.post(s.depth()) { PostLn.wire(s, x) } else { PreLn.wire(s, x) }
    }
}
