//! Rising within seeds: of every two places of a seed, whether the later has the larger value (Kendall
//! 1938; over independent groups of one order, Jonckheere 1954), summed over seeds.

/// The number of twos in rising order, over every row; a tie is not one.
fn rising(rows: &[Vec<f64>]) -> usize {
    let of = |row: &Vec<f64>| -> usize {
        (0..row.len()).map(|j| row[..j].iter().filter(|&&before| before < row[j]).count()).sum()
    };
    rows.iter().map(of).sum()
}

/// P(so many twos in rising order or more), if within a row every order is as probable.
///
/// With ties the truth is below: broken by chance they would make the count larger, never smaller.
pub fn p_rising(rows: &[Vec<f64>]) -> f64 {
    // The i-th value to be placed is above 0 to i of those before it, each as probable.
    let mut chances = vec![1.0];
    for before in rows.iter().flat_map(|row| 1..row.len()) {
        let mut next = vec![0.0; chances.len() + before];
        for (at, chance) in chances.iter().enumerate() {
            for more in 0..=before {
                next[at + more] += chance / (before + 1) as f64;
            }
        }
        chances = next;
    }
    chances[rising(rows)..].iter().sum::<f64>().min(1.0)
}

/// How many seeds with that many places a test at `level` needs: 1 in (places!)ⁿ is the least p.
pub(super) fn needed(places: usize, level: f64) -> usize {
    let least: f64 = (1..=places).map(|k| 1.0 / k as f64).product();
    (1..).find(|&n| least.powi(n) <= level).unwrap_or(1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(of: usize) -> Vec<Vec<f64>> {
        if of == 0 {
            return vec![Vec::new()];
        }
        let into = |row: &Vec<f64>, at: usize| {
            let mut row = row.clone();
            row.insert(at, of as f64);
            row
        };
        orders(of - 1).iter().flat_map(|row| (0..of).map(move |at| into(row, at))).collect()
    }

    #[test]
    fn p_is_that_of_every_order() {
        let all: Vec<Vec<Vec<f64>>> = orders(3)
            .iter()
            .flat_map(|a| orders(4).into_iter().map(|b| vec![a.clone(), b]))
            .collect();
        for rows in all.iter().step_by(7) {
            let above = all.iter().filter(|other| rising(other) >= rising(rows)).count();
            let want = above as f64 / all.len() as f64;
            assert!((p_rising(rows) - want).abs() < 1e-12, "{rows:?}: {want}");
        }
    }

    #[test]
    fn a_tie_is_not_rising_also_of_infinite_values() {
        let inf = f64::INFINITY;
        assert_eq!(rising(&[vec![1.0, inf, inf]]), 2);
        assert_eq!(p_rising(&[vec![inf, inf]]), 1.0);
        assert_eq!((needed(3, 0.01), needed(2, 0.01), needed(5, 0.01)), (3, 7, 1));
    }
}
