//! OLMo's initialisation (Groeneveld et al. 2024, arXiv 2402.00838; `InitFnType.mitchell` in its code):
//! a normal distribution of deviation 1/√in, 1/√(2·in·l) on out and down of block l, cut off at three
//! deviations; embeddings 1/√width.
//!
//! What is cut off narrows it: the deviation of the weights is 0.98658 times the one that is said.

use super::{Draw, Matrix, Scheme};
use crate::choice::Described;
use crate::program::Role;

/// N(0, 1/in) within three deviations, over √(2l) at the end of every branch.
#[derive(Debug, Clone, Copy)]
pub struct Mitchell;

impl Described for Mitchell {
    const ID: &'static str = "mitchell";
    const ABOUT: &'static str =
        "N(0, 1/in) within 3σ, out and down of block l over √(2l) (Groeneveld et al. 2024)";
    fn new() -> Self {
        Mitchell
    }
}

impl Scheme for Mitchell {
    fn embedding_std(&self, width: f64, _depth: f64) -> f64 {
        1.0 / width.sqrt()
    }
    fn matrix(&self, m: Matrix) -> Draw {
        let std = match m.role {
            Role::Out | Role::Down => (1.0 / (2.0 * m.fan_in * m.layer)).sqrt(),
            _ => (1.0 / m.fan_in).sqrt(),
        };
        Draw::Truncated { std, at: 3.0 }
    }
}
