//! What operators of residual streams promise beside what every operator does.

use plummet::op::sinkhorn::{MOST_ROWS, Sinkhorn};
use plummet::op::{Fast, Reference, Shape, View};
use plummet::rng::Rng;

/// Birkhoff: with Δ the largest logarithm of a cross ratio of e^x, the factors of the columns differ
/// from one iteration to the next by Δ at most at first, in Hilbert's metric, and by tanh²(Δ/4) times
/// as much after each; what they differ by is what the columns sum to. Since the sums are 1 in the
/// mean, the metric bounds the logarithm of each.
#[test]
fn columns_sum_to_one_as_nearly_as_birkhoff_says() {
    let mut rng = Rng::new(3);
    for n in 1..=MOST_ROWS {
        let x: Vec<f64> = (0..n * n).map(|_| rng.normal()).collect();
        let cross = |i: usize, j: usize, k: usize, l: usize| {
            x[i * n + k] + x[j * n + l] - x[i * n + l] - x[j * n + k]
        };
        let pairs: Vec<(usize, usize)> = (0..n * n).map(|place| (place / n, place % n)).collect();
        let mut delta: f64 = 0.0;
        for &(i, j) in &pairs {
            for &(k, l) in &pairs {
                delta = delta.max(cross(i, j, k, l));
            }
        }
        for iterations in [1, 5, 20] {
            let mut y = vec![0.0; n * n];
            let view = View::new(Shape::new(&[n, n]), &x);
            Reference::forward(&Sinkhorn { iterations }, &[view], &mut [&mut y]);
            let bound = delta * (delta / 4.0).tanh().powi(2 * (iterations as i32 - 1));
            // Some 100 operations for a sum behind 20 iterations.
            let rounding = 100.0 * f64::EPSILON;
            for i in 0..n {
                let row: f64 = y[i * n..(i + 1) * n].iter().sum();
                let column: f64 = y.iter().skip(i).step_by(n).sum();
                assert!((row - 1.0).abs() <= rounding, "{n} {iterations}: {row}");
                assert!(column.ln().abs() <= bound + rounding, "{n} {iterations}: {column}");
            }
        }
    }
}

#[test]
fn far_logits_do_not_vanish() {
    let x = [500.0, -500.0, 500.0, -499.0f32];
    let (mut y, mut saved) = ([f32::NAN; 4], [f32::NAN; 160]);
    let view = View::new(Shape::new(&[2, 2]), &x);
    Fast::forward(&Sinkhorn { iterations: 20 }, &[view], &mut [&mut y], &mut saved, &mut []);
    assert!(y.iter().all(|y| y.is_finite() && *y > 0.0), "{y:?}");
}
