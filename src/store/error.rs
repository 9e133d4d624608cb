//! What can go wrong with a store, each as one line for a person.

use super::lock::Holder;
use rusqlite::ErrorCode;
use rusqlite::ffi;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// An error of the store at `path`.
///
/// The text is one line: the word `store`, the path, what was found, and what
/// is allowed or what to do about it.
#[derive(Debug)]
pub struct StoreError {
    /// The store file as the caller named it.
    pub path: PathBuf,
    /// What went wrong.
    pub problem: Problem,
}

/// What went wrong with a store.
#[derive(Debug)]
#[non_exhaustive]
pub enum Problem {
    /// There is no such file, and reading never creates one.
    Missing,
    /// The directory that should hold the file does not exist.
    NoDirectory(PathBuf),
    /// The path names something other than a regular file.
    NotAFile(&'static str),
    /// The file is no SQLite database.
    NotADatabase(String),
    /// The file is a SQLite database of another application.
    Foreign(u32),
    /// The file has a schema version that this build does not know.
    Version {
        /// The version in the file.
        found: i64,
        /// The newest version that this build reads.
        newest: i64,
    },
    /// The file is a store, but its content is broken.
    Damaged(String),
    /// The file or its directory cannot be written.
    ReadOnly(String),
    /// The disk, or the limit on the file, is exhausted.
    Full(String),
    /// Another process kept the file locked.
    Busy,
    /// The file cannot be opened or created.
    CannotOpen(String),
    /// The operating system failed to read or write.
    Io(String),
    /// No run has this identifier.
    UnknownRun {
        /// The identifier asked for.
        id: String,
        /// The identifiers most like it.
        nearest: Vec<String>,
    },
    /// More than one run identifier starts with this prefix.
    AmbiguousRun {
        /// The prefix asked for.
        prefix: String,
        /// Some of the identifiers that start with it.
        matches: Vec<String>,
        /// How many there are.
        count: usize,
    },
    /// The identifier belongs to a run with another configuration.
    OtherConfig(String),
    /// The run was begun on another device of the same kind, where its numbers may differ.
    OtherDevice {
        /// The identifier of the run.
        id: String,
        /// What it was begun on.
        begun: String,
        /// What it was to be gone on with.
        here: String,
    },
    /// The run was not begun through this handle.
    NotBegun(String),
    /// Another process, or another handle of this one, is at work on the run.
    Held {
        /// The identifier of the run.
        id: String,
        /// Who has it.
        holder: Holder,
    },
    /// The run was begun again elsewhere, and that attempt owns it now.
    TakenOver(String),
    /// The run has already ended.
    AlreadyFinished(String),
    /// A value cannot be represented in the store.
    OutOfRange(String),
    /// SQLite failed in a way that should not happen.
    Unexpected(String),
}

impl Problem {
    /// Attaches the path of the store.
    pub(super) fn at(self, path: &Path) -> StoreError {
        StoreError { path: path.to_owned(), problem: self }
    }

    /// Names the cause of a failed file operation.
    pub(super) fn from_io(error: &io::Error, doing: &str) -> Self {
        match error.kind() {
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::ReadOnly(format!("{doing}: {error}"))
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full(format!("{doing}: {error}"))
            }
            _ => Self::CannotOpen(format!("{doing}: {error}")),
        }
    }
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(failure, message) = &error else {
            // What remains are values of an unexpected type or range, which
            // only a file that was altered behind our back can contain.
            return Self::Damaged(error.to_string());
        };
        let code = ffi::code_to_str(failure.extended_code);
        let cause = match message {
            Some(text) if text != code => format!("{code}: {text}"),
            _ => code.to_owned(),
        };
        let cause = format!("{cause} (SQLite code {})", failure.extended_code);
        match (failure.code, failure.extended_code) {
            (_, ffi::SQLITE_IOERR_SHORT_READ | ffi::SQLITE_IOERR_CORRUPTFS) => Self::Damaged(cause),
            // Growing the shared-memory file fails for want of space only, but
            // SQLite does not report it as a full disk.
            (_, ffi::SQLITE_IOERR_SHMSIZE) => Self::Full(cause),
            // Another process removed a side file first; trying again helps.
            (_, ffi::SQLITE_IOERR_DELETE_NOENT) => Self::Busy,
            (ErrorCode::NotADatabase, _) => Self::NotADatabase("a file of another kind".to_owned()),
            (ErrorCode::DatabaseCorrupt | ErrorCode::ConstraintViolation, _)
            | (ErrorCode::Unknown | ErrorCode::TypeMismatch, _) => Self::Damaged(cause),
            (ErrorCode::ReadOnly | ErrorCode::PermissionDenied, _) => Self::ReadOnly(cause),
            (ErrorCode::DiskFull, _) => Self::Full(cause),
            (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => Self::Busy,
            (ErrorCode::CannotOpen, _) => Self::CannotOpen(cause),
            (ErrorCode::SystemIoFailure | ErrorCode::FileLockingProtocolFailed, _) => {
                Self::Io(cause)
            }
            (ErrorCode::TooBig, _) => Self::OutOfRange(cause),
            _ => Self::Unexpected(cause),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("store {}: {}", self.path.display(), self.problem);
        // Paths and identifiers come from outside and may contain line breaks.
        for c in text.chars() {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { write!(f, "{c}")? }
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no such file; name a store that a run has written"),
            Self::NoDirectory(dir) => write!(
                f,
                "the directory {} does not exist; create it or choose another path",
                dir.display()
            ),
            Self::NotAFile(kind) => write!(f, "found {kind}; allowed is a regular file"),
            Self::NotADatabase(found) => write!(
                f,
                "found {found}; allowed is a Plummet run store (SQLite); choose another path"
            ),
            Self::Foreign(id) => write!(
                f,
                "found a SQLite database of another application (id {id:#010x}); allowed is a \
                 Plummet run store (id {:#010x}); choose another path",
                super::schema::APPLICATION_ID
            ),
            Self::Version { found, newest } if found > newest => write!(
                f,
                "found schema version {found}; allowed is 1 to {newest}; use a newer Plummet"
            ),
            Self::Version { found, newest } => {
                write!(f, "damaged: found schema version {found}; allowed is 1 to {newest}")
            }
            Self::Damaged(detail) => write!(
                f,
                "damaged: {detail}; restore a copy or choose another path (nothing was changed)"
            ),
            Self::ReadOnly(cause) => {
                write!(f, "cannot be written: {cause}; choose a writable file and directory")
            }
            Self::Full(cause) => {
                write!(f, "the disk is full: {cause}; free some space, then run again to resume")
            }
            Self::Busy => {
                f.write_str("another process holds the lock; wait for it or choose another path")
            }
            Self::CannotOpen(cause) => write!(
                f,
                "cannot be opened: {cause}; check the path and that its directory is writable"
            ),
            Self::Io(cause) => write!(f, "reading or writing failed: {cause}; check the disk"),
            Self::UnknownRun { id, nearest } if nearest.is_empty() => {
                write!(f, "no run {id:?}; the store holds no runs")
            }
            Self::UnknownRun { id, nearest } => {
                write!(f, "no run {id:?}; the nearest are {}", nearest.join(", "))
            }
            Self::AmbiguousRun { prefix, matches, count } => write!(
                f,
                "{prefix:?} fits {count} runs ({}{}); give more of the id",
                matches.join(", "),
                if *count > matches.len() { ", ..." } else { "" }
            ),
            Self::OtherConfig(id) => write!(
                f,
                "run {id:?} exists with another configuration; use another id or another store"
            ),
            Self::OtherDevice { id, begun, here } => write!(
                f,
                "run {id:?} was begun on {begun}, and this is {here}; go on with it there, or begin it \
                 anew in another store"
            ),
            Self::NotBegun(id) => write!(f, "run {id:?} was not begun through this handle"),
            Self::Held { id, holder } => write!(
                f,
                "run {id:?} is under way in {holder}; it was left alone: wait for it, or end it \
                 and run this again"
            ),
            Self::TakenOver(id) => write!(
                f,
                "run {id:?} was begun again by another process, which owns it now; let that one \
                 finish"
            ),
            Self::AlreadyFinished(id) => {
                write!(f, "run {id:?} has already finished; its rows are final")
            }
            Self::OutOfRange(what) => write!(f, "cannot be stored: {what}"),
            Self::Unexpected(cause) => write!(f, "unexpected failure: {cause}"),
        }
    }
}

impl std::error::Error for StoreError {}
