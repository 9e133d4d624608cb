//! DeepNorm (Wang et al. 2022, arXiv 2203.00555, figure 2): Xavier, and (8·depth)^(−1/4) times that
//! on value, out and the feed-forward, what the bound of the paper needs small.

use super::{Draw, Matrix, Scheme};
use crate::choice::Described;
use crate::program::Role;

/// Xavier, narrower on value, out, up, gate and down.
#[derive(Debug, Clone, Copy)]
pub struct Deepnorm {
    /// Exponent q of the factor (8·depth)^(−q).
    pub power: f64,
}

impl Described for Deepnorm {
    const ID: &'static str = "deepnorm";
    const ABOUT: &'static str =
        "xavier, (8·depth)^(−1/4) on value, out, feed-forward (Wang et al. 2022)";
    fn new() -> Self {
        Deepnorm { power: 0.25 }
    }
}

impl Scheme for Deepnorm {
    crate::constants! { dyn Scheme; power: Finite }
    fn matrix(&self, m: Matrix) -> Draw {
        let std = match m.role {
            Role::Value | Role::Out | Role::Up | Role::Gate | Role::Down => {
                m.xavier() * (8.0 * m.depth).powf(-self.power)
            }
            _ => m.xavier(),
        };
        Draw::Normal { std }
    }
}
