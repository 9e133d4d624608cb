//! Peri-LN (Kim et al. 2025, arXiv 2502.02732, section 3).
//!
//! x′ = x + norm(f(norm(x))), with a norm on the embedding and one behind the last block.

use super::sandwich_ln::sandwiched;
use super::{Streams, Wire};
use crate::choice::Described;
use crate::stack::Sublayer;

/// As sandwich_ln, and a norm on the embedding.
#[derive(Debug, Clone, Copy)]
pub struct PeriLn;

impl Described for PeriLn {
    const ID: &'static str = "peri_ln";
    const ABOUT: &'static str =
        "x' = x + norm(f(norm(x))), norm on the embedding, final norm (Kim et al. 2025)";
    fn new() -> Self {
        PeriLn
    }
}

impl Wire for PeriLn {
    fn norms_embedding(&self) -> bool {
        true
    }
    fn wire(&self, s: &mut Sublayer, x: Streams) -> Streams {
        let x = x.one();
        sandwiched(s, x).into()
    }
}
