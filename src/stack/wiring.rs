//! Where norm, skip and branch meet: one match that reads like the survey table.

use super::Sublayer;
use crate::choices;
use crate::op::residual::Residual;
use crate::program::{Id, Start};

choices! {
    /// How a sublayer meets the residual stream.
    Wiring {
        /// x′ = f(norm(x)).
        NoResidual = "no_residual",
        /// x′ = x + f(x).
        NoNorm = "no_norm",
        /// x′ = norm(x + f(x)).
        PostLn = "post_ln",
        /// x′ = x + f(norm(x)).
        PreLn = "pre_ln",
        /// x′ = x + norm(f(norm(x))).
        SandwichLn = "sandwich_ln",
        /// As sandwich_ln, and a norm on the embedding.
        PeriLn = "peri_ln",
        /// x′ = norm(alpha·x + f(x)), alpha = (2·depth)^¼.
        Deepnorm = "deepnorm",
        /// x′ = x + g·f(x), g learned from 0.
        Rezero = "rezero",
        /// x′ = x + λ ⊙ f(norm(x)), λ learned from a small constant.
        LayerScale = "layer_scale",
        /// x′ = x + f(norm(x)/√l), l counting blocks from 1.
        LnScaling = "ln_scaling",
    }
}

impl Wiring {
    /// One line for the list.
    pub fn about(self) -> &'static str {
        match self {
            Wiring::NoResidual => "x' = f(norm(x)), final norm: pre_ln without its skip",
            Wiring::NoNorm => "x' = x + f(x): no norm anywhere",
            Wiring::PostLn => "x' = norm(x + f(x)), norm on the embedding (Vaswani et al. 2017)",
            Wiring::PreLn => "x' = x + f(norm(x)), final norm (Xiong et al. 2020)",
            Wiring::SandwichLn => "x' = x + norm(f(norm(x))), final norm (Ding et al. 2021)",
            Wiring::PeriLn => {
                "x' = x + norm(f(norm(x))), norm on the embedding, final norm (Kim et al. 2025)"
            }
            Wiring::Deepnorm => {
                "x' = norm((2N)^¼·x + f(x)), norm on the embedding (Wang et al. 2022)"
            }
            Wiring::Rezero => {
                "x' = x + g·f(x), g from 0, one per sublayer (Bachlechner et al. 2020)"
            }
            Wiring::LayerScale => {
                "x' = x + λ⊙f(norm(x)), λ from 1e-4, final norm (Touvron et al. 2021)"
            }
            Wiring::LnScaling => "x' = x + f(norm(x)/√l), final norm (Sun et al. 2025)",
        }
    }

    /// Whether the embedding is normed: where the stream is, and in peri_ln.
    pub fn norms_embedding(self) -> bool {
        matches!(self, Wiring::PostLn | Wiring::Deepnorm | Wiring::PeriLn)
    }

    /// Whether the last stream is normed: where the blocks leave it unnormed, but not where
    /// there is no norm at all.
    pub fn norms_output(self) -> bool {
        !matches!(self, Wiring::PostLn | Wiring::Deepnorm | Wiring::NoNorm | Wiring::Rezero)
    }

    /// Adds one sublayer to the program and returns the new stream.
    pub(super) fn wire(self, s: &mut Sublayer, x: Id) -> Id {
        match self {
            Wiring::NoResidual => {
                let n = s.norm(x);
                s.branch(n)
            }
            Wiring::NoNorm => {
                let f = s.branch(x);
                s.add(x, f)
            }
            Wiring::PostLn => {
                let f = s.branch(x);
                let sum = s.add(x, f);
                s.norm(sum)
            }
            Wiring::PreLn => {
                let n = s.norm(x);
                let f = s.branch(n);
                s.add(x, f)
            }
            Wiring::SandwichLn | Wiring::PeriLn => {
                let n = s.norm(x);
                let f = s.branch(n);
                let f = s.norm_out(f);
                s.add(x, f)
            }
            Wiring::Deepnorm => {
                let f = s.branch(x);
                let sum = s.residual(Residual { alpha: s.deepnorm_alpha(), beta: 1.0 }, x, f);
                s.norm(sum)
            }
            Wiring::Rezero => {
                let f = s.branch(x);
                s.gained(x, f, 1, Start::Value(0.0))
            }
            Wiring::LayerScale => {
                let n = s.norm(x);
                let f = s.branch(n);
                let (width, from) = (s.width(), s.layer_scale());
                s.gained(x, f, width, Start::Value(from))
            }
            Wiring::LnScaling => {
                let n = s.norm(x);
                let n = s.scale(n, 1.0 / (s.layer() as f64).sqrt());
                let f = s.branch(n);
                s.add(x, f)
            }
        }
    }
}
