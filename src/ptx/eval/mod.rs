//! What pure instructions compute, value by value: no registers, no memory, no threads.

pub(super) mod approximate;
pub(super) mod bits;
pub(super) mod compare;
pub(super) mod convert;
pub(super) mod float;
pub(super) mod half;
pub(super) mod integer;
pub(super) mod round;
pub(super) mod wide;

use super::options::Approximation;
use approximate::Approximate;
use bits::BitOp;
use compare::Compare;
use convert::Convert;
use float::{FloatOp, Mode};
use half::Format;
use integer::IntOp;

/// A pure instruction with one result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compute {
    /// The source, cut to so many bits.
    Copy(u32),
    /// Negation of a truth value.
    Not,
    /// Arithmetic of integers: operation, width, whether signed.
    Int(IntOp, u32, bool),
    /// Bits of integers: operation and width.
    Bits(BitOp, u32),
    /// Arithmetic of singles.
    F32(FloatOp, Mode),
    /// Arithmetic of doubles.
    F64(FloatOp, Mode),
    /// Arithmetic of 16-bit floats, and whether two are packed.
    Half(FloatOp, Format, bool, Mode),
    /// A conversion.
    Convert(Convert),
    /// A function known only approximately.
    Approximate(Approximate),
    /// The first source where the third is true, else the second.
    Select(u32),
    /// `slct`: the first where the third is at least zero; whether that is a single.
    SelectSign(u32, bool),
    /// `set`: a comparison as a number, all ones or 1.0.
    Set(Compare, bool),
    /// `testp`.
    Test(compare::Test, bool),
}

impl Compute {
    /// The result for the sources given; those beyond an instruction's arity are zero.
    #[inline(always)]
    pub fn eval(&self, s: &[u64; 4], approximation: Approximation) -> u64 {
        match *self {
            Self::Copy(bits) => integer::cut(s[0], bits),
            Self::Not => u64::from(s[0] == 0),
            Self::Int(op, bits, signed) => integer::eval(op, bits, signed, s),
            Self::Bits(op, bits) => bits::eval(op, bits, s),
            Self::F32(op, mode) => float::eval_f32(op, mode, s),
            Self::F64(op, mode) => float::eval_f64(op, mode, s),
            Self::Half(op, format, packed, mode) => half::eval(op, format, packed, mode, s),
            Self::Convert(convert) => convert.eval(s),
            Self::Approximate(function) => function.eval(s, approximation),
            Self::Select(bits) => integer::cut(if s[2] != 0 { s[0] } else { s[1] }, bits),
            Self::SelectSign(bits, single) => {
                let first = if single {
                    f32::from_bits(s[2] as u32) >= 0.0
                } else {
                    s[2] as u32 as i32 >= 0
                };
                integer::cut(if first { s[0] } else { s[1] }, bits)
            }
            Self::Set(compare, as_float) => match (compare.eval(s).0 != 0, as_float) {
                (false, _) => 0,
                (true, false) => 0xffff_ffff,
                (true, true) => u64::from(1_f32.to_bits()),
            },
            Self::Test(test, double) => u64::from(test.eval(s[0], double)),
        }
    }
}

/// A pure instruction with two results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ComputePair {
    /// `setp`: the comparison, and its negation.
    Compare(Compare),
    /// Integer arithmetic, and the carry.
    Carry(integer::Carry),
}

impl ComputePair {
    /// Both results for the sources given.
    pub fn eval(&self, s: &[u64; 4]) -> (u64, u64) {
        match self {
            Self::Compare(compare) => compare.eval(s),
            Self::Carry(carry) => carry.eval(s),
        }
    }
}
