//! SiameseNorm (Li et al. 2026, arXiv 2602.08064, algorithm 1): a Post-LN and a Pre-LN stream that
//! share every branch.
//!
//! f = f(x + norm(y)), x′ = norm(x + f), y′ = y + f, both from the embedding; the blocks leave
//! x + norm(y). Unlike under resi_dual the branch reads the second stream too. What the paper adds
//! beside the algorithm, a norm on what the branch reads and 1/√l on what x is given, is left out.

use super::{Streams, Wire};
use crate::choice::Described;
use crate::program::Id;
use crate::stack::{Builder, Sublayer};

/// f = f(x + norm(y)), x′ = norm(x + f), y′ = y + f; out = x + norm(y).
#[derive(Debug, Clone, Copy)]
pub struct SiameseNorm;

impl Described for SiameseNorm {
    const ID: &'static str = "siamese_norm";
    const ABOUT: &'static str =
        "f = f(x + norm(y)), x' = norm(x + f), y' = y + f, then x + norm(y) (Li et al. 2026)";
    fn new() -> Self {
        SiameseNorm
    }
}

impl Wire for SiameseNorm {
    fn norms_output(&self) -> bool {
        false
    }
    fn output_rms(&self) -> f64 {
        // Two normed streams, alike where the branches add little.
        2.0
    }
    fn open(&self, _b: &mut Builder, x: Id) -> Streams {
        Streams(vec![x, x])
    }
    fn wire(&self, s: &mut Sublayer, streams: Streams) -> Streams {
        let [x, y] = streams.0[..] else { unreachable!("opened as two streams") };
        let n = s.norm_in(y);
        let read = s.join(x, n);
        let f = s.branch(read);
        let y = s.add_further(y, f, 1.0);
        let sum = s.add(x, f);
        Streams(vec![s.norm(sum), y])
    }
    fn close(&self, b: &mut Builder, streams: Streams) -> Id {
        let [x, y] = streams.0[..] else { unreachable!("opened as two streams") };
        let normed = b.norm("norm", y);
        b.add("joined", x, normed)
    }
}
