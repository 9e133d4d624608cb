//! Opening a file: look first, touch only what is ours.

use super::error::Problem;
use super::schema::{APPLICATION_ID, CHANGES, CREATE, SMALL_TABLES, VERSION};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a lock of another process is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// The largest file that is checked in full on every opening, which takes about
/// a second. Beyond it the rows are left to their checksums.
const FULL_CHECK: u64 = 32 << 20;

/// Held while a path is looked at and a file created.
///
/// Closing any descriptor of a file drops all POSIX locks that the process has
/// on it. The only descriptor that SQLite does not manage is the one that
/// creates the file; no other thread may open the store before it is closed.
static LOOKING: Mutex<()> = Mutex::new(());

/// What a first look finds at a path.
enum Found {
    /// No file.
    Nothing,
    /// An empty file: a store whose creation was interrupted, or a placeholder.
    Empty,
    /// A file whose header is that of a store.
    Store,
}

/// Opens a store for writing, and creates it where there is none.
pub(super) fn for_writing(path: &Path) -> Result<Connection, Problem> {
    patiently(|| open_for_writing(path))
}

/// Opens a store that exists, for reading only.
pub(super) fn for_reading(path: &Path) -> Result<Connection, Problem> {
    patiently(|| open_for_reading(path))
}

fn open_for_writing(path: &Path) -> Result<Connection, Problem> {
    let absolute = absolute(path)?;
    {
        let _guard = LOOKING.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(inspect(path, &absolute)?, Found::Nothing) {
            create_empty(path)?;
        }
    }
    let conn = connect_untouching(&absolute)?;
    if conn.is_readonly("main")? {
        return Err(Problem::ReadOnly("the file is write-protected".to_owned()));
    }
    if is_blank(&conn)? {
        create_tables(&conn)?;
    } else {
        examine(&conn, &absolute)?;
    }
    let conn = set_journal(conn, &absolute)?;
    bring_up_to_date(&conn)?;
    Ok(conn)
}

fn open_for_reading(path: &Path) -> Result<Connection, Problem> {
    let absolute = absolute(path)?;
    match inspect(path, &absolute)? {
        Found::Nothing => return Err(Problem::Missing),
        Found::Empty => {
            return Err(Problem::NotADatabase("an empty file that holds no runs yet".to_owned()));
        }
        Found::Store => {}
    }
    let normal = || {
        // SQLite is asked for a writable handle, which lets it recover the log
        // of a killed writer and clear its side files up; falling back to a
        // read-only handle is up to SQLite. `query_only` keeps us from writing.
        let conn = connect_untouching(&absolute)?;
        conn.pragma_update(None, "query_only", true)?;
        if is_blank(&conn)? {
            return Err(blank());
        }
        examine(&conn, &absolute)?;
        Ok(conn)
    };
    match normal() {
        Err(Problem::CannotOpen(_) | Problem::ReadOnly(_))
            if !has_content(&absolute, "-wal") && !has_content(&absolute, "-journal") =>
        {
            // On a read-only medium SQLite cannot create the shared memory of
            // the log. Without a log nobody is writing, so none is needed.
            let conn = connect_immutable(&absolute)?;
            examine(&conn, &absolute)?;
            Ok(conn)
        }
        other => other,
    }
}

/// Whether the database has no content, not even a header.
///
/// The file need not be empty for that: when the process that was creating the
/// tables is killed while it commits, the header is there, and SQLite takes it
/// back on the next access.
fn is_blank(conn: &Connection) -> Result<bool, Problem> {
    let pages: i64 = conn.pragma_query_value(None, "page_count", |row| row.get(0))?;
    Ok(pages == 0)
}

fn blank() -> Problem {
    Problem::NotADatabase("an empty file that holds no runs yet".to_owned())
}

/// Judges the file by its type and header, which leaves it untouched.
fn inspect(path: &Path, absolute: &Path) -> Result<Found, Problem> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            return if parent.is_dir() {
                Ok(Found::Nothing)
            } else {
                Err(Problem::NoDirectory(parent.to_owned()))
            };
        }
        Err(error) => return Err(Problem::CannotOpen(error.to_string())),
    };
    if meta.is_dir() {
        return Err(Problem::NotAFile("a directory"));
    }
    if !meta.is_file() {
        return Err(Problem::NotAFile("a device, pipe or socket"));
    }
    if meta.len() == 0 {
        return Ok(Found::Empty);
    }
    judge_header(absolute)?;
    Ok(Found::Store)
}

/// Reads the header fields that say whose database this is.
///
/// The connection is immutable, so SQLite looks for no journal, creates no side
/// file and takes no lock; a foreign database stays entirely as it is.
fn judge_header(absolute: &Path) -> Result<(), Problem> {
    let conn = connect_immutable(absolute)?;
    // Without a lock the length of the file may lag behind the header. This
    // setting makes SQLite accept that; nothing but the header is read.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false)?;
    conn.pragma_update(None, "writable_schema", true)?;
    let field = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    // The field is unsigned by nature and signed by pragma.
    let application = field("application_id")? as u32;
    if application != APPLICATION_ID {
        return Err(Problem::Foreign(application));
    }
    check_version(field("user_version")?)
}

fn check_version(found: i64) -> Result<(), Problem> {
    if (1..=VERSION).contains(&found) {
        Ok(())
    } else {
        Err(Problem::Version { found, newest: VERSION })
    }
}

/// Creates the file ourselves, since SQLite does not tell why it cannot.
fn create_empty(path: &Path) -> Result<(), Problem> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(_) => Ok(()),
        // Another process was faster; the tables are created under a lock.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Problem::from_io(&error, "creating the file")),
    }
}

/// SQLite treats relative names such as `:memory:` and `file:x` specially.
fn absolute(path: &Path) -> Result<PathBuf, Problem> {
    std::path::absolute(path).map_err(|error| Problem::CannotOpen(error.to_string()))
}

/// Connects such that giving up leaves the file as it is.
///
/// Closing would otherwise move a log that a killed process left into a file
/// that may turn out damaged. [`examine`] lifts this.
fn connect_untouching(absolute: &Path) -> Result<Connection, Problem> {
    let conn = connect(absolute, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let keep = has_content(absolute, "-wal");
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep)?;
    Ok(conn)
}

/// Connects in the way that promises SQLite nobody changes the file.
fn connect_immutable(absolute: &Path) -> Result<Connection, Problem> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    connect(&immutable_uri(absolute), flags)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Problem> {
    let conn = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(PATIENCE)?;
    // The content of a damaged file must not be trusted.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    // Each statement that the store prepares is kept; there are about forty.
    conn.set_prepared_statement_cache_capacity(64);
    Ok(conn)
}

/// Checks the file before anything is read from it or written to it.
fn examine(conn: &Connection, absolute: &Path) -> Result<(), Problem> {
    // The log may hold a newer header than the file.
    check_version(conn.pragma_query_value(None, "user_version", |row| row.get(0))?)?;
    if !has_content(absolute, "-wal") && !has_content(absolute, "-journal") {
        check_length(conn, absolute)?;
    }
    let pages: i64 = conn.pragma_query_value(None, "page_count", |row| row.get(0))?;
    let page: i64 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
    if pages.saturating_mul(page).unsigned_abs() <= FULL_CHECK {
        check_structure(conn, "integrity_check(1)")?;
    } else {
        let version = version_of(conn)?;
        for (table, _) in SMALL_TABLES.iter().filter(|(_, since)| *since <= version) {
            check_structure(conn, &format!("integrity_check({table})"))?;
        }
    }
    // From here on the file may be tidied up on closing.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(())
}

/// SQLite reads the missing part of a cut page as zeros and counts the page.
fn check_length(conn: &Connection, absolute: &Path) -> Result<(), Problem> {
    let page: i64 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let length = fs::metadata(absolute).map_or(0, |meta| meta.len());
    if length.checked_rem(page.unsigned_abs()).is_none_or(|rest| rest != 0) {
        return Err(Problem::Damaged(format!("{length} bytes are not whole pages of {page}")));
    }
    Ok(())
}

/// Runs one of the checks of SQLite.
pub(super) fn check_structure(conn: &Connection, check: &str) -> Result<(), Problem> {
    let verdict: String = conn.query_row(&format!("PRAGMA {check}"), [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(Problem::Damaged(verdict)) }
}

/// Creates the tables in an empty file, unless another process just did.
///
/// This happens before the journal becomes a log, so that the header, which
/// [`judge_header`] reads, is in the file itself from the first commit on. A
/// process killed in between leaves an empty file, which the next one fills.
fn create_tables(conn: &Connection) -> Result<(), Problem> {
    let tx = Transaction::new_unchecked(conn, TransactionBehavior::Deferred)?;
    // Lets `close` return the pages of deleted snapshots to the file system. It
    // must precede the first table, and it takes the lock for writing. Outside
    // of the transaction it would commit a header that is not yet ours.
    tx.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    let version: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == 0 {
        tx.execute_batch(CREATE)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        add_since(&tx, 1)?;
    }
    tx.commit()?;
    check_version(version_of(conn)?)
}

/// The schema version of an open store.
pub(super) fn version_of(conn: &Connection) -> Result<i64, Problem> {
    Ok(conn.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Adds what later versions have to a store of an earlier one, all or nothing.
///
/// Only opening for writing does this; a store that is opened for reading is read as it is.
fn bring_up_to_date(conn: &Connection) -> Result<(), Problem> {
    if version_of(conn)? == VERSION {
        return Ok(());
    }
    let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    let version = version_of(&tx)?;
    check_version(version)?;
    add_since(&tx, version)?;
    Ok(tx.commit()?)
}

/// Adds what the versions after `version` have.
fn add_since(tx: &Transaction<'_>, version: i64) -> Result<(), Problem> {
    for change in CHANGES.iter().skip(version as usize - 1) {
        tx.execute_batch(change)?;
    }
    Ok(tx.pragma_update(None, "user_version", VERSION)?)
}

/// Chooses how commits survive the death of the process.
///
/// With a write-ahead log a commit is complete once its frames have been handed
/// to the operating system, and `kill -9` does not take those back; whatever
/// lies behind the last complete commit is ignored on recovery. `NORMAL` saves
/// the flush to disk on each commit: a power cut can cost the last commits but
/// not the consistency, and a run then resumes from an earlier snapshot.
///
/// The log needs memory shared between processes, which some file systems lack.
/// There the classic rollback journal is used, with `FULL` flushing, because
/// that journal is only sound if it reaches the disk before the file changes.
fn set_journal(conn: Connection, absolute: &Path) -> Result<Connection, Problem> {
    match patiently(|| use_log(&conn)) {
        Ok(true) => return Ok(conn),
        Ok(false) => {}
        Err(Problem::Full(cause)) => return Err(Problem::Full(cause)),
        Err(Problem::Busy) => return Err(Problem::Busy),
        Err(_) => {
            // The header may say "log" by now. An exclusive connection keeps
            // the index of the log in its own memory and can set it back.
            drop(conn);
            let conn = connect(absolute, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            conn.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
            journal(&conn, "DELETE")?;
            drop(conn);
            let conn = connect(absolute, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            conn.pragma_update(None, "synchronous", "FULL")?;
            probe(&conn)?;
            return Ok(conn);
        }
    }
    journal(&conn, "DELETE")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    Ok(conn)
}

/// Turns the log on; false where SQLite declines.
fn use_log(conn: &Connection) -> Result<bool, Problem> {
    if journal(conn, "WAL")? != "wal" {
        return Ok(false);
    }
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    // Keeps a log that a large snapshot has grown from staying that large.
    let limit = 64 << 20;
    conn.pragma_update_and_check(None, "journal_size_limit", limit, |_| Ok(()))?;
    probe(conn)?;
    Ok(true)
}

fn journal(conn: &Connection, mode: &str) -> Result<String, Problem> {
    Ok(conn.pragma_update_and_check(None, "journal_mode", mode, |row| row.get(0))?)
}

/// Begins and abandons a write, which shows whether locking works here.
fn probe(conn: &Connection) -> Result<(), Problem> {
    let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    Ok(tx.rollback()?)
}

/// Repeats an operation that finds the file locked.
///
/// SQLite does not wait for the lock where waiting might deadlock, which
/// includes changing the journal while another process opens the file.
fn patiently<T>(mut action: impl FnMut() -> Result<T, Problem>) -> Result<T, Problem> {
    let start = Instant::now();
    loop {
        match action() {
            Err(Problem::Busy) if start.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
}

/// Whether a side file with content lies beside the file.
fn has_content(absolute: &Path, suffix: &str) -> bool {
    let mut name = OsString::from(absolute);
    name.push(suffix);
    fs::metadata(name).is_ok_and(|meta| meta.len() > 0)
}

/// Names the file in the way that promises SQLite nobody changes it.
fn immutable_uri(absolute: &Path) -> PathBuf {
    let mut uri = String::from("file:");
    for &byte in absolute.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02x}"));
        }
    }
    uri.push_str("?immutable=1");
    PathBuf::from(uri)
}
