//! Every mutant of the bank dies, and no right implementation does.
//!
//! `GATE_OP=layer_norm` in the environment looks at one operator only, `GATE_CASES` at so many
//! cases per control.

use plummet::gate::model::{self, ModelCandidate};
use plummet::gate::selftest::{WITHIN, accused, first_kill};

fn chosen() -> impl Iterator<Item = &'static model::Bank> {
    let only = std::env::var("GATE_OP").ok();
    model::BANKS.iter().filter(move |bank| only.as_ref().is_none_or(|only| only == bank.op))
}

#[test]
fn every_mutant_dies_in_time() {
    let mut alive = Vec::new();
    for bank in chosen() {
        for mutant in bank.mutants {
            let mut candidate = ModelCandidate::new(bank.op, mutant.id);
            match first_kill(&mut candidate, bank.op, 1, WITHIN) {
                Some(killed) => {
                    println!("{:28} {:3}  {}  {}", mutant.id, killed.after, killed.why, killed.case)
                }
                None => alive.push(mutant.id),
            }
        }
    }
    assert!(alive.is_empty(), "not caught: {alive:?}");
}

#[test]
fn no_control_fails() {
    let cases = std::env::var("GATE_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(150);
    let mut wrongly = Vec::new();
    for bank in chosen() {
        let ids: Vec<&str> = bank.controls.iter().map(|control| control.id).chain([""]).collect();
        let mut controls: Vec<ModelCandidate> =
            ids.iter().map(|id| ModelCandidate::new(bank.op, id)).collect();
        for (id, killed) in ids.iter().zip(accused(&mut controls, bank.op, 2, cases)) {
            if let Some(killed) = killed {
                wrongly.push(format!("{} {id:?}: {} {}", bank.op, killed.why, killed.case));
            }
        }
    }
    assert!(wrongly.is_empty(), "wrongly accused:\n{}", wrongly.join("\n"));
}

#[test]
fn names_are_unique() {
    let mut ids: Vec<&str> = model::BANKS
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
