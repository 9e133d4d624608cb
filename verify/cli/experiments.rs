//! Experiments: files as people write them, to pictures and a report.

use std::fs;
use std::path::Path;

use crate::support::{Place, answered, plummet, refused, text};

/// A stack that takes some milliseconds, but for what the file says itself.
const SMALL: [(&str, &str); 7] = [
    ("width", "8"),
    ("depth", "2"),
    ("heads", "2"),
    ("seq", "8"),
    ("batch", "4"),
    ("steps", "6"),
    ("probe-every", "0"),
];

fn experiment(place: &Place, name: &str, own: &str) -> String {
    let said = |field: &str| own.lines().any(|line| line.split(" =").next() == Some(field));
    let shared = SMALL.iter().filter(|(field, _)| !said(field));
    let shared: String = shared.map(|(field, value)| format!("{field} = {value}\n")).collect();
    let file = place.file(&format!("{name}.toml"), format!("{shared}{own}").as_bytes());
    text(&file).to_string()
}

/// The names of the pictures of a folder, all of which are in its page, in their order.
fn pictures(folder: &Path) -> Vec<String> {
    let page = fs::read_to_string(folder.join("report.md")).unwrap();
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(name) = name.strip_suffix(".png") {
            assert!(page.contains(&format!("({name}.png)")), "{name} is not in {page}");
            names.push(name.to_string());
        }
    }
    names.sort();
    names
}

#[test]
fn files_of_all_kinds_are_run_and_drawn() {
    let place = Place::empty();
    let reports = place.dir.path().join("out");
    for (name, own, drawn) in [
        ("one", "probe-every = 6", "1-loss 2-layers"),
        (
            "probed",
            "probe-every = 2\ndepth = [1, 2]",
            "1-loss 2-best 3-layers 4-heat 5-cost 6-tradeoff",
        ),
        (
            "two",
            "wiring = ['pre_ln', 'post_ln']\nnorm = ['layer_norm', 'rms_norm']",
            "1-loss 2-outcomes",
        ),
        (
            "rates",
            "lr = { from = 1e-3, to = 1e-1, per-decade = 1 }\ndepth = [1, 2]\nwiring = ['pre_ln', 'post_ln']",
            "1-loss 2-outcomes 3-best 4-best 5-cost 6-tradeoff",
        ),
        ("seeds", "seed = [1, 2, 3]\ninit = ['gpt2', 'normal_02']", "1-loss"),
        ("many", "wiring = '*'\nlr = [1e-3, 1e-2]\nsteps = 2", "1-loss 2-outcomes 3-best"),
        ("diverged", "wiring = 'no_norm'\nlr = 1e9\noptimizer = 'sgd'\nclip = 0", "1-loss"),
        ("series", "task = 'series'\nwiring = ['pre_ln', 'post_ln']", "1-loss"),
        ("start", "steps = 0\ndepth = [1, 2]", "1-cost"),
        (
            "zip",
            "[[zip]]\ndepth = [1, 2]\nlr = [1e-2, 1e-3]",
            "1-loss 2-best 3-best 4-cost 5-tradeoff",
        ),
        (
            "asked",
            "title = 'Rates?'\nlr = [1e-3, 1e-2]\n[[figure]]\nkind = 'best'\nx = 'lr'\ntitle = 'Mine'\nquantity = 'loss'",
            "1-best",
        ),
    ] {
        let file = experiment(&place, name, own);
        let folder = ["--store", text(&place.store), "--reports", text(&reports)];
        let run = plummet(&[&["run", &file][..], &folder].concat());
        // What is far off at the start is said, and is no failure.
        assert!(run.status.success(), "{name}: {}", String::from_utf8_lossy(&run.stderr));
        let said = String::from_utf8(run.stdout).unwrap();
        assert!(said.contains("report.md"), "{said}");
        let folder_of = reports.join(name);
        assert_eq!(pictures(&folder_of).join(" "), drawn, "{name}");
        let bytes = |file: &str| fs::read(folder_of.join(file)).unwrap();
        let first = format!("{}.png", drawn.split(' ').next().unwrap());
        let before = (bytes(&first), bytes("report.md"));
        answered(&plummet(&[&["report", &file][..], &folder].concat()));
        assert_eq!((bytes(&first), bytes("report.md")), before, "{name}: drawn again");
    }
    let page = fs::read_to_string(reports.join("asked/report.md")).unwrap();
    assert!(page.starts_with("# Rates?\n") && page.contains("## Mine\n"), "{page}");
    let page = fs::read_to_string(reports.join("diverged/report.md")).unwrap();
    assert!(page.contains("no_norm: ") && !page.contains("held-out loss NaN"), "{page}");
}

#[test]
fn a_search_asks_for_few_rates_and_is_finished_then() {
    let place = Place::empty();
    let own = "lr = { from = 1e-3, to = 1e9, search = true }\noptimizer = 'sgd'\nclip = 0\n\
               steps = 60\ndepth = [1, 2]\nseed = [1, 2]\ntask = 'markov'";
    let file = experiment(&place, "edge", own);
    let reports = place.dir.path().join("out");
    let call = |more: &[&str]| {
        let places = ["--store", text(&place.store), "--reports", text(&reports)];
        let run = plummet(&[&["run", &file][..], &places, more].concat());
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap()
    };
    let plan = call(&["--plan"]);
    assert!(plan.contains("edge: a search among 292 runs, 0 of them"), "{plan}");
    let first = call(&["--json"]);
    let runs: serde_json::Value = serde_json::from_str(&first).unwrap();
    let runs = runs.as_array().unwrap();
    // At most seven rates of 73 for each of two depths and two seeds.
    assert!((12..=28).contains(&runs.len()), "{} runs", runs.len());
    let page = fs::read_to_string(reports.join("edge/report.md")).unwrap();
    assert!(page.contains("3-best.png") && !page.contains("not finished"), "{page}");
    for depth in [1, 2] {
        let of = |run: &&serde_json::Value| run["config"]["depth"] == depth;
        let rate = |run: &serde_json::Value| run["config"]["lr"].as_f64().unwrap();
        let borne = |run: &&serde_json::Value| {
            ["ok", "spike", "unfinished"].contains(&run["outcome"].as_str().unwrap())
        };
        let largest = runs.iter().filter(of).filter(borne).map(rate).fold(0.0, f64::max);
        let fails = |run: &&serde_json::Value| !borne(run);
        let smallest = runs.iter().filter(of).filter(fails).map(rate).fold(f64::MAX, f64::min);
        // A rate fails if one seed does: the other may bear it.
        assert!(smallest <= largest * 1.6 && largest > 0.0, "{largest} and {smallest}");
    }
    assert_eq!(call(&["--json"]), first);
}

#[test]
fn several_files_share_runs_and_a_plan_trains_nothing() {
    let place = Place::empty();
    let (a, b) = (
        experiment(&place, "a", "lr = [1e-3, 1e-2]"),
        experiment(&place, "b", "lr = [1e-3, 1e-2, 3e-2]"),
    );
    let reports = place.dir.path().join("out");
    let call = |args: &[&str]| {
        let places = ["--store", text(&place.store), "--reports", text(&reports)];
        answered(&plummet(&[args, &places].concat()))
    };
    let plan = call(&["run", &a, &b, "--plan"]);
    assert!(plan.contains("a: 2 runs, 0 of them in the store"), "{plan}");
    assert!(!place.store.exists() && !reports.exists());
    let table = call(&["run", &a]);
    let plan = call(&["run", &b, "--plan"]);
    assert!(plan.contains("b: 3 runs, 2 of them in the store; the others take some "), "{plan}");
    let both = call(&["run", &a, &b]);
    // Runs of before stand there with the seconds that they took then.
    let line = table.lines().nth(1).unwrap();
    assert_eq!(both.matches(line).count(), 2, "{both}");
    let same = experiment(&place, "a", "lr = 1e-3");
    refused(&plummet(&["run", &a, &same]), &["file = ", "files of different names"]);
}

#[test]
fn what_a_file_cannot_mean_is_refused_with_its_line() {
    let place = Place::with_a_run();
    let before = fs::read(&place.store).unwrap();
    for (own, named) in [
        ("steps = 3\nwirings = 'pre_ln'", &["field = wirings", "line 2"][..]),
        ("steps = 3\n\nlr = [1e-3, -1]", &["lr = -1", "line 3"]),
        ("lr = { from = 1, to = 2 }", &["lr = ", "per-decade", "line 1"]),
        ("[[zip]]\ndepth = [1, 2]\nlr = [1e-3]", &["lr = ", "as many values as depth", "line 3"]),
        ("[[exclude]]\nlr = 7", &["exclude = lr = 7", "some run has", "line 1"]),
        ("title = 3", &["title = 3", "a text", "line 1"]),
        ("lr = [1e-3, 1e-2]\n[[figure]]\nx = 'lr'", &["figure = ", "kind", "line 2"]),
        ("[[figure]]\nkind = 'pie'", &["kind = pie", "loss, outcomes, best", "line 2"]),
        (
            "lr = [1e-3, 1e-2]\n[[figure]]\nkind = 'best'\nx = 'depth'",
            &["x = depth", "differ in: lr", "line 4"],
        ),
        ("[[figure]]\nkind = 'best'\nx = 'depth'", &["x = depth", "differ in no field"]),
        (
            "norm = '*'\n[[figure]]\nkind = 'best'\nx = 'norm'",
            &["x = norm", "values are numbers", "line 4"],
        ),
        (
            "norm = '*'\n[[figure]]\nkind = 'outcomes'\nx = 'norm'\ny = 'norm'",
            &["figure = norm", "another field for each"],
        ),
        (
            "[[figure]]\nkind = 'best'\nquantity = 'joy'",
            &["quantity = joy", "metric@site", "line 3"],
        ),
        (
            "[[figure]]\nkind = 'loss'\ncolour = 'lr'",
            &["field = colour", "kind, title, panels", "line 3"],
        ),
        ("figure = 3", &["figure = 3", "[[figure]]", "line 1"]),
        ("[claim]\nstatement = 'so'", &["claim = without rule", "superiority, equivalence"]),
        ("[claim]\nrule = 'faith'", &["rule = faith", "superiority, equivalence", "line 2"]),
        (
            "[claim]\nrule = 'bound'\nquantity = 'val-loss'\nstatement = 'so'",
            &["claim = without limit", "a number for limit", "line 1"],
        ),
        ("[claim]\nrule = 'bound'\nlimit = 3", &["claim = without quantity", "line 1"]),
        (
            "[claim]\nrule = 'bound'\nlimit = 'low'\nquantity = 'val-loss'",
            &["limit = ", "a number", "line 3"],
        ),
        (
            "[claim]\nrule = 'bound'\nlimit = 3\nquantity = 'val-loss'\nmargin = 2",
            &["field = margin", "statement, source", "limit, slack", "line 5"],
        ),
        (
            "depth = [1, 2]\n[claim]\nrule = 'trend'\nquantity = 'val-loss'",
            &["claim = without over", "a number field", "line 2"],
        ),
        (
            "depth = [1, 2]\n[claim]\nrule = 'trend'\nquantity = 'val-loss'\nover = 'lr'",
            &["over = lr", "that these runs differ in", "line 5"],
        ),
        (
            "depth = [1, 2]\n[claim]\nrule = 'rate'\na = { depth = 1 }\nb = { depth = 3 }",
            &["b = depth = 3", "values that some run has", "line 5"],
        ),
        (
            "depth = [1, 2]\n[claim]\nrule = 'rate'\na = { depth = 1 }\nb = { depth = 1 }",
            &["b = depth = 1", "another arm than a", "line 5"],
        ),
        (
            "depth = [1, 2]\n[claim]\nrule = 'rate'\nwhere = { depth = 1 }",
            &["field = where", "a and b for this rule", "line 4"],
        ),
        (
            "[claim]\nrule = 'bound'\nlimit = 3\nquantity = 'val-loss'\nsource = 'x'",
            &["claim = without statement", "what is claimed", "line 1"],
        ),
    ] {
        let file = place.file("wrong.toml", own.as_bytes());
        let line = refused(&plummet(&["run", text(&file), "--store", text(&place.store)]), named);
        assert!(line.contains("allowed is") && line.contains("wrong.toml"), "{line}");
    }
    assert_eq!(fs::read(&place.store).unwrap(), before);
}
