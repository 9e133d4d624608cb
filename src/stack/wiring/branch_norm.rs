//! BranchNorm (Liu et al. 2023, arXiv 2305.02790): Post-LN whose branches come in slowly.
//!
//! x′ = norm(x + α·f(x)), α = min(1, t/T) in step t, counted from 1: near the identity at first and
//! Post-LN from step T on. The held-out loss before a step is measured with the α of that step.

use super::{Streams, Wire};
use crate::choice::Described;
use crate::stack::Sublayer;

/// x′ = norm(x + min(1, t/steps)·f(x)).
#[derive(Debug, Clone, Copy)]
pub struct BranchNorm {
    /// The step from which on it is Post-LN.
    pub steps: usize,
}

impl Described for BranchNorm {
    const ID: &'static str = "branch_norm";
    const ABOUT: &'static str =
        "x' = norm(x + α·f(x)), α = min(1, step/steps), norm on the embedding (Liu et al. 2023)";
    fn new() -> Self {
        BranchNorm { steps: 100 }
    }
}

impl Wire for BranchNorm {
    crate::constants! { dyn Wire; steps: Count }
    fn norms_embedding(&self) -> bool {
        true
    }
    fn norms_output(&self) -> bool {
        false
    }
    fn wire(&self, s: &mut Sublayer, x: Streams) -> Streams {
        let x = x.one();
        let f = s.branch(x);
        let f = s.ramp(f, self.steps);
        let sum = s.add(x, f);
        s.norm(sum).into()
    }
}
