//! No norm anywhere: x′ = x + f(x).

use super::{Streams, Wire};
use crate::choice::Described;
use crate::stack::Sublayer;

/// x′ = x + f(x).
#[derive(Debug, Clone, Copy)]
pub struct NoNorm;

impl Described for NoNorm {
    const ID: &'static str = "no_norm";
    const ABOUT: &'static str = "x' = x + f(x): no norm anywhere";
    fn new() -> Self {
        NoNorm
    }
}

impl Wire for NoNorm {
    fn norms_output(&self) -> bool {
        false
    }
    fn has_norm(&self) -> bool {
        false
    }
    fn wire(&self, s: &mut Sublayer, x: Streams) -> Streams {
        let x = x.one();
        let f = s.branch(x);
        s.add(x, f).into()
    }
}
