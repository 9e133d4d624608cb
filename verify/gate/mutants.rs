//! Every mutant of the bank dies, and no right implementation does.
//!
//! `GATE_OP=layer_norm` in the environment looks at one operator only, `GATE_CASES` at so many
//! cases per control.

use plummet::gate::mutants;
use plummet::gate::selftest::{Effort, run};

#[test]
fn every_mutant_dies_in_time_and_no_control_is_accused() {
    let cases = std::env::var("GATE_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    let op = std::env::var("GATE_OP").ok();
    let effort = Effort { seeds: vec![1], cases, plantings: 40, explain: false, op };
    let power = run(&effort, &|_, _| ());
    for death in &power.deaths {
        println!("{:28} {:?}", death.id, death.after);
    }
    let alive = power.deaths.iter().filter(|death| death.after.contains(&None));
    let alive: Vec<&str> = alive.map(|death| death.id.as_str()).collect();
    assert!(alive.is_empty(), "not caught: {alive:?}");
    let accused = power.acquittals.iter().filter_map(|control| {
        Some(format!("{} {}: {}", control.op, control.id, control.accused.as_ref()?))
    });
    let accused: Vec<String> = accused.collect();
    assert!(accused.is_empty(), "wrongly accused:\n{}", accused.join("\n"));
    assert!(power.holds(), "{:?} {:?}", power.calibration, power.planted);
}

#[test]
fn names_are_unique() {
    let mut ids: Vec<&str> = mutants::CATALOGUES
        .iter()
        .flat_map(|bank| {
            let mutants = bank.mutants.iter().map(|mutant| (mutant.op, mutant.id));
            let controls = bank.controls.iter().map(|control| (control.op, control.id));
            mutants.chain(controls).inspect(|(op, _)| assert_eq!(*op, bank.op)).map(|(_, id)| id)
        })
        .collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
}
