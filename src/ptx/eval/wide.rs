//! The commonest instructions over all lanes of a warp at once.
//!
//! Every instruction listed here has a loop of its own, in which all that it is made of is known, so
//! that nothing is decided lane by lane, and which is compiled for the registers of this machine. What
//! it computes is said once, by [`Compute::eval`].

use pulp::{Arch, Simd, WithSimd};

use super::super::options::Approximation;
use super::super::types::Type;
use super::compare::{Compare, Relation};
use super::convert::Convert;
use super::float::{FloatOp, Mode};
use super::integer::IntOp;
use super::round::Round;
use super::{BitOp, Compute};

/// A register of a warp: the values of its 32 lanes.
pub(crate) type Row = [u64; 32];

/// The values of a source that an instruction does not have.
pub(crate) static NOTHING: Row = [0; 32];

const fn convert(to: Type, from: Type) -> Compute {
    let round = Round::Nearest;
    Compute::Convert(Convert { to, from, round, whole: false, ftz: false, sat: false, relu: false })
}

const WIDEN: Compute = convert(Type::Unsigned(64), Type::Unsigned(32));
const WIDEN_SIGNED: Compute = convert(Type::Signed(64), Type::Signed(32));
const NARROW: Compute = convert(Type::Unsigned(32), Type::Unsigned(64));
const PLAIN: Mode = Mode::PLAIN;

#[inline(always)]
fn each(s: &[&Row; 4], mut eval: impl FnMut(&[u64; 4]) -> u64) -> Row {
    let mut values = NOTHING;
    for lane in 0..32 {
        values[lane] = eval(&[s[0][lane], s[1][lane], s[2][lane], s[3][lane]]);
    }
    values
}

/// What an instruction gives in every lane; none where it is not listed.
pub(crate) fn eval(arch: Arch, compute: &Compute, s: &[&Row; 4]) -> Option<Row> {
    arch.dispatch(Eval { compute, s })
}

struct Eval<'a> {
    compute: &'a Compute,
    s: &'a [&'a Row; 4],
}

impl WithSimd for Eval<'_> {
    type Output = Option<Row>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Option<Row> {
        use Compute::*;
        macro_rules! loops {
            ($({ $($known:tt)+ })+) => {
                Some(match *self.compute {
                    $($($known)+ => each(
                        self.s,
                        #[inline(always)]
                        |s| ($($known)+).eval(s, Approximation::Exact),
                    ),)+
                    _ => return None,
                })
            };
        }
        loops! {
            { Copy(1) } { Copy(32) } { Copy(64) } { Not } { Select(32) } { Select(64) }
            { Int(IntOp::Add, 32, true) } { Int(IntOp::Add, 64, true) }
            { Int(IntOp::Sub, 32, true) } { Int(IntOp::Sub, 64, true) }
            { Int(IntOp::MulLo, 32, true) } { Int(IntOp::MulLo, 64, true) }
            { Int(IntOp::MadLo, 32, true) } { Int(IntOp::MadLo, 64, true) }
            { Int(IntOp::MulWide, 32, true) } { Int(IntOp::MulWide, 32, false) }
            { Bits(BitOp::And, 1) } { Bits(BitOp::And, 32) } { Bits(BitOp::And, 64) }
            { Bits(BitOp::Or, 1) } { Bits(BitOp::Or, 32) } { Bits(BitOp::Or, 64) }
            { Bits(BitOp::Shl, 32) } { Bits(BitOp::Shl, 64) }
            { Bits(BitOp::Shr { signed: false }, 32) } { Bits(BitOp::Shr { signed: false }, 64) }
            { F32(FloatOp::Add, PLAIN) } { F32(FloatOp::Sub, PLAIN) } { F32(FloatOp::Mul, PLAIN) }
            { F32(FloatOp::Fma, PLAIN) } { F32(FloatOp::Div, PLAIN) } { F32(FloatOp::Sqrt, PLAIN) }
            { F32(FloatOp::Abs, PLAIN) } { F32(FloatOp::Neg, PLAIN) }
            { F32(FloatOp::Max(false), PLAIN) } { F32(FloatOp::Min(false), PLAIN) }
            { F64(FloatOp::Add, PLAIN) } { F64(FloatOp::Mul, PLAIN) } { F64(FloatOp::Fma, PLAIN) }
            { WIDEN } { WIDEN_SIGNED } { NARROW }
        }
    }
}

/// A comparison of numbers in every lane, where no third source joins it.
pub(crate) fn compare(arch: Arch, compare: &Compare, s: &[&Row; 4]) -> Option<Row> {
    // What holds where the first is less, equal and greater.
    let truth = match compare.relation {
        Relation::Eq => [false, true, false],
        Relation::Ne => [true, false, true],
        Relation::Lt => [true, false, false],
        Relation::Le => [true, true, false],
        Relation::Gt => [false, false, true],
        Relation::Ge => [false, true, true],
        Relation::Num | Relation::Nan => return None,
    };
    if compare.join.is_some() || compare.ftz {
        return None;
    }
    arch.dispatch(Order { kind: compare.kind, truth, unordered: compare.unordered, s })
}

struct Order<'a> {
    kind: Type,
    truth: [bool; 3],
    unordered: bool,
    s: &'a [&'a Row; 4],
}

impl WithSimd for Order<'_> {
    type Output = Option<Row>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Option<Row> {
        let Order { kind, truth: [less, equal, greater], unordered, s } = self;
        macro_rules! order {
            (|$value:ident| $number:expr) => {
                each(
                    s,
                    #[inline(always)]
                    |s| {
                        let [a, b] = [
                            {
                                let $value = s[0];
                                $number
                            },
                            {
                                let $value = s[1];
                                $number
                            },
                        ];
                        let (is_less, is_equal, is_greater) = (a < b, a == b, a > b);
                        let none = !(is_less | is_equal | is_greater);
                        let holds = (is_less & less) | (is_equal & equal) | (is_greater & greater);
                        u64::from(holds | (none & unordered))
                    },
                )
            };
        }
        Some(match kind {
            Type::F32 => order!(|bits| f32::from_bits(bits as u32)),
            Type::F64 => order!(|bits| f64::from_bits(bits)),
            // Numbers moved to the top of a word are ordered as they were.
            Type::Signed(width) => order!(|bits| (bits << (64 - width)) as i64),
            Type::Unsigned(width) | Type::Bits(width) => order!(|bits| bits << (64 - width)),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_all_lanes_are_those_of_each() {
        let values: [f32; 4] = [1.5, -0.0, f32::NAN, 1e-45];
        let row = |at: usize| -> Row {
            std::array::from_fn(|lane| u64::from(values[(lane * at) % 4].to_bits()))
        };
        let s = [&row(1), &row(3), &row(5), &NOTHING];
        for op in [FloatOp::Add, FloatOp::Mul, FloatOp::Fma, FloatOp::Div, FloatOp::Max(false)] {
            let compute = Compute::F32(op, PLAIN);
            for arch in [Arch::new(), Arch::Scalar] {
                let all = eval(arch, &compute, &s).unwrap();
                for lane in 0..32 {
                    let one = [s[0][lane], s[1][lane], s[2][lane], 0];
                    assert_eq!(all[lane], compute.eval(&one, Approximation::Exact), "{op:?}");
                }
            }
        }
    }

    #[test]
    fn comparisons_of_all_lanes_are_those_of_each() {
        let single = |x: f32| u64::from(x.to_bits());
        let values = [0, 1, 7, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, u64::MAX, 1 << 63, 1 << 31]
            .into_iter()
            .chain([1.5, -1.5, 0.0, -0.0, f32::NAN, f32::INFINITY].map(single))
            .collect::<Vec<_>>();
        let row =
            |at: usize| std::array::from_fn::<u64, 32, _>(|l| values[(l * at + l) % values.len()]);
        let names = ["eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "geu", "num", "nan"];
        let kinds = [
            Type::F32,
            Type::F64,
            Type::Signed(32),
            Type::Signed(64),
            Type::Unsigned(32),
            Type::Bits(64),
        ];
        for (at, name) in names.into_iter().enumerate() {
            for kind in kinds {
                let Some((relation, unordered)) = Compare::named(name, kind) else { continue };
                let one = Compare { relation, unordered, kind, ftz: false, join: None };
                let (a, b) = (row(at), row(at + 3));
                let Some(all) = compare(Arch::new(), &one, &[&a, &b, &NOTHING, &NOTHING]) else {
                    continue;
                };
                for lane in 0..32 {
                    let (each, _) = one.eval(&[a[lane], b[lane], 0, 0]);
                    assert_eq!(all[lane], each, "{name} {kind:?} of {} and {}", a[lane], b[lane]);
                }
            }
        }
    }
}
