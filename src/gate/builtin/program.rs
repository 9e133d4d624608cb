//! A call as a program of Plummet's operators: every real tensor is a weight, so that it has a
//! gradient.

use std::sync::Arc;

use serde_json::Value;

use crate::backend::{Backend, Observer, Runner, Seen, Unobserved};
use crate::check::call::{Attrs, Call, Dir};
use crate::check::spec::operator::number;
use crate::check::tensor::{Dtype, Tensors};
use crate::choice::Described;
use crate::config::RunConfig;
use crate::op::activation::{Activation, Function, Gated};
use crate::op::attention::Layout;
use crate::op::linear::Linear;
use crate::op::norm::{LayerNorm, NormChoice};
use crate::op::residual::Residual;
use crate::op::weight::standardised::{Root, Standardised};
use crate::op::{self, Kind, SharedOp};
use crate::program::{Id, Program, Source, Start};
use crate::setting::Setting;
use crate::stack::{
    self, Architecture, Builder, Ends, FeedForward, LOGITS, MAPS, Positions, Wiring,
};

/// Operators whose output is a loss.
const LOSSES: [&str; 5] =
    ["cross_entropy", "binary_cross_entropy", "mean_squared_error", "gaussian_nll", "student_nll"];

/// Runs a call and answers with every output of its pass.
pub fn run<B: Backend>(backend: &B, call: &Call) -> Tensors {
    run_with(backend, call, SharedOp::clone)
}

/// The same, with another body of every operator.
pub fn run_with<B: Backend>(
    backend: &B,
    call: &Call,
    body: impl Fn(&SharedOp) -> SharedOp,
) -> Tensors {
    let mut maker = Maker { call, program: Program::new() };
    let outputs = maker.make();
    maker.program.replace(body);
    let program = Arc::new(maker.program);
    // The clock of random operators stands at 0.
    let values = |name: &str| call.tensors.get(name).map_or(&[0.0; 2][..], |tensor| &tensor.values);
    let joined = |names: Vec<&str>| -> Vec<f64> {
        names.into_iter().flat_map(|name| values(name).iter().copied()).collect()
    };
    let weights = joined(program.weights().map(|(_, value)| &*value.name).collect());
    let weights = super::buffer(backend, &weights);
    let states = joined(program.states().map(|(_, value)| &*value.name).collect());
    let states = super::buffer(backend, &states);
    let mut runner = match call.dir {
        Dir::Fwd => Runner::inference(backend.clone(), program.clone()),
        Dir::Bwd => Runner::training(backend.clone(), program.clone(), 0),
    };
    let inputs = program.values().iter().filter(|value| value.source == Source::Input);
    for value in inputs {
        let id = program.find(&value.name).expect("its own value");
        super::fill(backend, runner.input(id), values(&value.name));
    }
    let mut seen = Outputs { wanted: &outputs, values: Vec::new() };
    runner.forward(&weights, &states, &mut seen);
    if call.dir == Dir::Fwd {
        let tensors = seen.values.into_iter().map(|(name, values)| {
            let shape = shape(call, name);
            (name.to_string(), super::tensor(call.dtype, &shape, &values))
        });
        return tensors.collect();
    }
    let dy = super::buffer(
        backend,
        values(if call.tensors.contains_key("dy") { "dy" } else { "dloss" }),
    );
    let count = program.parameters();
    let mut gradients = backend.allocate(&[count]).remove(0);
    runner.backward(&weights, &states, &dy, &mut gradients, &mut Unobserved);
    let mut at = 0;
    let tensors = program.weights().map(|(_, value)| {
        let range = at..at + value.shape.len();
        at = range.end;
        let shape = &call.tensors[&value.name].shape;
        let own = backend.download(&gradients, range);
        (format!("d{}", value.name), super::tensor(call.dtype, shape, &own))
    });
    tensors.collect()
}

/// The operator that a name of the specification means.
pub fn operator(id: &str) -> Option<SharedOp> {
    if id == "weight_standardize" {
        return Some(Arc::new(Standardised { root: Root::Inside, ..Standardised::new() }));
    }
    op::named(id)
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
        ("y", "weight_standardize") => of("weight"),
        ("y", _) => of("x"),
        (state, _) => of(state),
    }
}

/// Keeps the outputs as they are computed.
struct Outputs<'a, T> {
    wanted: &'a [(&'static str, Id)],
    values: Vec<(&'static str, Vec<T>)>,
}

impl<B: Backend> Observer<B> for Outputs<'_, B::Number> {
    fn computed(&mut self, seen: &Seen<B>) {
        for (index, id) in seen.step().outs.iter().enumerate() {
            let wanted = self.wanted.iter().filter(|(_, wanted)| wanted == id);
            self.values.extend(wanted.map(|(name, _)| (*name, seen.out(index).into_owned())));
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
            "transformer_block" => self.block(),
            "transformer_stack" => return self.stack(),
            _ => return self.single(),
        };
        vec![("y", y)]
    }

    /// An operator by itself, with the constants that the attributes name.
    fn single(&mut self) -> Vec<(&'static str, Id)> {
        let id = self.call.op.as_str();
        let op = operator(id).unwrap_or_else(|| unreachable!("{id} is no program"));
        let mut op = configured(op, &self.call.attrs);
        if id == "rms_norm" && self.call.dtype == Dtype::Bf16 {
            op = set(op, "storage", "bf16");
        }
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
        let first = if LOSSES.contains(&id) { "loss" } else { "y" };
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

    /// The stack that a call of a block or of a stack describes: by its attributes, and by which
    /// tensors are there.
    fn architecture(&self, first: &str) -> Architecture {
        let call = self.call;
        let there = |name: &str| call.tensors.contains_key(name);
        let rows = |name: &str| call.tensors.get(name).map_or(0, |tensor| tensor.shape[0]);
        let chosen = |text: String| -> NormChoice {
            NormChoice::read(&text).unwrap_or_else(|allowed| panic!("norm = {text}: {allowed}"))
        };
        let shape = |name: &str| call.tensors.get(name).map(|tensor| tensor.shape.clone());
        let sizes = shape("x").or(shape("tokens")).expect("x, or tokens");
        let whole = |attr: &str| number(&call.attrs, attr) as usize;
        let gate = there(&format!("{first}ffn.gate.weight"));
        let learned = there("positions.weight");
        Architecture {
            width: rows(&format!("{first}norm1.weight")),
            depth: call.attrs.get("depth").map_or(1, |_| whole("depth")),
            heads: whole("heads"),
            kv_heads: whole("kv_heads"),
            hidden: rows(&format!("{first}ffn.up.weight")),
            seq: sizes[1],
            places: rows("positions.weight"),
            norm: chosen(format!("{}(eps={})", self.word("norm"), self.num("eps"))),
            wiring: match self.word("wiring") {
                "deepnorm" => Wiring::read(&format!("deepnorm(alpha={})", self.num("alpha"))),
                wiring => Wiring::read(wiring),
            }
            .unwrap_or_else(|allowed| panic!("wiring: allowed is {allowed}")),
            norms_embedding: false,
            norms_output: there("norm.weight"),
            causal: self.flag("causal"),
            positions: if learned { Positions::Learned } else { Positions::None },
            activation: self.function(),
            ffn: if gate { FeedForward::Gated } else { FeedForward::Plain },
            biases: (MAPS.into_iter()).filter(|map| there(&format!("{first}{map}.bias"))).collect(),
            tied_head: !there("head.weight"),
            ignore_index: call
                .attrs
                .get("ignore_index")
                .map_or(-100, |_| self.num("ignore_index") as i64),
            ..RunConfig::default().architecture()
        }
    }
    fn block(&mut self) -> Id {
        let shape = &self.call.tensors["x"].shape;
        let stack = self.architecture("");
        let mut builder = Builder::new(&stack, shape[0], true);
        let x = builder.program.weight("x", shape, Start::Value(0.0));
        let y = builder.block(1, x.into()).one();
        self.program = builder.program;
        y
    }
    fn stack(&mut self) -> Vec<(&'static str, Id)> {
        let stack = self.architecture("blocks.0.");
        let (vocabulary, samples) =
            (self.call.tensors["embed.weight"].shape[0], self.call.tensors["tokens"].shape[0]);
        self.program = stack::build(&stack, &Ends::tokens(vocabulary), samples, true);
        let id = |name: &str| self.program.find(name).expect("a value of every stack");
        vec![("loss", id("loss")), ("logits", id(LOGITS))]
    }
}
