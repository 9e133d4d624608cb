//! T-Fixup (Huang et al. 2020, "Improving Transformer Optimization Through Better Initialization",
//! section 3.2): Xavier, 0.67·depth^(−¼) times that on value, out and the feed-forward, what the paper
//! gives a stack of self-attention; embeddings N(0, 1/width), (9·depth)^(−¼) times as wide.
//!
//! It is for stacks without norms and warm-up. The authors' code multiplies value by √2 besides, which
//! undoes a gain of 1/√2 that their library gives it and there is none of here.

use super::{Draw, Matrix, Scheme};
use crate::choice::Described;
use crate::program::Role;

/// Xavier, narrower on value, out, up, gate and down.
#[derive(Debug, Clone, Copy)]
pub struct TFixup;

impl Described for TFixup {
    const ID: &'static str = "t_fixup";
    const ABOUT: &'static str =
        "xavier, 0.67·depth^(−1/4) on value, out, feed-forward (Huang et al. 2020)";
    fn new() -> Self {
        TFixup
    }
}

impl Scheme for TFixup {
    fn embedding_std(&self, width: f64, depth: f64) -> f64 {
        (9.0 * depth).powf(-0.25) / width.sqrt()
    }
    fn matrix(&self, m: Matrix) -> Draw {
        let std = match m.role {
            Role::Value | Role::Out | Role::Up | Role::Gate | Role::Down => {
                m.xavier() * 0.67 * m.depth.powf(-0.25)
            }
            _ => m.xavier(),
        };
        Draw::Normal { std }
    }
}
