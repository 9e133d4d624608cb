//! Double-double numbers: about 32 decimal digits, the truth for `f64` targets.
//!
//! A number is an unevaluated sum of two `f64` that do not overlap (Dekker 1971; Hida, Li & Bailey
//! 2001). Additions and products are good to some 2⁻¹⁰⁴; the functions to some 2⁻¹⁰⁰ where their
//! result is not subnormal, which is 2⁴⁷ times finer than what they judge.

use std::cmp::Ordering;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};
use std::sync::LazyLock;

use super::{Dtype, Num};

/// hi + lo, |lo| at most half a unit in the last place of hi.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dd {
    /// The nearest `f64`.
    pub hi: f64,
    /// What it leaves.
    pub lo: f64,
}

const LN2: Dd = Dd { hi: std::f64::consts::LN_2, lo: 2.319_046_813_846_299_6e-17 };
const TWO_OVER_ROOT_PI: Dd =
    Dd { hi: std::f64::consts::FRAC_2_SQRT_PI, lo: 1.533_545_961_316_588e-17 };

/// 1/n. A quotient costs as much as five products, and the series divide by small whole numbers.
static INVERSES: LazyLock<[Dd; 801]> =
    LazyLock::new(|| std::array::from_fn(|n| Dd::one() / Dd::num(n as f64)));

/// Where e^x is neither infinite nor zero in `f64`.
const EXP_DOMAIN: std::ops::RangeInclusive<f64> = -745.0..=709.0;

impl Dd {
    /// a + b, exactly, of any two numbers (Knuth).
    fn two_sum(a: f64, b: f64) -> Dd {
        let hi = a + b;
        if !hi.is_finite() {
            return Dd { hi, lo: 0.0 };
        }
        let part = hi - a;
        Dd { hi, lo: (a - (hi - part)) + (b - part) }
    }
    /// a·b, exactly.
    fn two_product(a: f64, b: f64) -> Dd {
        let hi = a * b;
        if !hi.is_finite() {
            return Dd { hi, lo: 0.0 };
        }
        Dd { hi, lo: a.mul_add(b, -hi) }
    }
    fn times(self, factor: f64) -> Dd {
        let product = Dd::two_product(self.hi, factor);
        Dd::two_sum(product.hi, product.lo + self.lo * factor)
    }
    /// (e^r − 1, k) with x = r + k·ln 2 and |r| ≤ ln 2 / 2, of a finite x.
    fn exp_m1_reduced(self) -> (Dd, f64) {
        let k = (self.hi / LN2.hi).round();
        // |r| / 512, of which the series needs few terms.
        let r = (self - LN2.times(k)).times(2f64.powi(-9));
        let (mut term, mut sum) = (r, r);
        for &inverse in &INVERSES[2..12] {
            term = term * r * inverse;
            sum += term;
        }
        for _ in 0..9 {
            sum = sum.times(2.0) + sum * sum;
        }
        (sum, k)
    }
    /// x·2^k, in two steps for what is subnormal.
    fn scaled(self, k: f64) -> Dd {
        let half = (k / 2.0).trunc();
        self.times(2f64.powi(half as i32)).times(2f64.powi((k - half) as i32))
    }
    /// e^x − 1, without cancellation.
    fn exp_m1(self) -> Dd {
        if !EXP_DOMAIN.contains(&self.hi) {
            return Dd { hi: self.hi.exp_m1(), lo: 0.0 };
        }
        match self.exp_m1_reduced() {
            (small, 0.0) => small,
            (small, k) => (small + Dd::one()).scaled(k) - Dd::one(),
        }
    }
    /// Σ 2ⁿx²ⁿ⁺¹/(1·3·…·(2n+1)), whose terms all have one sign.
    fn erf_series(self) -> Dd {
        let square = (self * self).times(2.0);
        let (mut term, mut sum) = (self, self);
        for n in 1..400 {
            term = term * square * INVERSES[2 * n + 1];
            sum += term;
            if term.hi.abs() < 1e-34 * sum.hi.abs() {
                break;
            }
        }
        TWO_OVER_ROOT_PI * (-(self * self)).exp() * sum
    }
    /// erfc x for x ≥ 2 from its continued fraction x + ½/(x + 1/(x + …)), from the end, as a quotient
    /// of which only the last is formed.
    fn erfc_fraction(self) -> Dd {
        // Far from overflow: a step makes the numerator larger by up to x + 100.
        let large = 2f64.powi(600);
        let (mut over, mut under) = (self, Dd::one());
        for n in (1..=200).rev() {
            (over, under) = (self * over + under.times(f64::from(n) * 0.5), over);
            if over.hi > large {
                (over, under) = (over.times(large.recip()), under.times(large.recip()));
            }
        }
        (-(self * self)).exp() * TWO_OVER_ROOT_PI.times(0.5) * under / over
    }
}

impl PartialEq for Dd {
    fn eq(&self, other: &Self) -> bool {
        self.hi == other.hi && self.lo == other.lo
    }
}
impl PartialOrd for Dd {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.hi.partial_cmp(&other.hi) {
            Some(Ordering::Equal) => self.lo.partial_cmp(&other.lo),
            order => order,
        }
    }
}
impl Add for Dd {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        let (high, low) = (Dd::two_sum(self.hi, o.hi), Dd::two_sum(self.lo, o.lo));
        if !high.hi.is_finite() {
            return high;
        }
        let sum = Dd::two_sum(high.hi, high.lo + low.hi);
        Dd::two_sum(sum.hi, sum.lo + low.lo)
    }
}
impl Sub for Dd {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        self + -o
    }
}
impl Mul for Dd {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        let product = Dd::two_product(self.hi, o.hi);
        if !product.hi.is_finite() {
            return product;
        }
        Dd::two_sum(product.hi, product.lo + (self.hi * o.lo + self.lo * o.hi))
    }
}
impl Div for Dd {
    type Output = Self;
    fn div(self, o: Self) -> Self {
        let first = self.hi / o.hi;
        if !first.is_finite() || o.hi.is_infinite() {
            return Dd { hi: first, lo: 0.0 };
        }
        let rest = self - o.times(first);
        let second = rest.hi / o.hi;
        let rest = rest - o.times(second);
        Dd::two_sum(first, second) + Dd::num(rest.hi / o.hi)
    }
}
impl Neg for Dd {
    type Output = Self;
    fn neg(self) -> Self {
        Dd { hi: -self.hi, lo: -self.lo }
    }
}
impl AddAssign for Dd {
    fn add_assign(&mut self, o: Self) {
        *self = *self + o;
    }
}
impl SubAssign for Dd {
    fn sub_assign(&mut self, o: Self) {
        *self = *self - o;
    }
}

impl Num for Dd {
    fn num(value: f64) -> Self {
        Dd { hi: value, lo: 0.0 }
    }
    fn value(self) -> f64 {
        self.hi
    }
    fn sqrt(self) -> Self {
        let root = self.hi.sqrt();
        if root == 0.0 || !root.is_finite() {
            return Dd { hi: root, lo: 0.0 };
        }
        let rest = self - Dd::two_product(root, root);
        Dd::two_sum(root, rest.hi / (2.0 * root))
    }
    fn exp(self) -> Self {
        if !EXP_DOMAIN.contains(&self.hi) {
            return Dd { hi: self.hi.exp(), lo: 0.0 };
        }
        // Not e^x − 1 plus one, which far below zero keeps no digits of its own.
        let (small, k) = self.exp_m1_reduced();
        (small + Dd::one()).scaled(k)
    }
    fn ln(self) -> Self {
        let guess = Dd::num(self.hi.ln());
        if !guess.hi.is_finite() {
            return guess;
        }
        // Newton's step on e^y − x doubles the digits.
        let step = |y: Dd| y + (self * (-y).exp() - Dd::one());
        step(step(guess))
    }
    fn tanh(self) -> Self {
        if self.hi.abs() > 40.0 {
            return Dd { hi: self.hi.signum(), lo: 0.0 };
        }
        let grown = self.times(2.0).exp_m1();
        grown / (grown + Dd::num(2.0))
    }
    fn erf(self) -> Self {
        match self.hi.abs() {
            size if size < 3.0 => self.erf_series(),
            size if size < 30.0 => {
                let tail = Num::abs(self).erfc_fraction();
                let erf = Dd::one() - tail;
                if self.hi < 0.0 { -erf } else { erf }
            }
            _ => Dd { hi: libm::erf(self.hi), lo: 0.0 },
        }
    }
    fn erfc(self) -> Self {
        match self.hi {
            x if x < 2.0 => Dd::one() - self.erf(),
            x if x < 27.0 => self.erfc_fraction(),
            _ => Dd { hi: libm::erfc(self.hi), lo: 0.0 },
        }
    }
    fn abs(self) -> Self {
        if self.hi < 0.0 { -self } else { self }
    }
    fn narrow(self, dtype: Dtype) -> Self {
        if dtype == Dtype::F64 { self } else { Dd::num(dtype.round(self.hi)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: Dd, hi: f64, lo: f64) {
        let rest = (got - Dd { hi, lo }).hi.abs();
        assert!(rest <= hi.abs() * 1e-29, "{got:?} is off {hi:e} + {lo:e} by {rest:e}");
    }

    // Values of a decimal library at 50 digits, split into two f64.
    #[test]
    fn functions_have_thirty_digits() {
        let x = Dd::num(0.7);
        near(x.exp(), 2.0137527074704766, -2.0058243549764793e-16);
        near(x.ln(), -0.35667494393873245, 4.82556379937662e-18);
        // Far below zero too, where e^x − 1 has none of them left.
        near(Dd::num(-30.0).exp(), 9.357622968840175e-14, -2.1170146272646406e-30);
    }

    #[test]
    fn functions_undo_each_other() {
        // From 0.3 on: of a number near 0 the exponential keeps the digits behind 1 only.
        for x in [0.3, 1.0, 7.5, 30.0] {
            let x = Dd::num(x);
            near(x.exp().ln(), x.hi, 0.0);
            near(x.sqrt() * x.sqrt(), x.hi, 0.0);
            near(x / Dd::num(3.0) * Dd::num(3.0), x.hi, 0.0);
        }
        // Two ways to each value agree: series against fraction, tanh against exponentials.
        for x in [2.0, 2.5, 2.9] {
            let x = Dd::num(x);
            let sum = x.erf_series() + x.erfc_fraction();
            near(sum, 1.0, 0.0);
        }
        for x in [0.01, 0.5, 3.0] {
            let (up, down) = (Dd::num(x).exp(), Dd::num(-x).exp());
            let tanh = Dd::num(x).tanh();
            let other = (up - down) / (up + down);
            near(tanh / other, 1.0, 0.0);
        }
    }
}
