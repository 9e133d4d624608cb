//! Beginning, extending and finishing a run.

use super::error::Problem;
use super::value::{Real, signed};
use super::{Claim, Claims, Resume, lock, read, rows, seal, snapshot};
use crate::record::{DEVICE_NAME, RunRecord, RunState, Summary};
use rusqlite::{Connection, OptionalExtension, params};

/// Registers a run or takes up an earlier attempt at it.
///
/// The caller owns the transaction, so that rows after the snapshot disappear
/// in the same commit that makes this attempt the newest.
pub(super) fn begin(
    conn: &Connection,
    claims: &mut Claims,
    new: &RunRecord,
    config: &str,
    held: Option<lock::Held>,
) -> Result<Resume, Problem> {
    if new.id.is_empty() {
        return Err(Problem::OutOfRange("an empty run id".to_owned()));
    }
    let existing = conn
        .query_row("SELECT key, config, attempt FROM run WHERE id = ?1", [&new.id], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
        })
        .optional()?;
    let Some((run, stored, attempt)) = existing else {
        let run = insert_run(conn, new, config)?;
        claim(claims, &new.id, run, 1, held);
        return Ok(Resume::Fresh);
    };
    if !same(&stored, config) {
        return Err(Problem::OtherConfig(new.id.clone()));
    }
    let record = read::one(conn, run)?.record;
    if record.state == RunState::Finished {
        return Ok(Resume::Finished(Box::new(record)));
    }
    if let (Some(begun), Some(here)) = (record.device(), new.device())
        && begun != here
    {
        let (id, begun, here) = (record.id.clone(), begun.to_owned(), here.to_owned());
        return Err(Problem::OtherDevice { id, begun, here });
    }
    let attempt = attempt.wrapping_add(1);
    conn.execute("UPDATE run SET attempt = ?2 WHERE key = ?1", params![run, attempt])?;
    claim(claims, &new.id, run, attempt, held);
    match snapshot::get(conn, run)? {
        Some((step, body)) => {
            rows::delete_after(conn, run, signed("step", step)?)?;
            Ok(Resume::From { step, snapshot: body })
        }
        None => {
            rows::delete_all(conn, run)?;
            Ok(Resume::Fresh)
        }
    }
}

/// Notes that a run is ours. What keeps others from it may have come with an earlier claim.
fn claim(claims: &mut Claims, id: &str, run: i64, attempt: i64, held: Option<lock::Held>) {
    let earlier = claims.remove(id).and_then(|claim| claim.held);
    claims.insert(id.to_owned(), Claim { run, attempt, held: held.or(earlier) });
}

/// Whether two configurations are of one run. Where a file lay is told, not compared: what was in it
/// has a digest of its own. Nor is the name of the device, for a run that has ended is one wherever it
/// ran.
pub(super) fn same(a: &str, b: &str) -> bool {
    let compared = |text: &str| {
        let mut config: serde_json::Value = serde_json::from_str(text).ok()?;
        if let Some(fields) = config.as_object_mut() {
            fields.remove(DEVICE_NAME);
            let digests: Vec<String> = fields.keys().cloned().collect();
            for file in digests.iter().filter_map(|name| name.strip_suffix("-sha256")) {
                fields.remove(file);
            }
        }
        Some(config)
    };
    a == b || compared(a).is_some_and(|a| Some(a) == compared(b))
}

/// Adds the row of a run and returns its key.
pub(super) fn insert_run(
    conn: &Connection,
    record: &RunRecord,
    config: &str,
) -> Result<i64, Problem> {
    conn.execute(
        "INSERT INTO run(id, name, part, config, created, attempt) VALUES(?1, ?2, ?3, ?4, ?5, 1)",
        params![record.id, record.name, record.group, config, signed("created", record.created)?],
    )?;
    Ok(conn.last_insert_rowid())
}

/// The key of a run that this handle may write to.
pub(super) fn owned(conn: &Connection, claims: &Claims, id: &str) -> Result<i64, Problem> {
    let Some(Claim { run, attempt, .. }) = claims.get(id) else {
        return Err(Problem::NotBegun(id.to_owned()));
    };
    let newest: Option<i64> = conn
        .prepare_cached("SELECT attempt FROM run WHERE key = ?1 AND id = ?2")?
        .query_row(params![run, id], |row| row.get(0))
        .optional()?;
    if newest != Some(*attempt) {
        return Err(Problem::TakenOver(id.to_owned()));
    }
    if is_finished(conn, *run)? {
        return Err(Problem::AlreadyFinished(id.to_owned()));
    }
    Ok(*run)
}

/// Whether a run has its summary.
pub(super) fn is_finished(conn: &Connection, run: i64) -> Result<bool, Problem> {
    Ok(conn
        .prepare_cached("SELECT EXISTS(SELECT 1 FROM summary WHERE run = ?1)")?
        .query_row([run], |row| row.get(0))?)
}

/// Ends a run: its rows are complete, so the snapshot goes and the seal comes.
pub(super) fn finish(conn: &Connection, run: i64, summary: &Summary) -> Result<(), Problem> {
    snapshot::delete(conn, run)?;
    let listed = read::one(conn, run)?;
    let outcome = serde_json::to_string(&summary.outcome)
        .map_err(|error| Problem::Unexpected(error.to_string()))?;
    conn.execute(
        "INSERT INTO summary(run, kind, outcome, loss, initial_loss, val_loss, token_cosine,
             steps, seconds, peak_bytes, parameters, passes, trend, measure, val_baseline, baseline)
         VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        params![
            run,
            summary.outcome.id(),
            outcome,
            Real(summary.loss),
            Real(summary.initial_loss),
            Real(summary.val_loss),
            Real(summary.token_cosine),
            signed("steps", summary.steps)?,
            Real(summary.seconds),
            signed("peak_bytes", summary.peak_bytes)?,
            signed("parameters", summary.parameters)?,
            Real(summary.passes),
            summary.trend.id(),
            summary.measure.id(),
            Real(summary.val_baseline),
            summary.baseline,
        ],
    )?;
    for (place, reference) in summary.references.iter().enumerate() {
        conn.execute(
            "INSERT INTO reference(run, place, name, nats) VALUES(?1, ?2, ?3, ?4)",
            params![run, place as i64, reference.name, Real(reference.nats)],
        )?;
    }
    seal::write(conn, run, seal::of_record(&listed.record, &listed.config, summary))
}
