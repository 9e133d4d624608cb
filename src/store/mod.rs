//! The run store: one SQLite file that remembers what training runs observed.
//!
//! # What survives
//!
//! Every call that writes is one transaction. If the process dies at any
//! moment, a reopened store holds each finished run whole. An unfinished run
//! holds the rows of the calls that returned, and [`Store::begin`] takes it
//! back to its last snapshot, deleting the rows after it, so that the snapshot
//! and the rows agree. See `open.rs` for why the journal allows this.
//!
//! # Who may write
//!
//! Several processes, and several threads through one shared handle, may write
//! different runs at once. A run that is begun is held until it is finished, the
//! handle is closed or the process ends in whatever way; beginning it elsewhere
//! meanwhile is refused with [`Problem::Held`]. See `lock.rs`. Where a file system
//! has no locks, the later attempt owns the run and the earlier one gets
//! [`Problem::TakenOver`] at its next write, so the rows of two attempts never mix.
//!
//! # Damage
//!
//! Opening checks the structure of the file (of a large one, of all but the
//! rows); a finished run is compared with its checksums before it is handed
//! out; a snapshot carries its own. [`Store::check`] looks at everything.

mod error;
mod hash;
mod lock;
mod lookup;
mod merge;
mod open;
mod read;
mod rows;
mod schema;
mod seal;
mod snapshot;
mod value;
mod write;

pub use error::{Problem, StoreError};
pub use lock::Holder;

use crate::record::{ProbeRow, RunRecord, RunState, StepRow, Summary};
use read::Slice;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The runs begun through a handle, by identifier.
type Claims = HashMap<String, Claim>;

/// A run begun through a handle.
struct Claim {
    run: i64,
    attempt: i64,
    /// What keeps others from the run; nothing once it is finished.
    held: Option<lock::Held>,
}

/// An open run store.
///
/// Closing the last handle, by [`Store::close`] or by dropping it, leaves one
/// file without side files.
pub struct Store {
    path: PathBuf,
    /// One name for the file, whatever name it was opened by: the locks are named after it.
    real: PathBuf,
    writable: bool,
    inner: Mutex<Inner>,
}

struct Inner {
    conn: Connection,
    claims: Claims,
    /// Finished runs whose rows have been compared with their checksum. They
    /// are final, so once is enough.
    checked: HashSet<i64>,
}

/// Where a run stands when it is begun.
#[derive(Clone, Debug, PartialEq)]
pub enum Resume {
    /// Nothing can be taken up: start at the first step.
    Fresh,
    /// An interrupted run: restore the snapshot and continue after its step.
    From {
        /// The step that the snapshot was taken at; rows after it are gone.
        step: u64,
        /// The training state as given to [`Store::snapshot`].
        snapshot: Vec<u8>,
    },
    /// The run has already ended; there is nothing to do.
    Finished(Box<RunRecord>),
}

/// How far an unfinished run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Steps whose rows are kept.
    pub steps: u64,
    /// The step that the run would go on from, as the store knows it: 0 for the start.
    pub resumes: u64,
}

/// Which runs to list. The default is all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Only runs of exactly this group.
    pub group: Option<String>,
    /// Only runs whose name contains this text.
    pub name: Option<String>,
    /// Only runs in this state.
    pub state: Option<RunState>,
    /// Only finished runs whose outcome has this identifier.
    pub outcome: Option<String>,
}

impl Filter {
    /// Whether a run passes.
    pub fn accepts(&self, run: &RunRecord) -> bool {
        let outcome = run.summary.as_ref().map(|summary| summary.outcome.id());
        self.group.as_ref().is_none_or(|group| *group == run.group)
            && self.name.as_ref().is_none_or(|name| run.name.contains(name))
            && self.state.is_none_or(|state| state == run.state)
            && self.outcome.as_deref().is_none_or(|wanted| Some(wanted) == outcome)
    }
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// The length of the file, without side files.
    pub bytes: u64,
    /// The number of runs.
    pub runs: u64,
    /// The number of step rows.
    pub steps: u64,
    /// The number of probe rows.
    pub probes: u64,
}

/// What a merge did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// The identifiers of the runs that were copied.
    pub taken: Vec<String>,
    /// How many finished runs were here already.
    pub present: usize,
    /// How many runs of the other store have not finished and were left there.
    pub unfinished: usize,
}

impl Store {
    /// Opens a store for reading and writing; creates the file if there is none.
    ///
    /// # Errors
    ///
    /// If the path does not name a usable store. The file is then as it was.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::from(path.as_ref(), true, open::for_writing)
    }

    /// Opens a store that exists, for reading; works on read-only media too.
    ///
    /// # Errors
    ///
    /// If the path does not name a usable store. The file is then as it was.
    pub fn open_read(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::from(path.as_ref(), false, open::for_reading)
    }

    fn from(
        path: &Path,
        writable: bool,
        open: impl FnOnce(&Path) -> Result<Connection, Problem>,
    ) -> Result<Self, StoreError> {
        let conn = open(path).map_err(|problem| problem.at(path))?;
        let inner = Inner { conn, claims: Claims::new(), checked: HashSet::new() };
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        Ok(Self { path: path.to_owned(), real, writable, inner: Mutex::new(inner) })
    }

    /// The path that the store was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins a run, or takes up an interrupted one.
    ///
    /// A run that exists keeps the name, group and time of its first attempt.
    ///
    /// # Errors
    ///
    /// If the identifier belongs to a run with another configuration, another
    /// process or handle is at work on the run, or the store cannot be written.
    pub fn begin(
        &self,
        id: &str,
        name: &str,
        group: &str,
        config: &serde_json::Value,
    ) -> Result<Resume, StoreError> {
        let text = config.to_string();
        let new = RunRecord {
            id: id.to_owned(),
            name: name.to_owned(),
            group: group.to_owned(),
            config: config.clone(),
            created: lock::now(),
            state: RunState::Running,
            summary: None,
        };
        let held = self.hold(id)?;
        self.write(|conn, claims| write::begin(conn, claims, &new, &text, held))
    }

    /// Keeps others from a run; nothing where this handle does so already.
    fn hold(&self, id: &str) -> Result<Option<lock::Held>, StoreError> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = inner.claims.get(id).is_some_and(|claim| claim.held.is_some());
        // A handle for reading is refused by what follows.
        if ours || !self.writable {
            return Ok(None);
        }
        match lock::take(&lock::path(&self.real, id)) {
            Ok(lock::Taken::Ours(held) | lock::Taken::Unguarded(held)) => Ok(Some(held)),
            Ok(lock::Taken::Theirs(holder)) => {
                Err(Problem::Held { id: id.to_owned(), holder }.at(&self.path))
            }
            Err(error) => {
                Err(Problem::from_io(&error, "creating the file that holds a run").at(&self.path))
            }
        }
    }

    /// Adds rows to a run. A row that is there already is replaced.
    ///
    /// # Errors
    ///
    /// If the run was not begun through this handle, was begun again elsewhere
    /// or has finished, or the store cannot be written.
    pub fn append(
        &self,
        id: &str,
        steps: &[StepRow],
        probes: &[ProbeRow],
    ) -> Result<(), StoreError> {
        self.write(|conn, claims| {
            let run = write::owned(conn, claims, id)?;
            rows::insert(conn, run, steps, probes)
        })
    }

    /// Adds rows to a run and replaces its snapshot, both or neither.
    ///
    /// The rows up to `step` must all be given by now: resuming continues with
    /// the step after it.
    ///
    /// # Errors
    ///
    /// As for [`Store::append`].
    pub fn snapshot(
        &self,
        id: &str,
        step: u64,
        blob: &[u8],
        steps: &[StepRow],
        probes: &[ProbeRow],
    ) -> Result<(), StoreError> {
        self.snapshot_in_pieces(id, step, blob.len(), [blob], steps, probes)
    }

    /// As [`Store::snapshot`], for a snapshot of so many `bytes` that is handed over piece by
    /// piece, so that it never lies in memory as a whole.
    ///
    /// # Errors
    ///
    /// As for [`Store::append`].
    pub fn snapshot_in_pieces<P: AsRef<[u8]>>(
        &self,
        id: &str,
        step: u64,
        bytes: usize,
        pieces: impl IntoIterator<Item = P>,
        steps: &[StepRow],
        probes: &[ProbeRow],
    ) -> Result<(), StoreError> {
        self.write(|conn, claims| {
            let run = write::owned(conn, claims, id)?;
            rows::insert(conn, run, steps, probes)?;
            snapshot::put(conn, run, value::signed("step", step)?, bytes, pieces)
        })
    }

    /// Adds the last rows to a run, ends it and deletes its snapshot.
    ///
    /// # Errors
    ///
    /// As for [`Store::append`].
    pub fn finish(
        &self,
        id: &str,
        summary: &Summary,
        steps: &[StepRow],
        probes: &[ProbeRow],
    ) -> Result<(), StoreError> {
        self.write(|conn, claims| {
            let run = write::owned(conn, claims, id)?;
            rows::insert(conn, run, steps, probes)?;
            write::finish(conn, run, summary)
        })?;
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(claim) = inner.claims.get_mut(id) {
            claim.held = None;
        }
        Ok(())
    }

    /// Lists the runs that pass a filter, oldest first.
    ///
    /// # Errors
    ///
    /// If the store is damaged or cannot be read.
    pub fn runs(&self, filter: &Filter) -> Result<Vec<RunRecord>, StoreError> {
        let runs = self.read(|inner| read::list(&inner.conn))?;
        let runs = runs.into_iter().map(|listed| self.settled(listed));
        let runs = runs.collect::<Result<Vec<_>, _>>()?;
        Ok(runs.into_iter().filter(|run| filter.accepts(run)).collect())
    }

    /// A run as listed, with the state that it has now.
    fn settled(&self, listed: read::Listed) -> Result<RunRecord, StoreError> {
        let mut record = listed.record;
        if record.state != RunState::Finished {
            record.state = match lock::look(&lock::path(&self.real, &record.id)) {
                lock::Look::Held => RunState::Running,
                lock::Look::Unclear => RunState::Unclear,
                lock::Look::Free => {
                    // It may have been finished since it was listed.
                    let now = self.read(|inner| read::one(&inner.conn, listed.key))?.record;
                    if now.state == RunState::Finished {
                        return Ok(now);
                    }
                    RunState::Interrupted
                }
            };
        }
        Ok(record)
    }

    /// Reads one run by its identifier or a unique prefix of it.
    ///
    /// # Errors
    ///
    /// If no run or more than one fits, or the store is damaged or cannot be
    /// read.
    pub fn run(&self, id: &str) -> Result<RunRecord, StoreError> {
        let listed = self.read(|inner| {
            let run = lookup::find(&inner.conn, id)?;
            read::one(&inner.conn, run)
        })?;
        self.settled(listed)
    }

    /// How far a run has come.
    ///
    /// # Errors
    ///
    /// As for [`Store::run`].
    pub fn reached(&self, id: &str) -> Result<Reached, StoreError> {
        self.read(|inner| {
            let run = lookup::find(&inner.conn, id)?;
            read::reached(&inner.conn, run)
        })
    }

    /// Reads the step rows of a run, in order.
    ///
    /// # Errors
    ///
    /// As for [`Store::run`].
    pub fn steps(&self, id: &str) -> Result<Vec<StepRow>, StoreError> {
        self.read(|inner| {
            let run = inner.checked_run(id)?;
            read::steps(&inner.conn, run)
        })
    }

    /// Reads the rows of one metric of a run, by step, layer and site.
    ///
    /// # Errors
    ///
    /// As for [`Store::run`]. A metric without rows is no error.
    pub fn probes(&self, id: &str, metric: &str) -> Result<Vec<ProbeRow>, StoreError> {
        self.read(|inner| {
            let run = inner.checked_run(id)?;
            read::probes(&inner.conn, run, &Slice::Metric(metric))
        })
    }

    /// Reads the probe rows of one step of a run, by layer, site and metric.
    ///
    /// # Errors
    ///
    /// As for [`Store::run`]. A step without rows is no error.
    pub fn probes_at(&self, id: &str, step: u64) -> Result<Vec<ProbeRow>, StoreError> {
        self.read(|inner| {
            let run = inner.checked_run(id)?;
            read::probes(&inner.conn, run, &Slice::Step(value::signed("step", step)?))
        })
    }

    /// The metrics that a run has probe rows of, in alphabetical order.
    ///
    /// # Errors
    ///
    /// As for [`Store::run`].
    pub fn metrics(&self, id: &str) -> Result<Vec<String>, StoreError> {
        self.read(|inner| {
            let run = inner.checked_run(id)?;
            read::metrics(&inner.conn, run)
        })
    }

    /// Takes over the finished runs of another store, all or none of them.
    ///
    /// A run that is finished here stays as it is; one that is unfinished here
    /// is replaced.
    ///
    /// # Errors
    ///
    /// If an identifier stands for different configurations, or either store
    /// is damaged or inaccessible.
    pub fn merge(&self, other: impl AsRef<Path>) -> Result<Merged, StoreError> {
        let other = Self::open_read(other)?;
        let mut outer = None;
        let merged = self.write(|into, _| {
            other
                .read(|inner| match merge::merge(&inner.conn, into) {
                    Ok(merged) => Ok(Ok(merged)),
                    Err(merge::FromOrInto::Into(problem)) => Ok(Err(problem)),
                    Err(merge::FromOrInto::From(problem)) => Err(problem),
                })
                .unwrap_or_else(|error| {
                    // The error is about the other file and must name that one.
                    outer = Some(error);
                    Err(Problem::Unexpected("the other store failed".to_owned()))
                })
        });
        match outer {
            Some(error) => Err(error),
            None => merged,
        }
    }

    /// How much the store holds.
    ///
    /// # Errors
    ///
    /// If the store is damaged or cannot be read.
    pub fn size(&self) -> Result<Size, StoreError> {
        self.read(|inner| {
            let count = |sql: &str| -> Result<u64, Problem> {
                let count: value::Count =
                    inner.conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
                Ok(count.0)
            };
            Ok(Size {
                bytes: count(
                    "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
                )?,
                runs: count("SELECT count(*) FROM run")?,
                steps: count("SELECT count(*) FROM step")?,
                probes: count("SELECT count(*) FROM probe")?,
            })
        })
    }

    /// Checks the structure of the whole file and every finished run.
    ///
    /// # Errors
    ///
    /// If anything is damaged, or the store cannot be read.
    pub fn check(&self) -> Result<(), StoreError> {
        self.read(|inner| {
            open::check_structure(&inner.conn, "integrity_check(1)")?;
            for run in read::list(&inner.conn)? {
                if run.record.state == RunState::Finished {
                    seal::check_rows(&inner.conn, run.key, &run.record.id)?;
                }
            }
            Ok(())
        })
    }

    /// Closes the store and returns unused space to the file system.
    ///
    /// Dropping a store is as safe; it only leaves the file as large as the
    /// snapshots once made it.
    ///
    /// # Errors
    ///
    /// If the store cannot be written. The runs are safe nevertheless.
    pub fn close(self) -> Result<(), StoreError> {
        let Self { path, writable, inner, .. } = self;
        let Inner { conn, claims, .. } = inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        drop(claims);
        let close = || -> Result<(), Problem> {
            if writable {
                // The statement frees one page for each row that it returns.
                let mut vacuum = conn.prepare("PRAGMA incremental_vacuum")?;
                let mut rows = vacuum.query([])?;
                while rows.next()?.is_some() {}
            }
            conn.flush_prepared_statement_cache();
            conn.close().map_err(|(_, error)| error.into())
        };
        close().map_err(|problem| problem.at(&path))
    }

    /// Runs one writing transaction.
    ///
    /// It takes the lock at its start: a transaction that first reads and then
    /// finds another process writing could not wait and would fail.
    fn write<T>(
        &self,
        action: impl FnOnce(&Connection, &mut Claims) -> Result<T, Problem>,
    ) -> Result<T, StoreError> {
        let attempt = || {
            if !self.writable {
                return Err(Problem::ReadOnly("the store was opened for reading".to_owned()));
            }
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            let Inner { conn, claims, .. } = &mut *inner;
            let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
            let value = action(&tx, claims)?;
            tx.commit()?;
            Ok(value)
        };
        attempt().map_err(|problem: Problem| problem.at(&self.path))
    }

    /// Runs one reading transaction, so that what it reads belongs together.
    fn read<T>(
        &self,
        action: impl FnOnce(&mut Inner) -> Result<T, Problem>,
    ) -> Result<T, StoreError> {
        let attempt = || {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.conn.execute_batch("BEGIN")?;
            let value = action(&mut inner);
            // A read has nothing to lose, so a failing end is of no concern;
            // SQLite may have ended the transaction itself after an error.
            let _ = inner.conn.execute_batch("ROLLBACK");
            value
        };
        attempt().map_err(|problem: Problem| problem.at(&self.path))
    }
}

impl Inner {
    /// The key of a run whose rows, if it has finished, match their checksum.
    fn checked_run(&mut self, id: &str) -> Result<i64, Problem> {
        let run = lookup::find(&self.conn, id)?;
        if !self.checked.contains(&run) && write::is_finished(&self.conn, run)? {
            let record = read::one(&self.conn, run)?.record;
            seal::check_rows(&self.conn, run, &record.id)?;
            self.checked.insert(run);
        }
        Ok(run)
    }
}
