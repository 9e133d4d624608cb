//! A call as a program of Plummet's operators: every real tensor is a weight, so that it has a
//! gradient.

use std::sync::Arc;

use serde_json::Value;

use crate::backend::{Element, Host, Observer};
use crate::gate::call::{Attrs, Call, Dir};
use crate::gate::operator::number;
use crate::gate::tensor::Tensors;
use crate::op::activation::{Activation, Function, Gated};
use crate::op::attention::{Attention, Layout};
use crate::op::embedding::{AddPositions, Embedding};
use crate::op::linear::Linear;
use crate::op::loss::CrossEntropy;
use crate::op::norm::{LayerNorm, Norm, RmsNorm};
use crate::op::residual::Residual;
use crate::op::{self, Kind, SharedOp, View};
use crate::program::{Id, Program, Source, Start, Step};
use crate::setting::Setting;

/// Runs a call and answers with every output of its pass.
pub fn run<T: Element>(call: &Call) -> Tensors {
    let mut maker = Maker { call, program: Program::new() };
    let outputs = maker.make();
    let program = Arc::new(maker.program);
    let values = |name: &str| -> Vec<T> {
        // The clock of random operators stands at 0.
        let given = call.tensors.get(name).map_or(&[0.0; 2][..], |tensor| &tensor.values);
        given.iter().map(|&value| T::num(value)).collect()
    };
    let weights: Vec<T> = program.weights().flat_map(|(_, value)| values(&value.name)).collect();
    let states: Vec<T> = program.states().flat_map(|(_, value)| values(&value.name)).collect();
    let mut host = match call.dir {
        Dir::Fwd => Host::<T>::inference(program.clone()),
        Dir::Bwd => Host::<T>::training(program.clone(), 0),
    };
    let inputs = program.values().iter().filter(|value| value.source == Source::Input);
    for value in inputs {
        let id = program.find(&value.name).expect("its own value");
        host.input(id).copy_from_slice(&values(&value.name));
    }
    let mut seen = Seen { wanted: &outputs, values: Vec::new() };
    host.forward(&weights, &states, &mut seen);
    if call.dir == Dir::Fwd {
        let tensors = seen.values.into_iter().map(|(name, values)| {
            let shape = shape(call, name);
            (name.to_string(), super::tensor(call.dtype, &shape, &values))
        });
        return tensors.collect();
    }
    let dy = if call.tensors.contains_key("dy") { "dy" } else { "dloss" };
    host.backward_from(&weights, &states, &values(dy), &mut crate::backend::Unobserved);
    let mut rest = host.gradients();
    let tensors = program.weights().map(|(_, value)| {
        let (own, others) = rest.split_at(value.shape.len());
        rest = others;
        let shape = &call.tensors[&value.name].shape;
        (format!("d{}", value.name), super::tensor(call.dtype, shape, own))
    });
    tensors.collect()
}

/// The operator with every constant that an attribute names.
fn configured(op: SharedOp, attrs: &Attrs) -> SharedOp {
    // The protocol calls the function of an activation `fn`.
    let attr = |name: &str| attrs.get(if name == "function" { "fn" } else { name });
    op.consts().iter().fold(op, |op, constant| match attr(constant.name) {
        Some(value) => set(op, constant.name, &text(value)),
        None => op,
    })
}

/// The operator with one constant changed; what it does not take is an error of the call.
fn set(op: SharedOp, name: &str, value: &str) -> SharedOp {
    op.with(name, value).unwrap_or_else(|invalid| panic!("{invalid}"))
}

/// An attribute as a constant is written.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "auto".to_string(),
        Value::String(word) => word.clone(),
        // A whole number is one, whether or not it was written with a point.
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap_or(f64::NAN).to_string(),
        other => other.to_string(),
    }
}

/// The shape of an output of the forward pass.
fn shape(call: &Call, output: &str) -> Vec<usize> {
    let of = |name: &str| call.tensors[name].shape.clone();
    match (output, call.op.as_str()) {
        ("loss", "cross_entropy") if call.attrs["reduction"] == "none" => of("target"),
        ("loss", _) => Vec::new(),
        ("logits", _) => [of("tokens"), vec![of("embed.weight")[0]]].concat(),
        ("y", "linear") => {
            let mut shape = of("x");
            *shape.last_mut().expect("x has a row") = of("weight")[0];
            shape
        }
        ("y", "attention") => of("q"),
        ("y", _) => of("x"),
        (state, _) => of(state),
    }
}

/// Keeps the outputs as they are computed.
struct Seen<'a, T> {
    wanted: &'a [(&'static str, Id)],
    values: Vec<(&'static str, Vec<T>)>,
}

impl<T: Element> Observer<T> for Seen<'_, T> {
    fn computed(&mut self, _: &Program, step: &Step, _: &[View<T>], outs: &[&[T]]) {
        for (id, values) in step.outs.iter().zip(outs) {
            let wanted = self.wanted.iter().filter(|(_, wanted)| wanted == id);
            self.values.extend(wanted.map(|(name, _)| (*name, values.to_vec())));
        }
    }
}

/// A program in the making.
struct Maker<'a> {
    call: &'a Call,
    program: Program,
}

impl Maker<'_> {
    /// The program of the call; its outputs by name.
    fn make(&mut self) -> Vec<(&'static str, Id)> {
        let y = match self.call.op.as_str() {
            "feed_forward" => {
                let x = self.matrix("x");
                self.feed_forward(x, ["up", "gate", "down"], ["", ""])
            }
            "residual" => self.residual(),
            "transformer_block" => {
                let x = self.weight("x");
                self.block("", x)
            }
            "transformer_stack" => return self.stack(),
            _ => return self.single(),
        };
        vec![("y", y)]
    }

    /// An operator by itself, with the constants that the attributes name.
    fn single(&mut self) -> Vec<(&'static str, Id)> {
        let id = self.call.op.as_str();
        let op = op::named(id).unwrap_or_else(|| unreachable!("{id} is no program"));
        let mut op = configured(op, &self.call.attrs);
        let is_norm = op::norm::named(id).is_some();
        if id == "attention" {
            let [q, k] = ["q", "k"].map(|name| &self.call.tensors[name].shape);
            for (name, value) in [
                ("heads", q[1].to_string()),
                ("kv_heads", k[1].to_string()),
                ("layout", Layout::HeadMajor.show()),
            ] {
                op = set(op, name, &value);
            }
        }
        let args = op.args().iter().map(|arg| match arg.kind {
            // What has rows has any number of axes before them, and a stack's values have four.
            Kind::Real if arg.name == "x" && is_norm => {
                let dims = self.call.attrs.get("normalized_dims").and_then(|dims| dims.as_u64());
                let shape = &self.call.tensors["x"].shape;
                let cols = shape[shape.len() - dims.unwrap_or(1) as usize..].iter().product();
                self.rows("x", cols)
            }
            Kind::Real if matches!(id, "softmax" | "activation" | "linear") => {
                self.matrix(arg.name)
            }
            Kind::Weight if is_norm => self.flat(arg.name),
            Kind::Real | Kind::Weight => self.weight(arg.name),
            Kind::State => {
                let shape = &self.call.tensors[arg.name].shape;
                self.program.state(arg.name, shape, Start::Value(0.0))
            }
            Kind::Index | Kind::Mask => self.input(arg.name),
            Kind::Clock => self.program.input(arg.name, &[2]),
        });
        let args: Vec<Id> = args.collect();
        let first = if id == "cross_entropy" { "loss" } else { "y" };
        let states = op.args().iter().filter(|arg| arg.kind == Kind::State).map(|arg| arg.name);
        let names: Vec<&'static str> = std::iter::once(first).chain(states).collect();
        names.into_iter().zip(self.program.apply_shared(first, op, &args)).collect()
    }

    fn num(&self, attr: &str) -> f64 {
        number(&self.call.attrs, attr)
    }
    fn flag(&self, attr: &str) -> bool {
        self.call.attrs[attr] == true
    }
    fn word(&self, attr: &str) -> &str {
        self.call.attrs[attr].as_str().unwrap_or_default()
    }
    fn function(&self) -> Function {
        let asked = self.word("fn");
        Function::read(asked).unwrap_or_else(|allowed| panic!("fn = {asked}: allowed is {allowed}"))
    }

    /// A tensor with a gradient, or nothing where it is absent.
    fn weight(&mut self, name: &str) -> Id {
        self.shaped(name, |shape| shape.to_vec())
    }
    /// As a vector.
    fn flat(&mut self, name: &str) -> Id {
        self.shaped(name, |shape| vec![shape.iter().product()])
    }
    /// As rows of its last axis.
    fn matrix(&mut self, name: &str) -> Id {
        let cols = self.call.tensors[name].shape.last().copied().unwrap_or(1);
        self.rows(name, cols)
    }
    /// As rows of so many.
    fn rows(&mut self, name: &str, cols: usize) -> Id {
        self.shaped(name, |shape| vec![shape.iter().product::<usize>() / cols, cols])
    }
    fn shaped(&mut self, name: &str, shape: impl Fn(&[usize]) -> Vec<usize>) -> Id {
        match (self.program.find(name), self.call.tensors.get(name)) {
            (Some(id), _) => id,
            (None, Some(tensor)) => {
                self.program.weight(name, &shape(&tensor.shape), Start::Value(0.0))
            }
            (None, None) => Id::ABSENT,
        }
    }
    /// A tensor without gradient, or nothing where it is absent.
    fn input(&mut self, name: &str) -> Id {
        match self.call.tensors.get(name) {
            Some(tensor) => self.program.input(name, &tensor.shape),
            None => Id::ABSENT,
        }
    }

    fn linear(&mut self, x: Id, weight: &str, bias: &str) -> Id {
        let args = [x, self.weight(weight), self.weight(bias)];
        self.program.apply(&format!("{weight}.y"), Linear, &args)
    }
    /// `[up, gate, down]` and the biases of the first and the last.
    fn feed_forward(&mut self, x: Id, names: [&str; 3], biases: [&str; 2]) -> Id {
        let function = self.function();
        let up = self.linear(x, names[0], biases[0]);
        let hidden = format!("{}.hidden", names[0]);
        let hidden = if self.call.tensors.contains_key(names[1]) {
            let gate = self.linear(x, names[1], "");
            self.program.apply(&hidden, Gated { function }, &[gate, up])
        } else {
            self.program.apply(&hidden, Activation { function }, &[up])
        };
        self.linear(hidden, names[2], biases[1])
    }

    /// The one norm of a residual, at one of its places.
    fn residual_norm(&mut self, site: &str, x: Id) -> Id {
        let norm = LayerNorm { eps: self.num("eps") };
        let args = [x, self.weight("norm_weight"), self.weight("norm_bias")];
        self.program.apply(site, norm, &args)
    }
    fn residual(&mut self) -> Id {
        let (x, alpha) = (self.matrix("x"), self.num("alpha"));
        match self.word("wiring") {
            "pre_ln" => {
                let n = self.residual_norm("before", x);
                let f = self.linear(n, "branch", "");
                self.program.apply("y", Residual::PLAIN, &[x, f])
            }
            "sandwich_ln" => {
                let n = self.residual_norm("before", x);
                let f = self.linear(n, "branch", "");
                let f = self.residual_norm("behind", f);
                self.program.apply("y", Residual::PLAIN, &[x, f])
            }
            wiring => {
                let alpha = if wiring == "deepnorm" { alpha } else { 1.0 };
                let f = self.linear(x, "branch", "");
                let sum = self.program.apply("sum", Residual { alpha, beta: 1.0 }, &[x, f]);
                self.residual_norm("y", sum)
            }
        }
    }

    /// The norm of a block or stack.
    fn norm(&mut self, name: &str, x: Id) -> Id {
        let (site, eps) = (format!("{name}.y"), self.num("eps"));
        let weight = self.weight(&format!("{name}.weight"));
        if self.word("norm") == "rms_norm" {
            return self.program.apply(&site, RmsNorm { eps, ..RmsNorm::new() }, &[x, weight]);
        }
        let bias = self.weight(&format!("{name}.bias"));
        self.program.apply(&site, LayerNorm { eps }, &[x, weight, bias])
    }
    fn block(&mut self, prefix: &str, x: Id) -> Id {
        let x = self.sublayer(&format!("{prefix}norm1"), x, |maker, x| {
            let linear = |maker: &mut Self, name: &str, x: Id| {
                let name = format!("{prefix}attn.{name}");
                maker.linear(x, &format!("{name}.weight"), &format!("{name}.bias"))
            };
            let qkv = ["q", "k", "v"].map(|name| linear(maker, name, x));
            let attention = Attention {
                heads: maker.num("heads") as usize,
                kv_heads: maker.num("kv_heads") as usize,
                causal: maker.flag("causal"),
                scale: None,
                layout: Layout::TokenMajor,
            };
            let args = [qkv[0], qkv[1], qkv[2], Id::ABSENT, Id::ABSENT];
            let mixed = maker.program.apply(&format!("{prefix}attn.mixed"), attention, &args);
            linear(maker, "out", mixed)
        });
        self.sublayer(&format!("{prefix}norm2"), x, |maker, x| {
            let names = ["up", "gate", "down"].map(|name| format!("{prefix}ffn.{name}.weight"));
            let biases = ["up", "down"].map(|name| format!("{prefix}ffn.{name}.bias"));
            maker.feed_forward(x, names.each_ref().map(|s| &**s), biases.each_ref().map(|s| &**s))
        })
    }
    fn sublayer(&mut self, norm: &str, x: Id, branch: impl Fn(&mut Self, Id) -> Id) -> Id {
        let sum = format!("{norm}.sum");
        let alpha = match self.word("wiring") {
            "pre_ln" => {
                let n = self.norm(norm, x);
                let f = branch(self, n);
                return self.program.apply(&sum, Residual::PLAIN, &[x, f]);
            }
            "deepnorm" => self.num("alpha"),
            _ => 1.0,
        };
        let f = branch(self, x);
        let sum = self.program.apply(&sum, Residual { alpha, beta: 1.0 }, &[x, f]);
        self.norm(norm, sum)
    }
    fn stack(&mut self) -> Vec<(&'static str, Id)> {
        let (tokens, targets) = (self.input("tokens"), self.input("targets"));
        let embed = self.weight("embed.weight");
        let mut x = self.program.apply("embedded", Embedding, &[tokens, embed]);
        let positions = self.weight("positions.weight");
        if positions != Id::ABSENT {
            x = self.program.apply("placed", AddPositions, &[x, positions]);
        }
        for i in 0..self.num("depth") as usize {
            x = self.block(&format!("blocks.{i}."), x);
        }
        if self.call.tensors.contains_key("norm.weight") {
            x = self.norm("norm", x);
        }
        let tied = !self.call.tensors.contains_key("head.weight");
        let logits = self.linear(x, if tied { "embed.weight" } else { "head.weight" }, "");
        vec![("loss", self.loss(&[logits, targets])), ("logits", logits)]
    }
    fn loss(&mut self, args: &[Id]) -> Id {
        let loss = configured(Arc::new(CrossEntropy::default()), &self.call.attrs);
        self.program.apply_shared("loss", loss, args)[0]
    }
}
