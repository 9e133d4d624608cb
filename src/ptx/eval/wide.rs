//! The commonest instructions over all lanes of a warp at once.
//!
//! Every instruction listed here has a loop of its own, in which all that it is made of is known, so
//! that nothing is decided lane by lane. What it computes is said once, by [`Compute::eval`].

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

fn each(s: &[&Row; 4], eval: impl Fn(&[u64; 4]) -> u64) -> Row {
    std::array::from_fn(|lane| eval(&s.map(|row| row[lane])))
}

/// What an instruction gives in every lane; none where it is not listed, or has one lane's cost.
pub(crate) fn eval(compute: &Compute, s: &[&Row; 4]) -> Option<Row> {
    use Compute::*;
    macro_rules! loops {
        ($({ $($known:tt)+ })+) => {
            Some(match *compute {
                $($($known)+ => each(s, |s| ($($known)+).eval(s, Approximation::Exact)),)+
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
        { F32(FloatOp::Fma, PLAIN) } { F32(FloatOp::Abs, PLAIN) } { F32(FloatOp::Neg, PLAIN) }
        { F64(FloatOp::Add, PLAIN) } { F64(FloatOp::Mul, PLAIN) } { F64(FloatOp::Fma, PLAIN) }
        { WIDEN } { WIDEN_SIGNED } { NARROW }
    }
}

/// A comparison of numbers in every lane, where no third source joins it.
pub(crate) fn compare(compare: &Compare, s: &[&Row; 4]) -> Option<Row> {
    if compare.join.is_some() {
        return None;
    }
    // What holds where the first is less, equal and greater.
    let [less, equal, greater] = match compare.relation {
        Relation::Eq => [false, true, false],
        Relation::Ne => [true, false, true],
        Relation::Lt => [true, false, false],
        Relation::Le => [true, true, false],
        Relation::Gt => [false, false, true],
        Relation::Ge => [false, true, true],
        Relation::Num | Relation::Nan => return None,
    };
    let holds = |is_less: bool, is_equal: bool| {
        u64::from((is_less & less) | (is_equal & equal) | (!is_less & !is_equal & greater))
    };
    Some(match compare.kind {
        Type::F32 if !compare.ftz => each(s, |s| {
            let [a, b] = [s[0], s[1]].map(|bits| f32::from_bits(bits as u32));
            if a.is_nan() | b.is_nan() {
                u64::from(compare.unordered)
            } else {
                holds(a < b, a == b)
            }
        }),
        // Numbers moved to the top of a word are ordered as they were.
        Type::Signed(bits) => each(s, |s| {
            let [a, b] = [s[0], s[1]].map(|value| (value << (64 - bits)) as i64);
            holds(a < b, a == b)
        }),
        Type::Unsigned(bits) | Type::Bits(bits) => each(s, |s| {
            let [a, b] = [s[0], s[1]].map(|value| value << (64 - bits));
            holds(a < b, a == b)
        }),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let kinds =
            [Type::F32, Type::Signed(32), Type::Signed(64), Type::Unsigned(32), Type::Bits(64)];
        for (at, name) in names.into_iter().enumerate() {
            for kind in kinds {
                let Some((relation, unordered)) = Compare::named(name, kind) else { continue };
                let one = Compare { relation, unordered, kind, ftz: false, join: None };
                let (a, b) = (row(at), row(at + 3));
                let Some(all) = compare(&one, &[&a, &b, &NOTHING, &NOTHING]) else { continue };
                for lane in 0..32 {
                    let (each, _) = one.eval(&[a[lane], b[lane], 0, 0]);
                    assert_eq!(all[lane], each, "{name} {kind:?} of {} and {}", a[lane], b[lane]);
                }
            }
        }
    }
}
