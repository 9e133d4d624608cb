//! Memory: what `--plan` says is what a run takes, and `--memory` is kept.

use super::support::*;

/// Width, depth, sequence, batch and shards of a stack.
type Sizes = [usize; 5];

fn flags(sizes: Sizes) -> Vec<String> {
    let names = ["--width", "--depth", "--seq", "--batch", "--shards"];
    let pairs = names.into_iter().zip(sizes);
    pairs.flat_map(|(name, size)| [name.to_string(), size.to_string()]).collect()
}

/// The bytes of the plan, and the run as JSON.
fn planned_and_run(sizes: Sizes, more: &[&str]) -> (u64, serde_json::Value) {
    let place = Place::empty();
    let sizes = flags(sizes);
    let mut flags: Vec<&str> = sizes.iter().map(String::as_str).collect();
    flags.extend(["--positions", "learned"]);
    flags.extend(more);
    if !more.contains(&"--steps") {
        flags.extend(["--steps", "1"]);
    }
    let plan = answered(&place.train(&[&flags[..], &["--plan"]].concat()));
    let total = plan.lines().last().unwrap().split_whitespace().nth(2).unwrap().parse().unwrap();
    (total, json(&place.train(&[&flags[..], &["--json"]].concat())))
}

#[test]
fn the_plan_is_the_peak() {
    let cases: [(Sizes, &[&str]); 5] = [
        ([64, 12, 64, 16, 4], &["--checkpoint", "none"]),
        ([64, 12, 64, 16, 2], &["--checkpoint", "auto"]),
        ([128, 12, 32, 4, 1], &["--checkpoint", "4"]),
        ([32, 300, 32, 4, 2], &["--checkpoint", "auto", "--optimizer", "sgd"]),
        ([48, 24, 32, 4, 2], &["--checkpoint", "2", "--norm", "batch_norm"]),
    ];
    for (sizes, more) in cases {
        let (plan, run) = planned_and_run(sizes, more);
        let peak = run["peak_bytes"].as_u64().unwrap();
        let off = (plan as f64 - peak as f64) / peak as f64;
        println!("{sizes:?} {more:?}: plan {plan}, peak {peak}, {:.2} %", 100.0 * off);
        assert!(off.abs() <= 0.02, "{sizes:?} {more:?}: plan {plan}, peak {peak}");
    }
}

#[test]
fn a_snapshot_takes_next_to_no_memory() {
    let more = ["--checkpoint", "auto", "--snapshot-seconds", "0", "--steps", "3"];
    let (plan, run) = planned_and_run([128, 24, 32, 4, 2], &more);
    let peak = run["peak_bytes"].as_u64().unwrap();
    assert!((plan as f64 - peak as f64).abs() <= 0.02 * peak as f64, "plan {plan}, peak {peak}");
}

#[test]
fn a_budget_changes_memory_and_no_result() {
    let sizes = [32, 64, 16, 8, 2];
    let (free, all_kept) = planned_and_run(sizes, &[]);
    let budget = (free - (4 << 20)).to_string();
    let (tight, checkpointed) = planned_and_run(sizes, &["--memory", &budget]);
    assert!(tight < free && tight <= budget.parse().unwrap(), "{tight} of {budget}, {free}");
    for field in ["run", "loss", "val_loss", "token_cosine"] {
        assert_eq!(all_kept[field], checkpointed[field], "{field}");
    }
}

#[test]
fn what_does_not_fit_is_refused_with_the_least_that_does() {
    let place = Place::empty();
    let line = refused(&place.train(&["--memory", "1MiB"]), &["memory = 1MiB", "or more"]);
    // What the refusal names is enough.
    let least: u64 = line.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
    let enough = least.to_string();
    answered(&place.train(&["--memory", &enough, "--plan"]));
    let short = (least - 1).to_string();
    refused(&place.train(&["--memory", &short, "--plan"]), &["memory = ", "or more"]);
    let strict = ["--memory", &enough[..], "--depth", "40", "--checkpoint", "none"];
    refused(&place.train(&strict), &["memory = ", "--checkpoint none needs"]);
    for wrong in ["2gib", "0", "-1", "much", "NaN"] {
        refused(&place.train(&["--memory", wrong]), &[&format!("memory = {wrong}"), "2GiB"]);
    }
    assert!(!place.store.exists(), "a refusal made a store");
}
