//! What a run leaves: every format of a report, the manifest, comparisons and static vectors.

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

const SMALL: &str = "layer_norm:bwd:f32:rows=1,cols=2,eps=0.00001,normalized_dims=1,x=whole,\
                     dy=whole,seed=0,given.dy=1;1,given.weight=1;1,given.x=0;2";

fn row(op: &str, dir: Dir, dtype: Dtype, q: &[(&str, f64)]) -> Row {
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
fn green() -> Report {
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
fn red() -> Report {
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

fn plain(report: &Report) -> String {
    text::write(report, Style::default())
}

fn settled(mut report: Report, toml: &str, today: &str) -> Report {
    let manifest = manifest::parse(toml).unwrap();
    apply(&mut report, &manifest, Date::parse(today).unwrap());
    report
}

#[test]
fn a_failure_is_told_in_the_specified_form() {
    let report = red();
    let told = text::finding(&report, &report.findings[0]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines[..4],
        [
            "FAIL layer_norm:bwd:f32  dx   (33×769 f32 shrunk to 1×2 f32 in 41 calls)",
            "  x=[0, 2] weight=[1, 1] dy=[1, -inf] eps=1e-5 normalized_dims=1",
            "  dx got [-1, NaN]  want [0, 0]  bound 6e-7  q 1.7e6",
            "  breaks: dx sums to 0 · behaves like: mean(dy·weight) subtracted twice (57/57 cases) \
             · every cols ≥ 1",
        ]
    );
    let replay = format!("  replay: plummet gate replay '{SMALL}' -- python 'my adapter.py'");
    assert_eq!(lines[4], replay);
    assert_eq!(lines.len(), 5, "{told}");
}

#[test]
fn a_green_run_is_short_and_says_what_was_tested() {
    let told = plain(&green());
    assert!(told.lines().count() <= 7, "{told}");
    for part in
        ["layer_norm", "fwd, bwd × f32", "not tested: layer_norm fwd:bf16 bwd:bf16; rms_norm"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    let last = told.lines().last().unwrap();
    for part in ["PASS mine 1.2 (c)", "192 cases of 2 operators", "coverage 3/6", "q 0.4", "3.2 s"]
    {
        assert!(last.contains(part), "{part}: {last}");
    }
    assert_eq!(text::write(&green(), Style { quiet: true, ..Style::default() }), "");
    let mut red = red();
    red.findings[1].message.push_str("\u{1b}[2Jcleared");
    let told = plain(&red);
    assert!(told.contains("more") && told.contains("[2Jcleared") && !told.contains('\x1b'));
    let quiet = text::write(&red, Style { quiet: true, colour: true });
    assert!(quiet.contains("\x1b[1;31mFAIL\x1b[0m") && !quiet.contains("operator "), "{quiet}");
}

#[test]
fn numbers_are_short_and_tell_apart_what_differs() {
    for (value, figures, shown) in [
        (0.1, 6, "0.1"),
        (1e-5, 17, "1e-5"),
        (-2.0, 2, "-2"),
        (-0.0, 2, "-0"),
        (5.96e-7, 2, "6e-7"),
        (1.7e6, 2, "1.7e6"),
        (123_456.0, 6, "123456"),
        (123_456.0, 2, "120000"),
        (0.001, 3, "0.001"),
        (9.999, 2, "10"),
        (f64::NAN, 2, "NaN"),
        (f64::NEG_INFINITY, 2, "-inf"),
        (f64::MAX, 3, "1.8e308"),
    ] {
        assert_eq!(show::digits(value, figures), shown, "{value}");
    }
    let mut report = red();
    report.findings[0].shrunk.as_mut().unwrap().got = vec![1.0000000001, 1.0];
    report.findings[0].shrunk.as_mut().unwrap().want = vec![1.0, 1.0];
    let told = text::finding(&report, &report.findings[0]);
    assert!(told.contains("got [1.0000000001, 1]  want [1, 1]"), "{told}");
    let long: Vec<f64> = (0..64).map(f64::from).collect();
    report.findings[0].shrunk.as_mut().unwrap().inputs[0] = ("x".into(), vec![3, 33], long);
    let told = text::finding(&report, &report.findings[0]);
    assert!(told.contains("x[3,33]=[0, 1, 2, 3, 4, 5, 6, 7, … 99 in all]"), "{told}");
}

#[test]
fn json_keeps_a_report_with_numbers_that_are_not_finite() {
    let mut report = red();
    report.findings[0].shrunk.as_mut().unwrap().got[1] = f64::INFINITY;
    let text = json::write(&report);
    assert_eq!(json::read(&text).unwrap(), report);
    assert!(text.contains("\"inf\"") && text.contains("\"-inf\""));
    let nan = json::read(&json::write(&red())).unwrap();
    assert!(nan.findings[0].shrunk.as_ref().unwrap().got[1].is_nan());
    for refused in ["", "[]", "{}", "{\"format\":2}", "{\"format\":1}"] {
        let invalid = json::read(refused).unwrap_err();
        assert!(invalid.field.starts_with("report"), "{refused}: {invalid}");
    }
}

const MANIFEST: &str = r#"
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

#[test]
fn the_schema_describes_every_report() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../docs/gate-report.schema.json")).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let tolerated = "[[expect]]\nmatch='softmax'\nstatus='tolerate'\nfactor=2\nreason='r'";
    let mut served = green();
    served.served.get_mut("softmax").unwrap().limits.max_columns = Some(7);
    served.served.get_mut("softmax").unwrap().dir = Some(vec![Dir::Fwd]);
    for report in [
        green(),
        red(),
        served,
        torn(),
        settled(red(), MANIFEST, "2026-06-01"),
        settled(green(), tolerated, "2026-06-01"),
    ] {
        let value: serde_json::Value = serde_json::from_str(&json::write(&report)).unwrap();
        let errors: Vec<String> =
            schema.iter_errors(&value).map(|e| format!("{} {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:?}");
        for (pointer, wrong) in [
            ("/format", serde_json::json!(2)),
            ("/rows/0/dir", serde_json::json!("sideways")),
            ("/rows/0/q/y", serde_json::json!("large")),
            ("/rows/0/cases", serde_json::json!(-1)),
            ("/target", serde_json::json!({})),
        ] {
            let mut broken = value.clone();
            *broken.pointer_mut(pointer).unwrap() = wrong;
            assert!(!schema.is_valid(&broken), "{pointer}");
        }
    }
}

/// A run that was cut short, in which other rows fail for the reason of one.
fn torn() -> Report {
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

#[test]
fn what_was_left_out_and_what_else_fails_is_in_every_format() {
    let report = torn();
    for (format, written) in [
        ("text", plain(&report)),
        ("markdown", markdown::write(&report).replace('\\', "")),
        ("html", html::write(&report)),
    ] {
        for part in
            ["layer_norm:fwd:f32 y (3 cases)", "28 of 40 cases", "nothing of rms_norm was tested"]
        {
            assert!(written.contains(part), "{format} {part}: {written}");
        }
    }
    let xml = junit::write(&report);
    assert!(xml.contains("fails for the reason of layer_norm:bwd:f32 dx"), "{xml}");
    assert!(xml.contains("nothing of rms_norm was tested"), "{xml}");
    let quiet = text::write(&report, Style { quiet: true, ..Style::default() });
    assert!(quiet.contains("UNTESTED nothing of rms_norm"), "{quiet}");
    let mut untested = green();
    untested.inconclusive = report.inconclusive.clone();
    untested.exit_code = 5;
    assert!(plain(&untested).contains("UNTESTED mine 1.2 (c) · inconclusive (exit 5)"));
    assert!(markdown::write(&untested).starts_with("## ❌ UNTESTED"));
    assert!(html::write(&untested).contains("<span class=\"badge\">UNTESTED</span>"));
}

#[test]
fn a_long_message_is_shown_by_its_end() {
    let mut report = red();
    let lines: Vec<String> = (0..200).map(|line| format!("frame {line}")).collect();
    report.findings[1].message =
        format!("crash: exited with code 1:\n{}\nKeyError", lines.join("\n"));
    let told = text::finding(&report, &report.findings[1]);
    assert!(told.contains("exited with code 1") && told.contains("  KeyError\n"), "{told}");
    assert!(told.contains("… 183 lines are left out here") && told.contains("frame 199"), "{told}");
    assert!(!told.contains("frame 100\n"), "{told}");
}

/// Every object of a report has the fields of its schema, no more and, but for those that may be
/// left out, no less.
#[test]
fn the_schema_knows_every_field() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../docs/gate-report.schema.json")).unwrap();
    let mut report = settled(red(), MANIFEST, "2026-06-01");
    let other = torn();
    (report.cut_short, report.findings[0].affects) =
        (other.cut_short, other.findings[0].affects.clone());
    let subject = || "layer_norm:fwd:f32".to_string();
    report.promises = vec![Promise {
        subject: subject(),
        promise: "batch_invariant".into(),
        claimed: true,
        problems: 41,
        checks: 380,
        kept: true,
    }];
    report.repeated = vec![Repeated { subject: subject(), answers: 160, again: 120, one_in: 35.2 }];
    let value = serde_json::to_value(&report).unwrap();
    let written: serde_json::Value = serde_json::from_str(&json::write(&report)).unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&written));
    for (pointer, name) in [
        ("/findings/0/affects/0", "affected"),
        ("/cut_short/0", "cut"),
        ("", ""),
        ("/target", "identity"),
        ("/claims", "claims"),
        ("/served/softmax", "served"),
        ("/stages/0", "stage"),
        ("/rows/0", "row"),
        ("/findings/0", "finding"),
        ("/findings/0/worst", "graded"),
        ("/findings/0/shrunk", "shrunk"),
        ("/findings/0/behaves_like", "likeness"),
        ("/findings/1/repeats", "repeats"),
        ("/promises/0", "promise"),
        ("/repeated/0", "repeated"),
        ("/expectations/0", "expectation"),
    ] {
        let known = if name.is_empty() { &schema } else { &schema["$defs"][name] };
        let known = known["properties"].as_object().unwrap();
        let fields = value.pointer(pointer).unwrap().as_object().unwrap();
        let unknown: Vec<_> = fields.keys().filter(|key| !known.contains_key(*key)).collect();
        let unused: Vec<_> = known.keys().filter(|key| !fields.contains_key(*key)).collect();
        assert!(
            unknown.is_empty() && (unused.is_empty() || unused == ["factor"]),
            "{pointer}: {unknown:?} {unused:?}"
        );
    }
}

#[test]
fn expected_failures_do_not_count() {
    let report = settled(red(), MANIFEST, "2026-12-31");
    assert_eq!(report.exit_code, 0, "{}", plain(&report));
    assert_eq!(report.counted().count(), 0);
    assert_eq!(report.expectations[0].findings, [0]);
    assert_eq!(report.expectations[1].findings, [1]);
    assert!(plain(&report).contains("2 failures expected"), "{}", plain(&report));
}

#[test]
fn broken_expectations_are_told() {
    let expired = settled(red(), MANIFEST, "2027-01-01");
    assert_eq!(expired.exit_code, 8);
    assert_eq!(expired.expectations[0].state, State::Expired);
    let passes = settled(green(), MANIFEST, "2026-06-01");
    assert_eq!(passes.exit_code, 8);
    let states: Vec<State> = passes.expectations.iter().map(|e| e.state).collect();
    assert_eq!(states, [State::Passes, State::Passes]);
    let nowhere = "[[expect]]\nmatch = 'attention'\nstatus = 'skip'\nreason = 'later'";
    let unmatched = settled(green(), nowhere, "2026-06-01");
    assert_eq!(unmatched.exit_code, 8);
    assert_eq!(unmatched.expectations[0].state, State::Unmatched);
    let told = plain(&unmatched);
    assert!(
        told.contains("EXPECT skip attention matches nothing that was tested (later)"),
        "{told}"
    );
    let mut skipped = green();
    skipped.skipped.push("attention:fwd:f32".into());
    assert_eq!(settled(skipped, nowhere, "2026-06-01").exit_code, 0);
}

#[test]
fn what_is_required_must_be_tested() {
    for (pattern, wanted) in [
        ("layer_norm:bwd:f32", vec![]),
        ("softmax", vec![]),
        ("layer_norm:*:f32", vec![]),
        ("layer_norm:fwd", vec!["layer_norm:fwd:bf16"]),
        ("rms_norm:fwd:f32", vec!["rms_norm:fwd:f32"]),
        ("attention", vec!["attention"]),
    ] {
        assert_eq!(missing(&green(), pattern), wanted, "{pattern}");
        let manifest = Manifest { require: vec![pattern.into()], ..Manifest::default() };
        let mut report = green();
        apply(&mut report, &manifest, Date::today());
        assert_eq!(report.exit_code, if wanted.is_empty() { 0 } else { 8 }, "{pattern}");
    }
    let mut vacuous = green();
    vacuous.rows[2].vacuous = vacuous.rows[2].cases;
    assert_eq!(missing(&vacuous, "softmax"), ["softmax:fwd:bf16"]);
    // A wrong result is said before a broken expectation, and is not hidden by one.
    assert_eq!(settled(red(), "require = ['attention']", "2026-06-01").exit_code, 1);
}

#[test]
fn a_tolerance_is_a_factor_of_the_bound() {
    let manifest = |factor: f64| {
        format!(
            "[[expect]]\nmatch = 'layer_norm:bwd:f32:dx'\nstatus = 'tolerate'\nfactor = {factor:?}\n\
             reason = 'known'\n[[expect]]\nmatch = 'softmax'\nstatus = 'xfail'\nreason = 'crash'"
        )
    };
    let enough = settled(red(), &manifest(2e6), "2026-06-01");
    assert_eq!((enough.exit_code, enough.expectations[0].state), (0, State::Holds));
    let exceeded = settled(red(), &manifest(1e6), "2026-06-01");
    assert_eq!((exceeded.exit_code, exceeded.expectations[0].state), (1, State::Exceeded));
    assert_eq!(exceeded.counted().count(), 1);
    // No factor reaches an answer that is not finite.
    let mut infinite = red();
    infinite.rows[1].q.insert("dx".into(), f64::INFINITY);
    assert_eq!(settled(infinite, &manifest(1e300), "2026-06-01").exit_code, 1);
}

#[test]
fn patterns_stand_for_what_is_below_them() {
    for (pattern, name, answer) in [
        ("layer_norm", "layer_norm:bwd:f32", true),
        ("layer_norm:bwd", "layer_norm:bwd:f32:dx", true),
        ("layer_norm:bwd:f32", "layer_norm:bwd:f32:rows=1,cols=2", true),
        ("layer_norm:bwd:bf16", "layer_norm:bwd:bf16+f32:dx", true),
        ("layer_norm:bwd:bf16+f32", "layer_norm:bwd:bf16+f32", true),
        ("layer_norm:bwd:f32", "layer_norm:bwd:bf16+f32", false),
        ("layer", "layer_norm:bwd:f32", false),
        ("*_norm:*:dx", "layer_norm:bwd:f32:dx", true),
        ("*:dx", "layer_norm:bwd:f32:dweight", false),
        ("layer_norm:?wd:f?2", "layer_norm:bwd:f32", true),
        ("*", "softmax:fwd:f32", true),
        ("a*b*c", "aXbXbXc", true),
        ("a*b*c", "aXbXbX", false),
        ("softmax:fwd:f32:no=bias", "softmax:fwd:f32:no=bias+weight", false),
    ] {
        assert_eq!(matches(pattern, name), answer, "{pattern} {name}");
    }
}

#[test]
fn manifests_are_refused_with_field_value_and_what_is_allowed() {
    let entry = |line: &str| format!("[[expect]]\nmatch='a'\nstatus='xfail'\nreason='r'\n{line}");
    for (toml, field, value, allowed) in [
        ("require".into(), "gate.toml", "line 1", "TOML"),
        ("\n\nx = =".into(), "gate.toml", "line 3", "TOML"),
        ("requires = []".into(), "field of gate.toml", "requires", "require, sizes"),
        ("require = 'a'".into(), "require", "a", "patterns"),
        ("require = ['']".into(), "require", "\"\"", "patterns"),
        ("expect = 3".into(), "expect", "3", "[[expect]]"),
        ("[[expect]]".into(), "expect[0].status", "nothing", "\"xfail\""),
        ("[[expect]]\nstatus='xpass'".into(), "expect[0].status", "\"xpass\"", "\"skip\""),
        ("[[expect]]\nmatch='a'\nstatus='skip'".into(), "expect[0].reason", "nothing", "words"),
        ("[[expect]]\nreason='a'\nstatus='skip'".into(), "expect[0].match", "nothing", "pattern"),
        (entry("why='x'"), "field of expect[0]", "why", "match, status"),
        (entry("factor=2.0"), "expect[0].factor", "2.0", "tolerate"),
        (entry("issue=7"), "expect[0].issue", "7", "string"),
        (entry("until='soon'"), "expect[0].until", "\"soon\"", "2027-01-31"),
        (entry("until='2026-02-29'"), "expect[0].until", "2026-02-29", "2027-01-31"),
        (entry("until=12:00:00"), "expect[0].until", "12:00:00", "2027-01-31"),
        (
            "[[expect]]\nmatch='a'\nstatus='tolerate'\nreason='r'".into(),
            "expect[0].factor",
            "nothing",
            "above 1",
        ),
        (
            "[[expect]]\nmatch='a'\nstatus='tolerate'\nreason='r'\nfactor=0.5".into(),
            "expect[0].factor",
            "0.5",
            "above 1",
        ),
        (
            "[[expect]]\nmatch='a'\nstatus='tolerate'\nreason='r'\nfactor=inf".into(),
            "expect[0].factor",
            "inf",
            "above 1",
        ),
    ] {
        let toml: String = toml;
        let invalid = manifest::parse(&toml).expect_err(&toml);
        assert_eq!(invalid.field, field, "{toml}: {invalid}");
        assert!(invalid.value.contains(value), "{toml}: {invalid}");
        assert!(invalid.allowed.contains(allowed), "{toml}: {invalid}");
    }
    assert_eq!(manifest::parse("").unwrap(), Manifest::default());
}

#[test]
fn the_first_code_in_order_of_precedence_wins() {
    assert_eq!(exit_code([]), 0);
    assert_eq!(exit_code([0, 0]), 0);
    // Every set of codes, in both orders.
    for set in 1u32..1 << PRECEDENCE.len() {
        let codes: Vec<u8> =
            (0..8).filter(|bit| set >> bit & 1 == 1).map(|bit| PRECEDENCE[bit as usize]).collect();
        assert_eq!(exit_code(codes.iter().copied()), codes[0], "{codes:?}");
        assert_eq!(exit_code(codes.iter().rev().copied()), codes[0], "{codes:?}");
    }
    // The order itself, as the specification states it.
    let order = [9, 6, 1, 7, 8, 3, 4, 5];
    for (i, first) in order.iter().enumerate() {
        for second in &order[i..] {
            assert_eq!(exit_code([*second, 0, *first]), *first);
        }
    }
    for unknown in [2, 10, 255] {
        assert_eq!(exit_code([1, unknown]), 9);
    }
    // A regression that was found stays, unless something worse is.
    for (own, with_nothing) in [(3, 3), (4, 4), (5, 5), (9, 9), (1, 0), (8, 0)] {
        let mut report = green();
        report.exit_code = own;
        apply(&mut report, &Manifest::default(), Date::today());
        assert_eq!(report.exit_code, with_nothing, "{own}");
    }
}

#[test]
fn days_are_those_of_the_calendar() {
    for (days, written) in [
        (0, "1970-01-01"),
        (59, "1970-03-01"),
        (789, "1972-02-29"),
        (11_016, "2000-02-29"),
        (19_782, "2024-02-29"),
        (20_819, "2027-01-01"),
        (47_540, "2100-02-28"),
        (47_541, "2100-03-01"),
    ] {
        assert_eq!(Date::of_days(days).to_string(), written);
    }
    let mut last = Date::of_days(0);
    for days in 1..80_000 {
        let day = Date::of_days(days);
        assert!(day > last, "{last} {day}");
        assert_eq!(Date::parse(&day.to_string()), Some(day));
        last = day;
    }
    for wrong in [
        "2027-1-01",
        "2027-13-01",
        "2027-00-10",
        "2027-04-31",
        "20270101",
        "2027-01-01-",
        "+027-01-01",
        "",
    ] {
        assert_eq!(Date::parse(wrong), None, "{wrong}");
    }
}

/// The text of every element of a name, by an XML reader that is not the one that wrote it.
fn elements<'a>(xml: &'a roxmltree::Document, name: &str) -> Vec<roxmltree::Node<'a, 'a>> {
    xml.descendants().filter(|node| node.has_tag_name(name)).collect()
}

#[test]
fn junit_has_a_case_per_row_and_failure() {
    let mut report = red();
    report.findings[1].message.push_str("\u{1}\u{1b}[31m]]>");
    let text = junit::write(&report);
    quick_junit::Report::deserialize_from_str(&text).unwrap();
    let xml = roxmltree::Document::parse(&text).unwrap();
    let root = xml.root_element();
    assert_eq!(root.tag_name().name(), "testsuites");
    let counts = ["tests", "failures", "errors"].map(|name| root.attribute(name).unwrap());
    assert_eq!(counts, ["3", "1", "1"], "{text}");
    let suites: Vec<_> =
        elements(&xml, "testsuite").iter().map(|s| s.attribute("name").unwrap()).collect();
    assert_eq!(suites, ["layer_norm", "softmax"]);
    let cases: Vec<_> =
        elements(&xml, "testcase").iter().map(|c| c.attribute("name").unwrap()).collect();
    let subject = "layer_norm:bwd:f32:dx (stage 2)";
    assert_eq!(cases, ["layer_norm:fwd:f32", subject, "softmax:fwd:bf16 (stage 2)"]);
    let failures = elements(&xml, "failure");
    assert_eq!(failures[0].attribute("type"), Some("wrong"));
    let told = failures[0].text().unwrap();
    assert_eq!(told.trim(), text::finding(&report, &report.findings[0]).trim());

    let xml = junit::write(&settled(red(), MANIFEST, "2027-02-01"));
    let xml = roxmltree::Document::parse(&xml).unwrap();
    assert_eq!(elements(&xml, "skipped").len(), 2);
    let failures = elements(&xml, "failure");
    assert_eq!(failures.len(), 2, "both entries have expired");
    assert!(failures[0].attribute("message").unwrap().contains("has expired"));

    let green = junit::write(&green());
    let xml = roxmltree::Document::parse(&green).unwrap();
    assert_eq!((elements(&xml, "testcase").len(), elements(&xml, "failure").len()), (3, 0));
}

/// A run in which everything goes wrong, and says so at length.
fn terrible() -> Report {
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

#[test]
fn markdown_fits_a_summary_and_begins_with_the_verdict() {
    for (report, sign) in [(green(), "✅"), (red(), "❌"), (terrible(), "❌")] {
        let page = markdown::write(&report);
        assert!(page.starts_with(&format!("## {sign} ")), "{page}");
        assert!(page.len() <= markdown::LIMIT, "{}", page.len());
        assert!(!page.contains("<script>") || page.find("```") < page.find("<script>"));
        assert_eq!(page.matches("<details").count(), page.matches("</details>").count());
        // Every line of a table has the same number of cells.
        let cells = |line: &str| line.replace("\\|", "").matches('|').count();
        let rows = page.lines().filter(|line| line.starts_with("| ") || line.starts_with("|-"));
        for line in rows {
            assert_eq!(cells(line), 11, "{line}");
        }
    }
    let page = markdown::write(&red());
    assert!(page.contains("behaves like: mean(dy·weight) subtracted twice"), "{page}");
    assert!(page.contains("| ❌ | layer\\_norm | fwd, bwd × f32 | 128 |"), "{page}");
    assert!(markdown::write(&terrible()).contains("more finding"));
}

#[test]
fn the_page_refers_to_nothing_outside_itself() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    for (name, report) in [
        ("green", green()),
        ("red", red()),
        ("broken", settled(red(), MANIFEST, "2027-02-01")),
        ("terrible", terrible()),
    ] {
        let page = html::write(&report);
        assert!(page.len() < 4_000_000, "{name}: {}", page.len());
        std::fs::write(folder.join(format!("gate-{name}.html")), &page).unwrap();
        std::fs::write(folder.join(format!("gate-{name}.md")), markdown::write(&report)).unwrap();
        for outside in ["http:", "https:", "src=", "href=", "url(", "@import", "<script"] {
            assert!(!page.contains(outside), "{name}: {outside}");
        }
        // Every element that is opened is closed in its place.
        let body = page.strip_prefix("<!DOCTYPE html>\n").unwrap();
        let closed = body.replace("initial-scale=1\">", "initial-scale=1\"/>");
        let closed = closed.replace("charset=\"utf-8\">", "charset=\"utf-8\"/>");
        let closed = closed.replace("<br>", "<br/>").replace("<details open>", "<details>");
        let xml = roxmltree::Document::parse(&closed).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(elements(&xml, "details").len(), report.counted().count(), "{name}");
        let ops = text::totals(&report).len();
        assert_eq!(elements(&xml, "figure").len(), ops, "{name}");
    }
    let page = html::write(&red());
    assert!(page.contains(">FAIL</span>") && page.contains("dx sums to 0"));
    assert!(html::write(&green()).contains(">PASS</span>"));
}

#[test]
fn a_comparison_finds_what_became_worse() {
    let same = diff(&green(), &green()).unwrap();
    assert_eq!((same.exit_code(), same.compared), (0, 3));
    assert!(same.worse.is_empty() && same.better.is_empty() && same.lost.is_empty());

    let mut now = green();
    let q = |report: &mut Report, to: f64| {
        report.rows[2].q_statistical.insert("y".into(), to);
    };
    for (to, code) in [(0.8, 0), (1.19, 0), (1.21, 3), (f64::NAN, 3), (f64::INFINITY, 3)] {
        q(&mut now, to);
        assert_eq!(diff(&green(), &now).unwrap().exit_code(), code, "{to}");
    }
    q(&mut now, 1.21);
    let worse = diff(&green(), &now).unwrap();
    assert_eq!(worse.worse.len(), 1);
    let change = &worse.worse[0];
    assert_eq!(
        (change.subject.as_str(), change.metric),
        ("softmax:fwd:bf16", Metric::QStatistical)
    );
    let told = plummet::gate::report::diff::text(&worse, &green(), &now);
    assert!(told.contains("worse   softmax:fwd:bf16 y  q(√n) 0.8 → 1.2"), "{told}");
    assert!(
        told.ends_with(
            "FAIL accuracy regression · mine 1.2 (c) → mine 1.2 (c) · 3 rows compared\n"
        )
    );
    assert_eq!(diff(&now, &green()).unwrap().better.len(), 1);
    // Far below the bound no ratio is a regression.
    let (mut tiny, mut small) = (green(), green());
    q(&mut tiny, 1e-6);
    q(&mut small, 0.09);
    assert_eq!(diff(&tiny, &small).unwrap().exit_code(), 0);

    let mut graded = green();
    (graded.rows[2].grade_a, graded.rows[2].grade_b) = (56, 8);
    let fewer = diff(&green(), &graded).unwrap();
    assert_eq!((fewer.exit_code(), fewer.worse[0].metric), (3, Metric::BelowA));

    let mut lost = green();
    lost.rows.pop();
    let lost = diff(&green(), &lost).unwrap();
    assert_eq!((lost.exit_code(), lost.lost), (3, vec!["softmax:fwd:bf16".to_string()]));

    let wrong = diff(&green(), &red()).unwrap();
    assert_eq!((wrong.exit_code(), wrong.new_findings.len()), (1, 2));
    let fixed = diff(&red(), &green()).unwrap();
    assert_eq!((fixed.exit_code(), fixed.fixed.len()), (0, 2));
    // What the manifest expects is not news.
    let known = settled(red(), MANIFEST, "2026-06-01");
    assert!(diff(&green(), &known).unwrap().new_findings.is_empty());
    let json: serde_json::Value =
        serde_json::from_str(&plummet::gate::report::diff::json(&wrong)).unwrap();
    assert_eq!((&json["exit_code"], &json["compared"]), (&1.into(), &3.into()));
}

#[test]
fn runs_of_other_cases_are_not_compared() {
    type Other = fn(&mut Report);
    let others: [(&str, Other); 6] = [
        ("seed", |report| report.seed = 2),
        ("spec", |report| report.spec = "2027.1".into()),
        ("plummet", |report| report.plummet = "9.9".into()),
        ("cases of softmax:fwd:bf16", |report| report.rows[2].cases = 65),
        ("served.softmax.accumulate", |report| {
            let served = report.served.get_mut("softmax").unwrap();
            served.accumulate.insert(Dtype::Bf16, Dtype::Bf16);
        }),
        ("served.softmax.limits", |report| {
            report.served.get_mut("softmax").unwrap().limits.max_columns = Some(1);
        }),
    ];
    for (field, change) in others {
        let mut now = green();
        change(&mut now);
        let invalid = diff(&green(), &now).unwrap_err();
        assert_eq!(invalid.field, field);
        assert!(invalid.allowed.contains("as in the base"), "{invalid}");
    }
    // A target that died half way is compared, and what it did not reach is lost.
    let mut died = red();
    died.rows[2].cases = 20;
    let died = diff(&green(), &died).unwrap();
    assert_eq!((died.exit_code(), died.lost), (1, vec!["softmax:fwd:bf16".to_string()]));
}

/// Answers every vector of a directory with a model.
fn answered(
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

#[test]
fn vectors_are_written_answered_and_graded() {
    let (questions, answers) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (questions, answers) = (questions.path(), answers.path());
    let chosen = ["layer_norm".parse().unwrap()];
    let index = vectors::export(questions, &chosen, 6, 1).unwrap();
    assert_eq!(index.vectors.len(), 2 * 4 * 6);
    answered(questions, answers, "", &index);
    let report = vectors::grade(questions, answers).unwrap();
    assert_eq!((report.exit_code, report.findings.len()), (0, 0), "{}", plain(&report));
    assert_eq!(report.rows.len(), 8);
    assert!(report.rows.iter().all(|row| row.cases == 6 && row.grade_a + row.grade_b == 6));
    assert!(report.rows.iter().all(|row| row.largest_q() > 0.0));

    // What is missing is coverage.
    for vector in index.vectors.iter().filter(|vector| vector.file.contains("fwd-bf16")) {
        std::fs::remove_file(answers.join(&vector.file)).unwrap();
    }
    std::fs::write(answers.join("hello.json"), r#"{"impl":{"name":"mine"},"ops":{}}"#).unwrap();
    let report = vectors::grade(questions, answers).unwrap();
    assert_eq!((report.exit_code, report.target.name.as_str()), (0, "mine"));
    assert!(report.uncovered.contains(&"layer_norm:fwd:bf16".to_string()));
    assert_eq!(report.notes, ["6 of 48 vectors have no answer"]);

    // A wrong model is found, and so are files that are none, or answers to other questions.
    answered(questions, answers, "ln_mean_twice", &index);
    let wrong = vectors::grade(questions, answers).unwrap();
    assert_eq!(wrong.exit_code, 1);
    assert!(wrong.findings.iter().all(|finding| finding.tensor.as_deref() == Some("dx")));
    answered(questions, answers, "", &index);
    let put = |file: usize, bytes: &[u8]| {
        std::fs::write(answers.join(&index.vectors[file].file), bytes).unwrap();
    };
    put(0, b"PLUMMET1");
    put(
        1,
        &vectors::encode(&serde_json::json!({"kind": "ok", "seq": 7}), &BTreeMap::new()).unwrap(),
    );
    put(2, &vectors::encode(&serde_json::json!({"kind": 3}), &BTreeMap::new()).unwrap());
    let broken = vectors::grade(questions, answers).unwrap();
    assert_eq!((broken.exit_code, broken.findings.len(), broken.findings[0].times), (6, 1, 3));
    let error = serde_json::json!({"kind": "error", "message": "no"});
    for file in 0..3 {
        put(file, &vectors::encode(&error, &BTreeMap::new()).unwrap());
    }
    let refused = vectors::grade(questions, answers).unwrap();
    assert_eq!((refused.exit_code, refused.findings[0].times), (1, 3));
    assert!(refused.findings[0].message.contains("answered error: no"));
}

#[test]
fn answers_that_are_not_there_are_not_green() {
    let (questions, answers) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (questions, answers) = (questions.path(), answers.path());
    let asked = ["layer_norm:fwd:f32".parse().unwrap(), "softmax:fwd".parse().unwrap()];
    let index = vectors::export(questions, &asked, 3, 1).unwrap();
    let said = |answers: &std::path::Path| {
        let report = vectors::grade(questions, answers).unwrap();
        (report.exit_code, report.inconclusive.join("; "), plain(&report))
    };
    let (code, why, told) = said(answers);
    assert_eq!(code, 5, "{told}");
    assert!(why.contains("has no answer to any of 15 vectors"), "{why}");
    assert!(told.contains("UNTESTED vectors"), "{told}");
    // Nor are answers under names of their own.
    std::fs::write(answers.join("layer_norm_0.safetensors"), b"").unwrap();
    std::fs::write(answers.join("hello.json"), b"{}").unwrap();
    let (code, why, _) = said(answers);
    assert_eq!(code, 5);
    assert!(why.ends_with("and 1 files there are named like no vector"), "{why}");
    // What was asked for by name is missed, though the other is there.
    let norm = vectors::Index {
        vectors: index.vectors.iter().filter(|v| v.file.starts_with("layer")).cloned().collect(),
        ..index.clone()
    };
    answered(questions, answers, "", &norm);
    let (code, why, _) = said(answers);
    assert_eq!((code, why.as_str()), (5, "nothing of softmax:fwd was tested: there is no answer"));
    // Slips of the pen beside the answers are named.
    for (hello, field) in [
        (r#"{"ops":{"layer_norm":{"dtypes":["f32"]}}}"#, "dtype is meant?"),
        (r#"{"ops":{"layer_norm":{"accumulate":{"bfloat16":"f32"}}}}"#, "bf16 is meant?"),
        (r#"{"ops":{"layernorm":{}}}"#, "hello.ops = layernorm"),
    ] {
        std::fs::write(answers.join("hello.json"), hello).unwrap();
        let refused = vectors::grade(questions, answers).unwrap_err().to_string();
        assert!(refused.contains(field), "{refused}");
    }
}

#[test]
fn runs_without_a_row_in_common_are_not_compared() {
    let mut other = green();
    for row in &mut other.rows {
        row.op = "rms_norm".into();
    }
    let nothing = diff(&Report { rows: Vec::new(), ..green() }, &green()).unwrap();
    assert_eq!(nothing.exit_code(), 5);
    // What was tested and is not any more is worse than that.
    let lost = diff(&green(), &other).unwrap();
    assert_eq!((lost.compared, lost.exit_code()), (0, 3));
}

#[test]
fn a_manifest_says_how_long_a_target_may_take() {
    let seconds = |toml: &str| {
        let patience = manifest::parse(toml).unwrap().patience.unwrap();
        (patience.first.as_secs(), patience.shape.as_secs(), patience.least.as_secs())
    };
    assert_eq!(seconds("patience = '90s'"), (90, 90, 5));
    assert_eq!(seconds("[patience]\nfirst = '5m'\ncall = '10s'"), (300, 60, 10));
    assert!(manifest::parse("").unwrap().patience.is_none());
    for (toml, field) in [
        ("patience = 7", "patience = 7"),
        ("patience = 'long'", "patience = long"),
        ("[patience]\nfist = '7s'", "patience = fist: allowed is hello, first, shape, call"),
        ("[patience]\nfirst = 7", "patience = "),
        ("[patience]\ncall = '0s'", "patience.call = 0s"),
        (
            "patiense = '7s'",
            "field of gate.toml = patiense: allowed is require, sizes, expect, patience",
        ),
    ] {
        let refused = manifest::parse(toml).unwrap_err().to_string();
        assert!(refused.contains(field), "{toml}: {refused}");
    }
}

#[test]
fn an_index_that_is_not_ours_is_refused() {
    let (questions, answers) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let refused =
        |questions: &std::path::Path| vectors::grade(questions, answers.path()).unwrap_err().field;
    assert_eq!(refused(questions.path()), "index.json");
    let chosen = ["layer_norm:fwd:f32".parse().unwrap()];
    let index = vectors::export(questions.path(), &chosen, 2, 1).unwrap();
    type Other = fn(&mut vectors::Index);
    let others: [(&str, Other); 6] = [
        ("index.plummet", |index| index.plummet = "0.0.1".into()),
        ("index.spec", |index| index.spec = "2020.1".into()),
        ("index.cases", |index| index.cases = usize::MAX),
        ("index.vectors.id", |index| index.seed = 2),
        ("index.vectors.id", |index| index.vectors[0].id.push_str(",eps=\"a\"")),
        ("index.vectors.file", |index| index.vectors[0].file = "../../secret".into()),
    ];
    for (field, change) in others {
        let mut other = index.clone();
        change(&mut other);
        let text = serde_json::to_string(&other).unwrap();
        std::fs::write(questions.path().join("index.json"), text).unwrap();
        assert_eq!(refused(questions.path()), field);
    }
    assert!(vectors::export(questions.path(), &["dropout".parse().unwrap()], 1, 1).is_err());
}

proptest! {
    #[test]
    fn no_answer_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = vectors::decode(&bytes);
        let mut framed = (bytes.len() as u64).to_le_bytes().to_vec();
        framed.extend(&bytes);
        let _ = vectors::decode(&framed);
    }

    #[test]
    fn no_manifest_panics(text in ".{0,200}") {
        let _ = manifest::parse(&text);
    }

    #[test]
    fn nearly_right_manifests_do_not_panic(parts in proptest::collection::vec(prop_oneof![
        Just("[[expect]]\n"), Just("require = "), Just("match = "), Just("status = "),
        Just("factor = "), Just("until = "), Just("reason = "), Just("'xfail'\n"),
        Just("'tolerate'\n"), Just("2027-01-31\n"), Just("nan\n"), Just("['a', 3]\n"),
        Just("\"é\n"), Just("[[["), Just("{a = "), Just("\n"),
    ], 0..12)) {
        let _ = manifest::parse(&parts.concat());
    }

    #[test]
    fn a_pattern_matches_itself_and_its_parts(parts in proptest::collection::vec("[a-z0-9=,+]{1,6}", 1..6)) {
        let name = parts.join(":");
        prop_assert!(matches(&name, &name));
        prop_assert!(matches(&parts[0], &name));
        prop_assert!(matches("*", &name));
    }

    #[test]
    fn a_glob_never_hangs(pattern in "[ab*?]{0,40}", name in "[ab:]{0,200}") {
        let _ = matches(&pattern, &name);
    }

    #[test]
    fn numbers_read_back_to_their_digits(value in proptest::num::f64::NORMAL, figures in 1usize..18) {
        let shown: f64 = show::digits(value, figures).parse().unwrap();
        let most = 0.5 * 10f64.powi(1 - figures as i32) * (1.0 + 1e-9);
        prop_assert!((shown / value - 1.0).abs() <= most.max(4e-16) || !shown.is_finite(), "{} {}", value, shown);
    }
}
