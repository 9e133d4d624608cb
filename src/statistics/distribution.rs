//! Tails of Student's, Fisher's, the binomial, the hypergeometric and the normal distribution.
//!
//! The first three are one function, the regularised incomplete beta function I_x(a, b) (Abramowitz &
//! Stegun 1964, 26.5 and 26.7), by its continued fraction (NIST DLMF 8.17.22).

use libm::lgamma;

/// I_x(a, b), for a, b > 0.
fn beta(x: f64, a: f64, b: f64) -> f64 {
    if x.is_nan() {
        return f64::NAN;
    }
    if x <= 0.0 || x >= 1.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    // The fraction converges fast on one side of the mean; the other is what that one leaves.
    let beyond = x > (a + 1.0) / (a + b + 2.0);
    let (x, a, b) = if beyond { (1.0 - x, b, a) } else { (x, a, b) };
    let front = lgamma(a + b) - lgamma(a) - lgamma(b) + a * x.ln() + b * (-x).ln_1p();
    let value = front.exp() / a / fraction(x, a, b);
    if beyond { 1.0 - value } else { value }
}

/// The continued fraction 1 + d₁/(1 + d₂/(1 + …)), from its front (Lentz 1976).
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    // What a denominator of zero is replaced by: too small to show.
    const TINY: f64 = 1e-300;
    let (mut value, mut c, mut d) = (1.0, 1.0, 0.0);
    // About √max(a, b) terms are needed: this is enough for 10⁸.
    for k in 1..20_000 {
        let m = f64::from(k / 2);
        let term = if k % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        let nonzero = |x: f64| if x.abs() < TINY { TINY } else { x };
        d = 1.0 / nonzero(1.0 + term * d);
        c = nonzero(1.0 + term / c);
        value *= c * d;
        if (c * d - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    value
}

/// P(T > t) of Student's t with `df` degrees of freedom.
pub fn student_above(t: f64, df: f64) -> f64 {
    let half = 0.5 * beta(df / (df + t * t), 0.5 * df, 0.5);
    if t >= 0.0 { half } else { 1.0 - half }
}

/// The t that is exceeded with probability `p` below one half.
pub fn student_quantile(p: f64, df: f64) -> f64 {
    crossing(p, |t| student_above(t, df))
}

/// P(F > f) of Fisher's F with `above` and `below` degrees of freedom.
pub fn fisher_above(f: f64, above: f64, below: f64) -> f64 {
    beta(below / (below + above * f), 0.5 * below, 0.5 * above)
}

/// P(at least `k` of `n` events of probability `q`).
pub fn binomial_from(k: usize, n: usize, q: f64) -> f64 {
    match k {
        0 => 1.0,
        k if k > n => 0.0,
        k => beta(q, k as f64, (n - k) as f64 + 1.0),
    }
}

/// P(`k` of `n` events of probability `q`).
pub fn binomial(k: usize, n: usize, q: f64) -> f64 {
    // 0·ln 0 is 0 here.
    let part = |count: usize, ln: f64| if count == 0 { 0.0 } else { count as f64 * ln };
    (ln_ways(n, k) + part(k, q.ln()) + part(n - k, (-q).ln_1p())).exp()
}

/// ln of the ways to choose `k` of `n`.
fn ln_ways(n: usize, k: usize) -> f64 {
    lgamma(n as f64 + 1.0) - lgamma(k as f64 + 1.0) - lgamma((n - k) as f64 + 1.0)
}

/// P(at least `k` of `draws` are marked, without putting back, of `all` of which `marked` are).
pub fn hypergeometric_from(k: usize, draws: usize, marked: usize, all: usize) -> f64 {
    let least = k.max((draws + marked).saturating_sub(all));
    let term =
        |i: usize| ln_ways(marked, i) + ln_ways(all - marked, draws - i) - ln_ways(all, draws);
    (least..=draws.min(marked)).map(|i| term(i).exp()).sum::<f64>().min(1.0)
}

/// The z that a standard normal value exceeds with probability `p` below one half.
pub fn normal_quantile(p: f64) -> f64 {
    crossing(p, |z| 0.5 * libm::erfc(z / std::f64::consts::SQRT_2))
}

/// Where a falling tail crosses `p`, from 0 up.
fn crossing(p: f64, tail: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while tail(high) > p && high < f64::MAX / 2.0 {
        (low, high) = (high, 2.0 * high);
    }
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return middle;
        }
        *(if tail(middle) > p { &mut low } else { &mut high }) = middle;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(got: f64, want: f64, relative: f64) {
        assert!((got - want).abs() <= relative * want.abs(), "{got}, not {want}");
    }

    // Some 10 operations on logarithms up to 20 in size lose that many units in the last place.
    const CLOSE: f64 = 200.0 * f64::EPSILON;

    #[test]
    fn tails_are_their_closed_forms() {
        for t in [-3.0, -0.1, 0.0, 0.5, 2.0, 40.0] {
            let one = 0.5 - f64::atan(t) / std::f64::consts::PI;
            // From 1/2 − small the closed form itself has lost what the difference did.
            assert_near(student_above(t, 1.0), one, CLOSE.max(CLOSE / one));
            let two = 0.5 * (1.0 - t / f64::sqrt(2.0 + t * t));
            assert_near(student_above(t, 2.0), two, CLOSE.max(CLOSE / two));
        }
        for (f, below) in [(0.1, 3.0), (1.0, 8.0), (7.5, 12.0)] {
            let want = f64::powf(1.0 + 2.0 * f / below, -0.5 * below);
            assert_near(fisher_above(f, 2.0, below), want, CLOSE);
        }
        // Two sides of t are one of F.
        assert_near(fisher_above(6.25, 1.0, 7.0), 2.0 * student_above(2.5, 7.0), CLOSE);
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (df, p, want) in [
            (1.0, 0.025, 12.706),
            (2.0, 0.025, 4.303),
            (4.0, 0.05, 2.132),
            (4.0, 0.025, 2.776),
            (9.0, 0.005, 3.250),
            (30.0, 0.025, 2.042),
        ] {
            assert!((student_quantile(p, df) - want).abs() <= 0.0005, "{df} {p}");
        }
        assert!((normal_quantile(0.025) - 1.959_963_984_540_054).abs() < 1e-14);
        assert!((fisher_above(5.29, 3.0, 16.0) - 0.01).abs() < 2e-5);
    }

    #[test]
    fn counts_are_sums_of_fractions() {
        // 1 − 0.7¹⁰ and ten of ten.
        assert_near(binomial_from(1, 10, 0.3), 1.0 - 0.7f64.powi(10), CLOSE);
        assert_near(binomial_from(10, 10, 0.3), 0.3f64.powi(10), CLOSE);
        assert_near(binomial_from(3, 5, 0.5), 0.5, CLOSE);
        assert_near(binomial(2, 4, 0.25), 27.0 / 128.0, CLOSE);
        assert_eq!(
            (binomial(0, 3, 0.0), binomial(3, 3, 1.0), binomial(1, 3, 0.0)),
            (1.0, 1.0, 0.0)
        );
        assert_eq!((binomial_from(0, 4, 0.1), binomial_from(5, 4, 0.1)), (1.0, 0.0));
        // All five of five marked among ten: 1 in C(10, 5); at least one of three drawn of five.
        assert_near(hypergeometric_from(5, 5, 5, 10), 1.0 / 252.0, CLOSE);
        assert_near(hypergeometric_from(1, 3, 2, 5), 0.9, CLOSE);
        assert_near(hypergeometric_from(0, 3, 4, 5), 1.0, CLOSE);
    }
}
