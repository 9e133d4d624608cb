//! nGPT (Loshchilov et al. 2024, arXiv 2410.01131, equations 10 and 11, and its published code).
//!
//! x′ = norm(x + α ⊙ (norm(f(x)) − x)), a step on the sphere from the stream towards the branch, one
//! learned α per channel and sublayer from 0.05. A norm on the embedding puts the stream there; none
//! follows the last block. α is a parameter from 1/√width times 0.05·√width, as
//! published: so a step of Adam moves it by 0.05·√width times the rate.
//!
//! The published method is `--preset ngpt`: norms without gain, rows of the weights of length one
//! times a gain (`weight_norm`, whose gains are s_u and s_v; the paper divides after every step, and
//! along the stream's axis in the two matrices that write to it, whose output is normed here), normed
//! queries and keys, no warm-up and no decay. It takes |α|, and norms the rows of the embedding and of
//! the head; here the head is as in other stacks.

use super::{Streams, Wire};
use crate::choice::Described;
use crate::op::residual::Residual;
use crate::program::Start;
use crate::stack::Sublayer;

/// x′ = norm(x + α ⊙ (norm(f(x)) − x)).
#[derive(Debug, Clone, Copy)]
pub struct Ngpt {
    /// What every α starts at.
    pub alpha: f64,
}

impl Described for Ngpt {
    const ID: &'static str = "ngpt";
    const ABOUT: &'static str =
        "x' = norm(x + α⊙(norm(f(x)) − x)), α from 0.05, embedding normed (Loshchilov et al. 2024)";
    fn new() -> Self {
        Ngpt { alpha: 0.05 }
    }
}

impl Wire for Ngpt {
    crate::constants! { dyn Wire; alpha: Finite }
    fn norms_embedding(&self) -> bool {
        true
    }
    fn norms_output(&self) -> bool {
        false
    }
    fn wire(&self, s: &mut Sublayer, x: Streams) -> Streams {
        let x = x.one();
        let f = s.branch(x);
        let n = s.norm_out(f);
        let root = (s.width() as f64).sqrt();
        // 0.05·√width·(n − x), which a gain of 1/√width makes 0.05·(n − x).
        let step = Residual { alpha: self.alpha * root, beta: -self.alpha * root };
        let site = s.site("step");
        let step = s.program().apply(&site, step, &[n, x]);
        let sum = s.gained(x, step, s.width(), Start::Value(1.0 / root));
        s.norm(sum).into()
    }
}
