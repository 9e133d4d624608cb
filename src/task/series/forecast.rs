//! Ways to predict the next value that a stack is measured against, each fitted to the training part.
//!
//! - constant: mean and variance of the training part.
//! - ar1: a + b·y₍ₜ₋₁₎ by least squares, the variance that of its residuals.
//! - garch: variance vₜ = ω + α·y²₍ₜ₋₁₎ + β·v₍ₜ₋₁₎ (Bollerslev 1986), by maximum likelihood; it sees
//!   every value before, those that are held out too.
//!
//! Values are standardised, so that mean and variance of the training part are 0 and 1. Under a Student
//! law the degrees of freedom are fitted as well (Bollerslev 1987).

use super::simplex::lowest;
use crate::stack::Law;

/// What residuals of mean 0 and of a variance cost, in nats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Density {
    /// Degrees of freedom, none of a normal distribution.
    nu: Option<f64>,
    /// What every residual costs.
    constant: f64,
}

impl Density {
    pub fn normal() -> Density {
        Density { nu: None, constant: 0.5 * std::f64::consts::TAU.ln() }
    }

    fn student(nu: f64) -> Density {
        let gamma = libm::lgamma(0.5 * nu) - libm::lgamma(0.5 * nu + 0.5);
        let constant = gamma + 0.5 * (std::f64::consts::PI * (nu - 2.0)).ln();
        Density { nu: Some(nu), constant }
    }

    /// The one of a law, its degrees of freedom 2 + e^u of a free number u.
    fn of(law: Law, u: f64) -> Density {
        match law {
            Law::Gaussian => Density::normal(),
            // Beyond this it is the normal one to all digits.
            Law::Student => Density::student(2.0 + u.min(12.0).exp()),
        }
    }

    /// −ln p of a residual.
    pub fn cost(&self, residual: f64, variance: f64) -> f64 {
        let square = residual * residual / variance;
        let tail = match self.nu {
            None => 0.5 * square,
            Some(nu) => 0.5 * (nu + 1.0) * (square / (nu - 2.0)).ln_1p(),
        };
        self.constant + 0.5 * variance.ln() + tail
    }

    /// The one of a law under which residuals of a variance cost the least.
    fn fitted(law: Law, residuals: &[f64], variance: f64) -> Density {
        if law == Law::Gaussian {
            return Density::normal();
        }
        let cost = |u: &[f64]| {
            let density = Density::of(law, u[0]);
            mean(residuals.iter().map(|&residual| density.cost(residual, variance)))
        };
        Density::of(law, lowest(cost, &[START_NU], 1.0)[0])
    }
}

/// u of 2 + e^u degrees of freedom from which a fit sets out.
const START_NU: f64 = 1.8;

/// The same variance always.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Constant(Density);

impl Constant {
    pub fn fit(law: Law, training: &[f64]) -> Constant {
        Constant(Density::fitted(law, training, 1.0))
    }

    /// The mean cost of values.
    pub fn cost(&self, values: impl Iterator<Item = f64>) -> f64 {
        mean(values.map(|y| self.0.cost(y, 1.0)))
    }
}

/// A line through each value and the one before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ar1 {
    a: f64,
    b: f64,
    variance: f64,
    density: Density,
}

impl Ar1 {
    pub fn fit(law: Law, training: &[f64]) -> Ar1 {
        let (before, after) = (&training[..training.len() - 1], &training[1..]);
        let [x, y] = [before, after].map(|values| mean(values.iter().copied()));
        let pairs = || before.iter().zip(after);
        let spread: f64 = before.iter().map(|v| (v - x).powi(2)).sum();
        let b =
            pairs().map(|(v, w)| (v - x) * (w - y)).sum::<f64>() / spread.max(f64::MIN_POSITIVE);
        let a = y - b * x;
        let residuals: Vec<f64> = pairs().map(|(v, w)| w - a - b * v).collect();
        // A line that meets every value leaves no variance to divide by.
        let variance = mean(residuals.iter().map(|r| r * r)).max(f64::EPSILON);
        Ar1 { a, b, variance, density: Density::fitted(law, &residuals, variance) }
    }

    /// The mean cost of the values behind the first `seen`.
    pub fn cost(&self, values: &[f64], seen: usize) -> f64 {
        let pairs = values[seen - 1..].windows(2);
        mean(
            pairs.map(|pair| self.density.cost(pair[1] - self.a - self.b * pair[0], self.variance)),
        )
    }
}

/// A variance that follows the squares of what was seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Garch {
    pub omega: f64,
    pub alpha: f64,
    pub beta: f64,
    pub density: Density,
}

impl Garch {
    pub fn fit(law: Law, training: &[f64]) -> Garch {
        let sigmoid = |u: f64| 1.0 / (1.0 + (-u).exp());
        // ω > 0, α + β < 1 and the degrees of freedom, of numbers that are free.
        let of = |u: &[f64]| {
            let (persistence, share) = (sigmoid(u[1]), sigmoid(u[2]));
            let (alpha, beta) = (persistence * share, persistence * (1.0 - share));
            let density = Density::of(law, u.get(3).copied().unwrap_or(START_NU));
            Garch { omega: u[0].exp(), alpha, beta, density }
        };
        // ω = 0.1, α = 0.1, β = 0.8.
        let mut start = vec![-2.3, 2.2, -2.1];
        start.extend((law == Law::Student).then_some(START_NU));
        of(&lowest(|u| of(u).cost(training, 0), &start, 0.5))
    }

    /// The variance of the next value.
    pub fn next(&self, variance: f64, y: f64) -> f64 {
        self.omega + self.alpha * y * y + self.beta * variance
    }

    /// The mean cost of the values behind the first `seen`, which the variance has followed.
    pub fn cost(&self, values: &[f64], seen: usize) -> f64 {
        let mut variance = 1.0;
        let costs = values.iter().map(|&y| {
            let cost = self.density.cost(y, variance);
            variance = self.next(variance, y);
            cost
        });
        mean(costs.skip(seen))
    }
}

/// The mean of some numbers.
pub(super) fn mean(numbers: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = numbers.fold((0.0, 0usize), |(sum, n), v| (sum + v, n + 1));
    sum / count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// ∫ p = 1 and ∫ y²p is the variance, by the midpoint rule after y = sinh u.
    #[test]
    fn densities_have_their_mass_and_their_variance() {
        for density in [Density::normal(), Density::student(5.0), Density::student(30.0)] {
            for variance in [0.5, 3.0] {
                let (mut mass, mut square) = (0.0, 0.0);
                let step = 1.0 / 64.0;
                for i in -1600..1600 {
                    let u = (f64::from(i) + 0.5) * step;
                    let p = (-density.cost(u.sinh(), variance)).exp() * u.cosh() * step;
                    mass += p;
                    square += u.sinh().powi(2) * p;
                }
                // What lies beyond e²⁵ is e^(−75) of the variance at 5 degrees of freedom.
                assert!((mass - 1.0).abs() < 1e-10, "{density:?}: {mass}");
                assert!((square - variance).abs() < 1e-9, "{density:?}: {square}");
            }
        }
    }

    #[test]
    fn a_line_is_found() {
        let mut rng = Rng::new(1);
        let mut values = vec![0.0];
        for _ in 0..20_000 {
            values.push(0.2 + 0.6 * values[values.len() - 1] + 0.5 * rng.normal());
        }
        let found = Ar1::fit(Law::Gaussian, &values);
        // Five standard errors: √((1 − b²)/n) of b, √(2/n)·v of the variance.
        assert!((found.b - 0.6).abs() < 5.0 * (0.64f64 / 2e4).sqrt(), "{found:?}");
        assert!((found.variance - 0.25).abs() < 5.0 * 0.25 * 1e-2, "{found:?}");
    }

    #[test]
    fn degrees_of_freedom_are_found() {
        let mut rng = Rng::new(2);
        // A normal value over the root of a mean of 6 squares, of variance 6/4.
        let values: Vec<f64> = (0..20_000)
            .map(|_| {
                let square: f64 = (0..6).map(|_| rng.normal().powi(2)).sum();
                rng.normal() / (square / 6.0).sqrt() / 1.5f64.sqrt()
            })
            .collect();
        let nu = Constant::fit(Law::Student, &values).0.nu.expect("a Student density");
        assert!((5.3..6.9).contains(&nu), "{nu}");
    }
}
