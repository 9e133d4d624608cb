//! The training state of an interrupted run.

use super::error::Problem;
use super::hash::Hash;
use super::value::Count;
use rusqlite::{Connection, OptionalExtension, params};

/// SQLite limits one blob to 10^9 bytes and holds it in memory while binding; smaller parts let a
/// deep stack be kept in little memory. A multiple of the hash's word.
const PART: usize = 256 << 10;

/// Replaces the snapshot of a run by a body of so many bytes, given piece by piece. Where the pieces end
/// early, whoever has them cannot be read any more, and the former one stays.
pub(super) fn put<P: AsRef<[u8]>>(
    conn: &Connection,
    run: i64,
    step: i64,
    bytes: usize,
    pieces: impl IntoIterator<Item = P>,
) -> Result<(), Problem> {
    delete(conn, run)?;
    let mut insert =
        conn.prepare_cached("INSERT INTO snapshot_part(run, part, body) VALUES(?1, ?2, ?3)")?;
    let (mut hash, mut parts, mut given) = (Hash::new(), 0i64, 0usize);
    hash.word(bytes as u64);
    let mut part = Vec::with_capacity(PART);
    let mut keep = |part: &mut Vec<u8>| -> Result<(), Problem> {
        insert.execute(params![run, parts, &part[..]])?;
        parts += 1;
        part.clear();
        Ok(())
    };
    for piece in pieces {
        let mut rest = piece.as_ref();
        given += rest.len();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(PART - part.len()));
            part.extend_from_slice(now);
            rest = later;
            if part.len() == PART {
                hash.words(&part);
                keep(&mut part)?;
            }
        }
    }
    if given != bytes {
        return Err(Problem::OutOfRange(format!("{given} bytes as a snapshot of {bytes}")));
    }
    hash.tail(&part);
    if !part.is_empty() {
        keep(&mut part)?;
    }
    conn.execute(
        "INSERT INTO snapshot(run, step, bytes, hash) VALUES(?1, ?2, ?3, ?4)",
        params![run, step, bytes as i64, hash.finish()],
    )?;
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
    // Growing would hold it twice; where the number is wrong, the checksum says so.
    let _ = body.try_reserve_exact(usize::try_from(bytes).unwrap_or(0));
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
