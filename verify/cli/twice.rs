//! The same runs in several processes at once: each run has one, and none ends another.

use super::kill::{SWEEP, content};
use super::support::*;

#[test]
fn a_run_that_is_under_way_is_not_started_again() {
    let place = Place::empty();
    let args = [&["train"], LONG, &["--store", text(&place.store)]].concat();
    let mut first = start(&args);
    until("the run", || place.store.exists() && is_held(&place.store));
    let holder = format!("process {}", first.id());
    refused(&plummet(&args), &["store ", "run ", &holder, ", for ", "left alone"]);
    assert!(first.try_wait().unwrap().is_none(), "the first goes on");
    assert_eq!(only_run(&place.store)["state"], "running");
    // Another run of the same store is free.
    answered(&place.train(&[]));
    signal(&first, "KILL");
    first.wait().unwrap();
    let table = answered(&plummet(&["show", "--store", text(&place.store)]));
    assert!(table.contains("interrupted at step ") && !table.contains("running"), "{table}");
    // What the dead one left keeps nobody from its run.
    let second = start(&args);
    until("the run", || {
        let runs = json(&plummet(&["show", "--json", "--store", text(&place.store)]));
        runs[0]["state"] == "running"
    });
    signal(&second, "TERM");
    assert_eq!(second.wait_with_output().unwrap().status.code(), Some(143));
    assert!(!is_held(&place.store));
}

#[test]
fn sweeps_side_by_side_share_the_work() {
    let place = Place::empty();
    let file = place.file("sweep.toml", SWEEP);
    let args = ["sweep", text(&file), "--json", "--store", text(&place.store)];
    let sweeps = [start(&args), start(&args), start(&args)];
    let outputs = sweeps.map(|sweep| sweep.wait_with_output().unwrap());
    let answers = outputs.each_ref().map(|output| {
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let said = ["is under way in process ", "waiting for "];
        assert!(errors.lines().all(|line| said.iter().any(|s| line.contains(s))), "{errors}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    });
    // The seconds of each run, which no two trainings share, are the same in all answers.
    assert_eq!(answers[0].as_array().unwrap().len(), 6);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "a run was trained twice");
    let calm = place.dir.path().join("calm.sqlite");
    answered(&plummet(&["sweep", text(&file), "--store", text(&calm)]));
    assert!(content(&place.store) == content(&calm));
    assert!(!is_held(&place.store));
}

#[test]
fn a_sweep_takes_over_what_a_dead_one_held() {
    let place = Place::empty();
    let fields: Vec<&str> =
        LONG.iter().map(|flag| if *flag == "30000" { "2000" } else { *flag }).collect();
    let train = [&["train"], &fields[..], &["--store", text(&place.store)]].concat();
    let toml: String = (fields.chunks(2))
        .map(|pair| match pair[0] {
            "--memory" => "memory = '64MiB'\n".to_string(),
            name => format!("{} = {}\n", &name[2..], pair[1]),
        })
        .collect();
    let file = place.file("sweep.toml", toml.as_bytes());
    let mut first = start(&train);
    // Once its row is there, it holds no lock of the file itself.
    until("the run", || {
        let list = plummet(&["show", "--json", "--store", text(&place.store)]).stdout;
        is_held(&place.store) && String::from_utf8_lossy(&list).contains("running")
    });
    // It stands still, as a process does that has hung.
    signal(&first, "STOP");
    let mut second = start(&["sweep", text(&file), "--store", text(&place.store)]);
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert!(second.try_wait().unwrap().is_none(), "it waits");
    first.kill().unwrap();
    first.wait().unwrap();
    let output = second.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(errors.contains("under way") && errors.contains("waiting for 1 of 1"), "{errors}");
    assert_eq!(only_run(&place.store)["steps"], 2000);
}
