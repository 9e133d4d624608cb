//! What every operator of the registry is held to.

use plummet::check::{self, Case, Rows, SIZES, Verdict, contract, gradient, law};
use plummet::op::{Op, all};
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
    at_every_size(Rows::Normal, check::fast_agrees);
}

#[test]
fn fast_is_within_budget_on_hostile_rows() {
    for_every_op(40, &Rows::ALL, check::fast_agrees);
}

#[test]
fn stated_laws_hold() {
    let laws = |op: &dyn Op, case: &Case| {
        op.laws().iter().try_for_each(|&stated| law::holds(stated, op, case))
    };
    at_every_size(Rows::Normal, laws);
    for_every_op(10, &[Rows::Spike, Rows::Scaled, Rows::Constant], laws);
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
