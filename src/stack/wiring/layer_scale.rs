//! LayerScale (Touvron et al. 2021, arXiv 2103.17239, equation 3).
//!
//! x′ = x + λ ⊙ f(norm(x)), one learned λ per channel and sublayer from a small constant, and a norm
//! behind the last block.

use super::{Streams, Wire};
use crate::choice::Described;
use crate::program::Start;
use crate::stack::Sublayer;

/// x′ = x + λ ⊙ f(norm(x)).
#[derive(Debug, Clone, Copy)]
pub struct LayerScale {
    /// What every λ starts at.
    pub gain: f64,
}

impl Described for LayerScale {
    const ID: &'static str = "layer_scale";
    const ABOUT: &'static str =
        "x' = x + λ⊙f(norm(x)), λ from 1e-4, final norm (Touvron et al. 2021)";
    fn new() -> Self {
        LayerScale { gain: 1e-4 }
    }
}

impl Wire for LayerScale {
    crate::constants! { dyn Wire; gain: Finite }
    fn wire(&self, s: &mut Sublayer, x: Streams) -> Streams {
        let x = x.one();
        let n = s.norm(x);
        let f = s.branch(n);
        s.gained(x, f, s.width(), Start::Value(self.gain)).into()
    }
}
