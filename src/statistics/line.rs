//! Straight lines over places, fitted by least squares to every seed by itself.
//!
//! A seed's figures share its draws, so that a line through all of them would count them as more than
//! they are: a slope a seed is one number a seed. With the same places in every seed the mean of the
//! slopes is the slope of the means.

use super::distribution::fisher_above;

/// The slope of every row over `x`: Σ(x − x̄)·y / Σ(x − x̄)².
pub fn slopes(x: &[f64], rows: &[Vec<f64>]) -> Vec<f64> {
    let middle = x.iter().sum::<f64>() / x.len() as f64;
    let spread: f64 = x.iter().map(|x| (x - middle) * (x - middle)).sum();
    let slope = |row: &Vec<f64>| x.iter().zip(row).map(|(x, y)| (x - middle) * y).sum::<f64>();
    rows.iter().map(|row| slope(row) / spread).collect()
}

/// The slope of every row between two neighbouring places.
pub fn local_slopes(x: &[f64], rows: &[Vec<f64>], at: usize) -> Vec<f64> {
    let run = x[at + 1] - x[at];
    rows.iter().map(|row| (row[at + 1] - row[at]) / run).collect()
}

/// Every row less its line, at every place.
pub fn departures(x: &[f64], rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let middle = x.iter().sum::<f64>() / x.len() as f64;
    let of = |(row, slope): (&Vec<f64>, f64)| -> Vec<f64> {
        let mean = row.iter().sum::<f64>() / row.len() as f64;
        x.iter().zip(row).map(|(x, y)| y - mean - slope * (x - middle)).collect()
    };
    rows.iter().zip(slopes(x, rows)).map(of).collect()
}

/// P(means as far off their line), if they lie on one: Fisher's F of what the means depart from it by,
/// against what seeds, each about its own mean, depart from the means by.
///
/// The first has k − 2 degrees of freedom, the second (k − 1)(n − 1). Slopes that differ between seeds
/// enlarge the second alone, so that the test errs towards a line.
pub fn p_straight(x: &[f64], rows: &[Vec<f64>]) -> f64 {
    let (k, n) = (x.len() as f64, rows.len() as f64);
    let centred: Vec<Vec<f64>> = rows
        .iter()
        .map(|row| row.iter().map(|y| y - row.iter().sum::<f64>() / k).collect())
        .collect();
    let means: Vec<f64> =
        (0..x.len()).map(|at| centred.iter().map(|row| row[at]).sum::<f64>() / n).collect();
    let square = |row: &[f64]| row.iter().map(|y| y * y).sum::<f64>();
    let off = n * square(&departures(x, std::slice::from_ref(&means))[0]) / (k - 2.0);
    let about =
        |row: &Vec<f64>| row.iter().zip(&means).map(|(y, m)| (y - m) * (y - m)).sum::<f64>();
    let noise = centred.iter().map(about).sum::<f64>() / ((k - 1.0) * (n - 1.0));
    // Rows that are all the same have no noise: what is left of a line is then rounding or a curve.
    let rounding = f64::EPSILON * rows.iter().map(|row| square(row)).sum::<f64>().sqrt();
    if off.sqrt() <= rounding {
        1.0
    } else {
        fisher_above(off / noise, k - 2.0, (k - 1.0) * (n - 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: [f64; 4] = [0.0, 1.0, 2.0, 4.0];

    #[test]
    fn a_line_has_its_slope_and_no_departures() {
        let rows = [3.0, -0.5].map(|slope| X.map(|x| 2.0 + slope * x).to_vec());
        assert_eq!(slopes(&X, &rows), [3.0, -0.5]);
        assert_eq!(local_slopes(&X, &rows, 2), [3.0, -0.5]);
        // Sums of four numbers up to 14 in size.
        assert!(departures(&X, &rows).concat().iter().all(|d| d.abs() < 64.0 * f64::EPSILON));
    }

    #[test]
    fn departures_lie_across_the_line() {
        let rows = [vec![1.0, -2.0, 0.5, 7.0]];
        let off = &departures(&X, &rows)[0];
        let along: f64 = off.iter().zip(X).map(|(d, x)| d * x).sum();
        assert!(along.abs() < 1e-13 && off.iter().sum::<f64>().abs() < 1e-13);
    }

    #[test]
    fn curves_show_and_lines_without_noise_do_not() {
        let line = vec![X.map(|x| 0.1 + 0.7 * x).to_vec(); 5];
        assert_eq!(p_straight(&X, &line), 1.0);
        let curve = vec![X.map(|x| 0.1 + 0.01 * x * x).to_vec(); 5];
        // What noise there is, is rounding: F is some 10²⁵.
        assert!(p_straight(&X, &curve) < 1e-100);
    }

    #[test]
    fn lack_of_fit_is_the_published_ratio() {
        // By hand: places 0, 1, 2; seeds (0, 2, 1) and (0, 1, 2). Means 0, 1.5, 1.5 on centred rows
        // −1, 0.5, 0.5; line slope 0.75; departures −0.25, 0.5, −0.25: 2·0.375/1 = 0.75. About the
        // means: ±(0, 0.5, −0.5): 1/(2·1) = 0.5. F(1, 2) = 1.5.
        let p = p_straight(&[0.0, 1.0, 2.0], &[vec![0.0, 2.0, 1.0], vec![0.0, 1.0, 2.0]]);
        assert!((p - fisher_above(1.5, 1.0, 2.0)).abs() < 1e-12, "{p}");
    }
}
