//! ResiDual (Xie et al. 2023, arXiv 2304.14802): two residual streams, one normed as under Post-LN and
//! one never normed, so that gradients have a way past all norms.
//!
//! x′ = norm(x + f(x)), r′ = r + c·f(x), both from the embedding; the blocks leave x + norm(r). The
//! published code lowers c where r would leave the range of 16 bits.

use super::{Streams, Wire};
use crate::choice::Described;
use crate::program::Id;
use crate::stack::{Builder, Sublayer};

/// x′ = norm(x + f(x)), r′ = r + c·f(x); out = x + norm(r).
#[derive(Debug, Clone, Copy)]
pub struct ResiDual {
    /// The factor of a branch in the stream that is never normed.
    pub c: f64,
}

impl Described for ResiDual {
    const ID: &'static str = "resi_dual";
    const ABOUT: &'static str =
        "x' = norm(x + f(x)), r' = r + c·f(x), then x + norm(r) (Xie et al. 2023)";
    fn new() -> Self {
        ResiDual { c: 1.0 }
    }
}

impl Wire for ResiDual {
    crate::constants! { dyn Wire; c: Finite }
    fn norms_output(&self) -> bool {
        false
    }
    fn output_rms(&self) -> f64 {
        // Two normed streams, which are one and the same as long as branches add nothing.
        2.0
    }
    fn open(&self, _b: &mut Builder, x: Id) -> Streams {
        Streams(vec![x, x])
    }
    fn wire(&self, s: &mut Sublayer, streams: Streams) -> Streams {
        let [x, r] = streams.0[..] else { unreachable!("opened as two streams") };
        let f = s.branch(x);
        let r = s.add_further(r, f, self.c);
        let sum = s.add(x, f);
        Streams(vec![s.norm(sum), r])
    }
    fn close(&self, b: &mut Builder, streams: Streams) -> Id {
        let [x, r] = streams.0[..] else { unreachable!("opened as two streams") };
        let normed = b.norm("norm", r);
        b.add("joined", x, normed)
    }
}
