//! What every operator of the registry is held to.

use plummet::check::bodies::{
    Budget, Case, Rows, SIZES, Verdict, contract, fast_agrees, gradient, property,
};
use plummet::choice::Described;
use plummet::op::activation::{Activation, Function};
use plummet::op::attention::Attention;
use plummet::op::dropout::Dropout;
use plummet::op::linear::Linear;
use plummet::op::norm::{BatchNorm, RmsNorm};
use plummet::op::softmax::Softmax;
use plummet::op::{Op, Property, all};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Runs a check on `cases` problems for every operator, at sizes and of kinds that are drawn from
/// one fixed seed. What proptest shrinks to is the first size and kind that still fail.
fn for_every_op(cases: u32, kinds: &'static [Rows], check: impl Fn(&dyn Op, &Case) -> Verdict) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    for op in all() {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
        let mut runner = TestRunner::new_with_rng(config.clone(), rng);
        let problem = (0..SIZES.len(), 0..kinds.len(), 0..1000u64);
        let result = runner.run(&problem, |(size, kind, seed)| {
            let (rows, cols) = SIZES[size];
            let case = Case::draw(&*op, kinds[kind], rows, cols, seed);
            check(&*op, &case).map_err(|fault| TestCaseError::fail(format!("{fault:?}")))
        });
        if let Err(error) = result {
            panic!("{error}");
        }
    }
}

/// Every operator at every size, and with each optional argument absent, on one kind of rows.
fn at_every_size(kind: Rows, check: impl Fn(&dyn Op, &Case) -> Verdict) {
    for op in all() {
        for (seed, (rows, cols)) in (0..).zip(SIZES) {
            let case = Case::draw(&*op, kind, rows, cols, seed);
            check(&*op, &case).unwrap();
            let optional = op.args().iter().enumerate().filter(|(_, arg)| arg.optional);
            let optional: Vec<usize> = optional.map(|(index, _)| index).collect();
            for &index in &optional {
                check(&*op, &case.clone().without(index)).unwrap();
            }
            if optional.len() > 1 {
                let bare = optional.iter().fold(case, |case, &index| case.without(index));
                check(&*op, &bare).unwrap();
            }
        }
    }
}

#[test]
fn fast_is_within_budget_at_every_size() {
    at_every_size(Rows::Normal, fast_agrees);
}

#[test]
fn fast_is_within_budget_on_hostile_rows() {
    for_every_op(40, &Rows::ALL, fast_agrees);
}

#[test]
fn stated_laws_hold() {
    let properties = |op: &dyn Op, case: &Case| {
        op.properties().iter().try_for_each(|&stated| property::holds(stated, op, case))
    };
    at_every_size(Rows::Normal, properties);
    for_every_op(10, &[Rows::Outlier, Rows::Scaled, Rows::Constant], properties);
}

#[test]
fn vjp_is_the_derivative_at_dual_numbers() {
    at_every_size(Rows::Normal, gradient::agrees_with_dual);
    for_every_op(10, &Rows::ALL, gradient::agrees_with_dual);
}

#[test]
fn vjp_is_the_slope_of_differences() {
    at_every_size(Rows::Normal, gradient::agrees_with_differences);
}

#[test]
fn contracts_hold() {
    at_every_size(Rows::Normal, contract::holds);
}

/// A budget that lets anything pass checks nothing: on every kind of rows at least 95 of 100
/// elements are known to a thousandth of the largest of their tensor. The rest are rows whose
/// condition leaves no more digits than that to any honest computation.
#[test]
fn budgets_are_sharp() {
    for kind in Rows::ALL {
        let (mut loose, mut count) = (0, 0);
        for op in all() {
            let case = Case::draw(&*op, kind, 33, 17, 1);
            let budget = Budget::measure(&*op, &case);
            for ((_, truth), (_, allowed)) in budget.truth.named().zip(budget.allowed.named()) {
                let largest = truth.iter().fold(0.0f64, |m, v| m.max(v.abs()));
                loose += allowed.iter().filter(|&&a| a > 1e-3 * largest).count();
                count += allowed.len();
            }
        }
        println!("{kind:?}: {loose} of {count}");
        assert!(20 * loose <= count, "{kind:?}: {loose} of {count} elements");
    }
}

/// Each property against an operator that does not state it, for good reason.
#[test]
fn laws_refuse_those_that_break_them() {
    let gelu = &Activation { function: Function::Gelu };
    let broken: [(Property, &dyn Op); 8] = [
        (Property::ShiftInvariant, &RmsNorm::new()),
        (Property::ScaleInvariant, &Linear),
        (Property::Odd, &Softmax),
        (Property::PermutationEquivariant, &Dropout { p: 0.3, seed: 5, training: true }),
        (Property::RowIndependent, &BatchNorm::new()),
        (Property::Linear, gelu),
        (Property::RowsSumToOne, gelu),
        (Property::Causal, &Attention { causal: false, ..Attention::causal(2) }),
    ];
    for (stated, op) in broken {
        assert!(!op.properties().contains(&stated), "{op:?} states {stated:?}");
        let case = Case::draw(op, Rows::Normal, 3, 17, 1);
        assert!(property::holds(stated, op, &case).is_err(), "{op:?} passes {stated:?}");
    }
}
