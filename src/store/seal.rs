//! Checksums, because SQLite has none.
//!
//! SQLite notices a broken structure but not a changed digit inside a value. A
//! finished run is therefore sealed with one hash over its record and one over
//! its rows, and both are compared before the run is handed out.

use super::error::Problem;
use super::value::{Count, Real};
use crate::record::{Measure, RunRecord, Summary, Trend};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;

/// A fast checksum of 64-bit words.
///
/// Every step is a bijection of the state, so a change confined to one word is
/// always noticed and other damage goes unnoticed with probability 2^-64. It
/// protects against accidents, not against forgery.
pub(super) struct Hash(u64);

impl Hash {
    pub fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0xd6e8_feb8_6659_fd93);
    }

    pub fn float(&mut self, value: f64) {
        // The store does not keep NaN payloads, so neither does the hash.
        self.word(if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() });
    }

    pub fn optional(&mut self, value: Option<f64>) {
        self.word(u64::from(value.is_some()));
        self.float(value.unwrap_or(0.0));
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        self.tail(bytes);
    }

    /// Bytes that are followed by more: whole words.
    pub fn words(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len().is_multiple_of(8));
        for word in bytes.as_chunks::<8>().0 {
            self.word(u64::from_le_bytes(*word));
        }
    }

    /// The last bytes of a body whose length came first.
    pub fn tail(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        self.words(words.as_flattened());
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
    }

    /// The hash in the signed form in which SQLite keeps it.
    pub fn finish(&self) -> i64 {
        self.0.cast_signed()
    }
}

/// The hash of everything about a finished run but its rows.
pub(super) fn of_record(record: &RunRecord, config: &str, summary: &Summary) -> i64 {
    let mut hash = Hash::new();
    for text in [&record.id, &record.name, &record.group, config] {
        hash.bytes(text.as_bytes());
    }
    hash.bytes(format!("{:?}", summary.outcome).as_bytes());
    for value in [
        summary.loss,
        summary.initial_loss,
        summary.val_loss,
        summary.reference("unigram").unwrap_or(f64::NAN),
        summary.reference("bigram").unwrap_or(f64::NAN),
        summary.token_cosine,
        summary.seconds,
    ] {
        hash.float(value);
    }
    hash.optional(summary.reference("bayes"));
    for count in [record.created, summary.steps, summary.peak_bytes, summary.parameters] {
        hash.word(count);
    }
    // What version 1 did not hold adds nothing where it has the value that stands for "unknown",
    // so that the seals of runs of then still hold.
    let later = [summary.passes, summary.val_baseline].map(|v| (!v.is_nan()).then(|| v.to_bits()));
    let trend = (summary.trend != Trend::default()).then_some(summary.trend as u64);
    let measure = (summary.measure != Measure::default()).then_some(summary.measure as u64);
    for (number, value) in later.into_iter().chain([trend, measure]).enumerate() {
        if let Some(value) = value {
            hash.word(number as u64);
            hash.word(value);
        }
    }
    if !former(summary) {
        for reference in &summary.references {
            hash.bytes(reference.name.as_bytes());
            hash.float(reference.nats);
        }
        hash.bytes(summary.baseline.as_bytes());
    }
    hash.finish()
}

/// Whether the reference losses are those that versions before 3 had columns for. The hash of these
/// is the one of then.
fn former(summary: &Summary) -> bool {
    let names: Vec<&str> = summary.references.iter().map(|loss| &*loss.name).collect();
    let known = ["unigram", "bigram", "bayes"];
    summary.baseline == known[0] && names.len() >= 2 && known.starts_with(&names)
}

/// The hash of the rows of a run, in storage order.
///
/// Rows refer to sites and metrics by key; the hash covers the names, so that a
/// damaged name is noticed as well.
pub(super) fn of_rows(conn: &Connection, run: i64) -> Result<i64, Problem> {
    let mut hash = Hash::new();
    let mut steps = conn.prepare_cached(
        "SELECT step, loss, lr, grad_norm, val_loss FROM step WHERE run = ?1 ORDER BY step",
    )?;
    let mut rows = steps.query([run])?;
    while let Some(row) = rows.next()? {
        hash.word(row.get::<_, Count>(0)?.0);
        for column in 1..=3 {
            hash.float(row.get::<_, Real>(column)?.0);
        }
        hash.optional(row.get::<_, Option<Real>>(4)?.map(|value| value.0));
    }
    // Separates the two kinds of rows.
    hash.word(u64::MAX);

    let metrics = names(conn, "SELECT key, name FROM metric")?;
    let sites = names(conn, "SELECT key, name FROM site")?;
    let name = |names: &HashMap<i64, u64>, key: i64| {
        names.get(&key).copied().ok_or_else(|| Problem::Damaged(format!("name {key} is missing")))
    };
    let mut probes = conn.prepare_cached(
        "SELECT metric, step, layer, site, value FROM probe WHERE run = ?1
         ORDER BY metric, step, layer, site",
    )?;
    let mut rows = probes.query([run])?;
    while let Some(row) = rows.next()? {
        hash.word(name(&metrics, row.get(0)?)?);
        hash.word(row.get::<_, Count>(1)?.0);
        hash.word(row.get::<_, Count>(2)?.0);
        hash.word(name(&sites, row.get(3)?)?);
        hash.float(row.get::<_, Real>(4)?.0);
    }
    Ok(hash.finish())
}

/// The hash of each interned name by its key.
fn names(conn: &Connection, sql: &str) -> Result<HashMap<i64, u64>, Problem> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut names = HashMap::new();
    while let Some(row) = rows.next()? {
        let mut hash = Hash::new();
        hash.bytes(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?.as_bytes());
        names.insert(row.get(0)?, hash.0);
    }
    Ok(names)
}

/// Records both hashes of a run that has just been finished.
pub(super) fn write(conn: &Connection, run: i64, record: i64) -> Result<(), Problem> {
    conn.execute(
        "INSERT INTO seal(run, record, rows) VALUES(?1, ?2, ?3)",
        params![run, record, of_rows(conn, run)?],
    )?;
    Ok(())
}

/// Compares the record of a finished run with its seal.
pub(super) fn check_record(
    conn: &Connection,
    run: i64,
    id: &str,
    record: i64,
) -> Result<(), Problem> {
    check(conn, run, "SELECT record FROM seal WHERE run = ?1", record, || {
        format!("the record of run {id:?} does not match its checksum")
    })
}

/// Compares the rows of a finished run with its seal.
pub(super) fn check_rows(conn: &Connection, run: i64, id: &str) -> Result<(), Problem> {
    check(conn, run, "SELECT rows FROM seal WHERE run = ?1", of_rows(conn, run)?, || {
        format!("the rows of run {id:?} do not match their checksum")
    })
}

fn check(
    conn: &Connection,
    run: i64,
    sql: &str,
    found: i64,
    complaint: impl FnOnce() -> String,
) -> Result<(), Problem> {
    let sealed: Option<i64> =
        conn.prepare_cached(sql)?.query_row([run], |row| row.get(0)).optional()?;
    if sealed == Some(found) { Ok(()) } else { Err(Problem::Damaged(complaint())) }
}
