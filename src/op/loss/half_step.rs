//! ln Γ(x + ½) − ln Γ(x) and its derivative, for any number, x ≥ 1.
//!
//! The gamma function meets a Student distribution in this difference alone, which it gives without
//! the cancellation of two large logarithms. From the series of ln Γ in 1/x (Abramowitz & Stegun
//! 6.1.40, with the values of the Bernoulli polynomials at ½ and at 0)
//! ln Γ(x + ½) − ln Γ(x) = ½ln x − Σⱼ cⱼ/x^(2j−1), cⱼ = (2 − 2^(1−2j))·B₂ⱼ/((2j−1)·2j), behind
//! Γ(x + ½)/Γ(x) = Γ(x + n + ½)/Γ(x + n) · Πᵢ (x + i)/(x + i + ½), i < n.

use crate::num::Num;

/// cⱼ as a quotient, from j = 1 on.
const SERIES: [[f64; 2]; 12] = [
    [1.0, 8.0],
    [-1.0, 192.0],
    [1.0, 640.0],
    [-17.0, 14_336.0],
    [31.0, 18_432.0],
    [-691.0, 180_224.0],
    [5461.0, 425_984.0],
    [-929_569.0, 15_728_640.0],
    [3_202_291.0, 8_912_896.0],
    [-221_930_581.0, 79_691_776.0],
    [4_722_116_521.0, 176_160_768.0],
    [-968_383_680_827.0, 3_087_007_744.0],
];

/// Steps up to where the series holds: behind 12 of them its first missing term is below 10⁻²⁴.
const STEPS: usize = 12;

/// ln Γ(x + ½) − ln Γ(x).
pub(super) fn value<T: Num>(x: T) -> T {
    let half = T::num(0.5);
    let mut ratio = T::one();
    for i in 0..STEPS {
        let x = x + T::count(i);
        ratio = ratio * (x / (x + half));
    }
    let x = x + T::count(STEPS);
    let (mut power, mut sum) = (x, T::zero());
    for [above, below] in SERIES {
        sum += T::num(above) / T::num(below) / power;
        power = power * x * x;
    }
    half * x.ln() - sum + ratio.ln()
}

/// Its derivative ψ(x + ½) − ψ(x).
pub(super) fn slope<T: Num>(x: T) -> T {
    let half = T::num(0.5);
    let mut steps = T::zero();
    for i in 0..STEPS {
        let x = x + T::count(i);
        steps += half / (x * (x + half));
    }
    let x = x + T::count(STEPS);
    let (mut power, mut sum) = (x * x, T::zero());
    for (j, [above, below]) in SERIES.into_iter().enumerate() {
        sum += T::count(2 * j + 1) * T::num(above) / T::num(below) / power;
        power = power * x * x;
    }
    half / x + sum + steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::{Dd, Dual};

    /// Γ(3/2)/Γ(1) = ½√π, and one step further 4/(3√π); ln Γ at whole and half numbers beyond.
    #[test]
    fn values_are_the_published_ones() {
        let half_ln_pi = Dd { hi: 0.572_364_942_924_700_1, lo: 5.132_975_581_353_913e-18 };
        let near = |got: Dd, want: Dd| {
            let error = (got - want).value().abs();
            assert!(error < 1e-23, "off by {error:e}");
        };
        near(value(Dd::num(1.0)), half_ln_pi - Dd::num(2.0).ln());
        near(value(Dd::num(1.5)), (Dd::num(2.0).ln()) - half_ln_pi);
        // Γ(10.5) = 654729075·√π/1024, Γ(10) = 9!.
        let ratio = Dd::num(654_729_075.0) / Dd::num(1024.0) / Dd::num(362_880.0);
        near(value(Dd::num(10.0)), ratio.ln() + half_ln_pi);
    }

    /// ψ(3/2) − ψ(1) = 2 − 2 ln 2 (Abramowitz & Stegun 6.3.2 and 6.3.4).
    #[test]
    fn the_slope_is_the_published_one_and_the_derivative_of_the_value() {
        let want = Dd::num(2.0) - Dd::num(2.0).ln() * Dd::num(2.0);
        assert!((slope(Dd::num(1.0)) - want).value().abs() < 1e-23);
        for x in [1.0, 1.3, 2.5, 40.0, 1e6] {
            // Some 50 roundings of numbers of at most 1, beside the rounding of the value.
            let (derivative, own) = (value(Dual::new(x, 1.0)).d, slope(x));
            assert!((derivative - own).abs() < 50.0 * f64::EPSILON, "{x}: {derivative}, {own}");
        }
    }
}
