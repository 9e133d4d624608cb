//! NormFormer (Shleifer et al. 2021, arXiv 2110.09456, and its published code in fairseq).
//!
//! Pre-LN with three operations more: every head times a learned gain from 1, a norm on what
//! attention adds, and a norm behind the activation of the feed-forward. The gain of the skip,
//! which that code has as an option, is left out.

use super::{PreLn, Streams, Wire};
use crate::choice::Described;
use crate::program::Id;
use crate::stack::{Branch, Builder, Part, Sublayer};

/// As pre_ln, and a gain per head, a norm behind attention and one behind the activation.
#[derive(Debug, Clone, Copy)]
pub struct Normformer;

impl Described for Normformer {
    const ID: &'static str = "normformer";
    const ABOUT: &'static str =
        "pre_ln, a gain per head, norm behind attention and behind act (Shleifer et al. 2021)";
    fn new() -> Self {
        Normformer
    }
}

impl Wire for Normformer {
    fn inside(&self, b: &mut Builder, part: Part, x: Id) -> Id {
        match part {
            Part::Mixed => b.head_gain("attn.scaled", x),
            Part::Hidden => b.norm("ffn.norm", x),
            _ => x,
        }
    }
    fn wire(&self, s: &mut Sublayer, x: Streams) -> Streams {
        match s.kind() {
            Branch::Attention => {
                let x = x.one();
                super::sandwich_ln::sandwiched(s, x).into()
            }
            Branch::FeedForward => PreLn.wire(s, x),
        }
    }
}
