//! A run that is asked to end keeps what it has, and goes on to the same bits.

use plummet::config::RunConfig;
use plummet::record::RunState;
use plummet::store::{Problem, Store};
use plummet::train::{Error, Progress, Quiet, run};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Asks the run to end once this many steps were taken.
struct After(usize, AtomicUsize);

impl After {
    fn steps(steps: usize) -> Self {
        After(steps, AtomicUsize::new(0))
    }
}

impl Progress for After {
    fn advanced(&self, _config: &RunConfig, _step: usize, _loss: f64) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }
    fn stops(&self) -> bool {
        self.1.load(Ordering::Relaxed) >= self.0
    }
}

fn config() -> RunConfig {
    let small = [
        ("width", "16"),
        ("depth", "2"),
        ("heads", "2"),
        ("seq", "16"),
        ("batch", "8"),
        ("steps", "12"),
        ("dropout", "0.1"),
        ("probe-every", "5"),
        // Far more than the test takes: no snapshot is made but the one at the end.
        ("snapshot-seconds", "3000"),
    ];
    RunConfig::from_settings(small).unwrap()
}

#[test]
fn a_run_asked_to_end_goes_on_from_that_step() {
    let dir = tempfile::tempdir().unwrap();
    let calm = Store::open(dir.path().join("calm.sqlite")).unwrap();
    let calm_run = run(&config(), "", &calm, &Quiet).unwrap();
    let path = dir.path().join("stopped.sqlite");
    let mut taken = 0;
    // Asked before the first step, twice at one place, and at the very last steps.
    for steps in [0, 1, 0, 4, 6, 0] {
        let store = Store::open(&path).unwrap();
        let error = run(&config(), "", &store, &After::steps(steps)).unwrap_err();
        taken += steps;
        let Error::Stopped { id, done, lost: None } = error else { panic!("{error}") };
        assert_eq!(done, taken);
        assert_eq!(store.reached(&id).unwrap().resumes, taken as u64);
        drop(store);
        let state = Store::open_read(&path).unwrap().run(&id).unwrap().state;
        assert_eq!(state, RunState::Interrupted);
    }
    let store = Store::open(&path).unwrap();
    let record = run(&config(), "", &store, &Quiet).unwrap();
    assert_eq!(store.steps(&record.id).unwrap(), calm.steps(&record.id).unwrap());
    let bits = |record: &plummet::record::RunRecord| {
        let summary = record.summary.clone().unwrap();
        [summary.loss, summary.initial_loss, summary.val_loss].map(f64::to_bits)
    };
    assert_eq!(bits(&record), bits(&calm_run));
    for metric in calm.metrics(&record.id).unwrap() {
        if !metric.ends_with("_ms") {
            let probes = |store: &Store| store.probes(&record.id, &metric).unwrap();
            assert_eq!(probes(&store), probes(&calm), "{metric}");
        }
    }
}

/// Takes the run away from under its store at step 3, and asks it to end there.
struct Robbed<'a>(&'a Path, AtomicUsize);

impl Progress for Robbed<'_> {
    fn advanced(&self, config: &RunConfig, step: usize, _loss: f64) {
        self.1.store(step, Ordering::Relaxed);
        if step == 3 {
            for file in std::fs::read_dir(self.0).unwrap().map(Result::unwrap) {
                if file.file_name().to_string_lossy().contains("-run-") {
                    std::fs::remove_file(file.path()).unwrap();
                }
            }
            let other = Store::open(self.0.join("runs.sqlite")).unwrap();
            other.begin(&config.id(), "", "", &config.identity()).unwrap();
        }
    }
    fn stops(&self) -> bool {
        self.1.load(Ordering::Relaxed) == 3
    }
}

#[test]
fn a_snapshot_that_cannot_be_kept_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("runs.sqlite")).unwrap();
    let robbed = Robbed(dir.path(), AtomicUsize::new(0));
    let error = run(&config(), "", &store, &robbed).unwrap_err();
    let Error::Stopped { done: 3, lost: Some(lost), .. } = error else { panic!("{error}") };
    assert!(matches!(lost.problem, Problem::TakenOver(_)), "{lost}");
}
