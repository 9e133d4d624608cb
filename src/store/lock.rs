//! Who is at work on a run: a lock that the system takes back when its process ends, however it ends.
//!
//! A run under way has a small file of its own beside the store, locked by the process that trains
//! it. The file also says who that is, for people; only the lock counts. When the run ends or its
//! store is closed, the file is removed; one that a killed process left is taken over by the next.

use super::hash::Hash;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often a lock is tried for: a look at the state of a run holds it for some microseconds.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// Who holds a run, as far as that process could say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// The number of the process on its machine.
    pub process: Option<u32>,
    /// The name of the machine.
    pub machine: Option<String>,
    /// When the process took the run, in milliseconds since 1970-01-01 UTC.
    pub since: Option<u64>,
}

/// The right to train a run; given back when dropped, and by the system when the process ends.
#[derive(Debug)]
pub(super) struct Held {
    path: PathBuf,
    /// Closing it gives the lock back.
    _file: File,
}

/// What a try to take a run came to.
pub(super) enum Taken {
    /// The run is ours.
    Ours(Held),
    /// The run is ours as far as can be told: this file system has no locks.
    Unguarded(Held),
    /// Another has it.
    Theirs(Holder),
}

/// What a look at a run shows.
pub(super) enum Look {
    /// A process is at work on it.
    Held,
    /// None is.
    Free,
    /// This file system has no locks, or the file cannot be read.
    Unclear,
}

/// The file of a run. Identifiers may hold anything, and be long; their hash is a plain name.
pub(super) fn path(store: &Path, id: &str) -> PathBuf {
    let mut hash = Hash::new();
    hash.bytes(id.as_bytes());
    let mut name = OsString::from(store);
    name.push(format!("-run-{:016x}", hash.finish()));
    PathBuf::from(name)
}

/// Takes a run, unless another has it.
pub(super) fn take(path: &Path) -> io::Result<Taken> {
    for left in (0..TRIES).rev() {
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            // Its holder may have removed the file after it was opened here.
            Ok(()) if !lies_at(&file, path) => {}
            Ok(()) => {
                sign(&mut file);
                return Ok(Taken::Ours(Held { path: path.to_owned(), _file: file }));
            }
            Err(TryLockError::WouldBlock) if left > 0 => std::thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => return Ok(Taken::Theirs(read(&mut file))),
            Err(TryLockError::Error(_)) => {
                sign(&mut file);
                return Ok(Taken::Unguarded(Held { path: path.to_owned(), _file: file }));
            }
        }
    }
    Ok(Taken::Theirs(Holder::default()))
}

/// Looks whether a run is held, without taking it.
pub(super) fn look(path: &Path) -> Look {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Look::Free,
        Err(_) => return Look::Unclear,
    };
    match file.try_lock_shared() {
        Ok(()) => Look::Free,
        Err(TryLockError::WouldBlock) => Look::Held,
        Err(TryLockError::Error(_)) => Look::Unclear,
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Before the lock goes: afterwards the file may be another's. One that stays does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(unix)]
fn lies_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(opened), Ok(named)) => (opened.dev(), opened.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn lies_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

/// Writes down who holds the run. It is told to people only: where it fails, nothing is lost.
fn sign(file: &mut File) {
    let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let text = format!("{} {} {}\n", std::process::id(), now(), machine.trim());
    let _ = file.set_len(0).and_then(|()| file.write_all(text.as_bytes()));
}

fn read(file: &mut File) -> Holder {
    let mut text = String::new();
    let _ = file.take(4096).read_to_string(&mut text);
    let mut words = text.split_whitespace();
    Holder {
        process: words.next().and_then(|word| word.parse().ok()),
        since: words.next().and_then(|word| word.parse().ok()),
        machine: words.next().map(str::to_owned),
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.process {
            Some(process) => write!(f, "process {process}")?,
            None => f.write_str("another process")?,
        }
        if let Some(machine) = &self.machine {
            write!(f, " on {machine}")?;
        }
        if let Some(since) = self.since {
            let seconds = now().saturating_sub(since) / 1000;
            match seconds {
                0..120 => write!(f, ", for {seconds} s")?,
                120..7200 => write!(f, ", for {} min", seconds / 60)?,
                _ => write!(f, ", for {} h", seconds / 3600)?,
            }
        }
        Ok(())
    }
}

/// The present in milliseconds since 1970; zero if the clock is before that.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|elapsed| u64::try_from(elapsed.as_millis()).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_a_run_and_what_it_leaves_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = path(&dir.path().join("runs.sqlite"), "a/b: \n run");
        assert!(matches!(look(&path), Look::Free));
        let Taken::Ours(first) = take(&path).unwrap() else { panic!("nobody has it") };
        assert!(matches!(look(&path), Look::Held));
        let Taken::Theirs(holder) = take(&path).unwrap() else { panic!("it is taken") };
        assert_eq!(holder.process, Some(std::process::id()));
        assert!(holder.to_string().starts_with("process "), "{holder}");
        drop(first);
        assert!(!path.exists());
        let Taken::Ours(second) = take(&path).unwrap() else { panic!("it was given back") };
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_process_left_is_free_and_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runs.sqlite-run-0");
        fs::write(&path, "1 2 elsewhere\n").unwrap();
        assert!(matches!(look(&path), Look::Free));
        drop(take(&path).unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn a_holder_is_named_as_far_as_it_is_known() {
        assert_eq!(Holder::default().to_string(), "another process");
        let since = Some(now() - 300_000);
        let holder = Holder { process: Some(7), machine: Some("ship".to_string()), since };
        assert_eq!(holder.to_string(), "process 7 on ship, for 5 min");
    }

    #[test]
    fn contenders_never_both_have_a_run() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runs.sqlite-run-0");
        let (inside, had) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        if let Taken::Ours(held) = take(&path).unwrap() {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                            had.fetch_add(1, Ordering::SeqCst);
                            inside.fetch_sub(1, Ordering::SeqCst);
                            drop(held);
                        }
                    }
                });
            }
        });
        assert!(had.load(Ordering::SeqCst) >= 50);
    }
}
