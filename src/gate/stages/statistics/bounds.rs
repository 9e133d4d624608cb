//! Proven bounds on the probability of what a right target shows, as natural logarithms.

use std::f64::consts::LN_2;

/// ln P(share of n events of probability q is x, or further off on the same side).
pub fn ln_tail(x: f64, n: usize, q: f64) -> f64 {
    // Below the mean, count the events that did not happen.
    let (x, q) = if x < q { (1.0 - x, 1.0 - q) } else { (x, q) };
    let total = n as f64;
    let first = (x * total).round();
    let ways =
        libm::lgamma(total + 1.0) - libm::lgamma(first + 1.0) - libm::lgamma(total - first + 1.0);
    let all_but = if first == total { 0.0 } else { (total - first) * (1.0 - q).ln() };
    // P(k+1)/P(k) = (n−k)/(k+1)·q/(1−q), which falls below 1 beyond the mean.
    let (mut term, mut sum, mut k) = (1.0, 1.0, first);
    while k < total && term > 1e-17 * sum {
        term *= (total - k) / (k + 1.0) * q / (1.0 - q);
        sum += term;
        k += 1.0;
    }
    (ways + first * q.ln() + all_but + sum.ln()).min(0.0)
}

/// The same on either side, of a probability that is only known to lie in a range.
pub fn ln_share(x: f64, n: usize, [low, high]: [f64; 2]) -> f64 {
    match x {
        x if x < low => (LN_2 + ln_tail(x, n, low)).min(0.0),
        x if x > high => (LN_2 + ln_tail(x, n, high)).min(0.0),
        // NaN is no share of anything.
        x if x.is_nan() => f64::NEG_INFINITY,
        _ => 0.0,
    }
}

/// ln P(that many of events that each happen with a bounded probability, whatever happened before):
/// Chernoff's bound for a sum whose bounds add up to `mean`.
pub fn ln_many(count: f64, mean: f64) -> f64 {
    if count <= mean { 0.0 } else { count - mean - count * (count / mean).ln() }
}

/// KL(x‖q) of two coins.
pub fn divergence(x: f64, q: f64) -> f64 {
    let part = |a: f64, b: f64| if a == 0.0 { 0.0 } else { a * (a / b).ln() };
    if !(0.0..=1.0).contains(&x) { f64::INFINITY } else { part(x, q) + part(1.0 - x, 1.0 - q) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_those_of_exact_sums() {
        // Sums of fractions.
        let exact = [
            (0.5, 10, 0.3, 0.150_268_332_6),
            (0.1, 10, 0.3, 0.149_308_345_9),
            (0.15, 2000, 0.1, 1.5652064462134268e-12),
            (0.05, 2000, 0.1, 2.374647248072791e-16),
            (1.0, 64, 0.5, 2f64.powi(-64)),
            (0.0, 64, 0.5, 2f64.powi(-64)),
        ];
        for (x, n, q, want) in exact {
            let got = ln_tail(x, n, q).exp();
            assert!((got / want - 1.0).abs() < 1e-8, "{x} of {n} at {q}: {got:e}, not {want:e}");
        }
    }

    #[test]
    fn one_tail_is_what_the_other_leaves() {
        for hits in 0..=40 {
            let (at, next) = (f64::from(hits) / 41.0, f64::from(hits + 1) / 41.0);
            if at < 0.4 && next > 0.4 {
                let both = ln_tail(at, 41, 0.4).exp() + ln_tail(next, 41, 0.4).exp();
                assert!((both - 1.0).abs() < 1e-12, "{both}");
            }
        }
    }

    #[test]
    fn the_bound_of_many_events_is_above_their_tail() {
        for count in [2.0, 5.0, 12.0] {
            let exact = ln_tail(count / 1000.0, 1000, 0.001);
            let bound = ln_many(count, 1.0);
            assert!(bound >= exact && bound < exact + 3.0, "{count}: {bound} for {exact}");
        }
    }
}
