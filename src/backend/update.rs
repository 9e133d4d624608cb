//! The rule by which an optimiser moves the parameters.

use std::ops::Range;

use super::Backend;
use crate::program::Program;

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
    /// m ← βm + g, p ← p·(1 − lr·wd) − lr·m.
    Sgd {
        /// Share of the momentum that stays.
        beta: f64,
    },
}

impl Rule {
    /// Whether the rule keeps a second moment.
    pub fn has_second_moment(&self) -> bool {
        matches!(self, Rule::Adamw { .. })
    }
}

/// A stretch of the parameter vector and its weight decay.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    /// The elements.
    pub range: Range<usize>,
    /// wd in the formulas of [`Rule`].
    pub decay: f64,
}

impl Stretch {
    /// The whole parameter vector of `program`, in order: matrices decay, vectors do not.
    pub fn of(program: &Program, decay: f64) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut at = 0;
        for (_, value) in program.weights() {
            let end = at + value.shape.len();
            let decay = if value.shape.sizes().len() >= 2 { decay } else { 0.0 };
            match stretches.last_mut() {
                Some(last) if last.decay == decay => last.range.end = end,
                _ => stretches.push(Stretch { range: at..end, decay }),
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
    /// What decays.
    pub stretches: &'a [Stretch],
    /// Its learning rate and number, as [`Backend::set_pace`] left them.
    pub pace: &'a B::Pace,
    /// The longest gradient, 0 where any length will do.
    pub clip: f64,
    /// The length of this one; 0 where none was formed.
    pub norm: &'a B::Norm,
    /// What moves.
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
