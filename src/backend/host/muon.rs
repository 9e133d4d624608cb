//! Muon's step of one matrix: its momentum, made orthogonal.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

use super::Element;
use crate::backend::Stretch;

/// The coefficients of the quintic iteration, which has its steepest slope at 0 (Jordan et al. 2024).
const QUINTIC: [f64; 3] = [3.4445, -4.7750, 2.0315];
/// How often it is applied.
const ITERATIONS: usize = 5;

/// The matrices among some stretches, with their parts of the parameters, gradient and momentum.
struct Part<'a, T> {
    stretch: &'a Stretch,
    sizes: [usize; 2],
    parameters: &'a mut [T],
    gradient: &'a [T],
    m: &'a mut [T],
}

/// Moves every matrix that has its sizes in `stretches`; the gradient is multiplied with `clip` first.
pub(super) fn step<T: Element>(
    stretches: &[Stretch],
    [lr, momentum, clip]: [f64; 3],
    mut parameters: &mut [T],
    gradient: &[T],
    mut m: &mut [T],
) {
    let (mut parts, mut at) = (Vec::new(), 0);
    for stretch in stretches {
        let (skipped, len) = (stretch.range.start - at, stretch.range.len());
        let (own, rest) = parameters[skipped..].split_at_mut(len);
        let (own_m, rest_m) = m[skipped..].split_at_mut(len);
        (parameters, m, at) = (rest, rest_m, stretch.range.end);
        if let Some(sizes) = stretch.factors.matrix {
            let gradient = &gradient[stretch.range.clone()];
            parts.push(Part { stretch, sizes, parameters: own, gradient, m: own_m });
        }
    }
    // Each matrix is one thread's, so that the bits do not depend on their number.
    parts.into_par_iter().for_each(|part| {
        let [rows, cols] = part.sizes;
        for (m, g) in part.m.iter_mut().zip(part.gradient) {
            *m = T::num(momentum * m.value() + (1.0 - momentum) * clip * g.value());
        }
        let ahead = Mat::from_fn(rows, cols, |i, j| {
            let at = i * cols + j;
            momentum * part.m[at].value() + (1.0 - momentum) * clip * part.gradient[at].value()
        });
        let direction = orthogonal(ahead);
        let lr = lr * part.stretch.factors.lr;
        let (keep, rate) = (1.0 - lr * part.stretch.factors.decay, lr * scale(rows, cols));
        for (at, p) in part.parameters.iter_mut().enumerate() {
            *p = T::num(keep * p.value() - rate * direction[(at / cols, at % cols)]);
        }
    });
}

/// What makes the root mean square of an orthogonal matrix 0.2, as AdamW's steps have it, so that both
/// take one learning rate (Liu et al. 2025, arXiv 2502.16982, equation 4).
fn scale(rows: usize, cols: usize) -> f64 {
    0.2 * (rows.max(cols) as f64).sqrt()
}

/// The matrix with all its singular values brought near 1, by Newton and Schulz's iteration
/// X ← aX + (bXXᵀ + c(XXᵀ)²)X from X/(‖X‖ + 10⁻⁷).
fn orthogonal(x: Mat<f64>) -> Mat<f64> {
    if x.nrows() > x.ncols() {
        return orthogonal(x.transpose().to_owned()).transpose().to_owned();
    }
    let [a, b, c] = QUINTIC;
    let norm = x.norm_l2() + 1e-7;
    let mut x = x / faer::Scale(norm);
    for _ in 0..ITERATIONS {
        let square = product(x.as_ref(), x.transpose());
        let mut inner = product(square.as_ref(), square.as_ref());
        inner = inner * faer::Scale(c) + square * faer::Scale(b);
        let turned = product(inner.as_ref(), x.as_ref());
        x = x * faer::Scale(a) + turned;
    }
    x
}

/// AB, on one thread.
fn product(a: MatRef<f64>, b: MatRef<f64>) -> Mat<f64> {
    let mut ab = Mat::zeros(a.nrows(), b.ncols());
    matmul(ab.as_mut(), Accum::Replace, a, b, 1.0, Par::Seq);
    ab
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn singular_values_come_near_one_and_directions_stay() {
        for (rows, cols) in [(6, 10), (4, 9), (9, 4), (1, 5)] {
            let mut rng = Rng::new(7);
            let x = Mat::from_fn(rows, cols, |_, _| rng.normal());
            let y = orthogonal(x.clone());
            for value in y.singular_values().unwrap() {
                // The iteration takes what is above a hundredth of the norm to within 0.68 and 1.14.
                assert!((0.68..1.14).contains(&value), "{rows}×{cols}: {value}");
            }
            // An odd polynomial of X: Xᵀ Y is symmetric and positive, as XᵀX is.
            let overlap = x.transpose() * &y;
            let skew = (&overlap - overlap.transpose()).norm_l2();
            assert!(skew < 1e-12 * overlap.norm_l2(), "{skew}");
        }
    }

    #[test]
    fn a_step_has_the_size_of_adams() {
        let (rows, cols) = (24, 48);
        let mut rng = Rng::new(3);
        let y = orthogonal(Mat::from_fn(rows, cols, |_, _| rng.normal()));
        let rms = scale(rows, cols) * y.norm_l2() / ((rows * cols) as f64).sqrt();
        // All singular values 1 would make it 0.2.
        assert!((0.14..0.24).contains(&rms), "{rms}");
    }
}
