//! The operators that draw random numbers.

use std::sync::Arc;

use plummet::check::bodies::{Case, Path, Rows};
use plummet::op::SharedOp;
use plummet::op::dropout::{DropPath, Dropout};

const P: f64 = 0.3;

fn both() -> [SharedOp; 2] {
    [Arc::new(Dropout { p: P, seed: 5, training: true }), Arc::new(DropPath::new(P, 5, true))]
}

fn at_step(op: &SharedOp, step: f64) -> Case {
    let mut case = Case::draw(&**op, Rows::Normal, 40, 5, 1);
    case.values[0].fill(1.0);
    case.dy.fill(1.0);
    case.values[1] = vec![step, 0.0];
    case
}

/// The kept number is binomial; five standard deviations of the mean over all decisions.
#[test]
fn the_expectation_is_the_input() {
    for op in both() {
        let y: Vec<f64> = (0..50)
            .flat_map(|step| Path::Fast.run(&*op, &at_step(&op, f64::from(step))).outs.remove(0))
            .collect();
        let mean = y.iter().sum::<f64>() / y.len() as f64;
        let decisions = if op.id() == "drop_path" { 50 * 40 } else { y.len() };
        let deviation = (P / (1.0 - P) / decisions as f64).sqrt();
        assert!((mean - 1.0).abs() < 5.0 * deviation, "{op:?}: {mean}");
    }
}

#[test]
fn both_bodies_and_both_passes_draw_one_mask() {
    for op in both() {
        for step in [0.0, 1.0, 77.0] {
            let case = at_step(&op, step);
            let [exact, fast] = Path::ALL.map(|path| path.run(&*op, &case));
            assert_eq!(exact.outs[0], exact.grads[0]);
            assert_eq!(fast.outs[0], fast.grads[0]);
            let kept = |v: &[f64]| v.iter().map(|v| *v != 0.0).collect::<Vec<bool>>();
            assert_eq!(kept(&exact.outs[0]), kept(&fast.outs[0]), "{op:?}");
        }
    }
}

#[test]
fn drop_path_drops_samples_and_dropout_elements() {
    let [elements, samples] = both().map(|op| {
        let y = Path::Fast.run(&*op, &at_step(&op, 3.0)).outs.remove(0);
        y.chunks(10).filter(|sample| sample.iter().any(|v| *v != sample[0])).count()
    });
    assert_eq!(samples, 0);
    assert!(elements > 30, "{elements} of 40 samples are mixed");
}
