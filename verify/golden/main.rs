//! The operators against values that another implementation computed.
//!
//! Everything else compares readings of our own formulas; a formula that is wrong in the reference
//! and in the fast path alike is seen here. verify/golden/README.md says where the values are from.

mod chain;
mod load;
mod operators;
mod rotated;

use load::{Golden, Tensor};
use operators::{Problem, problem};
use plummet::check::bodies::{Budget, Path};
use plummet::op::norm::LayerNorm;

/// The files of operators; the others belong to stacks and to training.
const FILES: [&str; 7] =
    ["norms", "weights", "activations", "attention", "losses", "linear", "block"];

/// What Plummet does not have, or what another part of the suite checks.
fn skipped(golden: &Golden) -> Option<&'static str> {
    match golden.op.as_str() {
        "rotary" if golden.flag("interleaved") => Some("rotary here turns halves only"),
        "transformer_block" => Some("a whole block, for verify/stack.rs"),
        _ => None,
    }
}

/// What the values themselves may be off, relative to the largest entry of a tensor: measured
/// against 80 bits by whoever made them (README, "How exact they are"), and one more in the second
/// digit.
fn own_error(golden: &Golden, tensor: &str) -> f64 {
    match (golden.name.as_str(), tensor) {
        ("tiny_variance", "dweight") => 2.6e-11,
        ("big_mean_1e4" | "width_two" | "training_two_rows", _) => 1.5e-12,
        _ => 1.3e-13,
    }
}

/// The reference's own error is its budget at 53 bits; the values err by what is stated above.
#[test]
fn the_reference_agrees_to_the_last_digits() {
    each(|golden, problem, budget| {
        let got = Path::Reference.run(&*problem.op, &problem.case);
        for (tensor, want, place) in problem.tensors(golden) {
            let (got, allowed) = (place(&got), place(&budget.allowed));
            let largest = want.data.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            let slack = own_error(golden, tensor) * largest;
            compare(golden, tensor, want, got, |i| Path::Reference.unit() * allowed[i] + slack);
        }
    });
}

/// The budget holds the rounding of the inputs to `f32` as well.
#[test]
fn the_fast_path_agrees_within_its_budget() {
    each(|golden, problem, budget| {
        let got = Path::Fast.run(&*problem.op, &problem.case);
        for (tensor, want, place) in problem.tensors(golden) {
            let (got, allowed) = (place(&got), place(&budget.allowed));
            let largest = want.data.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            let slack = own_error(golden, tensor) * largest;
            compare(golden, tensor, want, got, |i| allowed[i] + slack);
        }
    });
}

/// What is skipped is skipped by name, and nothing else is.
#[test]
fn skipped_cases_are_few_and_named() {
    let skipped: Vec<String> = cases()
        .iter()
        .filter(|golden| golden.op != "transformer_block" && skipped(golden).is_some())
        .map(|golden| format!("{} {}", golden.op, golden.name))
        .collect();
    assert_eq!(skipped, ["rotary interleaved"]);
}

/// What is allowed is little: an eps of one in a hundred more is seen by the reference.
#[test]
fn a_slightly_wrong_constant_is_seen() {
    let golden = cases().into_iter().find(|golden| golden.op == "layer_norm").expect("a case");
    let right = problem(&golden);
    let allowed = Budget::measure(&*right.op, &right.case).allowed;
    let got = Path::Reference.run(&LayerNorm { eps: 1.01e-5 }, &right.case);
    for (tensor, want, place) in right.tensors(&golden).into_iter().filter(|t| t.0 != "dbias") {
        // No entry of this case is larger than 10.
        let slack = own_error(&golden, tensor) * 10.0;
        let bound = |i: usize| Path::Reference.unit() * place(&allowed)[i] + slack;
        let off = |i: &usize| (place(&got)[*i] - want.data[*i]).abs() > 100.0 * bound(*i);
        assert!((0..want.data.len()).any(|i| off(&i)), "{tensor}");
    }
}

fn cases() -> Vec<Golden> {
    FILES.iter().flat_map(|file| load::file(file)).collect()
}

fn each(check: impl Fn(&Golden, &Problem, &Budget)) {
    let mut checked = 0;
    for golden in cases() {
        if let Some(reason) = skipped(&golden) {
            println!("skipped {} {}: {reason}", golden.op, golden.name);
            continue;
        }
        let problem = problem(&golden);
        check(&golden, &problem, &Budget::measure(&*problem.op, &problem.case));
        checked += 1;
    }
    println!("{checked} cases");
}

fn compare(
    golden: &Golden,
    tensor: &str,
    want: &Tensor,
    got: &[f64],
    allowed: impl Fn(usize) -> f64,
) {
    assert_eq!(got.len(), want.data.len(), "{} {}, {tensor}", golden.op, golden.name);
    for (i, (got, want)) in got.iter().zip(&want.data).enumerate() {
        let (error, allowed) = ((got - want).abs(), allowed(i));
        assert!(
            error <= allowed,
            "{} {}, {tensor}[{i}] is {got:e}, not {want:e}: off by {error:e}, allowed {allowed:e}",
            golden.op,
            golden.name
        );
    }
}
