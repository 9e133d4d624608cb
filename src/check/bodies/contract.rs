//! The rules of every body, whatever it computes.

use super::{Budget, Case, Path, Subject, Verdict};
use crate::op::Op;

/// What gradients hold before, in [`gradients_add`]: not small against what is added.
const START: f64 = 0.75;

/// Every rule below, for both bodies.
pub fn holds(op: &dyn Op, case: &Case) -> Verdict {
    gradients_add(op, case)?;
    fresh_gradients_are_set(op, case)?;
    for path in Path::ALL {
        overwrites(op, case, path)?;
        unwanted_gradients_change_nothing(op, case, path)?;
        vjp_reads_what_it_says(op, case, path)?;
    }
    Ok(())
}

/// vjp adds to what is there.
///
/// Both runs err by at most their own budgets, and the sum of them is what their difference may be
/// off from the start value.
pub fn gradients_add(op: &dyn Op, case: &Case) -> Verdict {
    let full = case.clone().starting_at(START);
    let (empty_budget, full_budget) = (Budget::measure(op, case), Budget::measure(op, &full));
    for path in Path::ALL {
        let (before, after) = (path.run(op, case), path.run(op, &full));
        let subject = Subject { op, case: &full, check: "gradients add", path };
        for (index, after) in after.grads.iter().enumerate() {
            let allowed = |i: usize| {
                path.unit()
                    * (empty_budget.allowed.grads[index][i] + full_budget.allowed.grads[index][i])
            };
            let element = |i: usize| (after[i], before.grads[index][i] + START, allowed(i));
            subject.compare(&format!("gradient {index}"), after.len(), element)?;
        }
    }
    Ok(())
}

/// A fresh gradient is what adding to zeros gives, whatever its buffer held.
pub fn fresh_gradients_are_set(op: &dyn Op, case: &Case) -> Verdict {
    let want = Path::Fast.run(op, &case.clone().starting_at(0.0));
    let got = super::fast(op, case, &case.values, true);
    let subject = Subject { op, case, check: "fresh gradients are set", path: Path::Fast };
    for (index, (got, want)) in got.grads.iter().zip(&want.grads).enumerate() {
        subject.compare(&format!("gradient {index}"), got.len(), |i| (got[i], want[i], 0.0))?;
    }
    Ok(())
}

/// No output keeps anything of what its buffer held: [`Path::run`] poisons them with NaN.
pub fn overwrites(op: &dyn Op, case: &Case, path: Path) -> Verdict {
    let results = path.run(op, case);
    let subject = Subject { op, case, check: "no NaN comes out of numbers", path };
    for (name, got) in results.named() {
        let element = |i: usize| (got[i], if got[i].is_nan() { 0.0 } else { got[i] }, 0.0);
        subject.compare(&name, got.len(), element)?;
    }
    Ok(())
}

/// An empty gradient slice is accepted, and no other gradient changes by a bit.
pub fn unwanted_gradients_change_nothing(op: &dyn Op, case: &Case, path: Path) -> Verdict {
    let all = path.run(op, case);
    let mut masks: Vec<Vec<bool>> = vec![vec![false; case.wanted.len()]];
    for (index, _) in case.wanted.iter().enumerate().filter(|(_, wanted)| **wanted) {
        let (mut one, mut others) = (vec![false; case.wanted.len()], case.wanted.clone());
        (one[index], others[index]) = (true, false);
        masks.extend([one, others]);
    }
    for wanted in masks {
        let fewer = Case { wanted, ..case.clone() };
        let some = path.run(op, &fewer);
        let subject = Subject { op, case: &fewer, check: "unwanted gradients", path };
        for ((name, got), (_, want)) in some.named().zip(all.named()) {
            subject.compare(&name, got.len(), |i| (got[i], want[i], 0.0))?;
        }
    }
    Ok(())
}

/// An argument that vjp is said not to read may hold anything.
pub fn vjp_reads_what_it_says(op: &dyn Op, case: &Case, path: Path) -> Verdict {
    let mut poisoned = case.values.clone();
    for (index, values) in poisoned.iter_mut().enumerate() {
        if !op.vjp_reads(index) {
            values.fill(f64::NAN);
        }
    }
    let (want, got) = (path.run(op, case), path.run_with(op, case, &poisoned));
    let subject = Subject { op, case, check: "vjp reads only what it says", path };
    for ((name, got), (_, want)) in got.named().zip(want.named()) {
        subject.compare(&name, got.len(), |i| (got[i], want[i], 0.0))?;
    }
    Ok(())
}
