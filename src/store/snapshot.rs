//! The training state of an interrupted run.

use super::error::Problem;
use super::seal::Hash;
use super::value::Count;
use rusqlite::{Connection, OptionalExtension, params};

/// SQLite limits one blob to 10^9 bytes and holds it in memory while binding.
const PART: usize = 8 << 20;

/// Replaces the snapshot of a run.
pub(super) fn put(conn: &Connection, run: i64, step: i64, body: &[u8]) -> Result<(), Problem> {
    delete(conn, run)?;
    let mut hash = Hash::new();
    hash.bytes(body);
    conn.execute(
        "INSERT INTO snapshot(run, step, bytes, hash) VALUES(?1, ?2, ?3, ?4)",
        params![run, step, body.len() as i64, hash.finish()],
    )?;
    let mut insert =
        conn.prepare_cached("INSERT INTO snapshot_part(run, part, body) VALUES(?1, ?2, ?3)")?;
    for (part, body) in body.chunks(PART).enumerate() {
        insert.execute(params![run, part as i64, body])?;
    }
    Ok(())
}

/// Reads the snapshot of a run, if it has one.
pub(super) fn get(conn: &Connection, run: i64) -> Result<Option<(u64, Vec<u8>)>, Problem> {
    let head = conn
        .query_row("SELECT step, bytes, hash FROM snapshot WHERE run = ?1", [run], |row| {
            Ok((row.get::<_, Count>(0)?.0, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        })
        .optional()?;
    let Some((step, bytes, sealed)) = head else {
        return Ok(None);
    };
    let mut body = Vec::new();
    let mut parts =
        conn.prepare_cached("SELECT body FROM snapshot_part WHERE run = ?1 ORDER BY part")?;
    let mut rows = parts.query([run])?;
    while let Some(row) = rows.next()? {
        body.extend_from_slice(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
    }
    let mut hash = Hash::new();
    hash.bytes(&body);
    if body.len() as i64 != bytes || hash.finish() != sealed {
        return Err(Problem::Damaged(format!(
            "the snapshot at step {step} does not match its checksum"
        )));
    }
    Ok(Some((step, body)))
}

/// Deletes the snapshot of a run.
pub(super) fn delete(conn: &Connection, run: i64) -> Result<(), Problem> {
    conn.execute("DELETE FROM snapshot WHERE run = ?1", [run])?;
    conn.execute("DELETE FROM snapshot_part WHERE run = ?1", [run])?;
    Ok(())
}
