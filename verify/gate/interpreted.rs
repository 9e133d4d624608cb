//! The kernels before the gate, interpreted: every operator that has some, at small sizes.

use std::collections::BTreeSet;

use plummet::gate::report::text;
use plummet::gate::run::{Options, check};
use plummet::gate::{Builtin, Candidate, Dtype};

/// Elements of the largest problem: three rows that a kernel of blocks takes.
const LARGEST: usize = 4096;
/// Cases of every operator and pass of the first seed, and of the others, which draw others.
const CASES: [usize; 3] = [12, 6, 6];
/// All but differences at f64, random numbers by the million, and production sizes.
const STAGES: [u8; 4] = [0, 2, 3, 5];

fn pass(dtype: Dtype, seed: u64) {
    let cases = CASES[seed as usize - 1];
    let start = move || {
        let kernels: Box<dyn Candidate> =
            Box::new(Builtin::interpreted(Some(dtype)).expect("kernels store it"));
        Ok(kernels)
    };
    let options = Options {
        seed,
        cases,
        stages: STAGES.to_vec(),
        largest: Some(LARGEST),
        ..Options::default()
    };
    let report = check(&start, &options, &|_| ());
    assert_eq!(report.exit_code, 0, "{}", text::write(&report, text::Style::default()));
    let judged: BTreeSet<&str> = report.rows.iter().map(|row| row.op.as_str()).collect();
    let served: BTreeSet<&str> = report.served.keys().map(String::as_str).collect();
    assert_eq!(judged, served);
    assert!(report.rows.iter().all(|row| row.cases >= cases), "{:?}", report.rows);
}

#[test]
fn kernels_pass_with_one_seed() {
    pass(Dtype::F32, 1);
}

#[test]
fn kernels_pass_with_another_seed() {
    pass(Dtype::F32, 2);
}

#[test]
fn kernels_pass_with_a_third_seed() {
    pass(Dtype::F32, 3);
}
