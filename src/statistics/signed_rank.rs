//! Differences of pairs, tested by flipping signs of ranks (Wilcoxon 1945): if the arms of a pair can
//! be exchanged, every choice of signs is as probable. Exact for any number of pairs, with ties, and with
//! differences that are infinite, which have the largest rank.
//!
//! The effect is the median of the means of two, each with itself too (Hodges & Lehmann 1963).

/// P(a sum of signed ranks as large), if the differences lie symmetrically about zero or below it.
///
/// A difference of zero has a rank and no sign (Pratt 1959).
pub fn p_above(differences: &[f64]) -> f64 {
    let mut sorted = differences.to_vec();
    sorted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let (mut ranks, mut seen) = (Vec::new(), 0);
    for group in sorted.chunk_by(|a, b| a.abs() == b.abs()) {
        // Twice the mean of the ranks of those that tie, a whole number.
        let twice = 2 * seen + group.len() + 1;
        seen += group.len();
        ranks.extend(group.iter().filter(|d| **d != 0.0).map(|&d| (twice, d > 0.0)));
    }
    let observed: usize = ranks.iter().filter(|(_, above)| *above).map(|(rank, _)| rank).sum();
    let sums = sums(ranks.iter().map(|&(rank, _)| rank));
    sums[observed..].iter().sum::<f64>().min(1.0)
}

/// P(sum of the numbers drawn is s), for every s, each number drawn or not by a fair coin.
fn sums(numbers: impl Iterator<Item = usize>) -> Vec<f64> {
    let mut chances = vec![1.0];
    for number in numbers {
        let old = chances.len();
        chances.resize(old + number, 0.0);
        for at in (0..chances.len()).rev() {
            let with = if at >= number { chances[at - number] } else { 0.0 };
            let without = if at < old { chances[at] } else { 0.0 };
            chances[at] = 0.5 * (with + without);
        }
    }
    chances
}

/// How many pairs a test at `level` needs: 2^−n is the least p of n.
pub(super) fn needed(level: f64) -> usize {
    (1..).find(|&n| 0.5f64.powi(n) <= level).unwrap_or(1) as usize
}

/// The median of the means of two; 0 of nothing but opposite infinities.
pub fn effect(differences: &[f64]) -> f64 {
    let mut means = means(differences);
    means.retain(|mean| !mean.is_nan());
    let n = means.len();
    if n == 0 {
        return 0.0;
    }
    let (low, high) = (means[(n - 1) / 2], means[n / 2]);
    if low == high { low } else { 0.5 * (low + high) }
}

/// Where the effect lies: outside on either side with probability `beyond` at most.
///
/// The ends are means of two (Hollander & Wolfe 1999, 3.3): infinite where so few pairs cannot tell.
pub fn interval(differences: &[f64], beyond: f64) -> [f64; 2] {
    let chances = sums(1..=differences.len());
    // The largest count c with P(sum < c) ≤ beyond: the c-th mean of two from either end.
    let (mut count, mut below) = (0, 0.0);
    while count < chances.len() && below + chances[count] <= beyond {
        below += chances[count];
        count += 1;
    }
    if count == 0 {
        return [f64::NEG_INFINITY, f64::INFINITY];
    }
    let means = means(differences);
    // The mean of opposite infinities may be anything: it is taken for the worse at either end.
    let unknown = means.iter().filter(|mean| mean.is_nan()).count();
    let known = means.len() - unknown;
    let at = |rank: Option<usize>, otherwise: f64| {
        rank.filter(|&rank| rank < known).map_or(otherwise, |rank| means[rank])
    };
    [
        at((count - 1).checked_sub(unknown), f64::NEG_INFINITY),
        at((means.len() - count < known).then_some(means.len() - count), f64::INFINITY),
    ]
}

/// The means of every two differences and of each with itself, in rising order, NaN last.
fn means(differences: &[f64]) -> Vec<f64> {
    let pairs = (0..differences.len()).flat_map(|i| (0..=i).map(move |j| (i, j)));
    let mean = |(i, j): (usize, usize)| 0.5 * differences[i] + 0.5 * differences[j];
    // ∞ − ∞ is a NaN whose sign depends on the machine.
    let mut means: Vec<f64> =
        pairs.map(mean).map(|m| if m.is_nan() { f64::NAN } else { m }).collect();
    means.sort_by(f64::total_cmp);
    means
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same by trying every choice of signs.
    fn by_trying(differences: &[f64]) -> f64 {
        let rank = |d: f64| {
            let below = differences.iter().filter(|o| o.abs() < d.abs()).count() as f64;
            let ties = differences.iter().filter(|o| o.abs() == d.abs()).count() as f64;
            if d == 0.0 { 0.0 } else { below + 0.5 * (ties + 1.0) }
        };
        let sum = |signs: u32| -> f64 {
            let chosen = differences.iter().enumerate().filter(|(i, _)| signs >> i & 1 == 1);
            chosen.map(|(_, &d)| rank(d)).sum()
        };
        let own = differences.iter().filter(|d| **d > 0.0).map(|&d| rank(d)).sum::<f64>();
        let all = 1u32 << differences.len();
        (0..all).filter(|&signs| sum(signs) >= own).count() as f64 / f64::from(all)
    }

    #[test]
    fn p_is_that_of_every_choice_of_signs() {
        let inf = f64::INFINITY;
        for differences in [
            &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0][..],
            &[-1.0, 2.0, -3.0, 4.0, 5.5],
            &[1.0, 1.0, -1.0, 2.0, 0.0, 0.0],
            &[inf, inf, -inf, 0.5, -0.25],
            &[0.0, 0.0],
            &[-inf, -1.0],
        ] {
            assert_eq!(p_above(differences), by_trying(differences), "{differences:?}");
        }
        assert_eq!(p_above(&[1.0; 7]), 0.5f64.powi(7));
        assert_eq!((needed(0.01), needed(0.05), needed(0.025)), (7, 5, 6));
    }

    #[test]
    fn the_interval_is_where_shifts_are_not_rejected() {
        let differences = [0.31, -0.12, 0.77, 1.93, 0.06, 1.11, -0.45, 0.58, 2.4, 0.9];
        for beyond in [0.05, 0.025, 0.01] {
            let [low, high] = interval(&differences, beyond);
            let shifted = |by: f64| differences.map(|d| d - by);
            assert!(p_above(&shifted(low - 1e-9)) <= beyond);
            assert!(p_above(&shifted(low + 1e-9)) > beyond);
            assert!(p_above(&shifted(high + 1e-9).map(|d| -d)) <= beyond);
            assert!(p_above(&shifted(high - 1e-9).map(|d| -d)) > beyond);
            assert!(low < effect(&differences) && effect(&differences) < high);
        }
    }

    #[test]
    fn few_pairs_and_infinite_ones_leave_ends_open() {
        let inf = f64::INFINITY;
        assert_eq!(interval(&[1.0, 2.0, 3.0, 4.0], 0.05), [-inf, inf]);
        assert_eq!(interval(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.05), [1.0, 5.0]);
        assert_eq!(interval(&[1.0, 2.0, 3.0, 4.0, inf], 0.05), [1.0, inf]);
        assert_eq!(interval(&[1.0, 2.0, 3.0, -inf, inf], 0.05), [-inf, inf]);
        // Eleven means may lie below: nine are −∞, one is that of opposite infinities, the next is 1.
        let many = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, -inf, inf];
        assert_eq!(interval(&many, 0.05), [1.0, 8.0]);
        assert_eq!(effect(&[1.0, 2.0, 3.0, inf]), 2.75);
        assert_eq!(effect(&[inf, inf]), inf);
        assert_eq!(effect(&[]), 0.0);
    }
}
