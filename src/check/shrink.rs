//! From a failing case to the smallest one that fails in the same way.
//!
//! Along dtype, sizes, values and attributes, again and again until nothing more gives way: a
//! simpler case is kept where it still fails. A target that crashes is started anew for the next
//! try, so crashes shrink like wrong results.

use std::time::{Duration, Instant};

use super::scope::Scope;
use super::spec::case::{Case, Rows, Upstream};
use super::tensor::Dtype;

/// Calls that shrinking may take.
pub const CALLS: usize = 300;
/// Time that shrinking may take.
pub const TIME: Duration = Duration::from_secs(10);

/// A search for a simpler failing case.
pub struct Shrinker<'a> {
    /// The simplest case so far.
    pub best: Case,
    /// Calls so far.
    pub calls: usize,
    scope: &'a Scope,
    fails: &'a mut dyn FnMut(&Case) -> bool,
    started: Instant,
}

/// The simplest case that still fails, and how many calls it took.
pub fn shrink(case: &Case, scope: &Scope, fails: &mut dyn FnMut(&Case) -> bool) -> (Case, usize) {
    let mut shrinker =
        Shrinker { best: case.clone(), calls: 0, scope, fails, started: Instant::now() };
    loop {
        let before = shrinker.best.clone();
        shrinker.dtype();
        shrinker.sizes();
        shrinker.kinds();
        shrinker.attributes();
        if shrinker.best == before || shrinker.spent() {
            break;
        }
    }
    shrinker.elements();
    (shrinker.best, shrinker.calls)
}

impl Shrinker<'_> {
    fn spent(&self) -> bool {
        self.calls >= CALLS || self.started.elapsed() > TIME
    }

    /// Keeps a case if it fails. What the target does not declare is not asked here either.
    fn keeps(&mut self, case: Case) -> bool {
        if case == self.best || self.spent() || !self.scope.allows(&case) {
            return false;
        }
        self.calls += 1;
        let fails = (self.fails)(&case);
        if fails {
            self.best = case;
        }
        fails
    }

    fn with(&mut self, change: impl FnOnce(&mut Case)) -> bool {
        let mut case = self.best.clone();
        change(&mut case);
        self.keeps(case)
    }

    fn dtype(&mut self) {
        self.with(|case| (case.dtype, case.params_dtype) = (Dtype::F32, Dtype::F32));
    }

    /// Each size as small as it goes: first the smallest ones, then by halves, then one by one.
    fn sizes(&mut self) {
        for axis in self.best.operator().axes() {
            let least = axis.sizes.iter().copied().min().unwrap_or(1);
            let now = self.best.size(axis.name);
            for size in (least..now.min(least + 8)).chain(axis.sizes.iter().copied()) {
                let now = self.best.size(axis.name);
                if size < now && self.resized(axis.name, size) {
                    break;
                }
            }
            // Between the largest that passes, as far as is known, and the smallest that fails.
            let mut passes = least;
            while self.best.size(axis.name) > passes + 1 && !self.spent() {
                let middle = passes + (self.best.size(axis.name) - passes) / 2;
                if !self.resized(axis.name, middle) {
                    passes = middle;
                }
            }
        }
    }

    /// Another size; its values are others too, so that a few seeds are tried.
    fn resized(&mut self, axis: &'static str, size: usize) -> bool {
        let seed = self.best.seed;
        (0..3).any(|i| {
            self.with(|case| {
                case.sizes.insert(axis, size);
                case.seed = seed.wrapping_add(i);
            })
        })
    }

    /// Plain values in the place of hostile ones; a few seeds, since few values may hide a bug.
    fn kinds(&mut self) {
        self.with(|case| case.extreme = None);
        // Values that are all distinct leave the oracle no short cut.
        if self.best.kind == Rows::Repeated && !super::plan::fits(&self.best, &self.scope.served) {
            return;
        }
        for kind in [Rows::Whole, Rows::Normal] {
            if self.best.kind == kind {
                break;
            }
            let seed = self.best.seed;
            if (0..6).any(|i| {
                self.with(|case| {
                    case.kind = kind;
                    case.seed = if i == 0 { seed } else { i };
                })
            }) {
                break;
            }
        }
        if self.best.upstream != Upstream::Whole {
            let _ = self.with(|case| case.upstream = Upstream::Whole)
                || self.with(|case| case.upstream = Upstream::OneHot);
        }
    }

    fn attributes(&mut self) {
        let operator = self.best.operator();
        for attr in operator.attrs() {
            let Some(plain) = self.scope.values(attr).into_iter().next() else { continue };
            self.with(|case| _ = case.attrs.insert(attr.name.to_string(), plain));
        }
        let optional = operator.slots(&self.best).into_iter().filter(|slot| slot.optional);
        for slot in optional {
            if !self.best.absent.contains(&slot.name) {
                self.with(|case| _ = case.absent.insert(slot.name));
            }
        }
    }

    /// Every element of a small problem on its own: 0, 1, −1, the power of two beside it. No tensor
    /// becomes negative that was not: indices, variances and masks must not.
    fn elements(&mut self) {
        const MOST: usize = 16;
        let call = self.best.call();
        let small = call.tensors.iter().filter(|(_, tensor)| {
            tensor.values.len() <= MOST && tensor.values.iter().all(|v| v.is_finite())
        });
        for (name, tensor) in small {
            if self.best.given.contains_key(name) {
                continue;
            }
            let signed = tensor.values.iter().any(|&value| value < 0.0);
            for i in 0..tensor.values.len() {
                let now = self.best.given.get(name).unwrap_or(&tensor.values)[i];
                let power =
                    if now == 0.0 { 0.0 } else { now.abs().log2().round().exp2().copysign(now) };
                for simple in [0.0, 1.0, -1.0, power] {
                    if now == simple || now == 0.0 {
                        break;
                    }
                    if simple < 0.0 && !signed {
                        continue;
                    }
                    let drawn = || tensor.values.clone();
                    if self.with(|case| {
                        case.given.entry(name.clone()).or_insert_with(drawn)[i] = simple;
                    }) {
                        break;
                    }
                }
            }
        }
    }
}

/// `33×769 bf16`: the sizes and the dtype of a case, for a reader.
pub fn measure(case: &Case) -> String {
    let axes = case.operator().axes().iter();
    let sizes: Vec<String> = axes.map(|axis| case.size(axis.name).to_string()).collect();
    let sizes = if sizes.is_empty() { "one".to_string() } else { sizes.join("×") };
    match case.dtype == case.params_dtype {
        true => format!("{sizes} {}", case.dtype),
        false => format!("{sizes} {}+{}", case.dtype, case.params_dtype),
    }
}
