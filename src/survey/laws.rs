//! Straight lines through measurements, plain or in logarithms.

use super::Data;
use crate::experiment::Run;
use crate::stack::Wiring;

/// y = intercept + slope·x by least squares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    pub slope: f64,
    pub intercept: f64,
    /// Share of the variance that the line explains.
    pub r2: f64,
}

pub(super) fn line(points: &[(f64, f64)]) -> Option<Line> {
    let n = points.len() as f64;
    if points.len() < 2 {
        return None;
    }
    let mean_x = points.iter().map(|p| p.0).sum::<f64>() / n;
    let mean_y = points.iter().map(|p| p.1).sum::<f64>() / n;
    let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
        points.iter().map(|&(x, y)| f(x - mean_x, y - mean_y)).sum()
    };
    let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
    let slope = xy / xx;
    let r2 = if yy == 0.0 { 1.0 } else { xy * xy / (xx * yy) };
    Some(Line { slope, intercept: mean_y - slope * mean_x, r2 })
}

/// The exponent of y over x.
pub(super) fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    let logs: Vec<(f64, f64)> = points.iter().map(|&(x, y)| (x.ln(), y.ln())).collect();
    line(&logs).map(|line| line.slope)
}

/// What grows how with depth at initialisation, for one wiring.
#[derive(Debug, Clone)]
pub(super) struct Law {
    pub wiring: Wiring,
    /// Exponent of the gradient norm of the last feed-forward matrix.
    pub gradient: Option<f64>,
    /// Exponent of the mean square of the last stream.
    pub stream: Option<f64>,
    /// Mean square of the last stream by depth, mean over seeds.
    pub squares: Vec<(f64, f64)>,
}

pub(super) fn laws(data: &Data) -> Vec<Law> {
    let mut wirings: Vec<Wiring> = Vec::new();
    for run in &data.laws {
        if !wirings.contains(&run.config.wiring) {
            wirings.push(run.config.wiring.clone());
        }
    }
    let of = |wiring: &Wiring, value: &dyn Fn(&Run) -> Option<f64>| -> Vec<(f64, f64)> {
        let mut points: Vec<(f64, f64, f64)> = Vec::new();
        for run in data.laws.iter().filter(|run| run.config.wiring == *wiring) {
            let depth = run.config.depth as f64;
            let Some(value) = value(run) else { continue };
            match points.iter_mut().find(|point| point.0 == depth) {
                Some(point) => *point = (depth, point.1 + value, point.2 + 1.0),
                None => points.push((depth, value, 1.0)),
            }
        }
        points.into_iter().map(|(depth, sum, count)| (depth, sum / count)).collect()
    };
    (wirings.into_iter())
        .map(|wiring| {
            let gradients = of(&wiring, &|run| run.last(0, "ffn.down.weight", "grad_norm"));
            let squares = of(&wiring, &|run| run.last(0, "stream", "rms").map(|rms| rms * rms));
            Law { wiring, gradient: exponent(&gradients), stream: exponent(&squares), squares }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_are_found() {
        let points: Vec<(f64, f64)> =
            (1..6).map(|n| (n as f64, 3.0 * (n as f64).powf(-0.5))).collect();
        assert!((exponent(&points).unwrap() + 0.5).abs() < 1e-12);
        let fit = line(&[(1.0, 5.0), (2.0, 7.0), (3.0, 9.0)]).unwrap();
        assert!((fit.slope - 2.0).abs() < 1e-12 && (fit.intercept - 3.0).abs() < 1e-12);
    }
}
