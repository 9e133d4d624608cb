//! Texts: known by their content, read once, from wherever they come.

use super::support::*;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const FOX: &str = "the quick brown fox jumps over the lazy dog ";

fn run_of(output: &Output) -> String {
    json(output)["run"].as_str().unwrap().to_string()
}

/// Trains on standard input, which a pipe fills.
fn piped(store: &Path, name: &str, content: &str) -> Output {
    let mut args = vec!["train", "--text", name, "--json", "--store", text(store)];
    args.extend(TINY);
    let mut command = Command::new(PLUMMET);
    command.current_dir(env!("CARGO_TARGET_TMPDIR"));
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), content.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn the_same_content_is_the_same_run_wherever_it_comes_from() {
    let place = Place::empty();
    let content = FOX.repeat(3000);
    let file = place.file("fox.txt", content.as_bytes());
    let run = run_of(&place.train(&["--text", text(&file), "--json"]));
    let moved = place.dir.path().join("moved.txt");
    fs::copy(&file, &moved).unwrap();
    let link = place.dir.path().join("link.txt");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    for path in [&moved, &link] {
        assert_eq!(run_of(&place.train(&["--text", text(path), "--json"])), run);
    }
    for name in ["-", "/dev/stdin"] {
        assert_eq!(run_of(&piped(&place.store, name, &content)), run, "{name}");
    }
    let fifo = place.dir.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let writer = {
        let (fifo, content) = (fifo.clone(), content.clone());
        std::thread::spawn(move || fs::write(fifo, content))
    };
    assert_eq!(run_of(&place.train(&["--text", text(&fifo), "--json"])), run);
    writer.join().unwrap().unwrap();
    assert_eq!(only_run(&place.store)["config"]["text"], text(&file), "where it was first read");
    // Several runs of a sweep share what came through the pipe.
    let sweep =
        "width = 8\ndepth = 1\nheads = 2\nseq = 8\nbatch = 4\nsteps = 3\nseed = [1, 2, 3]\n";
    let sweep = place.file("sweep.toml", format!("{sweep}text = '-'\n").as_bytes());
    let mut command = Command::new(PLUMMET);
    command.current_dir(env!("CARGO_TARGET_TMPDIR"));
    command.args(["sweep", text(&sweep), "--json", "--store", text(&place.store)]);
    command.stdin(fs::File::open(&file).unwrap());
    assert_eq!(json(&command.output().unwrap()).as_array().unwrap().len(), 3);
}

#[test]
fn another_content_under_the_same_name_is_another_run() {
    let place = Place::empty();
    let file = place.file("t.txt", FOX.repeat(3000).as_bytes());
    let train = || place.train(&["--text", text(&file), "--json"]);
    let first = json(&train());
    fs::write(&file, FOX.to_uppercase().repeat(4000)).unwrap();
    let output = train();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.starts_with("note: text = ") && errors.contains("learned anew"), "{errors}");
    let second: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_ne!(first["run"], second["run"]);
    assert_ne!(first["references"], second["references"]);
    // It is said once; and the first content still has its run.
    assert_eq!(json(&train()), second);
    fs::write(&file, FOX.repeat(3000)).unwrap();
    assert_eq!(json(&train()), first);
}

#[test]
fn a_report_names_a_text_that_is_gone_or_has_changed() {
    let place = Place::empty();
    let file = place.file("t.txt", FOX.repeat(3000).as_bytes());
    answered(&place.train(&["--text", text(&file)]));
    let reports = place.dir.path().join("reports");
    let report = || {
        let places = ["--store", text(&place.store), "--reports", text(&reports)];
        plummet(&[&["report", "--text", text(&file)], &places[..]].concat())
    };
    fs::write(&file, FOX.to_uppercase().repeat(3000)).unwrap();
    refused(&report(), &["text = ", "t.txt", "it has changed since"]);
    fs::remove_file(&file).unwrap();
    refused(&report(), &["text = ", "t.txt", "a readable file"]);
    refused(&place.train(&["--text", text(&file)]), &["text = ", "t.txt", "a readable file"]);
    assert!(!reports.exists(), "a refusal made a folder");
}

#[test]
fn a_text_without_end_is_refused_with_the_limit() {
    let place = Place::empty();
    for endless in ["/dev/zero", "/dev/urandom"] {
        let flags = ["--text", endless, "--memory", "32MiB"];
        refused(&place.train(&flags), &["text = ", endless, "up to 32.0 MiB", "goes on"]);
    }
    assert!(!place.store.exists());
}

#[test]
fn a_killed_run_does_not_go_on_over_another_text() {
    let place = Place::empty();
    let file = place.file("t.txt", FOX.repeat(3000).as_bytes());
    // A snapshot behind every step.
    let long: Vec<&str> = LONG.iter().map(|f| if *f == "3000" { "0" } else { *f }).collect();
    let start_it = || {
        let names = ["--text", text(&file), "--store", text(&place.store)];
        start(&[&["train"], &long[..], &names].concat())
    };
    let mut first = start_it();
    let snapshot = || {
        let runs = json(&plummet(&["show", "--json", "--store", text(&place.store)]));
        runs[0]["resumes_from"].as_u64().is_some_and(|step| step > 0)
    };
    until("a snapshot", || place.store.exists() && is_held(&place.store) && snapshot());
    first.kill().unwrap();
    first.wait().unwrap();
    let before = only_run(&place.store);
    fs::write(&file, FOX.to_uppercase().repeat(3000)).unwrap();
    let second = start_it();
    until("the second run", || {
        let runs = json(&plummet(&["show", "--json", "--store", text(&place.store)]));
        runs.as_array().unwrap().len() == 2
    });
    signal(&second, "TERM");
    assert_eq!(second.wait_with_output().unwrap().status.code(), Some(143));
    let runs = json(&plummet(&["show", "--json", "--store", text(&place.store)]));
    assert_eq!(runs[0], before, "the snapshot of the first text is left alone");
    assert_ne!(runs[1]["run"], before["run"]);
}

/// The same for the table of a series, whose column and returns are other runs.
#[test]
fn a_series_is_known_by_its_content_and_its_column() {
    let place = Place::empty();
    let rows: String = (0..200).map(|i| format!("{},{}\n", 1 + i % 7, 1 + i % 11)).collect();
    let content = format!("a,b\n{rows}");
    let file = place.file("table.csv", content.as_bytes());
    let copy = place.file("copy.csv", content.as_bytes());
    let run = |path: &Path, column: &str, task: &str| {
        let flags = ["--task", task, "--series", text(path), "--column", column, "--json"];
        run_of(&place.train(&flags))
    };
    let first = run(&file, "a", "series");
    assert_eq!(run(&copy, "a", "series"), first);
    let others = [
        run(&file, "b", "series"),
        run(&file, "a", "series(returns=levels)"),
        run(&file, "a", "series(head=student)"),
        run(&place.file("copy.csv", content.replace("7,7", "7,8").as_bytes()), "a", "series"),
        run_of(&place.train(&["--task", "series", "--json"])),
    ];
    for (i, other) in others.iter().enumerate() {
        assert!(*other != first && !others[..i].contains(other), "{i}: {others:?}");
    }
    // A column of no series says nothing.
    let process = plummet(
        &[
            &[
                "train",
                "--task",
                "series",
                "--column",
                "a",
                "--json",
                "--store",
                text(&place.store),
            ],
            TINY,
        ]
        .concat(),
    );
    assert!(String::from_utf8_lossy(&process.stdout).contains(&others[4]));
}
