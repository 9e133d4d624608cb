//! The interval of a mean by drawing again (Efron & Tibshirani 1993, 12.5): one number a seed, so that
//! pairs and everything else of a seed stay together.
//!
//! Studentised: percentiles and BCa hold the mean too seldom with ten seeds and fewer
//! (`docs/statistics.md`). With three it has no ends: too many draws are of one seed alone.

use super::mean::Mean;
use crate::rng::Rng;
use crate::setting::Invalid;

/// Outside on either side with probability `beyond`, nearly, from that many draws.
pub fn interval(numbers: &[f64], beyond: f64, draws: usize, rng: Rng) -> Result<[f64; 2], Invalid> {
    if numbers.len() < 2 || numbers.iter().any(|x| !x.is_finite()) {
        return Err(Invalid::new("numbers", format!("{numbers:?}"), "two finite ones or more"));
    }
    let least = (1.0 / beyond).ceil();
    if !(beyond > 0.0 && beyond < 0.5 && draws as f64 >= least) {
        let value = format!("{beyond} of {draws} draws");
        return Err(Invalid::new("beyond", value, "above 0, below 0.5, one draw or more"));
    }
    let own = Mean::of(numbers);
    let (mut rng, mut again) = (rng, vec![0.0; numbers.len()]);
    let mut distances: Vec<f64> = (0..draws)
        .map(|_| {
            again.fill_with(|| numbers[rng.below(numbers.len())]);
            let drawn = Mean::of(&again);
            let distance = drawn.mean - own.mean;
            // A draw of one number alone has no error: it is as far off as can be.
            if distance == 0.0 { 0.0 } else { distance / drawn.error }
        })
        .collect();
    distances.sort_by(f64::total_cmp);
    // So many draws lie outside on either side that the share is `beyond` of draws + 1.
    let outside = (beyond * (draws + 1) as f64).floor() as usize - 1;
    let end =
        |distance: f64| if own.error == 0.0 { own.mean } else { own.mean - distance * own.error };
    Ok([end(distances[draws - 1 - outside]), end(distances[outside])])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_its_bits_and_few_numbers_no_ends() {
        let numbers = [0.2, 1.5, 0.7, 2.2, 0.9, 1.1];
        let at = |seed| interval(&numbers, 0.025, 999, Rng::new(seed)).unwrap();
        assert_eq!(at(1), at(1));
        assert_ne!(at(1), at(2));
        assert!(at(1)[0] < 1.1 && 1.1 < at(1)[1]);
        let three = interval(&numbers[..3], 0.025, 999, Rng::new(1)).unwrap();
        assert_eq!(three, [f64::NEG_INFINITY, f64::INFINITY]);
        assert_eq!(interval(&[2.0; 4], 0.025, 999, Rng::new(1)).unwrap(), [2.0, 2.0]);
    }

    #[test]
    fn nonsense_is_refused() {
        let refused = |numbers: &[f64], beyond, draws| {
            interval(numbers, beyond, draws, Rng::new(0)).unwrap_err().field
        };
        assert_eq!(refused(&[1.0], 0.025, 999), "numbers");
        assert_eq!(refused(&[1.0, f64::NAN], 0.025, 999), "numbers");
        assert_eq!(refused(&[1.0, 2.0], 0.5, 999), "beyond");
        assert_eq!(refused(&[1.0, 2.0], 0.025, 9), "beyond");
        assert_eq!(refused(&[1.0, 2.0], f64::NAN, 999), "beyond");
    }
}
