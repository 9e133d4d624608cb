//! What a target's arithmetic is, where it is not that of a fused kernel: declared, and never guessed
//! from a tolerance.
//!
//! Without a declaration a right answer is that of a kernel that reads, computes in what its sums are
//! kept in, and rounds once where it writes. A declaration adds roundings to the same formula, and the
//! bounds follow.

use serde::{Deserialize, Serialize};

/// What the steps of a formula are kept in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intermediates {
    /// What sums are kept in.
    #[default]
    Accumulate,
    /// The dtype of the call: a composition of operations that each write their result, as frameworks
    /// without fusion run it. Sums within one operation are kept as before.
    Storage,
}

/// What attributes such as eps are held in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attributes {
    /// What they are given in.
    #[default]
    Exact,
    /// `f32`, also where `f64` computes.
    F32,
}

/// The arithmetic of a target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Arithmetic {
    /// What the steps are kept in.
    pub intermediates: Intermediates,
    /// The largest relative error of an exponential, beyond its rounding.
    pub exp: f64,
    /// The same of tanh and erf.
    pub tanh: f64,
    /// The same of a root or its reciprocal.
    pub rsqrt: f64,
    /// What attributes are held in.
    pub attributes: Attributes,
}

impl Arithmetic {
    /// The largest error that may be declared of a function: three digits are right.
    pub const LARGEST: f64 = 1e-3;

    /// Whether nothing is declared.
    pub fn is_strict(&self) -> bool {
        *self == Arithmetic::default()
    }

    /// What is wrong with it, in words: a field, its value and what is allowed.
    pub fn refused(&self) -> Option<String> {
        let functions = [("exp", self.exp), ("tanh", self.tanh), ("rsqrt", self.rsqrt)];
        let wrong = functions.into_iter().find(|(_, error)| !(0.0..=Self::LARGEST).contains(error));
        let largest = Self::LARGEST;
        wrong.map(|(name, error)| format!("{name} = {error}: allowed is 0 to {largest}"))
    }
}
