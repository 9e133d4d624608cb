//! `gate diff`: is a target less accurate than it was?
//!
//! Two reports of the same cases are compared row by row and tensor by tensor. The error in parts of
//! its bound, q, is a pure function of the cases where the target is deterministic, so that any
//! change has a cause. Where it is not (atomic additions), q is the largest of N errors that are
//! each about normal, and such a maximum varies by a standard deviation of π/√6/(2·ln N) of itself:
//! 6 % for 10⁵ elements, 14 % for 100. A growth by half, [`GROWTH`], is over three of these for
//! any number of elements from 100 on. And as the statistical bound is [`DEVIATIONS`] standard
//! deviations, what stays below [`FLOOR`] of it is half of one: a rounding here or there, whatever
//! its ratio.
//!
//! [`DEVIATIONS`]: crate::num::bound::DEVIATIONS

use std::fmt::Write as _;

use serde::Serialize;

use super::{Finding, Report, Row, exit_code};
use crate::num::show::short;
use crate::num::spelled::every_number;
use crate::setting::Invalid;

/// The ratio of q that noise explains.
pub const GROWTH: f64 = 1.5;
/// The difference of q that noise explains.
pub const FLOOR: f64 = 0.1;

/// What a number is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The largest error in parts of the statistical bound.
    QStatistical,
    /// The largest error in parts of the worst-case bound.
    Q,
    /// How many cases are not of grade A.
    BelowA,
}

/// A number that has changed by more than noise explains.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// `op:dir:dtype`.
    pub subject: String,
    /// The tensor, where it is of one.
    pub tensor: Option<String>,
    /// What has changed.
    pub metric: Metric,
    /// What it was.
    #[serde(with = "every_number")]
    pub base: f64,
    /// What it is.
    #[serde(with = "every_number")]
    pub now: f64,
}

/// What lies between two runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Diff {
    /// What has become less accurate.
    pub worse: Vec<Change>,
    /// What has become more accurate.
    pub better: Vec<Change>,
    /// What was right and is wrong: the findings that count.
    pub new_findings: Vec<Finding>,
    /// What was wrong and is right, as `subject tensor`.
    pub fixed: Vec<String>,
    /// Rows that were tested and are not, or not to the end.
    pub lost: Vec<String>,
    /// Rows that are tested and were not.
    pub gained: Vec<String>,
    /// Rows that were compared.
    pub compared: usize,
}

impl Diff {
    /// 1 where something is newly wrong, 3 where it is less accurate or no longer tested, 5 where no
    /// row is in both runs, or 0.
    pub fn exit_code(&self) -> u8 {
        let wrong = u8::from(!self.new_findings.is_empty());
        let worse = if self.worse.is_empty() && self.lost.is_empty() { 0 } else { 3 };
        exit_code([wrong, worse, if self.compared == 0 { 5 } else { 0 }])
    }
}

/// Compares two runs of the same cases; refuses to compare others.
pub fn diff(base: &Report, now: &Report) -> Result<Diff, Invalid> {
    comparable(base, now)?;
    let mut diff = Diff::default();
    for was in base.rows.iter().filter(|row| row.tested()) {
        let name = was.name();
        match now.rows.iter().find(|row| row.name() == name) {
            Some(row) if row.tested() && row.cases >= was.cases => {
                compare(&mut diff, was, row);
                diff.compared += 1;
            }
            _ => diff.lost.push(name),
        }
    }
    let met = |report: &Report, name: &str| {
        report.rows.iter().any(|row| row.tested() && row.name() == name)
    };
    let gained = now.rows.iter().filter(|row| row.tested()).map(Row::name);
    diff.gained = gained.filter(|name| !met(base, name)).collect();
    let same = |a: &Finding, b: &Finding| {
        (&a.subject, &a.tensor, a.fault) == (&b.subject, &b.tensor, b.fault)
    };
    // What failed for the reason of another is not new where it has one of its own.
    let affected = |finding: &Finding| {
        let mut rows = base.findings.iter().flat_map(|was| &was.affects);
        rows.any(|row| (&row.subject, &row.tensor) == (&finding.subject, &finding.tensor))
    };
    let known =
        |finding: &Finding| affected(finding) || base.findings.iter().any(|was| same(was, finding));
    let news = now.counted().filter(|finding| !known(finding));
    diff.new_findings = news.cloned().collect();
    let gone = base.findings.iter().filter(|was| !now.findings.iter().any(|is| same(was, is)));
    // What is not tested any more is not fixed.
    let gone = gone.filter(|was| !diff.lost.contains(&was.subject));
    diff.fixed = gone.map(Finding::name).collect();
    Ok(diff)
}

/// Refuses to compare what was not tried on the same cases or was not held to the same bounds.
fn comparable(base: &Report, now: &Report) -> Result<(), Invalid> {
    let same = |field: &str, was: String, is: String| match was == is {
        true => Ok(()),
        false => Err(Invalid::new(field, is, format!("{was}, as in the base"))),
    };
    same("format", base.format.to_string(), now.format.to_string())?;
    same("spec", base.spec.clone(), now.spec.clone())?;
    // Another version draws other cases.
    same("plummet", base.plummet.clone(), now.plummet.clone())?;
    same("seed", base.seed.to_string(), now.seed.to_string())?;
    for (op, was) in &base.served {
        let Some(is) = now.served.get(op) else { continue };
        let field = |name: &str| format!("served.{op}.{name}");
        same(&field("accumulate"), told(&was.accumulate), told(&is.accumulate))?;
        same(&field("attrs"), told(&was.attrs), told(&is.attrs))?;
        same(&field("optional"), told(&was.optional), told(&is.optional))?;
        same(&field("required"), told(&was.required), told(&is.required))?;
        same(&field("variant"), told(&was.variant), told(&is.variant))?;
        same(&field("limits"), told(&was.limits), told(&is.limits))?;
    }
    for was in &base.rows {
        let Some(is) = now.rows.iter().find(|row| row.name() == was.name()) else { continue };
        // A target that broke was asked no further: that is coverage lost.
        let broke = |report: &Report| {
            let broken = |finding: &Finding| {
                finding.subject == was.name() && finding.fault != super::Fault::Wrong
            };
            report.findings.iter().any(broken)
        };
        if !broke(base) && !broke(now) {
            let field = format!("cases of {}", was.name());
            same(&field, was.cases.to_string(), is.cases.to_string())?;
        }
    }
    Ok(())
}

/// A value in the words of the message that declared it.
fn told(value: impl Serialize) -> String {
    serde_json::to_string(&value).unwrap_or_default()
}

fn compare(diff: &mut Diff, was: &Row, is: &Row) {
    let subject = was.name();
    for (metric, before, after) in
        [(Metric::QStatistical, &was.q_statistical, &is.q_statistical), (Metric::Q, &was.q, &is.q)]
    {
        for (tensor, &base) in before {
            let Some(&now) = after.get(tensor) else {
                // It was answered with, and is no longer.
                if metric == Metric::QStatistical {
                    diff.lost.push(format!("{subject}:{tensor}"));
                }
                continue;
            };
            let tensor = Some(tensor.clone());
            let change = Change { subject: subject.clone(), tensor, metric, base, now };
            if grew(base, now) {
                diff.worse.push(change);
            } else if grew(now, base) {
                diff.better.push(change);
            }
        }
    }
    let below = |row: &Row| (row.grade_b + row.failed) as f64;
    let (base, now) = (below(was), below(is));
    let change = Change { subject, tensor: None, metric: Metric::BelowA, base, now };
    if more(base, now) {
        diff.worse.push(change);
    } else if more(now, base) {
        diff.better.push(change);
    }
}

/// True where q has grown by more than noise explains; from a number to none that it has.
fn grew(base: f64, now: f64) -> bool {
    match (base.is_nan(), now.is_nan()) {
        (true, _) => false,
        (false, true) => true,
        _ => now > base * GROWTH && now - base > FLOOR,
    }
}

/// True where a count has grown by more than three standard deviations of what is counted, √n.
fn more(base: f64, now: f64) -> bool {
    now - base > 3.0 * (base + 1.0).sqrt()
}

/// A comparison for people.
pub fn text(diff: &Diff, base: &Report, now: &Report) -> String {
    let mut out = String::new();
    for finding in &diff.new_findings {
        out += &super::text::finding(now, finding);
    }
    let line = |change: &Change| {
        let tensor = change.tensor.as_ref().map_or(String::new(), |tensor| format!(" {tensor}"));
        let subject = format!("{}{tensor}", change.subject);
        let (base, now) = (short(change.base), short(change.now));
        match change.metric {
            Metric::QStatistical => format!("{subject}  q(√n) {base} → {now}"),
            Metric::Q => format!("{subject}  q {base} → {now}"),
            Metric::BelowA => format!("{subject}  cases below grade A {base} → {now}"),
        }
    };
    for change in &diff.worse {
        let _ = writeln!(out, "worse   {}", line(change));
    }
    for name in &diff.lost {
        let _ = writeln!(out, "lost    {name}");
    }
    for change in &diff.better {
        let _ = writeln!(out, "better  {}", line(change));
    }
    for name in &diff.fixed {
        let _ = writeln!(out, "fixed   {name}");
    }
    for name in &diff.gained {
        let _ = writeln!(out, "gained  {name}");
    }
    let (was, is) = (super::text::target(base), super::text::target(now));
    let verdict = match diff.exit_code() {
        0 => "no regression",
        1 => "FAIL new findings",
        5 => "UNTESTED no row was tested in both runs",
        _ => "FAIL accuracy regression",
    };
    let rows = super::text::counted(diff.compared, "row");
    let _ = writeln!(out, "{verdict} · {was} → {is} · {rows} compared");
    out
}

/// A comparison as JSON, indented, its exit code with it.
pub fn json(diff: &Diff) -> String {
    let mut value = serde_json::to_value(diff).expect("a comparison has names and numbers");
    value["exit_code"] = diff.exit_code().into();
    let mut text = serde_json::to_string_pretty(&value).expect("a value is JSON");
    text.push('\n');
    text
}
