//! Plummet's own operators before the gate, at `f32` and at `f64`.

use plummet::check::spec;
use plummet::gate::selftest::{WITHIN, first_kill};
use plummet::gate::{Builtin, Candidate, Dtype};

/// Every operator that it serves and that has an oracle, in every pass.
fn judged(dtype: Dtype) {
    let mut builtin = Builtin::new(dtype).unwrap();
    let served = builtin.hello().unwrap().ops;
    let only = std::env::var("GATE_OP").ok();
    let mut failures = Vec::new();
    for (name, served) in &served {
        let known = spec::find(name).filter(|operator| !operator.random());
        if known.is_none() || only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        // The passes take turns; as many cases as a mutant has to die in.
        let cases = WITHIN * served.dirs().len();
        if let Some(failure) = first_kill(&mut builtin, name, 1, cases) {
            failures
                .push(format!("{name}, case {}: {} {}", failure.after, failure.why, failure.case));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn own_fast_paths_pass() {
    judged(Dtype::F32);
}

#[test]
fn own_references_pass() {
    judged(Dtype::F64);
}

#[test]
fn other_dtypes_are_refused_by_name() {
    let refused = Builtin::new(Dtype::Bf16).unwrap_err();
    assert_eq!(refused.to_string(), "dtype = bf16: allowed is f32, f64");
}
