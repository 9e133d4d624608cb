//! How often intervals of a mean hold it, by ways to make them: why the one of the library is that.

use plummet::rng::Rng;
use plummet::statistics::mean::Mean;
use plummet::statistics::{bootstrap, distribution, signed_rank};

use super::{SETS, assert_on_the_page, at_least, at_most};

/// Outside on either side.
const BEYOND: f64 = 0.025;
const DRAWS: usize = 399;

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// P(Z ≤ z) of a standard normal value.
fn normal_below(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

/// The z below which a standard normal value is with probability `p`.
fn normal_at(p: f64) -> f64 {
    let p = p.clamp(1e-12, 1.0 - 1e-12);
    let above = distribution::normal_quantile(p.min(1.0 - p));
    if p < 0.5 { -above } else { above }
}

/// Means of numbers drawn again, in rising order.
fn drawn(numbers: &[f64], mut rng: Rng) -> Vec<f64> {
    let n = numbers.len();
    let one = |_| (0..n).map(|_| numbers[rng.below(n)]).sum::<f64>() / n as f64;
    let mut means: Vec<f64> = (0..DRAWS).map(one).collect();
    means.sort_by(f64::total_cmp);
    means
}

/// The shares of drawn means at two places (Efron & Tibshirani 1993, 13.3).
fn percentile(numbers: &[f64], rng: Rng, places: [f64; 2]) -> [f64; 2] {
    let means = drawn(numbers, rng);
    let at = |share: f64| (share * (DRAWS + 1) as f64).round() as usize;
    places.map(|share| means[at(share).clamp(1, DRAWS) - 1])
}

/// Bias-corrected and accelerated (Efron & Tibshirani 1993, 14.3).
fn bca(numbers: &[f64], rng: Rng) -> [f64; 2] {
    let own = mean(numbers);
    let below = drawn(numbers, rng).iter().filter(|m| **m < own).count();
    let bias = normal_at(below as f64 / DRAWS as f64);
    // Leaving one out moves the mean by (mean − x)/(n − 1): the ratio has no n − 1.
    let (mut cubes, mut squares) = (0.0, 0.0);
    for x in numbers {
        cubes += (x - own).powi(3);
        squares += (x - own).powi(2);
    }
    let speed = if squares > 0.0 { cubes / (6.0 * squares.powf(1.5)) } else { 0.0 };
    let moved = |z: f64| normal_below(bias + (bias + z) / (1.0 - speed * (bias + z)));
    percentile(numbers, rng, [BEYOND, 1.0 - BEYOND].map(|p| moved(normal_at(p))))
}

type Way = fn(&[f64], Rng) -> [f64; 2];

/// The ways to make an interval, that of the library first.
const WAYS: [(&str, Way); 5] = [
    ("studentised", |x, rng| bootstrap::interval(x, BEYOND, DRAWS, rng).unwrap()),
    ("BCa", bca),
    ("percentile", |x, rng| percentile(x, rng, [BEYOND, 1.0 - BEYOND])),
    ("Student", |x, _| Mean::of(x).interval(BEYOND)),
    ("signed rank", |x, _| signed_rank::interval(x, BEYOND)),
];

/// How often each way holds the mean, and the median of its widths.
fn coverage(n: usize, draw: fn(&mut Rng) -> f64, truth: f64, way: Way) -> (usize, f64) {
    let (mut held, mut widths) = (0, Vec::new());
    for set in 0..SETS as u64 {
        let rng = Rng::new(99).named("intervals").at(n as u64).at(set);
        let mut values = rng.named("values");
        let numbers: Vec<f64> = (0..n).map(|_| draw(&mut values)).collect();
        let [low, high] = way(&numbers, rng.named("draws"));
        held += usize::from(low <= truth && truth <= high);
        widths.push(high - low);
    }
    widths.sort_by(f64::total_cmp);
    (held, widths[SETS / 2])
}

type Law = (&'static str, fn(&mut Rng) -> f64, f64);

/// Normal numbers, and skewed ones: e^Z, whose mean is √e.
const LAWS: [Law; 2] = [
    ("normal", |rng| rng.normal(), 0.0),
    ("log-normal", |rng| rng.normal().exp(), 1.648_721_270_700_128_2),
];

#[test]
fn the_interval_of_the_library_holds_the_mean_most_often() {
    let mut table = vec![
        format!("| numbers | n | {} |", WAYS.map(|(name, _)| name).join(" | ")),
        format!("|---|---|{}", "---|".repeat(WAYS.len())),
    ];
    for (law, draw, truth) in LAWS {
        for n in [3, 5, 10] {
            let found = WAYS.map(|(_, way)| coverage(n, draw, truth, way));
            let cells =
                found.map(|(held, width)| format!("{:.3} ({width:.2})", held as f64 / SETS as f64));
            table.push(format!("| {law} | {n} | {} |", cells.join(" | ")));
            let [studentised, bca, percentile, student, ranks] = found.map(|(held, _)| held);
            assert!(studentised > bca && studentised > percentile, "{law} {n}: {found:?}");
            if law == "normal" {
                assert!(at_least(studentised, 0.95), "{n}: {found:?}");
                assert!(at_least(student, 0.95) && at_most(student, 0.95), "{n}: {found:?}");
                assert!(at_least(ranks, 0.95), "{n}: {found:?}");
            }
        }
    }
    assert_on_the_page(&table);
}
