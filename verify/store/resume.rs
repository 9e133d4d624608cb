//! An interrupted run goes back to its snapshot; a finished one is final.

use super::support::*;
use plummet::record::{RunState, Summary};
use plummet::store::{Filter, Problem, Reached, Resume, Store};
use serde_json::json;
use tempfile::tempdir;

#[test]
fn rows_after_the_snapshot_are_gone() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("runs.sqlite");
    let config = json!({"lr": 3e-4});
    let probes = |s| [probe(s, 0, "stream", "rms", 1.0), probe(s, 1, "attn", "kurtosis", 2.0)];
    {
        let store = Store::open(&path).unwrap();
        assert_eq!(store.begin("r", "n", "g", &config).unwrap(), Resume::Fresh);
        store.append("r", &[step(0, 4.0)], &probes(0)).unwrap();
        store.snapshot("r", 1, b"one", &[step(1, 3.0)], &probes(1)).unwrap();
        store.snapshot("r", 2, b"two", &[step(2, 2.0)], &probes(2)).unwrap();
        store.append("r", &[step(3, 1.0)], &probes(3)).unwrap();
        assert_eq!(store.steps("r").unwrap().len(), 4);
    }
    let store = Store::open(&path).unwrap();
    let resume = store.begin("r", "renamed", "moved", &config).unwrap();
    assert_eq!(resume, Resume::From { step: 2, snapshot: b"two".to_vec() });
    let steps: Vec<_> = store.steps("r").unwrap().iter().map(|row| row.step).collect();
    assert_eq!(steps, [0, 1, 2]);
    assert_eq!(store.probes("r", "rms").unwrap().len(), 3);
    assert!(store.probes_at("r", 3).unwrap().is_empty());
    let run = store.run("r").unwrap();
    assert_eq!((run.name.as_str(), run.group.as_str()), ("n", "g"));
    assert_eq!((run.state, run.summary), (RunState::Running, None));
}

#[test]
fn without_a_snapshot_a_run_starts_over() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("runs.sqlite");
    let store = Store::open(&path).unwrap();
    store.begin("r", "", "", &json!(1)).unwrap();
    store.append("r", &[step(0, 1.0)], &[probe(0, 0, "a", "b", 1.0)]).unwrap();
    drop(store);
    let store = Store::open(&path).unwrap();
    assert_eq!(store.begin("r", "", "", &json!(1)).unwrap(), Resume::Fresh);
    assert!(store.steps("r").unwrap().is_empty());
    assert!(store.metrics("r").unwrap().is_empty());
}

#[test]
fn a_snapshot_that_ends_early_is_refused_and_the_former_one_stays() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("runs.sqlite");
    let store = Store::open(&path).unwrap();
    store.begin("r", "", "", &json!(1)).unwrap();
    store.snapshot("r", 0, b"one", &[step(0, 1.0)], &[]).unwrap();
    let error = store.snapshot_in_pieces("r", 1, 4, [b"on"], &[step(1, 1.0)], &[]).unwrap_err();
    assert!(matches!(error.problem, Problem::OutOfRange(_)), "{error}");
    drop(store);
    let store = Store::open(&path).unwrap();
    let resume = store.begin("r", "", "", &json!(1)).unwrap();
    assert_eq!(resume, Resume::From { step: 0, snapshot: b"one".to_vec() });
}

#[test]
fn a_run_goes_on_on_the_device_that_it_was_begun_on() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("runs.sqlite");
    let on = |name: &str| json!({"device": "cuda", "device-name": name});
    let begin = |config| Store::open(&path).unwrap().begin("r", "", "", &config);
    assert_eq!(begin(on("A")).unwrap(), Resume::Fresh);
    let error = begin(on("B")).unwrap_err();
    assert!(matches!(error.problem, Problem::OtherDevice { .. }), "{error}");
    assert!(error.to_string().contains("begun on A, and this is B"), "{error}");
    assert_eq!(begin(on("A")).unwrap(), Resume::Fresh);
    assert_eq!(
        begin(json!({"device": "cuda"})).unwrap(),
        Resume::Fresh,
        "of before there were names"
    );
    let store = Store::open(&path).unwrap();
    store.begin("r", "", "", &on("A")).unwrap();
    store.finish("r", &summary(), &[step(0, 1.0)], &[]).unwrap();
    let Resume::Finished(run) = store.begin("r", "", "", &on("B")).unwrap() else {
        panic!("what has ended is only read")
    };
    assert_eq!(run.device(), Some("A"));
}

#[test]
fn a_finished_run_is_final() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("runs.sqlite");
    let store = Store::open(&path).unwrap();
    store.begin("r", "", "", &json!(1)).unwrap();
    store.snapshot("r", 0, &[1; 1 << 20], &[step(0, 1.0)], &[]).unwrap();
    store.finish("r", &summary(), &[step(1, f64::NAN)], &[]).unwrap();
    let Resume::Finished(run) = store.begin("r", "", "", &json!(1)).unwrap() else {
        panic!("the run has finished")
    };
    assert_eq!(run.summary, Some(summary()));
    for result in [
        store.append("r", &[step(2, 1.0)], &[]),
        store.snapshot("r", 2, &[], &[], &[]),
        store.finish("r", &summary(), &[], &[]),
    ] {
        assert!(matches!(result.unwrap_err().problem, Problem::AlreadyFinished(_)));
    }
    assert_eq!(store.steps("r").unwrap().len(), 2);
    store.close().unwrap();
    let length = std::fs::metadata(&path).unwrap().len();
    assert!(length < 200_000, "the snapshot must not remain in {length} bytes");
}

#[test]
fn another_configuration_is_refused() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("runs.sqlite");
    let store = Store::open(&path).unwrap();
    store.begin("r", "", "", &json!({"lr": 0.1})).unwrap();
    let text = refusal(store.begin("r", "", "", &json!({"lr": 0.2})), &path);
    assert!(text.contains("another configuration"), "{text}");
    let text = refusal(store.append("other", &[], &[]), &path);
    assert!(text.contains("not begun"), "{text}");
}

#[test]
fn a_run_that_is_held_is_refused_and_left_alone() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("runs.sqlite");
    let first = Store::open(&path).unwrap();
    // The same file by another name.
    let link = dir.path().join("link.sqlite");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let second = Store::open(&link).unwrap();
    first.begin("r", "", "", &json!(1)).unwrap();
    assert_eq!(second.run("r").unwrap().state, RunState::Running);
    let error = second.begin("r", "", "", &json!(1)).unwrap_err();
    assert!(matches!(error.problem, Problem::Held { .. }), "{error}");
    let holder = format!("process {}", std::process::id());
    assert!(error.to_string().contains(&holder), "{error}");
    // Another run of the same store is free, and the first goes on.
    second.begin("s", "", "", &json!(2)).unwrap();
    first.append("r", &[step(0, 1.0)], &[]).unwrap();
    first.finish("r", &summary(), &[step(1, 2.0)], &[]).unwrap();
    assert!(matches!(second.begin("r", "", "", &json!(1)), Ok(Resume::Finished(_))));
    drop(second);
    assert_eq!(first.run("s").unwrap().state, RunState::Interrupted);
    assert_eq!(first.begin("s", "", "", &json!(2)).unwrap(), Resume::Fresh);
}

/// Where locks are missing, a later attempt ends the earlier one; their rows never mix. Removing
/// the file that holds the run stands for that.
#[test]
fn without_a_lock_the_later_attempt_owns_the_run() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("runs.sqlite");
    let first = Store::open(&path).unwrap();
    let second = Store::open(&path).unwrap();
    first.begin("r", "", "", &json!(1)).unwrap();
    first.append("r", &[step(0, 1.0)], &[]).unwrap();
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        if file.file_name().to_string_lossy().contains("-run-") {
            std::fs::remove_file(file.path()).unwrap();
        }
    }
    second.begin("r", "", "", &json!(1)).unwrap();
    let refused = first.append("r", &[step(1, 1.0)], &[]).unwrap_err();
    assert!(matches!(refused.problem, Problem::TakenOver(_)), "{refused}");
    second.finish("r", &summary(), &[step(0, 2.0)], &[]).unwrap();
    assert_eq!(first.steps("r").unwrap(), [step(0, 2.0)]);
}

#[test]
fn a_text_counts_by_its_digest_and_not_by_its_place() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path().join("runs.sqlite")).unwrap();
    let config = |text: &str, digest: &str| json!({"text": text, "text-sha256": digest});
    store.begin("r", "", "", &config("a.txt", "1f")).unwrap();
    store.begin("r", "", "", &config("b.txt", "1f")).unwrap();
    assert!(store.begin("r", "", "", &config("a.txt", "2e")).is_err());
    // Where no digest was written, the place is all there is.
    store.begin("s", "", "", &json!({"text": "a.txt"})).unwrap();
    assert!(store.begin("s", "", "", &json!({"text": "b.txt"})).is_err());
}

#[test]
fn how_far_a_run_is_can_be_asked() {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path().join("runs.sqlite")).unwrap();
    store.begin("r", "", "", &json!(1)).unwrap();
    assert_eq!(store.reached("r").unwrap(), Reached::default());
    store.append("r", &[step(0, 1.0), step(1, 1.0)], &[]).unwrap();
    assert_eq!(store.reached("r").unwrap(), Reached { steps: 2, resumes: 0 });
    store.snapshot("r", 2, b"two", &[step(2, 1.0)], &[]).unwrap();
    store.append("r", &[step(3, 1.0)], &[]).unwrap();
    assert_eq!(store.reached("r").unwrap(), Reached { steps: 4, resumes: 3 });
}

#[test]
fn a_merge_takes_finished_runs_only() {
    let dir = tempdir().unwrap();
    let (a, b) = (dir.path().join("a.sqlite"), dir.path().join("b.sqlite"));
    sample(&b);
    let store = Store::open(&a).unwrap();
    // Shifts the keys of names, and leaves an unfinished attempt to replace.
    store.begin("x", "", "", &json!(1)).unwrap();
    store.append("x", &[], &[probe(0, 0, "elsewhere", "other", 1.0)]).unwrap();
    store.begin("aaaa1111", "", "", &json!({"depth": 4, "id": "aaaa1111"})).unwrap();
    store.snapshot("aaaa1111", 0, b"old", &[step(0, 9.0)], &[]).unwrap();

    let merged = store.merge(&b).unwrap();
    assert_eq!(merged.taken, ["aaaa1111"]);
    assert_eq!((merged.present, merged.unfinished), (0, 1));
    let merged = store.merge(&b).unwrap();
    assert_eq!((merged.taken.len(), merged.present), (0, 1));
    assert_eq!(store.merge(&a).unwrap().present, 1, "a store merged into itself stays");
    assert!(store.append("aaaa1111", &[], &[]).is_err());

    let other = Store::open_read(&b).unwrap();
    assert_eq!(store.run("aaaa1111").unwrap(), other.run("aaaa1111").unwrap());
    assert_eq!(store.steps("aaaa1111").unwrap(), other.steps("aaaa1111").unwrap());
    for metric in ["rms", "grad_norm"] {
        let (mine, theirs) =
            (store.probes("a", metric).unwrap(), other.probes("a", metric).unwrap());
        assert!(!mine.is_empty());
        assert_eq!(mine, theirs);
    }

    let c = dir.path().join("c.sqlite");
    let conflicting = Store::open(&c).unwrap();
    for (id, config) in [("new", json!(1)), ("aaaa1111", json!("different"))] {
        conflicting.begin(id, "", "", &config).unwrap();
        conflicting.finish(id, &Summary { loss: f64::NAN, ..summary() }, &[], &[]).unwrap();
    }
    let text = refusal(store.merge(&c), &a);
    assert!(text.contains("another configuration"), "{text}");
    assert!(store.run("new").is_err(), "a merge is all or nothing");
    let missing = dir.path().join("missing.sqlite");
    refusal(store.merge(&missing), &missing);
    assert_eq!(store.runs(&Filter::default()).unwrap().len(), 2);
}

#[test]
fn a_handle_for_reading_does_not_write() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("runs.sqlite");
    sample(&path);
    let store = Store::open_read(&path).unwrap();
    let text = refusal(store.begin("r", "", "", &json!(1)), &path);
    assert!(text.contains("opened for reading"), "{text}");
    store.close().unwrap();
}

#[test]
fn a_snapshot_of_several_parts_survives() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("runs.sqlite");
    let mut dice = Dice(1);
    let blob: Vec<u8> = (0..(36 << 20) + 3).map(|_| dice.roll(256) as u8).collect();
    let store = Store::open(&path).unwrap();
    store.begin("r", "", "", &json!(1)).unwrap();
    let start = std::time::Instant::now();
    for _ in 0..2 {
        store.snapshot("r", 5, &blob, &[], &[]).unwrap();
    }
    println!("a snapshot of 36 MiB takes {:.0?}", start.elapsed() / 2);
    drop(store);
    let resume = Store::open(&path).unwrap().begin("r", "", "", &json!(1)).unwrap();
    assert!(resume == Resume::From { step: 5, snapshot: blob });
    let length = std::fs::metadata(&path).unwrap().len();
    assert!(length < 50 << 20, "replaced snapshots must not pile up to {length} bytes");
}
