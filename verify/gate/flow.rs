//! How a run goes: failures are told as they are found, a cause is one finding, time is shared, and
//! what was not tested is never green.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use plummet::check::call::{Call, Candidate, Claims, Dir, Hello, Identity, Reply, Served};
use plummet::check::flaw::Fault;
use plummet::gate::manifest;
use plummet::gate::mutants::ModelCandidate;
use plummet::gate::report::{Report, apply, text};
use plummet::gate::run::{Event, Options, check};
use plummet::gate::{Broken, Dtype};

/// A target of some operators that answers as a function of the right answer has it.
#[derive(Clone)]
struct Acts<F> {
    ops: Vec<(&'static str, Served)>,
    act: F,
}

impl<F: Fn(&Call, Reply) -> Result<Reply, Broken>> Candidate for Acts<F> {
    fn hello(&mut self) -> Result<Hello, Broken> {
        let identity = Identity { name: "acts".into(), ..Identity::default() };
        let ops = self.ops.iter().map(|(op, served)| (op.to_string(), served.clone())).collect();
        Ok(Hello { identity, ops, claims: Claims::default() })
    }
    fn run(&mut self, call: &Call) -> Result<Reply, Broken> {
        let operator = plummet::check::spec::find(&call.op).expect("an operator");
        let right = ModelCandidate::new(operator.name(), "").run(call)?;
        (self.act)(call, right)
    }
}

fn served(dirs: &[Dir], dtypes: &[Dtype]) -> Served {
    Served { dir: Some(dirs.to_vec()), dtype: Some(dtypes.to_vec()), ..Served::default() }
}

fn both(dtypes: &[Dtype]) -> Served {
    served(&[Dir::Fwd, Dir::Bwd], dtypes)
}

fn judged(
    ops: &[(&'static str, Served)],
    options: &Options,
    act: impl Fn(&Call, Reply) -> Result<Reply, Broken> + Clone + Sync + 'static,
) -> Report {
    let start = || {
        let target: Box<dyn Candidate> = Box::new(Acts { ops: ops.to_vec(), act: act.clone() });
        Ok(target)
    };
    check(&start, options, &|_| ())
}

fn few() -> Options {
    Options { cases: 12, stages: vec![0, 2, 3], ..Options::default() }
}

fn filtered(filters: &[&str]) -> Options {
    Options { filters: filters.iter().map(|f| f.parse().unwrap()).collect(), ..few() }
}

/// Adds something to the first tensor of an answer.
fn off(reply: Reply, by: impl Fn(f64) -> f64) -> Result<Reply, Broken> {
    let Reply::Ok(mut answer) = reply else { return Ok(reply) };
    for value in &mut answer.values_mut().next().expect("a tensor").values {
        *value = by(*value);
    }
    Ok(Reply::Ok(answer))
}

fn told(report: &Report) -> String {
    text::write(report, text::Style::default())
}

fn rows(report: &Report) -> Vec<Vec<&str>> {
    report.findings.iter().map(|finding| finding.rows().collect()).collect()
}

// ---- one finding per cause ----

#[test]
fn what_fails_in_every_dtype_is_explained_once() {
    let dtypes = [Dtype::F64, Dtype::F32, Dtype::F16, Dtype::Bf16];
    let report = judged(&[("softmax", served(&[Dir::Fwd], &dtypes))], &few(), |_, reply| {
        off(reply, |y| 2.0 * y)
    });
    assert_eq!((report.exit_code, report.findings.len()), (1, 1), "{}", told(&report));
    // The one that is explained is that of most readers.
    assert_eq!(report.findings[0].subject, "softmax:fwd:f32");
    assert_eq!(rows(&report)[0].len(), 4);
    assert!(report.findings[0].shrunk.is_some());
    assert!(told(&report).contains("also, for the same reason: softmax:fwd:f64 y"));
}

#[test]
fn a_wrong_forward_explains_its_backward() {
    for id in ["ln_eps_out", "ln_one_pass"] {
        let start = || {
            let target: Box<dyn Candidate> = Box::new(ModelCandidate::new("layer_norm", id));
            Ok(target)
        };
        let filters = ["layer_norm:fwd:f32", "layer_norm:bwd:f32"];
        let options = Options { stages: vec![0, 2], cases: 40, ..filtered(&filters) };
        let report = check(&start, &options, &|_| ());
        assert_eq!(report.exit_code, 1);
        assert_eq!(report.findings[0].subject, "layer_norm:fwd:f32", "{id}");
        let affected = &report.findings[0].affects;
        assert!(
            affected.iter().any(|row| row.subject == "layer_norm:bwd:f32"),
            "{}",
            told(&report)
        );
        assert_eq!(report.findings.len(), 1, "{}", told(&report));
    }
}

#[test]
fn two_faults_are_two_findings() {
    // Forward adds, backward turns round: neither is the reason of the other.
    let report = judged(&[("softmax", both(&[Dtype::F32]))], &few(), |call, reply| {
        match call.dir {
            // Wrong in some shapes only, so that backward fails where forward is right.
            Dir::Fwd if call.tensors["x"].values.len() % 2 == 0 => off(reply, |y| 2.0 * y),
            Dir::Fwd => Ok(reply),
            Dir::Bwd => off(reply, |dx| dx + 0.5),
        }
    });
    let subjects: Vec<&str> = report.findings.iter().map(|f| f.subject.as_str()).collect();
    assert_eq!(subjects, ["softmax:fwd:f32", "softmax:bwd:f32"], "{}", told(&report));
    assert!(report.findings.iter().all(|finding| finding.shrunk.is_some()));
}

#[test]
fn noise_at_f64_hides_no_failure_in_sixteen_bits() {
    let dtypes = [Dtype::F64, Dtype::F32, Dtype::Bf16];
    let report = judged(&[("softmax", served(&[Dir::Fwd], &dtypes))], &few(), |call, reply| {
        match call.dtype {
            Dtype::F64 => off(reply, |y| y * (1.0 + 1e-12)),
            Dtype::Bf16 => off(reply, |y| y * 1.1),
            _ => Ok(reply),
        }
    });
    let explained: Vec<&str> =
        report.findings.iter().filter(|f| f.shrunk.is_some()).map(|f| f.subject.as_str()).collect();
    assert!(explained.contains(&"softmax:fwd:f64"), "{explained:?}");
    assert!(explained.contains(&"softmax:fwd:bf16"), "{explained:?}");
}

#[test]
fn the_same_shape_that_is_wrong_everywhere_is_one_finding() {
    let report = judged(&[("softmax", both(&[Dtype::F32, Dtype::F64]))], &few(), |_, reply| {
        let Reply::Ok(answer) = reply else { return Ok(reply) };
        let flat = |tensor: plummet::gate::Tensor| {
            plummet::gate::Tensor::new(tensor.dtype, &[tensor.values.len()], tensor.values.clone())
        };
        Ok(Reply::Ok(answer.into_iter().map(|(name, tensor)| (name, flat(tensor))).collect()))
    });
    assert_eq!(report.exit_code, 1);
    // That of y and that of dx: a name is no number.
    assert!(report.findings.len() <= 2, "{}", told(&report));
}

#[test]
fn findings_are_the_same_on_one_worker_and_on_three() {
    let seen = |jobs: usize| {
        let options = Options { jobs, ..few() };
        let ops =
            [("softmax", both(&[Dtype::F32, Dtype::F64])), ("scale_norm", both(&[Dtype::F32]))];
        let report = judged(&ops, &options, |call, reply| match call.op.as_str() {
            "softmax" => off(reply, |y| 2.0 * y),
            _ => Ok(reply),
        });
        report.findings.iter().map(|f| (f.name(), f.affects.len())).collect::<Vec<_>>()
    };
    assert_eq!(seen(1), seen(3));
}

#[test]
fn a_manifest_that_expects_one_row_does_not_excuse_the_others() {
    let dtypes = [Dtype::F32, Dtype::F64];
    let act = |_: &Call, reply| off(reply, |y| 2.0 * y);
    let expecting = |pattern: &str| {
        let toml = format!("[[expect]]\nmatch='{pattern}'\nstatus='xfail'\nreason='known'");
        let manifest = manifest::parse(&toml).unwrap();
        let options = Options { manifest: manifest.clone(), ..few() };
        let mut report = judged(&[("softmax", served(&[Dir::Fwd], &dtypes))], &options, act);
        apply(&mut report, &manifest, manifest::Date::today());
        report
    };
    assert_eq!(expecting("softmax").exit_code, 0);
    assert_eq!(expecting("softmax").findings.len(), 1);
    for pattern in ["softmax:fwd:f32", "softmax:fwd:f64"] {
        let report = expecting(pattern);
        assert_eq!((report.exit_code, report.counted().count()), (1, 1), "{}", told(&report));
    }
}

// ---- broken adapters ----

#[test]
fn an_adapter_that_answers_every_call_with_an_error_is_one_finding() {
    let ops = [("softmax", both(&[Dtype::F32, Dtype::F64])), ("rms_norm", both(&[Dtype::F32]))];
    let report = judged(&ops, &Options::default(), |call, _| {
        Ok(Reply::Error(format!("RuntimeError: no device for {}", call.tensors["x"].values.len())))
    });
    assert_eq!((report.exit_code, report.findings.len()), (6, 1), "{}", told(&report));
    let finding = &report.findings[0];
    assert_eq!(finding.fault, Fault::Protocol);
    assert!(
        finding
            .message
            .starts_with("the adapter answers every call with an error: RuntimeError: no device")
    );
    assert_eq!(finding.rows().count(), 6, "{:?}", rows(&report));
    // It is not asked for ever.
    assert!(report.rows.iter().all(|row| row.cases < 10), "{:#?}", report.cut_short);
}

#[test]
fn one_operator_that_always_fails_is_one_finding_and_a_wrong_result() {
    let ops = [("softmax", both(&[Dtype::F32, Dtype::F64])), ("rms_norm", both(&[Dtype::F32]))];
    let report = judged(&ops, &few(), |call, reply| match call.op.as_str() {
        "rms_norm" => Ok(Reply::Error("NameError: rstd".into())),
        _ => Ok(reply),
    });
    assert_eq!((report.exit_code, report.findings.len()), (1, 1), "{}", told(&report));
    assert_eq!(report.findings[0].subject, "rms_norm:fwd:f32");
    assert!(report.findings[0].message.contains("answered error: NameError"));
}

#[test]
fn what_is_declared_and_never_served_is_one_finding() {
    let report = judged(&[("softmax", both(&[Dtype::F32]))], &few(), |_, _| {
        Ok(Reply::Unsupported("later".into()))
    });
    assert_eq!((report.exit_code, report.findings.len()), (1, 1), "{}", told(&report));
    assert!(report.findings[0].message.contains("every call with unsupported"));
}

#[test]
fn an_adapter_that_dies_at_every_call_is_one_finding() {
    let ops = [("softmax", both(&[Dtype::F32])), ("rms_norm", both(&[Dtype::F32]))];
    let report = judged(&ops, &few(), |call, _| {
        let lines = call.tensors["x"].values.len();
        Err(Broken::Crash(format!(
            "exited with code 1; standard error ends, after {lines} lines more:\nTraceback\n  \
             line {lines}\nImportError: libfoo.so"
        )))
    });
    assert_eq!((report.exit_code, report.findings.len()), (7, 1), "{}", told(&report));
    assert!(told(&report).contains("ImportError: libfoo.so"));
}

#[test]
fn an_error_at_some_calls_is_shrunk_like_a_wrong_number() {
    let report = judged(
        &[("softmax", served(&[Dir::Fwd], &[Dtype::F32]))],
        &few(),
        |call, reply| match call.tensors["x"].shape.last() {
            Some(cols) if cols % 2 == 1 && *cols > 1 => Ok(Reply::Error("odd".into())),
            _ => Ok(reply),
        },
    );
    assert_eq!((report.exit_code, report.findings.len()), (1, 1), "{}", told(&report));
    assert!(report.findings[0].shrunk.as_ref().unwrap().case.contains("cols=3"));
}

// ---- told as it is found ----

#[test]
fn a_failure_is_told_before_the_next_question_and_explained_at_the_end_of_its_row() {
    let seen: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let say = |text: String| seen.lock().unwrap().push(text);
    let start = || {
        let ops = vec![("softmax", served(&[Dir::Fwd], &[Dtype::F32]))];
        let act = |_: &Call, reply| off(reply, |y| 2.0 * y);
        let target: Box<dyn Candidate> = Box::new(Acts { ops, act });
        Ok(target)
    };
    check(&start, &few(), &|event| match event {
        Event::Failure { row, flaw } => say(format!("failure {row} {}", flaw.message)),
        Event::Explained(finding) => say(format!("explained {}", finding.name())),
        Event::Done { row, done, of } => say(format!("done {row} {done}/{of}")),
    });
    let seen = seen.into_inner().unwrap();
    assert!(seen[0].starts_with("failure softmax:fwd:f32 y[0] is"), "{seen:?}");
    assert_eq!(seen[1..], ["explained softmax:fwd:f32 y", "done softmax:fwd:f32 1/1"], "{seen:?}");
}

#[test]
fn the_first_cases_of_every_row_are_put_before_the_rest_of_any() {
    let names = ["scale_norm", "softmax", "rms_norm"];
    let seen: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let say = |text: String| seen.lock().unwrap().push(text);
    let start = || {
        let ops = names.map(|op| (op, both(&[Dtype::F32]))).to_vec();
        let act = |call: &Call, reply| match (call.op.as_str(), call.dir) {
            ("rms_norm", Dir::Bwd) => off(reply, |dx| dx + 1.0),
            _ => Ok(reply),
        };
        let target: Box<dyn Candidate> = Box::new(Acts { ops, act });
        Ok(target)
    };
    let report = check(&start, &few(), &|event| match event {
        Event::Failure { row, flaw } => say(format!("{row} {}", flaw.message)),
        Event::Explained(_) => {}
        Event::Done { row, .. } => say(format!("done {row}")),
    });
    let seen = seen.into_inner().unwrap();
    let told = seen.iter().position(|event| event.starts_with("rms_norm:bwd:f32")).unwrap();
    let done = seen.iter().position(|event| event.starts_with("done")).unwrap();
    assert!(told < done, "{seen:?}");
    // They are cases of their rows like the others, and no failure is told twice.
    assert!(report.rows.iter().all(|row| row.cases == 13), "{:?}", report.rows);
    assert_eq!(seen.iter().filter(|event| **event == seen[told]).count(), 1, "{seen:?}");
}

#[test]
fn fail_fast_ends_with_the_first_explained_failure() {
    let ops = [("softmax", both(&[Dtype::F32])), ("rms_norm", both(&[Dtype::F32]))];
    let options = Options { fail_fast: true, stages: (0..7).collect(), ..few() };
    let report = judged(&ops, &options, |call, reply| match (call.op.as_str(), call.dir) {
        ("rms_norm", _) => off(reply, |y| 2.0 * y),
        ("softmax", Dir::Bwd) => off(reply, |dx| dx + 1.0),
        _ => Ok(reply),
    });
    assert_eq!((report.exit_code, report.findings.len()), (1, 1), "{}", told(&report));
    assert!(report.findings[0].shrunk.is_some());
    assert!(report.cut_short.iter().any(|cut| cut.why == "the first failure ended the run"));
    // What passed before is told as well.
    let right = judged(&ops, &options, |_, reply| Ok(reply));
    assert_eq!((right.exit_code, right.cut_short.len()), (0, 0), "{}", told(&right));
}

// ---- time ----

#[test]
fn time_is_shared_by_all_operators_in_turn() {
    let names = ["scale_norm", "softmax", "layer_norm"];
    let ops: Vec<_> = names.map(|op| (op, both(&[Dtype::F32]))).to_vec();
    for wrong in ["", "layer_norm", "softmax"] {
        let budget = Duration::from_secs(8);
        let options = Options { time: Some(budget), ..Options::default() };
        let began = Instant::now();
        let report = judged(&ops, &options, move |call, reply| {
            std::thread::sleep(Duration::from_millis(10));
            if call.op == wrong { off(reply, |y| 2.0 * y) } else { Ok(reply) }
        });
        let took = began.elapsed();
        assert!(took < budget + Duration::from_millis(1500), "{wrong}: {took:?}");
        assert!(report.rows.iter().all(|row| row.cases > 0), "{wrong}: {}", told(&report));
        assert_eq!(report.exit_code, u8::from(!wrong.is_empty()), "{}", told(&report));
        assert!(!report.cut_short.is_empty());
        assert!(told(&report).contains("left out, time was up: "), "{}", told(&report));
    }
}

#[test]
fn a_budget_that_is_over_at_once_says_nothing_and_is_not_green() {
    let options = Options { time: Some(Duration::from_millis(1)), ..Options::default() };
    let ops = [("softmax", both(&[Dtype::F32]))];
    let report = judged(&ops, &options, |_, reply| {
        std::thread::sleep(Duration::from_millis(20));
        Ok(reply)
    });
    assert_eq!(report.exit_code, 5, "{}", told(&report));
    assert!(report.inconclusive.iter().any(|line| line.ends_with("time was up")));
}

// ---- what was not tested ----

fn untested(ops: &[(&'static str, Served)], options: &Options, why: &str) {
    let report = judged(ops, options, |_, reply| Ok(reply));
    let told = told(&report);
    assert_eq!(report.exit_code, 5, "{why}: {told}");
    assert!(report.inconclusive.iter().any(|line| line.contains(why)), "{why}: {told}");
    assert!(told.contains("UNTESTED ") && !told.contains("PASS"), "{told}");
}

#[test]
fn what_was_not_tested_is_not_green() {
    let softmax = [("softmax", served(&[Dir::Fwd], &[Dtype::F32]))];
    let norms = [("layer_norm", both(&[Dtype::F32])), softmax[0].clone()];
    untested(
        &softmax,
        &filtered(&["layer_norm"]),
        "nothing of layer_norm was tested: the target does not serve it",
    );
    untested(
        &softmax,
        &filtered(&["softmax:bwd"]),
        "softmax:bwd was tested: the target does not declare it",
    );
    untested(&softmax, &filtered(&["softmax:fwd:f16"]), "softmax:fwd:f16 was");
    // In part as well: what was asked for by name is not there.
    untested(&norms, &filtered(&["layer_norm", "softmax:bwd:f32"]), "softmax:bwd:f32");
    untested(&softmax, &Options { stages: vec![1], ..few() }, "have no problem for it");
    untested(&softmax, &Options { stages: vec![4], ..few() }, "have no problem for it");
    untested(&softmax, &Options { stages: vec![6], ..few() }, "have no problem for it");
    let skip = "[[expect]]\nmatch='softmax'\nstatus='skip'\nreason='slow'";
    let manifest = manifest::parse(skip).unwrap();
    untested(
        &softmax,
        &Options { manifest: manifest.clone(), ..few() },
        "the manifest leaves out all",
    );
    let options = Options { manifest, ..filtered(&["softmax", "layer_norm"]) };
    untested(&norms, &options, "nothing of softmax was tested: the manifest leaves it out");
}

#[test]
fn what_was_tested_is_green() {
    let ops =
        [("layer_norm", both(&[Dtype::F32])), ("softmax", served(&[Dir::Fwd], &[Dtype::F32]))];
    for stages in [vec![0], vec![0, 2], vec![2, 5]] {
        let options =
            Options { stages: stages.clone(), ..filtered(&["layer_norm:fwd", "softmax"]) };
        let report = judged(&ops, &options, |_, reply| Ok(reply));
        assert_eq!(report.exit_code, 0, "{stages:?}: {}", told(&report));
    }
    // Of softmax no argument can be moved, and of a norm some.
    let options = Options { stages: vec![3], ..filtered(&["layer_norm:fwd"]) };
    let report = judged(&ops, &options, |_, reply| Ok(reply));
    assert_eq!(report.exit_code, 0, "{}", told(&report));
    // The gradients are looked at once for an operator, and only that is asked.
    let ops = [("layer_norm", both(&[Dtype::F64, Dtype::F32]))];
    let report = judged(&ops, &Options { stages: vec![4], ..few() }, |_, reply| Ok(reply));
    assert_eq!(report.exit_code, 0, "{}", told(&report));
}

#[test]
fn a_target_that_promises_nothing_but_gives_something_is_asked_to_the_end() {
    // An error now and then is a failure, and no reason to leave the rest of a row alone.
    let report =
        judged(&[("softmax", served(&[Dir::Fwd], &[Dtype::F32]))], &few(), |call, reply| {
            let large = call.tensors["x"].values.len() > 200;
            if large { Ok(Reply::Error("too large".into())) } else { Ok(reply) }
        });
    assert_eq!(report.rows[0].cases, 13);
}
