//! A case: a problem as a readable, stable string, and the string as a problem.
//!
//! `layer_norm:bwd:f32:rows=3,cols=7,eps=0.00001,normalized_dims=1,x=normal,dy=one_hot,no=bias,seed=5`
//!
//! The call is a pure function of the id: sizes, attributes, kinds of values, absent tensors and a
//! seed, and, of a case that was shrunk, the elements themselves (`given.x=0;2`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::operator::{Fill, Operator, Role, Slot};
use crate::check::call::{Attrs, Call, Dir};
use crate::check::spec;
use crate::check::tensor::{Dtype, Tensor, Tensors};
use crate::rng::Rng;
use crate::setting::Invalid;

/// What rows of activations look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rows {
    /// Standard normal.
    Normal,
    /// A mean of 10 to 10⁴ standard deviations.
    BigMean,
    /// A variance around the usual eps.
    TinyVariance,
    /// Small, one element up to 10⁴ times as large.
    Outlier,
    /// One value, and some rows of zeros.
    Constant,
    /// Normal times a power of two.
    Scaled,
    /// Every row of another kind.
    Mixed,
    /// Dyadic: every partial sum is exact, under a large offset too.
    Exact,
    /// Small whole numbers: what shrinking leaves.
    Whole,
    /// Of every kind, few of them distinct, some with an outlier at an edge: what problems of
    /// [production](crate::check::large) sizes are made of.
    Repeated,
}

impl Rows {
    /// Every kind that is drawn; [`Rows::Whole`] is the simplest.
    pub const ALL: [Rows; 9] = [
        Rows::Normal,
        Rows::BigMean,
        Rows::TinyVariance,
        Rows::Outlier,
        Rows::Constant,
        Rows::Scaled,
        Rows::Mixed,
        Rows::Exact,
        Rows::Whole,
    ];
    /// The name in a case.
    pub fn name(self) -> &'static str {
        match self {
            Rows::Normal => "normal",
            Rows::BigMean => "big_mean",
            Rows::TinyVariance => "tiny_variance",
            Rows::Outlier => "outlier",
            Rows::Constant => "constant",
            Rows::Scaled => "scaled",
            Rows::Mixed => "mixed",
            Rows::Exact => "exact",
            Rows::Whole => "whole",
            Rows::Repeated => "repeated",
        }
    }
}

/// What an upstream gradient looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Upstream {
    /// Normal with a mean.
    Normal,
    /// One element of 1 in every row, or one row.
    OneHot,
    /// A few elements.
    Sparse,
    /// Small whole numbers.
    Whole,
}

impl Upstream {
    /// Every kind.
    pub const ALL: [Upstream; 4] =
        [Upstream::Normal, Upstream::OneHot, Upstream::Sparse, Upstream::Whole];
    /// The name in a case.
    pub fn name(self) -> &'static str {
        match self {
            Upstream::Normal => "normal",
            Upstream::OneHot => "one_hot",
            Upstream::Sparse => "sparse",
            Upstream::Whole => "whole",
        }
    }
}

/// How large or small a whole tensor is, beside others of usual magnitude.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Extreme {
    /// As large as [`Operator::reach`] says.
    Large,
    /// Squares underflow.
    Small,
    /// Below the smallest normal number of its dtype.
    Subnormal,
}

impl Extreme {
    /// Every one.
    pub const ALL: [Extreme; 3] = [Extreme::Large, Extreme::Small, Extreme::Subnormal];
    /// The name in a case.
    pub fn name(self) -> &'static str {
        match self {
            Extreme::Large => "large",
            Extreme::Small => "small",
            Extreme::Subnormal => "subnormal",
        }
    }
    /// The exponent of the largest element, where `f32` reaches 2^`reach`.
    pub fn exponent(self, dtype: Dtype, reach: i32) -> i32 {
        match (self, dtype) {
            (Extreme::Large, Dtype::F64) => 8 * reach,
            (Extreme::Large, Dtype::F16) => reach.min(8),
            (Extreme::Large, _) => reach,
            (Extreme::Small, Dtype::F64) => -560,
            (Extreme::Small, Dtype::F16) => -12,
            (Extreme::Small, _) => -80,
            (Extreme::Subnormal, Dtype::F64) => -1060,
            (Extreme::Subnormal, Dtype::F16) => -18,
            (Extreme::Subnormal, _) => -140,
        }
    }
}

/// A problem, before its values are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The operator.
    pub op: &'static str,
    /// Which pass.
    pub dir: Dir,
    /// The dtype of activations.
    pub dtype: Dtype,
    /// The dtype of parameters.
    pub params_dtype: Dtype,
    /// Every axis.
    pub sizes: BTreeMap<&'static str, usize>,
    /// Every attribute that cases vary.
    pub attrs: Attrs,
    /// What rows look like.
    pub kind: Rows,
    /// What the upstream gradient looks like.
    pub upstream: Upstream,
    /// Optional tensors that are left out.
    pub absent: BTreeSet<String>,
    /// A tensor of unusual magnitude.
    pub extreme: Option<(Extreme, String)>,
    /// Seed of the values.
    pub seed: u64,
    /// Elements that are stated rather than drawn.
    pub given: BTreeMap<String, Vec<f64>>,
}

impl Case {
    /// The simplest case of an operator: every axis at its smallest, every attribute at its default.
    pub fn simplest(op: &dyn Operator, dir: Dir, dtype: Dtype, params_dtype: Dtype) -> Case {
        let smallest = |sizes: &[usize]| sizes.iter().copied().min().unwrap_or(1);
        Case {
            op: op.name(),
            dir,
            dtype,
            params_dtype,
            sizes: op.axes().iter().map(|axis| (axis.name, smallest(axis.sizes))).collect(),
            attrs: op.attrs().iter().map(|a| (a.name.to_string(), a.values[0].json())).collect(),
            kind: Rows::Whole,
            upstream: Upstream::Whole,
            absent: BTreeSet::new(),
            extreme: None,
            seed: 0,
            given: BTreeMap::new(),
        }
    }

    /// The operator.
    pub fn operator(&self) -> &'static dyn Operator {
        spec::find(self.op).expect("a case is of an operator")
    }

    /// A size.
    pub fn size(&self, axis: &str) -> usize {
        self.sizes[axis]
    }

    /// A number among the attributes of the case.
    pub fn num(&self, attr: &str) -> f64 {
        super::operator::number(&self.attrs, attr)
    }

    /// True where no row of `cols` elements that is stated is constant, or, of one element, 0.
    pub fn varied(&self, tensor: &str, cols: usize) -> bool {
        let Some(given) = self.given.get(tensor) else { return true };
        let rows = self.size("rows") * cols;
        let values: Vec<f64> = (0..rows).map(|i| given.get(i).copied().unwrap_or(0.0)).collect();
        !values.chunks(cols).any(super::fill::is_constant)
    }

    /// The question: every tensor drawn. `want` is what a full answer has.
    pub fn call(&self) -> Call {
        match super::repeated::holds(self) {
            true => super::repeated::Large::new(self).call,
            false => self.drawn(),
        }
    }

    /// The same, every element drawn on its own whatever the kind.
    pub fn drawn(&self) -> Call {
        let operator = self.operator();
        let tensors: Tensors =
            self.slots().iter().map(|slot| (slot.name.clone(), self.tensor(slot))).collect();
        let mut call = Call {
            id: self.to_string(),
            op: self.op.to_string(),
            dir: self.dir,
            dtype: self.dtype,
            params_dtype: self.params_dtype,
            attrs: operator.attributes(self),
            want: Vec::new(),
            tensors,
        };
        call.want = crate::check::spec::truth::names(&call);
        call
    }

    /// The tensors of the call, before anything is drawn.
    pub fn slots(&self) -> Vec<Slot> {
        let operator = self.operator();
        let mut slots = operator.slots(self);
        slots.retain(|slot| !self.absent.contains(slot.with.as_ref().unwrap_or(&slot.name)));
        if self.dir == Dir::Bwd {
            let (name, shape) = operator.upstream(self);
            slots.push(Slot::new(name, &shape, Role::Upstream, Fill::Upstream));
        }
        slots
    }

    fn tensor(&self, slot: &Slot) -> Tensor {
        let dtype = match slot.role {
            Role::Data | Role::Upstream => self.dtype,
            Role::Param | Role::State => self.params_dtype,
            Role::Index => Dtype::I64,
            Role::Mask => Dtype::U8,
        };
        let count: usize = slot.shape.iter().product();
        let values = match self.given.get(&slot.name) {
            // A shape that has shrunk since keeps what still fits.
            Some(given) => (0..count).map(|i| given.get(i).copied().unwrap_or(0.0)).collect(),
            None => {
                let mut rng = Rng::new(self.seed).named(self.op).named(&slot.name);
                let mut values = super::fill::fill(slot, self.kind, self.upstream, dtype, &mut rng);
                if let Some((extreme, name)) = &self.extreme
                    && *name == slot.name
                {
                    let reach = self.operator().reach(self, name).unwrap_or(0);
                    super::fill::stretch(&mut values, extreme.exponent(dtype, reach), dtype);
                }
                values
            }
        };
        Tensor::new(dtype, &slot.shape, values)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.op, self.dir, self.dtype)?;
        if self.params_dtype != self.dtype {
            write!(f, "+{}", self.params_dtype)?;
        }
        f.write_str(":")?;
        let mut parts: Vec<String> = self
            .operator()
            .axes()
            .iter()
            .map(|a| format!("{}={}", a.name, self.sizes[a.name]))
            .collect();
        parts.extend(self.attrs.iter().map(|(name, value)| match value {
            Value::String(word) => format!("{name}={word}"),
            other => format!("{name}={other}"),
        }));
        parts.push(format!("x={}", self.kind.name()));
        if self.dir == Dir::Bwd {
            parts.push(format!("dy={}", self.upstream.name()));
        }
        if !self.absent.is_empty() {
            let absent: Vec<&str> = self.absent.iter().map(String::as_str).collect();
            parts.push(format!("no={}", absent.join("+")));
        }
        if let Some((extreme, tensor)) = &self.extreme {
            parts.push(format!("{}={tensor}", extreme.name()));
        }
        parts.push(format!("seed={}", self.seed));
        for (name, values) in &self.given {
            let values: Vec<String> = values.iter().map(|v| v.to_string()).collect();
            parts.push(format!("given.{name}={}", values.join(";")));
        }
        f.write_str(&parts.join(","))
    }
}

impl std::str::FromStr for Case {
    type Err = Invalid;
    fn from_str(id: &str) -> Result<Case, Invalid> {
        const FORM: &str = "OPERATOR:fwd|bwd:DTYPE[+DTYPE]:NAME=VALUE,… as a failure prints it";
        let invalid = || Invalid::new("case", id, FORM);
        let mut parts = id.splitn(4, ':');
        let mut next = || parts.next().ok_or_else(invalid);
        let (name, dir, dtypes, rest) = (next()?, next()?, next()?, next()?);
        let operator = spec::find(name)
            .ok_or_else(|| Invalid::new("operator", name, spec::names().join(", ")))?;
        let dir = match dir {
            "fwd" => Dir::Fwd,
            "bwd" => Dir::Bwd,
            other => return Err(Invalid::new("direction", other, "fwd, bwd")),
        };
        let dtype = |name: &str| {
            let real = Dtype::REAL.into_iter().find(|dtype| dtype.name() == name);
            real.ok_or_else(|| Invalid::new("dtype", name, "f64, f32, f16, bf16"))
        };
        let (data, params) = dtypes.split_once('+').unwrap_or((dtypes, dtypes));
        let mut case = Case::simplest(operator, dir, dtype(data)?, dtype(params)?);
        for part in rest.split(',').filter(|part| !part.is_empty()) {
            let (name, text) = part.split_once('=').ok_or_else(invalid)?;
            let refused = |allowed: &str| Invalid::new(name, text, allowed);
            let number = |text: &str| text.parse::<f64>().map_err(|_| refused("numbers"));
            if let Some(tensor) = name.strip_prefix("given.") {
                let values = text.split(';').map(number).collect::<Result<_, _>>()?;
                case.given.insert(tensor.to_string(), values);
            } else if name == "x" {
                let all = || Rows::ALL.into_iter().chain([Rows::Repeated]);
                let names: Vec<&str> = all().map(Rows::name).collect();
                let kind = all().find(|kind| kind.name() == text);
                case.kind = kind.ok_or_else(|| refused(&names.join(", ")))?;
            } else if name == "dy" {
                let kind = Upstream::ALL.into_iter().find(|kind| kind.name() == text);
                let allowed = Upstream::ALL.map(Upstream::name).join(", ");
                case.upstream = kind.ok_or_else(|| refused(&allowed))?;
            } else if name == "no" {
                case.absent = text.split('+').map(str::to_string).collect();
            } else if let Some(extreme) = Extreme::ALL.into_iter().find(|e| e.name() == name) {
                case.extreme = Some((extreme, text.to_string()));
            } else if name == "seed" {
                case.seed = text.parse().map_err(|_| refused("a whole number"))?;
            } else if let Some(axis) = operator.axes().iter().find(|axis| axis.name == name) {
                let size = text.parse().ok().filter(|&size| (1..=1 << 24).contains(&size));
                let size = size.ok_or_else(|| refused("1 to 16777216"))?;
                case.sizes.insert(axis.name, size);
            } else if let Some(attr) = operator.attrs().iter().find(|attr| attr.name == name) {
                let value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
                if !attr.takes(&value) {
                    return Err(refused(&attr.allowed()));
                }
                case.attrs.insert(name.to_string(), value);
            } else {
                return Err(Invalid::new("case", part, "the axes and attributes of its operator"));
            }
        }
        Ok(case)
    }
}
