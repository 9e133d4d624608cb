//! Reading records and rows.

use super::error::Problem;
use super::open::version_of;
use super::schema::FORMER_REFERENCES;
use super::value::{Count, Real, named};
use super::{Reached, seal};
use crate::record::{
    Measure, ProbeRow, ReferenceLoss, RunRecord, RunState, StepRow, Summary, Trend,
};
use rusqlite::{Connection, Row};

/// A run as listed, with the exact text of its configuration.
///
/// The text is what two configurations are compared by, since a parsed float
/// need not be the one that was written.
pub(super) struct Listed {
    pub key: i64,
    pub record: RunRecord,
    pub config: String,
}

/// The statement that lists runs, for the schema version of this store.
fn select(conn: &Connection) -> Result<String, Problem> {
    let since_2 = match version_of(conn)? {
        1 => "NULL, NULL, NULL, NULL, 'unigram'",
        2 => "passes, trend, measure, val_unigram, 'unigram'",
        _ => "passes, trend, measure, val_baseline, baseline",
    };
    Ok(format!(
        "SELECT run.key, id, name, part, config, created, outcome, loss, initial_loss, val_loss,
                token_cosine, steps, seconds, peak_bytes, parameters, {since_2}
         FROM run LEFT JOIN summary ON summary.run = run.key"
    ))
}

/// All runs in the order of their creation.
pub(super) fn list(conn: &Connection) -> Result<Vec<Listed>, Problem> {
    let select = select(conn)?;
    let mut statement = conn.prepare_cached(&format!("{select} ORDER BY created, run.key"))?;
    let mut rows = statement.query([])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(listed(conn, row)?);
    }
    Ok(runs)
}

/// One run by its key.
pub(super) fn one(conn: &Connection, key: i64) -> Result<Listed, Problem> {
    let select = select(conn)?;
    let mut statement = conn.prepare_cached(&format!("{select} WHERE run.key = ?1"))?;
    let mut rows = statement.query([key])?;
    match rows.next()? {
        Some(row) => listed(conn, row),
        None => Err(Problem::Damaged(format!("run {key} is missing"))),
    }
}

fn listed(conn: &Connection, row: &Row<'_>) -> Result<Listed, Problem> {
    let key = row.get(0)?;
    let id: String = row.get(1)?;
    let config: String = row.get(4)?;
    let summary = summary(conn, key, &id, row)?;
    let record = RunRecord {
        name: row.get(2)?,
        group: row.get(3)?,
        config: serde_json::from_str(&config).map_err(|error| {
            Problem::Damaged(format!("the configuration of run {id:?}: {error}"))
        })?,
        created: row.get::<_, Count>(5)?.0,
        state: if summary.is_some() { RunState::Finished } else { RunState::Running },
        summary,
        id,
    };
    if let Some(summary) = &record.summary {
        let hash = seal::of_record(&record, &config, summary);
        seal::check_record(conn, key, &record.id, hash)?;
    }
    Ok(Listed { key, record, config })
}

fn summary(
    conn: &Connection,
    run: i64,
    id: &str,
    row: &Row<'_>,
) -> Result<Option<Summary>, Problem> {
    let Some(outcome) = row.get::<_, Option<String>>(6)? else {
        return Ok(None);
    };
    let real = |column: usize| row.get::<_, Real>(column).map(|value| value.0);
    let count = |column: usize| row.get::<_, Count>(column).map(|value| value.0);
    let optional = |column| row.get::<_, Option<Real>>(column).map(|value| value.map(|v| v.0));
    let word = |column| row.get::<_, Option<String>>(column);
    Ok(Some(Summary {
        outcome: serde_json::from_str(&outcome)
            .map_err(|error| Problem::Damaged(format!("the outcome of run {id:?}: {error}")))?,
        loss: real(7)?,
        initial_loss: real(8)?,
        val_loss: real(9)?,
        references: references(conn, run)?,
        token_cosine: real(10)?,
        steps: count(11)?,
        seconds: real(12)?,
        peak_bytes: count(13)?,
        parameters: count(14)?,
        passes: optional(15)?.unwrap_or(f64::NAN),
        trend: named(word(16)?, [Trend::Falling, Trend::Level, Trend::Unclear], Trend::id)?,
        measure: named(word(17)?, [Measure::Training, Measure::HeldOut], Measure::id)?,
        val_baseline: optional(18)?.unwrap_or(f64::NAN),
        baseline: row.get(19)?,
    }))
}

/// The reference losses of a run in their order.
fn references(conn: &Connection, run: i64) -> Result<Vec<ReferenceLoss>, Problem> {
    let table = match version_of(conn)? {
        1 | 2 => format!("({FORMER_REFERENCES})"),
        _ => "reference".to_owned(),
    };
    let mut statement = conn
        .prepare_cached(&format!("SELECT name, nats FROM {table} WHERE run = ?1 ORDER BY place"))?;
    let rows = statement.query_map([run], |row| {
        Ok(ReferenceLoss { name: row.get(0)?, nats: row.get::<_, Real>(1)?.0 })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The step rows of a run in the order of their steps.
pub(super) fn steps(conn: &Connection, run: i64) -> Result<Vec<StepRow>, Problem> {
    let mut statement = conn.prepare_cached(
        "SELECT step, loss, lr, grad_norm, val_loss FROM step WHERE run = ?1 ORDER BY step",
    )?;
    let mut rows = statement.query([run])?;
    let mut steps = Vec::new();
    while let Some(row) = rows.next()? {
        steps.push(StepRow {
            step: row.get::<_, Count>(0)?.0,
            loss: row.get::<_, Real>(1)?.0,
            lr: row.get::<_, Real>(2)?.0,
            grad_norm: row.get::<_, Real>(3)?.0,
            val_loss: row.get::<_, Option<Real>>(4)?.map(|value| value.0),
        });
    }
    Ok(steps)
}

/// How far a run has come.
pub(super) fn reached(conn: &Connection, run: i64) -> Result<Reached, Problem> {
    let count = |sql: &str| -> Result<u64, Problem> {
        Ok(conn.prepare_cached(sql)?.query_row([run], |row| row.get::<_, Count>(0))?.0)
    };
    Ok(Reached {
        steps: count("SELECT coalesce(max(step) + 1, 0) FROM step WHERE run = ?1")?,
        resumes: count("SELECT coalesce(max(step) + 1, 0) FROM snapshot WHERE run = ?1")?,
    })
}

/// Which probe rows of a run to read.
pub(super) enum Slice<'a> {
    /// Every row.
    All,
    /// The rows of one metric.
    Metric(&'a str),
    /// The rows of one step.
    Step(i64),
}

/// Probe rows ordered by step, layer, site and metric.
///
/// The order is by name and not by the interned key, so that equal runs read
/// equally from different stores.
pub(super) fn probes(
    conn: &Connection,
    run: i64,
    slice: &Slice<'_>,
) -> Result<Vec<ProbeRow>, Problem> {
    const SELECT: &str = "
        SELECT probe.step, probe.layer, site.name, metric.name, probe.value
        FROM metric CROSS JOIN probe ON probe.metric = metric.key
                    CROSS JOIN site ON site.key = probe.site
        WHERE probe.run = ?1";
    let mut probes = Vec::new();
    let mut read = |mut rows: rusqlite::Rows<'_>| -> Result<(), Problem> {
        while let Some(row) = rows.next()? {
            probes.push(ProbeRow {
                step: row.get::<_, Count>(0)?.0,
                layer: row.get(1)?,
                site: row.get(2)?,
                metric: row.get(3)?,
                value: row.get::<_, Real>(4)?.0,
            });
        }
        Ok(())
    };
    match slice {
        Slice::All => read(conn.prepare_cached(SELECT)?.query([run])?)?,
        Slice::Metric(metric) => read(
            conn.prepare_cached(&format!("{SELECT} AND metric.name = ?2"))?
                .query(rusqlite::params![run, metric])?,
        )?,
        Slice::Step(step) => read(
            conn.prepare_cached(&format!("{SELECT} AND probe.step = ?2"))?
                .query(rusqlite::params![run, step])?,
        )?,
    }
    probes.sort_by(|a, b| {
        (a.step, a.layer, &a.site, &a.metric).cmp(&(b.step, b.layer, &b.site, &b.metric))
    });
    Ok(probes)
}

/// The names of the metrics that a run has rows of, in alphabetical order.
pub(super) fn metrics(conn: &Connection, run: i64) -> Result<Vec<String>, Problem> {
    let mut statement = conn.prepare_cached(
        "SELECT name FROM metric
         WHERE EXISTS(SELECT 1 FROM probe WHERE run = ?1 AND metric = metric.key) ORDER BY name",
    )?;
    let names = statement.query_map([run], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(names)
}
