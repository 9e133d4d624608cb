//! What a target can be asked: the one place that reads its declaration.
//!
//! Every stage draws its problems here: generated cases, the plain one, arguments that are moved,
//! and what shrinking and scanning make of a failure. What `hello` does not declare is not asked.

use serde_json::Value;

use super::call::{Dir, Served};
use super::spec::case::{Case, Extreme, Rows};
use super::spec::operator::{Attr, Operator, Role, domain};
use super::tensor::Dtype;

/// The smallest `max_seed` that can be declared: the largest seed in a signed integer of 32 bits. Of far
/// fewer seeds a run would draw some twice, and its numbers would not be independent.
pub const LEAST_MAX_SEED: u64 = (1 << 31) - 1;

/// An operator within what a target declares of it.
#[derive(Clone)]
pub struct Scope {
    /// The operator.
    pub operator: &'static dyn Operator,
    /// What is declared.
    pub served: Served,
}

impl Scope {
    /// The problems of `operator` that a target which declares `served` can answer.
    pub fn new(operator: &'static dyn Operator, served: &Served) -> Scope {
        Scope { operator, served: served.clone() }
    }

    /// The values of an attribute to ask with: those of the plan that are served, the default first,
    /// then what is served beyond them.
    pub fn values(&self, attr: &Attr) -> Vec<Value> {
        let mut planned: Vec<Value> = attr.values.iter().map(|value| value.json()).collect();
        let Some(served) = self.served.attrs.get(attr.name) else {
            if self.operator.later().contains(&attr.name) {
                planned.truncate(1);
            }
            return planned;
        };
        let beyond = served.iter().filter(|value| !holds(&planned, value));
        let beyond: Vec<Value> = beyond.map(|value| attr.written(value)).collect();
        planned.into_iter().filter(|value| holds(served, value)).chain(beyond).collect()
    }

    /// True for an optional tensor that the target understands.
    pub fn understands(&self, tensor: &str) -> bool {
        let own = plain_name(tensor);
        let listed = |names: &[String]| names.iter().any(|name| plain_name(name) == own);
        self.served.optional.as_deref().is_none_or(listed) || self.requires(tensor)
    }

    /// True for an optional tensor that the target is never without.
    pub fn requires(&self, tensor: &str) -> bool {
        let own = plain_name(tensor);
        self.served.required.iter().any(|name| plain_name(name) == own)
    }

    /// The optional tensors of a case that may be there or not.
    pub fn choices(&self, case: &Case) -> Vec<String> {
        let optional = self.operator.slots(case).into_iter().filter(|slot| slot.optional);
        let open = optional.filter(|s| self.understands(&s.name) && !self.requires(&s.name));
        open.map(|slot| slot.name).collect()
    }

    /// True for a case that the target has declared to answer.
    pub fn allows(&self, case: &Case) -> bool {
        let served = &self.served;
        served.dirs().contains(&case.dir)
            && served.dtypes().contains(&(case.dtype, case.params_dtype))
            && self.declares_attributes(case)
            && self.operator.slots(case).iter().filter(|slot| slot.optional).all(|slot| {
                let absent = case.absent.contains(&slot.name);
                if absent { !self.requires(&slot.name) } else { self.understands(&slot.name) }
            })
            && within_limits(case, served)
            && (!self.operator.random() || case.seed == served.limits.seed(case.seed))
            && self.operator.defined(case)
            && self.within_magnitude(case)
    }

    /// True where no element is larger than the target takes; an infinity is a word of its own.
    fn within_magnitude(&self, case: &Case) -> bool {
        let Some(most) = self.served.limits.max_abs else { return true };
        let call = case.call();
        let real = call.tensors.values().filter(|tensor| Dtype::REAL.contains(&tensor.dtype));
        let mut values = real.flat_map(|tensor| tensor.values.iter());
        values.all(|value| value.abs() <= most || !value.is_finite())
    }

    fn declares_attributes(&self, case: &Case) -> bool {
        let asked = self.operator.attributes(case);
        let declared = self.served.attrs.iter();
        declared
            .filter_map(|(name, values)| Some((asked.get(name)?, values)))
            .all(|(own, values)| holds(values, own))
    }

    /// Moves a case into what is declared, changing as little as it can: tensors that may not be
    /// there or must be, then attributes and sizes. False where that is not enough.
    pub fn settle(&self, case: &mut Case) -> bool {
        if self.operator.random() {
            case.seed = self.served.limits.seed(case.seed);
        }
        for slot in self.operator.slots(case).into_iter().filter(|slot| slot.optional) {
            if self.requires(&slot.name) {
                case.absent.remove(&slot.name);
            } else if !self.understands(&slot.name) {
                case.absent.insert(slot.name);
            }
        }
        if self.allows(case) {
            return true;
        }
        let changes = self.changes(case.seed as usize);
        let moved = |case: &Case, steps: &[&Change]| {
            let mut moved = case.clone();
            steps.iter().for_each(|change| change.apply(&mut moved));
            self.allows(&moved).then_some(moved)
        };
        let single = changes.iter().find_map(|one| moved(case, &[one]));
        let pairs = || {
            changes.iter().enumerate().find_map(|(i, one)| {
                changes[i + 1..].iter().find_map(|other| moved(case, &[one, other]))
            })
        };
        match single.or_else(pairs) {
            Some(moved) => *case = moved,
            None => return false,
        }
        true
    }

    /// Makes one of the tensors of a case large, small or subnormal, where one can be: the `turn`-th
    /// of those. The others stay as usual as they can be.
    pub fn stretch(&self, case: &mut Case, extreme: Extreme, turn: usize) {
        let real = |role| matches!(role, Role::Data | Role::Param | Role::State);
        let slots = self.operator.slots(case).into_iter();
        let there = slots.filter(|slot| real(slot.role) && !case.absent.contains(&slot.name));
        let mut names: Vec<String> = there.map(|slot| slot.name).collect();
        if case.dir == Dir::Bwd {
            names.push(self.operator.upstream(case).0.to_string());
        }
        let reaches = |name: &String| match self.operator.reach(case, name) {
            Some(0) => extreme != Extreme::Large,
            Some(_) => true,
            None => false,
        };
        names.retain(reaches);
        if names.is_empty() {
            return;
        }
        case.extreme = Some((extreme, names.swap_remove(turn % names.len())));
        // A shared shift or a common value would drown beside it, and a second extreme is another
        // problem.
        let plain = matches!(case.kind, Rows::Whole | Rows::Outlier | Rows::TinyVariance);
        if extreme == Extreme::Large || !plain {
            case.kind = Rows::Normal;
        }
    }

    /// Every value of an attribute and every size that a case could have instead, from another one
    /// on for each `turn`.
    fn changes(&self, turn: usize) -> Vec<Change> {
        let attrs = self.operator.attrs().iter().flat_map(|attr| {
            self.values(attr).into_iter().map(|value| Change::Attr(attr.name, value))
        });
        // What follows from sizes, as heads do, may be declared to be of another size.
        let declared = self.served.attrs.iter();
        let derived: Vec<usize> = declared
            .filter(|(name, _)| self.operator.attrs().iter().all(|attr| attr.name != *name))
            .flat_map(|(_, values)| values.iter().filter_map(|value| value.as_u64()))
            .map(|size| size as usize)
            .filter(|size| (1..=64).contains(size))
            .collect();
        let sizes = self.operator.axes().iter().flat_map(|axis| {
            axis.sizes.iter().chain(&derived).map(|&size| Change::Size(axis.name, size))
        });
        let mut changes: Vec<Change> = attrs.chain(sizes).collect();
        let count = changes.len().max(1);
        changes.rotate_left(turn % count);
        changes
    }

    /// The plainest case: every axis at its smallest, every attribute at its default where that is
    /// served. Where nothing is, [`Scope::allows`] says so.
    pub fn simplest(&self, dir: Dir, dtypes: (Dtype, Dtype)) -> Case {
        let mut case = Case::simplest(self.operator, dir, dtypes.0, dtypes.1);
        for attr in self.operator.attrs() {
            if let Some(value) = self.values(attr).into_iter().next() {
                case.attrs.insert(attr.name.to_string(), value);
            }
        }
        self.settle(&mut case);
        case
    }

    /// The plain case with some rows and columns, none of them large.
    pub fn modest(&self, dir: Dir, dtypes: (Dtype, Dtype)) -> Case {
        let plain = self.simplest(dir, dtypes);
        let mut case = plain.clone();
        for axis in self.operator.axes() {
            let mut sizes: Vec<usize> = axis.sizes.iter().copied().filter(|&s| s <= 8).collect();
            sizes.sort_unstable();
            // As large as the declaration lets it be.
            for &size in sizes.iter().rev() {
                let mut larger = case.clone();
                larger.sizes.insert(axis.name, size);
                if self.allows(&larger) {
                    case = larger;
                    break;
                }
            }
        }
        case
    }

    /// The case with one argument moved, for each that can be, and in words what was moved.
    pub fn moves(&self, base: &Case) -> Vec<(String, Case)> {
        let mut moves: Vec<(String, Case)> = Vec::new();
        for attr in self.operator.attrs() {
            for value in self.values(attr) {
                let mut moved = base.clone();
                moved.attrs.insert(attr.name.to_string(), value.clone());
                let what = format!("{} = {}", attr.name, super::call::plain(&value));
                moves.push((what, moved));
            }
        }
        for name in self.choices(base) {
            let mut moved = base.clone();
            let what = format!("{name} absent");
            moved.absent.insert(name);
            moves.push((what, moved));
        }
        moves.retain(|(_, moved)| moved != base && self.allows(moved));
        moves.dedup();
        moves
    }
}

/// One thing that a case could have otherwise.
enum Change {
    Attr(&'static str, Value),
    Size(&'static str, usize),
}

impl Change {
    fn apply(&self, case: &mut Case) {
        match self {
            Change::Attr(name, value) => _ = case.attrs.insert(name.to_string(), value.clone()),
            Change::Size(name, size) => _ = case.sizes.insert(name, *size),
        }
    }
}

/// A declaration of all that the specification has of an operator.
pub fn everything(operator: &dyn Operator) -> Served {
    let later = operator.attrs().iter().filter(|attr| operator.later().contains(&attr.name));
    let values = |attr: &Attr| attr.values.iter().map(|value| value.json()).collect();
    Served {
        dir: Some(operator.dirs().to_vec()),
        dtype: Some(operator.dtypes().to_vec()),
        attrs: later.map(|attr| (attr.name.to_string(), values(attr))).collect(),
        ..Served::default()
    }
}

/// The wanted values of an attribute that are served, or what is served where none is.
pub fn among(served: &Served, name: &str, wanted: &[Value]) -> Vec<Value> {
    let Some(served) = served.attrs.get(name).filter(|served| !served.is_empty()) else {
        return wanted.to_vec();
    };
    let both: Vec<Value> = wanted.iter().filter(|v| holds(served, v)).cloned().collect();
    if both.is_empty() { served.clone() } else { both }
}

/// Refuses what is declared of an attribute where it cannot be asked with: what it says of the
/// field, and what is allowed.
pub fn attribute(operator: &dyn Operator, name: &str, values: &[Value]) -> Result<(), String> {
    let known = operator.attrs().iter().find(|own| own.name == name);
    let plain = Case::simplest(operator, operator.dirs()[0], Dtype::F32, Dtype::F32);
    let mut names: Vec<String> = operator.attributes(&plain).keys().cloned().collect();
    // Shapes are declared by limits, and a generator takes any seed.
    names.retain(|own| own != "shape" && own != "seed");
    if known.is_none() && !names.iter().any(|own| own == name) {
        let names = if names.is_empty() { "none".into() } else { names.join(", ") };
        return Err(format!(": allowed {names}"));
    }
    if values.is_empty() {
        return Err(": an empty list; leave it out where every value is served".to_string());
    }
    // What follows from sizes is a whole number.
    let (least, most) = domain(name);
    let whole = |value: &Value| {
        value.as_u64().is_some_and(|n| (least..=most).contains(&(n as f64)) && n < 1 << 53)
    };
    let takes = |value: &Value| known.map_or(whole(value), |known| known.takes(value));
    match values.iter().find(|value| !takes(value)) {
        Some(value) => {
            let allowed = known.map_or("whole numbers".to_string(), Attr::allowed);
            Err(format!(" = {value}: allowed {allowed}"))
        }
        None => Ok(()),
    }
}

/// True where a list has a value; a number is the same however it is written, 1 and 1.0.
pub fn holds(values: &[Value], value: &Value) -> bool {
    values.iter().any(|other| match (other.as_f64(), value.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => other == value,
    })
}

/// The name of an optional tensor, of a stack that in its first block: they come and go together.
fn plain_name(name: &str) -> String {
    let inner = name.strip_prefix("blocks.").and_then(|rest| rest.split_once('.'));
    inner.map_or_else(|| name.to_string(), |(_, inner)| format!("blocks.0.{inner}"))
}

/// The tensors that an operator has at all, for whoever reads a declaration.
pub fn tensors(operator: &'static dyn Operator) -> Vec<String> {
    let plain = Case::simplest(operator, operator.dirs()[0], Dtype::F32, Dtype::F32);
    let slots = operator.slots(&plain).into_iter();
    slots.map(|slot| slot.name).collect()
}

/// True for one of [`tensors`], in whichever block of a stack.
pub fn is_tensor(operator: &'static dyn Operator, name: &str) -> bool {
    tensors(operator).contains(&plain_name(name))
}

/// True where no tensor of a case is larger than the target declares to take.
pub fn within_limits(case: &Case, served: &Served) -> bool {
    let limits = &served.limits;
    if limits.max_elements.is_none() && limits.max_columns.is_none() {
        return true;
    }
    let operator = case.operator();
    // What comes out is of the shape of the upstream gradient.
    let inputs = operator.slots(case).into_iter().map(|slot| slot.shape);
    let shapes: Vec<Vec<usize>> = inputs.chain([operator.upstream(case).1]).collect();
    let elements = shapes.iter().map(|shape| shape.iter().product::<usize>()).max().unwrap_or(0);
    let lasts = shapes.iter().filter_map(|shape| shape.last().copied());
    // A row may be of several axes.
    let widest = lasts.chain(case.sizes.get("cols").copied()).max().unwrap_or(0);
    elements <= limits.max_elements.unwrap_or(usize::MAX)
        && widest <= limits.max_columns.unwrap_or(usize::MAX)
}
