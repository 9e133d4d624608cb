//! Several writers share one file.

use super::support::*;
use plummet::store::{Filter, Store};
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::tempdir;

const CHILD: &str = "PLUMMET_VERIFY_STORE_WRITER";
const RUNS: u64 = 5;

fn write(store: &Store, who: &str) {
    for run in 0..RUNS {
        let id = format!("{who}-{run}");
        store.begin(&id, &id, who, &json!({ "run": run })).unwrap();
        for s in 0..20 {
            // Each writer brings names of its own, so interning is contested.
            let site = format!("blocks.{s}.{who}");
            let probes = [probe(s, 0, &site, "rms", 1.0), probe(s, 0, "stream", who, 2.0)];
            store.snapshot(&id, s, &[s as u8; 3000], &[step(s, 1.0)], &probes).unwrap();
        }
        store.finish(&id, &summary(), &[], &[]).unwrap();
    }
}

fn check(path: &Path, writers: &[&str]) {
    let store = Store::open_read(path).unwrap();
    for who in writers {
        let filter = Filter { group: Some((*who).to_owned()), ..Filter::default() };
        let runs = store.runs(&filter).unwrap();
        assert_eq!(runs.len() as u64, RUNS);
        for run in runs {
            assert!(run.summary.is_some());
            assert_eq!(store.steps(&run.id).unwrap().len(), 20);
            assert_eq!(store.probes(&run.id, who).unwrap().len(), 20);
            let rms = store.probes(&run.id, "rms").unwrap();
            assert!(rms.iter().all(|row| row.site == format!("blocks.{}.{who}", row.step)));
            assert_eq!(rms.len(), 20);
        }
    }
}

#[test]
fn writer() {
    if let (Some(path), Ok(who)) = (std::env::var_os(CHILD), std::env::var("WHO")) {
        let store = Store::open(path).unwrap();
        write(&store, &who);
        store.close().unwrap();
    }
}

#[test]
fn processes_write_at_once() {
    let dir = tempdir().unwrap();
    // The file does not exist, so its creation is contested as well.
    for round in 0..5 {
        let path = dir.path().join(format!("runs{round}.sqlite"));
        let writers = ["a", "b", "c"];
        let children = writers.map(|who| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "concurrency::writer", "--nocapture"])
                .env(CHILD, &path)
                .env("WHO", who)
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        });
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        check(&path, &writers);
    }
}

#[test]
fn threads_share_a_handle() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("runs.sqlite");
    let store = Store::open(&path).unwrap();
    let writers = ["a", "b", "c", "d"];
    std::thread::scope(|scope| {
        for who in writers {
            let store = &store;
            scope.spawn(move || write(store, who));
        }
        let reader = Store::open_read(&path).unwrap();
        for _ in 0..20 {
            // What a reader sees of a finished run is whole at any time.
            content(&reader).unwrap();
        }
    });
    store.close().unwrap();
    check(&path, &writers);
}
