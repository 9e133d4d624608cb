//! The gate of speed on real processes: a command against itself is neither slower nor faster,
//! one that does a tenth of its work again is slower or left open.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use plummet::gate::perf::{Options, Report, Verdict, perf};
use plummet::gate::wire::Process;
use plummet::gate::{Broken, Candidate};

/// A softmax in C, plain or with memory of its own in every call, that does `SLOWER` of its work
/// again.
const C: &str = r#"
#include "plummet.h"
#include <math.h>
const char *plummet_hello(void) {
    return "{\"impl\": {\"name\": \"c\"}, \"ops\": {\"softmax\": {\"limits\": {\"max_elements\": 1000000}}}}";
}
static void softmax(const float *x, float *y, size_t rows, size_t cols) {
    float *e = y;
#ifdef ALLOCATE
    e = malloc(rows * cols * sizeof(float));
#endif
    for (size_t i = 0; i < rows * cols; i += cols) {
        float most = x[i], sum = 0;
        for (size_t j = 1; j < cols; j++) most = fmaxf(most, x[i + j]);
        for (size_t j = 0; j < cols; j++) sum += e[i + j] = most > -INFINITY ? expf(x[i + j] - most) : 0;
        for (size_t j = 0; j < cols; j++) y[i + j] = sum > 0 ? e[i + j] / sum : 0;
    }
#ifdef ALLOCATE
    free(e);
#endif
}
int plummet_run(const char *request, const plummet_tensor *in, size_t n_in, plummet_tensor *out,
                size_t n_out, char *message, size_t message_bytes) {
    static double owed = 0;
    const plummet_tensor *x = plummet_find(in, n_in, "x"), *y = plummet_find(out, n_out, "y");
    size_t rows = 1, cols = x->dims[x->rank - 1];
    for (size_t i = 0; i + 1 < x->rank; i++) rows *= x->dims[i];
    softmax(x->data, y->data, rows, cols);
    for (owed += SLOWER; owed >= 1; owed -= 1) softmax(x->data, y->data, rows, cols);
    return 0;
}
"#;

/// The same in NumPy: every line takes memory of its own.
const NUMPY: &str = r#"
import sys; sys.path.insert(0, sys.argv[1])
import numpy as np, plummet
owed = 0.0
def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True).clip(-1e30))
    return e / e.sum(-1, keepdims=True).clip(1e-30)
@plummet.op("softmax")
def slowed(x):
    global owed
    y = softmax(x)
    owed += float(sys.argv[2])
    while owed >= 1:
        y = softmax(x); owed -= 1
    return y
plummet.serve("numpy")
"#;

fn adapters() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("adapters")
}

/// A target that does a share of its work again.
fn target(kind: &str, folder: &Path, slower: f64) -> Vec<OsString> {
    let path = folder.join(format!("{kind}-{slower}"));
    let plummet = || OsString::from(env!("CARGO_BIN_EXE_plummet"));
    match kind {
        "built-in" => vec![plummet(), "adapter".into()],
        "NumPy" => {
            std::fs::write(&path, NUMPY).unwrap();
            let slower = slower.to_string().into();
            let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
            vec!["python3".into(), path.into(), package.into(), slower]
        }
        _ => {
            let source = folder.join("softmax.c");
            std::fs::write(&source, C).unwrap();
            let mut cc = Command::new("cc");
            cc.args(["-O2", "-shared", "-fPIC", "-I"]).arg(adapters().join("c"));
            cc.arg(format!("-DSLOWER={slower}")).arg("-o").arg(&path).arg(&source).arg("-lm");
            if kind == "C, allocating" {
                cc.arg("-DALLOCATE");
            }
            assert!(cc.status().expect("a C compiler").success());
            vec![plummet(), "adapter".into(), "--lib".into(), path.into()]
        }
    }
}

fn compared(kind: &str, slower: f64, seed: u64, budget: f64) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let [base, cand] = [0.0, slower].map(|slower| target(kind, folder.path(), slower));
    let options = Options {
        ops: vec!["softmax:fwd:f32".into()],
        sizes: vec!["rows=64,cols=1024".into()],
        budget: Duration::from_secs_f64(budget),
        bandwidth: Some(f64::INFINITY),
        seed,
    };
    let start = |command: &[OsString], padding: usize| -> Result<Box<dyn Candidate>, Broken> {
        Ok(Box::new(Process::new(command).environment("PADDING", "x".repeat(padding))))
    };
    let (base, cand) = (|padding| start(&base, padding), |padding| start(&cand, padding));
    perf(&base, &cand, &options, &mut |_| ()).expect("softmax is served")
}

#[test]
fn a_command_against_itself_is_neither_slower_nor_faster() {
    for kind in ["built-in", "C", "C, allocating"] {
        let report = compared(kind, 0.0, 1, 1.5);
        let verdict = report.timings[0].verdict;
        assert!(matches!(verdict, Verdict::Ok | Verdict::Inconclusive), "{kind}: {report}");
    }
}

#[test]
fn twice_the_work_in_c_is_never_called_equal() {
    let report = compared("C", 1.0, 1, 3.0);
    let verdict = report.timings[0].verdict;
    assert!(matches!(verdict, Verdict::Regression | Verdict::Inconclusive), "{report}");
}

/// By hand, on a quiet machine, with NumPy in `python3`; prints the table of docs/gate.md:
/// `cargo test --test gate hundred_of_each -- --ignored --nocapture`. `GATE_TARGET=NumPy` takes that
/// one alone, `GATE_BUDGET=2` two seconds for each comparison, `GATE_COUNT=10` ten comparisons.
#[test]
#[ignore = "takes an hour"]
fn hundred_of_each() {
    let var = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<f64>().ok());
    let (count, budget) =
        (var("GATE_COUNT").unwrap_or(100.0) as usize, var("GATE_BUDGET").unwrap_or(8.0));
    println!(
        "| target | cand | slower | faster | not slower | left open |\n|---|---|---:|---:|---:|---:|"
    );
    let kinds = [("built-in", &[0.0][..]), ("C", &[0.0, 0.1]), ("C, allocating", &[0.0, 0.1])];
    let alone = std::env::var("GATE_TARGET").ok();
    let mut failed = Vec::new();
    for (kind, shares) in kinds.into_iter().chain([("NumPy", &[0.0, 0.1][..])]) {
        if alone.as_ref().is_some_and(|alone| alone != kind) {
            continue;
        }
        for &share in shares {
            let mut ends = [0; 4];
            for seed in 0..count as u64 {
                let report = compared(kind, share, seed, budget);
                eprintln!("{kind} {share} {seed}: {}", report.timings[0]);
                ends[match report.timings[0].verdict {
                    Verdict::Regression => 0,
                    Verdict::Faster => 1,
                    Verdict::Ok => 2,
                    Verdict::Inconclusive => 3,
                    other => panic!("{other}: {report}"),
                }] += 1;
            }
            let [slower, faster, ok, open] = ends;
            let cand = if share > 0.0 { "10 % more work" } else { "the same" };
            println!("| {kind} | {cand} | {slower} | {faster} | {ok} | {open} |");
            let holds = match share > 0.0 {
                true => (ok + faster) * 10 <= count,
                false => (slower + faster) * 100 <= count,
            };
            if !holds {
                failed.push((kind, share, ends));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}
