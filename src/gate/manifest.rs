//! `gate.toml`: what a project requires of a run, and which failures it knows of.
//!
//! ```toml
//! require = ["layer_norm:bwd:f32"]
//!
//! [[expect]]
//! match  = "softmax:fwd:bf16"       # a row, a tensor of it, or the id of a case; * and ? stand for others
//! status = "xfail"                  # or "skip", or "tolerate" with a factor
//! reason = "the row sum is kept in bf16"
//! issue  = "https://example.org/issues/7"
//! until  = 2027-01-31               # the last day on which it holds
//! ```
//!
//! A pattern stands for everything below it: `softmax` for each of its passes, dtypes, tensors and
//! cases, `softmax:fwd:bf16` for that row whatever the dtype of its parameters.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::report::{Finding, Report, Row, exit_code};
use crate::config::Invalid;

/// A manifest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Manifest {
    /// Patterns of what must have been tested.
    pub require: Vec<String>,
    /// Failures that are known.
    pub expect: Vec<Expect>,
}

/// How a failure is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It fails, and to pass is news.
    Xfail,
    /// It is not tested.
    Skip,
    /// It is off by no more than a factor times the bound.
    Tolerate,
}

impl Status {
    /// Every status.
    pub const ALL: [Status; 3] = [Status::Xfail, Status::Skip, Status::Tolerate];
    /// The name in a manifest.
    pub fn name(self) -> &'static str {
        match self {
            Status::Xfail => "xfail",
            Status::Skip => "skip",
            Status::Tolerate => "tolerate",
        }
    }
}

/// An entry of a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expect {
    /// What it is about.
    #[serde(rename = "match")]
    pub pattern: String,
    /// How it is expected.
    pub status: Status,
    /// How many times the bound is tolerated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// Why.
    pub reason: String,
    /// Where it is discussed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<String>,
    /// The last day on which it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
}

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

/// Reads a manifest; what it does not know it refuses.
pub fn parse(text: &str) -> Result<Manifest, Invalid> {
    let table: Table = text.parse().map_err(|reason: toml::de::Error| {
        let before = reason.span().map_or(0, |span| span.start);
        let line = 1 + text.bytes().take(before).filter(|&byte| byte == b'\n').count();
        let message = reason.message().lines().next().unwrap_or_default();
        Invalid::new("gate.toml", format!("line {line}, {message}"), "TOML")
    })?;
    let mut manifest = Manifest::default();
    for (key, value) in &table {
        match key.as_str() {
            "require" => manifest.require = patterns(value)?,
            "expect" => {
                let refused = || Invalid::new("expect", value, "[[expect]] tables");
                let entries = value.as_array().ok_or_else(refused)?;
                for (i, entry) in entries.iter().enumerate() {
                    let entry = entry.as_table().ok_or_else(refused)?;
                    manifest.expect.push(expect(&format!("expect[{i}]"), entry)?);
                }
            }
            _ => return Err(Invalid::new("field of gate.toml", key, "require, expect")),
        }
    }
    Ok(manifest)
}

/// The patterns of `require`, and of `--require`.
fn patterns(value: &Value) -> Result<Vec<String>, Invalid> {
    let refused =
        |value: &Value| Invalid::new("require", value, "patterns such as \"softmax:fwd\"");
    let values = value.as_array().ok_or_else(|| refused(value))?;
    let pattern = |value: &Value| match value.as_str() {
        Some(text) if !text.trim().is_empty() => Ok(text.trim().to_string()),
        _ => Err(refused(value)),
    };
    values.iter().map(pattern).collect()
}

fn expect(place: &str, entry: &Table) -> Result<Expect, Invalid> {
    const FIELDS: &str = "match, status, factor, reason, issue, until";
    if let Some(key) = entry.keys().find(|key| !FIELDS.split(", ").any(|known| known == *key)) {
        return Err(Invalid::new(&format!("field of {place}"), key, FIELDS));
    }
    let refused = |field: &str, allowed: &str| {
        let value = entry.get(field).map_or("nothing".into(), Value::to_string);
        Invalid::new(&format!("{place}.{field}"), value, allowed)
    };
    let word = |field: &str, allowed: &str| match entry.get(field).map(Value::as_str) {
        None => Ok(None),
        Some(Some(text)) if !text.trim().is_empty() => Ok(Some(text.trim().to_string())),
        Some(_) => Err(refused(field, allowed)),
    };
    const MATCH: &str = "a pattern such as \"softmax:fwd:bf16\", or the id of a case";
    const REASON: &str = "a reason in words";
    const STATUS: &str = "\"xfail\", \"skip\", \"tolerate\"";
    let status = word("status", STATUS)?;
    let status = Status::ALL.into_iter().find(|known| Some(known.name()) == status.as_deref());
    let status = status.ok_or_else(|| refused("status", STATUS))?;
    let factor = match (entry.get("factor"), status) {
        (None, Status::Tolerate) => return Err(refused("factor", "a number above 1")),
        (None, _) => None,
        (Some(_), Status::Xfail | Status::Skip) => {
            return Err(refused("factor", "nothing, but where status = \"tolerate\""));
        }
        (Some(value), Status::Tolerate) => {
            let number = value.as_float().or(value.as_integer().map(|whole| whole as f64));
            let number = number.filter(|factor| factor.is_finite() && *factor > 1.0);
            Some(number.ok_or_else(|| refused("factor", "a number above 1"))?)
        }
    };
    let until = match entry.get("until") {
        None => None,
        Some(Value::Datetime(when)) => {
            when.date.map(|date| Date { year: date.year, month: date.month, day: date.day })
        }
        Some(value) => value.as_str().and_then(Date::parse),
    };
    if until.is_none() && entry.contains_key("until") {
        return Err(refused("until", "a day such as 2027-01-31"));
    }
    Ok(Expect {
        pattern: word("match", MATCH)?.ok_or_else(|| refused("match", MATCH))?,
        status,
        factor,
        reason: word("reason", REASON)?.ok_or_else(|| refused("reason", REASON))?,
        issue: word("issue", "a link or a number as a string")?,
        until,
    })
}

impl Manifest {
    /// The entry that says not to test a row (`op:dir:dtype`) or a case (its id).
    pub fn skip(&self, name: &str) -> Option<&Expect> {
        let skips = |expect: &&Expect| expect.status == Status::Skip;
        self.expect.iter().filter(skips).find(|expect| matches(&expect.pattern, name))
    }
}

/// Holds a run against a manifest: notes in it what is expected, what is missing and what is
/// broken, and sets the exit code.
///
/// What the run found of regressions, or of faults of the gate, stays in its exit code. An entry
/// that has expired still covers its findings, so that the code says what happened: 8.
pub fn apply(report: &mut Report, manifest: &Manifest, today: Date) {
    report.expectations.clear();
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

/// True where a pattern stands for a name or for something that the name is a part of.
///
/// `*` stands for any letters, `?` for one; a name has parts, which end at `:`, and at the `+`
/// between its two dtypes.
pub fn matches(pattern: &str, name: &str) -> bool {
    let head = name.match_indices(':').nth(2).map_or(name.len(), |(end, _)| end);
    let ends = name.match_indices(':').map(|(end, _)| end);
    let plus = name[..head].match_indices('+').map(|(end, _)| end);
    let pattern: Vec<char> = pattern.chars().collect();
    ends.chain(plus).chain([name.len()]).any(|end| {
        let name: Vec<char> = name[..end].chars().collect();
        glob(&pattern, &name)
    })
}

/// Matches greedily, and comes back to the last `*` where that fails: linear memory, no recursion.
fn glob(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == '?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                (p, n) = (at + 1, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

/// A day of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// From 0 to 9999.
    pub year: u16,
    /// From 1.
    pub month: u8,
    /// From 1.
    pub day: u8,
}

impl Date {
    /// A day written as `2027-01-31`.
    pub fn parse(text: &str) -> Option<Date> {
        let mut parts = text.split('-').map(|part| {
            let digits = part.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| part.parse::<u16>().ok()).flatten().map(|number| (number, part.len()))
        });
        let mut next = |length| parts.next()?.filter(|(_, own)| *own == length).map(|(n, _)| n);
        let (year, month, day) = (next(4)?, next(2)?, next(2)?);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            4 | 6 | 9 | 11 => 30,
            2 => 28 + u16::from(leap),
            1..=12 => 31,
            _ => return None,
        };
        let ends = parts.next().is_none();
        (ends && (1..=days).contains(&day)).then_some(Date {
            year,
            month: month as u8,
            day: day as u8,
        })
    }

    /// The present day in UTC; the first of 1970 where the clock is before it.
    pub fn today() -> Date {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        Date::of_days(seconds / 86_400)
    }

    /// So many days after the first of January 1970.
    ///
    /// Years begin in March, so that the leap day is the last of its year, and repeat every 400
    /// (146 097 days).
    pub fn of_days(days: u64) -> Date {
        let days = days + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let first = (153 * month + 2) / 5;
        let (month, late) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        Date {
            year: u16::try_from(era * 400 + year + late).unwrap_or(u16::MAX),
            month: month as u8,
            day: (day - first + 1) as u8,
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl Serialize for Date {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Date, D::Error> {
        let text = String::deserialize(from)?;
        Date::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("{text} is no day")))
    }
}
