//! Faults that come and go: the same question asked again through a run and at its end.
//!
//! A failure that does not repeat is not shrunk, since no smaller problem would show it either; its
//! rate is estimated instead, and what is known of when it happens is said.

use crate::check::spec::repeated;
use std::time::{Duration, Instant};

use crate::check::call::{Candidate, Reply, Served};
use crate::check::flaw::Flaw;
use crate::check::plan;
use crate::check::scope::Scope;
use crate::check::spec::case::Case;
use crate::check::trial::{self, Question, Trial};
use crate::gate::report::Repeats;
use crate::rng::Rng;

/// Askings that decide whether a failure repeats.
const FIRST: usize = 8;
/// Askings that its rate is estimated from, where it does not.
const MOST: usize = 60;
/// Time that these may take.
const TIME: Duration = Duration::from_secs(5);
/// Elements of the answered problems that are asked again most of the time.
const SMALL: usize = 3000;

/// The right answers of a run so far, asked again between its cases.
pub struct Memory {
    rng: Rng,
    /// Answers that were judged a second time or later.
    pub asked: usize,
    /// The first failures among them.
    pub failed: Vec<Trial>,
}

impl Memory {
    /// Of nothing yet.
    pub fn new(seed: u64) -> Memory {
        Memory { rng: Rng::new(seed).named("again"), asked: 0, failed: Vec::new() }
    }

    /// Asks a question again that was answered in this run; small ones mostly, any one now and then.
    pub fn again(&mut self, target: &mut dyn Candidate, answered: &[Trial]) {
        if answered.is_empty() {
            return;
        }
        let any = self.rng.below(6) == 0;
        let small: Vec<usize> =
            (0..answered.len()).filter(|&i| any || size(&answered[i]) <= SMALL).collect();
        let Some(&at) = small.get(self.rng.below(small.len().max(1))) else { return };
        let before = &answered[at];
        let reply = target.run(&before.call);
        self.asked += 1;
        let (graded, flaw) = trial::verdict(&before.case, &before.call, &before.expected, &reply);
        if flaw.is_some() && before.flaw.is_none() {
            let answer = match reply {
                Ok(Reply::Ok(answer)) => Some(answer),
                _ => None,
            };
            self.failed.push(Trial { answer, graded, flaw, ..before.clone() });
        }
    }

    /// A case of the shape of one that was answered, with values and attributes of its own:
    /// what a target keeps by shape alone is wrong for one of the two.
    pub fn twin(&mut self, answered: &[Trial], mut next: Case, served: &Served) -> Option<Case> {
        let small: Vec<&Trial> = answered.iter().filter(|trial| size(trial) <= SMALL).collect();
        let like = small.get(self.rng.below(small.len().max(1)))?;
        next.sizes = like.case.sizes.clone();
        next.absent = like.case.absent.clone();
        let scope = Scope::new(next.operator(), served);
        (scope.allows(&next) && plan::fits(&next, served)).then_some(next)
    }
}

fn size(trial: &Trial) -> usize {
    trial.call.tensors.values().map(|tensor| tensor.values.len()).sum()
}

/// What came of asking a failed question again.
pub struct Examined {
    /// How often it failed; nothing where it always does.
    pub repeats: Option<Repeats>,
    /// The wrong answers, the first first.
    pub failed: Vec<Trial>,
    /// A right one, where there was any.
    pub right: Option<Trial>,
}

/// Asks a failed question again: as often as decides whether it always fails, and where it does not,
/// often enough for a rate.
pub fn examine(
    target: &mut dyn Candidate,
    served: &Served,
    trial: &Trial,
    flaw: &Flaw,
    other: Option<&Case>,
) -> Examined {
    let began = Instant::now();
    let (mut failed, mut right) = (Vec::new(), None);
    // Of a large problem a trial keeps no tensors.
    let large = repeated::holds(&trial.case);
    let question = large.then(|| Question::new(trial.case.clone(), served));
    let mut ask = |target: &mut dyn Candidate| {
        if let Some(question) = &question {
            let own = question.ask(target);
            let fails = own.as_ref().is_some_and(|own| own.resembles(flaw));
            if fails && failed.len() < 8 {
                failed.push(Trial { flaw: own, ..trial.clone() });
            }
            return fails;
        }
        let reply = target.run(&trial.call);
        let (graded, own) = trial::verdict(&trial.case, &trial.call, &trial.expected, &reply);
        let fails = own.as_ref().is_some_and(|own| own.resembles(flaw));
        if (fails && failed.len() < 8) || (own.is_none() && right.is_none()) {
            let answer = match reply {
                Ok(Reply::Ok(answer)) => Some(answer),
                _ => None,
            };
            let answered = Trial { answer, graded, flaw: own, ..trial.clone() };
            if fails {
                failed.push(answered);
            } else {
                right = Some(answered);
            }
        }
        fails
    };
    let mut seen: Vec<bool> = (0..FIRST).map(|_| ask(target)).collect();
    if seen.iter().all(|&fails| fails) {
        return Examined { repeats: None, failed, right };
    }
    while seen.len() < MOST && began.elapsed() < TIME {
        seen.push(ask(target));
    }
    // The answer that showed it first was chosen for being wrong.
    let rate = interval(seen.iter().filter(|&&fails| fails).count(), seen.len());
    let mut when = period(&seen).map(|k| format!("on every {} call", ordinal(k)));
    let mut after = Vec::new();
    if let (None, Some(other)) = (&when, other) {
        // Right when it is asked again, wrong after something else: what is kept between calls.
        let mut steady = Vec::new();
        for _ in 0..6 {
            let _ = trial::put(target, served, other);
            after.push(ask(target));
            steady.push(ask(target));
        }
        if after.iter().all(|&fails| fails) && !steady.iter().any(|&fails| fails) {
            when = Some("after a call of another shape, not when it is asked again".to_string());
        }
        after.extend(steady);
    }
    // The first may have been wrong for being the first since another restart.
    let later = seen.iter().skip(1).any(|&fails| fails);
    if when.is_none() && !later && target.restart().is_ok() {
        let fresh: Vec<bool> = (0..4).map(|_| ask(target)).collect();
        if fresh[0] && !fresh[1..].iter().any(|&fails| fails) {
            when = Some("on the first call of its shape in a process".to_string());
        }
        after.extend(fresh);
    }
    seen.extend(after);
    let (asked, wrong) = (seen.len() + 1, 1 + seen.iter().filter(|&&fails| fails).count());
    Examined { repeats: Some(Repeats { asked, failed: wrong, rate, when }), failed, right }
}

/// The distance of the failures, where it is the same throughout.
fn period(seen: &[bool]) -> Option<usize> {
    let at: Vec<usize> = (0..seen.len()).filter(|&i| seen[i]).collect();
    let gap = at.get(1)? - at[0];
    let even = at.windows(2).all(|pair| pair[1] - pair[0] == gap);
    (at.len() >= 3 && gap > 1 && even && at[0] < gap && seen.len() - at[at.len() - 1] <= gap)
        .then_some(gap)
}

fn ordinal(k: usize) -> String {
    match (k % 10, k % 100) {
        (1, n) if n != 11 => format!("{k}st"),
        (2, n) if n != 12 => format!("{k}nd"),
        (3, n) if n != 13 => format!("{k}rd"),
        _ => format!("{k}th"),
    }
}

/// An interval of 95 % for a rate (Wilson 1927).
pub fn interval(failed: usize, asked: usize) -> (f64, f64) {
    const Z: f64 = 1.959964;
    let (n, p) = (asked as f64, failed as f64 / asked as f64);
    let centre = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

/// The k of a fault that hits one answer of k by chance and that so many answers show with 99 %.
pub fn found(answers: usize) -> f64 {
    if answers == 0 {
        return 1.0;
    }
    1.0 / (1.0 - 0.01f64.powf(1.0 / answers as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_needs_three_failures_at_even_distance() {
        let every = |k: usize, n: usize| (0..n).map(|i| i % k == k - 1).collect::<Vec<bool>>();
        assert_eq!(period(&every(7, 40)), Some(7));
        assert_eq!(period(&every(2, 8)), Some(2));
        assert_eq!(period(&every(7, 15)), None);
        assert_eq!(period(&[true, false, true, true, false]), None);
        assert_eq!(period(&[false; 9]), None);
    }

    #[test]
    fn an_interval_holds_its_rate() {
        let (low, high) = interval(3, 40);
        assert!((0.025..0.027).contains(&low) && (0.19..0.21).contains(&high), "{low} {high}");
        assert_eq!(interval(0, 10).0, 0.0);
    }

    #[test]
    fn so_many_answers_show_a_fault_of_one_in_k() {
        // (1 − 1/10)^44 is the first below 0.01.
        assert!((9.9..10.1).contains(&found(44)));
        let missed = (1.0 - 1.0 / found(300)).powi(300);
        assert!((missed - 0.01).abs() < 1e-9);
    }
}
