//! Promises and faults that come and go: siblings that are no mutants of the bank.

use std::collections::HashMap;

use plummet::check::call::{Broken, Call, Candidate, Claims, Dir, Hello, Reply};
use plummet::gate::mutants::ModelCandidate;
use plummet::gate::report::{Finding, Report, text};
use plummet::gate::run::{Options, check};
use plummet::gate::{Tensor, Tensors};

/// A right target whose answers to one operator pass through a function of what it knows.
#[derive(Clone)]
struct Spoilt {
    op: &'static str,
    plain: ModelCandidate,
    claims: Claims,
    kept: Kept,
    spoil: fn(&mut Kept, &Call, Tensors) -> Tensors,
}

/// What a target keeps between calls.
#[derive(Clone, Default)]
struct Kept {
    calls: usize,
    last: Option<Tensors>,
    seen: HashMap<Vec<usize>, usize>,
}

impl Candidate for Spoilt {
    fn hello(&mut self) -> Result<Hello, Broken> {
        let mut hello = self.plain.hello()?;
        hello.claims = self.claims.clone();
        hello.ops.get_mut(self.op).expect("it serves one operator").dir = Some(vec![Dir::Fwd]);
        Ok(hello)
    }
    fn run(&mut self, call: &Call) -> Result<Reply, Broken> {
        let reply = self.plain.run(call)?;
        let Reply::Ok(answer) = reply else { return Ok(reply) };
        let right = answer.clone();
        let answer = (self.spoil)(&mut self.kept, call, answer);
        self.kept.calls += 1;
        self.kept.last = Some(right);
        *self.kept.seen.entry(call.tensors["x"].shape.clone()).or_default() += 1;
        Ok(Reply::Ok(answer))
    }
    fn restart(&mut self) -> Result<(), Broken> {
        self.kept = Kept::default();
        self.plain.restart()
    }
}

fn judged(
    op: &'static str,
    claims: Claims,
    seed: u64,
    spoil: fn(&mut Kept, &Call, Tensors) -> Tensors,
) -> Report {
    let start = || {
        let plain = ModelCandidate::new(op, "");
        let kept = Kept::default();
        let candidate: Box<dyn Candidate> =
            Box::new(Spoilt { op, plain, claims: claims.clone(), kept, spoil });
        Ok(candidate)
    };
    let filters = vec![format!("{op}:fwd:f32").parse().unwrap()];
    check(&start, &Options { filters, seed, ..Options::default() }, &|_| ())
}

fn first(tensor: &mut Tensor) -> &mut f64 {
    &mut tensor.values[0]
}

fn one_unsteady(report: &Report) -> &Finding {
    assert_eq!(report.exit_code, 1);
    let unsteady = report.findings.iter().find(|finding| finding.repeats.is_some());
    unsteady.unwrap_or_else(|| panic!("{:#?}", report.findings))
}

#[test]
fn a_promise_is_probed_on_every_problem() {
    let claims = Claims { batch_invariant: true, deterministic: true, ..Claims::default() };
    for seed in 1..=5 {
        // The last bit of rows in large batches, of rows in an odd place, of a batch of exactly seven.
        let siblings: [fn(&mut Kept, &Call, Tensors) -> Tensors; 3] = [
            |_, call, mut answer| {
                if call.tensors["x"].shape[0] >= 128 {
                    nudge(answer.get_mut("y").unwrap(), 0);
                }
                answer
            },
            |_, call, mut answer| {
                if call.tensors["x"].shape[0] > 1 {
                    nudge(answer.get_mut("y").unwrap(), 1);
                }
                answer
            },
            |_, call, mut answer| {
                if call.tensors["x"].shape[0] == 7 {
                    nudge(answer.get_mut("y").unwrap(), 3);
                }
                answer
            },
        ];
        for (i, spoil) in siblings.into_iter().enumerate() {
            let report = judged("rms_norm", claims.clone(), seed, spoil);
            assert_eq!(report.exit_code, 1, "sibling {i}, seed {seed}");
            let broken = &report.findings[0].message;
            assert!(broken.starts_with("claims batch_invariant, but row"), "{broken}");
        }
    }
}

/// The last bit of a row.
fn nudge(tensor: &mut Tensor, row: usize) {
    let size: usize = tensor.shape[1..].iter().product();
    let f32s = &mut tensor.values[row * size..(row + 1) * size];
    f32s.iter_mut().for_each(|v| *v = f64::from(f32::from_bits((*v as f32).to_bits() ^ 1)));
}

#[test]
fn a_kept_promise_is_told_with_the_problems_that_it_was_probed_on() {
    let claims = Claims { batch_invariant: true, deterministic: true, ..Claims::default() };
    let report = judged("rms_norm", claims, 1, |_, _, answer| answer);
    assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
    let probed = report.promises.iter().find(|p| p.promise == "batch_invariant").unwrap();
    assert!(probed.claimed && probed.kept && probed.problems >= 30, "{probed:?}");
    let shown = text::write(&report, text::Style::default());
    assert!(shown.contains("batch_invariant (claimed): probed on"), "{shown}");
    assert!(shown.contains("is found with 99 %"), "{shown}");
}

#[test]
fn a_promise_that_nobody_gave_fails_nobody() {
    let report = judged("rms_norm", Claims::default(), 1, |_, call, mut answer| {
        if call.tensors["x"].shape[0] > 1 {
            nudge(answer.get_mut("y").unwrap(), 0);
        }
        answer
    });
    assert_eq!(report.exit_code, 0, "{:#?}", report.findings);
    assert!(report.notes.iter().any(|n| n.contains("not batch_invariant")), "{:?}", report.notes);
    let probed = report.promises.iter().find(|p| p.promise == "batch_invariant").unwrap();
    assert!(!probed.claimed && !probed.kept && probed.problems <= 4, "{probed:?}");
}

#[test]
fn every_kth_call_is_told_and_not_shrunk() {
    let report = judged("layer_norm", Claims::default(), 1, |kept, _, mut answer| {
        if kept.calls % 9 == 8 {
            *first(answer.get_mut("y").unwrap()) += 5.0;
        }
        answer
    });
    let found = one_unsteady(&report);
    let repeats = found.repeats.as_ref().unwrap();
    assert_eq!(repeats.when.as_deref(), Some("on every 9th call"));
    assert!(repeats.rate.0 < 1.0 / 9.0 && 1.0 / 9.0 < repeats.rate.1, "{repeats:?}");
    assert!(found.shrunk.is_none());
    let shown = text::write(&report, text::Style::default());
    assert!(shown.contains("askings, the same question answered rightly otherwise"), "{shown}");
}

#[test]
fn what_depends_on_the_call_before_is_told() {
    // A buffer that is only cleared when its size stays.
    let report = judged("softmax", Claims::default(), 1, |kept, _, mut answer| {
        let y = answer.get_mut("y").unwrap();
        if let Some(old) = kept.last.as_ref().map(|last| &last["y"])
            && old.shape != y.shape
        {
            let half = old.values.len().min(y.values.len().div_ceil(2));
            y.values[..half].copy_from_slice(&old.values[..half]);
        }
        answer
    });
    let found = one_unsteady(&report);
    let when = found.repeats.as_ref().unwrap().when.as_deref();
    assert_eq!(when, Some("after a call of another shape, not when it is asked again"));
}

#[test]
fn the_first_call_of_a_shape_is_asked_again() {
    let report = judged("layer_norm", Claims::default(), 2, |kept, call, mut answer| {
        if !kept.seen.contains_key(&call.tensors["x"].shape) {
            answer.get_mut("y").unwrap().values.iter_mut().for_each(|y| *y = 0.0);
        }
        answer
    });
    let when = one_unsteady(&report).repeats.as_ref().unwrap().when.as_deref();
    assert_eq!(when, Some("on the first call of its shape in a process"));
}

#[test]
fn what_is_wrong_from_some_call_on_is_found() {
    let report = judged("softmax", Claims::default(), 1, |kept, _, mut answer| {
        if kept.calls > 60 {
            answer.get_mut("y").unwrap().values.iter_mut().for_each(|y| *y *= 0.5);
        }
        answer
    });
    assert_eq!(report.exit_code, 1);
}

#[test]
fn a_rare_fault_is_found_as_often_as_is_said() {
    // One call of 20 at random, by a hash of the number of the call.
    let mut found = 0;
    for seed in 1..=20 {
        let report = judged("rms_norm", Claims::default(), seed, |kept, call, mut answer| {
            let mut hash = kept.calls as u64 ^ call.id.len() as u64;
            for _ in 0..3 {
                hash = (hash ^ (hash >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            }
            if hash >> 32 & 0xffff < 0x10000 / 20 {
                *first(answer.get_mut("y").unwrap()) += 5.0;
            }
            answer
        });
        let power = report.repeated[0].one_in;
        assert!(power >= 20.0, "a default run promises more: {power}");
        found += usize::from(report.exit_code == 1);
    }
    assert!(found >= 19, "{found} of 20");
}
