//! Stores that cannot be written or read: one line, exit code 2, and nothing is lost.

use super::support::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system of its own, where the rights of this process allow it.
struct Mount(PathBuf);

impl Mount {
    fn new(at: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        let options = format!("size={size}");
        let mut command = Command::new("mount");
        let done = command.args(["-t", "tmpfs", "-o", &options, "none"]).arg(&at).output();
        if done.is_ok_and(|output| output.status.success()) {
            return Some(Mount(at));
        }
        println!("skipped: this process may not mount a file system");
        None
    }

    fn remount(&self, option: &str) {
        let options = format!("remount,{option}");
        let status = Command::new("mount").args(["-o", &options]).arg(&self.0).status();
        assert!(status.is_ok_and(|status| status.success()));
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn shown(store: &Path) -> serde_json::Value {
    json(&plummet(&["show", "--json", "--store", text(store)]))
}

#[test]
fn a_read_only_place_is_refused_and_readable() {
    let place = Place::empty();
    let Some(mount) = Mount::new(place.dir.path().join("mount"), "4m") else { return };
    let store = mount.0.join("runs.sqlite");
    answered(&train_in(&store, &[]));
    let before = shown(&store);
    mount.remount("ro");
    let line = refused(&train_in(&store, &["--seed", "2"]), &["store ", "runs.sqlite"]);
    assert!(line.contains("cannot be"), "{line}");
    let fresh = mount.0.join("fresh.sqlite");
    refused(&train_in(&fresh, &[]), &["fresh.sqlite", "Read-only file system"]);
    assert_eq!(shown(&store), before);
}

#[test]
fn a_full_disk_costs_nothing_that_was_there() {
    let place = Place::empty();
    let Some(mount) = Mount::new(place.dir.path().join("mount"), "2m") else { return };
    let store = mount.0.join("runs.sqlite");
    answered(&train_in(&store, &[]));
    let before = shown(&store);
    // Enough is left to open the store, not enough for the snapshots of a wider stack.
    let flags = ["--width", "160", "--steps", "6", "--snapshot-seconds", "0", "--seed", "2"];
    refused(&train_in(&store, &flags), &["store ", "the disk is full"]);
    assert_eq!(shown(&store)[0], before[0]);
    mount.remount("size=64m");
    answered(&train_in(&store, &flags));
    let elsewhere = place.dir.path().join("calm.sqlite");
    answered(&train_in(&elsewhere, &flags));
    let (disturbed, calm) = (shown(&store)[1].clone(), shown(&elsewhere)[0].clone());
    for field in ["run", "loss", "val_loss", "token_cosine", "steps", "outcome"] {
        assert_eq!(disturbed[field], calm[field], "{field}");
    }
}

#[test]
fn a_file_that_is_no_store_is_left_as_it_is() {
    let place = Place::empty();
    let words = place.file("words.txt", b"Neque porro quisquam est qui dolorem ipsum");
    let before = fs::read(&words).unwrap();
    for output in [train_in(&words, &[]), plummet(&["show", "--store", text(&words)])] {
        refused(&output, &["words.txt", "allowed is a Plummet run store"]);
    }
    assert_eq!(fs::read(&words).unwrap(), before);
    refused(&train_in(place.dir.path(), &[]), &["a directory", "allowed is a regular file"]);
    let nowhere = place.dir.path().join("none/runs.sqlite");
    refused(&train_in(&nowhere, &[]), &["none", "does not exist"]);
}

#[test]
fn a_damaged_store_is_refused_and_left_as_it_is() {
    let place = Place::with_a_run();
    let mut bytes = fs::read(&place.store).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0xa5);
    fs::write(&place.store, &bytes).unwrap();
    let store = text(&place.store);
    for output in [place.train(&["--seed", "2"]), plummet(&["show", "--store", store])] {
        refused(&output, &["runs.sqlite", "damaged"]);
    }
    assert_eq!(fs::read(&place.store).unwrap(), bytes);
}
