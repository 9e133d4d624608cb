//! HybridNorm (Zhuo et al. 2025, arXiv 2503.04598).
//!
//! y = x + attn(x) with a norm on every head of queries, keys and values; z = norm(y),
//! x′ = z + ffn(z), and a norm behind the last block. The variant whose first block is Pre-LN is
//! left out.

use super::{NoNorm, PostLn, Streams, Wire};
use crate::choice::Described;
use crate::program::Id;
use crate::stack::{Branch, Builder, Part, Sublayer};

/// z = norm(x + attn(x)) with normed queries, keys and values, x′ = z + ffn(z).
#[derive(Debug, Clone, Copy)]
pub struct HybridNorm;

impl Described for HybridNorm {
    const ID: &'static str = "hybrid_norm";
    const ABOUT: &'static str =
        "z = norm(x + attn(x)), norms on q, k, v, x' = z + ffn(z), final norm (Zhuo et al. 2025)";
    fn new() -> Self {
        HybridNorm
    }
}

impl Wire for HybridNorm {
    fn inside(&self, b: &mut Builder, part: Part, x: Id) -> Id {
        match part {
            Part::Query => b.head_norm("attn.q.norm", x),
            Part::Key => b.head_norm("attn.k.norm", x),
            Part::Value => b.head_norm("attn.v.norm", x),
            _ => x,
        }
    }
    fn wire(&self, s: &mut Sublayer, x: Streams) -> Streams {
        match s.kind() {
            Branch::Attention => PostLn.wire(s, x),
            Branch::FeedForward => NoNorm.wire(s, x),
        }
    }
}
