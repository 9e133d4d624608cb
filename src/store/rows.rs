//! Writing rows in bulk.

use super::error::Problem;
use super::value::{Real, signed};
use crate::record::{ProbeRow, StepRow};
use rusqlite::{Connection, OptionalExtension, Statement, params};
use std::collections::HashMap;

/// Writes rows; a row that is there already is replaced.
///
/// Replacing rather than refusing lets a caller repeat a batch whose commit it
/// did not see succeed.
pub(super) fn insert(
    conn: &Connection,
    run: i64,
    steps: &[StepRow],
    probes: &[ProbeRow],
) -> Result<(), Problem> {
    let mut statement = conn.prepare_cached(
        "INSERT OR REPLACE INTO step(run, step, loss, lr, grad_norm, val_loss)
         VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for row in steps {
        statement.execute(params![
            run,
            signed("step", row.step)?,
            Real(row.loss),
            Real(row.lr),
            Real(row.grad_norm),
            row.val_loss.map(Real),
        ])?;
    }
    if probes.is_empty() {
        return Ok(());
    }
    let mut metrics = Names::new(
        conn,
        "SELECT key FROM metric WHERE name = ?1",
        "INSERT INTO metric(name) VALUES(?1) RETURNING key",
    )?;
    let mut sites = Names::new(
        conn,
        "SELECT key FROM site WHERE name = ?1",
        "INSERT INTO site(name) VALUES(?1) RETURNING key",
    )?;
    let mut statement = conn.prepare_cached(
        "INSERT OR REPLACE INTO probe(run, metric, step, layer, site, value)
         VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for row in probes {
        statement.execute(params![
            run,
            metrics.key(&row.metric)?,
            signed("step", row.step)?,
            row.layer,
            sites.key(&row.site)?,
            Real(row.value),
        ])?;
    }
    Ok(())
}

/// Deletes the rows of a run after a step.
pub(super) fn delete_after(conn: &Connection, run: i64, step: i64) -> Result<(), Problem> {
    conn.execute("DELETE FROM step WHERE run = ?1 AND step > ?2", params![run, step])?;
    conn.execute(
        "DELETE FROM probe WHERE run = ?1 AND metric IN (SELECT key FROM metric) AND step > ?2",
        params![run, step],
    )?;
    Ok(())
}

/// Deletes all rows of a run.
pub(super) fn delete_all(conn: &Connection, run: i64) -> Result<(), Problem> {
    conn.execute("DELETE FROM step WHERE run = ?1", [run])?;
    conn.execute("DELETE FROM probe WHERE run = ?1", [run])?;
    Ok(())
}

/// The keys of interned names, looked up once for each batch.
///
/// They are not remembered across transactions: if one is rolled back, another
/// process may give the same key to a different name.
struct Names<'conn, 'rows> {
    known: HashMap<&'rows str, i64>,
    find: rusqlite::CachedStatement<'conn>,
    add: rusqlite::CachedStatement<'conn>,
}

impl<'conn, 'rows> Names<'conn, 'rows> {
    fn new(conn: &'conn Connection, find: &str, add: &str) -> Result<Self, Problem> {
        Ok(Self {
            known: HashMap::new(),
            find: conn.prepare_cached(find)?,
            add: conn.prepare_cached(add)?,
        })
    }

    fn key(&mut self, name: &'rows str) -> Result<i64, Problem> {
        if let Some(key) = self.known.get(name) {
            return Ok(*key);
        }
        let ask = |statement: &mut Statement<'_>| statement.query_row([name], |row| row.get(0));
        let key = match ask(&mut self.find).optional()? {
            Some(key) => key,
            None => ask(&mut self.add)?,
        };
        self.known.insert(name, key);
        Ok(key)
    }
}
