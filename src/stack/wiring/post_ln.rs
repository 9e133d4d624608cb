//! Post-LN (Vaswani et al. 2017, arXiv 1706.03762, section 5.4).
//!
//! x′ = norm(x + f(x)); the embedding is normed too, so that every block meets a normed stream.

use super::{Streams, Wire};
use crate::choice::Described;
use crate::stack::Sublayer;

/// x′ = norm(x + f(x)).
#[derive(Debug, Clone, Copy)]
pub struct PostLn;

impl Described for PostLn {
    const ID: &'static str = "post_ln";
    const ABOUT: &'static str = "x' = norm(x + f(x)), norm on the embedding (Vaswani et al. 2017)";
    fn new() -> Self {
        PostLn
    }
}

impl Wire for PostLn {
    fn norms_embedding(&self) -> bool {
        true
    }
    fn norms_output(&self) -> bool {
        false
    }
    fn wire(&self, s: &mut Sublayer, x: Streams) -> Streams {
        let x = x.one();
        let f = s.branch(x);
        let sum = s.add(x, f);
        s.norm(sum).into()
    }
}
