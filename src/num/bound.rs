//! Numbers that carry their error bound.
//!
//! At [`Bound`] every number carries how far a right computation may be from it, so that one pass
//! through a formula gives the truth and the bound of every element, and bounds compose through a
//! block as values do. The rules are those of running error analysis (Wilkinson; Higham 2002,
//! §3.3), with second-order terms kept:
//!
//! - a rounding of r costs 2·u·|r|: one for the formula as written and one for another right one
//!   (a product with a reciprocal for a quotient, a fused multiply-add);
//! - a sum of n terms costs 2·(n+1)·u·Σ|t| in the worst case, whatever its order, and 2·√n·u·Σ|t| if
//!   its roundings are independent;
//! - errors of operands add up in the worst case and as squares if they are independent.

use std::cell::Cell;
use std::cmp::Ordering;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

use super::{Dtype, Num};

/// Standard deviations that the statistical bound allows.
pub const DEVIATIONS: f64 = 5.0;

thread_local! {
    static UNIT: Cell<f64> = const { Cell::new(5.960_464_477_539_063e-8) };
    static LARGEST: Cell<f64> = const { Cell::new(f64::INFINITY) };
    static STORED: Cell<Stored> = const { Cell::new((0.0, 0.0, f64::INFINITY)) };
    static FUNCTIONS: Cell<(f64, f64, f64)> = const { Cell::new((0.0, 0.0, 0.0)) };
}

/// Roundings beside those of the unit: of a composition that writes every step, and of functions that
/// are not as good as their rounding.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Coarse {
    /// What every step is written in.
    pub stored: Option<Dtype>,
    /// The largest relative error of an exponential.
    pub exp: f64,
    /// Of tanh and erf.
    pub tanh: f64,
    /// Of a root.
    pub rsqrt: f64,
}

/// The unit, the smallest normal and the largest number of what every step is written in; 0 where
/// nothing is.
type Stored = (f64, f64, f64);

/// A number and how far a right computation may be from it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bound<V = f64> {
    /// The true value.
    pub v: V,
    /// The standard deviation of the error, were all roundings independent.
    pub spread: f64,
    /// The largest error.
    pub worst: f64,
}

/// Reads a formula at [`Bound`] with unit roundoff `unit`.
pub fn at_unit<A>(unit: f64, read: impl FnOnce() -> A) -> A {
    let before = UNIT.replace(unit);
    let answer = read();
    UNIT.set(before);
    answer
}

/// Reads a formula at [`Bound`] with roundings beside those of the unit.
pub fn coarsely<A>(coarse: Coarse, read: impl FnOnce() -> A) -> A {
    let Coarse { stored, exp, tanh, rsqrt } = coarse;
    let stored = stored.map_or((0.0, 0.0, f64::INFINITY), |dtype| {
        (dtype.unit(), dtype.smallest_normal(), dtype.largest())
    });
    let before = (STORED.replace(stored), FUNCTIONS.replace((exp, tanh, rsqrt)));
    let answer = read();
    STORED.set(before.0);
    FUNCTIONS.set(before.1);
    answer
}

/// What writing a number of this magnitude, which may be off by `worst`, costs: as a rounding does, twice.
/// Beyond the largest number anything may come of it.
#[inline]
fn written(magnitude: f64, worst: f64) -> f64 {
    let (unit, least, largest) = STORED.get();
    match unit {
        0.0 => 0.0,
        _ if magnitude + worst > largest => f64::INFINITY,
        _ if magnitude == 0.0 && worst == 0.0 => 0.0,
        _ => 2.0 * unit * (magnitude + worst) + if magnitude < least { least } else { 0.0 },
    }
}

/// Reads a formula at [`Bound`] where what is larger than `largest` overflows, so that anything may
/// come of it. A truth is read without: a right implementation avoids an overflow that can be avoided.
pub fn overflowing<A>(largest: f64, read: impl FnOnce() -> A) -> A {
    let before = LARGEST.replace(largest);
    let answer = read();
    LARGEST.set(before);
    answer
}

/// True where every partial sum, in any order, is a number of unit roundoff `unit`: the values are
/// whole multiples of one power of two, and Σ|value| is fewer than 1/`unit` of those.
pub fn sums_exactly(values: impl IntoIterator<Item = f64>, unit: f64) -> bool {
    let (mut step, mut size) = (i32::MAX, 0.0);
    for value in values.into_iter().filter(|&value| value != 0.0) {
        let bits = value.to_bits();
        let (exponent, digits) = ((bits >> 52 & 0x7ff) as i32, bits & ((1 << 52) - 1));
        if exponent == 0 || exponent == 0x7ff {
            return false;
        }
        let zeros = if digits == 0 { 52 } else { digits.trailing_zeros() as i32 };
        step = step.min(exponent - 1075 + zeros);
        size += value.abs();
    }
    size == 0.0 || size * unit < 2f64.powi(step)
}

/// √Σ dᵢ² of deviations, none of them negative. The library's `hypot` costs ten times as much and is
/// needed only where squares vanish or overflow.
#[inline]
fn joined(one: f64, others: &[f64]) -> f64 {
    let squares = others.iter().fold(one * one, |sum, d| sum + d * d);
    if (f64::MIN_POSITIVE / f64::EPSILON..=f64::MAX).contains(&squares) {
        return squares.sqrt();
    }
    others.iter().fold(one, |all, d| if *d == 0.0 { all } else { all.hypot(*d) })
}

/// Twice the unit roundoff: what one operation costs.
fn unit() -> f64 {
    2.0 * UNIT.get()
}

/// The smallest normal number of the dtype that computes.
fn smallest_normal() -> f64 {
    let dtype = if UNIT.get() > Dtype::F32.unit() / 2.0 { Dtype::F32 } else { Dtype::F64 };
    dtype.smallest_normal()
}

impl<V: Num> Bound<V> {
    /// A number that is exactly given.
    pub fn exact(v: V) -> Self {
        Bound { v, spread: 0.0, worst: 0.0 }
    }
    /// A result whose operands contribute these errors, and its rounding.
    #[inline]
    fn rounded(v: V, spreads: &[f64], worst: f64) -> Self {
        let magnitude = v.value().abs();
        let unit = unit();
        let mut own = unit * magnitude;
        // What is subnormal may be flushed to 0, or is rounded to a multiple of the least number.
        // The first comparison, which is cheap, is false of nearly all.
        if magnitude < f64::from(f32::MIN_POSITIVE)
            && magnitude < smallest_normal()
            && magnitude > 0.0
        {
            own = magnitude.max(smallest_normal() * unit);
        }
        // An infinity is exactly that; a NaN is nobody's error.
        if !magnitude.is_finite() {
            return Bound::exact(v);
        }
        let worst = if magnitude > LARGEST.get() { f64::INFINITY } else { worst };
        let written = written(magnitude, worst);
        let spread = joined(own + written, spreads);
        Bound { v, spread, worst: worst + own + unit * worst + written }
    }
    /// The same by a function of this relative error.
    #[inline]
    fn off_by(self, relative: f64) -> Self {
        match relative {
            0.0 => self,
            _ => self.loosened(relative * self.size() / unit()),
        }
    }
    fn size(self) -> f64 {
        self.v.value().abs()
    }
    /// f(x) of slope at most `slope` over where x may be.
    fn map(self, v: V, slope: f64, slope_within: f64) -> Self {
        Self::rounded(v, &[times(self.spread, slope)], times(self.worst, slope_within))
    }
}

/// Nothing times infinity is nothing here: an error that does not exist is not enlarged.
fn times(a: f64, b: f64) -> f64 {
    if a == 0.0 || b == 0.0 { 0.0 } else { a * b }
}

impl<V: Num> PartialEq for Bound<V> {
    fn eq(&self, other: &Self) -> bool {
        self.v == other.v
    }
}
impl<V: Num> PartialOrd for Bound<V> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.v.partial_cmp(&other.v)
    }
}
impl<V: Num> Add for Bound<V> {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Self::rounded(self.v + o.v, &[self.spread, o.spread], self.worst + o.worst)
    }
}
impl<V: Num> Sub for Bound<V> {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        self + -o
    }
}
impl<V: Num> Mul for Bound<V> {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        let (a, b) = (self.size(), o.size());
        // Where both are 0 in truth, only their errors meet.
        let both = times(self.spread, o.spread);
        let spreads = [times(self.spread, b), times(o.spread, a), both];
        let worst = times(self.worst, b) + times(o.worst, a) + times(self.worst, o.worst);
        // An unbounded operand may be ±∞, and 0·∞ is NaN.
        let anything = self.worst.is_infinite() || o.worst.is_infinite();
        let worst = if anything { f64::INFINITY } else { worst };
        Self::rounded(self.v * o.v, &spreads, worst)
    }
}
impl<V: Num> Div for Bound<V> {
    type Output = Self;
    fn div(self, o: Self) -> Self {
        let v = self.v / o.v;
        let (r, b) = (v.value().abs(), o.size());
        if b.is_infinite() {
            // Unless the dividend may itself be infinite: ∞/∞ is NaN.
            let worst = if self.worst.is_infinite() { f64::INFINITY } else { 0.0 };
            return Bound { v, spread: 0.0, worst };
        }
        let spreads = [self.spread / b, times(o.spread, r) / b];
        let nearest = b - o.worst;
        let worst = self.worst + times(o.worst, r);
        // A divisor that may be 0 leaves nothing to say. Where there is nothing to divide either, a right
        // implementation avoids 0/0, and one that overflows need not.
        let careless = LARGEST.get().is_finite() && o.worst > 0.0;
        let worst = if nearest <= 0.0 && (worst > 0.0 || careless) {
            f64::INFINITY
        } else if worst == 0.0 {
            0.0
        } else {
            worst / nearest
        };
        Self::rounded(v, &spreads, worst)
    }
}
impl<V: Num> Neg for Bound<V> {
    type Output = Self;
    fn neg(self) -> Self {
        Bound { v: -self.v, ..self }
    }
}
impl<V: Num> AddAssign for Bound<V> {
    fn add_assign(&mut self, o: Self) {
        *self = *self + o;
    }
}
impl<V: Num> SubAssign for Bound<V> {
    fn sub_assign(&mut self, o: Self) {
        *self = *self - o;
    }
}

impl<V: Num> Num for Bound<V> {
    fn num(value: f64) -> Self {
        Bound::exact(V::num(value))
    }
    fn value(self) -> f64 {
        self.v.value()
    }
    fn sqrt(self) -> Self {
        let v = self.v.sqrt();
        let (x, root) = (self.value(), v.value());
        let spread = if root > 0.0 { 0.5 * self.spread / root } else { self.spread.sqrt() };
        let below = (x - self.worst).max(0.0).sqrt();
        let worst = if self.worst == 0.0 {
            0.0
        } else if self.worst.is_infinite() {
            f64::INFINITY
        } else {
            // The side towards 0 is the steeper one; written without cancellation.
            (self.worst.min(x) / (root + below)).max(self.worst / ((x + self.worst).sqrt() + root))
        };
        Self::rounded(v, &[spread], worst).off_by(FUNCTIONS.get().2)
    }
    fn exp(self) -> Self {
        let v = self.v.exp();
        let r = v.value();
        // A library's exponential may itself reduce its argument in rounded steps.
        let own = unit() * r * self.size();
        let own = if r == 0.0 { 0.0 } else { own + FUNCTIONS.get().0 * r };
        // e^(x+w) − e^x, also where e^x alone is too small a number.
        let worst = times((self.value() + self.worst).exp(), -(-self.worst).exp_m1());
        Self::rounded(v, &[times(r, self.spread), own], worst + own)
    }
    fn ln(self) -> Self {
        let v = self.v.ln();
        let (x, nearest) = (self.value(), self.value() - self.worst);
        let worst = if nearest > 0.0 { -(-self.worst / x).ln_1p() } else { f64::INFINITY };
        let worst = if self.worst == 0.0 { 0.0 } else { worst };
        Self::rounded(v, &[self.spread / x], worst)
    }
    fn tanh(self) -> Self {
        let v = self.v.tanh();
        let slope = |x: f64| 1.0 / x.cosh().powi(2);
        let nearest = (self.size() - self.worst).max(0.0);
        self.map(v, slope(self.size()), slope(nearest)).off_by(FUNCTIONS.get().1)
    }
    fn erf(self) -> Self {
        let slope = |x: f64| std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp();
        let nearest = (self.size() - self.worst).max(0.0);
        self.map(self.v.erf(), slope(self.size()), slope(nearest)).off_by(FUNCTIONS.get().1)
    }
    fn erfc(self) -> Self {
        let slope = |x: f64| std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp();
        let nearest = (self.size() - self.worst).max(0.0);
        self.map(self.v.erfc(), slope(self.size()), slope(nearest)).off_by(FUNCTIONS.get().1)
    }
    fn abs(self) -> Self {
        Bound { v: self.v.abs(), ..self }
    }
    fn larger(self, other: Self) -> Self {
        let (larger, smaller) = if other > self { (other, self) } else { (self, other) };
        // Beyond doubt, the other has no say.
        if larger.value() - larger.worst > smaller.value() + smaller.worst {
            return larger;
        }
        let error = |a: f64, b: f64| if a.is_finite() && b.is_finite() { a.max(b) } else { a + b };
        Bound {
            v: larger.v,
            spread: error(self.spread, other.spread),
            worst: error(self.worst, other.worst),
        }
    }
    fn sum(terms: impl IntoIterator<Item = Self>) -> Self {
        Self::sum_of(terms.into_iter().map(|term| (term, 1)))
    }
    fn sum_of(terms: impl IntoIterator<Item = (Self, usize)>) -> Self {
        let (mut v, mut count, mut size) = (V::zero(), 0usize, 0.0);
        let (mut spread, mut widest, mut worst) = (0.0, 0.0f64, 0.0);
        for (term, times) in terms {
            if times == 0 {
                continue;
            }
            let n = times as f64;
            v += if times == 1 { term.v } else { term.v * V::num(n) };
            count += times;
            size += n * term.size();
            // Equal terms err alike, so that their errors add up.
            spread += (n * term.spread) * (n * term.spread);
            widest = widest.max(n * term.spread);
            worst += n * term.worst;
        }
        let n = count as f64;
        // Squares of what is tiny or huge say nothing; the widest says enough.
        let told = (f64::MIN_POSITIVE / f64::EPSILON..=f64::MAX).contains(&spread);
        let spread = if told || widest == 0.0 { spread.sqrt() } else { widest * n.sqrt() };
        if count < 2 || !v.value().is_finite() {
            return Bound { v, spread, worst };
        }
        let worst = worst + (n + 1.0) * unit() * (size + worst);
        let worst = if v.value().abs() > LARGEST.get() { f64::INFINITY } else { worst };
        let written = written(v.value().abs(), worst);
        Bound {
            v,
            spread: joined(spread, &[n.sqrt() * unit() * size, written]),
            worst: worst + written,
        }
    }
    fn narrow(self, dtype: Dtype) -> Self {
        // The rounding is the target's, whose own number may lie on the other side of a boundary.
        let mut own = dtype.unit() * (self.size() + self.worst);
        // What is subnormal loses digits, or is flushed to 0.
        if self.worst > 0.0 && self.size() - self.worst < dtype.smallest_normal() {
            own += dtype.smallest_normal();
        }
        let spread = joined(self.spread, &[own.min(self.size().max(dtype.smallest_normal()))]);
        Bound { v: self.v, spread, worst: self.worst + own }
    }
    fn or(self, other: Self) -> Self {
        let (spread, worst) = (self.spread.max(other.spread), self.worst.max(other.worst));
        Bound { v: self.v, spread, worst }
    }
    fn kept(self, dtype: Dtype) -> Self {
        // A dtype no narrower than what computes rounds nothing; a narrow one underflows as well.
        let narrow = dtype.unit() > UNIT.get();
        let own = if narrow { dtype.unit() * (self.size() + dtype.smallest_normal()) } else { 0.0 };
        Bound { v: self.v, spread: joined(self.spread, &[own]), worst: self.worst + own }
    }
    fn loosened(self, magnitude: f64) -> Self {
        let own = unit() * magnitude;
        Bound { v: self.v, spread: joined(self.spread, &[own]), worst: self.worst + own }
    }
    fn length(terms: &[Self]) -> Self {
        let v = terms.iter().fold(V::zero(), |sum, t| sum + t.v * t.v).sqrt();
        let length = v.value();
        if !length.is_finite() || length == 0.0 {
            let all = |error: fn(&Self) -> f64| terms.iter().map(error).fold(0.0, f64::hypot);
            return Bound { v, spread: all(|t| t.spread), worst: all(|t| t.worst) };
        }
        // The longest and the shortest vector within the errors, without cancellation.
        let (mut further, mut nearer, mut shortest, mut spread) = (0.0, 0.0, 0.0, 0.0);
        for t in terms {
            let (size, left) = (t.size(), (t.size() - t.worst).max(0.0));
            further += t.worst * (2.0 * size + t.worst);
            nearer += (size - left) * (size + left);
            shortest += left * left;
            spread += times(t.spread, (size + t.spread) / length).powi(2);
        }
        let up = match further {
            f64::INFINITY => further,
            _ => further / ((length * length + further).sqrt() + length),
        };
        let down = nearer / (length + shortest.sqrt());
        // Half of what the squares and their sum are off by, relatively.
        let n = terms.len() as f64;
        let own = 0.5 * (n + 2.0) * unit() * (length + up);
        let statistical = 0.5 * (n + 2.0).sqrt() * unit() * length;
        Self::rounded(v, &[spread.sqrt(), statistical], up.max(down) + own)
    }
    fn step(self) -> Self {
        let v = if self.v > V::zero() { V::one() } else { V::zero() };
        // Where the sign is open, so is the derivative; the roundings of a sum may conspire, which
        // for sums of up to 64 terms is 8 times as much.
        let open = |error: f64| f64::from(error > 0.0 && error >= self.size());
        let spread = open(8.0 * DEVIATIONS * self.spread);
        Bound { v, spread, worst: open(self.worst) }
    }
    fn mean(row: &[Self]) -> Self {
        let first = row[0];
        // One number is its own mean. Equal numbers of few digits have it in every order of
        // summation and of updating, but for a product with 1/n in place of the quotient.
        if row.len() == 1 {
            return first;
        }
        let equal = row.iter().all(|x| x.worst == 0.0 && x.v == first.v);
        if equal && sums_exactly(row.iter().map(|x| x.v.value()), UNIT.get()) {
            return Bound::rounded(first.v, &[], 0.0);
        }
        Self::sum(row.iter().copied()) / Self::count(row.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_of_a_sum_does_not_vanish_where_squares_do() {
        for tiny in [1e-100, 1e-160, 1e-200, 1e-290] {
            // Errors far above a rounding of the sum itself.
            let term = Bound { v: tiny, spread: 1e-3 * tiny, worst: 1e-2 * tiny };
            let sum = Num::sum([term; 4]);
            assert!((1.99e-3 * tiny..=2.01e-3 * tiny).contains(&sum.spread), "{tiny}: {sum:?}");
        }
    }

    #[test]
    fn nothing_is_said_of_a_quotient_that_may_be_zero_over_zero_or_infinity_over_infinity() {
        let of = |a: f64, b: f64| {
            (Bound::exact(a).exp() / (Bound::exact(b).exp() + Bound::exact(0.0))).worst
        };
        // A truth is of a right implementation, which avoids both.
        assert!(of(-900.0, -120.0).is_finite());
        overflowing(f64::from(f32::MAX), || {
            assert!(at_unit(Dtype::F32.unit(), || of(-900.0, -120.0)).is_infinite());
            assert!(of(100.0, 800.0).is_infinite());
            assert!(of(1.0, 2.0).is_finite() && of(-900.0, 3.0).is_finite());
        });
    }

    #[test]
    fn sums_are_exact_where_every_partial_sum_is_a_number() {
        let unit = Dtype::F32.unit();
        assert!(sums_exactly([1.0, 2f64.powi(23), -3.0], unit));
        assert!(sums_exactly([0.0, 0.0], unit));
        // 2²⁴ quarters is one too many.
        assert!(!sums_exactly([0.25, 2f64.powi(22)], unit));
        assert!(!sums_exactly([0.1, 1.0], unit));
        assert!(sums_exactly([0.5f64.powi(40); 100], unit));
    }

    #[test]
    fn nothing_times_anything_is_anything() {
        let zero = Bound::<f64>::exact(0.0);
        let anything = Bound { v: 2.0, spread: 0.0, worst: f64::INFINITY };
        assert_eq!((zero * anything).worst, f64::INFINITY);
        assert_eq!((zero * Bound { worst: 1.0, ..anything }).worst, 0.0);
    }

    #[test]
    fn what_overflows_may_be_anything() {
        let product = || Bound::<f64>::exact(1e30) * Bound::exact(1e30);
        let sum = || Bound::sum([Bound::<f64>::exact(3e38); 2]);
        assert!(product().worst.is_finite() && sum().worst.is_finite());
        let largest = Dtype::F32.largest();
        assert_eq!(overflowing(largest, product).worst, f64::INFINITY);
        assert_eq!(overflowing(largest, sum).worst, f64::INFINITY);
        assert!(product().worst.is_finite(), "and not for long");
    }

    #[test]
    fn one_number_is_its_own_mean() {
        let x = Bound::<f64>::exact(1234.5678);
        assert_eq!(Bound::mean(&[x]).worst, 0.0);
        assert!(
            Bound::mean(&[x, x]).worst > Bound::mean(&[Bound::exact(3.0); 2]).worst / 3.0 * x.v
        );
    }
}
