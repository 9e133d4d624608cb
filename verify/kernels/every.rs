//! What every operator with kernels is held to.

use std::sync::Arc;

use plummet::backend::device::{Interpreted, OnMachine};
use plummet::check::bodies::{
    Budget, Case, Rows, SIZES, contract, fast_agrees, gradient, property,
};
use plummet::op::{Shape, SharedOp, all, device::Chip, named};
use plummet::ptx::{Approximation, Options, Schedule};

fn interpreted(options: Options) -> Interpreted {
    Interpreted::new(Chip { multiprocessors: 3 }, options)
}

/// Every operator that has kernels, on a machine of its own.
fn on_machines(options: Options) -> impl Iterator<Item = SharedOp> {
    all().into_iter().filter_map(move |op| {
        OnMachine::new(op, interpreted(options)).map(|op| Arc::new(op) as SharedOp)
    })
}

fn conditions() -> Vec<Options> {
    let usual = Options { forbid_float_atomics: true, ..Options::default() };
    let schedules = Schedule::ALL.map(|schedule| Options { schedule, ..usual });
    let edges = Approximation::ALL.map(|approximation| Options { approximation, ..usual });
    [&schedules[..], &edges].concat()
}

/// The operators that run on the CPU alone.
const WITHOUT: [&str; 21] = [
    "group_norm",
    "l2_norm",
    "partial_rms_norm",
    "power_norm",
    "rms_norm_outside",
    "softcap",
    "standardised",
    "scaled_standardised",
    "weight_norm",
    "power_iteration",
    "sigma_reparam",
    "head_gain",
    "weighted_sum",
    "sinkhorn",
    "ramp",
    "shift_noise",
    "gaussian_nll",
    "student_nll",
    "binary_cross_entropy",
    // With a soft cap.
    "attention",
    // With a z-loss.
    "cross_entropy",
];

#[test]
fn every_operator_has_kernels_but_those_that_are_named() {
    let without: Vec<SharedOp> = all().into_iter().filter(|op| op.kernels().is_none()).collect();
    for op in &without {
        assert!(WITHOUT.contains(&op.id()), "{op:?}");
        assert!(op.id() != "attention" || !format!("{op:?}").contains("softcap: 0.0"), "{op:?}");
        assert!(op.id() != "cross_entropy" || !format!("{op:?}").contains("z_loss: 0.0"), "{op:?}");
    }
    assert!(WITHOUT.iter().all(|id| without.iter().any(|op| op.id() == *id)));
}

#[test]
fn kernels_are_within_budget_at_every_size() {
    for op in on_machines(Options { forbid_float_atomics: true, ..Options::default() }) {
        for (seed, (rows, cols)) in (0..).zip(SIZES) {
            let case = Case::draw(&*op, Rows::Normal, rows, cols, seed);
            fast_agrees(&*op, &case).unwrap();
            let optional = op.args().iter().enumerate().filter(|(_, arg)| arg.optional);
            for (index, _) in optional {
                fast_agrees(&*op, &case.clone().without(index)).unwrap();
            }
        }
    }
}

#[test]
fn kernels_are_within_budget_under_every_schedule_and_at_the_edges_of_approximation() {
    for options in conditions() {
        for op in on_machines(options) {
            for (seed, kind) in (0..).zip(Rows::ALL) {
                let case = Case::draw(&*op, kind, 5, 33, seed);
                fast_agrees(&*op, &case).unwrap_or_else(|fault| panic!("{options:?}: {fault:?}"));
            }
        }
    }
}

#[test]
fn contracts_derivatives_and_properties_hold() {
    for op in on_machines(Options { forbid_float_atomics: true, ..Options::default() }) {
        for (seed, (rows, cols)) in (0..).zip([(1, 1), (3, 7), (4, 32)]) {
            let case = Case::draw(&*op, Rows::Normal, rows, cols, seed);
            contract::holds(&*op, &case).unwrap();
            gradient::agrees_with_dual(&*op, &case).unwrap();
            gradient::agrees_with_differences(&*op, &case).unwrap();
            for &stated in op.properties() {
                property::holds(stated, &*op, &case).unwrap();
            }
        }
    }
}

/// db = dy₀ + dy₁ nearly cancels −¾: in the order of the reference, −¾ + dy₀ + dy₁, nothing is as large
/// as db itself, at whose size a kernel, which forms it apart, has to round.
#[test]
fn a_gradient_formed_apart_is_rounded_at_its_own_size() {
    let linear = named("linear").unwrap();
    let shapes = [Shape::new(&[2, 1]), Shape::new(&[1, 1]), Shape::new(&[1])];
    let mut case = Case::of(&*linear, &shapes, Rows::Normal, 1).starting_at(-0.75);
    let dy = [0.75_f32.next_down(), 0.001];
    case.dy = dy.map(f64::from).to_vec();
    let Budget { truth, allowed } = Budget::measure(&*linear, &case);
    let (db, allowed) = (truth.grads[2][0], allowed.grads[2][0]);
    let off = (f64::from(dy[0] + dy[1]) - 0.75 - db).abs();
    assert!(off > 2f64.powi(-28) && off <= allowed, "{off:e}, allowed {allowed:e}");
    // A few units of db, and no more.
    assert!(allowed < 8.0 * 2f64.powi(-24), "{allowed:e}");
    let options = Options { forbid_float_atomics: true, ..Options::default() };
    fast_agrees(&OnMachine::new(linear, interpreted(options)).unwrap(), &case).unwrap();
}
