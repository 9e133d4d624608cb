//! A report as JUnit XML: a suite per operator, a case per row, and per failure in it.

use crate::num::show;
use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::{Fault, Finding, Report, text};

/// A report as JUnit XML.
pub fn write(report: &Report) -> String {
    let mut document = quick_junit::Report::new("plummet gate");
    document.set_time(time(report.seconds));
    let mut ops: Vec<&str> = Vec::new();
    let rows = report.rows.iter().map(|row| row.op.as_str());
    let subjects = report.findings.iter().map(|finding| op(&finding.subject));
    let skipped = report.skipped.iter().map(|name| op(name));
    let affected = report.findings.iter().flat_map(Finding::rows).map(op);
    for name in rows.chain(subjects).chain(affected).chain(skipped) {
        if !ops.contains(&name) {
            ops.push(name);
        }
    }
    for op in ops {
        document.add_test_suite(suite(report, op));
    }
    if !report.expectations.is_empty() || !report.missing.is_empty() {
        document.add_test_suite(expectations(report));
    }
    if !report.inconclusive.is_empty() {
        document.add_test_suite(untested(report));
    }
    document.to_string().expect("XML of text in memory has no way to fail")
}

/// The operator of a row, a tensor or a case; that of a target that cannot be talked to has none.
fn op(subject: &str) -> &str {
    match subject.split(':').next() {
        Some(op) if !op.is_empty() => op,
        _ => "target",
    }
}

fn suite(report: &Report, name: &str) -> TestSuite {
    let mut suite = TestSuite::new(name);
    let case = |name: &str, status: TestCaseStatus| {
        let mut case = TestCase::new(name, status);
        case.set_classname(format!("plummet.{}", op(name)));
        case
    };
    for row in report.rows.iter().filter(|row| row.op == name) {
        let own = row.name();
        let explained = report.findings.iter().any(|finding| finding.subject == own);
        let like =
            report.findings.iter().enumerate().find(|(_, finding)| {
                finding.affects.iter().any(|affected| affected.subject == own)
            });
        let untested = report.inconclusive.iter().any(|line| line.contains(&format!("{own} ")));
        if let (false, Some((i, finding))) = (explained, like) {
            let status = match report.expected(i) {
                Some(expectation) => skip(&expectation.to_string()),
                None => alike(finding),
            };
            suite.add_test_case(case(&own, status));
        } else if !explained && (untested || (row.cases == 0 && was_cut(report, &own))) {
            suite.add_test_case(case(&own, skip("nothing of it was tested")));
        } else if !explained {
            let mut passed = case(&own, TestCaseStatus::success());
            passed.set_assertions(row.cases);
            if let Some((tensor, q)) = row.largest_q_statistical() {
                passed.add_property(("q", show::short(q).as_str()));
                passed.add_property(("q_tensor", tensor));
            }
            suite.add_test_case(passed);
        }
    }
    for (i, finding) in report.findings.iter().enumerate() {
        if op(&finding.subject) != name {
            continue;
        }
        let status = match report.expected(i) {
            Some(expectation) => skip(&expectation.to_string()),
            None => failure(report, finding),
        };
        let tensor = finding.tensor.as_ref().map_or(String::new(), |tensor| format!(":{tensor}"));
        let subject = if finding.subject.is_empty() { "target" } else { &finding.subject };
        let stage = format!(" (stage {})", finding.stage);
        suite.add_test_case(case(&format!("{subject}{tensor}{stage}"), status));
    }
    for skipped in report.skipped.iter().filter(|skipped| op(skipped) == name) {
        suite.add_test_case(case(skipped, skip("the manifest leaves it out")));
    }
    suite
}

fn skip(why: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(why);
    status
}

/// A wrong result is a failure; a target that does not answer is an error.
fn failure(report: &Report, finding: &Finding) -> TestCaseStatus {
    let (kind, word) = match finding.fault {
        Fault::Wrong => (NonSuccessKind::Failure, "wrong"),
        Fault::Protocol => (NonSuccessKind::Error, "protocol"),
        Fault::Crash => (NonSuccessKind::Error, "crash"),
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(word);
    status.set_message(finding.message.lines().next().unwrap_or_default());
    status.set_description(text::finding(report, finding));
    status
}

/// The failure of a row whose reason is that of another.
fn alike(finding: &Finding) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_type("wrong");
    status.set_message(format!("fails for the reason of {}", finding.name()));
    status
}

fn was_cut(report: &Report, row: &str) -> bool {
    report.cut_short.iter().any(|cut| cut.subject == row)
}

/// The run as a suite, where it says nothing of what it was to judge.
fn untested(report: &Report) -> TestSuite {
    let mut suite = TestSuite::new("untested");
    for line in &report.inconclusive {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type("untested");
        status.set_message(line.as_str());
        let mut case = TestCase::new(line.as_str(), status);
        case.set_classname("plummet.untested");
        suite.add_test_case(case);
    }
    suite
}

/// The manifest as a suite: what it says and does not hold fails.
fn expectations(report: &Report) -> TestSuite {
    let mut suite = TestSuite::new("expectations");
    let failed = |message: &str| {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type("expectation");
        status.set_message(message);
        status
    };
    for expectation in &report.expectations {
        let status = match expectation.broken() {
            true => failed(&expectation.to_string()),
            false => TestCaseStatus::success(),
        };
        let name = format!("{} {}", expectation.expect.status.name(), expectation.expect.pattern);
        let mut case = TestCase::new(name, status);
        case.set_classname("plummet.expectations");
        suite.add_test_case(case);
    }
    for name in &report.missing {
        let status = failed("required and not tested");
        let mut case = TestCase::new(format!("require {name}"), status);
        case.set_classname("plummet.expectations");
        suite.add_test_case(case);
    }
    suite
}

/// Wall time; nothing where it is no time.
fn time(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
