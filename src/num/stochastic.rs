//! Stochastic rounding.

use std::cell::Cell;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

use super::{Dtype, Num};

/// An `f64` that rounds every result at random to [`Stochastic::BITS`] bits.
///
/// The spread of some readings of a reference is the error that honest `f32` arithmetic makes at
/// each output, so a cancellation widens its own budget and no other. What is representable stays
/// exact. The generator is one per thread and is set with [`Stochastic::seed`].
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub struct Stochastic(pub f64);

thread_local! {
    static STATE: Cell<(u64, bool)> = const { Cell::new((0x9e37_79b9_7f4a_7c15, false)) };
}

impl Stochastic {
    /// Bits of significand that are kept: those of `f32`.
    pub const BITS: u32 = 24;

    /// Starts this thread's rounding directions anew.
    pub fn seed(seed: u64) {
        STATE.set((crate::rng::mix(seed ^ 0x9e37_79b9_7f4a_7c15), false));
    }

    /// As [`Stochastic::seed`], and what is representable moves as well, by a unit in the last place
    /// up or down; only 0 stays.
    ///
    /// Another order of the same operations, or a product with a rounded reciprocal in the place
    /// of a quotient, rounds where the formula as written happens to be exact.
    pub fn seed_every(seed: u64) {
        Stochastic::seed(seed);
        STATE.set((STATE.get().0, true));
    }

    /// A number that is given: rounded at random where it is not representable, and only there.
    pub fn read(value: f64) -> Self {
        let (_, every) = STATE.get();
        STATE.set((STATE.get().0, false));
        let read = Stochastic::round(value);
        STATE.set((STATE.get().0, every));
        read
    }

    fn round(value: f64) -> Self {
        if !value.is_finite() || value == 0.0 {
            return Stochastic(value);
        }
        let dropped = 52 - (Self::BITS - 1);
        let mask = (1u64 << dropped) - 1;
        let bits = value.to_bits();
        let exact = bits & mask == 0;
        let (state, every) = STATE.get();
        if exact && !every {
            return Stochastic(value);
        }
        let next = crate::rng::mix(state);
        STATE.set((next, every));
        // Adding one unit to the magnitude bits moves away from zero, carry into the exponent included.
        let down = bits & !mask;
        Stochastic(f64::from_bits(match (next >> 63 == 1, exact) {
            (true, _) => down + mask + 1,
            (false, false) => down,
            (false, true) => down - mask - 1,
        }))
    }
}

macro_rules! rounding_operator {
    ($trait:ident, $method:ident, $sign:tt) => {
        impl $trait for Stochastic {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                Stochastic::round(self.0 $sign other.0)
            }
        }
    };
}
rounding_operator!(Add, add, +);
rounding_operator!(Sub, sub, -);
rounding_operator!(Mul, mul, *);
rounding_operator!(Div, div, /);

impl Neg for Stochastic {
    type Output = Self;
    fn neg(self) -> Self {
        Stochastic(-self.0)
    }
}
impl AddAssign for Stochastic {
    fn add_assign(&mut self, o: Self) {
        *self = *self + o;
    }
}
impl SubAssign for Stochastic {
    fn sub_assign(&mut self, o: Self) {
        *self = *self - o;
    }
}

impl Num for Stochastic {
    fn num(value: f64) -> Self {
        Stochastic(value)
    }
    fn value(self) -> f64 {
        self.0
    }
    fn sqrt(self) -> Self {
        Stochastic::round(self.0.sqrt())
    }
    fn exp(self) -> Self {
        Stochastic::round(self.0.exp())
    }
    fn ln(self) -> Self {
        Stochastic::round(self.0.ln())
    }
    fn tanh(self) -> Self {
        Stochastic::round(self.0.tanh())
    }
    fn erf(self) -> Self {
        Stochastic::round(libm::erf(self.0))
    }
    fn erfc(self) -> Self {
        Stochastic::round(libm::erfc(self.0))
    }
    fn abs(self) -> Self {
        Stochastic(self.0.abs())
    }
    fn narrow(self, dtype: Dtype) -> Self {
        Stochastic(dtype.round(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_keeps_what_is_representable() {
        let x = Stochastic(1.5) + Stochastic(2.25);
        assert_eq!(x.0, 3.75);
    }

    #[test]
    fn rounding_everything_moves_what_is_representable() {
        Stochastic::seed_every(1);
        let sums: Vec<f64> =
            (0..64).map(|_| (Stochastic(1.5) + Stochastic(2.25)).0 - 3.75).collect();
        let unit = 2f64.powi(-22);
        assert!([-unit, unit].iter().all(|step| sums.contains(step)));
        assert!(sums.iter().all(|step| step.abs() == unit));
    }

    #[test]
    fn rounding_spreads_by_one_unit_in_the_last_place() {
        Stochastic::seed(1);
        let third: Vec<f64> = (0..64).map(|_| (Stochastic(1.0) / Stochastic(3.0)).0).collect();
        let unit = 2f64.powi(-25);
        assert!(third.iter().all(|v| (v - 1.0 / 3.0).abs() < unit));
        assert!(third.iter().any(|v| *v > 1.0 / 3.0) && third.iter().any(|v| *v < 1.0 / 3.0));
    }
}
