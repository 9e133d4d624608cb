//! Background and the rest.

/// Bins of the histogram.
const BINS: usize = 256;

/// The value that parts values into two classes with the largest variance between their means
/// (Otsu 1979): with shares w₀, w₁ and means μ₀, μ₁ below and above, w₀·w₁·(μ₀ − μ₁)² is largest.
/// It is found on a histogram of 256 bins, in the middle of those between which it is the same;
/// nothing where all values are one.
pub(super) fn threshold(values: impl Iterator<Item = f32> + Clone) -> Option<f64> {
    let (low, high) = values
        .clone()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low >= high {
        return None;
    }
    let (low, width) = (f64::from(low), (f64::from(high) - f64::from(low)) / BINS as f64);
    let mut counts = [0.0; BINS];
    for value in values {
        let bin = (f64::from(value) - low) / width;
        counts[(bin as usize).min(BINS - 1)] += 1.0;
    }
    let all: f64 = counts.iter().sum();
    let moment: f64 = (0..BINS).map(|bin| bin as f64 * counts[bin]).sum();
    let (mut below, mut moment_below, mut best) = (0.0, 0.0, (f64::NEG_INFINITY, 0, 0));
    for (bin, count) in counts.iter().enumerate().take(BINS - 1) {
        below += count;
        moment_below += bin as f64 * count;
        let above = all - below;
        let apart = moment_below / below - (moment - moment_below) / above;
        let between = below * above * apart * apart;
        if between > best.0 {
            best = (between, bin, bin);
        } else if between == best.0 {
            best.2 = bin;
        }
    }
    Some(low + ((best.1 + best.2) as f64 / 2.0 + 1.0) * width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn two_heaps_are_parted_between_them() {
        let mut rng = Rng::new(1);
        let mut heap = |n: usize, at: f64| -> Vec<f32> {
            (0..n).map(|_| (at + 0.3 * rng.normal()) as f32).collect()
        };
        let values = [heap(3000, 0.0), heap(1000, 5.0)].concat();
        let found = threshold(values.iter().copied()).unwrap();
        assert!((1.5..3.5).contains(&found), "{found}");
    }

    #[test]
    fn one_value_has_no_two_classes() {
        assert_eq!(threshold([2.0; 5].into_iter()), None);
        let two = threshold([1.0, 2.0].into_iter()).unwrap();
        assert!(two > 1.0 && two <= 2.0);
    }
}
