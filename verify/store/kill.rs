//! A process that is killed at any moment loses nothing that matters.

use super::support::*;
use plummet::record::{ProbeRow, StepRow};
use plummet::store::{Filter, Problem, Resume, Store};
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::tempdir;

/// Tells the child, which is this program again, which store to write.
const CHILD: &str = "PLUMMET_VERIFY_STORE_CHILD";
const RUNS: u64 = 6;
const STEPS: u64 = 120;

/// A stand-in for training whose rows depend on all that went before, so that
/// a snapshot which does not fit its rows shows.
fn train(path: &Path, pace: Duration) {
    let store = Store::open(path).unwrap();
    for run in 0..RUNS {
        let id = format!("run{run}");
        let (mut state, first) =
            match store.begin(&id, &id, "kill", &json!({ "run": run })).unwrap() {
                Resume::Finished(_) => continue,
                Resume::Fresh => (run, 0),
                Resume::From { step, snapshot } => {
                    let (head, rest) = snapshot.split_first_chunk().unwrap();
                    assert!(rest.iter().all(|byte| *byte == step as u8), "a torn snapshot");
                    (u64::from_le_bytes(*head), step + 1)
                }
            };
        let (mut steps, mut probes): (Vec<StepRow>, Vec<ProbeRow>) = Default::default();
        for s in first..STEPS {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(s);
            steps.push(step(s, f64::from_bits(state)));
            if s % 10 == 0 {
                let value = f64::from_bits(!state);
                probes.extend((0..30).map(|layer| probe(s, layer, "stream", "rms", value)));
            }
            if s % 12 == 11 {
                let mut blob = state.to_le_bytes().to_vec();
                blob.resize(200_000, s as u8);
                store.snapshot(&id, s, &blob, &steps, &probes).unwrap();
            } else if s % 3 == 2 {
                store.append(&id, &steps, &probes).unwrap();
            } else {
                continue;
            }
            steps.clear();
            probes.clear();
            std::thread::sleep(pace);
        }
        store.finish(&id, &summary(), &steps, &probes).unwrap();
    }
    store.close().unwrap();
}

#[test]
fn child() {
    if let Some(path) = std::env::var_os(CHILD) {
        train(Path::new(&path), Duration::from_millis(2));
    }
}

#[test]
fn ten_kills_leave_what_no_kill_leaves() {
    let dir = tempdir().unwrap();
    let calm = dir.path().join("calm.sqlite");
    train(&calm, Duration::ZERO);
    let calm = content(&Store::open_read(&calm).unwrap()).unwrap();

    let path = dir.path().join("killed.sqlite");
    let spawn = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    // The delays differ from one execution to the next on purpose.
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    println!("seed {}", seed.as_nanos());
    let mut dice = Dice(seed.as_nanos() as u64);
    let (mut kills, mut finished) = (0, 0);
    while kills < 10 {
        let mut child = spawn();
        // Some kills are early enough to hit the creation of the file.
        let limit = if kills < 4 { 8_000 } else { 100_000 };
        std::thread::sleep(Duration::from_micros(500 + dice.roll(limit)));
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success(), "the child was too fast to be killed");
        kills += 1;
        // Every finished run is whole already, and none is lost again. A store
        // whose creation was cut short has nothing to read.
        let store = match Store::open_read(&path) {
            Ok(store) => store,
            Err(error) => {
                assert_eq!(finished, 0, "{error}");
                assert!(matches!(error.problem, Problem::Missing | Problem::NotADatabase(_)));
                continue;
            }
        };
        let text = content(&store).unwrap();
        let mut done = 0;
        for run in store.runs(&Filter::default()).unwrap() {
            if run.summary.is_some() {
                done += 1;
                assert_eq!(store.steps(&run.id).unwrap().len() as u64, STEPS);
            }
        }
        assert!(done >= finished);
        finished = done;
        let end = text.rfind("run run").unwrap_or(0);
        assert!(calm.starts_with(&text[..end]), "a finished run differs");
    }
    println!("{finished} of {RUNS} runs were finished after {kills} kills");
    assert!(spawn().wait().unwrap().success());
    let survived = content(&Store::open_read(&path).unwrap()).unwrap();
    assert!(survived == calm, "the killed store differs from the undisturbed one");
    assert!(!dir.path().join("killed.sqlite-wal").exists());
}
