//! Keel (Chen & Wei 2026, arXiv 2601.19895): Post-LN with a wide skip and a norm before the branch.
//!
//! x′ = norm(α·x + f(norm(x))), α the number of sublayers, 2·depth, unless it is given. By the
//! formula of public ports of the paper, which says nothing of another first block; the embedding
//! is normed as under post_ln.

use super::{Streams, Wire};
use crate::choice::Described;
use crate::op::residual::Residual;
use crate::stack::Sublayer;

/// x′ = norm(alpha·x + f(norm(x))).
#[derive(Debug, Clone, Copy)]
pub struct Keel {
    /// Factor of the stream; none is 2·depth.
    pub alpha: Option<f64>,
}

impl Described for Keel {
    const ID: &'static str = "keel";
    const ABOUT: &'static str =
        "x' = norm(2N·x + f(norm(x))), norm on the embedding (Chen & Wei 2026)";
    fn new() -> Self {
        Keel { alpha: None }
    }
}

impl Wire for Keel {
    crate::constants! { dyn Wire; alpha: Finite }
    fn norms_embedding(&self) -> bool {
        true
    }
    fn norms_output(&self) -> bool {
        false
    }
    fn wire(&self, s: &mut Sublayer, x: Streams) -> Streams {
        let x = x.one();
        let n = s.norm_in(x);
        let f = s.branch(n);
        let alpha = self.alpha.unwrap_or(2.0 * s.depth() as f64);
        let sum = s.residual(Residual { alpha, beta: 1.0 }, x, f);
        s.norm(sum).into()
    }
}
