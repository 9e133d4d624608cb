//! B2T, bottom to top (Takase et al. 2022, arXiv 2206.00330, and its published code).
//!
//! As Post-LN, and the last norm of a block sees what the block was given as well:
//! m = norm(x + attn(x)), x′ = norm(x + m + ffn(m)). The skip passes the norm in the middle, so
//! that a gradient meets one norm a block instead of two. The embedding is normed as under post_ln.

use super::{Streams, Wire};
use crate::choice::Described;
use crate::stack::Sublayer;

/// m = norm(x + attn(x)), x′ = norm(x + m + ffn(m)).
#[derive(Debug, Clone, Copy)]
pub struct B2t;

impl Described for B2t {
    const ID: &'static str = "b2t";
    const ABOUT: &'static str =
        "m = norm(x + attn(x)), x' = norm(x + m + ffn(m)), embedding normed (Takase 2022)";
    fn new() -> Self {
        B2t
    }
}

impl Wire for B2t {
    fn norms_embedding(&self) -> bool {
        true
    }
    fn norms_output(&self) -> bool {
        false
    }
    /// Attention hands on what the block was given beside its own stream.
    fn wire(&self, s: &mut Sublayer, streams: Streams) -> Streams {
        let x = streams.first();
        let f = s.branch(x);
        let sum = s.add(x, f);
        match streams.0[..] {
            [_, bottom] => {
                let sum = s.add_further(bottom, sum, 1.0);
                s.norm(sum).into()
            }
            _ => Streams(vec![s.norm(sum), x]),
        }
    }
}
