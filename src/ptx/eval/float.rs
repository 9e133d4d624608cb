//! Arithmetic of singles and doubles, exact but for its one rounding.

use super::round::{Round, flush, to_f32, to_f64, two_sum};

/// An operation on floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FloatOp {
    Add,
    Sub,
    Mul,
    Fma,
    Div,
    Sqrt,
    Rcp,
    /// The lesser; whether a NaN wins.
    Min(bool),
    Max(bool),
    Abs,
    Neg,
    /// The second with the sign of the first.
    CopySign,
}

/// How a result is rounded and held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mode {
    pub round: Round,
    /// Subnormals, in and out, are zeros.
    pub ftz: bool,
    /// The result is held within 0 and 1.
    pub sat: bool,
}

impl Mode {
    /// Round to nearest, keep subnormals, hold nothing.
    pub const PLAIN: Self = Self { round: Round::Nearest, ftz: false, sat: false };
}

/// The NaN that the chip returns from arithmetic of singles.
const NAN: u32 = 0x7fff_ffff;

/// The bits of a single; every NaN is the same.
#[inline]
pub(crate) fn bits_f32(value: f32) -> u64 {
    u64::from(if value.is_nan() { NAN } else { value.to_bits() })
}

/// Holds a value within 0 and 1; NaN becomes 0.
pub(crate) fn saturate(value: f64) -> f64 {
    if value >= 1.0 {
        1.0
    } else if value > 0.0 {
        value
    } else {
        0.0
    }
}

/// The lesser of two, where -0 is less than +0.
fn least(a: f64, b: f64, nan: bool) -> f64 {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => f64::NAN,
        (true, false) => {
            if nan {
                f64::NAN
            } else {
                b
            }
        }
        (false, true) => {
            if nan {
                f64::NAN
            } else {
                a
            }
        }
        _ if a == b => {
            if a.is_sign_negative() {
                a
            } else {
                b
            }
        }
        _ => {
            if a < b {
                a
            } else {
                b
            }
        }
    }
}

/// What rounds nothing, the same for every width.
pub(super) fn eval_exact(op: FloatOp, a: f64, b: f64) -> Option<f64> {
    Some(match op {
        FloatOp::Min(nan) => least(a, b, nan),
        FloatOp::Max(nan) => -least(-a, -b, nan),
        FloatOp::Abs => a.abs(),
        FloatOp::Neg => -a,
        FloatOp::CopySign => b.copysign(a),
        _ => return None,
    })
}

#[inline(always)]
pub(super) fn eval_f32(op: FloatOp, mode: Mode, s: &[u64; 4]) -> u64 {
    // Not by `map` of an array: nothing makes that part of the loop over the lanes.
    let number = |v| flush(f32::from_bits(v as u32), mode.ftz);
    let (a, b, c) = (number(s[0]), number(s[1]), number(s[2]));
    let value = match op {
        // Sign operations leave a NaN as it is.
        FloatOp::Abs => return u64::from(a.abs().to_bits()),
        FloatOp::Neg => return u64::from((-a).to_bits()),
        FloatOp::CopySign => return u64::from(b.copysign(a).to_bits()),
        FloatOp::Min(_) | FloatOp::Max(_) => {
            eval_exact(op, f64::from(a), f64::from(b)).map_or(f32::NAN, |v| v as f32)
        }
        _ if mode.round != Round::Nearest => directed_f32(op, a, b, c, mode.round),
        FloatOp::Add => a + b,
        FloatOp::Sub => a - b,
        FloatOp::Mul => a * b,
        FloatOp::Fma => a.mul_add(b, c),
        FloatOp::Div => a / b,
        FloatOp::Sqrt => a.sqrt(),
        FloatOp::Rcp => 1.0 / a,
    };
    let value = flush(value, mode.ftz);
    if mode.sat { bits_f32(saturate(f64::from(value)) as f32) } else { bits_f32(value) }
}

fn directed_f32(op: FloatOp, a: f32, b: f32, c: f32, round: Round) -> f32 {
    let (a, b, c) = (f64::from(a), f64::from(b), f64::from(c));
    let (value, lack) = match op {
        FloatOp::Add => two_sum(a, b),
        FloatOp::Sub => two_sum(a, -b),
        FloatOp::Mul => (a * b, 0.0),
        FloatOp::Fma => two_sum(a * b, c),
        // The remainders of quotient and root are exact, and tell on which side they fell.
        FloatOp::Div => quotient(a, b),
        FloatOp::Rcp => quotient(1.0, a),
        FloatOp::Sqrt => {
            let root = a.sqrt();
            (
                root,
                if root.is_finite() && root > 0.0 { (-root).mul_add(root, a) / root } else { 0.0 },
            )
        }
        _ => (f64::NAN, 0.0),
    };
    // An exact zero sum of two signs is +0 but for rounding down.
    if value == 0.0 && lack == 0.0 && matches!(op, FloatOp::Add | FloatOp::Sub | FloatOp::Fma) {
        return if round == Round::Down && value.is_sign_positive() && a != 0.0 {
            -0.0
        } else {
            value as f32
        };
    }
    to_f32(value, lack, round)
}

fn quotient(a: f64, b: f64) -> (f64, f64) {
    let value = a / b;
    let known = value.is_finite() && value != 0.0 && b.is_finite();
    (value, if known { (-value).mul_add(b, a) / b } else { 0.0 })
}

#[inline(always)]
pub(super) fn eval_f64(op: FloatOp, mode: Mode, s: &[u64; 4]) -> u64 {
    let (a, b, c) = (f64::from_bits(s[0]), f64::from_bits(s[1]), f64::from_bits(s[2]));
    if let Some(value) = eval_exact(op, a, b) {
        return value.to_bits();
    }
    let (value, lack) = match op {
        FloatOp::Add => two_sum(a, b),
        FloatOp::Sub => two_sum(a, -b),
        FloatOp::Mul => (a * b, if (a * b).is_finite() { a.mul_add(b, -(a * b)) } else { 0.0 }),
        // Directed rounding of these is refused where the program is read.
        FloatOp::Fma => (a.mul_add(b, c), 0.0),
        FloatOp::Div => (a / b, 0.0),
        FloatOp::Sqrt => (a.sqrt(), 0.0),
        FloatOp::Rcp => (1.0 / a, 0.0),
        _ => (f64::NAN, 0.0),
    };
    to_f64(value, lack, mode.round).to_bits()
}
