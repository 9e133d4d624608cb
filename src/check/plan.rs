//! Which cases a run tries: every value of every axis, attribute, kind and presence.
//!
//! Every dimension of a case runs through its values in an order of its own, shuffled anew each
//! time round, so that after as many cases as the longest dimension has values each has been met,
//! and any two values meet sooner or later. Where a problem grows too large, the sizes that this
//! case is not about give way.

use super::call::{Dir, Served};
use super::scope::{self, Scope};
use super::spec::case::{Case, Extreme, Rows, Upstream};
use super::spec::operator::{Axis, Operator};
use super::tensor::Dtype;
use crate::rng::Rng;

/// The most elements of a problem, all tensors together.
pub const ELEMENTS: usize = 200_000;
/// The most multiplications of a naive formula.
pub const WORK: usize = 1 << 19;

/// An endless supply of cases of one operator, pass and pair of dtypes.
#[derive(Clone)]
pub struct Plan {
    scope: Scope,
    dir: Dir,
    dtypes: (Dtype, Dtype),
    rng: Rng,
    count: usize,
    decks: Vec<Vec<usize>>,
}

impl Plan {
    /// Cases that a target which declares `served` can answer.
    pub fn new(
        operator: &'static dyn Operator,
        served: &Served,
        dir: Dir,
        dtypes: (Dtype, Dtype),
        seed: u64,
    ) -> Plan {
        let name = format!("{}:{dir}:{}+{}", operator.name(), dtypes.0, dtypes.1);
        Plan {
            scope: Scope::new(operator, served),
            dir,
            dtypes,
            rng: Rng::new(seed).named(&name),
            count: 0,
            decks: Vec::new(),
        }
    }

    /// The next card of a deck of `values`, which is shuffled when it is used up; `wanted` goes
    /// first if the deck still has it.
    fn deal(&mut self, deck: usize, values: usize, wanted: Option<usize>) -> usize {
        if self.decks.len() <= deck {
            self.decks.resize(deck + 1, Vec::new());
        }
        if self.decks[deck].is_empty() {
            self.decks[deck] = (0..values).collect();
            for i in (1..values).rev() {
                self.decks[deck].swap(i, self.rng.below(i + 1));
            }
        }
        let last = self.decks[deck].len() - 1;
        if let Some(at) = self.decks[deck].iter().position(|&card| Some(card) == wanted) {
            self.decks[deck].swap(at, last);
        }
        self.decks[deck].pop().expect("a deck has a card")
    }

    fn draw(&mut self) -> Case {
        let (scope, operator) = (self.scope.clone(), self.scope.operator);
        let mut case = Case::simplest(operator, self.dir, self.dtypes.0, self.dtypes.1);
        // Every second seed has more than 32 bits.
        let bits = self.rng.bits();
        case.seed = if bits & 1 == 0 { bits >> 32 } else { bits >> 11 };
        let mut deck = 0;
        let mut next = |plan: &mut Plan, values: usize, wanted: Option<usize>| {
            deck += 1;
            plan.deal(deck - 1, values, wanted)
        };
        let early = (1..=operator.axes().len()).contains(&self.count);
        for (i, axis) in operator.axes().iter().enumerate() {
            // The largest size of each axis, which finds what no other does, comes early.
            let largest = (0..axis.sizes.len()).max_by_key(|&i| axis.sizes[i]);
            let wanted = largest.filter(|_| self.count == i + 1);
            case.sizes.insert(axis.name, axis.sizes[next(self, axis.sizes.len(), wanted)]);
        }
        // What reads a matrix transposed shows on a square one only: about half of the cases have a
        // pair of equal neighbours, each pair in its turn, those of the same sizes twice as often.
        let axes = operator.axes();
        let pairs: Vec<(Axis, Axis)> = axes.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let times = |pair: &(Axis, Axis)| 1 + usize::from(pair.0.sizes == pair.1.sizes);
        let cards: Vec<(Axis, Axis)> =
            pairs.iter().flat_map(|pair| std::iter::repeat_n(*pair, times(pair))).collect();
        let card = if cards.is_empty() { 0 } else { next(self, cards.len() + pairs.len(), None) };
        if let Some((one, other)) = cards.get(card).filter(|_| !early) {
            let size = case.sizes[one.name];
            if other.sizes.contains(&size) {
                case.sizes.insert(other.name, size);
            }
        }
        for attr in operator.attrs() {
            let values = scope.values(attr);
            let value = values[next(self, values.len(), None)].clone();
            case.attrs.insert(attr.name.to_string(), value);
        }
        case.kind = Rows::ALL[next(self, Rows::ALL.len(), None)];
        let upstream = Upstream::ALL[next(self, Upstream::ALL.len(), None)];
        // Forward has none, and an id does not say it.
        if self.dir == Dir::Bwd {
            case.upstream = upstream;
        }
        let optional = scope.choices(&case);
        let presence = next(self, 1 << optional.len().min(6), None);
        for (i, name) in optional.into_iter().enumerate() {
            // Six run through every combination, further ones go by chance.
            let gone = if i < 6 { presence >> i & 1 == 1 } else { self.rng.below(2) == 1 };
            if gone {
                case.absent.insert(name);
            }
        }
        // One case in three has a tensor that is large, small or subnormal; each in its turn.
        let magnitude = next(self, 3 * Extreme::ALL.len(), None);
        let tensor = next(self, 12, None);
        if let Some(&extreme) = Extreme::ALL.get(magnitude) {
            scope.stretch(&mut case, extreme, tensor);
        }
        self.fit(&mut case);
        self.count += 1;
        case
    }

    /// Makes the problem small enough: the axis that this case is about keeps its size longest.
    fn fit(&self, case: &mut Case) {
        let axes = self.scope.operator.axes();
        // An axis at its largest comes seldom: the case is about it. Else the axes take turns.
        let largest = |axis: &&Axis| axis.sizes.iter().max() == Some(&case.sizes[axis.name]);
        let turn = axes.get(self.count % axes.len().max(1));
        let about = match axes.iter().filter(largest).count() {
            1 => axes.iter().find(largest),
            _ => turn,
        };
        let about = about.map_or("", |axis| axis.name);
        for round in 0..64 {
            if fits(case, &self.scope.served) {
                return;
            }
            // The largest other axis first; the axis itself when that did not help.
            let others = axes.iter().filter(|axis| round > 31 || axis.name != about);
            let largest = others.max_by_key(|axis| case.sizes[axis.name]);
            let Some(axis) = largest else { continue };
            let now = case.sizes[axis.name];
            let smaller = axis.sizes.iter().copied().filter(|&size| size < now).max();
            if let Some(smaller) = smaller {
                case.sizes.insert(axis.name, smaller);
            } else if round <= 31 {
                let own = case.sizes[about];
                let axis = axes.iter().find(|axis| axis.name == about).expect("an axis");
                if let Some(less) = axis.sizes.iter().copied().filter(|&size| size < own).max() {
                    case.sizes.insert(axis.name, less);
                }
            }
        }
    }
}

impl Iterator for Plan {
    type Item = Case;
    /// Nothing where no problem lies within what is declared.
    fn next(&mut self) -> Option<Case> {
        (0..64).find_map(|_| {
            let mut case = self.draw();
            let within = self.scope.settle(&mut case) && fits(&case, &self.scope.served);
            within.then_some(case)
        })
    }
}

/// Elements of all tensors that are given.
pub fn elements(case: &Case) -> usize {
    case.operator().slots(case).iter().map(|slot| slot.shape.iter().product::<usize>()).sum()
}

/// True where a problem is small enough to be put to a target that declares `served`.
pub fn fits(case: &Case, served: &Served) -> bool {
    let operator = case.operator();
    let slots = operator.slots(case);
    let sizes = slots.iter().map(|slot| slot.shape.iter().product::<usize>());
    sizes.sum::<usize>() <= served.limits.max_elements.unwrap_or(ELEMENTS).min(ELEMENTS)
        && scope::within_limits(case, served)
        && operator.work(case) <= WORK
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::spec;

    #[test]
    fn every_value_of_every_axis_appears() {
        for operator in spec::all() {
            let dtypes = (operator.dtypes()[0], operator.dtypes()[0]);
            let dir = operator.dirs()[0];
            let plan = Plan::new(operator, &scope::everything(operator), dir, dtypes, 1);
            let cases: Vec<Case> = plan.take(400).collect();
            for axis in operator.axes() {
                for size in axis.sizes {
                    let met = cases.iter().any(|case| case.sizes[axis.name] == *size);
                    assert!(met, "{} {} = {size}", operator.name(), axis.name);
                }
            }
            for attr in operator.attrs() {
                for value in attr.values {
                    let met = cases.iter().any(|case| case.attrs[attr.name] == value.json());
                    assert!(met, "{} {} = {value:?}", operator.name(), attr.name);
                }
            }
        }
    }

    #[test]
    fn a_case_is_its_id() {
        for operator in spec::all() {
            for &dir in operator.dirs() {
                let dtype = operator.dtypes()[0];
                let plan =
                    Plan::new(operator, &scope::everything(operator), dir, (dtype, dtype), 1);
                for case in plan.take(50) {
                    let again: Case = case.to_string().parse().unwrap();
                    assert_eq!(again, case);
                    // As text, since a NaN among ignored logits equals nothing.
                    assert_eq!(format!("{:?}", again.call()), format!("{:?}", case.call()));
                }
            }
        }
    }
}
