//! Admin (Liu et al. 2020, arXiv 2004.08249, and its published code).
//!
//! x′ = norm(w ⊙ x + f(x)), one learned w per channel and sublayer. Before training, a forward pass
//! over the first batch sets them: every element of the first w is 1, and of the one behind it
//! √(Var(w ⊙ x) + Var(f)), so that a late branch adds as little as its share of all before it.

use super::{Streams, Wire};
use crate::choice::Described;
use crate::program::Start;
use crate::stack::Sublayer;

/// x′ = norm(w ⊙ x + f(x)), w from a profile.
#[derive(Debug, Clone, Copy)]
pub struct Admin;

impl Described for Admin {
    const ID: &'static str = "admin";
    const ABOUT: &'static str =
        "x' = norm(w⊙x + f(x)), w from a first pass, norm on the embedding (Liu et al. 2020)";
    fn new() -> Self {
        Admin
    }
}

impl Wire for Admin {
    fn norms_embedding(&self) -> bool {
        true
    }
    fn norms_output(&self) -> bool {
        false
    }
    fn is_profiled(&self) -> bool {
        true
    }
    fn wire(&self, s: &mut Sublayer, x: Streams) -> Streams {
        let x = x.one();
        let f = s.branch(x);
        // The learned factor is on the stream, not on the branch.
        let sum = s.gained(f, x, s.width(), Start::Value(1.0));
        s.norm(sum).into()
    }
}
