//! A call as a program of Plummet's operators: every real tensor is a weight, so that it has a
//! gradient.

use std::sync::Arc;

use crate::backend::{Element, Host, Observer};
use crate::gate::call::{Call, Dir};
use crate::gate::operator::number;
use crate::gate::tensor::Tensors;
use crate::op::View;
use crate::op::activation::{Activation, Function, Gated};
use crate::op::attention::{Attention, Layout};
use crate::op::dropout::{DropPath, Dropout};
use crate::op::embedding::{AddPositions, Embedding};
use crate::op::linear::Linear;
use crate::op::loss::{CrossEntropy, Reduction};
use crate::op::norm::rms_norm::Cast;
use crate::op::norm::{BatchNorm, DynamicTanh, LayerNorm, RmsNorm, ScaleNorm};
use crate::op::residual::Residual;
use crate::op::softmax::Softmax;
use crate::program::{Id, Program, Source, Start, Step};

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
        let eps = || self.num("eps");
        let y = match self.call.op.as_str() {
            "layer_norm" => {
                let dims = self.num("normalized_dims") as usize;
                let shape = &self.call.tensors["x"].shape;
                let cols = shape[shape.len() - dims..].iter().product();
                let norm = LayerNorm { eps: eps() };
                let args = [self.rows("x", cols), self.flat("weight"), self.flat("bias")];
                self.program.apply("y", norm, &args)
            }
            "rms_norm" => {
                let norm = RmsNorm {
                    eps: eps(),
                    offset: self.num("offset"),
                    cast: match self.word("cast") {
                        "before_weight" => Cast::BeforeWeight,
                        _ => Cast::AfterWeight,
                    },
                    format: crate::num::Format::Exact,
                };
                let args = [self.matrix("x"), self.flat("weight")];
                self.program.apply("y", norm, &args)
            }
            "scale_norm" => {
                let norm = ScaleNorm { eps: eps() };
                let args = [self.matrix("x"), self.flat("weight")];
                self.program.apply("y", norm, &args)
            }
            "batch_norm" => return self.batch_norm(),
            "dynamic_tanh" => {
                let own = ["alpha", "weight", "bias"].map(|name| self.flat(name));
                let x = self.matrix("x");
                self.program.apply("y", DynamicTanh, &[x, own[0], own[1], own[2]])
            }
            "softmax" => {
                let x = self.matrix("x");
                self.program.apply("y", Softmax, &[x])
            }
            "activation" => {
                let (x, function) = (self.matrix("x"), self.function());
                self.program.apply("y", Activation { function }, &[x])
            }
            "linear" => {
                let x = self.matrix("x");
                self.linear(x, "weight", "bias")
            }
            "feed_forward" => {
                let x = self.matrix("x");
                self.feed_forward(x, ["up", "gate", "down"], ["", ""])
            }
            "attention" => {
                let [q, k] = ["q", "k"].map(|name| &self.call.tensors[name].shape);
                let attention = Attention {
                    heads: q[1],
                    kv_heads: k[1],
                    causal: self.flag("causal"),
                    scale: self.call.attrs["scale"].as_f64(),
                    layout: Layout::HeadMajor,
                };
                let mut args = ["q", "k", "v"].map(|name| self.weight(name)).to_vec();
                args.push(self.input("mask"));
                args.push(self.weight("bias"));
                self.program.apply("y", attention, &args)
            }
            "residual" => self.residual(),
            "transformer_block" => {
                let x = self.weight("x");
                self.block("", x)
            }
            "transformer_stack" => return self.stack(),
            "cross_entropy" => {
                let args = [self.weight("logits"), self.input("target")];
                return vec![("loss", self.loss(&args))];
            }
            "dropout" | "drop_path" => {
                let (p, seed) = (self.num("p"), self.num("seed") as u64);
                let training = self.flag("training");
                let (x, clock) = (self.weight("x"), self.program.input("clock", &[2]));
                match self.call.op.as_str() {
                    "dropout" => {
                        self.program.apply("y", Dropout { p, seed, training }, &[x, clock])
                    }
                    _ => self.program.apply("y", DropPath { p, seed, training }, &[x, clock]),
                }
            }
            other => unreachable!("{other} is no program"),
        };
        vec![("y", y)]
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
        let function = Function::ALL.into_iter().find(|function| function.id() == asked);
        function.unwrap_or_else(|| panic!("fn = {asked}: allowed is relu, gelu, gelu_tanh, silu"))
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

    fn batch_norm(&mut self) -> Vec<(&'static str, Id)> {
        let (eps, momentum) = (self.num("eps"), self.num("momentum"));
        let norm = BatchNorm { eps, momentum, training: self.flag("training") };
        let mut args = ["x", "weight", "bias"].map(|name| self.weight(name)).to_vec();
        for name in ["running_mean", "running_var"] {
            let shape = &self.call.tensors[name].shape;
            args.push(self.program.state(name, shape, Start::Value(0.0)));
        }
        let outs = self.program.apply_shared("y", Arc::new(norm), &args);
        ["y", "running_mean", "running_var"].into_iter().zip(outs).collect()
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
            let plain = <RmsNorm as crate::op::norm::Norm>::new(true);
            return self.program.apply(&site, RmsNorm { eps, ..plain }, &[x, weight]);
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
        let loss = CrossEntropy {
            ignore_index: self.num("ignore_index") as i64,
            label_smoothing: self
                .call
                .attrs
                .get("label_smoothing")
                .and_then(|s| s.as_f64())
                .unwrap_or(0.0),
            reduction: match self.call.attrs.get("reduction").and_then(|r| r.as_str()) {
                Some("sum") => Reduction::Sum,
                Some("none") => Reduction::None,
                _ => Reduction::Mean,
            },
        };
        self.program.apply("loss", loss, args)
    }
}
