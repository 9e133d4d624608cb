//! Stage 6 accuses no right target: the probabilities that it works with are those that occur.

use plummet::gate::Candidate;
use plummet::gate::model::ModelCandidate;
use plummet::gate::op;
use plummet::gate::statistics::{Effort, Evidence, LEVEL, evidence};

/// A seed of its own for every run, far from those that a run derives from its own.
fn run(op: &'static str, id: &'static str, run: u64, elements: usize) -> Evidence {
    let mut candidate = ModelCandidate::new(op, id);
    let served = candidate.hello().unwrap().ops[op].clone();
    let effort = Effort { elements, crowd: 1 << 12, rare: 1 << 14, ..Effort::FULL };
    evidence(&mut candidate, op, &served, 1000 * run, effort).unwrap()
}

fn random() -> impl Iterator<Item = &'static str> {
    op::ALL.iter().filter(|operator| operator.random()).map(|operator| operator.name())
}

#[test]
fn probabilities_of_right_targets_are_as_derived() {
    for op in random() {
        let (mut tests, mut smallest) = (0, 0.0f64);
        for seed in 0..100 {
            let evidence = run(op, "", seed, 1 << 11);
            assert!(evidence.findings.is_empty(), "{:?}", evidence.findings);
            tests += evidence.tests;
            smallest = smallest.min(evidence.smallest);
        }
        println!("{op}: the smallest of {tests} probabilities is {:.2e}", smallest.exp());
        // Of m probabilities the smallest is below t/m with probability t at most. It is not far
        // above 1/m either: bounds that are never met would show nothing.
        let share = smallest.exp() * tests as f64;
        assert!(share > 1e-3, "{op}: {share:e} in units of 1/{tests}");
        assert!(share < 1e3, "{op}: {share:e} in units of 1/{tests}");
    }
}

#[test]
fn a_run_accuses_a_right_target_once_in_a_million() {
    let mut tests = 0;
    for op in random() {
        let before = std::time::Instant::now();
        let evidence = run(op, "", 7, Effort::FULL.elements);
        println!("{op}: {} tests in {:.2?}", evidence.tests, before.elapsed());
        assert!(evidence.findings.is_empty(), "{:?}", evidence.findings);
        tests += evidence.tests;
    }
    let rate = tests as f64 * LEVEL;
    println!("{tests} tests: {rate:.1e}");
    assert!(rate < 1e-6, "{tests} tests at {LEVEL:e}");
}
