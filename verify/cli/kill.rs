//! A sweep that is killed at any moment and started again ends where an undisturbed one ends.

use super::support::*;
use plummet::store::Store;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub const SWEEP: &[u8] = b"
width = 16
depth = 2
heads = 2
seq = 16
batch = 8
steps = 40
probe-every = 10
eval-every = 7
snapshot-seconds = 0
wiring = ['pre_ln', 'post_ln', 'deepnorm']
dropout = 0.1
seed = [1, 2]
";

/// Everything a store holds, by name: what `plummet show --json` prints of every run, and every
/// probe of every step.
pub fn content(store: &Path) -> BTreeMap<String, Json> {
    let list = json(&plummet(&["show", "--json", "--store", text(store)]));
    let read = Store::open_read(store).unwrap();
    let mut content = BTreeMap::new();
    for run in list.as_array().unwrap() {
        let id = run["run"].as_str().unwrap();
        let shown = json(&plummet(&["show", id, "--json", "--store", text(store)]));
        for (field, value) in shown.as_object().unwrap() {
            if !["seconds", "peak_bytes", "probes", "rows"].contains(&field.as_str()) {
                content.insert(format!("{id}: {field}"), value.clone());
            }
        }
        for row in shown["rows"].as_array().unwrap() {
            content.insert(format!("{id}: row of step {}", row["step"]), row.clone());
        }
        let before = content.len();
        for metric in read.metrics(id).unwrap() {
            // Wall times, in milliseconds, are all that two undisturbed sweeps differ in.
            if metric.ends_with("_ms") {
                continue;
            }
            for row in read.probes(id, &metric).unwrap() {
                let place =
                    format!("{metric} of {} in layer {} at step {}", row.site, row.layer, row.step);
                // JSON has the shortest decimals that read back as the same bits.
                content.insert(format!("{id}: {place}"), serde_json::to_value(row).unwrap());
            }
        }
        assert!(content.len() - before > 100, "there is something to compare");
    }
    content
}

#[test]
fn ten_kills_change_no_bit() {
    let place = Place::empty();
    let file = place.file("sweep.toml", SWEEP);
    let command = |store: &Path| {
        let mut command = Command::new(PLUMMET);
        command.current_dir(env!("CARGO_TARGET_TMPDIR"));
        command.args(["sweep", text(&file), "--store", text(store)]);
        command.stdout(Stdio::null());
        command
    };
    let calm = place.dir.path().join("calm.sqlite");
    let started = Instant::now();
    assert!(command(&calm).status().unwrap().success());
    let whole = started.elapsed().as_micros() as u64;
    let calm = content(&calm);
    assert_eq!(calm.keys().filter(|name| name.ends_with(": outcome")).count(), 6);

    // The moments differ from one execution to the next on purpose.
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let mut dice = plummet::rng::Rng::new(seed);
    let (mut kills, mut sweeps) = (0, 0);
    let mut fresh = || {
        sweeps += 1;
        place.dir.path().join(format!("killed{sweeps}.sqlite"))
    };
    let mut store = fresh();
    while kills < 10 {
        let mut child = command(&store).spawn().unwrap();
        // Ten kills on the way through one sweep, on average.
        std::thread::sleep(Duration::from_micros(2_000 + dice.below(whole as usize / 5) as u64));
        child.kill().unwrap();
        if child.wait().unwrap().success() {
            // This one had reached its end: it is compared, and another begins.
            same(&store, &calm);
            store = fresh();
        } else {
            kills += 1;
        }
    }
    assert!(command(&store).status().unwrap().success());
    same(&store, &calm);
}

/// Compares a store with what an undisturbed sweep left.
fn same(store: &Path, calm: &BTreeMap<String, Json>) {
    let killed = content(store);
    let names: BTreeSet<&String> = killed.keys().chain(calm.keys()).collect();
    let other: Vec<String> = (names.into_iter())
        .filter(|&name| killed.get(name) != calm.get(name))
        .map(|name| format!("{name}: {:?}, undisturbed {:?}", killed.get(name), calm.get(name)))
        .collect();
    assert!(other.is_empty(), "{} differ:\n{}", other.len(), other.join("\n"));
}
