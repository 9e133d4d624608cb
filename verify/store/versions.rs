//! Stores that earlier versions wrote.

use super::support::*;
use plummet::record::{Measure, Outcome, RunState, Trend};
use plummet::store::{Filter, Resume, Store};
use std::path::Path;
use tempfile::tempdir;

/// Makes the store that version 1 wrote.
fn version_1(path: &Path) {
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.execute_batch(include_str!("version1.sql")).unwrap();
    conn.close().unwrap();
}

fn version(path: &Path) -> i64 {
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

/// The run of the store, with its rows compared with the seal of then.
fn shows_its_run(store: &Store) {
    store.check().unwrap();
    let runs = store.runs(&Filter::default()).unwrap();
    assert_eq!(
        runs.iter().map(|run| run.state).collect::<Vec<_>>(),
        [RunState::Finished, RunState::Interrupted]
    );
    let summary = runs[0].summary.clone().unwrap();
    assert_eq!((&summary.outcome, summary.steps), (&Outcome::Stuck, 3));
    assert!(summary.passes.is_nan() && summary.val_unigram.is_nan(), "{summary:?}");
    assert_eq!((summary.trend, summary.measure), (Trend::Unclear, Measure::Training));
    assert_eq!(summary.judged_loss(), summary.loss);
    assert_eq!(store.steps(&runs[0].id).unwrap().len(), 3);
}

#[test]
fn a_store_of_version_1_is_read_as_it_is() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("runs.sqlite");
    version_1(&path);
    let before = std::fs::read(&path).unwrap();
    let store = Store::open_read(&path).unwrap();
    shows_its_run(&store);
    store.close().unwrap();
    assert!(std::fs::read(&path).unwrap() == before, "reading changes nothing");
}

#[test]
fn a_store_of_version_1_is_brought_up_to_date_when_it_is_written() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("runs.sqlite");
    version_1(&path);
    let reader = Store::open_read(&path).unwrap();
    let store = Store::open(&path).unwrap();
    shows_its_run(&store);
    // Whoever reads meanwhile sees the new columns from now on.
    shows_its_run(&reader);
    let unfinished = store.runs(&Filter::default()).unwrap().pop().unwrap();
    let (id, config) = (&unfinished.id, &unfinished.config);
    assert_eq!(store.begin(id, "", "", config).unwrap(), Resume::Fresh);
    store.finish(id, &summary(), &[step(0, 4.0)], &[]).unwrap();
    let text = summary_text(&store.run(id).unwrap().summary.unwrap());
    assert_eq!(text, summary_text(&summary()));
    store.close().unwrap();
    reader.close().unwrap();
    assert_eq!(version(&path), 2);
}

#[test]
fn runs_of_version_1_can_be_taken_over() {
    let dir = tempdir().unwrap();
    let (old, new) = (dir.path().join("old.sqlite"), dir.path().join("new.sqlite"));
    version_1(&old);
    let store = Store::open(&new).unwrap();
    let merged = store.merge(&old).unwrap();
    assert_eq!((merged.taken.len(), merged.unfinished), (1, 1));
    store.check().unwrap();
    assert_eq!(version(&old), 1, "it was only read");
}
