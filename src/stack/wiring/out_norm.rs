//! Norm on what a branch adds, and nowhere else (Liu et al. 2021, Swin V2, arXiv 2111.09883; OLMo 2,
//! arXiv 2501.00656).
//!
//! x′ = x + norm(f(x)), and a norm behind the last block. OLMo 2 norms queries and keys besides,
//! which is a setting of attention and not of the wiring.

use super::{Streams, Wire};
use crate::choice::Described;
use crate::stack::Sublayer;

/// x′ = x + norm(f(x)).
#[derive(Debug, Clone, Copy)]
pub struct OutNorm;

impl Described for OutNorm {
    const ID: &'static str = "out_norm";
    const ABOUT: &'static str = "x' = x + norm(f(x)), final norm (Swin V2, OLMo 2)";
    fn new() -> Self {
        OutNorm
    }
}

impl Wire for OutNorm {
    fn wire(&self, s: &mut Sublayer, x: Streams) -> Streams {
        let x = x.one();
        let f = s.branch(x);
        let f = s.norm_out(f);
        s.add(x, f).into()
    }
}
