//! Sub-LN (Wang et al. 2022, Magneto, arXiv 2210.06423, and its published code in torchscale).
//!
//! x′ = x + out·norm(heads(norm(x))) and x′ = x + down·norm(act(up·norm(x))): a second norm before the
//! last matrix of each branch, and one behind the last block. Its init is wider on what that norm
//! makes harmless: `--init sub_ln`.

use super::{PreLn, Streams, Wire};
use crate::choice::Described;
use crate::program::Id;
use crate::stack::{Builder, Part, Sublayer};

/// As pre_ln, and a norm before the last matrix of each branch.
#[derive(Debug, Clone, Copy)]
pub struct SubLn;

impl Described for SubLn {
    const ID: &'static str = "sub_ln";
    const ABOUT: &'static str =
        "x' = x + f(norm(x)), a norm before the last matrix of f, final norm (Wang et al. 2022)";
    fn new() -> Self {
        SubLn
    }
}

impl Wire for SubLn {
    fn inside(&self, b: &mut Builder, part: Part, x: Id) -> Id {
        match part {
            Part::Mixed => b.norm("attn.norm", x),
            Part::Hidden => b.norm("ffn.norm", x),
            _ => x,
        }
    }
    fn wire(&self, s: &mut Sublayer, x: Streams) -> Streams {
        PreLn.wire(s, x)
    }
}
