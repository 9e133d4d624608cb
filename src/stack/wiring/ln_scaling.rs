//! LayerNorm scaling (Sun et al. 2025, arXiv 2502.05795, equation 4).
//!
//! x′ = x + f(norm(x)/√l), l counting blocks from 1, and a norm behind the last block.

use super::{Streams, Wire};
use crate::choice::Described;
use crate::stack::Sublayer;

/// x′ = x + f(norm(x)/√l).
#[derive(Debug, Clone, Copy)]
pub struct LnScaling;

impl Described for LnScaling {
    const ID: &'static str = "ln_scaling";
    const ABOUT: &'static str = "x' = x + f(norm(x)/√l), final norm (Sun et al. 2025)";
    fn new() -> Self {
        LnScaling
    }
}

impl Wire for LnScaling {
    fn wire(&self, s: &mut Sublayer, x: Streams) -> Streams {
        let x = x.one();
        let n = s.norm(x);
        let n = s.scale(n, 1.0 / (s.layer() as f64).sqrt());
        let f = s.branch(n);
        s.add(x, f).into()
    }
}
