//! The gate in continuous integration: annotations, badge, the action's script, and watching.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use plummet::check::call::{Broken, Candidate};
use plummet::gate::mutants::ModelCandidate;
use plummet::gate::report::{Report, annotations, badge};
use plummet::gate::run::{Options, check};

use super::misbehaving;

/// A report of the layer norm of a mutant, or of the right one, which a file of this text served.
fn report(id: &'static str, folder: &Path) -> (Report, String) {
    let file = folder.join("my, adapter.py");
    std::fs::write(&file, "import numpy\n\n\ndef my_layer_norms(x): ...\ndef layer_norm(x): ...\n")
        .unwrap();
    let path = file.display().to_string();
    let start = move || -> Result<Box<dyn Candidate>, Broken> {
        Ok(Box::new(ModelCandidate::new("layer_norm", id)))
    };
    let options = Options {
        filters: vec!["layer_norm:fwd:f32".parse().unwrap()],
        cases: 20,
        stages: vec![0, 2],
        command: vec!["--".into(), "python".into(), path.clone()],
        ..Options::default()
    };
    (check(&start, &options, &|_| ()), path)
}

#[test]
fn a_failure_is_annotated_at_the_line_that_names_the_operator() {
    let place = tempfile::tempdir().unwrap();
    let (wrong, path) = report("ln_unbiased", place.path());
    let lines = annotations::github(&wrong);
    let path = path.replace(':', "%3A").replace(',', "%2C");
    let head = format!("::error file={path},line=5,title=FAIL layer_norm%3Afwd%3Af32 y::");
    assert!(lines.starts_with(&head), "{lines}");
    assert!(lines.contains("%0A") && lines.lines().count() == wrong.findings.len(), "{lines}");
    let (right, _) = report("", place.path());
    assert_eq!(annotations::github(&right), "");
}

#[test]
fn a_badge_says_how_it_ended() {
    let place = tempfile::tempdir().unwrap();
    for (id, message, colour) in
        [("", "1 row right", "#2e8b57"), ("ln_unbiased", "1 finding", "#c0392b")]
    {
        let (report, _) = report(id, place.path());
        let svg = badge::svg(&report);
        let document = roxmltree::Document::parse(&svg).unwrap();
        let root = document.root_element();
        assert_eq!(root.attribute("aria-label"), Some(&*format!("plummet: {message}")));
        assert!(svg.contains(colour), "{svg}");
        let width =
            |node: roxmltree::Node| node.attribute("width").unwrap().parse::<f64>().unwrap();
        let text: f64 = document
            .descendants()
            .filter_map(|node| node.attribute("textLength")?.parse::<f64>().ok())
            .sum();
        assert!(width(root) >= text + 24.0, "the text fits: {svg}");
        assert_eq!(badge::endpoint(&report)["message"], message);
    }
}

/// The steps of the action in a clean folder, as a server runs them.
#[cfg(unix)]
#[test]
fn the_script_of_the_action_leaves_summary_report_and_badge() {
    let place = tempfile::tempdir().unwrap();
    let summary = place.path().join("summary.md");
    let program = Path::new(env!("CARGO_BIN_EXE_plummet")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("action/run.sh");
    let run = |role: &str, base: &str| {
        Command::new(&script)
            .args(misbehaving::command(role))
            .current_dir(place.path())
            .env("PATH", &path)
            .env("GITHUB_STEP_SUMMARY", &summary)
            .env("PLUMMET_OPS", "layer_norm:fwd:f32")
            .env("PLUMMET_BASE", base)
            .output()
            .unwrap()
    };
    let output = run("doubles", "");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.starts_with("::error ") && said.contains("FAIL layer_norm:fwd:f32"), "{said}");
    let written = std::fs::read_to_string(&summary).unwrap();
    assert!(written.starts_with("## ❌"), "{written}");
    let out = place.path().join("plummet-report");
    for file in ["report.json", "report.md", "report.xml", "badge.svg"] {
        assert!(out.join(file).exists(), "{file}");
    }
    let output = run("right", "");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    std::fs::rename(out.join("report.json"), place.path().join("right.json")).unwrap();
    let output = run("right", "right.json");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    // What cannot be compared is not green.
    assert_eq!(run("right", "no.json").status.code(), Some(2));
    // Of a report that was better in one number, what is the same now has fallen.
    let text = std::fs::read_to_string(place.path().join("right.json")).unwrap();
    let mut better: serde_json::Value = serde_json::from_str(&text).unwrap();
    for row in better["rows"].as_array_mut().unwrap() {
        for key in ["q", "q_statistical"] {
            for value in row[key].as_object_mut().into_iter().flat_map(|all| all.values_mut()) {
                *value = serde_json::json!(value.as_f64().unwrap() / 100.0);
            }
        }
    }
    std::fs::write(place.path().join("better.json"), better.to_string()).unwrap();
    let output = run("right", "better.json");
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_watched_target_is_judged_again_when_the_manifest_changes() {
    let place = tempfile::tempdir().unwrap();
    let manifest = place.path().join("gate.toml");
    std::fs::write(&manifest, "").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_plummet"))
        .args(["gate", "check", "--watch", "--ops", "layer_norm:fwd:f32", "--cases", "2"])
        .args(["--stages", "0", "--manifest", manifest.to_str().unwrap(), "--"])
        .args(misbehaving::command("right"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (told, heard) = mpsc::channel();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok).filter(|line| line.contains("watching")) {
            let _ = told.send(line);
        }
    });
    let next = || heard.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(next().starts_with("exit code 0; watching "));
    std::fs::write(&manifest, "require = ['softmax']\n").unwrap();
    assert!(next().starts_with("exit code 8; watching "));
    std::fs::write(&manifest, "require = 3\n").unwrap();
    assert!(next().contains("require"), "what does not hold is said, and watched further");
    child.kill().unwrap();
    child.wait().unwrap();
}
