//! What came of a manifest in a run.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::gate::manifest::{Date, Expect, Manifest, Status, matches};
use crate::gate::report::{Affected, Finding, Report, Row, exit_code};

/// What came of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is as expected.
    Holds,
    /// Nothing fails that was expected to: the entry must go.
    Passes,
    /// Its last day is over: the failure must be looked at again.
    Expired,
    /// Nothing that was tested, or left out, is what it is about.
    Unmatched,
    /// It is off by more than is tolerated; the findings count.
    Exceeded,
}

/// An entry of a manifest after a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    /// The entry.
    #[serde(flatten)]
    pub expect: Expect,
    /// What came of it.
    pub state: State,
    /// The findings that it covers, by their place in the report.
    pub findings: Vec<usize>,
}

impl Expectation {
    /// True where the manifest is wrong about the target.
    pub fn broken(&self) -> bool {
        matches!(self.state, State::Passes | State::Expired | State::Unmatched)
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Expect { pattern, status, factor, reason, issue, until } = &self.expect;
        write!(f, "{} {pattern}", status.name())?;
        match self.state {
            State::Holds => {}
            State::Passes => f.write_str(" passes: remove the entry")?,
            State::Expired => f.write_str(" has expired")?,
            State::Unmatched => f.write_str(" matches nothing that was tested")?,
            State::Exceeded => f.write_str(" is exceeded")?,
        }
        write!(f, " ({reason}")?;
        if let Some(factor) = factor {
            write!(f, "; {factor} × the bound")?;
        }
        if let Some(issue) = issue {
            write!(f, "; {issue}")?;
        }
        if let Some(until) = until {
            write!(f, "; until {until}")?;
        }
        f.write_str(")")
    }
}

/// Holds a run against a manifest: notes in it what is expected, what is missing and what is
/// broken, and sets the exit code.
///
/// What the run found of regressions, or of faults of the gate, stays in its exit code. An entry
/// that has expired still covers its findings, so that the code says what happened: 8.
pub fn apply(report: &mut Report, manifest: &Manifest, today: Date) {
    report.expectations.clear();
    apart(report, manifest);
    for expect in &manifest.expect {
        let expectation = hold(report, expect, today);
        report.expectations.push(expectation);
    }
    report.missing = manifest.require.iter().flat_map(|pattern| missing(report, pattern)).collect();
    let broken = report.expectations.iter().any(Expectation::broken) || !report.missing.is_empty();
    let own = match report.exit_code {
        1 | 6 | 7 | 8 => 0,
        other => other,
    };
    let found: Vec<u8> = report.counted().map(|finding| finding.fault.exit_code()).collect();
    report.exit_code = exit_code(found.into_iter().chain([own, if broken { 8 } else { 0 }]));
}

/// Rows that fail for the reason of another stand alone where an entry is about some of them only:
/// what is expected of one row says nothing of the others.
fn apart(report: &mut Report, manifest: &Manifest) {
    let mut alone: Vec<Finding> = Vec::new();
    for finding in &mut report.findings {
        let rows: Vec<Finding> = finding.affects.iter().map(|row| like(finding, row)).collect();
        let divided = manifest.expect.iter().any(|expect| {
            let about = |own: &Finding| concerns(&expect.pattern, own);
            let some = about(finding) || rows.iter().any(about);
            let all = about(finding) && rows.iter().all(about);
            some && (!all || expect.factor.is_some())
        });
        if divided {
            finding.affects.clear();
            alone.extend(rows);
        }
    }
    report.findings.extend(alone);
}

/// A row that fails for the reason of a finding, as a finding of its own.
fn like(finding: &Finding, row: &Affected) -> Finding {
    Finding {
        stage: row.stage,
        subject: row.subject.clone(),
        tensor: row.tensor.clone(),
        case: row.case.clone(),
        times: row.times,
        message: format!("fails for the reason of {}", finding.name()),
        worst: row.worst.clone(),
        shrunk: None,
        affects: Vec::new(),
        ..finding.clone()
    }
}

/// What came of one entry.
fn hold(report: &Report, expect: &Expect, today: Date) -> Expectation {
    let about = |finding: &&(usize, &Finding)| concerns(&expect.pattern, finding.1);
    let all: Vec<(usize, &Finding)> = report.findings.iter().enumerate().collect();
    let met: Vec<&(usize, &Finding)> = all.iter().filter(about).collect();
    let covered = met.iter().filter(|(_, finding)| match expect.factor {
        Some(factor) => within(report, finding, factor),
        None => true,
    });
    let findings: Vec<usize> = covered.map(|(i, _)| *i).collect();
    let tested = || report.rows.iter().any(|row| row.tested() && touches(&expect.pattern, row));
    let left_out = || report.skipped.iter().any(|name| matches(&expect.pattern, name));
    let state = if met.is_empty() && !tested() && !left_out() {
        State::Unmatched
    } else if expect.until.is_some_and(|until| until < today) {
        State::Expired
    } else if findings.len() < met.len() {
        State::Exceeded
    } else if met.is_empty() && expect.status == Status::Xfail {
        State::Passes
    } else {
        State::Holds
    };
    Expectation { expect: expect.clone(), state, findings }
}

/// True where a pattern is about a finding.
fn concerns(pattern: &str, finding: &Finding) -> bool {
    let tensor = finding.tensor.as_ref().map(|tensor| format!("{}:{tensor}", finding.subject));
    let shrunk = finding.shrunk.as_ref().map(|shrunk| &shrunk.case);
    [Some(&finding.subject), Some(&finding.case), tensor.as_ref(), shrunk]
        .into_iter()
        .flatten()
        .any(|name| matches(pattern, name))
}

/// True where a pattern is about a row, a tensor of it or one of its cases.
fn touches(pattern: &str, row: &Row) -> bool {
    let name = row.name();
    let tensor = |tensor: &String| matches(pattern, &format!("{name}:{tensor}"));
    // Which cases a row had is not kept: of the id of a case, its first three parts are looked at.
    let case = pattern.contains('=');
    let of_case = || {
        let parts: Vec<&str> = pattern.splitn(4, ':').collect();
        parts.len() == 4 && matches(&parts[..3].join(":"), &name)
    };
    matches(pattern, &name) || row.q.keys().any(tensor) || (case && of_case())
}

/// True where a finding is about numbers that are off by no more than `factor` bounds, in the
/// shrunken case and in every other one of its row.
fn within(report: &Report, finding: &Finding, factor: f64) -> bool {
    let (Some(tensor), Some(worst)) = (&finding.tensor, &finding.worst) else { return false };
    let row = report.rows.iter().find(|row| row.name() == finding.subject);
    let largest = row.and_then(|row| row.q.get(tensor)).copied().unwrap_or(f64::INFINITY);
    worst.q <= factor && largest <= factor
}

/// What a requirement names and the run did not test, in words; at least one row must match it.
pub fn missing(report: &Report, pattern: &str) -> Vec<String> {
    let tested = report.rows.iter().any(|row| row.tested() && matches(pattern, &row.name()));
    let skipped = report.skipped.iter().filter(|name| !name.contains('='));
    let untested = report.rows.iter().filter(|row| !row.tested()).map(Row::name);
    let all = report.uncovered.iter().chain(skipped).cloned().chain(untested);
    let found: Vec<String> = all.filter(|name| matches(pattern, name)).collect();
    match (tested, found.is_empty()) {
        (false, true) => vec![pattern.to_string()],
        _ => found,
    }
}
