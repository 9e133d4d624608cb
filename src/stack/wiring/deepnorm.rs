//! DeepNorm (Wang et al. 2022, arXiv 2203.00555, equation 4 and table of figure 2).
//!
//! x′ = norm(α·x + f(x)), α = (2·depth)^¼ for a stack of decoder blocks. Its init is narrower on what
//! the bound of the paper needs small: `--init deepnorm`.

use super::{Streams, Wire};
use crate::choice::Described;
use crate::op::residual::Residual;
use crate::stack::Sublayer;

/// x′ = norm(alpha·x + f(x)).
#[derive(Debug, Clone, Copy)]
pub struct Deepnorm {
    /// Factor of the stream; none is (2·depth)^power.
    pub alpha: Option<f64>,
    /// Exponent p of alpha = (2·depth)^p where alpha is none.
    pub power: f64,
}

impl Described for Deepnorm {
    const ID: &'static str = "deepnorm";
    const ABOUT: &'static str =
        "x' = norm((2N)^¼·x + f(x)), norm on the embedding (Wang et al. 2022)";
    fn new() -> Self {
        Deepnorm { alpha: None, power: 0.25 }
    }
}

impl Wire for Deepnorm {
    crate::constants! { dyn Wire; alpha: Finite, power: Finite }
    fn norms_embedding(&self) -> bool {
        true
    }
    fn norms_output(&self) -> bool {
        false
    }
    fn wire(&self, s: &mut Sublayer, x: Streams) -> Streams {
        let x = x.one();
        let f = s.branch(x);
        let alpha = self.alpha.unwrap_or((2.0 * s.depth() as f64).powf(self.power));
        let sum = s.residual(Residual { alpha, beta: 1.0 }, x, f);
        s.norm(sum).into()
    }
}
