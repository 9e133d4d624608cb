//! Being asked to end: a snapshot, one line, and an exit code that says which signal it was.

use super::kill::{SWEEP, content};
use super::support::*;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

#[test]
fn a_run_that_is_asked_to_end_keeps_what_it_has() {
    for (name, number) in heard() {
        let place = Place::empty();
        let args = [&["train"], LONG, &["--store", text(&place.store)]].concat();
        let child = start(&args);
        // Rows come every two seconds.
        until("a row", || {
            place.store.exists()
                && is_held(&place.store)
                && json(&plummet(&["show", "--json", "--store", text(&place.store)]))[0]["steps"]
                    .as_u64()
                    .is_some_and(|steps| steps > 0)
        });
        assert_eq!(only_run(&place.store)["state"], "running");
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        let line = stopped(&output, number);
        assert!(line.contains(&format!("by SIG{name} after ")), "{line}");
        assert!(!is_held(&place.store));
        let run = only_run(&place.store);
        assert_eq!(run["state"], "interrupted");
        assert_eq!(run["steps"], run["resumes_from"], "nothing was lost: {run}");
        assert!(line.contains(run["run"].as_str().unwrap()), "{line}");
        let table = answered(&plummet(&["show", "--store", text(&place.store)]));
        let step = format!("interrupted at step {} of 30000", run["steps"]);
        assert!(table.contains(&step) && !table.contains("running"), "{table}");
    }
}

/// The signals that ask for an end: under `nohup` a hang-up is none of them.
fn heard() -> Vec<(&'static str, i32)> {
    let hang_up = Command::new("sh").args(["-c", "kill -HUP $$; :"]).status().unwrap();
    let mut heard = vec![("TERM", 15), ("INT", 2)];
    heard.extend((!hang_up.success()).then_some(("HUP", 1)));
    heard
}

/// The line of a command that a signal ended.
fn stopped(output: &Output, number: i32) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(128 + number), "{errors}");
    assert!(output.stdout.is_empty());
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.contains("stopped by SIG") && errors.contains("the same command"), "{errors}");
    errors
}

#[test]
fn a_sweep_that_is_asked_to_end_again_and_again_ends_as_an_undisturbed_one() {
    let place = Place::empty();
    // No snapshot but those that are asked for.
    let sweep = String::from_utf8_lossy(SWEEP).replace("snapshot-seconds = 0", "");
    let file = place.file("sweep.toml", sweep.as_bytes());
    let calm = place.dir.path().join("calm.sqlite");
    answered(&plummet(&["sweep", text(&file), "--store", text(&calm)]));
    let mut asked = 0;
    loop {
        let child = start(&["sweep", text(&file), "--store", text(&place.store)]);
        std::thread::sleep(Duration::from_millis(40 + 25 * asked));
        // It may have ended by itself.
        let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            break;
        }
        asked += 1;
        // Before the signals are watched they end it at once, which costs nothing either.
        if output.status.signal().is_none() {
            stopped(&output, 15);
        }
    }
    assert!(asked > 0, "it was too fast to be asked");
    assert!(content(&place.store) == content(&calm), "after {asked} signals");
}

#[test]
fn a_second_signal_ends_at_once() {
    let place = Place::empty();
    // The first thing that this run does is to measure the held-out loss, for some seconds.
    let args = [
        "train",
        "--depth",
        "2",
        "--seq",
        "1024",
        "--batch",
        "64",
        "--shards",
        "4",
        "--threads",
        "1",
        "--steps",
        "2",
        "--store",
        text(&place.store),
    ];
    let mut child = start(&args);
    until("the run", || is_held(&place.store));
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(100));
    assert!(child.try_wait().unwrap().is_none(), "the step is finished first");
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().signal(), Some(15));
}

#[test]
fn what_nohup_ignores_stays_ignored() {
    let place = Place::empty();
    let mut command = Command::new("sh");
    let flags = LONG.join(" ");
    let line = format!("trap '' HUP; exec {PLUMMET} train {flags} --store {}", text(&place.store));
    let mut child = command.args(["-c", &line]).stderr(Stdio::piped()).spawn().unwrap();
    until("the run", || place.store.exists() && is_held(&place.store));
    signal(&child, "HUP");
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none(), "it goes on");
    signal(&child, "TERM");
    stopped(&child.wait_with_output().unwrap(), 15);
}

#[test]
fn a_gate_that_is_ended_leaves_no_target_running() {
    let place = Place::empty();
    // It neither answers nor reads, so that the end of its input does not end it either.
    let pid = place.dir.path().join("pid");
    let target = format!("echo $$ > {}; exec sleep 600", text(&pid));
    for (name, _) in heard() {
        let _ = std::fs::remove_file(&pid);
        let mut gate = start(&["gate", "check", "--", "sh", "-c", &target]);
        until("the target", || std::fs::read_to_string(&pid).is_ok_and(|id| id.ends_with('\n')));
        signal(&gate, name);
        assert!(gate.wait().unwrap().signal().is_some(), "it ends as it would without a target");
        let id = std::fs::read_to_string(&pid).unwrap();
        let alive = || {
            let status =
                Command::new("kill").args(["-0", id.trim()]).stderr(Stdio::null()).status();
            status.unwrap().success()
        };
        until("the end of the target", || !alive());
    }
}
