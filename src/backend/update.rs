//! The rule by which an optimiser moves the parameters.

use std::ops::Range;

use super::Backend;
use crate::program::{Program, Source, Start, Value};

/// An optimiser's rule, with constants that hold for a whole run.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// AdamW (Loshchilov & Hutter 2019, algorithm 2): p ← p·(1 − lr·wd), m ← β₁m + (1 − β₁)g,
    /// v ← β₂v + (1 − β₂)g², p ← p − lr·m̂/(√v̂ + eps) with m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ).
    Adamw {
        /// Share of the first moment that stays.
        beta1: f64,
        /// Share of the second moment that stays.
        beta2: f64,
        /// Added to the root of the second moment.
        eps: f64,
    },
    /// Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) on the matrices that have their sizes
    /// in their [`Factors`]: m ← μm + (1 − μ)g, u = μm + (1 − μ)g,
    /// p ← p·(1 − lr·wd) − lr·0.2·√max(rows, cols)·O(u), O(u) u with its singular values brought near 1
    /// by five steps of Newton and Schulz; the factor is of Liu et al. 2025 (arXiv 2502.16982, equation
    /// 4). AdamW on all else.
    Muon {
        /// μ, the share of the momentum that stays.
        momentum: f64,
        /// As for AdamW.
        beta1: f64,
        /// As for AdamW.
        beta2: f64,
        /// As for AdamW.
        eps: f64,
    },
    /// m ← βm + g, p ← p·(1 − lr·wd) − lr·m.
    Sgd {
        /// Share of the momentum that stays.
        beta: f64,
    },
}

impl Rule {
    /// Whether the rule keeps a second moment.
    pub fn has_second_moment(&self) -> bool {
        !matches!(self, Rule::Sgd { .. })
    }
}

/// What sets a weight apart from others under the same rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Factors {
    /// wd in the formulas of [`Rule`].
    pub decay: f64,
    /// What lr is multiplied with.
    pub lr: f64,
    /// What eps is multiplied with.
    pub eps: f64,
    /// Rows and columns of a matrix that [`Rule::Muon`] moves as a whole.
    pub matrix: Option<[usize; 2]>,
}

impl Factors {
    /// The rule as it is, with weight decay on matrices and not on vectors.
    pub fn usual(value: &Value, decay: f64) -> Factors {
        let decay = if maps_features(value) { decay } else { 0.0 };
        Factors { decay, lr: 1.0, eps: 1.0, matrix: None }
    }
}

/// Whether a weight is a matrix between features. What mixes whole streams is none: it would decay to
/// none of them.
pub fn maps_features(value: &Value) -> bool {
    value.shape.sizes().len() >= 2 && !matches!(value.source, Source::Weight(Start::OneHot(_)))
}

/// A stretch of the parameter vector whose weights have the same factors.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    /// The elements.
    pub range: Range<usize>,
    /// How they move.
    pub factors: Factors,
}

impl Stretch {
    /// The parameter vector of `program`, in order, each weight with its factors.
    pub fn of(program: &Program, factors: impl Fn(&Value) -> Factors) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut at = 0;
        for (_, value) in program.weights() {
            let end = at + value.shape.len();
            let factors = factors(value);
            match stretches.last_mut() {
                Some(last) if last.factors == factors && factors.matrix.is_none() => {
                    last.range.end = end
                }
                _ => stretches.push(Stretch { range: at..end, factors }),
            }
            at = end;
        }
        stretches
    }
}

/// What changes from one update to the next.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pace {
    /// The learning rate.
    pub lr: f64,
    /// t in the formulas of [`Rule`]: the number of the step, counted from 1.
    pub step: usize,
}

impl Pace {
    /// The rate that the first moment is multiplied with, and 1/√(1 − β₂ᵗ): both carry AdamW's
    /// corrections of the bias, which are formed in f64, since 1 − β₂ᵗ cancels for small t.
    pub(super) fn corrected(&self, beta1: f64, beta2: f64) -> [f64; 2] {
        // Beyond 31 bits the power of anything below 1 is 0.
        let power = i32::try_from(self.step).unwrap_or(i32::MAX);
        [self.lr / (1.0 - beta1.powi(power)), 1.0 / (1.0 - beta2.powi(power)).sqrt()]
    }
}

/// One step of an optimiser. The gradient is multiplied with [`clip_factor`] first.
#[derive(Debug)]
pub struct Update<'a, B: Backend> {
    /// The rule.
    pub rule: &'a Rule,
    /// What moves, and how.
    pub stretches: &'a [Stretch],
    /// Its learning rate and number, as [`Backend::set_pace`] left them.
    pub pace: &'a B::Pace,
    /// The longest gradient, 0 where any length will do.
    pub clip: f64,
    /// The length of this one; 0 where none was formed.
    pub norm: &'a B::Norm,
    /// The learned numbers.
    pub parameters: &'a mut B::Buffer,
    /// The gradient of the step.
    pub gradient: &'a B::Buffer,
    /// First moment, or momentum.
    pub m: &'a mut B::Buffer,
    /// Second moment; empty where the rule has none.
    pub v: &'a mut B::Buffer,
}

/// What a gradient of norm `norm` is multiplied with so that it is no longer than `longest`:
/// min(1, longest/(norm + 10⁻⁶)), as PyTorch does; 1 where `longest` is 0.
pub fn clip_factor(norm: f64, longest: f64) -> f64 {
    if longest == 0.0 { 1.0 } else { (longest / (norm + 1e-6)).min(1.0) }
}
