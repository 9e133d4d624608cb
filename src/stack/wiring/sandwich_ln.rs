//! Sandwich-LN (Ding et al. 2021, arXiv 2105.13290, section 2.4).
//!
//! x′ = x + norm(f(norm(x))), and a norm behind the last block.

use super::{Streams, Wire};
use crate::choice::Described;
use crate::program::Id;
use crate::stack::Sublayer;

/// x′ = x + norm(f(norm(x))).
#[derive(Debug, Clone, Copy)]
pub struct SandwichLn;

impl Described for SandwichLn {
    const ID: &'static str = "sandwich_ln";
    const ABOUT: &'static str = "x' = x + norm(f(norm(x))), final norm (Ding et al. 2021)";
    fn new() -> Self {
        SandwichLn
    }
}

impl Wire for SandwichLn {
    fn wire(&self, s: &mut Sublayer, x: Streams) -> Streams {
        let x = x.one();
        sandwiched(s, x).into()
    }
}

/// x + norm(f(norm(x))), each norm with tensors of its own.
pub(super) fn sandwiched(s: &mut Sublayer, x: Id) -> Id {
    let n = s.norm(x);
    let f = s.branch(n);
    let f = s.norm_out(f);
    s.add(x, f)
}
