//! From a golden case to an operator, its arguments and where its results are.

use std::sync::Arc;

use plummet::check::bodies::{Case, Results};
use plummet::choice::Described;
use plummet::op::activation::{Activation, Function, Gated};
use plummet::op::attention::{Attention, Layout};
use plummet::op::embedding::{AddPositions, Embedding};
use plummet::op::linear::Linear;
use plummet::op::loss::{
    BinaryCrossEntropy, CrossEntropy, GaussianNll, MeanSquaredError, Reduction, StudentNll,
};
use plummet::op::norm;
use plummet::op::residual::Residual;
use plummet::op::rotary::Rotary;
use plummet::op::softcap::Softcap;
use plummet::op::softmax::Softmax;
use plummet::op::weight;
use plummet::op::weight::standardised::{Root, Standardised};
use plummet::op::{Arg, Kind, Op, Shape, SharedOp};

use serde_json::Value;

use super::chain::{ABSENT, Chain};
use super::load::{Golden, Tensor};

/// An operator with the problem of a golden case.
pub struct Problem {
    pub op: SharedOp,
    pub case: Case,
    /// The names that the file has for the arguments.
    names: Vec<&'static str>,
}

/// The name of a tensor of the file, its values, and where they are in our results.
pub type Named<'g> = (&'g str, &'g Tensor, Box<dyn Fn(&Results) -> &[f64]>);

/// The outputs in the order of ours.
const OUTPUTS: [&[&str]; 3] =
    [&["y", "loss"], &["running_mean", "running_psi2", "u"], &["running_var"]];

impl Problem {
    /// Every output and gradient of a case.
    pub fn tensors<'g>(&self, golden: &'g Golden) -> Vec<Named<'g>> {
        let mut tensors: Vec<Named> = Vec::new();
        for (name, tensor) in &golden.outputs {
            let index = OUTPUTS.iter().position(|names| names.contains(&name.as_str()));
            let index = index.unwrap_or_else(|| panic!("output {name} of {}", golden.op));
            tensors.push((name, tensor, Box::new(move |results| &results.outs[index])));
        }
        for (name, tensor) in &golden.grads {
            let index = self.names.iter().position(|arg| name[1..] == **arg);
            let index = index.unwrap_or_else(|| panic!("gradient {name} of {}", golden.op));
            tensors.push((name, tensor, Box::new(move |results| &results.grads[index])));
        }
        tensors
    }
}

/// The operator of a case and its arguments.
pub fn problem(golden: &Golden) -> Problem {
    if golden.op == "rotary" {
        return rotary(golden);
    }
    let (op, names) = operator(golden);
    let tensors: Vec<Option<&Tensor>> = names.iter().map(|name| golden.args.get(*name)).collect();
    let shape = |tensor: &Option<&Tensor>| tensor.map_or(Shape::ABSENT, Tensor::shape);
    let mut shapes: Vec<Shape> = tensors.iter().map(shape).collect();
    let data = |tensor: &Option<&Tensor>| tensor.map_or(Vec::new(), |t| t.data.clone());
    let values = tensors.iter().map(data).collect();
    // Two normalised axes are one row here.
    if golden.attrs["normalized_dims"] == 2 {
        let cols = shapes[1].len();
        shapes[0] = Shape::new(&[shapes[0].len() / cols, cols]);
    }
    assert!(golden.args.keys().all(|name| names.contains(&name.as_str())), "{:?}", golden.args);
    let case = case(golden, &*op, shapes, values, golden.dy.data.clone());
    Problem { op, case, names }
}

fn case(
    golden: &Golden,
    op: &dyn Op,
    shapes: Vec<Shape>,
    values: Vec<Vec<f64>>,
    dy: Vec<f64>,
) -> Case {
    let wanted = op.args().iter().zip(&shapes);
    let wanted = wanted.map(|(arg, shape)| arg.kind.differentiable() && !shape.is_empty());
    Case {
        wanted: wanted.collect(),
        shapes,
        values,
        dy,
        start: 0.0,
        origin: format!("golden {}", golden.name),
    }
}

fn operator(golden: &Golden) -> (SharedOp, Vec<&'static str>) {
    let own = |op: SharedOp| {
        let names = op.args().iter().map(|arg| arg.name).collect();
        (op, names)
    };
    match golden.op.as_str() {
        id if has_constants(id).is_some() => {
            let op = has_constants(id).unwrap();
            let told = |attr: &Value| attr.as_str().map_or_else(|| attr.to_string(), String::from);
            let consts = op.consts();
            let stated = consts.iter().filter(|constant| !golden.attrs[constant.name].is_null());
            own(stated.fold(op, |op, constant| {
                let value = told(&golden.attrs[constant.name]);
                op.with(constant.name, &value).unwrap_or_else(|error| panic!("{id}: {error}"))
            }))
        }
        "weight_standardize" => {
            let op = Standardised {
                eps: golden.number("eps"),
                root: Root::Inside,
                ..Standardised::new()
            };
            own(Arc::new(op))
        }
        "activation" => own(Arc::new(Activation { function: function(golden) })),
        "attention" => own(Arc::new(Attention {
            heads: golden.args["q"].shape[1],
            kv_heads: golden.args["k"].shape[1],
            causal: golden.flag("causal"),
            scale: golden.attrs["scale"].as_f64(),
            softcap: golden.attrs["softcap"].as_f64().unwrap_or(0.0),
            layout: Layout::HeadMajor,
        })),
        "softmax" => own(Arc::new(Softmax)),
        "cross_entropy" => own(Arc::new(CrossEntropy {
            ignore_index: golden.number("ignore_index") as i64,
            label_smoothing: golden.number("label_smoothing"),
            z_loss: 0.0,
            reduction: match golden.word("reduction") {
                "mean" => Reduction::Mean,
                "sum" => Reduction::Sum,
                "none" => Reduction::None,
                other => panic!("reduction {other}"),
            },
        })),
        "mse" => (Arc::new(MeanSquaredError), vec!["x", "target"]),
        "gaussian_nll" => own(Arc::new(GaussianNll)),
        "student_nll" => own(Arc::new(StudentNll)),
        "binary_cross_entropy" => own(Arc::new(BinaryCrossEntropy)),
        "linear" => own(Arc::new(Linear)),
        "feed_forward" => own(Arc::new(feed_forward(golden))),
        "embedding" => embedding(golden),
        "residual" => own(Arc::new(residual(golden))),
        other => panic!("no operator for golden {other}"),
    }
}

/// The norms, the forms of weights and what else has its constants by the names of the file.
fn has_constants(id: &str) -> Option<SharedOp> {
    let form = || weight::ALL.iter().flat_map(|form| (form.make)().operators());
    let cap = || -> SharedOp { Arc::new(Softcap { cap: 1.0 }) };
    let norm = norm::named(id).map(|entry| (entry.make)());
    norm.or_else(|| form().chain([cap()]).find(|op| op.id() == id))
}

fn function(golden: &Golden) -> Function {
    let name = golden.word("fn");
    let found = Function::ALL.iter().find(|function| function.id() == name);
    *found.unwrap_or_else(|| panic!("function {name}"))
}

/// down·f(up·x), or down·(f(gate·x) ⊙ (up·x)).
fn feed_forward(golden: &Golden) -> Chain {
    const ARGS: &[Arg] =
        &[Arg::real("x"), Arg::weight("up"), Arg::weight("down"), Arg::weight("gate").optional()];
    let function = function(golden);
    let linear = || -> SharedOp { Arc::new(Linear) };
    let steps = if golden.args.contains_key("gate") {
        vec![
            (linear(), vec![0, 1, ABSENT]),
            (linear(), vec![0, 3, ABSENT]),
            (Arc::new(Gated { function }) as SharedOp, vec![5, 4]),
            (linear(), vec![6, 2, ABSENT]),
        ]
    } else {
        vec![
            (linear(), vec![0, 1, ABSENT]),
            (Arc::new(Activation { function }) as SharedOp, vec![4]),
            (linear(), vec![5, 2, ABSENT]),
        ]
    };
    Chain { args: ARGS, steps }
}

fn embedding(golden: &Golden) -> (SharedOp, Vec<&'static str>) {
    if !golden.args.contains_key("positions.weight") {
        return (Arc::new(Embedding), vec!["tokens", "embed.weight"]);
    }
    const ARGS: &[Arg] =
        &[Arg::new("tokens", Kind::Index), Arg::weight("embed"), Arg::weight("positions")];
    let steps = vec![
        (Arc::new(Embedding) as SharedOp, vec![0, 1]),
        (Arc::new(AddPositions) as SharedOp, vec![3, 2]),
    ];
    (Arc::new(Chain { args: ARGS, steps }), vec!["tokens", "embed.weight", "positions.weight"])
}

/// A sublayer x·branchᵀ under a wiring, with one norm at each of its places.
fn residual(golden: &Golden) -> Chain {
    const ARGS: &[Arg] = &[
        Arg::real("x"),
        Arg::weight("branch"),
        Arg::weight("norm_weight"),
        Arg::weight("norm_bias"),
    ];
    let norm = |value| {
        let op: SharedOp = Arc::new(norm::LayerNorm { eps: golden.number("eps") });
        (op, vec![value, 2, 3])
    };
    let branch = |value| (Arc::new(Linear) as SharedOp, vec![value, 1, ABSENT]);
    let add = |alpha, value| (Arc::new(Residual { alpha, beta: 1.0 }) as SharedOp, vec![0, value]);
    let steps = match golden.word("wiring") {
        "pre_ln" => vec![norm(0), branch(4), add(1.0, 5)],
        "post_ln" => vec![branch(0), add(1.0, 4), norm(5)],
        "deepnorm" => vec![branch(0), add(golden.number("alpha"), 4), norm(5)],
        "sandwich_ln" => vec![norm(0), branch(4), norm(5), add(1.0, 6)],
        other => panic!("wiring {other}"),
    };
    Chain { args: ARGS, steps }
}

/// [batch, heads, seq, K] from `offset` on is [batch, offset + seq, heads·K] from 0 on, with zeros
/// for the places before: an operator that turns tokens between two transpositions.
fn rotary(golden: &Golden) -> Problem {
    let [batch, heads, seq, width] = *golden.args["x"].shape.as_slice() else {
        panic!("four axes")
    };
    let offset = golden.number("offset") as usize;
    assert_eq!(golden.number("base"), Rotary::BASE);
    let turned = super::rotated::HeadMajor { rotary: Rotary::new(width, offset + seq), offset };
    let op: SharedOp = Arc::new(turned);
    let shapes = vec![Shape::new(&[batch, heads, seq, width])];
    let case =
        case(golden, &*op, shapes, vec![golden.args["x"].data.clone()], golden.dy.data.clone());
    Problem { op, case, names: vec!["x"] }
}
