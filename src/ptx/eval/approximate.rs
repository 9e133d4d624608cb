//! Instructions that are only approximately right, and the errors that NVIDIA documents.
//!
//! The figures are those of “Parallel Thread Execution ISA”, version 9.1, sections 9.7.3.8 to 9.7.3.22 and
//! 9.7.4.9 to 9.7.4.10, one for each instruction. What it gives no figure for is marked as assumed.
//! A kernel whose error budget holds at both ends of these errors holds on every chip; one
//! that was only seen on one chip may owe its success to that chip.

use super::super::options::Approximation;
use super::half::Format;
use super::round::{Round, flush};

/// A function of the special-function unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Rcp,
    Rsqrt,
    Sqrt,
    Sin,
    Cos,
    Lg2,
    Ex2,
    Tanh,
    /// `div.full`, and `div.approx`, which loses the quotient of a large divisor.
    Div,
    DivApprox,
}

/// The type that a function works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    F32,
    F64,
    /// A 16-bit float, and whether two are packed.
    Half(Format, bool),
}

/// An approximate instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Approximate {
    pub function: Function,
    pub kind: Kind,
    pub ftz: bool,
}

/// How far a result may lie from the exact one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    /// By a part of the exact result: two to this power.
    Relative(f64),
    /// By an amount: two to this power.
    Absolute(f64),
    /// By so many units in the last place.
    Ulps(f64),
    /// By so many units in the last place, from the result that is rounded rightly.
    Steps(f64),
}

/// The documented error of a function of singles.
fn bound_f32(function: Function, input: f64) -> Bound {
    use std::f64::consts::{PI, TAU};
    match function {
        // 9.7.3.13: “the maximum ulp error is 1 across the full range of inputs”.
        Function::Rcp => Bound::Ulps(1.0),
        // 9.7.3.16: a relative error of 2^-22.9 “over the entire positive finite floating-point range”.
        Function::Rsqrt => Bound::Relative(-22.9),
        // 9.7.3.15: a relative error of 2^-23 over the same range.
        Function::Sqrt => Bound::Relative(-23.0),
        // 9.7.3.18 and 9.7.3.19: an absolute error by range, and beyond 100π “no defined error guarantees”:
        // as far off as one sine is from another.
        Function::Sin | Function::Cos => Bound::Absolute(match input.abs() {
            size if size <= TAU => -20.5,
            size if size <= 100.0 * PI => -14.7,
            _ => 1.0,
        }),
        // 9.7.3.20: an absolute error “in the range (0.5, 2)”, a relative one elsewhere.
        Function::Lg2 if input > 0.5 && input < 2.0 => Bound::Absolute(-22.0),
        Function::Lg2 => Bound::Relative(-22.0),
        // 9.7.3.21: “2 ulp from correctly rounded result across the full range of inputs”.
        Function::Ex2 => Bound::Steps(2.0),
        // 9.7.3.22: a relative error “over the entire floating point range”.
        Function::Tanh => Bound::Relative(-11.0),
        // 9.7.3.8: “the maximum ulp error is 2”; of `div.approx` for divisors in [2^-126, 2^126], and below
        // them by assumption.
        Function::Div | Function::DivApprox => Bound::Ulps(2.0),
    }
}

/// The documented error of a function of 16-bit floats: 9.7.4.10 and 9.7.4.9.
fn bound_half(function: Function, format: Format) -> Bound {
    match (function, format) {
        (Function::Ex2, Format::F16) => Bound::Relative(-9.9),
        (Function::Ex2, Format::Bf16) => Bound::Relative(-7.0),
        (_, Format::F16) => Bound::Absolute(-10.987),
        (_, Format::Bf16) => Bound::Absolute(-8.0),
    }
}

impl Function {
    fn exact(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Rcp => 1.0 / a,
            Self::Rsqrt => 1.0 / a.sqrt(),
            Self::Sqrt => a.sqrt(),
            Self::Sin => a.sin(),
            Self::Cos => a.cos(),
            Self::Lg2 => a.log2(),
            Self::Ex2 => a.exp2(),
            Self::Tanh => a.tanh(),
            // 9.7.3.8: “for 2^126 < |b| < 2^128, if a is infinity, NaN, otherwise a sign-preserving zero”.
            Self::DivApprox if b.is_finite() && b.abs() > 126_f64.exp2() => a * 0_f64.copysign(b),
            Self::Div | Self::DivApprox => a / b,
        }
    }

    /// Results that the manual lists apart, and that carry no error: those of zeros,
    /// infinities and NaN, and powers of two.
    fn is_special(self, a: f64, result: f64) -> bool {
        // NVIDIA's own functions of doubles (`tanh`, `exp`) take powers of two from `ex2` of whole
        // numbers and hold only if these are exact, though the manual does not promise it.
        let power = self == Self::Ex2 && a.fract() == 0.0;
        power
            || !result.is_finite()
            || a == 0.0
            || a.is_infinite()
            || (result == 0.0 && self != Self::Lg2)
    }
}

impl Bound {
    /// What the bound is about, and the amount that it may be missed by; `ulp` is one step of the
    /// result's type at `nearest`, which is the exact result rounded.
    fn around(self, exact: f64, nearest: f64, ulp: f64) -> (f64, f64) {
        match self {
            Self::Relative(power) => (exact, exact.abs() * power.exp2()),
            Self::Absolute(power) => (exact, power.exp2()),
            Self::Ulps(count) => (exact, count * ulp),
            Self::Steps(count) => (nearest, count * ulp),
        }
    }
}

impl Approximate {
    /// The result for one source (two for a quotient) under the approximation given.
    pub fn eval(&self, s: &[u64; 4], approximation: Approximation) -> u64 {
        match self.kind {
            Kind::F32 => self.single(s, approximation),
            Kind::F64 => self.double(s[0], approximation),
            Kind::Half(format, packed) => {
                let one = |shift: u32| {
                    let bits = self.half(format, (s[0] >> shift) as u16, approximation);
                    u64::from(bits) << shift
                };
                if packed { one(0) | one(16) } else { one(0) }
            }
        }
    }

    fn single(&self, s: &[u64; 4], approximation: Approximation) -> u64 {
        let number = |v| f64::from(flush(f32::from_bits(v as u32), self.ftz));
        let (a, b) = (number(s[0]), number(s[1]));
        let exact = self.function.exact(a, b);
        let nearest = exact as f32;
        let value = if approximation == Approximation::Exact
            || self.function.is_special(a, f64::from(nearest))
        {
            nearest
        } else {
            let size = nearest.abs();
            let ulp = f64::from(size.next_up()) - f64::from(size);
            let bound = bound_f32(self.function, a);
            let (middle, amount) = bound.around(exact, f64::from(nearest), ulp);
            edge_f32(middle, amount, approximation)
        };
        super::float::bits_f32(flush(value, self.ftz))
    }

    fn half(&self, format: Format, bits: u16, approximation: Approximation) -> u16 {
        // `.ftz` is there for bfloat16 only, whose subnormals are those of singles.
        let flushed = |value: f64| {
            let small = self.ftz && value.abs() < f64::from(f32::MIN_POSITIVE);
            if small { 0_f64.copysign(value) } else { value }
        };
        let a = flushed(format.decode(bits));
        let exact = flushed(self.function.exact(a, 1.0));
        if approximation == Approximation::Exact || self.function.is_special(a, exact) {
            return format.encode(exact, Round::Nearest);
        }
        let (middle, amount) = bound_half(self.function, format).around(exact, exact, 0.0);
        match approximation {
            Approximation::Lowest => format.encode(middle - amount, Round::Up),
            _ => format.encode(middle + amount, Round::Down),
        }
    }

    /// `rcp.approx.ftz.f64` and `rsqrt.approx.ftz.f64` work on the upper halves of doubles (9.7.3.14,
    /// 9.7.3.17); the `rsqrt` without `.ftz` gives a full double. The manual calls them “gross” and gives no
    /// figure: one step of what they return is assumed.
    fn double(&self, bits: u64, approximation: Approximation) -> u64 {
        const NAN: u64 = 0x7fff_ffff_0000_0000;
        let coarse = self.ftz;
        let flushed = |value: f64| {
            if coarse && value.is_subnormal() { 0_f64.copysign(value) } else { value }
        };
        let a = flushed(f64::from_bits(if coarse { bits & !0xffff_ffff } else { bits }));
        let exact = flushed(self.function.exact(a, 1.0));
        if exact.is_nan() && coarse {
            return NAN;
        }
        if self.function.is_special(a, exact) {
            return exact.to_bits();
        }
        let step: u64 = if coarse { 1 << 32 } else { 1 };
        // Round to the nearest step, then lean by one: bits of one sign are ordered.
        let nearest = if coarse {
            (exact.to_bits().wrapping_add(1 << 31)) & !0xffff_ffff
        } else {
            exact.to_bits()
        };
        let up = (approximation == Approximation::Highest) == (exact > 0.0);
        match approximation {
            Approximation::Exact => nearest,
            _ if up => nearest.wrapping_add(step),
            _ => nearest.wrapping_sub(step),
        }
    }
}

/// The outermost single within the amount of the exact result.
fn edge_f32(exact: f64, amount: f64, approximation: Approximation) -> f32 {
    let (limit, round) = match approximation {
        Approximation::Lowest => (exact - amount, Round::Up),
        _ => (exact + amount, Round::Down),
    };
    super::round::to_f32(limit, 0.0, round)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eval(function: Function, input: f32, approximation: Approximation) -> f32 {
        let instruction = Approximate { function, kind: Kind::F32, ftz: false };
        let s = [u64::from(input.to_bits()), u64::from(1_f32.to_bits()), 0, 0];
        f32::from_bits(instruction.eval(&s, approximation) as u32)
    }

    #[test]
    fn edges_lie_on_both_sides_and_within_the_error() {
        for function in [Function::Rcp, Function::Rsqrt, Function::Ex2, Function::Tanh] {
            let [exact, low, high] = Approximation::ALL.map(|way| eval(function, 0.7, way));
            assert!(low <= exact && exact <= high && low < high, "{function:?}");
            let limit = f64::from(exact) * 2_f64.powi(-10);
            assert!(f64::from(high) - f64::from(low) < limit, "{function:?}");
        }
    }

    #[test]
    fn ex2_may_miss_the_rounded_result_by_two_steps() {
        let exact = eval(Function::Ex2, 0.7, Approximation::Exact);
        let low = eval(Function::Ex2, 0.7, Approximation::Lowest);
        assert_eq!(low, exact.next_down().next_down());
        let high = eval(Function::Ex2, 0.7, Approximation::Highest);
        assert_eq!(high, exact.next_up().next_up());
    }

    #[test]
    fn a_fast_quotient_by_a_large_divisor_is_zero_and_a_full_one_is_not() {
        for way in Approximation::ALL {
            let divide = |function, a: f32, b: f32| {
                let instruction = Approximate { function, kind: Kind::F32, ftz: false };
                let s = [u64::from(a.to_bits()), u64::from(b.to_bits()), 0, 0];
                f32::from_bits(instruction.eval(&s, way) as u32)
            };
            let large = -1.5 * 2_f32.powi(126);
            assert_eq!(divide(Function::DivApprox, large, large).to_bits(), 0_f32.to_bits());
            assert_eq!(divide(Function::DivApprox, 3.0, large).to_bits(), (-0_f32).to_bits());
            assert!(divide(Function::DivApprox, f32::INFINITY, large).is_nan());
            assert!((divide(Function::Div, large, large) - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn tanh_of_small_bfloat16_is_off_by_an_amount() {
        let kind = Kind::Half(Format::Bf16, false);
        let tanh = Approximate { function: Function::Tanh, kind, ftz: false };
        let input = u64::from(Format::Bf16.encode(2_f64.powi(-12), Round::Nearest));
        let low = tanh.eval(&[input, 0, 0, 0], Approximation::Lowest);
        assert!(Format::Bf16.decode(low as u16) < -0.003);
    }

    #[test]
    fn zeros_and_infinities_are_exact() {
        for way in Approximation::ALL {
            assert_eq!(eval(Function::Ex2, 0.0, way), 1.0);
            assert_eq!(eval(Function::Ex2, f32::NEG_INFINITY, way), 0.0);
            assert_eq!(eval(Function::Rsqrt, 0.0, way), f32::INFINITY);
            assert!(eval(Function::Rsqrt, -1.0, way).is_nan());
            assert_eq!(eval(Function::Rcp, f32::INFINITY, way), 0.0);
        }
    }
}
