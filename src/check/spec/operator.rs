//! What the gate knows of an operator: one file in [`op`](crate::check::spec) each.
//!
//! A file states the axes along which problems vary and the tensors of a problem, and writes
//! forward and backward once, as naively as can be, for any [`Num`]. Read at
//! [`Bound`] that is the truth with its bound, read at [`Dual`] an exact
//! derivative.

use serde_json::Value;

use super::case::Case;
use crate::check::call::{Attrs, Call, Dir};
use crate::check::tensor::Dtype;
use crate::num::Dd;
use crate::num::Dual;
use crate::num::{Bound, Num};
use crate::rng::Rng;

/// A size that problems vary in, and the sizes to try: the smallest is what shrinking aims at.
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    /// Its name in a case.
    pub name: &'static str,
    /// Sizes at and beside the widths of registers, blocks and grids.
    pub sizes: &'static [usize],
}

/// A value of an attribute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Setting {
    /// A number.
    Num(f64),
    /// A whole number.
    Int(i64),
    /// True or false.
    Bool(bool),
    /// A word.
    Word(&'static str),
    /// Nothing: the operator's own choice.
    Null,
}

impl Setting {
    /// As JSON.
    pub fn json(self) -> Value {
        match self {
            Setting::Num(value) => value.into(),
            Setting::Int(value) => value.into(),
            Setting::Bool(value) => value.into(),
            Setting::Word(value) => value.into(),
            Setting::Null => Value::Null,
        }
    }
}

/// An attribute and the values to try: the first is the default.
#[derive(Debug, Clone, Copy)]
pub struct Attr {
    /// Its name in messages.
    pub name: &'static str,
    /// The values that cases choose from.
    pub values: &'static [Setting],
}

impl Attr {
    /// True where its values are whole numbers.
    fn is_whole(&self) -> bool {
        self.values.iter().any(|setting| matches!(setting, Setting::Int(_)))
    }
    /// True where its values are numbers, whole or not.
    fn is_number(&self) -> bool {
        self.is_whole() || self.values.iter().any(|setting| matches!(setting, Setting::Num(_)))
    }
    /// True for a value that the operator can be asked with: any number of its domain where it is
    /// one, whether cases choose it or not, otherwise one of those that cases choose from.
    pub fn takes(&self, value: &Value) -> bool {
        let (least, most) = domain(self.name);
        match value.as_f64() {
            Some(given) if self.is_number() => {
                let kind = !self.is_whole() || given.fract() == 0.0 && given.abs() < 2f64.powi(53);
                kind && (least..=most).contains(&given)
            }
            _ => self.values.iter().any(|setting| setting.json() == *value),
        }
    }
    /// What [`Attr::takes`], in words.
    pub fn allowed(&self) -> String {
        if self.is_number() {
            let kind = if self.is_whole() { "a whole number" } else { "a number" };
            return match domain(self.name) {
                (f64::MIN, f64::MAX) => kind.to_string(),
                (least, f64::MAX) if least > 0.0 && least < 1e-300 => format!("{kind} above 0"),
                (least, f64::MAX) => format!("{kind} from {least}"),
                (least, most) if most < 1.0 => format!("{kind} from {least} to below 1"),
                (least, most) => format!("{kind} from {least} to {most}"),
            };
        }
        let mut values: Vec<String> = Vec::new();
        for value in self.values.iter().map(|setting| crate::check::call::plain(&setting.json())) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        values.join(", ")
    }
    /// A value as cases write it: whole numbers without a point, others with one.
    pub fn written(&self, value: &Value) -> Value {
        match value.as_f64() {
            Some(given) if self.is_whole() => Value::from(given as i64),
            Some(given) if self.is_number() => Value::from(given),
            _ => value.clone(),
        }
    }
}

/// The least and the largest value of an attribute that is a number, both allowed.
///
/// Below or above, the operator has no meaning: no variance has a negative eps taken off, no
/// gradient is divided by a scale of 0.
pub fn domain(attr: &str) -> (f64, f64) {
    match attr {
        "eps" | "lr" | "weight_decay" | "max_norm" | "layer" | "warmup" | "total" => {
            (0.0, f64::MAX)
        }
        "softcap" => (0.0, f64::MAX),
        "momentum" | "p" | "label_smoothing" | "share" => (0.0, 1.0),
        "beta1" | "beta2" => (0.0, 1.0 - f64::EPSILON / 2.0),
        "loss_scale" => (f64::MIN_POSITIVE, f64::MAX),
        "step" | "depth" | "normalized_dims" | "heads" | "kv_heads" | "groups" => (1.0, f64::MAX),
        _ => (f64::MIN, f64::MAX),
    }
}

/// What a tensor is, which decides its dtype and whether it has a gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// An activation: the dtype of the call, with a gradient.
    Data,
    /// An upstream gradient: the dtype of the call.
    Upstream,
    /// A learned tensor: the dtype of parameters, with a gradient.
    Param,
    /// Running statistics and moments: the dtype of parameters, no gradient.
    State,
    /// Indices: i64.
    Index,
    /// 1 where attention is allowed: u8.
    Mask,
}

/// What a tensor is filled with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fill {
    /// Rows of the kind that the case names.
    Rows,
    /// As [`Fill::Rows`], of so many elements, whatever the last axis has.
    RowsOf(usize),
    /// As [`Fill::Rows`], down the columns of a matrix.
    Columns,
    /// As [`Fill::Rows`], no element beyond this magnitude.
    Within(f64),
    /// Standard normal, every eighth element 0.
    Weight,
    /// Normal with this standard deviation.
    Normal(f64),
    /// |normal| + 0.1.
    Positive,
    /// Squares of normal numbers, some of them 0.
    Squares,
    /// From 0 to 1, about a third of them 0 or 1 itself.
    Share,
    /// The upstream gradient that the case names.
    Upstream,
    /// Whole numbers below this.
    Below(usize),
    /// Class labels below `classes`, now and then `ignored`.
    Labels {
        /// How many classes.
        classes: usize,
        /// The label that does not count.
        ignored: i64,
    },
    /// As [`Fill::Rows`] within a magnitude; of one problem in four every so many elements lie around one
    /// large number, the same for all tensors of the seed, so that differences of them are small.
    Beside(Beside),
    /// As [`Fill::Rows`], with zeros and numbers of every magnitude up to this one.
    Reaching(f64),
    /// As [`Fill::Rows`], some rows with −∞ or the least finite number in them, or nothing else.
    Closed,
    /// As [`Fill::Rows`]; some of the rows that [`Fill::Targets`] ignores are no numbers.
    Logits(Ignored),
    /// Class labels below `classes`, some rows `ignored`; now and then a label that is none.
    Targets {
        /// How many classes.
        classes: usize,
        /// The label that does not count.
        label: i64,
        /// Which rows carry it.
        ignored: Ignored,
    },
    /// A mask of which rows are partly, and some fully, closed.
    Mask,
    /// Additive scores: normal, some rows with −∞ or the least finite number in them.
    Scores,
    /// 0, 1, 2, …; of eight and more, the last ones beyond what 32 bits hold.
    Steps,
}

/// Where tensors of a problem lie side by side, far from 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beside {
    /// What decides.
    pub seed: u64,
    /// One element of so many lies there, from the first on.
    pub every: usize,
    /// The largest magnitude of the others.
    pub within: f64,
}

impl Beside {
    /// The number that they lie around, where they do.
    pub fn centre(self) -> Option<f64> {
        let mut rng = Rng::new(self.seed).named("beside");
        let sign = if rng.below(2) == 0 { 1.0 } else { -1.0 };
        let size = 256 << rng.below(4);
        (rng.below(4) == 0).then_some(sign * size as f64)
    }
}

/// Which rows of a problem do not count: about one in five, and now and then every one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ignored {
    /// What decides.
    pub seed: u64,
    /// Every row in one of so many problems.
    pub all: usize,
}

impl Ignored {
    /// True for a row that does not count.
    pub fn holds(self, row: usize) -> bool {
        let rng = Rng::new(self.seed).named("ignored");
        rng.named("all").below(self.all) == 0 || rng.at(row as u64).below(5) == 0
    }
}

/// One tensor of a problem.
#[derive(Debug, Clone)]
pub struct Slot {
    /// Its name in messages.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// What it is.
    pub role: Role,
    /// What it is filled with.
    pub fill: Fill,
    /// True where it may be absent by itself.
    pub optional: bool,
    /// The optional tensor that it comes and goes with, as every gate of a stack with the first.
    pub with: Option<String>,
    /// True where no row may be constant: without an eps, such a row is divided by 0.
    pub varied: bool,
}

impl Slot {
    /// A tensor that is always there.
    pub fn new(name: impl Into<String>, shape: &[usize], role: Role, fill: Fill) -> Slot {
        Slot {
            name: name.into(),
            shape: shape.to_vec(),
            role,
            fill,
            optional: false,
            with: None,
            varied: false,
        }
    }
    /// The activations of the case's kind.
    pub fn data(name: &str, shape: &[usize]) -> Slot {
        Slot::new(name, shape, Role::Data, Fill::Rows)
    }
    /// A learned tensor.
    pub fn param(name: &str, shape: &[usize]) -> Slot {
        Slot::new(name, shape, Role::Param, Fill::Weight)
    }
    /// The same, without constant rows where the case has an eps of 0.
    pub fn varied(mut self, case: &Case) -> Slot {
        self.varied = case.num("eps") == 0.0;
        self
    }
    /// The same, allowed to be absent.
    pub fn optional(mut self) -> Slot {
        self.optional = true;
        self
    }
    /// The same, absent where the optional tensor `name` is.
    pub fn with(mut self, name: impl Into<String>) -> Slot {
        self.with = Some(name.into());
        self
    }
}

/// A tensor that a formula reads.
#[derive(Debug, Clone)]
pub struct View<R> {
    /// The sizes, outermost first.
    pub shape: Vec<usize>,
    /// The elements, row-major.
    pub data: Vec<R>,
}

impl<R: Copy> View<R> {
    /// The length of the last axis, 1 for a scalar.
    pub fn cols(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }
    /// The rows of the last axis.
    pub fn rows(&self) -> impl Iterator<Item = &[R]> {
        self.data.chunks_exact(self.cols())
    }
}

/// A call with its tensors read at some number.
#[derive(Debug, Clone)]
pub struct Problem<'a, R> {
    /// What is asked.
    pub call: &'a Call,
    /// The side taken where implementations disagree, by the key of the specification, as `softmax.empty_row`.
    pub variant: &'a std::collections::BTreeMap<String, String>,
    tensors: Vec<(&'a str, View<R>)>,
    times: Option<&'a Times>,
}

/// How many times over a place of an axis stands for equal places of a larger problem, by axis:
/// what is summed along the axis is summed so many times.
pub type Times = std::collections::BTreeMap<&'static str, Vec<usize>>;

impl<'a, R: Num> Problem<'a, R> {
    /// Reads every tensor of a call with `read`, which is told its name and the place.
    pub fn read(
        call: &'a Call,
        variant: &'a std::collections::BTreeMap<String, String>,
        mut read: impl FnMut(&str, usize, f64) -> R,
    ) -> Self {
        let tensors = call.tensors.iter().map(|(name, tensor)| {
            let elements = tensor.values.iter().enumerate();
            let data = elements.map(|(i, &value)| read(name, i, value)).collect();
            (name.as_str(), View { shape: tensor.shape.clone(), data })
        });
        let tensors = tensors.collect();
        Problem { call, variant, tensors, times: None }
    }
    /// The same problem, whose places along some axes stand for several equal ones.
    pub fn repeated(mut self, times: &'a Times) -> Self {
        self.times = Some(times);
        self
    }
    /// How many equal places the i-th of an axis stands for, counted on over a leading axis: 1,
    /// unless something else is said.
    pub fn times(&self, axis: &str, i: usize) -> usize {
        self.times.and_then(|times| times.get(axis)).map_or(1, |times| times[i % times.len()])
    }
    /// A problem whose numbers are exactly given.
    pub fn exact(call: &'a Call, variant: &'a std::collections::BTreeMap<String, String>) -> Self {
        // What is subnormal may be read as 0.
        let least = call.dtype.accumulator().smallest_normal();
        let unit = call.dtype.accumulator().unit();
        Problem::read(call, variant, |_, _, value| {
            let exact = R::num(value);
            let tiny = value != 0.0 && value.abs() < least;
            if tiny { exact.loosened(value.abs() / unit) } else { exact }
        })
    }
    /// The same tensors, asked by another call.
    pub fn asked_by<'b>(&'b self, call: &'b Call) -> Problem<'b, R> {
        Problem { call, ..self.clone() }
    }
    /// The same problem with other values in one tensor.
    pub fn with(&self, name: &str, view: View<R>) -> Self {
        let mut other = self.clone();
        other.tensors.iter_mut().filter(|(own, _)| *own == name).for_each(|t| t.1 = view.clone());
        other
    }
    /// A tensor that is there by the specification.
    pub fn get(&self, name: &str) -> &View<R> {
        self.opt(name).unwrap_or_else(|| panic!("{} needs {name}", self.call.op))
    }
    /// A tensor that may be absent.
    pub fn opt(&self, name: &str) -> Option<&View<R>> {
        self.tensors.iter().find(|(own, _)| *own == name).map(|(_, view)| view)
    }
    /// Every tensor in order of name.
    pub fn tensors(&self) -> impl Iterator<Item = (&'a str, &View<R>)> {
        self.tensors.iter().map(|(name, view)| (*name, view))
    }
    /// A number among the attributes.
    pub fn num(&self, name: &str) -> f64 {
        number(&self.call.attrs, name)
    }
    /// A whole number among the attributes.
    pub fn int(&self, name: &str) -> i64 {
        self.num(name) as i64
    }
    /// A switch among the attributes.
    pub fn flag(&self, name: &str) -> bool {
        self.call.attrs[name].as_bool().unwrap_or_else(|| panic!("{name} is true or false"))
    }
    /// A word among the attributes.
    pub fn word(&self, name: &str) -> &'a str {
        self.call.attrs[name].as_str().unwrap_or_else(|| panic!("{name} is a word"))
    }
    /// True where the target has declared this side of a disputed contract.
    pub fn declares(&self, key: &str, side: &str) -> bool {
        self.variant.get(key).is_some_and(|declared| declared == side)
    }
}

/// A number among attributes.
pub fn number(attrs: &Attrs, name: &str) -> f64 {
    attrs[name].as_f64().unwrap_or_else(|| panic!("{name} is a number"))
}

/// One output of a formula.
#[derive(Debug, Clone)]
pub struct Named<R> {
    /// Its name in messages.
    pub name: String,
    /// The sizes, outermost first.
    pub shape: Vec<usize>,
    /// The elements, row-major.
    pub data: Vec<R>,
}

impl<R> Named<R> {
    /// An output.
    pub fn new(name: impl Into<String>, shape: &[usize], data: Vec<R>) -> Self {
        Named { name: name.into(), shape: shape.to_vec(), data }
    }
}

/// Forward and backward as in the paper, for any number.
pub trait Formula<R: Num> {
    /// The outputs in the specification's order.
    fn forward(&self, problem: &Problem<R>) -> Vec<Named<R>>;
    /// The gradients, given `dy` or `dloss`; those of absent tensors are left out.
    fn backward(&self, _problem: &Problem<R>) -> Vec<Named<R>> {
        Vec::new()
    }
}

/// An operator of the specification.
pub trait Operator:
    Formula<f64> + Formula<Dual> + Formula<Bound> + Formula<Bound<Dd>> + Sync + Send
{
    /// Its name.
    fn name(&self) -> &'static str;
    /// The passes that it has.
    fn dirs(&self) -> &'static [Dir] {
        &[Dir::Fwd, Dir::Bwd]
    }
    /// The dtypes of the specification.
    fn dtypes(&self) -> &'static [Dtype] {
        &[Dtype::F32, Dtype::F64]
    }
    /// The sizes of a problem.
    fn axes(&self) -> &'static [Axis];
    /// The attributes that cases vary.
    fn attrs(&self) -> &[Attr] {
        &[]
    }
    /// Attributes that came later: a target that does not declare one is asked with its default alone.
    fn later(&self) -> &'static [&'static str] {
        &[]
    }
    /// All attributes of a request: those that the case chose, and those that follow from sizes.
    fn attributes(&self, case: &Case) -> Attrs {
        case.attrs.clone()
    }
    /// Where public implementations disagree: keys and sides, the default first.
    fn variants(&self) -> &'static [(&'static str, [&'static str; 2])] {
        &[]
    }
    /// The tensors of a problem, dy or dloss left out.
    fn slots(&self, case: &Case) -> Vec<Slot>;
    /// About how many multiplications the naive formula takes, where its tensors do not tell.
    fn work(&self, _case: &Case) -> usize {
        0
    }
    /// The name and the shape of the upstream gradient.
    fn upstream(&self, case: &Case) -> (&'static str, Vec<usize>) {
        let slots = self.slots(case);
        ("dy", slots.first().map_or(Vec::new(), |slot| slot.shape.clone()))
    }
    /// The magnitude, as a power of two, that a tensor may have in `f32` before a right
    /// implementation overflows on the way to a finite answer; nothing for one whose magnitude stays
    /// usual. In `f64` it is eight times the power, in `f16` at most 8.
    fn reach(&self, _case: &Case, _tensor: &str) -> Option<i32> {
        Some(60)
    }
    /// False for a problem whose right answer is no number: a variance of 0 divided by with an eps
    /// of 0.
    fn defined(&self, _case: &Case) -> bool {
        true
    }
    /// True for a call that every target must refuse with an error.
    fn must_refuse(&self, _call: &Call) -> bool {
        false
    }
    /// The longest sum of an operator that is many layers in a row.
    ///
    /// The worst case of every rounding of every layer grows exponentially with depth, and no
    /// computation comes near it. For such an operator the roundings within one sum are taken to
    /// conspire, those of different sums to be independent.
    fn longest_sum(&self, _call: &Call) -> Option<usize> {
        None
    }
    /// The tensors that are cut along their first axis where a batch is cut into rows; the others
    /// stay whole. Nothing for an operator whose rows see each other.
    fn batched(&self, _attrs: &Attrs) -> Option<Vec<String>> {
        None
    }
    /// What an answer must hold beyond its bounds, in words where it does not: contracts that are
    /// decided bit by bit, rows that are exact but for their last roundings.
    fn beyond(&self, _call: &Call, _answer: &crate::check::tensor::Tensors) -> Vec<String> {
        Vec::new()
    }
    /// True where the answers are random numbers of which only the distribution is known.
    fn random(&self) -> bool {
        false
    }
}
