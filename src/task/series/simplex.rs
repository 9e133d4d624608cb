//! The lowest place of a function of few numbers, without derivatives (Nelder & Mead 1965).

/// Steps that are taken at most.
const MOST: usize = 1000;
/// A simplex whose values differ by less than this is at the bottom.
const FLAT: f64 = 1e-10;

/// Where `f` is lowest, as found from `start` with first steps of `step`; no worse than `start`.
pub(super) fn lowest(f: impl Fn(&[f64]) -> f64, start: &[f64], step: f64) -> Vec<f64> {
    let n = start.len();
    // What is no number is as high as can be.
    let at = |x: Vec<f64>| {
        let y = f(&x);
        (x, if y.is_nan() { f64::INFINITY } else { y })
    };
    let corner = |i: usize| {
        let mut x = start.to_vec();
        if let Some(own) = i.checked_sub(1) {
            x[own] += step;
        }
        at(x)
    };
    let mut simplex: Vec<(Vec<f64>, f64)> = (0..=n).map(corner).collect();
    for _ in 0..MOST {
        simplex.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (best, second, worst) = (simplex[0].1, simplex[n - 1].1, simplex[n].1);
        if worst - best < FLAT {
            break;
        }
        let mean = |j: usize| simplex[..n].iter().map(|corner| corner.0[j]).sum::<f64>() / n as f64;
        let centre: Vec<f64> = (0..n).map(mean).collect();
        // From the worst corner through the centre of the others, so many times as far.
        let beyond = |times: f64| {
            let pairs = centre.iter().zip(&simplex[n].0);
            at(pairs.map(|(centre, worst)| centre + times * (centre - worst)).collect())
        };
        let reflected = beyond(1.0);
        let next = if reflected.1 < best {
            let expanded = beyond(2.0);
            if expanded.1 < reflected.1 { expanded } else { reflected }
        } else if reflected.1 < second {
            reflected
        } else {
            beyond(if reflected.1 < worst { 0.5 } else { -0.5 })
        };
        if next.1 < worst {
            simplex[n] = next;
            continue;
        }
        let best = simplex[0].0.clone();
        for corner in &mut simplex[1..] {
            let pairs = best.iter().zip(&corner.0);
            *corner = at(pairs.map(|(best, own)| 0.5 * (best + own)).collect());
        }
    }
    simplex.sort_by(|a, b| a.1.total_cmp(&b.1));
    simplex.swap_remove(0).0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rosenbrock's valley, from his own start to the one lowest place (1, 1).
    #[test]
    fn a_bent_valley_is_followed_to_its_end() {
        let valley = |x: &[f64]| 100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2);
        let found = lowest(valley, &[-1.2, 1.0], 0.5);
        // Values within FLAT of the lowest: (1 − x)² < 10⁻¹⁰ along the valley.
        assert!(found.iter().all(|x| (x - 1.0).abs() < 3e-5), "{found:?}");
    }

    #[test]
    fn what_is_no_number_is_avoided() {
        let found = lowest(|x| (x[0]).ln() + 1.0 / x[0], &[3.0], -2.9);
        assert!((found[0] - 1.0).abs() < 1e-4, "{found:?}");
    }
}
