//! One small normal distribution for everything, as BERT and OLMo 2 have it: N(0, 0.02²).

use super::{Draw, Matrix, Scheme};
use crate::choice::Described;

/// N(0, std²).
#[derive(Debug, Clone, Copy)]
pub struct Normal02 {
    /// The standard deviation.
    pub std: f64,
}

impl Described for Normal02 {
    const ID: &'static str = "normal_02";
    const ABOUT: &'static str = "N(0, 0.02²) on everything";
    fn new() -> Self {
        Normal02 { std: 0.02 }
    }
}

impl Scheme for Normal02 {
    crate::constants! { dyn Scheme; std: NotNegative }
    fn embedding_std(&self, _width: f64, _depth: f64) -> f64 {
        self.std
    }
    fn is_narrow(&self) -> bool {
        self.std < 1.0
    }
    fn matrix(&self, _: Matrix) -> Draw {
        Draw::Normal { std: self.std }
    }
}
