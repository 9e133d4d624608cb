//! What the commands print.

use super::support::*;
use plummet::op::{norm, weight};
use plummet::stack::{init, wiring};
use plummet::task;
use serde_json::Value as Json;
use std::process::Stdio;

#[test]
fn list_names_everything_there_is() {
    let norms: Vec<&str> = norm::ALL.iter().map(|entry| entry.id).collect();
    let wirings: Vec<&str> = wiring::ALL.iter().map(|wiring| wiring.id).collect();
    let inits: Vec<&str> = init::ALL.iter().map(|init| init.id).collect();
    let tasks: Vec<&str> = task::ALL.iter().map(|task| task.id).collect();
    let weights: Vec<&str> = weight::ALL.iter().map(|form| form.id).collect();
    for (what, ids) in [
        ("norms", norms),
        ("wirings", wirings),
        ("inits", inits),
        ("weights", weights),
        ("tasks", tasks),
    ] {
        let listed = answered(&plummet(&["list", what]));
        // The constants of an entry stand below it.
        let entries = listed.lines().filter(|line| !line.starts_with(' '));
        let first: Vec<&str> = entries.map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(first, ids);
        let objects = json(&plummet(&["list", what, "--json"]));
        let objects = objects.as_array().unwrap();
        assert_eq!(objects.iter().map(|o| o["id"].as_str().unwrap()).collect::<Vec<_>>(), ids);
        assert!(objects.iter().all(|o| !o["about"].as_str().unwrap().is_empty()));
    }
}

#[test]
fn a_run_on_another_device_is_another_run_of_nearly_the_same_numbers() {
    let place = Place::empty();
    let run = |device: &str| json(&place.train(&["--json", "--device", device]));
    let (cpu, interpreted) = (run("cpu"), run("cuda_interpreted"));
    assert_ne!(cpu["run"], interpreted["run"]);
    assert_eq!(interpreted["config"]["device"], "cuda_interpreted");
    let name = interpreted["config"]["device-name"].as_str().unwrap();
    assert!(name.starts_with("interpreter"), "{name}");
    assert_eq!(cpu["config"].get("device-name"), None);
    let show = |run: &Json| {
        answered(&plummet(&["show", run["run"].as_str().unwrap(), "--store", text(&place.store)]))
    };
    assert!(show(&interpreted).contains(name) && !show(&cpu).contains("interpreter"));
    assert!(show(&interpreted).contains("--device cuda_interpreted"), "what repeats it");
    let [a, b] = [&cpu, &interpreted].map(|run| run["loss"].as_f64().unwrap());
    assert!((a - b).abs() < 1e-3 * a, "{a}, {b}");
}

#[test]
fn a_norm_says_its_constants_and_is_trained_with_others() {
    let listed = json(&plummet(&["list", "norms", "--json"]));
    let rms = listed.as_array().unwrap().iter().find(|o| o["id"] == "rms_norm").unwrap();
    assert_eq!(rms["constants"]["eps"]["value"], "0.000001");
    let run = |norm: &str| json(&Place::empty().train(&["--json", "--norm", norm]));
    let (usual, written, other) =
        (run("layer_norm"), run("layer_norm(eps=1e-5)"), run("layer_norm(eps=0.1)"));
    assert_eq!(usual["run"], written["run"]);
    assert_ne!(usual["run"], other["run"]);
    assert_ne!(usual["loss"], other["loss"]);
}

#[test]
fn help_and_version_are_answers() {
    for args in [&["--help"][..], &["--version"], &["train", "--help"], &["sweep", "--help"]] {
        assert!(!answered(&plummet(args)).is_empty());
    }
}

#[test]
fn train_ends_with_one_json_object() {
    let place = Place::empty();
    let object = json(&place.train(&["--json"]));
    let fields = [
        "outcome",
        "loss",
        "val_loss",
        "references",
        "baseline",
        "token_cosine",
        "passes",
        "trend",
        "measure",
        "val_baseline",
        "steps",
        "seconds",
        "peak_bytes",
        "run",
        "config",
    ];
    for field in fields {
        assert!(!object[field].is_null(), "{field} is missing in {object}");
    }
    assert_eq!(object["steps"], 4);
    assert_eq!(object["config"]["width"], 8);
    assert!(["ok", "unfinished"].contains(&object["outcome"].as_str().unwrap()), "{object}");
    for loss in ["loss", "val_loss"] {
        // A model of 256 symbols that knows nothing yet is near ln 256 nats.
        let value = object[loss].as_f64().unwrap();
        assert!((value - 256f64.ln()).abs() < 3.0, "{loss} {value}");
    }
    assert!(object["peak_bytes"].as_u64().unwrap() > 1000, "the allocator counts");
}

#[test]
fn a_second_call_reuses_the_store() {
    let place = Place::with_a_run();
    let first = json(&place.train(&["--json"]));
    let second = json(&place.train(&["--json", "--threads", "1"]));
    // The time of the training itself shows that nothing was trained again.
    assert_eq!(first, second);
    let other = json(&place.train(&["--json", "--seed", "2"]));
    assert_ne!(first["run"], other["run"]);
    assert_eq!(
        json(&plummet(&["show", "--json", "--store", text(&place.store)]))
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn plan_prints_the_steps_and_trains_nothing() {
    let place = Place::empty();
    let plan = answered(&place.train(&["--plan"]));
    for name in ["blocks.1.stream", "embed.weight", "loss", "parameters", "in all"] {
        assert!(plan.contains(name), "{name} is not in the plan");
    }
    assert!(!place.store.exists());
    let bytes = |precision: &str| {
        let plan = answered(&place.train(&["--plan", "--precision", precision, "--width", "64"]));
        let line = plan.lines().find(|line| line.starts_with("activations")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap()
    };
    assert!(bytes("f64") > 1.4 * bytes("f32"), "the plan is that of the arithmetic asked for");
}

#[test]
fn show_gives_back_what_train_printed() {
    let place = Place::empty();
    let trained = json(&place.train(&["--json"]));
    let id = trained["run"].as_str().unwrap();
    let mut shown = json(&plummet(&["show", id, "--json", "--store", text(&place.store)]));
    assert_eq!(shown["rows"].as_array().unwrap().len(), 4);
    assert!(!shown["probes"].as_array().unwrap().is_empty());
    let object = shown.as_object_mut().unwrap();
    object.retain(|name, _| name != "rows" && name != "probes");
    let mut printed = trained.clone();
    assert_eq!(printed.as_object_mut().unwrap().remove("warnings"), Some(serde_json::json!([])));
    assert_eq!(shown, printed);
    let text_form = answered(&plummet(&["show", id, "--store", text(&place.store)]));
    assert!(text_form.contains(id) && text_form.contains("token cosine"));
    // The line that repeats the run names a configuration with the same identity.
    let again = text_form.lines().find_map(|line| line.strip_prefix("again")).unwrap();
    let flags: Vec<&str> = again.split_whitespace().skip(1).chain(["--json"]).collect();
    let repeated = plummet(&[&flags[..], &["--store", text(&place.store)]].concat());
    assert_eq!(json(&repeated)["run"], trained["run"]);
}

#[test]
fn runs_side_by_side_are_those_of_one_after_the_other() {
    let swept = |at_once: &str| {
        let place = Place::empty();
        let file = place.file("sweep.toml", b"seed = [1, 2, 3, 4, 5]\n");
        let args = ["sweep", text(&file), "--store", text(&place.store), "--json"];
        let runs = json(&plummet(&[&args[..], &["--at-once", at_once], TINY].concat()));
        let runs = runs.as_array().unwrap().iter();
        runs.map(|run| (run["run"].clone(), run["loss"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(swept("1").len(), 5);
    assert_eq!(swept("1"), swept("3"));
    for wrong in ["0", "-1", "65", "many"] {
        let args = ["sweep", "none.toml", "--at-once", wrong];
        let named = format!("at-once = {wrong}");
        refused(&plummet(&args), &[&named[..], "1 to 64"]);
    }
}

#[test]
fn sweep_trains_the_product_and_reuses_it() {
    let place = Place::empty();
    let file = place.file(
        "two.toml",
        b"width = 8\ndepth = 1\nheads = 2\nseq = 8\nbatch = 4\nsteps = 3\nseed = [1, 2]\n",
    );
    let call = |more: &[&str]| {
        let args = ["sweep", text(&file), "--store", text(&place.store)];
        plummet(&[&args[..], more].concat())
    };
    let table = answered(&call(&[]));
    assert_eq!(table.lines().take_while(|line| !line.is_empty()).count(), 3, "{table}");
    let objects = json(&call(&["--json"]));
    let seeds: Vec<&Json> =
        objects.as_array().unwrap().iter().map(|run| &run["config"]["seed"]).collect();
    assert_eq!(seeds, [1, 2]);
    assert_eq!(json(&call(&["--json"])), objects);
    // What the command line sets goes over the file.
    let three = json(&call(&["--json", "--seed", "3"]));
    assert_eq!(three.as_array().unwrap().len(), 1);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::with_a_run();
    let store = text(&place.store);
    let calls: [&[&str]; 7] = [
        &["list", "norms"],
        &["list", "inits", "--json"],
        &["show", "--store", store],
        &["show", "--json", "--store", store],
        &["train", "--plan"],
        &["--help"],
        &["train", "--help"],
    ];
    for call in calls {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = std::process::Command::new(PLUMMET);
        command.current_dir(env!("CARGO_TARGET_TMPDIR"));
        let output = command.args(call).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && errors.is_empty(), "{call:?}: {errors}");
    }
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    // Writing to this device always fails for want of space.
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        println!("skipped: there is no /dev/full");
        return;
    };
    let mut command = std::process::Command::new(PLUMMET);
    command.current_dir(env!("CARGO_TARGET_TMPDIR"));
    let output = command.args(["list", "norms"]).stdout(full).stderr(Stdio::piped()).output();
    refused(&output.unwrap(), &["standard output"]);
}
