//! The number a reference operator is read at.
//!
//! Every reference is written once, for any [`Num`], and read several ways:
//! at `f64` it is the truth for the fast `f32` path, at [`Dual`] it is an exact directional
//! derivative, at [`Wobble`] its spread is the unit of rounding error at each output.

use std::cell::Cell;
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
    /// The value rounded to a storage format; the derivative passes through.
    fn round_to(self, format: Format) -> Self;

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
}

crate::choices! {
    /// A storage format that a value can be rounded to.
    Format {
        /// No rounding beyond that of the number itself.
        Exact = "exact",
        /// IEEE binary32.
        F32 = "f32",
        /// bfloat16: 8 bits of significand.
        Bf16 = "bf16",
    }
}

fn rounded(value: f64, format: Format) -> f64 {
    match format {
        Format::Exact => value,
        Format::F32 => value as f32 as f64,
        Format::Bf16 => {
            // Rounded to f32 first with the last bit sticky would be exact; the double rounding
            // here differs only on ties that f32 itself produced.
            let bits = (value as f32).to_bits();
            if value.is_nan() {
                return f64::NAN;
            }
            let round = 0x7fff + ((bits >> 16) & 1);
            f32::from_bits(bits.wrapping_add(round) & 0xffff_0000) as f64
        }
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
    fn round_to(self, format: Format) -> Self {
        rounded(self, format)
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
    fn round_to(self, format: Format) -> Self {
        rounded(self as f64, format) as f32
    }
}

/// A dual number v + d·ε with ε² = 0: forward-mode differentiation, exact to rounding.
///
/// Comparisons look at the value only.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dual {
    /// The value.
    pub v: f64,
    /// The directional derivative.
    pub d: f64,
}

impl Dual {
    /// A value and its derivative along the direction under study.
    pub fn new(v: f64, d: f64) -> Self {
        Dual { v, d }
    }
    fn chain(self, v: f64, slope: f64) -> Self {
        Dual { v, d: self.d * slope }
    }
}

impl PartialEq for Dual {
    fn eq(&self, other: &Self) -> bool {
        self.v == other.v
    }
}
impl PartialOrd for Dual {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.v.partial_cmp(&other.v)
    }
}
impl Add for Dual {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Dual::new(self.v + o.v, self.d + o.d)
    }
}
impl Sub for Dual {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        Dual::new(self.v - o.v, self.d - o.d)
    }
}
impl Mul for Dual {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        Dual::new(self.v * o.v, self.d * o.v + self.v * o.d)
    }
}
impl Div for Dual {
    type Output = Self;
    fn div(self, o: Self) -> Self {
        let v = self.v / o.v;
        // What is divided by infinity is 0 and flat: 0·∞ must not make a NaN of it.
        let flat = o.v.is_infinite() && self.v.is_finite();
        Dual::new(v, if flat { 0.0 } else { (self.d - v * o.d) / o.v })
    }
}
impl Neg for Dual {
    type Output = Self;
    fn neg(self) -> Self {
        Dual::new(-self.v, -self.d)
    }
}
impl AddAssign for Dual {
    fn add_assign(&mut self, o: Self) {
        *self = *self + o;
    }
}
impl SubAssign for Dual {
    fn sub_assign(&mut self, o: Self) {
        *self = *self - o;
    }
}

impl Num for Dual {
    fn num(value: f64) -> Self {
        Dual::new(value, 0.0)
    }
    fn value(self) -> f64 {
        self.v
    }
    fn sqrt(self) -> Self {
        let v = self.v.sqrt();
        self.chain(v, 0.5 / v)
    }
    fn exp(self) -> Self {
        let v = self.v.exp();
        // e^(−∞) is flat, whatever the direction: 0·∞ must not make a NaN of it.
        if v == 0.0 { Dual::new(0.0, 0.0) } else { self.chain(v, v) }
    }
    fn ln(self) -> Self {
        self.chain(self.v.ln(), 1.0 / self.v)
    }
    fn tanh(self) -> Self {
        let v = self.v.tanh();
        self.chain(v, 1.0 - v * v)
    }
    fn erf(self) -> Self {
        let slope = std::f64::consts::FRAC_2_SQRT_PI * (-self.v * self.v).exp();
        self.chain(libm::erf(self.v), slope)
    }
    fn erfc(self) -> Self {
        let slope = -std::f64::consts::FRAC_2_SQRT_PI * (-self.v * self.v).exp();
        self.chain(libm::erfc(self.v), slope)
    }
    fn abs(self) -> Self {
        let slope = if self.v == 0.0 { 0.0 } else { self.v.signum() };
        self.chain(self.v.abs(), slope)
    }
    fn round_to(self, format: Format) -> Self {
        Dual::new(rounded(self.v, format), self.d)
    }
}

/// An `f64` that rounds every result at random to [`Wobble::BITS`] bits.
///
/// The spread of some readings of a reference is the error that honest `f32` arithmetic makes at
/// each output, so a cancellation widens its own budget and no other. What is representable stays
/// exact. The generator is one per thread and is set with [`Wobble::seed`].
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub struct Wobble(pub f64);

thread_local! {
    static WOBBLE: Cell<(u64, bool)> = const { Cell::new((0x9e37_79b9_7f4a_7c15, false)) };
}

impl Wobble {
    /// Bits of significand that are kept: those of `f32`.
    pub const BITS: u32 = 24;

    /// Starts this thread's rounding directions anew.
    pub fn seed(seed: u64) {
        WOBBLE.set((crate::rng::mix(seed ^ 0x9e37_79b9_7f4a_7c15), false));
    }

    /// As [`Wobble::seed`], and what is representable moves as well, by a unit in the last place
    /// up or down; only 0 stays.
    ///
    /// Another order of the same operations, or a product with a rounded reciprocal in the place
    /// of a quotient, rounds where the formula as written happens to be exact.
    pub fn seed_restless(seed: u64) {
        Wobble::seed(seed);
        WOBBLE.set((WOBBLE.get().0, true));
    }

    /// A number that is given: rounded at random where it is not representable, and only there.
    pub fn read(value: f64) -> Self {
        let (_, restless) = WOBBLE.get();
        WOBBLE.set((WOBBLE.get().0, false));
        let read = Wobble::round(value);
        WOBBLE.set((WOBBLE.get().0, restless));
        read
    }

    fn round(value: f64) -> Self {
        if !value.is_finite() || value == 0.0 {
            return Wobble(value);
        }
        let dropped = 52 - (Self::BITS - 1);
        let mask = (1u64 << dropped) - 1;
        let bits = value.to_bits();
        let exact = bits & mask == 0;
        let (state, restless) = WOBBLE.get();
        if exact && !restless {
            return Wobble(value);
        }
        let next = crate::rng::mix(state);
        WOBBLE.set((next, restless));
        // Adding one unit to the magnitude bits moves away from zero, carry into the exponent included.
        let down = bits & !mask;
        Wobble(f64::from_bits(match (next >> 63 == 1, exact) {
            (true, _) => down + mask + 1,
            (false, false) => down,
            (false, true) => down - mask - 1,
        }))
    }
}

macro_rules! wobble_operator {
    ($trait:ident, $method:ident, $sign:tt) => {
        impl $trait for Wobble {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                Wobble::round(self.0 $sign other.0)
            }
        }
    };
}
wobble_operator!(Add, add, +);
wobble_operator!(Sub, sub, -);
wobble_operator!(Mul, mul, *);
wobble_operator!(Div, div, /);

impl Neg for Wobble {
    type Output = Self;
    fn neg(self) -> Self {
        Wobble(-self.0)
    }
}
impl AddAssign for Wobble {
    fn add_assign(&mut self, o: Self) {
        *self = *self + o;
    }
}
impl SubAssign for Wobble {
    fn sub_assign(&mut self, o: Self) {
        *self = *self - o;
    }
}

impl Num for Wobble {
    fn num(value: f64) -> Self {
        Wobble(value)
    }
    fn value(self) -> f64 {
        self.0
    }
    fn sqrt(self) -> Self {
        Wobble::round(self.0.sqrt())
    }
    fn exp(self) -> Self {
        Wobble::round(self.0.exp())
    }
    fn ln(self) -> Self {
        Wobble::round(self.0.ln())
    }
    fn tanh(self) -> Self {
        Wobble::round(self.0.tanh())
    }
    fn erf(self) -> Self {
        Wobble::round(libm::erf(self.0))
    }
    fn erfc(self) -> Self {
        Wobble::round(libm::erfc(self.0))
    }
    fn abs(self) -> Self {
        Wobble(self.0.abs())
    }
    fn round_to(self, format: Format) -> Self {
        Wobble(rounded(self.0, format))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dual_differentiates_elementary_functions() {
        let x = Dual::new(0.7, 1.0);
        let f = |x: f64| ((x * x).exp() / (1.0 + x)).ln().tanh() + libm::erf(x).sqrt();
        let exact = ((x * x).exp() / (Dual::one() + x)).ln().tanh() + x.erf().sqrt();
        let h = 1e-5;
        let slope = (f(0.7 + h) - f(0.7 - h)) / (2.0 * h);
        assert!((exact.d - slope).abs() < 1e-9, "{} against {slope}", exact.d);
    }

    #[test]
    fn a_quotient_by_infinity_is_flat() {
        let silu = |x: Dual| x / (Dual::one() + (-x).exp());
        let y = silu(Dual::new(-1e4, 1.0));
        assert_eq!((y.v, y.d), (0.0, 0.0));
    }

    #[test]
    fn wobble_keeps_what_is_representable() {
        let x = Wobble(1.5) + Wobble(2.25);
        assert_eq!(x.0, 3.75);
    }

    #[test]
    fn restless_wobble_moves_what_is_representable() {
        Wobble::seed_restless(1);
        let sums: Vec<f64> = (0..64).map(|_| (Wobble(1.5) + Wobble(2.25)).0 - 3.75).collect();
        let unit = 2f64.powi(-22);
        assert!([-unit, unit].iter().all(|step| sums.contains(step)));
        assert!(sums.iter().all(|step| step.abs() == unit));
    }

    #[test]
    fn wobble_spreads_by_one_unit_in_the_last_place() {
        Wobble::seed(1);
        let third: Vec<f64> = (0..64).map(|_| (Wobble(1.0) / Wobble(3.0)).0).collect();
        let unit = 2f64.powi(-25);
        assert!(third.iter().all(|v| (v - 1.0 / 3.0).abs() < unit));
        assert!(third.iter().any(|v| *v > 1.0 / 3.0) && third.iter().any(|v| *v < 1.0 / 3.0));
    }

    #[test]
    fn bf16_rounds_to_nearest_even() {
        assert_eq!(1.00390625.round_to(Format::Bf16), 1.0);
        assert_eq!(1.01171875.round_to(Format::Bf16), 1.015625);
    }
}
