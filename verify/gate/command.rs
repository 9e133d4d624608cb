//! `plummet gate check` as a user types it, with adapters that misbehave on purpose.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::misbehaving;

fn check(flags: &[&str], role: &str) -> Output {
    let plummet = env!("CARGO_BIN_EXE_plummet");
    let adapter = misbehaving::command(role);
    let args = ["gate", "check"].iter().chain(flags).map(|flag| flag.to_string());
    let args = args.chain(["--".to_string()]).chain(adapter);
    Command::new(plummet).args(args).output().unwrap()
}

const SMALL: [&str; 6] = ["--ops", "layer_norm:fwd:f32", "--cases", "4", "--stages", "0,2"];

fn small<'a>(more: &[&'a str], role: &str) -> (i32, String, String) {
    let flags: Vec<&'a str> = SMALL.iter().copied().chain(more.iter().copied()).collect();
    let Output { status, stdout, stderr } = check(&flags, role);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn failures_go_to_standard_error_at_once_and_json_stays_pure() {
    let (code, stdout, stderr) = small(&["--json", "-"], "doubles");
    assert_eq!(code, 1, "{stderr}");
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["findings"].as_array().unwrap().len(), 1);
    let lines: Vec<&str> = stderr.lines().collect();
    assert!(lines[0].starts_with("FAIL layer_norm:fwd:f32 y["), "{stderr}");
    assert!(lines[0].ends_with(": explaining"), "{stderr}");
    assert!(lines[1].starts_with("FAIL layer_norm:fwd:f32  y   ("), "{stderr}");
    let (code, stdout, stderr) = small(&["--quiet"], "doubles");
    assert_eq!((code, stderr.as_str()), (1, ""));
    assert!(stdout.contains("FAIL layer_norm:fwd:f32  y"), "{stdout}");
    let (code, _, stderr) = small(&[], "right");
    assert_eq!((code, stderr.as_str()), (0, ""));
}

#[test]
fn a_target_that_compiles_is_right_and_one_without_patience_is_told_of_it() {
    assert_eq!(small(&[], "compiles").0, 0);
    let (code, stdout, _) = small(&["--patience", "first=200ms,call=200ms"], "compiles");
    assert_eq!(code, 7, "{stdout}");
    assert!(stdout.contains("no answer within 0.2 s") && stdout.contains("--patience"), "{stdout}");
    let dir = tempfile::tempdir().unwrap();
    let manifest = dir.path().join("gate.toml");
    std::fs::write(&manifest, "[patience]\nfirst = '200ms'\ncall = '200ms'\n").unwrap();
    assert_eq!(small(&["--manifest", manifest.to_str().unwrap()], "compiles").0, 7);
    // The command line has the last word.
    let both = ["--manifest", manifest.to_str().unwrap(), "--patience", "20s"];
    assert_eq!(small(&both, "compiles").0, 0);
}

#[test]
fn a_broken_adapter_is_one_finding() {
    let (code, stdout, _) = small(&[], "always_errors");
    assert_eq!((code, stdout.matches("FAIL layer_norm:").count()), (6, 1), "{stdout}");
    assert!(stdout.contains("answers every call with an error: ImportError"), "{stdout}");
    let (code, stdout, _) = small(&[], "ends_with_a_trace");
    assert_eq!(code, 7, "{stdout}");
    assert!(stdout.contains("ValueError: the cause") && stdout.contains("lines"), "{stdout}");
}

#[test]
fn what_the_adapter_does_not_serve_is_not_green() {
    for ops in ["softmax", "layer_norm:fwd:f32,rms_norm", "layer_norm,dropout:bwd"] {
        let output = check(&["--ops", ops, "--cases", "2", "--stages", "0"], "right");
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(5), "{ops}: {stdout}");
        assert!(stdout.contains("UNTESTED nothing of "), "{ops}: {stdout}");
    }
}

#[test]
fn flags_that_leave_nothing_to_do_are_refused() {
    for (flag, value) in [
        ("--time", "0s"),
        ("--cases", "0"),
        ("--patience", "0s"),
        ("--patience", "first"),
        ("--patience", "first=1y"),
        ("--stages", "9"),
        ("--ops", "layernorm"),
    ] {
        let output = check(&[flag, value], "right");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{flag} {value}: {said}");
        assert!(said.contains(flag.trim_start_matches('-')), "{flag} {value}: {said}");
    }
}

#[test]
fn a_budget_is_kept_by_a_slow_target() {
    let start = Instant::now();
    let output = check(&["--ops", "layer_norm", "--time", "4s"], "compiles");
    let stdout = String::from_utf8(output.stdout).unwrap();
    // One call may be under way, and the target takes its time to start and to go.
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}: {stdout}", start.elapsed());
    assert!(stdout.contains("left out, time was up"), "{stdout}");
}

/// To write it anew: `plummet gate ops --json >python/plummet/operators.json`.
#[test]
fn what_python_knows_of_the_operators_is_what_the_gate_says() {
    let plummet = env!("CARGO_BIN_EXE_plummet");
    let Output { stdout, .. } =
        Command::new(plummet).args(["gate", "ops", "--json"]).output().unwrap();
    let said = String::from_utf8(stdout).unwrap();
    assert_eq!(said, include_str!("../../python/plummet/operators.json"));
    let all: Vec<serde_json::Value> = serde_json::from_str(&said).unwrap();
    let layer_norm = &all[0];
    assert_eq!(layer_norm["optional"], serde_json::json!(["weight", "bias"]));
    assert_eq!(layer_norm["attrs"], serde_json::json!({"eps": 1e-5, "normalized_dims": 1}));
    assert_eq!(layer_norm["returns"]["bwd"], serde_json::json!(["dx", "dweight", "dbias"]));
}
