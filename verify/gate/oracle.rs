//! The oracle is checked itself: backward against exact derivatives of forward, bounds against
//! readings at other precisions.

use plummet::check::reading::Reading;
use plummet::check::spec::truth;
use std::collections::BTreeMap;

use plummet::check::plan::Plan;
use plummet::check::scope;
use plummet::check::spec::operator::{Formula, Operator, Problem};
use plummet::check::{oracle, spec};
use plummet::gate::{Case, Dir, Dtype};
use plummet::num::Dual;
use plummet::rng::Rng;

fn cases(operator: &'static dyn Operator, dir: Dir, count: usize) -> impl Iterator<Item = Case> {
    let plan = Plan::new(operator, &scope::everything(operator), dir, (Dtype::F64, Dtype::F64), 3);
    // Derivatives of a rounding are those of no rounding, and small problems tell as much.
    plan.map(|mut case| {
        for (axis, size) in &mut case.sizes {
            let sizes = operator.axes().iter().find(|a| a.name == *axis).unwrap().sizes;
            let small = sizes.iter().copied().filter(|&s| s <= 33).max().unwrap_or(1);
            *size = (*size).min(small);
        }
        case
    })
    .take(count)
}

/// ⟨gradient, direction⟩ against the derivative of ⟨dy, first output⟩ along the direction.
#[test]
fn backward_is_the_derivative_of_forward() {
    for operator in spec::all().filter(|o| o.dirs().contains(&Dir::Bwd) && !o.random()) {
        for case in cases(operator, Dir::Bwd, 120) {
            let call = case.call();
            if operator.must_refuse(&call) {
                continue;
            }
            let gradients = truth::truth(&call);
            assert!(!gradients.is_empty(), "{case}");
            let variant = BTreeMap::new();
            let bounds = oracle::expect(&call, &Reading::strict(Dtype::F64, &variant));
            for (gradient, bound) in gradients.iter().zip(&bounds) {
                let input = gradient.name.strip_prefix('d').expect("a gradient is d + name");
                let mut rng = Rng::new(case.seed).named(&gradient.name);
                let direction: Vec<f64> = gradient.data.iter().map(|_| rng.normal()).collect();
                let problem = Problem::<Dual>::read(&call, &variant, |name, i, value| {
                    Dual::new(value, if name == input { direction[i] } else { 0.0 })
                });
                let forward = Formula::<Dual>::forward(operator, &problem);
                let (name, _) = operator.upstream(&case);
                let dy = &call.tensors[name].values;
                let terms: Vec<f64> =
                    forward[0].data.iter().zip(dy).map(|(y, dy)| y.d * dy).collect();
                let slope: f64 = terms.iter().sum();
                let ours: Vec<f64> =
                    gradient.data.iter().zip(&direction).map(|(g, d)| g * d).collect();
                let along: f64 = ours.iter().sum();
                let size: f64 = terms.iter().chain(&ours).map(|t| t.abs()).sum();
                // Rows of a large mean lose ten digits of sixteen in the derivative of a variance.
                let error = (slope - along).abs();
                // What is 0 in truth, as the gradient of a key's bias, is so to rounding only.
                let rounding = bound.statistical.iter().zip(&direction);
                let rounding: f64 = rounding.map(|(bound, d)| bound * d.abs()).sum();
                let allowed = 1e-6 * size + 2.0 * rounding + 1e-280;
                let close = error <= allowed || (slope.is_nan() && along.is_nan());
                assert!(
                    close,
                    "{case}: {} gives {along:e}, not {slope:e} ({size:e})",
                    gradient.name
                );
            }
        }
    }
}

/// The truth at `f64` is within the bounds of `f64` around the truth at double-double.
#[test]
fn readings_agree_across_precisions() {
    for operator in spec::all().filter(|o| !o.random()) {
        for &dir in operator.dirs() {
            for case in cases(operator, dir, 60) {
                let call = case.call();
                if operator.must_refuse(&call) {
                    continue;
                }
                let expected =
                    oracle::expect(&call, &Reading::strict(Dtype::F64, &BTreeMap::new()));
                for (expected, got) in expected.iter().zip(truth::truth(&call)) {
                    assert_eq!((&expected.name, &expected.shape), (&got.name, &got.shape));
                    let got = plummet::gate::Tensor::new(expected.dtype, &got.shape, got.data);
                    let graded = plummet::check::judge::grade(expected, &got);
                    assert!(graded.q <= 1.0, "{case}: {graded:?}");
                }
            }
        }
    }
}
