//! Taking over the finished runs of another store.

use super::error::Problem;
use super::{Merged, read, rows, seal, snapshot, write};
use crate::record::{ProbeRow, RunRecord, RunState, StepRow};
use rusqlite::{Connection, OptionalExtension, params};

/// A finished run with all its rows and the text of its configuration.
pub(super) struct Whole {
    record: RunRecord,
    config: String,
    steps: Vec<StepRow>,
    probes: Vec<ProbeRow>,
}

/// Copies every finished run of `from` that `into` lacks.
pub(super) fn merge(from: &Connection, into: &Connection) -> Result<Merged, FromOrInto> {
    let mut merged = Merged::default();
    for listed in read::list(from).map_err(FromOrInto::From)? {
        if listed.record.state == RunState::Running {
            merged.unfinished += 1;
            continue;
        }
        let id = listed.record.id.clone();
        let there = present(into, &listed).map_err(FromOrInto::Into)?;
        if let Presence::Finished = there {
            merged.present += 1;
            continue;
        }
        // One run at a time is in memory.
        let whole = load(from, listed).map_err(FromOrInto::From)?;
        save(into, &whole, there).map_err(FromOrInto::Into)?;
        merged.taken.push(id);
    }
    Ok(merged)
}

/// Which of the two stores a problem belongs to.
pub(super) enum FromOrInto {
    /// The store that is read.
    From(Problem),
    /// The store that is written.
    Into(Problem),
}

enum Presence {
    Absent,
    Running(i64),
    Finished,
}

fn present(into: &Connection, listed: &read::Listed) -> Result<Presence, Problem> {
    let found = into
        .query_row("SELECT key, config FROM run WHERE id = ?1", [&listed.record.id], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        })
        .optional()?;
    match found {
        None => Ok(Presence::Absent),
        Some((_, config)) if !write::same(&config, &listed.config) => {
            Err(Problem::OtherConfig(listed.record.id.clone()))
        }
        Some((run, _)) if write::is_finished(into, run)? => Ok(Presence::Finished),
        Some((run, _)) => Ok(Presence::Running(run)),
    }
}

fn load(from: &Connection, listed: read::Listed) -> Result<Whole, Problem> {
    seal::check_rows(from, listed.key, &listed.record.id)?;
    Ok(Whole {
        steps: read::steps(from, listed.key)?,
        probes: read::probes(from, listed.key, &read::Slice::All)?,
        record: listed.record,
        config: listed.config,
    })
}

fn save(into: &Connection, whole: &Whole, there: Presence) -> Result<(), Problem> {
    let Some(summary) = &whole.record.summary else {
        return Ok(());
    };
    if let Presence::Running(run) = there {
        // An unfinished attempt yields to the finished one. Its writer, if it
        // is still at work, no longer finds its key and stops with an error.
        rows::delete_all(into, run)?;
        snapshot::delete(into, run)?;
        into.execute("DELETE FROM run WHERE key = ?1", params![run])?;
    }
    let run = write::insert_run(into, &whole.record, &whole.config)?;
    rows::insert(into, run, &whole.steps, &whole.probes)?;
    write::finish(into, run, summary)
}
