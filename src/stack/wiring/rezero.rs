//! ReZero (Bachlechner et al. 2020, arXiv 2003.04887, equation 1).
//!
//! x′ = x + g·f(x), one learned g per sublayer, from 0: every block is the identity at first. No norm.

use super::{Streams, Wire};
use crate::choice::Described;
use crate::program::Start;
use crate::stack::Sublayer;

/// x′ = x + g·f(x), g learned from 0.
#[derive(Debug, Clone, Copy)]
pub struct Rezero;

impl Described for Rezero {
    const ID: &'static str = "rezero";
    const ABOUT: &'static str =
        "x' = x + g·f(x), g from 0, one per sublayer (Bachlechner et al. 2020)";
    fn new() -> Self {
        Rezero
    }
}

impl Wire for Rezero {
    fn norms_output(&self) -> bool {
        false
    }
    fn has_norm(&self) -> bool {
        false
    }
    fn wire(&self, s: &mut Sublayer, x: Streams) -> Streams {
        let x = x.one();
        let f = s.branch(x);
        s.gained(x, f, 1, Start::Value(0.0)).into()
    }
}
