//! Pre-LN without its skip: what the residual is good for.
//!
//! x′ = f(norm(x)), and a norm behind the last block.

use super::{Streams, Wire};
use crate::choice::Described;
use crate::stack::Sublayer;

/// x′ = f(norm(x)).
#[derive(Debug, Clone, Copy)]
pub struct NoResidual;

impl Described for NoResidual {
    const ID: &'static str = "no_residual";
    const ABOUT: &'static str = "x' = f(norm(x)), final norm: pre_ln without its skip";
    fn new() -> Self {
        NoResidual
    }
}

impl Wire for NoResidual {
    fn wire(&self, s: &mut Sublayer, x: Streams) -> Streams {
        let x = x.one();
        let n = s.norm(x);
        s.branch(n).into()
    }
}
