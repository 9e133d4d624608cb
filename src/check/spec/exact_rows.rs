//! Rows that are exact but for their last roundings.
//!
//! Where the values of a row are whole multiples of one power of two, and so few of them that every
//! partial sum is exact, its mean and variance are known whatever the order of summation. A right
//! implementation may still keep a mean and a standard deviation that are a little off (a running
//! mean is), but the same for the whole row: what it answers is y = weight·((1 + ε)·x̂ + s) + bias
//! with one scale ε and one shift s, and a few last roundings. A formula that cancels, as
//! x·rstd − mean·rstd does, rounds each element apart where x is large, and no shift explains that.
//!
//! The last roundings of an element are at most B = 5·u·|y − bias| + 2·u·|y|: the difference from
//! the mean, the product with rstd or a quotient that is good to two units, the product with the
//! weight, and the sum. ε and s are fitted by least squares in units of B. If the true residuals
//! are within B each, the fit takes up at most √(n·h) of it at an element of leverage h (the
//! projection of a vector of length √n on a space of which the element sees √h), so a right row has
//! no residual beyond 1 + √(n·h). ε and s need no limit here: an element that they carry too far is
//! beyond its ordinary bound.

use crate::check::tensor::Dtype;
use crate::num::Num;
use crate::num::bound::sums_exactly;

/// One row of an answer.
pub struct Row<'a> {
    pub x: &'a [f64],
    pub weight: Option<&'a [f64]>,
    pub bias: Option<&'a [f64]>,
    pub y: &'a [f64],
    pub eps: f64,
    /// That of x and y, which sums are kept in too.
    pub dtype: Dtype,
}

impl Row<'_> {
    /// The largest residual over what is allowed of it, and where; nothing for other rows. `V` has
    /// at least twice the digits of the dtype.
    pub fn residue<V: Num>(&self) -> Option<(f64, usize)> {
        let n = self.x.len();
        // A shift and a scale explain any two elements.
        if n < 3 || !sums_exactly(self.x.iter().copied(), self.dtype.unit()) {
            return None;
        }
        let number = |values: Option<&[f64]>, i: usize, none: f64| values.map_or(none, |v| v[i]);
        let sum = self.x.iter().fold(V::zero(), |sum, &x| sum + V::num(x));
        let count = V::count(n);
        let centred: Vec<V> = self.x.iter().map(|&x| (count * V::num(x) - sum) / count).collect();
        let var = centred.iter().fold(V::zero(), |sum, &c| sum + c * c) / count;
        let std = (var + V::num(self.eps)).sqrt();
        let u = self.dtype.unit();
        let last = |i: usize| {
            let (y, bias) = (self.y[i], number(self.bias, i, 0.0));
            5.0 * u * (y - bias).abs() + 2.0 * u * y.abs() + self.dtype.smallest_normal()
        };
        let most = (0..n).map(last).fold(0.0, f64::max);
        // Units below this are widened, which allows more, so that squares stay in range.
        let unit = |i: usize| last(i).max(most * 2f64.powi(-30)) / most;
        let (mut shift, mut scale, mut rest) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        for i in 0..n {
            let weight = number(self.weight, i, 1.0);
            let xhat = centred[i] / std;
            let truth = V::num(weight) * xhat + V::num(number(self.bias, i, 0.0));
            shift[i] = weight / unit(i);
            scale[i] = weight * xhat.value() / unit(i);
            rest[i] = (V::num(self.y[i]) - truth).value() / unit(i) / most;
        }
        normalize(&mut shift);
        remove(&mut scale, &shift);
        remove(&mut scale, &shift);
        normalize(&mut scale);
        remove(&mut rest, &shift);
        remove(&mut rest, &scale);
        let ratios = (0..n).map(|i| {
            let leverage = shift[i] * shift[i] + scale[i] * scale[i];
            rest[i].abs() / (1.0 + (n as f64 * leverage).sqrt())
        });
        ratios.enumerate().map(|(i, ratio)| (ratio, i)).max_by(|a, b| a.0.total_cmp(&b.0))
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Makes a vector one of length 1; nothing of one of next to none, which is a direction of noise.
fn normalize(v: &mut [f64]) {
    // Squares of tiny weights would vanish.
    let most = v.iter().fold(0.0f64, |most, v| most.max(v.abs()));
    if most > 0.0 {
        v.iter_mut().for_each(|v| *v /= most);
    }
    let length = dot(v, v).sqrt();
    let by = if length > 0.0 { 1.0 / length } else { 0.0 };
    v.iter_mut().for_each(|v| *v *= by);
}

/// Takes the component along a unit vector out.
fn remove(v: &mut [f64], along: &[f64]) {
    let component = dot(v, along);
    v.iter_mut().zip(along).for_each(|(v, along)| *v -= component * along);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Dd;

    const EPS: f64 = 1e-5;

    /// Offset 1000 and steps of up to 8 about it, of which the mean is no whole number.
    fn x() -> Vec<f64> {
        (0..100).map(|i| 1000.0 + f64::from(i * i % 17) - 8.0).collect()
    }

    fn residue(x: &[f64], y: &[f64]) -> Option<f64> {
        let row = Row { x, weight: None, bias: None, y, eps: EPS, dtype: Dtype::F32 };
        row.residue::<Dd>().map(|(ratio, _)| ratio)
    }

    /// Mean and rstd of a row in f32, the mean off by so much.
    fn moments(x: &[f64], off: f32) -> (f32, f32) {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let var = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
        (mean as f32 + off, 1.0 / (var + EPS).sqrt() as f32)
    }

    #[test]
    fn a_mean_that_is_off_is_a_shift() {
        for off in [0.0, 1e-3, 0.1] {
            let (mean, rstd) = moments(&x(), off);
            let y: Vec<f64> =
                x().iter().map(|&x| f64::from((x as f32 - mean) * (rstd * 1.001))).collect();
            let ratio = residue(&x(), &y).expect("sums are exact");
            assert!(ratio <= 1.0, "off by {off}: {ratio}");
        }
    }

    #[test]
    fn tiny_weights_hide_no_shift() {
        let (mean, rstd) = moments(&x(), 0.1);
        for weight in [1e-30, 1e-160, 1e-290] {
            let off = |x: f64| (x - f64::from(mean)) * f64::from(rstd) * weight;
            let y: Vec<f64> = x().into_iter().map(off).collect();
            let weights = vec![weight; y.len()];
            let weight = Some(&weights[..]);
            let row = Row { x: &x(), weight, bias: None, y: &y, eps: EPS, dtype: Dtype::F64 };
            let (ratio, _) = row.residue::<Dd>().expect("sums are exact");
            assert!(ratio <= 1.0, "{weight:?}: {ratio}");
        }
    }

    #[test]
    fn what_cancels_is_no_shift() {
        let (mean, rstd) = moments(&x(), 0.0);
        let folded = |&x: &f64| f64::from(x as f32 * rstd - mean * rstd);
        let y: Vec<f64> = x().iter().map(folded).collect();
        let ratio = residue(&x(), &y).expect("sums are exact");
        assert!(ratio > 10.0, "{ratio}");
    }

    #[test]
    fn rows_of_many_digits_are_left_to_their_bounds() {
        let x: Vec<f64> = x().iter().map(|x| f64::from((x / 3.0) as f32)).collect();
        assert_eq!(residue(&x, &x), None);
    }
}
