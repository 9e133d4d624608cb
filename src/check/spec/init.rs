//! `init`: the distribution of every weight.
//!
//! Xavier (Glorot & Bengio 2010), Kaiming (He et al. 2015, arXiv 1502.01852), LeCun (1998),
//! normal_02 and GPT-2 (Radford et al. 2019), DeepNorm (Wang et al. 2022, arXiv 2203.00555).
//! The values are random: what is known of them is their distribution.

use serde_json::Value;

use super::case::Case;
use super::operator::Setting::{Int, Num, Word};
use super::operator::{Attr, Axis, Formula, Named, Operator, Problem, Setting, Slot, number};
use crate::check::call::{Attrs, Call, Dir};
use crate::check::tensor::{Tensor, Tensors};
use crate::num;

pub struct Init;

pub const SCHEMES: &[Setting] = &[
    Word("xavier_uniform"),
    Word("xavier_normal"),
    Word("kaiming_uniform"),
    Word("kaiming_normal"),
    Word("lecun_uniform"),
    Word("lecun_normal"),
    Word("normal_02"),
    Word("gpt2"),
    Word("deepnorm"),
];

pub const ROLES: &[Setting] = &[
    Word("q"),
    Word("k"),
    Word("v"),
    Word("out"),
    Word("up"),
    Word("gate"),
    Word("down"),
    Word("embed"),
    Word("qkv"),
];

impl Operator for Init {
    fn name(&self) -> &'static str {
        "init"
    }
    fn dirs(&self) -> &'static [Dir] {
        &[Dir::Fwd]
    }
    fn axes(&self) -> &'static [Axis] {
        &[
            Axis { name: "out", sizes: &[1, 2, 3, 7, 32, 33, 96, 129] },
            Axis { name: "in", sizes: &[1, 2, 3, 8, 31, 64, 127, 257] },
        ]
    }
    fn attrs(&self) -> &'static [Attr] {
        &[
            Attr { name: "scheme", values: SCHEMES },
            Attr { name: "role", values: ROLES },
            Attr { name: "depth", values: &[Int(12), Int(1), Int(3), Int(100)] },
            Attr { name: "layer", values: &[Int(0), Int(2), Int(99)] },
            Attr { name: "gain", values: &[Num(1.0), Num(0.5), Num(0.0), Num(2.0)] },
        ]
    }
    fn slots(&self, _: &Case) -> Vec<Slot> {
        Vec::new()
    }
    fn upstream(&self, case: &Case) -> (&'static str, Vec<usize>) {
        ("dweight", shape(&self.attributes(case)))
    }
    fn attributes(&self, case: &Case) -> Attrs {
        let mut attrs = case.attrs.clone();
        // A packed matrix is three of the size that the case names.
        let packed = slices(attrs["role"].as_str().unwrap_or_default()).len();
        let shape = [packed * case.size("out"), case.size("in")];
        let layer = case.num("layer").min(case.num("depth") - 1.0) as u64;
        attrs.insert("shape".into(), Value::from(shape.to_vec()));
        attrs.insert("layer".into(), layer.into());
        attrs.insert("seed".into(), (case.seed % (1 << 53)).into());
        attrs
    }
    fn beyond(&self, call: &Call, answer: &Tensors) -> Vec<String> {
        call.want.first().and_then(|name| answer.get(name)).map_or(Vec::new(), |w| within(call, w))
    }
    fn random(&self) -> bool {
        true
    }
}

/// A uniform weight lies within ±√3·std, which is the result of fewer than eight roundings.
fn within(call: &Call, weight: &Tensor) -> Vec<String> {
    let roles = slices(call.attrs["role"].as_str().unwrap_or_default());
    let (out, input) = (weight.shape[0] / roles.len(), weight.shape[1]);
    let slices = roles.into_iter().zip(weight.values.chunks_exact(out * input));
    let beyond = slices.filter_map(|(role, slice)| {
        let known = distribution(&call.attrs, role, out, input);
        let edge = 3f64.sqrt() * known.std;
        let most = edge * (1.0 + 8.0 * weight.dtype.unit());
        // A gain of 0 leaves nothing of a normal weight either.
        let bounded = known.uniform || known.std == 0.0;
        let wrong = slice.iter().find(|w| bounded && w.abs() > most)?;
        Some(format!("{wrong:e} in {role} is beyond ±{edge:e}"))
    });
    beyond.collect()
}

impl<R: num::Num> Formula<R> for Init {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let shape = shape(&p.call.attrs);
        // Some finite number, of which more is known as a crowd only.
        let unknown = R::zero().loosened(f64::INFINITY);
        vec![Named::new("weight", &shape, vec![unknown; shape.iter().product()])]
    }
}

/// The requested `[out, in]`.
pub fn shape(attrs: &Attrs) -> Vec<usize> {
    let sizes = attrs["shape"].as_array().expect("shape is a list");
    sizes.iter().map(|size| size.as_u64().expect("a size is a whole number") as usize).collect()
}

/// The matrices that are stacked in one, each by its role.
pub fn slices(role: &str) -> Vec<&str> {
    if role == "qkv" { vec!["q", "k", "v"] } else { vec![role] }
}

/// How the elements of one matrix are distributed, about 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distribution {
    /// The standard deviation.
    pub std: f64,
    /// Uniform on ±√3·std, else normal.
    pub uniform: bool,
}

/// The distribution of a matrix `[out, in]` of a role that is not packed.
pub fn distribution(attrs: &Attrs, role: &str, out: usize, input: usize) -> Distribution {
    let scheme = attrs["scheme"].as_str().expect("scheme is a word");
    let [depth, gain] = ["depth", "gain"].map(|name| number(attrs, name));
    let (fan_out, fan_in) = (out as f64, input as f64);
    let xavier = gain * (2.0 / (fan_in + fan_out)).sqrt();
    let ends_branch = matches!(role, "out" | "down");
    let std = match scheme {
        "gpt2" if ends_branch => 0.02 / (2.0 * depth).sqrt(),
        "gpt2" => 0.02,
        "normal_02" if role == "embed" => 0.02,
        "normal_02" => 0.02 * gain,
        _ if role == "embed" => 1.0,
        "xavier_uniform" | "xavier_normal" => xavier,
        "kaiming_uniform" | "kaiming_normal" => gain * (2.0 / fan_in).sqrt(),
        "lecun_uniform" | "lecun_normal" => gain * (1.0 / fan_in).sqrt(),
        "deepnorm" if matches!(role, "q" | "k") => xavier,
        "deepnorm" => xavier * (8.0 * depth).powf(-0.25),
        other => panic!("no scheme {other}"),
    };
    Distribution { std, uniform: scheme.ends_with("_uniform") && role != "embed" }
}
