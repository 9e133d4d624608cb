//! Places where a store cannot be, or can hardly be.

use super::support::*;
use plummet::store::{Problem, Resume, Store};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::tempdir;

/// A small file system of its own, where the rights of the process allow it.
struct Mount(PathBuf);

impl Mount {
    fn new(at: &Path, arguments: &[&str]) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let done = Command::new("mount").args(arguments).arg(at).output();
        match done {
            Ok(output) if output.status.success() => Some(Self(at.to_owned())),
            _ => {
                println!("skipped: this process may not mount a file system");
                None
            }
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn missing_places_are_named() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("none/runs.sqlite");
    for text in [refusal(Store::open(&path), &path), refusal(Store::open_read(&path), &path)] {
        assert!(text.contains("the directory") && text.contains("does not exist"), "{text}");
    }
    let path = dir.path().join("none.sqlite");
    assert!(refusal(Store::open_read(&path), &path).contains("no such file"));
    assert!(!path.exists(), "reading must not create");
    let path = dir.path().join("x".repeat(300));
    refusal(Store::open(&path), &path);
    fs::write(dir.path().join("file"), "x").unwrap();
    let path = dir.path().join("file/runs.sqlite");
    refusal(Store::open(&path), &path);
}

#[test]
fn odd_names_are_plain_files() {
    let dir = tempdir().unwrap();
    for name in [":memory:", "file:x?mode=memory", "a b%20#?é.sqlite", "runs"] {
        let path = dir.path().join(name);
        sample(&path);
        assert!(path.is_file(), "{name}");
        content(&Store::open_read(&path).unwrap()).unwrap();
    }
}

#[test]
fn closing_leaves_one_file() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("runs.sqlite");
    sample(&path);
    let store = Store::open_read(&path).unwrap();
    content(&store).unwrap();
    store.close().unwrap();
    drop(Store::open(&path).unwrap());
    let files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(files, ["runs.sqlite"]);
}

#[test]
fn a_read_only_directory_is_readable() {
    let dir = tempdir().unwrap();
    let root = dir.path().join("mount");
    let Some(_mount) = Mount::new(&root, &["-t", "tmpfs", "-o", "size=4m", "none"]) else {
        return;
    };
    let path = root.join("odd name?.sqlite");
    sample(&path);
    let expected = content(&Store::open_read(&path).unwrap()).unwrap();
    let remount = Command::new("mount").args(["-o", "remount,ro"]).arg(&root).status();
    assert!(remount.is_ok_and(|status| status.success()));

    let text = refusal(Store::open(&path), &path);
    assert!(text.contains("cannot be"), "{text}");
    println!("{text}");
    let fresh = root.join("fresh.sqlite");
    let text = refusal(Store::open(&fresh), &fresh);
    assert!(text.contains("Read-only file system"), "{text}");
    println!("{text}");
    let store = Store::open_read(&path).unwrap();
    assert_eq!(content(&store).unwrap(), expected);
    store.close().unwrap();
}

#[test]
fn a_full_disk_costs_nothing_that_was_written() {
    let dir = tempdir().unwrap();
    let root = dir.path().join("mount");
    let Some(_mount) = Mount::new(&root, &["-t", "tmpfs", "-o", "size=2m", "none"]) else {
        return;
    };
    let path = root.join("runs.sqlite");
    let ballast = root.join("ballast");
    let store = Store::open(&path).unwrap();
    store.begin("done", "", "", &json!(1)).unwrap();
    store.finish("done", &summary(), &[step(0, 1.0)], &[]).unwrap();
    store.begin("r", "", "", &json!(1)).unwrap();
    store.snapshot("r", 0, &[1; 1000], &[step(0, 1.0)], &[]).unwrap();

    let text = refusal(store.snapshot("r", 1, &vec![2; 8 << 20], &[step(1, 1.0)], &[]), &path);
    assert!(text.contains("disk is full"), "{text}");
    println!("{text}");
    // The same handle goes on once there is space.
    store.append("r", &[step(1, 1.0)], &[]).unwrap();
    drop(store);

    let store = Store::open(&path).unwrap();
    assert_eq!(
        store.begin("r", "", "", &json!(1)).unwrap(),
        Resume::From { step: 0, snapshot: vec![1; 1000] }
    );
    assert_eq!(store.steps("done").unwrap().len(), 1);
    store.close().unwrap();

    // With no space at all even opening fails, which must do no harm either.
    let before = fs::read(&path).unwrap();
    let _ = fs::write(&ballast, vec![0; 4 << 20]);
    let text = refusal(Store::open(&path), &path);
    assert!(text.contains("disk is full"), "{text}");
    println!("{text}");
    let fresh = root.join("fresh.sqlite");
    let text = refusal(Store::open(&fresh), &fresh);
    assert!(text.contains("disk is full"), "{text}");
    println!("{text}");
    assert_eq!(fs::read(&path).unwrap(), before);
    fs::remove_file(&ballast).unwrap();
    assert_eq!(Store::open(&path).unwrap().steps("done").unwrap().len(), 1);
    Store::open(&fresh).unwrap().begin("r", "", "", &json!(1)).unwrap();
}

#[test]
fn without_shared_memory_the_rollback_journal_serves() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("runs.sqlite");
    // A directory in the place of the shared memory makes the log unusable.
    fs::create_dir(dir.path().join("runs.sqlite-shm")).unwrap();
    sample(&path);
    let store = Store::open(&path).unwrap();
    store.begin("r", "", "", &json!(1)).unwrap();
    store.finish("r", &summary(), &[step(0, 1.0)], &[]).unwrap();
    assert!(!dir.path().join("runs.sqlite-wal").exists());
    let reader = Store::open_read(&path).unwrap();
    assert_eq!(reader.steps("r").unwrap().len(), 1);
    store.begin("s", "", "", &json!(1)).unwrap();
    assert!(reader.run("s").is_ok());
}

#[test]
fn a_log_that_cannot_be_read_is_not_ignored() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("runs.sqlite");
    sample(&path);
    let store = Store::open(&path).unwrap();
    store.begin("r", "", "", &json!(1)).unwrap();
    // A copy of the files of an open store is what a killed process leaves.
    let copy = dir.path().join("copy.sqlite");
    fs::copy(&path, &copy).unwrap();
    let log = dir.path().join("copy.sqlite-wal");
    fs::copy(dir.path().join("runs.sqlite-wal"), &log).unwrap();
    assert!(fs::metadata(&log).unwrap().len() > 0);
    fs::create_dir(dir.path().join("copy.sqlite-shm")).unwrap();
    // Either answer is right; one without the run would not be.
    match Store::open_read(&copy) {
        Ok(store) => assert_eq!(store.run("r").unwrap().id, "r"),
        Err(error) => assert!(matches!(error.problem, Problem::CannotOpen(_)), "{error}"),
    }
    fs::remove_dir(dir.path().join("copy.sqlite-shm")).unwrap();
    Store::open_read(&copy).unwrap().run("r").unwrap();
}
