//! Faults that come and go, of any operator: what a target keeps from call to call, and does not.

use std::collections::BTreeMap;

use super::Mutant;
use crate::check::call::{Attrs, Call};
use crate::check::tensor::Tensors;
use crate::rng::Rng;

/// How often a class of mutant shows: those of `promise` answer rightly and break what they claim.
pub const PROMISE: &str = "promise";
/// Mutants that are wrong in some calls and right in others of the same question.
pub const INTERMITTENT: &str = "intermittent";

/// A mutant that is caught by a run as a whole, since no single answer is sure to show it.
pub fn by_run(mutant: &Mutant) -> bool {
    [PROMISE, INTERMITTENT].contains(&mutant.class)
}

/// What a target keeps between calls.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    last: Option<Tensors>,
    shapes: BTreeMap<String, Attrs>,
}

/// The shapes of a call, as a careless cache has them for a key.
fn key(call: &Call) -> String {
    let shapes = call.tensors.iter().map(|(name, tensor)| format!("{name}{:?}", tensor.shape));
    format!("{} {} {}", call.dir, call.dtype, shapes.collect::<String>())
}

impl Kept {
    /// The call as a target reads it that keeps attributes by shape alone.
    pub fn read(&mut self, id: &str, call: &Call) -> Call {
        let mut call = call.clone();
        if id.ends_with("_cached_by_shape") {
            let attrs = self.shapes.entry(key(&call)).or_insert_with(|| call.attrs.clone());
            call.attrs = attrs.clone();
        }
        call
    }

    /// What becomes of a right answer.
    pub fn spoil(&mut self, id: &str, call: &Call, calls: u64, mut answer: Tensors) -> Tensors {
        let by_chance = |k: usize| Rng::new(calls).named("by chance").below(k) == 0;
        let first = !self.shapes.contains_key(&key(call));
        self.shapes.entry(key(call)).or_insert_with(|| call.attrs.clone());
        let old = self.last.replace(answer.clone());
        let other = old.as_ref().is_some_and(|old| {
            old.iter().any(|(name, t)| answer.get(name).is_none_or(|own| own.shape != t.shape))
        });
        let spoilt = match id {
            id if id.ends_with("_one_in_10") => by_chance(10),
            id if id.ends_with("_one_in_40") => by_chance(40),
            id if id.ends_with("_first_of_shape") => first,
            id if id.ends_with("_from_30") => calls >= 30,
            id if id.ends_with("_leaks") => other,
            _ => false,
        };
        if !spoilt {
            return answer;
        }
        for (name, tensor) in &mut answer {
            let old = old.as_ref().and_then(|old| old.get(name));
            let half = tensor.values.len().div_ceil(2);
            for (i, value) in tensor.values.iter_mut().enumerate().take(half) {
                // Not written, or written by the call before.
                let stale = old.and_then(|old| old.values.get(i)).copied();
                *value = if id.ends_with("_leaks") { stale.unwrap_or(*value) } else { 0.0 };
            }
        }
        answer
    }
}
