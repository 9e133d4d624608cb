//! The lists are complete: what exists is on them, what is on them exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use plummet::config::RunConfig;
use plummet::op::{all, norm, weight};
use plummet::stack::{init, wiring};
use plummet::task;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files with an extension directly in a folder, by stem.
fn files(folder: &str, extension: &str) -> BTreeMap<String, PathBuf> {
    let entries = fs::read_dir(root().join(folder)).expect("a folder of the repository");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let paths = paths.filter(|path| path.extension().is_some_and(|e| e == extension));
    paths.map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), path)).collect()
}

/// The types that implement [`plummet::op::Op`] in a source text: `impl Op for Name {`, or
/// `dropping!(Name, …)`, the one macro that writes such a line.
fn operators(source: &str) -> BTreeSet<String> {
    let word = |rest: &str| -> String {
        rest.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let marks = ["impl Op for ", "dropping!("];
    let found = marks.iter().flat_map(|mark| source.split(mark).skip(1).map(word));
    found.filter(|name| !name.is_empty()).collect()
}

#[test]
fn every_operator_of_the_sources_is_in_the_registry() {
    let registered: BTreeSet<String> = all()
        .iter()
        .map(|op| format!("{op:?}").chars().take_while(|c| c.is_alphanumeric()).collect())
        .collect();
    let mut written = BTreeSet::new();
    for folder in ["src/op", "src/op/attention", "src/op/loss", "src/op/norm", "src/op/weight"] {
        for path in files(folder, "rs").values() {
            written.extend(operators(&text(path)));
        }
    }
    assert!(written.len() > 15, "the scan finds too little: {written:?}");
    assert_eq!(written, registered);
}

#[test]
fn the_scan_sees_operators_however_they_are_written() {
    let source = "impl Op for A {}\ndropping!(\n    B,\n    \"b\",\n);\nimpl Op for $op {}";
    assert_eq!(operators(source), ["A", "B"].map(String::from).into());
}

#[test]
fn every_norm_is_a_file_of_its_name() {
    let mut files: BTreeSet<String> = files("src/op/norm", "rs").into_keys().collect();
    // The list, and what the kernels of several norms share.
    files.retain(|name| !["mod", "launch"].contains(&&**name));
    let ids: BTreeSet<String> = norm::ALL.iter().map(|entry| entry.id.to_string()).collect();
    assert_eq!(files, ids);
    assert_eq!(ids.len(), norm::ALL.len(), "a norm is listed twice");
    for entry in norm::ALL {
        assert_eq!((entry.make)().id(), entry.id);
        assert!(norm::named(entry.id).is_some());
    }
}

#[test]
fn every_wiring_init_task_and_form_of_weights_is_a_file_of_its_name() {
    let wirings: Vec<&str> = wiring::ALL.iter().map(|entry| entry.id).collect();
    let inits: Vec<&str> = init::ALL.iter().map(|entry| entry.id).collect();
    let tasks: Vec<&str> = task::ALL.iter().map(|entry| entry.id).collect();
    let forms: Vec<&str> = weight::ALL.iter().map(|entry| entry.id).collect();
    for (folder, besides, listed) in [
        ("src/stack/wiring", &["mod"][..], wirings),
        ("src/stack/init", &["mod", "weights"], inits),
        ("src/task", &["mod", "data", "source", "stream", "windows"], tasks),
        ("src/op/weight", &["mod", "launch", "power_iteration"], forms),
    ] {
        let mut files: BTreeSet<String> = files(folder, "rs").into_keys().collect();
        assert!(besides.iter().all(|file| files.remove(*file)));
        let ids: BTreeSet<String> = listed.iter().map(|id| id.to_string()).collect();
        assert_eq!(files, ids);
        assert_eq!(ids.len(), listed.len(), "{folder}: one is listed twice");
    }
}

fn assert_ids<'a>(kind: &str, ids: impl Iterator<Item = &'a str>) {
    let mut seen = BTreeSet::new();
    for id in ids {
        let snake = id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let snake = snake && id.starts_with(|c: char| c.is_ascii_lowercase()) && !id.contains("__");
        assert!(snake && !id.ends_with('_'), "{kind} {id} is not snake_case");
        assert!(seen.insert(id), "{kind} {id} is listed twice");
    }
}

#[test]
fn ids_are_snake_case_and_name_one_thing_each() {
    assert_ids("norm", norm::ALL.iter().map(|entry| entry.id));
    assert_ids("wiring", wiring::ALL.iter().map(|wiring| wiring.id));
    assert_ids("init", init::ALL.iter().map(|init| init.id));
    assert_ids("task", task::ALL.iter().map(|task| task.id));
    assert_ids("form", weight::ALL.iter().map(|form| form.id));
    // Variants of one operator share its id; two types never do.
    let types: BTreeSet<(String, &str)> = all()
        .iter()
        .map(|op| (format!("{op:?}").split([' ', '{']).next().unwrap().to_string(), op.id()))
        .collect();
    assert_ids("operator", types.iter().map(|(_, id)| *id));
}

#[test]
fn variants_in_the_registry_differ() {
    let variants: Vec<String> = all().iter().map(|op| format!("{op:?}")).collect();
    let distinct: BTreeSet<&String> = variants.iter().collect();
    assert_eq!(distinct.len(), variants.len());
}

#[test]
fn the_command_line_offers_every_norm_wiring_and_init() {
    let choices = |name: &str| {
        let field = RunConfig::fields().into_iter().find(|field| field.name == name);
        field.unwrap_or_else(|| panic!("no field {name}")).choices
    };
    assert_eq!(choices("norm"), norm::ALL.iter().map(|e| e.id).collect::<Vec<_>>());
    assert_eq!(choices("wiring"), wiring::ALL.iter().map(|w| w.id).collect::<Vec<_>>());
    assert_eq!(choices("weights"), weight::ALL.iter().map(|f| f.id).collect::<Vec<_>>());
    assert_eq!(choices("init"), init::ALL.iter().map(|i| i.id).collect::<Vec<_>>());
}

/// Test files are not found by themselves here (autotests = false): one that nobody names is one
/// that nobody runs.
#[test]
fn every_file_of_the_suite_is_named_in_the_manifest() {
    let manifest: toml::Table = text(root().join("Cargo.toml")).parse().expect("a manifest");
    let tests = manifest["test"].as_array().expect("tests");
    let named: BTreeSet<&str> = tests.iter().map(|test| test["path"].as_str().unwrap()).collect();
    // A suite is a file, or a folder with a `main.rs`.
    let single = files("verify", "rs").into_keys().map(|stem| format!("verify/{stem}.rs"));
    let folders = fs::read_dir(root().join("verify")).expect("the suite");
    let folders = folders.map(|entry| entry.expect("an entry").file_name());
    let mains = folders.map(|folder| format!("verify/{}/main.rs", folder.to_string_lossy()));
    let there: BTreeSet<String> =
        single.chain(mains.filter(|main| root().join(main).exists())).collect();
    assert_eq!(there.iter().map(String::as_str).collect::<BTreeSet<_>>(), named);
}

/// The names that operators have in the golden values, where they are others.
fn golden_name(id: &str) -> &str {
    match id {
        "mean_squared_error" => "mse",
        // The gated middle of a feed-forward, and the second half of an embedding.
        "gated" => "feed_forward",
        "add_positions" => "embedding",
        other => other,
    }
}

/// Operators that no other implementation was asked about, and why.
const WITHOUT_GOLDEN: [(&str, &str); 11] = [
    ("dropout", "its numbers are its own generator's; statistics and limits are checked instead"),
    ("drop_path", "its numbers are its own generator's; statistics and limits are checked instead"),
    ("shift_noise", "its numbers are its own generator's; their statistics are checked instead"),
    ("ramp", "one product with a factor that is known at every step"),
    ("scale", "one product with a constant: there is nothing to get from elsewhere"),
    ("at_place", "it copies: there is nothing to get from elsewhere"),
    ("gained_residual", "one product and one sum, checked against dual numbers at every size"),
    ("head_gain", "one product, checked against dual numbers at every size"),
    ("weighted_sum", "products and sums, checked against dual numbers at every size"),
    ("sinkhorn", "rows that sum to one, and columns as near to it as theory says"),
    ("per_head", "a norm that has golden values, over rows of another length"),
];

#[test]
fn every_operator_has_golden_values_or_a_reason() {
    let mut golden = BTreeSet::new();
    for (stem, path) in files("verify/golden", "json") {
        let file: serde_json::Value = serde_json::from_str(&text(path)).expect("JSON");
        let cases = file["cases"].as_array().unwrap_or_else(|| panic!("cases of {stem}"));
        golden.extend(cases.iter().filter_map(|case| case["op"].as_str().map(String::from)));
    }
    let exceptions: BTreeMap<&str, &str> = WITHOUT_GOLDEN.into();
    let ids: BTreeSet<&str> = all().iter().map(|op| op.id()).collect();
    for op in all() {
        let id = op.id();
        let covered = golden.contains(golden_name(id));
        // A norm of one's own has no published values: stated properties are the outside view of it.
        if !covered && norm::named(id).is_some() {
            assert!(
                op.properties().len() >= 3,
                "{id} has neither golden values nor three properties"
            );
            continue;
        }
        assert!(covered != exceptions.contains_key(id), "{id}: golden values {covered}");
    }
    assert!(exceptions.keys().all(|id| ids.contains(id)), "an exception without an operator");
}

#[test]
fn every_operator_says_its_constants_and_takes_them_back() {
    let mut with_constants = 0;
    for op in all() {
        let consts = op.consts();
        with_constants += usize::from(!consts.is_empty());
        let same = consts.iter().fold(op.clone(), |op, constant| {
            op.with(constant.name, &constant.value).unwrap_or_else(|e| panic!("{}: {e}", op.id()))
        });
        assert_eq!(format!("{same:?}"), format!("{op:?}"));
        for constant in &consts {
            let refused = op.with(constant.name, "no such value").expect_err(constant.name);
            assert_eq!((&*refused.field, &*refused.allowed), (constant.name, &*constant.allowed));
            assert!(!constant.allowed.is_empty(), "{}: {}", op.id(), constant.name);
            // What the operator prints of itself names every constant and none is missing.
            assert!(format!("{op:?}").contains(&format!("{}: ", constant.name)), "{op:?}");
        }
        let fields = format!("{op:?}").matches(": ").count();
        // The table of rotary is made for a head width and a length, and is no constant.
        assert!(fields == consts.len() || op.id() == "rotary", "{op:?} has {consts:?}");
        assert!(op.with("no such constant", "1").is_err());
    }
    assert!(with_constants > 20);
}

#[test]
fn the_page_of_methods_is_what_the_code_says() {
    let mut plummet = std::process::Command::new(env!("CARGO_BIN_EXE_plummet"));
    let output = plummet.args(["list", "--markdown"]).output().expect("the binary runs");
    let says = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        text(root().join("docs/methods.md")) == says,
        "docs/methods.md is old: cargo run -- list --markdown > docs/methods.md"
    );
}

/// What a page says on one line, however it is broken.
fn in_one_line(page: &str) -> String {
    page.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_readme_says_what_the_reports_say() {
    let readme = text(root().join("README.md"));
    let short = text(root().join("reports/stability.md"));
    let long = text(root().join("reports/thorough.md"));
    // A report has the range over the seeds behind each held-out loss: "2.38 (2.38 – 2.39)".
    let cells = |line: &str| -> Vec<String> {
        let cells = line.split('|').map(str::trim);
        cells.map(|cell| cell.split(" (2.").next().unwrap().to_string()).collect()
    };
    let reported: Vec<_> = short.lines().map(cells).collect();
    let rows: Vec<_> = readme.lines().filter(|line| line.ends_with("|")).collect();
    assert!(rows.len() > 5, "the table of the readme is gone");
    for row in rows {
        assert!(reported.contains(&cells(row)), "not in reports/stability.md: {row}");
    }
    let judged = plummet::check::spec::all().count();
    assert!(readme.contains(&format!("{judged} operators\n")), "the gate judges {judged}");
    let summary = long.lines().find(|line| line.starts_with("Of ")).expect("a summary");
    assert!(in_one_line(&readme).contains(summary), "not in the readme: {summary}");
}
