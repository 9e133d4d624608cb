//! Maximal update parametrisation for Adam (Yang et al. 2021, arXiv 2203.03466, table 8), by what the
//! width is to a base width, m = width/base_width.
//!
//! Matrices of the blocks are N(0, 1/in) and have the learning rate lr/m; embeddings N(0, 1) and vectors
//! keep lr. The head is N(0, 1/base_width), keeps lr, and its logits are over m; products of queries and
//! keys are over the head's width and not its root. So that nothing depends on the width, eps is over m
//! (Dey et al. 2025, arXiv 2505.01618, equation 40), and weight decay times m where lr is over m.

use super::{Draw, Matrix, Scheme};
use crate::choice::Described;
use crate::program::Role;

/// N(0, 1/in), with rates and logits by the width.
#[derive(Debug, Clone, Copy)]
pub struct Mup {
    /// The width at which rates and logits are the usual ones.
    pub base_width: usize,
}

impl Described for Mup {
    const ID: &'static str = "mup";
    const ABOUT: &'static str =
        "N(0, 1/in), hidden lr and logits over width/base_width, qk/d (Yang et al. 2021)";
    fn new() -> Self {
        Mup { base_width: 64 }
    }
}

impl Scheme for Mup {
    crate::constants! { dyn Scheme; base_width: Count }
    fn width_multiplier(&self, width: f64) -> Option<f64> {
        Some(width / self.base_width as f64)
    }
    fn matrix(&self, m: Matrix) -> Draw {
        let variance = match m.role {
            Role::Head => 1.0 / self.base_width as f64,
            _ => 1.0 / m.fan_in,
        };
        Draw::Normal { std: variance.sqrt() }
    }
}
