//! Every mutant of the bank dies, and no right implementation does.
//!
//! `GATE_OP=layer_norm` in the environment looks at one operator only, `GATE_CASES` at so many
//! cases per control.

use plummet::gate::model::{self, ModelCandidate};
use plummet::gate::selftest::{self, Question, first_kill};

fn chosen() -> impl Iterator<Item = &'static model::Bank> {
    let only = std::env::var("GATE_OP").ok();
    model::BANKS.iter().filter(move |bank| only.as_ref().is_none_or(|only| only == bank.op))
}

#[test]
fn every_mutant_dies_within_64_cases() {
    let mut alive = Vec::new();
    for bank in chosen() {
        for mutant in bank.mutants {
            let mut candidate = ModelCandidate::new(bank.op, mutant.id);
            match first_kill(&mut candidate, bank.op, 1, 64) {
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
    let mut accused = Vec::new();
    for bank in chosen() {
        let ids = bank.controls.iter().map(|control| control.id).chain([""]);
        let mut controls: Vec<_> = ids.map(|id| (id, ModelCandidate::new(bank.op, id))).collect();
        // The controls of an operator serve the same, so that one oracle does for all.
        for case in selftest::cases(&mut controls[0].1.clone(), bank.op, 2).take(cases) {
            let question = Question::new(case);
            for (id, control) in &mut controls {
                if let Some(why) = question.fails(control) {
                    accused.push(format!("{} {id:?}: {why} {}", bank.op, question.case));
                }
            }
        }
    }
    assert!(accused.is_empty(), "wrongly accused:\n{}", accused.join("\n"));
}
