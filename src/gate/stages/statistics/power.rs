//! How small a fault may be that these tests find with a probability of 99 %, by their own numbers.
//!
//! A test has a critical value: the first that a right target shows with a probability below its
//! level. A fault is found as often as it takes the measured value beyond that. What is stated is
//! the smallest fault that does so with a probability of 99.7 %, a margin that lets 200 plantings of
//! the self-test show 99 %.

use std::f64::consts::LN_2;

use super::bounds::{ln_share, ln_tail};
use super::{LEVEL, WEAK};

/// How often a fault of the stated size is found, at least.
pub const FOUND: f64 = 0.99;
/// The probability that figures are computed for.
const SURE: f64 = 0.997;
/// The standard normal number that is exceeded with a probability of 1 − [`SURE`].
const DEVIATIONS: f64 = 2.747_781_385_444_993;

/// The smallest rate of events that n draws show with a probability of 99 %.
pub fn rarest(n: u64) -> f64 {
    -(1.0 - SURE).ln() / n as f64
}

/// The smallest mean, in standard deviations, of n numbers that are sub-Gaussian as normal ones.
pub fn smallest_mean(n: f64) -> f64 {
    ((2.0 * (LN_2 - LEVEL.ln())).sqrt() + DEVIATIONS) / n.sqrt()
}

/// The smallest relative error of the standard deviation of n normal numbers, on either side.
pub fn smallest_scale(n: f64) -> f64 {
    let beyond = |r: f64| LN_2 - n * (r - 1.0 - r.ln()) / 2.0 < LEVEL.ln();
    let critical = |mut near: f64, mut far: f64| {
        for _ in 0..80 {
            let middle = 0.5 * (near + far);
            if beyond(middle) { far = middle } else { near = middle }
        }
        far
    };
    // A mean square varies by √(2/n) of itself.
    let wide = DEVIATIONS * (2.0 / n).sqrt();
    let (above, below) = (critical(1.0, 1e3), critical(1.0, 1e-9));
    let up = (above / (1.0 - wide).max(1e-9)).sqrt() - 1.0;
    let down = 1.0 - (below / (1.0 + wide)).sqrt();
    up.max(down)
}

/// The smallest relative error of the largest of n uniform magnitudes, too small.
pub fn smallest_edge(n: f64, slack: f64) -> f64 {
    -LEVEL.ln() / n + slack
}

/// The smallest error of a probability that is found, on either side where that can be: n events,
/// and 3n more where the first are suspicious.
pub fn smallest_rate(n: usize, range: [f64; 2]) -> f64 {
    let search = |up: bool| {
        let (sure, right) = if up { (1.0, range[1]) } else { (0.0, range[0]) };
        let looks = [(n, WEAK), (3 * n, LEVEL)];
        let first = looks.map(|(n, level)| Some((n, critical(n, range, level, up)?)));
        let [Some(weak), Some(sharp)] = first else { return f64::NAN };
        let found = |rate| beyond(weak, up, rate) * beyond(sharp, up, rate);
        // From certain to be found down to not found.
        let (mut near, mut far) = (right, sure);
        for _ in 0..50 {
            let middle = 0.5 * (near + far);
            if found(middle) >= SURE { far = middle } else { near = middle }
        }
        (far - 0.5 * (range[0] + range[1])).abs()
    };
    // `max` leaves out what is NaN.
    search(false).max(search(true))
}

/// The first count of n events, outwards, that is found not to have a probability within the range.
fn critical(n: usize, [low, high]: [f64; 2], level: f64, up: bool) -> Option<f64> {
    let total = n as f64;
    let found = |k: f64| ln_share(k / total, n, [low, high]) < level.ln();
    let (mut near, mut far) =
        if up { ((high * total).floor(), total) } else { ((low * total).ceil(), 0.0) };
    if !found(far) {
        return None;
    }
    while (far - near).abs() > 1.0 {
        let middle = (0.5 * (near + far)).floor();
        if found(middle) { far = middle } else { near = middle }
    }
    Some(far)
}

/// How often n events of some probability reach a count, upwards or downwards.
fn beyond((n, count): (usize, f64), up: bool, rate: f64) -> f64 {
    let total = n as f64;
    // P(at least k); `ln_tail` is of the side that its share lies on.
    let at_least = |k: f64| match rate {
        0.0 => f64::from(u8::from(k <= 0.0)),
        1.0 => 1.0,
        _ if k / total >= rate => ln_tail(k / total, n, rate).exp(),
        _ => 1.0 - ln_tail((k - 1.0) / total, n, rate).exp(),
    };
    if up { at_least(count) } else { 1.0 - at_least(count + 1.0) }
}

/// The probability that at most this share of n trials succeeds.
pub fn at_most(share: f64, n: usize, rate: f64) -> f64 {
    if share >= rate { 1.0 } else { ln_tail(share, n, rate).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_follow_from_the_normal_limit() {
        let n = 1 << 20;
        // A first look of 3.3 and 2.3 standard deviations, and a second that finds all of that.
        let rate = smallest_rate(n, [0.5, 0.5]);
        let expected = (3.29 + DEVIATIONS) * 0.5 / (n as f64).sqrt();
        assert!((rate / expected - 1.0).abs() < 0.02, "{rate:e}, {expected:e}");
        let scale = smallest_scale(n as f64);
        let expected = (7.2 + DEVIATIONS) / (2.0 * n as f64).sqrt();
        assert!((scale / expected - 1.0).abs() < 0.05, "{scale:e}, {expected:e}");
        assert!((rarest(581) - 0.01).abs() < 1e-4);
    }

    #[test]
    fn what_cannot_be_found_is_not_stated() {
        assert!(smallest_rate(2, [0.5, 0.5]).is_nan());
        assert!(smallest_rate(1 << 22, [5e-6, 5e-6]).is_finite());
    }
}
