//! Stores that earlier versions wrote.

use super::support::*;
use plummet::config::RunConfig;
use plummet::record::{Measure, Outcome, RunState, Summary, Trend};
use plummet::store::{Filter, Resume, Store};
use std::path::Path;
use tempfile::tempdir;

/// Makes the store that version 1 wrote.
fn version_1(path: &Path) {
    write(path, include_str!("version1.sql"));
}

/// Makes the store that version 2 wrote.
fn version_2(path: &Path) {
    write(path, include_str!("version2.sql"));
}

fn write(path: &Path, sql: &str) {
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.execute_batch(sql).unwrap();
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
    assert!(summary.passes.is_nan() && summary.val_baseline.is_nan(), "{summary:?}");
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
    assert_eq!(version(&path), 3);
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

/// The runs of version 2, with the reference losses that were columns then.
fn shows_its_named_losses(store: &Store) {
    store.check().unwrap();
    let runs = store.runs(&Filter::default()).unwrap();
    let states: Vec<RunState> = runs.iter().map(|run| run.state).collect();
    assert_eq!(states, [RunState::Finished, RunState::Finished, RunState::Interrupted]);
    let [markov, text] = [&runs[0], &runs[1]].map(|run| run.summary.clone().unwrap());
    let losses = |summary: &Summary| -> Vec<(String, f64)> {
        let named = summary.references.iter();
        named.map(|loss| (loss.name.clone(), (loss.nats * 1e4).round() / 1e4)).collect()
    };
    let named = |list: &[(&str, f64)]| -> Vec<(String, f64)> {
        list.iter().map(|&(name, nats)| (name.to_owned(), nats)).collect()
    };
    let markov_losses = [("unigram", 3.4617), ("bigram", 3.3194), ("bayes", 1.7245)];
    assert_eq!(losses(&markov), named(&markov_losses));
    assert_eq!(losses(&text), named(&[("unigram", 2.9369), ("bigram", 2.3647)]));
    for summary in [markov, text] {
        assert_eq!(summary.baseline, "unigram");
        assert!(summary.val_baseline > 3.4 && summary.passes > 0.0, "{summary:?}");
    }
    assert_eq!(store.steps(&runs[0].id).unwrap().len(), 3);
}

#[test]
fn a_store_of_version_2_shows_its_runs_and_names_their_losses() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("runs.sqlite");
    version_2(&path);
    let before = std::fs::read(&path).unwrap();
    let reader = Store::open_read(&path).unwrap();
    shows_its_named_losses(&reader);
    assert!(std::fs::read(&path).unwrap() == before, "reading changes nothing");
    let store = Store::open(&path).unwrap();
    shows_its_named_losses(&store);
    // Whoever reads meanwhile finds the losses where they are from now on.
    shows_its_named_losses(&reader);
    store.close().unwrap();
    reader.close().unwrap();
    assert_eq!(version(&path), 3);
    shows_its_named_losses(&Store::open_read(&path).unwrap());
}

#[test]
fn a_run_of_version_2_is_known_by_its_configuration_still() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("runs.sqlite");
    version_2(&path);
    for run in Store::open_read(&path).unwrap().runs(&Filter::default()).unwrap() {
        let mut config = RunConfig::from_json(&run.config).unwrap();
        config.name = Some(run.name.clone());
        assert_eq!(config.id(), run.id);
        assert_eq!(config.identity(), run.config);
    }
}
