//! Attention and feed-forward side by side (GPT-J 2021; PaLM, Chowdhery et al. 2022,
//! arXiv 2204.02311).
//!
//! n = norm(x), x′ = x + attn(n) + ffn(n): one norm a block, and a norm behind the last block.

use super::{Streams, Wire};
use crate::choice::Described;
use crate::stack::Sublayer;

/// x′ = x + attn(n) + ffn(n), n = norm(x).
#[derive(Debug, Clone, Copy)]
pub struct Parallel;

impl Described for Parallel {
    const ID: &'static str = "parallel";
    const ABOUT: &'static str =
        "x' = x + attn(n) + ffn(n), n = norm(x), final norm (Chowdhery et al. 2022)";
    fn new() -> Self {
        Parallel
    }
}

impl Wire for Parallel {
    /// Attention hands on what both branches read beside the sum so far.
    fn wire(&self, s: &mut Sublayer, streams: Streams) -> Streams {
        match streams.0[..] {
            [sum, n] => {
                let f = s.branch(n);
                s.add(sum, f).into()
            }
            _ => {
                let x = streams.one();
                let n = s.norm(x);
                let f = s.branch(n);
                Streams(vec![s.add(x, f), n])
            }
        }
    }
}
