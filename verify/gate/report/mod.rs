//! What a run leaves: every format of a report, the manifest, comparisons and static vectors.

mod compare;
mod expected;
mod files;
mod formats;

use std::collections::BTreeMap;

use plummet::check::call::{Candidate, Claims, Dir, Identity, Reply, Served};
use plummet::check::flaw::Fault;
use plummet::check::judge::{Grade, Graded};
use plummet::gate::manifest::{self, Date, Manifest, matches};
use plummet::gate::mutants::ModelCandidate;
use plummet::gate::report::diff::{Metric, diff};
use plummet::gate::report::text::{self, Style};
use plummet::gate::report::{
    Affected, Cut, Finding, Likeness, PRECEDENCE, Promise, Repeated, Repeats, Report, Row, Shrunk,
    Stage, State, apply, exit_code, html, json, junit, markdown, missing,
};
use plummet::gate::{Case, Dtype, vectors};
use plummet::num::show;
use proptest::prelude::*;

pub(super) const SMALL: &str = "layer_norm:bwd:f32:rows=1,cols=2,eps=0.00001,normalized_dims=1,x=whole,\
                     dy=whole,seed=0,given.dy=1;1,given.weight=1;1,given.x=0;2";

pub(super) fn row(op: &str, dir: Dir, dtype: Dtype, q: &[(&str, f64)]) -> Row {
    let all = |scale: f64| -> BTreeMap<String, f64> {
        q.iter().map(|(tensor, q)| (tensor.to_string(), q * scale)).collect()
    };
    let failed = if q.iter().any(|(_, q)| *q > 1.0 || q.is_nan()) { 57 } else { 0 };
    Row {
        op: op.into(),
        dir,
        dtype,
        params_dtype: dtype,
        cases: 64,
        grade_a: 62 - failed,
        grade_b: 2,
        failed,
        ill_conditioned: 0,
        vacuous: 0,
        q: all(1.0),
        q_statistical: all(2.0),
    }
}

/// A run without a fault.
pub(super) fn green() -> Report {
    let identity = Identity { name: "mine".into(), version: "1.2".into(), language: "c".into() };
    let command = ["python", "my adapter.py"].map(String::from).to_vec();
    let mut report = Report::begin(identity, command, Claims::default(), 1);
    report.seconds = 3.21;
    report.served = ["layer_norm", "softmax"].map(|op| (op.into(), Served::default())).into();
    report.stages = vec![
        Stage { number: 0, name: "smoke".into(), checks: 2, failed: 0, seconds: 0.01 },
        Stage { number: 2, name: "cases".into(), checks: 192, failed: 0, seconds: 3.0 },
    ];
    report.rows = vec![
        row("layer_norm", Dir::Fwd, Dtype::F32, &[("y", 0.1234)]),
        row("layer_norm", Dir::Bwd, Dtype::F32, &[("dx", 0.21), ("dweight", 0.05)]),
        row("softmax", Dir::Fwd, Dtype::Bf16, &[("y", 0.4)]),
    ];
    report.uncovered = ["layer_norm:fwd:bf16", "layer_norm:bwd:bf16", "rms_norm:fwd:f32"]
        .map(String::from)
        .to_vec();
    report
}

/// The same with a wrong backward and a crash.
pub(super) fn red() -> Report {
    let mut report = green();
    report.rows[1] = row("layer_norm", Dir::Bwd, Dtype::F32, &[("dx", 1.7e6), ("dweight", 0.05)]);
    report.stages[1].failed = 58;
    report.findings = vec![
        Finding {
            stage: 2,
            fault: Fault::Wrong,
            subject: "layer_norm:bwd:f32".into(),
            tensor: Some("dx".into()),
            case: "layer_norm:bwd:f32:rows=33,cols=769,eps=0.00001,normalized_dims=1,x=normal,\
                   dy=normal,seed=7"
                .into(),
            times: 57,
            message: "dx is off by 1.7e6 times its bound".into(),
            worst: Some(Graded {
                tensor: "dx".into(),
                grade: Grade::Fail,
                q: 1.7e6,
                q_statistical: f64::INFINITY,
                at: 0,
                got: -1.0,
                want: 0.0,
                bound: 5.96e-7,
                unbounded: 0.0,
            }),
            shrunk: Some(Shrunk {
                case: SMALL.into(),
                calls: 41,
                inputs: vec![
                    ("x".into(), vec![1, 2], vec![0.0, 2.0]),
                    ("weight".into(), vec![2], vec![1.0, 1.0]),
                    ("dy".into(), vec![1, 2], vec![1.0, f64::NEG_INFINITY]),
                ],
                got: vec![-1.0, f64::NAN],
                want: vec![0.0, 0.0],
                from: "33×769 f32".into(),
                to: "1×2 f32".into(),
            }),
            when: vec!["every cols ≥ 1".into()],
            breaks: vec!["dx sums to 0".into()],
            behaves_like: Some(Likeness {
                id: "mean_twice".into(),
                about: "mean(dy·weight) subtracted twice".into(),
                agrees: 57,
                cases: 57,
                rivals: Vec::new(),
            }),
            affects: Vec::new(),
            pattern: None,
            repeats: None,
        },
        Finding {
            stage: 2,
            fault: Fault::Crash,
            subject: "softmax:fwd:bf16".into(),
            tensor: None,
            case: "softmax:fwd:bf16:rows=1,cols=65537,x=normal,seed=3".into(),
            times: 1,
            message: "crash: signal 11 <SEGV> & \"more\"\nat kernel.c:17".into(),
            worst: None,
            shrunk: None,
            when: Vec::new(),
            breaks: Vec::new(),
            behaves_like: None,
            affects: Vec::new(),
            pattern: None,
            repeats: Some(Repeats {
                asked: 61,
                failed: 6,
                rate: (0.046, 0.198),
                when: Some("on every 10th call".into()),
            }),
        },
    ];
    report.notes = vec!["gelu loses relative accuracy below −6".into()];
    report.exit_code = 1;
    report
}

pub(super) fn plain(report: &Report) -> String {
    text::write(report, Style::default())
}

pub(super) fn settled(mut report: Report, toml: &str, today: &str) -> Report {
    let manifest = manifest::parse(toml).unwrap();
    apply(&mut report, &manifest, Date::parse(today).unwrap());
    report
}

pub(super) const MANIFEST: &str = r#"
require = ["layer_norm:bwd:f32", "softmax:fwd"]

[[expect]]
match = "layer_norm:bwd:*:dx"
status = "xfail"
reason = "the mean is subtracted twice"
issue = "12"
until = 2026-12-31

[[expect]]
match = "softmax:fwd:bf16:rows=1,cols=65537,*"
status = "xfail"
reason = "the grid is too small"
until = "2026-12-31"
"#;

/// A run that was cut short, in which other rows fail for the reason of one.
pub(super) fn torn() -> Report {
    let mut report = red();
    report.findings[0].affects = vec![Affected {
        subject: "layer_norm:fwd:f32".into(),
        tensor: Some("y".into()),
        stage: 2,
        case: "layer_norm:fwd:f32:rows=1,cols=2,x=whole,seed=0".into(),
        times: 3,
        worst: report.findings[0].worst.clone(),
    }];
    report.cut_short = vec![Cut {
        subject: "softmax:fwd:bf16".into(),
        what: "28 of 40 cases".into(),
        why: "time was up".into(),
    }];
    report.inconclusive =
        vec!["nothing of rms_norm was tested: the target does not serve it".into()];
    report
}

/// The text of every element of a name, by an XML reader that is not the one that wrote it.
pub(super) fn elements<'a>(
    xml: &'a roxmltree::Document,
    name: &str,
) -> Vec<roxmltree::Node<'a, 'a>> {
    xml.descendants().filter(|node| node.has_tag_name(name)).collect()
}

/// A run in which everything goes wrong, and says so at length.
pub(super) fn terrible() -> Report {
    let mut report = red();
    let long = "`|<script>alert(1)</script>\n\u{1b}[31mé ".repeat(3000);
    for i in 0..300 {
        let mut finding = report.findings[i % 2].clone();
        finding.subject = format!("layer_norm:bwd:f32:{i}");
        finding.message = long.clone();
        report.findings.push(finding);
        report.rows.push(row(&format!("operator_{i}"), Dir::Fwd, Dtype::F16, &[("y", f64::NAN)]));
        report.uncovered.push(format!("operator_{i}:fwd:f64"));
        report.notes.push(long.clone());
    }
    report.target.name = long;
    report
}

/// Answers every vector of a directory with a model.
pub(super) fn answered(
    from: &std::path::Path,
    to: &std::path::Path,
    id: &'static str,
    index: &vectors::Index,
) {
    let mut model = ModelCandidate::new("layer_norm", id);
    for vector in &index.vectors {
        let body = std::fs::read(from.join(&vector.file)).unwrap();
        let (message, tensors) = vectors::decode(&body).unwrap();
        let case: Case = message["id"].as_str().unwrap().parse().unwrap();
        let call = case.call();
        // What a stranger reads from the file is the question.
        assert_eq!(tensors, call.tensors);
        assert_eq!(message["want"], serde_json::json!(call.want));
        assert_eq!(message["attrs"], serde_json::Value::Object(call.attrs.clone()));
        let Reply::Ok(answer) = model.run(&call).unwrap() else { panic!("a model answers") };
        let body = vectors::encode(&serde_json::json!({"kind": "ok"}), &answer).unwrap();
        std::fs::write(to.join(&vector.file), body).unwrap();
    }
}
