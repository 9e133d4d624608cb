//! The program, and what every answer and every refusal has in common.

use assert_cmd::Command;
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;

/// Where the program lies.
pub const PLUMMET: &str = env!("CARGO_BIN_EXE_plummet");

/// Flags of a run that takes some milliseconds.
pub const TINY: &[&str] =
    &["--width", "8", "--depth", "2", "--heads", "2", "--seq", "8", "--batch", "4", "--steps", "4"];

/// A folder with a store that holds one finished run.
pub struct Place {
    pub dir: TempDir,
    pub store: PathBuf,
}

impl Place {
    pub fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Place { store: dir.path().join("runs.sqlite"), dir }
    }

    pub fn with_a_run() -> Self {
        let place = Place::empty();
        answered(&place.train(&[]));
        place
    }

    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Trains the tiny run, with some more flags, in this store.
    pub fn train(&self, more: &[&str]) -> Output {
        train_in(&self.store, more)
    }
}

/// Trains the tiny run, with some more flags, in a store.
pub fn train_in(store: &Path, more: &[&str]) -> Output {
    let mut args = vec!["train"];
    // A flag that is given twice would be an error of its own.
    for pair in TINY.chunks(2).filter(|pair| !more.contains(&pair[0])) {
        args.extend(pair);
    }
    args.extend(more);
    args.extend(["--store", text(store)]);
    plummet(&args)
}

pub fn plummet(args: &[&str]) -> Output {
    Command::new(PLUMMET).current_dir(env!("CARGO_TARGET_TMPDIR")).args(args).output().unwrap()
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The standard output of a call that must have gone well, and quietly: there is no terminal.
pub fn answered(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{:?}: {errors}", output.status);
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The last line of an answer, as JSON.
pub fn json(output: &Output) -> Json {
    let text = answered(output);
    let last = text.lines().last().unwrap_or_else(|| panic!("nothing on standard output"));
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}"))
}

/// The one line of a call that must have been refused; it must hold every one of `named`.
pub fn refused(output: &Output, named: &[&str]) -> String {
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{named:?}: {line}");
    assert!(output.stdout.is_empty(), "{named:?} printed a result");
    assert_eq!(line.lines().count(), 1, "{named:?}: {line}");
    assert!(line.starts_with("error: ") && line.ends_with('\n'), "{line}");
    for name in named {
        assert!(line.contains(name), "{name:?} is not named in: {line}");
    }
    line
}

/// Flags of a run that does not end by itself within a test.
pub const LONG: &[&str] = &[
    "--width",
    "16",
    "--depth",
    "4",
    "--heads",
    "2",
    "--seq",
    "16",
    "--batch",
    "8",
    "--steps",
    "30000",
    "--snapshot-seconds",
    "3000",
    "--memory",
    "64MiB",
];

/// Starts a command whose output is kept.
pub fn start(args: &[&str]) -> std::process::Child {
    use std::process::Stdio;
    let mut command = std::process::Command::new(PLUMMET);
    command.current_dir(env!("CARGO_TARGET_TMPDIR"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A shell without job control may have this test ignore SIGINT, and a child inherits that.
    #[cfg(unix)]
    // SAFETY: signal is allowed between fork and exec.
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(&mut command, || {
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            Ok(())
        });
    }
    command.spawn().unwrap()
}

/// Waits until something holds, up to a minute.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed().as_secs() < 60, "{what} has not come in a minute");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Whether a process is at work on a run of a store.
pub fn is_held(store: &Path) -> bool {
    let folder = std::fs::read_dir(store.parent().unwrap()).unwrap();
    let mut names = folder.map(|file| file.unwrap().file_name().to_string_lossy().into_owned());
    let run = format!("{}-run-", store.file_name().unwrap().to_string_lossy());
    names.any(|name| name.starts_with(&run))
}

/// Sends a signal such as TERM.
pub fn signal(process: &std::process::Child, name: &str) {
    let id = process.id().to_string();
    let status = std::process::Command::new("kill").args([&format!("-{name}"), &id]).status();
    assert!(status.unwrap().success());
}

/// The one run of a store, as `show --json` has it.
pub fn only_run(store: &Path) -> Json {
    let runs = json(&plummet(&["show", "--json", "--store", text(store)]));
    assert_eq!(runs.as_array().unwrap().len(), 1, "{runs}");
    runs[0].clone()
}
