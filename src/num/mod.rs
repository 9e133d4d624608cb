//! The numbers that a formula is read at.
//!
//! Every formula is written once, for any [`Num`], and read several ways: at `f64` it is the truth
//! for the fast `f32` path and at [`Dd`] for `f64`; at [`Dual`] it is an exact directional derivative;
//! at [`Stochastic`] its spread is the unit of rounding error at each output; at [`Bound`] every
//! number carries how far a right computation may be from it.

pub mod bound;
mod double;
mod dtype;
mod dual;
pub mod show;
pub mod spelled;
mod stochastic;

pub use bound::Bound;
pub use double::Dd;
pub use dtype::Dtype;
pub use dual::Dual;
pub use stochastic::Stochastic;

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

/// A real number with the elementary functions that a Transformer block needs.
pub trait Num:
    Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
{
    /// The nearest number of this kind.
    fn num(value: f64) -> Self;
    /// The value, without any derivative.
    fn value(self) -> f64;
    /// √x.
    fn sqrt(self) -> Self;
    /// eˣ.
    fn exp(self) -> Self;
    /// The natural logarithm.
    fn ln(self) -> Self;
    /// tanh x.
    fn tanh(self) -> Self;
    /// erf x = 2/√π ∫₀ˣ e^(−t²) dt.
    fn erf(self) -> Self;
    /// erfc x = 1 − erf x, also where that difference cancels.
    fn erfc(self) -> Self;
    /// |x|, with derivative 0 at 0.
    fn abs(self) -> Self;
    /// The value rounded to a dtype; a derivative passes through.
    fn narrow(self, dtype: Dtype) -> Self;

    /// The same number, as a constant to whoever differentiates.
    fn held(self) -> Self {
        self
    }

    /// 0.
    fn zero() -> Self {
        Self::num(0.0)
    }
    /// 1.
    fn one() -> Self {
        Self::num(1.0)
    }
    /// A count as a number.
    fn count(n: usize) -> Self {
        Self::num(n as f64)
    }
    /// The index that this number carries; indices travel as numbers, exact up to 2²⁴ in `f32`.
    fn index(self) -> usize {
        self.value() as usize
    }
    /// The larger of two, the first where they are equal.
    fn larger(self, other: Self) -> Self {
        if other > self { other } else { self }
    }
    /// The sum of some terms, in an order of its own.
    fn sum(terms: impl IntoIterator<Item = Self>) -> Self {
        terms.into_iter().fold(Self::zero(), |sum, term| sum + term)
    }
    /// The sum of terms, each of which is met so many times.
    fn sum_of(terms: impl IntoIterator<Item = (Self, usize)>) -> Self {
        let times = |(term, times): (Self, usize)| match times {
            1 => term,
            times => term * Self::count(times),
        };
        Self::sum(terms.into_iter().filter(|(_, times)| *times > 0).map(times))
    }
    /// The same number, where another right formula rounds something of this magnitude.
    fn loosened(self, _magnitude: f64) -> Self {
        self
    }
    /// The same number, where another right formula computes it as `other`: the bound holds for both.
    fn or(self, _other: Self) -> Self {
        self
    }
    /// The same number, where a right implementation may keep it in this dtype.
    fn kept(self, _dtype: Dtype) -> Self {
        self
    }
    /// Σ aᵢ·bᵢ.
    fn dot(a: &[Self], b: &[Self]) -> Self {
        Self::sum(a.iter().zip(b).map(|(&a, &b)| a * b))
    }
    /// x².
    fn square(self) -> Self {
        self * self
    }
    /// √Σ t²: the length of a vector, which errs by no more than the vector itself.
    fn length(terms: &[Self]) -> Self {
        Self::sum(terms.iter().map(|t| t.square())).sqrt()
    }
    /// 1 where the number is positive, otherwise 0: the derivative of max(x, 0).
    fn step(self) -> Self {
        if self > Self::zero() { Self::one() } else { Self::zero() }
    }
    /// Σ xᵢ/n.
    fn mean(row: &[Self]) -> Self {
        Self::sum(row.iter().copied()) / Self::count(row.len())
    }
}

impl Num for f64 {
    fn num(value: f64) -> Self {
        value
    }
    fn value(self) -> f64 {
        self
    }
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    fn exp(self) -> Self {
        f64::exp(self)
    }
    fn ln(self) -> Self {
        f64::ln(self)
    }
    fn tanh(self) -> Self {
        f64::tanh(self)
    }
    fn erf(self) -> Self {
        libm::erf(self)
    }
    fn erfc(self) -> Self {
        libm::erfc(self)
    }
    fn abs(self) -> Self {
        f64::abs(self)
    }
    fn narrow(self, dtype: Dtype) -> Self {
        dtype.round(self)
    }
}

impl Num for f32 {
    fn num(value: f64) -> Self {
        value as f32
    }
    fn value(self) -> f64 {
        self as f64
    }
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }
    fn exp(self) -> Self {
        f32::exp(self)
    }
    fn ln(self) -> Self {
        f32::ln(self)
    }
    fn tanh(self) -> Self {
        f32::tanh(self)
    }
    fn erf(self) -> Self {
        libm::erff(self)
    }
    fn erfc(self) -> Self {
        libm::erfcf(self)
    }
    fn abs(self) -> Self {
        f32::abs(self)
    }
    fn narrow(self, dtype: Dtype) -> Self {
        dtype.round(f64::from(self)) as f32
    }
}
