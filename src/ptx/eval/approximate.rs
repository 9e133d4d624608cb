//! Instructions that are only approximately right, and the errors that NVIDIA documents.
//!
//! The figures are meant to be those of the manual “Parallel Thread Execution ISA”, chapter
//! “Instruction Set”, each in the section of its instruction (“Floating Point Instructions:
//! `rcp`”, …). They have not been compared with it line by line yet, and where it gives none
//! they are an assumption.
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
    Div,
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
}

/// The documented error of a function of singles.
fn bound_f32(function: Function, input: f64) -> Bound {
    match function {
        // “The maximum ulp error is 1 across the full range of inputs.”
        Function::Rcp => Bound::Ulps(1.0),
        // “The maximum relative error is 2^-22.9” (2^-22.4 in older manuals, the wider one).
        Function::Rsqrt => Bound::Relative(-22.4),
        // “The maximum relative error is 2^-23.”
        Function::Sqrt => Bound::Relative(-23.0),
        // “2^-20.5 in [-2π, 2π], 2^-14.7 in [-100π, 100π]”, absolute; nothing beyond.
        Function::Sin | Function::Cos => {
            Bound::Absolute(if input.abs() <= std::f64::consts::TAU { -20.5 } else { -14.7 })
        }
        // “The maximum absolute error is 2^-22 in (0.5, 2), else the relative error is 2^-22.”
        Function::Lg2 if input > 0.5 && input < 2.0 => Bound::Absolute(-22.0),
        Function::Lg2 => Bound::Relative(-22.0),
        // “The maximum ulp error is 2 across the full range of inputs.”
        Function::Ex2 => Bound::Ulps(2.0),
        // “The maximum relative error is 2^-11.”
        Function::Tanh => Bound::Relative(-11.0),
        // `div.approx`: “for |b| in [2^-126, 2^126], the maximum ulp error is 2”; so `div.full`.
        Function::Div => Bound::Ulps(2.0),
    }
}

/// The documented error of a function of 16-bit floats.
fn bound_half(function: Function, format: Format) -> Bound {
    match (function, format) {
        // `ex2.approx.f16`: “the maximum relative error is 2^-9.9”; `.bf16`: 2^-7.
        (Function::Ex2, Format::F16) => Bound::Relative(-9.9),
        (Function::Ex2, Format::Bf16) => Bound::Relative(-7.0),
        // `tanh.approx.f16`: “the maximum absolute error is 2^-10.987”; `.bf16`: relative 2^-8.
        (Function::Tanh, Format::F16) => Bound::Absolute(-10.987),
        (_, Format::F16) => Bound::Relative(-10.0),
        (_, Format::Bf16) => Bound::Relative(-8.0),
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
            Self::Div => a / b,
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
    /// The amount that the exact result may be missed by; `ulp` is one step of its type there.
    fn amount(self, exact: f64, ulp: f64) -> f64 {
        match self {
            Self::Relative(power) => exact.abs() * power.exp2(),
            Self::Absolute(power) => power.exp2(),
            Self::Ulps(count) => count * ulp,
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
        let [a, b] = [s[0], s[1]].map(|v| f64::from(flush(f32::from_bits(v as u32), self.ftz)));
        let exact = self.function.exact(a, b);
        let nearest = exact as f32;
        // `div.approx` by a divisor beyond 2^126 may lose the quotient; `ftz` flushes it.
        let value = if approximation == Approximation::Exact
            || self.function.is_special(a, f64::from(nearest))
        {
            nearest
        } else {
            let size = nearest.abs();
            let ulp = f64::from(size.next_up()) - f64::from(size);
            let amount = bound_f32(self.function, a).amount(exact, ulp);
            edge_f32(exact, amount, approximation)
        };
        super::float::bits_f32(flush(value, self.ftz))
    }

    fn half(&self, format: Format, bits: u16, approximation: Approximation) -> u16 {
        let a = format.decode(bits);
        let exact = self.function.exact(a, 1.0);
        if approximation == Approximation::Exact || self.function.is_special(a, exact) {
            return format.encode(exact, Round::Nearest);
        }
        let amount = bound_half(self.function, format).amount(exact, 0.0);
        match approximation {
            Approximation::Lowest => format.encode(exact - amount, Round::Up),
            _ => format.encode(exact + amount, Round::Down),
        }
    }

    /// `rcp.approx.ftz.f64` and `rsqrt.approx.f64`: coarse, in the upper half of a double
    /// (“20 bits of mantissa”), but for the `rsqrt` without `.ftz`, which is a full double.
    fn double(&self, bits: u64, approximation: Approximation) -> u64 {
        let coarse = self.ftz;
        let a = f64::from_bits(if coarse { bits & !0xffff_ffff } else { bits });
        let a = if coarse && a.is_subnormal() { 0_f64.copysign(a) } else { a };
        let exact = self.function.exact(a, 1.0);
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
