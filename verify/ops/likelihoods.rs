//! The losses that are a likelihood, beyond what every operator is held to.

use approx::assert_relative_eq;
use plummet::check::bodies::{Case, Path, Results, Rows};
use plummet::op::loss::{BinaryCrossEntropy, CrossEntropy, GaussianNll, StudentNll};
use plummet::op::{Op, Shape};

/// The loss and its gradients of one target.
fn of(op: &dyn Op, path: Path, prediction: &[f64], target: f64) -> Results {
    let shapes = [Shape::new(&[1, prediction.len()]), Shape::new(&[1, 1])];
    let mut case = Case::of(op, &shapes, Rows::Normal, 1);
    case.values = vec![prediction.to_vec(), vec![target]];
    case.dy = vec![1.0];
    path.run(op, &case)
}

fn loss(op: &dyn Op, path: Path, prediction: &[f64], target: f64) -> f64 {
    of(op, path, prediction, target).outs[0][0]
}

/// ∫ e^(−loss) dy = 1, by the midpoint rule after y = sinh u.
#[test]
fn densities_have_a_mass_of_one() {
    let laws: [(&dyn Op, &[f64]); 4] = [
        (&GaussianNll, &[0.3, -0.7]),
        (&GaussianNll, &[-2.0, 1.5]),
        (&StudentNll, &[0.3, -0.7, -3.0]),
        (&StudentNll, &[-2.0, 1.5, 4.0]),
    ];
    for (op, prediction) in laws {
        // Enough for the fast path to be right in every part of its range, and no more.
        for (path, steps, allowed) in [(Path::Reference, 64, 1e-10), (Path::Fast, 16, 1e-5)] {
            let step = 1.0 / f64::from(steps);
            let places = (-24 * steps..24 * steps).map(|i| (f64::from(i) + 0.5) * step);
            let mass: f64 = places
                .map(|u| (-loss(op, path, prediction, u.sinh())).exp() * u.cosh() * step)
                .sum();
            assert!((mass - 1.0).abs() < allowed, "{op:?} {prediction:?}, {path:?}: {mass}");
        }
    }
}

/// Of ν degrees of freedom it is off the normal density by (z⁴ − 2z² − 1)/4ν to first order, and by
/// less than (z⁶ + 1)/ν² beyond.
#[test]
fn many_degrees_of_freedom_are_a_normal_distribution() {
    for nu in [1e4f64, 1e9] {
        for z in [0.0, 0.5, 2.0, -3.0f64] {
            let target = 1.0 + z * 0.5f64.exp();
            let normal = loss(&GaussianNll, Path::Reference, &[1.0, 0.5], target);
            let first = (z.powi(4) - 2.0 * z * z - 1.0) / (4.0 * nu);
            for path in Path::ALL {
                let student = loss(&StudentNll, path, &[1.0, 0.5, nu - 2.0], target);
                let error = (student - normal + first).abs();
                // Some sums of logarithms of up to ten times the loss; the reference forms 1 + z²/ν, whose
                // rounding comes times (ν + 1)/2.
                let unit = f64::from(f32::EPSILON) * path.unit();
                let formed = if path == Path::Reference { nu } else { 0.0 };
                let rounding = (64.0 * normal + formed) * unit;
                let allowed = (z.powi(6) + 1.0) / (nu * nu) + rounding;
                assert!(error < allowed, "ν = {nu}, z = {z}, {path:?}: {error:e}");
            }
        }
    }
}

#[test]
fn far_targets_cost_logarithms_under_a_student_distribution() {
    for path in Path::ALL {
        let far = |y: f64| of(&StudentNll, path, &[0.0, 0.0, 1.0], y);
        // ½(ν + 1)·ln 100² more for a hundred times as far, and hardly a slope.
        let nu = 2.0 + 1f64.exp().ln_1p();
        let more = far(1e8).outs[0][0] - far(1e6).outs[0][0];
        assert_relative_eq!(more, (nu + 1.0) * 100f64.ln(), max_relative = 1e-5);
        assert!(far(1e8).grads[0][0].abs() < 1e-6 && far(1e15).outs[0][0].is_finite());
    }
}

#[test]
fn two_classes_are_cross_entropy() {
    for x in [-40.0, -1.5, 0.0, 0.25, 17.0] {
        for path in Path::ALL {
            let both = loss(&CrossEntropy::default(), path, &[x, 0.0], 0.0);
            let one = loss(&BinaryCrossEntropy, path, &[x], 1.0);
            let close = 8.0 * f64::from(f32::EPSILON) * path.unit();
            assert_relative_eq!(
                one,
                both,
                max_relative = close,
                epsilon = f64::from(f32::MIN_POSITIVE)
            );
        }
    }
}

#[test]
fn the_classes_are_alike() {
    for (x, t) in [(0.3, 0.25), (-7.0, 1.0), (90.0, 0.5), (1e5, 0.0)] {
        for path in Path::ALL {
            let here = of(&BinaryCrossEntropy, path, &[x], t);
            let there = of(&BinaryCrossEntropy, path, &[-x], 1.0 - t);
            let close = 8.0 * f64::from(f32::EPSILON) * path.unit();
            assert_relative_eq!(here.outs[0][0], there.outs[0][0], max_relative = close);
            let (here, there) = (here.grads[0][0], there.grads[0][0]);
            assert!((here + there).abs() <= close, "{x}, {t}, {path:?}: {here}, {there}");
        }
    }
}

/// Of a target that is met, the fast path keeps the digits of what is left.
#[test]
fn a_small_binary_loss_keeps_its_digits() {
    for (x, t) in [(18.0, 1.0), (-18.0, 0.0)] {
        let fast = of(&BinaryCrossEntropy, Path::Fast, &[x], t);
        let e = (-18f64).exp();
        assert_relative_eq!(fast.outs[0][0], e.ln_1p(), max_relative = 1e-6);
        assert_relative_eq!(fast.grads[0][0].abs(), e / (1.0 + e), max_relative = 1e-6);
    }
}
