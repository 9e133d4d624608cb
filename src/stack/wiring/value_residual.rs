//! Value residual (Zhou et al. 2024, ResFormer, arXiv 2410.17897; the published code mixes in halves).
//!
//! Pre-LN whose attention reads v′ = (1 − λ)·v + λ·v₁ in every block behind the first, v₁ the values
//! of the first: what tokens are stays at hand in deep blocks.

use super::{PreLn, Streams, Wire};
use crate::choice::Described;
use crate::op::residual::Residual;
use crate::program::Id;
use crate::stack::{Builder, Part, Sublayer};

/// As pre_ln, with the values of the first block mixed into those of the others.
#[derive(Debug, Clone, Copy)]
pub struct ValueResidual {
    /// λ, the share of the values of the first block.
    pub share: f64,
}

impl Described for ValueResidual {
    const ID: &'static str = "value_residual";
    const ABOUT: &'static str =
        "pre_ln, values (1 − share)·v + share·v of the first block (Zhou et al. 2024)";
    fn new() -> Self {
        ValueResidual { share: 0.5 }
    }
}

impl Wire for ValueResidual {
    crate::constants! { dyn Wire; share: Share }
    fn inside(&self, b: &mut Builder, part: Part, x: Id) -> Id {
        let first = b.program.find("blocks.0.attn.v").filter(|&first| first != x);
        match (part, first) {
            (Part::Value, Some(first)) => {
                let mix = Residual { alpha: 1.0 - self.share, beta: self.share };
                b.program.apply("attn.v.mixed", mix, &[x, first])
            }
            _ => x,
        }
    }
    fn wire(&self, s: &mut Sublayer, x: Streams) -> Streams {
        PreLn.wire(s, x)
    }
}
