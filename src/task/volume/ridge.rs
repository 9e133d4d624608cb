//! Ridge regression (Hoerl & Kennard 1970), its penalty chosen by generalised cross-validation.
//!
//! With centred X of n rows and y: w = (XᵀX/n + μ)⁻¹·Xᵀy/n. Of XᵀX/n = V·Λ·Vᵀ and c = Vᵀ·Xᵀy/n, the mean
//! squared residual is yᵀy/n − Σ cᵢ²/(λᵢ+μ)·(2 − λᵢ/(λᵢ+μ)), and the trace of the map from y to its
//! fit, with one for the mean, t = 1 + Σ λᵢ/(λᵢ+μ). The penalty has the smallest
//! residual/(1 − γ·t/n)² (Golub, Heath & Wahba 1979) of the training samples, with γ = 1.4 (Kim & Gu
//! 2004), since at γ = 1 few samples are now and then fitted whole.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par, Side};

/// Penalties that are tried, in halves of a power of ten of the mean of Λ, largest first.
const PENALTIES: std::ops::RangeInclusive<i32> = -16..=6;
/// What a free parameter costs, γ.
const FREEDOM: f64 = 1.4;
/// Rows that are multiplied at once.
const ROWS: usize = 512;

/// What predicts mean + Σ weight·(x − centre).
#[derive(Debug)]
pub(super) struct Ridge {
    mean: f64,
    centre: Vec<f64>,
    weight: Vec<f64>,
}

impl Ridge {
    /// Of samples by number, at least one: the features of each, and its target. Nothing where their
    /// spectrum cannot be found.
    pub fn of(samples: usize, read: impl Fn(usize) -> (Vec<f64>, f64)) -> Option<Ridge> {
        let n = samples as f64;
        let features = read(0).0.len();
        // The target goes along as one more feature.
        let cols = features + 1;
        let (mut products, mut sums) = (Mat::<f64>::zeros(cols, cols), vec![0.0; cols]);
        for first in (0..samples).step_by(ROWS) {
            let rows = ROWS.min(samples - first);
            let mut block = Mat::<f64>::zeros(rows, cols);
            for i in 0..rows {
                let (row, target) = read(first + i);
                for (j, value) in row.into_iter().chain([target]).enumerate() {
                    block[(i, j)] = value;
                    sums[j] += value / n;
                }
            }
            let factor = block.as_ref();
            matmul(products.as_mut(), Accum::Add, factor.transpose(), factor, 1.0 / n, Par::Seq);
        }
        let centred = |i: usize, j: usize| products[(i, j)] - sums[i] * sums[j];
        let gram = Mat::from_fn(features, features, centred);
        let spectrum = gram.self_adjoint_eigen(Side::Lower).ok()?;
        let (vectors, values) = (spectrum.U(), spectrum.S().column_vector());
        let lambda: Vec<f64> = (0..features).map(|i| values[i].max(0.0)).collect();
        let along = |i: usize| (0..features).map(|j| vectors[(j, i)] * centred(j, features)).sum();
        let c: Vec<f64> = (0..features).map(along).collect();

        let scale = lambda.iter().sum::<f64>() / features as f64;
        let penalties = PENALTIES.rev().map(|half| scale * 10f64.powf(f64::from(half) / 2.0));
        let cost = |penalty: f64| {
            let share = |i: usize| lambda[i] / (lambda[i] + penalty);
            let explained = |i: usize| c[i] * c[i] / (lambda[i] + penalty) * (2.0 - share(i));
            let residual = centred(features, features) - (0..features).map(explained).sum::<f64>();
            let trace = 1.0 + (0..features).map(share).sum::<f64>();
            let free = 1.0 - FREEDOM * trace / n;
            if free > 0.0 { residual / (free * free) } else { f64::INFINITY }
        };
        let penalty = penalties.min_by(|&a, &b| cost(a).total_cmp(&cost(b)))?;
        let part = |i: usize, j: usize| match lambda[i] + penalty {
            0.0 => 0.0,
            divisor => vectors[(j, i)] * c[i] / divisor,
        };
        let weight = |j: usize| (0..features).map(|i| part(i, j)).sum();
        Some(Ridge {
            mean: sums[features],
            weight: (0..features).map(weight).collect(),
            centre: sums[..features].to_vec(),
        })
    }

    /// The prediction from some features.
    pub fn predict(&self, features: &[f64]) -> f64 {
        let terms = features.iter().zip(&self.centre).zip(&self.weight);
        self.mean + terms.map(|((x, centre), weight)| weight * (x - centre)).sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// Sample `i` of a linear law of 12 features, with noise of a deviation.
    fn sample(i: usize, noise: f64) -> (Vec<f64>, f64) {
        let mut rng = Rng::new(7).at(i as u64);
        let row: Vec<f64> = (0..12).map(|_| 3.0 + rng.normal()).collect();
        let weights = (0..12).map(|j| (j as f64).sin());
        let signal: f64 = weights.zip(&row).map(|(w, x)| w * x).sum();
        (row, signal - 2.0 + noise * rng.normal())
    }

    fn error(ridge: &Ridge, noise: f64) -> f64 {
        let errors = (5000..9000).map(|i| {
            let (row, target) = sample(i, noise);
            (ridge.predict(&row) - target).powi(2)
        });
        errors.sum::<f64>() / 4000.0
    }

    #[test]
    fn a_linear_law_without_noise_is_found() {
        let ridge = Ridge::of(200, |i| sample(i, 0.0)).unwrap();
        // The smallest penalty is 10⁻⁸ of the features' variance, which shrinks the weights by as much.
        assert!(error(&ridge, 0.0) < 1e-12, "{}", error(&ridge, 0.0));
    }

    #[test]
    fn with_few_noisy_samples_the_penalty_helps() {
        let of = |n: usize| error(&Ridge::of(n, |i| sample(i, 3.0)).unwrap(), 3.0);
        let (few, many) = (of(20), of(4000));
        // 12 weights of 4000 samples cost 12/4000 of the noise beside the noise itself.
        assert!((many / 9.0 - 1.0).abs() < 0.08, "{many}");
        // Least squares of 20 samples would cost 9·(1 + 13/(20 − 13 − 1)), and the mean 9 + Σ w² = 15.
        assert!(few > many && few < 17.0, "{few}");
    }

    #[test]
    fn one_sample_predicts_itself() {
        let ridge = Ridge::of(1, |_| sample(3, 0.0)).unwrap();
        let (row, target) = sample(3, 0.0);
        assert!((ridge.predict(&row) - target).abs() < 1e-9);
    }
}
