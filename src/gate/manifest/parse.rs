//! What a manifest says, and how it is read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::date::Date;
use super::pattern::matches;
use crate::check::arithmetic::Arithmetic;
use crate::check::spec;
use crate::gate::stages::sizes::Asked;
use crate::gate::wire::patience::{self, Patience};
use crate::setting::Invalid;

/// A manifest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Manifest {
    /// Patterns of what must have been tested.
    pub require: Vec<String>,
    /// Shapes to try beside those of the gate.
    pub sizes: Vec<Asked>,
    /// Failures that are known.
    pub expect: Vec<Expect>,
    /// How long the target may take, where it is not the default.
    pub patience: Option<Patience>,
    /// The arithmetic of operators by name, of all others by `*`.
    pub arithmetic: BTreeMap<String, Arithmetic>,
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

impl Manifest {
    /// What is declared of an operator's arithmetic here, which goes over what the target says.
    pub fn arithmetic(&self, op: &str) -> Option<Arithmetic> {
        self.arithmetic.get(op).or(self.arithmetic.get("*")).copied()
    }
    /// The entry that says not to test a row (`op:dir:dtype`) or a case (its id).
    pub fn skip(&self, name: &str) -> Option<&Expect> {
        let skips = |expect: &&Expect| expect.status == Status::Skip;
        self.expect.iter().filter(skips).find(|expect| matches(&expect.pattern, name))
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
            "sizes" => {
                let refused =
                    || Invalid::new("sizes", value, "a list such as [\"rows=4096,cols=5120\"]");
                for size in value.as_array().ok_or_else(refused)? {
                    manifest.sizes.push(size.as_str().ok_or_else(refused)?.parse()?);
                }
            }
            "expect" => {
                let refused = || Invalid::new("expect", value, "[[expect]] tables");
                let entries = value.as_array().ok_or_else(refused)?;
                for (i, entry) in entries.iter().enumerate() {
                    let entry = entry.as_table().ok_or_else(refused)?;
                    manifest.expect.push(expect(&format!("expect[{i}]"), entry)?);
                }
            }
            "patience" => manifest.patience = Some(patience(value)?),
            "arithmetic" => manifest.arithmetic = arithmetic(value)?,
            _ => {
                let allowed = "require, sizes, expect, patience, arithmetic";
                return Err(Invalid::new("field of gate.toml", key, allowed));
            }
        }
    }
    Ok(manifest)
}

/// Tables of arithmetic, by operator.
fn arithmetic(value: &Value) -> Result<BTreeMap<String, Arithmetic>, Invalid> {
    let refused = || Invalid::new("arithmetic", value, "tables, written [arithmetic.rms_norm]");
    let mut found = BTreeMap::new();
    for (op, own) in value.as_table().ok_or_else(refused)? {
        let field = format!("arithmetic.{op}");
        if op != "*" && spec::find(op).is_none() {
            return Err(Invalid::new("arithmetic", op, "an operator that the gate judges, or *"));
        }
        let read = Arithmetic::deserialize(own.clone());
        let read = read.map_err(|error| {
            Invalid::new(&field, own, error.to_string().lines().next().unwrap_or_default())
        })?;
        if let Some(why) = read.refused() {
            return Err(Invalid::new(&field, own, why));
        }
        found.insert(op.clone(), read);
    }
    Ok(found)
}

/// A time for first calls, or a table of limits.
fn patience(value: &Value) -> Result<Patience, Invalid> {
    let refused = || Invalid::new("patience", value, patience::ALLOWED);
    let Some(table) = value.as_table() else {
        return value.as_str().ok_or_else(refused)?.parse();
    };
    let mut patience = Patience::default();
    // That of first calls is read before that of shapes, which it bounds.
    for (name, time) in table {
        patience.set(name, time.as_str().ok_or_else(refused)?)?;
    }
    Ok(patience)
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
