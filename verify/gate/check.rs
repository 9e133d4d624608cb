//! `gate check` on models: right ones pass, wrong ones are shrunk and named.

use plummet::gate::check::{Options, check};
use plummet::gate::model::{self, ModelCandidate};
use plummet::gate::report::Report;

fn judged(op: &'static str, id: &'static str) -> Report {
    let start = || {
        let candidate: Box<dyn plummet::gate::Candidate> = Box::new(ModelCandidate::new(op, id));
        Ok(candidate)
    };
    check(&start, &Options::default(), &|_| ())
}

#[test]
fn a_right_target_passes() {
    let report = judged("layer_norm", "");
    assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
    assert!(report.findings.is_empty());
    assert!(report.rows.iter().all(|row| row.vacuous * 10 <= row.cases), "{:#?}", report.rows);
}

#[test]
fn wrong_targets_are_shrunk_and_named() {
    let (mut named, mut all) = (0, 0);
    let only = std::env::var("GATE_OP").ok();
    for bank in model::BANKS {
        if only.as_ref().is_some_and(|only| only != bank.op) {
            continue;
        }
        for mutant in bank.mutants {
            let report = judged(bank.op, mutant.id);
            all += 1;
            let findings = report.findings.iter();
            let Some(finding) = findings.max_by_key(|f| f.behaves_like.is_some()) else {
                println!("{:24} not caught", mutant.id);
                continue;
            };
            assert_eq!(report.exit_code, 1, "{}", mutant.id);
            let like = finding.behaves_like.as_ref();
            named += usize::from(like.is_some_and(|like| like.id == mutant.id));
            let Some(shrunk) = &finding.shrunk else { continue };
            println!(
                "{:24} {} -> {} in {} calls · like {} · when {} · breaks {} · {}",
                mutant.id,
                shrunk.from,
                shrunk.to,
                shrunk.calls,
                like.map_or("nobody", |like| like.id.as_str()),
                finding.when.join("; "),
                finding.breaks.join("; "),
                shrunk.case,
            );
        }
    }
    println!("{named} of {all} named");
    assert!(named * 10 >= all * 8, "{named} of {all} are named");
}
