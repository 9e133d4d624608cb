//! What the norms satisfy beyond the properties that they state.

use approx::assert_relative_eq;
use plummet::check::bodies::{Budget, Case, Path, Rows, property};
use plummet::op::norm::{BatchNorm, LayerNorm, RmsNorm};
use plummet::op::{Op, Shape};

const WIDTHS: [usize; 7] = [1, 2, 3, 16, 17, 64, 65];

fn rms(eps: f64) -> RmsNorm {
    RmsNorm { eps, ..plummet::choice::Described::new() }
}

fn mean(x: impl Iterator<Item = f64> + Clone) -> f64 {
    x.clone().sum::<f64>() / x.count() as f64
}

/// Samuelson's inequality: no element is further than √(n − 1) standard deviations from the mean.
#[test]
fn normalised_values_are_bounded_by_the_width() {
    let op = LayerNorm { eps: 1e-5 };
    for cols in WIDTHS {
        for (seed, kind) in (0..).zip(Rows::ALL) {
            let case = Case::draw(&op, kind, 4, cols, seed).without(1).without(2);
            let allowed = Budget::measure(&op, &case).allowed;
            for path in Path::ALL {
                for (y, allowed) in path.run(&op, &case).outs[0].iter().zip(&allowed.outs[0]) {
                    let bound = (cols as f64 - 1.0).sqrt() + path.unit() * allowed;
                    assert!(y.abs() <= bound, "{path:?}: {y}, {}", case.origin);
                }
            }
        }
    }
}

/// ⟨x − mean, dx⟩ = Σ w·x̂·eps/(var + eps) for layer_norm, ⟨x, dx⟩ = Σ w·x̂·eps/(square + eps) for
/// rms_norm: what eps lets through, and the only place where a forgotten eps shows undiluted.
#[test]
fn dx_along_x_is_what_eps_lets_through() {
    for eps in [1e-5, 0.5] {
        let ops: [(&dyn Op, f64); 2] = [(&LayerNorm { eps }, 1.0), (&rms(eps), 0.0)];
        for ((op, centred), cols) in ops.iter().flat_map(|op| WIDTHS.map(|cols| (op, cols))) {
            for kind in [Rows::Normal, Rows::TinyVariance, Rows::Outlier] {
                let case = Case::draw(*op, kind, 3, cols, 5);
                let budget = Budget::measure(*op, &case).allowed;
                for path in Path::ALL {
                    let dx = &path.run(*op, &case).grads[0];
                    for (i, x) in case.values[0].chunks(cols).enumerate() {
                        let m = centred * mean(x.iter().copied());
                        let square = mean(x.iter().map(|x| (x - m) * (x - m)));
                        let weighted = |j: usize| case.values[1][j] * case.dy[i * cols + j];
                        let terms =
                            |j: usize| weighted(j) * (x[j] - m) * eps / (square + eps).powf(1.5);
                        let want: f64 = (0..cols).map(terms).sum();
                        let along = |v: &[f64], j: usize| (x[j] - m) * v[i * cols + j];
                        let got: f64 = (0..cols).map(|j| along(dx, j)).sum();
                        // dx is as good as its budget; the right side is f64 sums of these terms,
                        // whose centred values lose |mean|·u of what they are.
                        let known: f64 = (0..cols).map(|j| along(&budget.grads[0], j).abs()).sum();
                        let loss = (1.0 + m.abs() / (square + eps).sqrt()) * f64::EPSILON;
                        let size: f64 = (0..cols).map(|j| weighted(j).abs()).sum();
                        let allowed = path.unit() * known + 4.0 * cols as f64 * loss * size;
                        assert!(
                            (got - want).abs() <= allowed,
                            "{op:?}, {path:?}, row {i}: {got}, not {want} to {allowed}: {}",
                            case.origin
                        );
                    }
                }
            }
        }
    }
}

/// Rows of 16 multiples of 1/256, whose mean and centred values are representable.
#[test]
fn rms_norm_of_centred_rows_is_layer_norm() {
    let (layer, root) = (LayerNorm { eps: 1e-3 }, rms(1e-3));
    let mut case = Case::draw(&layer, Rows::Normal, 5, 16, 3).without(2);
    case.values[0].iter_mut().for_each(|x| *x = (*x * 256.0).round() / 256.0);
    let mut centred = Case::draw(&root, Rows::Normal, 5, 16, 3);
    (centred.values, centred.dy) = (case.values[..2].to_vec(), case.dy.clone());
    for row in centred.values[0].chunks_mut(16) {
        let m = mean(row.iter().copied());
        row.iter_mut().for_each(|x| *x -= m);
    }
    let allowed =
        [Budget::measure(&layer, &case).allowed, Budget::measure(&root, &centred).allowed];
    for path in Path::ALL {
        let (a, b) = (path.run(&layer, &case).outs, path.run(&root, &centred).outs);
        for i in 0..a[0].len() {
            let bound = path.unit() * (allowed[0].outs[0][i] + allowed[1].outs[0][i]);
            assert!((a[0][i] - b[0][i]).abs() <= bound, "{path:?}: {} and {}", a[0][i], b[0][i]);
        }
    }
}

/// f(a·x; a²·eps) = sgn(a)·f(x; eps): the eps of layer_norm and rms_norm has the units of x².
#[test]
fn eps_has_the_units_of_a_square() {
    for a in [4.0, -0.5] {
        // A power of two moves no digit, so that not a bit may change.
        let eps = [2f64.powi(-14), a * a * 2f64.powi(-14)];
        let pairs: [[&dyn Op; 2]; 2] = [
            [&LayerNorm { eps: eps[0] }, &LayerNorm { eps: eps[1] }],
            [&rms(eps[0]), &rms(eps[1])],
        ];
        for [plain, scaled] in pairs {
            let case = Case::draw(plain, Rows::TinyVariance, 3, 17, 1);
            let case = if case.values.len() == 3 { case.without(2) } else { case };
            let mut larger = case.clone();
            larger.values[0].iter_mut().for_each(|x| *x *= a);
            for path in Path::ALL {
                let (y, z) = (path.run(plain, &case).outs, path.run(scaled, &larger).outs);
                assert!(y[0].iter().zip(&z[0]).all(|(y, z)| y * a.signum() == *z), "{plain:?}");
            }
        }
    }
}

#[test]
fn rms_norm_is_not_shift_invariant() {
    let op = rms(1e-6);
    property::shift_invariant(&op, &Case::draw(&op, Rows::Normal, 3, 17, 1)).unwrap_err();
}

#[test]
fn batch_norm_couples_rows() {
    let op = BatchNorm { eps: 1e-5, momentum: 0.1, training: true };
    property::row_independent(&op, &Case::draw(&op, Rows::Normal, 3, 17, 1)).unwrap_err();
}

/// Column [1, 3, 5] has mean 3 and unbiased variance 4; from 1 and 2, half of the way is 2 and 3.
#[test]
fn running_statistics_move_by_the_momentum() {
    let shapes = [[3, 1].as_slice(), &[1], &[1], &[1], &[1]].map(Shape::new);
    for (training, moved) in [(true, [2.0, 3.0]), (false, [1.0, 2.0])] {
        let op = BatchNorm { eps: 1e-5, momentum: 0.5, training };
        let mut case = Case::of(&op, &shapes, Rows::Normal, 1);
        case.values = vec![vec![1.0, 3.0, 5.0], vec![1.0], vec![0.0], vec![1.0], vec![2.0]];
        for path in Path::ALL {
            let outs = path.run(&op, &case).outs;
            // A quotient by 3 may round, twice.
            let close = 4.0 * f64::from(f32::EPSILON) * path.unit();
            assert_relative_eq!(outs[1][0], moved[0], max_relative = close);
            assert_relative_eq!(outs[2][0], moved[1], max_relative = close);
        }
    }
}

#[test]
fn one_column_leaves_the_bias() {
    let op = LayerNorm { eps: 1e-5 };
    for kind in Rows::ALL {
        let case = Case::draw(&op, kind, 4, 1, 2);
        for path in Path::ALL {
            let results = path.run(&op, &case);
            assert!(results.outs[0].iter().all(|y| *y == case.values[2][0]), "{path:?} {kind:?}");
            assert!(results.grads[0].iter().all(|dx| *dx == 0.0), "{path:?} {kind:?}");
        }
    }
}

/// With columns ±d around a mean, var = d² and x̂ = ±1/√(1 + eps/var).
#[test]
fn two_columns_are_plus_and_minus_one() {
    let eps = 1e-5;
    for (op, mean) in [(&LayerNorm { eps } as &dyn Op, 2.0), (&rms(eps), 0.0)] {
        for d in [2f64.powi(-9), 0.5, 64.0] {
            let shapes = [Shape::new(&[1, 2]), Shape::ABSENT, Shape::ABSENT];
            let mut case = Case::of(op, &shapes[..op.args().len()], Rows::Normal, 1);
            case.values[0] = vec![mean + d, mean - d];
            let want = 1.0 / (1.0 + eps / (d * d)).sqrt();
            for path in Path::ALL {
                let y = &path.run(op, &case).outs[0];
                // Centred values are exact; the sum, the root, the quotients and eps itself round.
                let close = 4.0 * f64::from(f32::EPSILON) * path.unit();
                assert_relative_eq!(y[0], want, max_relative = close);
                assert_relative_eq!(y[1], -want, max_relative = close);
            }
        }
    }
}
