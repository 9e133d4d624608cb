//! Forward-mode differentiation.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

use super::{Dtype, Num};

/// A dual number v + d·ε with ε² = 0: forward-mode differentiation, exact to rounding.
///
/// Comparisons look at the value only.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dual {
    /// The value.
    pub v: f64,
    /// The directional derivative.
    pub d: f64,
}

impl Dual {
    /// A value and its derivative along the direction under study.
    pub fn new(v: f64, d: f64) -> Self {
        Dual { v, d }
    }
    fn chain(self, v: f64, slope: f64) -> Self {
        Dual { v, d: self.d * slope }
    }
}

impl PartialEq for Dual {
    fn eq(&self, other: &Self) -> bool {
        self.v == other.v
    }
}
impl PartialOrd for Dual {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.v.partial_cmp(&other.v)
    }
}
impl Add for Dual {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Dual::new(self.v + o.v, self.d + o.d)
    }
}
impl Sub for Dual {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        Dual::new(self.v - o.v, self.d - o.d)
    }
}
impl Mul for Dual {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        Dual::new(self.v * o.v, self.d * o.v + self.v * o.d)
    }
}
impl Div for Dual {
    type Output = Self;
    fn div(self, o: Self) -> Self {
        let v = self.v / o.v;
        // What is divided by infinity is 0 and flat: 0·∞ must not make a NaN of it.
        let flat = o.v.is_infinite() && self.v.is_finite();
        Dual::new(v, if flat { 0.0 } else { (self.d - v * o.d) / o.v })
    }
}
impl Neg for Dual {
    type Output = Self;
    fn neg(self) -> Self {
        Dual::new(-self.v, -self.d)
    }
}
impl AddAssign for Dual {
    fn add_assign(&mut self, o: Self) {
        *self = *self + o;
    }
}
impl SubAssign for Dual {
    fn sub_assign(&mut self, o: Self) {
        *self = *self - o;
    }
}

impl Num for Dual {
    fn num(value: f64) -> Self {
        Dual::new(value, 0.0)
    }
    fn value(self) -> f64 {
        self.v
    }
    fn sqrt(self) -> Self {
        let v = self.v.sqrt();
        self.chain(v, 0.5 / v)
    }
    fn exp(self) -> Self {
        let v = self.v.exp();
        // e^(−∞) is flat, whatever the direction: 0·∞ must not make a NaN of it.
        if v == 0.0 { Dual::new(0.0, 0.0) } else { self.chain(v, v) }
    }
    fn ln(self) -> Self {
        self.chain(self.v.ln(), 1.0 / self.v)
    }
    fn tanh(self) -> Self {
        let v = self.v.tanh();
        self.chain(v, 1.0 - v * v)
    }
    fn erf(self) -> Self {
        let slope = std::f64::consts::FRAC_2_SQRT_PI * (-self.v * self.v).exp();
        self.chain(libm::erf(self.v), slope)
    }
    fn erfc(self) -> Self {
        let slope = -std::f64::consts::FRAC_2_SQRT_PI * (-self.v * self.v).exp();
        self.chain(libm::erfc(self.v), slope)
    }
    fn abs(self) -> Self {
        let slope = if self.v == 0.0 { 0.0 } else { self.v.signum() };
        self.chain(self.v.abs(), slope)
    }
    fn narrow(self, dtype: Dtype) -> Self {
        Dual::new(dtype.round(self.v), self.d)
    }
    fn held(self) -> Self {
        Dual::new(self.v, 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dual_differentiates_elementary_functions() {
        let x = Dual::new(0.7, 1.0);
        let f = |x: f64| ((x * x).exp() / (1.0 + x)).ln().tanh() + libm::erf(x).sqrt();
        let exact = ((x * x).exp() / (Dual::one() + x)).ln().tanh() + x.erf().sqrt();
        let h = 1e-5;
        let slope = (f(0.7 + h) - f(0.7 - h)) / (2.0 * h);
        assert!((exact.d - slope).abs() < 1e-9, "{} against {slope}", exact.d);
    }

    #[test]
    fn a_quotient_by_infinity_is_flat() {
        let silu = |x: Dual| x / (Dual::one() + (-x).exp());
        let y = silu(Dual::new(-1e4, 1.0));
        assert_eq!((y.v, y.d), (0.0, 0.0));
    }
}
