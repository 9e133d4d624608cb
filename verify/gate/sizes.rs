//! Production sizes: what is wrong beyond a size only is found, and what is right is not accused.

use plummet::check::call::{Hello, Served};
use plummet::check::plan::Plan;
use plummet::check::reading::Reading;
use plummet::check::spec::case::Rows;
use plummet::check::{oracle, spec, trial};
use plummet::gate::mutants::ModelCandidate;
use plummet::gate::report::{Finding, Report};
use plummet::gate::run::{Filter, Options, check};
use plummet::gate::selftest::first_kill;
use plummet::gate::stages::sizes;
use plummet::gate::{Broken, Builtin, Call, Candidate, Case, Dir, Dtype, Reply};

/// A right model whose answer something happens to.
#[derive(Clone)]
struct Bent {
    op: &'static str,
    bend: fn(&Call, &mut Reply),
}

impl Candidate for Bent {
    fn hello(&mut self) -> Result<Hello, Broken> {
        ModelCandidate::new(self.op, "").hello()
    }
    fn run(&mut self, call: &Call) -> Result<Reply, Broken> {
        let mut reply = ModelCandidate::new(self.op, "").run(call)?;
        (self.bend)(call, &mut reply);
        Ok(reply)
    }
}

fn sizes_of(target: impl Candidate + Clone + Sync + 'static, row: &str, asked: &[&str]) -> Report {
    let start = || Ok::<Box<dyn Candidate>, Broken>(Box::new(target.clone()));
    let filters: Vec<Filter> = vec![row.parse().unwrap()];
    let sizes = asked.iter().map(|text| text.parse().unwrap()).collect();
    check(&start, &Options { filters, sizes, stages: vec![7], ..Options::default() }, &|_| ())
}

fn wrong(report: &Report) -> &Finding {
    assert_eq!(report.exit_code, 1, "{:?}", report.notes);
    report.findings.first().expect("a finding")
}

/// The elements of a tensor of an answer.
fn values<'a>(reply: &'a mut Reply, name: &str) -> Option<&'a mut Vec<f64>> {
    match reply {
        Reply::Ok(answer) => answer.get_mut(name).map(|tensor| &mut tensor.values),
        _ => None,
    }
}

#[test]
fn a_right_model_passes_at_every_size() {
    for op in ["layer_norm", "batch_norm", "linear", "clip_grad_norm"] {
        let report = sizes_of(Bent { op, bend: |_, _| () }, op, &[]);
        assert_eq!(report.exit_code, 0, "{op}: {:?}", report.findings);
        assert!(report.stages.iter().any(|stage| stage.name == "sizes" && stage.checks > 0));
    }
}

#[test]
fn a_tail_that_only_wide_rows_lose_is_named_by_its_widths() {
    let report =
        sizes_of(ModelCandidate::new("layer_norm", "ln_wide_tail"), "layer_norm:fwd:f32", &[]);
    let finding = wrong(&report);
    let shrunk = finding.shrunk.as_ref().expect("a smaller one");
    let case: Case = shrunk.case.parse().unwrap();
    assert!((3073..4500).contains(&case.size("cols")), "{}", shrunk.case);
    assert!(case.size("rows") <= 16, "{}", shrunk.case);
    let when = finding.when.join("; ");
    assert!(when.contains("cols") && when.contains("% 128 ≠ 0"), "{when}");
}

#[test]
fn blocks_that_are_not_written_are_found_wherever_they_lie() {
    let rows: fn(&Call, &mut Reply) = |call, reply| {
        // One block of 64 rows in the midst of thousands.
        let cols = call.tensors["x"].shape.last().copied().unwrap_or(1);
        if let Some(y) = values(reply, "y").filter(|y| y.len() / cols > 2000) {
            y[1000 * cols..1064 * cols].fill(0.0);
        }
    };
    let stale: fn(&Call, &mut Reply) = |call, reply| {
        let cols = call.tensors["x"].shape.last().copied().unwrap_or(1);
        if let Some(y) = values(reply, "y").filter(|y| y.len() / cols > 65_536) {
            // An index of 16 bits with a sign.
            let first: Vec<f64> = y[..32_768 * cols].to_vec();
            y[32_768 * cols..65_536 * cols].copy_from_slice(&first);
        }
    };
    for (bend, ops) in [(rows, ["layer_norm", "softmax"]), (stale, ["rms_norm", "softmax"])] {
        for op in ops {
            let asked = ["rows=5000,cols=16", "rows=70000,cols=3"];
            wrong(&sizes_of(Bent { op, bend }, &format!("{op}:fwd:f32"), &asked));
        }
    }
}

#[test]
fn a_sum_over_thousands_of_rows_that_forgets_the_last_is_found() {
    let forget: fn(&Call, &mut Reply) = |call, reply| {
        let Some(dy) = call.tensors.get("dy").filter(|dy| dy.shape[0] > 4000) else { return };
        let cols = dy.shape[dy.shape.len() - 1];
        if let Some(dbias) = values(reply, "dbias") {
            let last = &dy.values[dy.values.len() - cols..];
            dbias.iter_mut().zip(last).for_each(|(sum, last)| *sum = Dtype::F32.round(*sum - last));
        }
    };
    for (op, asked) in
        [("layer_norm", "rows=5003,cols=24"), ("linear", "linear:rows=5003,in=7,out=24")]
    {
        wrong(&sizes_of(Bent { op, bend: forget }, &format!("{op}:bwd:f32"), &[asked]));
    }
}

#[test]
fn what_is_right_up_to_a_size_dies_at_production_sizes() {
    for (op, id) in [
        ("rms_norm", "rms_cols_8192"),
        ("softmax", "sm_classes_65536"),
        ("linear", "lin_late_inputs"),
        ("attention", "att_features_64"),
        ("cross_entropy", "ce_classes_49152"),
        ("lr_schedule", "lr_step_16_bits"),
    ] {
        let killed = first_kill(&mut ModelCandidate::new(op, id), op, 1, 8);
        assert!(killed.is_some(), "{id} lives");
    }
}

#[test]
fn a_size_of_the_users_own_is_tried_first() {
    let odd: fn(&Call, &mut Reply) = |call, reply| {
        if call.tensors["x"].shape.last() == Some(&6007)
            && let Some(y) = values(reply, "y")
        {
            y[0] += 1.0;
        }
    };
    let target = Bent { op: "rms_norm", bend: odd };
    let row = "rms_norm:fwd:f32";
    assert_eq!(sizes_of(target.clone(), row, &["rows=2,cols=6006"]).exit_code, 0);
    let report = sizes_of(target, row, &["rms_norm:rows=2,cols=6007"]);
    assert!(wrong(&report).case.contains("cols=6007"), "{}", wrong(&report).case);
}

#[test]
fn a_case_is_asked_again_by_its_name() {
    let id = "softmax:fwd:f32:batch=1,rows=3,cols=70001,x=repeated,seed=7";
    let case: Case = id.parse().unwrap();
    assert_eq!(case.to_string(), id);
    assert_eq!(case.call(), case.call());
    let served = Served::default();
    let right = trial::put(&mut ModelCandidate::new("softmax", ""), &served, &case);
    assert!(right.flaw.is_none(), "{:?}", right.flaw);
    let wrong = trial::put(&mut ModelCandidate::new("softmax", "sm_classes_65536"), &served, &case);
    assert!(wrong.flaw.is_some());
}

#[test]
fn plummets_own_operators_pass_at_production_sizes() {
    for row in ["layer_norm", "attention:fwd", "cross_entropy", "feed_forward"] {
        let start = || {
            Builtin::new(Dtype::F32)
                .map(|own| Box::new(own) as Box<dyn Candidate>)
                .map_err(|refusal| Broken::Protocol(refusal.to_string()))
        };
        let filters = vec![row.parse().unwrap()];
        let options = Options { filters, stages: vec![7], ..Options::default() };
        let report = check(&start, &options, &|_| ());
        assert_eq!(report.exit_code, 0, "{row}: {:?}", report.findings);
    }
}

/// A few dozen places along the axes that large problems repeat, a few along the others.
fn modest(case: &mut Case) {
    const MANY: [&str; 5] = ["rows", "out", "hidden", "queries", "keys"];
    case.kind = Rows::Repeated;
    for axis in case.operator().axes() {
        let many = (case.op == "batch_norm" && axis.name == "cols")
            || (case.op != "batch_norm" && MANY.contains(&axis.name));
        let size = if many { 41 } else { case.sizes[axis.name].min(5) };
        case.sizes.insert(axis.name, size);
    }
}

#[test]
fn the_truth_of_the_few_is_the_truth_of_all() {
    let served = Served::default();
    for op in [
        "layer_norm",
        "rms_norm",
        "scale_norm",
        "dynamic_tanh",
        "batch_norm",
        "weight_standardize",
        "softmax",
        "activation",
        "linear",
        "feed_forward",
        "attention",
        "cross_entropy",
        "adamw",
        "clip_grad_norm",
    ] {
        // Of equal largest scores one is exact, in either form another one.
        let about = if op == "attention" { 0.4..2.5 } else { 0.9..1.2 };
        let operator = spec::find(op).unwrap();
        let passes = operator.dirs().iter().flat_map(|&dir| {
            Plan::new(operator, &served, dir, (Dtype::F32, Dtype::F32), 3).take(12)
        });
        for mut case in passes {
            modest(&mut case);
            let trial = trial::put(&mut ModelCandidate::new(op, ""), &served, &case);
            assert!(trial.flaw.is_none(), "{case}: {:?}", trial.flaw);
            if trial.expected.is_empty() {
                continue;
            }
            let all = oracle::expect(&case.call(), &Reading::strict(Dtype::F32, &served.variant));
            for (few, all) in trial.expected.iter().zip(&all) {
                assert_eq!((&few.name, &few.shape), (&all.name, &all.shape), "{case}");
                for i in 0..all.truth.len() {
                    if few.worst[i].is_infinite() || all.truth[i].is_nan() {
                        continue;
                    }
                    let apart = (few.truth[i] - all.truth[i]).abs();
                    assert!(apart <= 1e-4 * all.worst[i], "{case} {}[{i}] {apart:e}", all.name);
                    let ratio = few.worst[i] / all.worst[i];
                    assert!(about.contains(&ratio), "{case} {}[{i}] {ratio}", all.name);
                }
            }
        }
    }
}

#[test]
fn a_large_case_is_its_id() {
    for operator in spec::all() {
        let dtypes = (operator.dtypes()[0], operator.dtypes()[0]);
        let dir = operator.dirs()[0];
        for case in sizes::cases(operator, &Served::default(), dir, dtypes, 1, &[]) {
            assert_eq!(case.to_string().parse::<Case>().unwrap(), case);
        }
    }
}

#[test]
fn what_is_not_declared_is_not_asked_at_any_size() {
    let mut served = Served { optional: Some(vec!["weight".into()]), ..Served::default() };
    served.attrs.insert("eps".into(), vec![1e-3.into()]);
    served.attrs.insert("normalized_dims".into(), vec![1.into()]);
    served.limits.max_columns = Some(4096);
    let operator = spec::find("layer_norm").unwrap();
    let dtypes = (Dtype::F32, Dtype::F32);
    for case in sizes::cases(operator, &served, Dir::Fwd, dtypes, 1, &[]) {
        assert!(case.absent.contains("bias") && case.attrs["eps"] == 1e-3, "{case}");
        let within = sizes::within(&case, &served);
        assert_eq!(within, case.size("cols") <= 4096, "{case}");
    }
}
