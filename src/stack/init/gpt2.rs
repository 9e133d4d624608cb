//! GPT-2 (Radford et al. 2019, section 2.3): N(0, 0.02²), and over √(2·depth) on the last matrix of
//! every branch, so that the residual stream grows as one layer does.

use super::{Draw, Matrix, Scheme};
use crate::choice::Described;
use crate::program::Role;

/// N(0, std²), narrower on the last matrix of every branch.
#[derive(Debug, Clone, Copy)]
pub struct Gpt2 {
    /// The standard deviation.
    pub std: f64,
}

impl Described for Gpt2 {
    const ID: &'static str = "gpt2";
    const ABOUT: &'static str = "N(0, 0.02²), out and down over √(2·depth) (Radford et al. 2019)";
    fn new() -> Self {
        Gpt2 { std: 0.02 }
    }
}

impl Scheme for Gpt2 {
    crate::constants! { dyn Scheme; std: NotNegative }
    fn embedding_std(&self, _width: f64, _depth: f64) -> f64 {
        self.std
    }
    fn is_narrow(&self) -> bool {
        self.std < 1.0
    }
    fn matrix(&self, m: Matrix) -> Draw {
        let std = match m.role {
            Role::Out | Role::Down => self.std / (2.0 * m.depth).sqrt(),
            _ => self.std,
        };
        Draw::Normal { std }
    }
}
