//! exp, tanh, erf and the tail of the normal distribution, of `f32`, in a form that a surrounding loop vectorises.
//!
//! exp: x = n·ln 2 + r with |r| ≤ ½ ln 2, eˣ = 2ⁿ·(1 + r·(1 + r·P(r))) (Cody & Waite 1980, ch. 6).
//! tanh: x + x³·P(x²) below 5/8, 1 − 2/(e²ˣ + 1) above (Cephes, Moshier 1989).
//! Φ(−|x|): e^(−x²/2)·t·P(t) with t = 1/(1 + 0.26|x|) (after Hastings 1955, sheet 45), so that value
//! and density share one exponential.
//! erf: x + x·P(x²) below 1, 1 − 2Φ(−√2·|x|) above.
//! P minimises the largest relative error of the result over its interval, which is below a
//! half of a rounding.
//!
//! The standard library's functions are calls, and a call in a loop keeps it from being
//! vectorised. So does a branch: here both sides of every choice are computed and one is selected,
//! by a function, since the compiler may sink the work for one side of an `if` into a branch. What is
//! a fused multiply-add is one by `mul_add`, on every machine, so that every instruction set gives
//! the same bits. The errors stated below are measured by the tests over every `f32` there is.

use std::f32::consts::{LOG2_E, SQRT_2};
use std::hint::select_unpredictable as select;

/// eˣ within 1.0 ulp; what would be subnormal (x < −87.33654) is flushed to 0.
///
/// A subnormal result is worth nothing to the operators here and slow on some machines.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LARGEST: f32 = 88.722_83;
    const SMALLEST: f32 = -87.336_54;
    let (significand, shifted) = parts_of_exp(x);
    let scaled = f32::from_bits(significand.to_bits().wrapping_add(shifted.to_bits() << 23));
    // Above the range infinity, or the NaN that x is.
    let bounded = select(x <= LARGEST, scaled, x + f32::INFINITY);
    select(x < SMALLEST, 0.0, bounded)
}

/// eˣ within 1.0 ulp for x ≤ 0, or a NaN; what is below the normal numbers may be flushed to 0.
///
/// Nothing is too large here, which leaves less to do than in [`exp`].
#[inline(always)]
pub fn exp_nonpositive(x: f32) -> f32 {
    // Below this 2ⁿ is 0. The comparison is false for a NaN, which stays.
    let x = if x < -88.0 { -88.0 } else { x };
    let (significand, shifted) = parts_of_exp(x);
    significand * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

/// eˣ⁻ⁿˡⁿ², and a number with the integer n in its low bits.
#[inline(always)]
fn parts_of_exp(x: f32) -> (f32, f32) {
    // Adding 1.5·2²³ leaves no bits behind the point: the sum is rounded to an integer, which can
    // be read off the low bits and by subtraction.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with 16 bits so that n·HIGH is exact.
    const HIGH: f32 = 0.693_145_75;
    const LOW: f32 = 1.428_606_8e-6;
    let shifted = x.mul_add(LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LOW, n.mul_add(-HIGH, x));
    let p = polynomial(
        r,
        [1.0, 1.0, 0.499_999_94, 0.166_665_21, 0.041_668_39, 0.008_368_745, 0.001_381_453_9],
    );
    (p, shifted)
}

/// tanh x within 1.5 ulp, relative down to the smallest numbers.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let square = x * x;
    let cubic = square
        * polynomial(
            square,
            [-0.333_332_8, 0.133_314_42, -0.053_739_715, 0.020_639_088, -0.005_704_987_3],
        );
    let near = x.mul_add(cubic, x);
    // 1 − 2/(e²ˣ + 1), the numerator and the denominator divided by e²ˣ.
    let small = exp_nonpositive(-2.0 * x.abs());
    let far = 1.0 - (small + small) / (1.0 + small);
    // The sign also of a zero.
    select(x.abs() < 0.625, near, far).copysign(x)
}

/// Φ(−|x|), the share of the normal distribution beyond |x|, within 6·(1 + |ln Φ|) ulp, and
/// e^(−x²/2), which its density is made of; flushed to 0 as [`exp_nonpositive`] is.
#[inline(always)]
pub fn normal_tail(x: f32) -> (f32, f32) {
    let t = 1.0 / x.abs().mul_add(0.26, 1.0);
    let ratio = t * polynomial(
        t,
        [
            0.103_762_19,
            0.102_964_92,
            0.103_391_424,
            0.049_642_13,
            0.164_153_32,
            -0.155_537_22,
            0.255_467_8,
            -0.154_740_82,
            0.030_896_22,
        ],
    );
    let bell = exp_nonpositive(-0.5 * x * x);
    (bell * ratio, bell)
}

/// erf x within 2 ulp, relative down to the smallest numbers, and e^(−x²), which its slope is made
/// of, within 4·(1 + x²) ulp, flushed to 0 as [`exp_nonpositive`] is.
#[inline(always)]
pub fn erf(x: f32) -> (f32, f32) {
    let square = x * x;
    let near = x.mul_add(
        polynomial(
            square,
            [
                0.128_379_17,
                -0.376_126_26,
                0.112_835_79,
                -0.026_853_347,
                0.005_187_162,
                -0.000_799_785_3,
                0.000_078_069_04,
            ],
        ),
        x,
    );
    let (tail, bell) = normal_tail(SQRT_2 * x);
    let far = (-2f32).mul_add(tail, 1.0).copysign(x);
    (select(x.abs() < 1.0, near, far), bell)
}

/// Σ cᵢ·xⁱ by Horner's rule.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = coefficients[N - 1];
    for i in (0..N - 1).rev() {
        sum = sum.mul_add(x, coefficients[i]);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::simd;
    use std::f64::consts::FRAC_1_SQRT_2;

    /// A function, the truth about it, and by how many ulp it may miss a given truth.
    struct Claim {
        name: &'static str,
        fast: fn(&[f32], &mut [f32]),
        truth: fn(f64) -> f64,
        bound: fn(f64) -> f64,
    }

    macro_rules! claim {
        ($function:ident, $truth:expr, $bound:expr) => {
            Claim {
                name: stringify!($function),
                fast: |x, y| {
                    simd::dispatch!(|| {
                        for (y, x) in y.iter_mut().zip(x) {
                            *y = $function(*x);
                        }
                    })
                },
                truth: $truth,
                bound: $bound,
            }
        };
    }

    fn decay(x: f32) -> f32 {
        exp_nonpositive(-x.abs())
    }

    fn tail(x: f32) -> f32 {
        normal_tail(x).0
    }

    fn normal_tail_of(x: f64) -> f64 {
        0.5 * libm::erfc(x.abs() * FRAC_1_SQRT_2)
    }

    fn erf_value(x: f32) -> f32 {
        erf(x).0
    }

    fn erf_bell(x: f32) -> f32 {
        erf(x).1
    }

    fn claims() -> [Claim; 6] {
        [
            claim!(exp, f64::exp, |_| 1.0),
            claim!(decay, |x| f64::exp(-x.abs()), |_| 1.0),
            claim!(tanh, f64::tanh, |_| 1.5),
            claim!(tail, normal_tail_of, |tail| 6.0 + 6.0 * tail.ln().abs()),
            claim!(erf_value, libm::erf, |_| 2.0),
            claim!(erf_bell, |x| f64::exp(-x * x), |bell| 4.0 + 4.0 * bell.ln().abs()),
        ]
    }

    /// Distance in units of the last place of the truth, which `f32` results below 2⁻¹²⁶ share.
    fn ulps(got: f32, truth: f64) -> f64 {
        let exponent = ((truth.to_bits() >> 52 & 0x7ff) as i32 - 1023).max(-126);
        (got as f64 - truth).abs() * 2f64.powi(23 - exponent)
    }

    /// Where over every `stride`-th `f32` the error is the largest part of its bound, and both.
    fn worst(claim: &Claim, first: u32, stride: u32) -> (f64, f64, f32) {
        let mut worst = (0.0, 0.0, 0.0f32);
        let mut bits = Some(first);
        let (mut x, mut y) = (Vec::with_capacity(4096), vec![0.0; 4096]);
        while bits.is_some() {
            x.clear();
            while let (Some(b), true) = (bits, x.len() < 4096) {
                x.push(f32::from_bits(b));
                bits = b.checked_add(stride);
            }
            (claim.fast)(&x, &mut y);
            for (&x, &got) in x.iter().zip(&y) {
                let truth = (claim.truth)(x as f64);
                let flushed = got == 0.0 && truth < f32::MIN_POSITIVE as f64 && x.abs() > 1.0;
                if x.is_nan() {
                    assert!(got.is_nan(), "{}({x}) = {got}", claim.name);
                } else if truth > f32::MAX as f64 * (1.0 + 2f64.powi(-25)) {
                    assert!(got == f32::INFINITY, "{}({x}) = {got}", claim.name);
                } else if !flushed {
                    let error = ulps(got, truth);
                    let part = error / (claim.bound)(truth);
                    assert!(part <= 1.0, "{}({x:e}) = {got:e} errs by {error} ulp", claim.name);
                    if part > worst.0 {
                        worst = (part, error, x);
                    }
                }
            }
        }
        worst
    }

    #[test]
    fn errors_are_as_stated() {
        for claim in claims() {
            worst(&claim, 7, 1009);
        }
    }

    /// Every `f32`: minutes.
    #[test]
    #[ignore = "minutes"]
    fn errors_are_as_stated_everywhere() {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get()) as u32;
        for claim in &claims() {
            std::thread::scope(|scope| {
                let parts: Vec<_> = (0..threads)
                    .map(|first| scope.spawn(move || worst(claim, first, threads)))
                    .collect();
                for part in parts {
                    let (part, error, x) = part.join().unwrap();
                    println!("{}({x:e}): {error:.3} ulp, {part:.3} of the bound", claim.name);
                }
            });
        }
    }

    #[test]
    fn limits_are_exact() {
        let big = f32::MAX;
        assert_eq!((exp(f32::NEG_INFINITY), exp(-big), exp(0.0)), (0.0, 0.0, 1.0));
        assert_eq!((exp(f32::INFINITY), exp(big)), (f32::INFINITY, f32::INFINITY));
        assert_eq!((decay(f32::INFINITY), decay(big), decay(0.0)), (0.0, 0.0, 1.0));
        assert_eq!((tanh(f32::INFINITY), tanh(-big), tanh(f32::NEG_INFINITY)), (1.0, -1.0, -1.0));
        assert!(tanh(-0.0).is_sign_negative() && tanh(-0.0) == 0.0);
        // A NaN with any payload stays one.
        for nan in [f32::NAN, -f32::NAN, f32::from_bits(0x7fc0_01ff), f32::from_bits(0xff80_0001)] {
            for f in [exp, decay, tanh, tail, erf_value, erf_bell] {
                assert!(f(nan).is_nan());
            }
        }
        assert_eq!((tail(f32::INFINITY), tail(f32::NEG_INFINITY)), (0.0, 0.0));
        assert_eq!((erf(f32::INFINITY), erf(-big)), ((1.0, 0.0), (-1.0, 0.0)));
        assert!(erf(-0.0).0.is_sign_negative() && erf(-0.0) == (0.0, 1.0));
        let tiny = f32::from_bits(1);
        assert_eq!((tanh(tiny), erf(tiny).0), (tiny, tiny));
    }
}
