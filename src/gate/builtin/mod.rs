//! Plummet's own operators as a target of the gate: judged like any other, never the oracle.
//!
//! At `f32` calls go through the fast paths, at `f64` through the references; what has no operator
//! of its own (a feed-forward, a residual, a block, a stack) is composed as the trainer does it.
//! The kernels for a GPU can be put in their place, interpreted; they store 16 bits too. The norm that
//! clipping needs, schedules and initialisations are the CPU's in any case, and `f32`.
//!
//! There is no `lecun_uniform` and no 16-bit arithmetic; what has no kernels is not served by them.

mod program;
mod training;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::backend::device::{Device, Interpreted, Machine, OnMachine};
use crate::backend::{Backend, Host};
use crate::check::call::{Broken, Call, Candidate, Claims, Dir, Hello, Identity, Reply, Served};
use crate::check::scope;
use crate::check::spec::init::SCHEMES;
use crate::check::spec::operator::{Setting, number};
use crate::check::tensor::{Dtype, Tensor, Tensors};
use crate::num::Num;
use crate::op::device::STORAGES;
use crate::setting::Invalid;
use crate::stack::init;

/// Plummet's operators on the CPU, in one dtype, or by their kernels, in some.
#[derive(Debug, Clone)]
pub struct Builtin {
    dtypes: Vec<Dtype>,
    /// None for the CPU.
    kernels: Option<Interpreted>,
}

/// What is composed of several operators, as the trainer does it.
const COMPOSED: [&str; 4] = ["feed_forward", "residual", "transformer_block", "transformer_stack"];

/// Whether an operator of the specification runs as a program, forward and backward.
fn is_program(op: &str) -> bool {
    COMPOSED.contains(&op) || program::operator(op).is_some()
}

/// What the trainer does outside of programs, forward only.
const TRAINING: [&str; 4] = ["adamw", "clip_grad_norm", "lr_schedule", "init"];

impl Builtin {
    /// Plummet's operators in `f32` or `f64`.
    ///
    /// # Errors
    /// Names the dtype where it is another one.
    pub fn new(dtype: Dtype) -> Result<Builtin, Invalid> {
        match dtype {
            Dtype::F32 | Dtype::F64 => Ok(Builtin { dtypes: vec![dtype], kernels: None }),
            other => Err(Invalid::new("dtype", other, "f32, f64")),
        }
    }

    /// Plummet's kernels, interpreted, in one of the dtypes that they store or in all of them.
    ///
    /// # Errors
    /// Names the dtype where it is another one.
    pub fn interpreted(dtype: Option<Dtype>) -> Result<Builtin, Invalid> {
        let dtypes = dtype.map_or(STORAGES.to_vec(), |dtype| vec![dtype]);
        match dtypes.iter().find(|dtype| !STORAGES.contains(dtype)) {
            Some(other) => Err(Invalid::new("dtype", other, STORAGES.map(Dtype::name).join(", "))),
            None => Ok(Builtin { dtypes, kernels: Some(Interpreted::default()) }),
        }
    }

    /// Whether the operators that it takes have what they run by.
    fn runs(&self, op: &str) -> bool {
        let by_kernels = || program::operator(op).is_none_or(|op| op.kernels().is_some());
        self.kernels.is_none() || by_kernels()
    }

    fn served(&self, op: &str) -> Served {
        let dir = if is_program(op) { vec![Dir::Fwd, Dir::Bwd] } else { vec![Dir::Fwd] };
        let spec = crate::check::spec::find(op);
        // What the operator has in f64 and f32, it need not have in 16 bits.
        let known = |dtype: &Dtype| spec.is_none_or(|spec| spec.dtypes().contains(dtype));
        let stored = |dtype: &&Dtype| match dtype {
            Dtype::Bf16 => is_program(op) && known(dtype),
            // x̂ can be rounded to bf16 before the weight, and to nothing else.
            Dtype::F16 => is_program(op) && known(dtype) && op != "rms_norm",
            _ => true,
        };
        let dtypes = self.dtypes.iter().filter(stored).copied().collect();
        let known = spec.map(scope::everything).unwrap_or_default();
        let mut served = Served { dir: Some(dir), dtype: Some(dtypes), ..known };
        if op == "init" {
            let judged =
                |id: &str| SCHEMES.iter().any(|s| matches!(s, Setting::Word(w) if *w == id));
            let schemes = init::ALL.iter().map(|init| init.id).filter(|id| judged(id));
            let schemes: Vec<Value> = schemes.map(Value::from).collect();
            served.attrs = [("scheme".into(), schemes), ("gain".into(), vec![json!(1.0)])].into();
        }
        if op == "lr_schedule" {
            let kinds = ["constant", "linear", "cosine"].map(Value::from).to_vec();
            served.attrs.insert("kind".into(), kinds);
        }
        served
    }
}

impl Candidate for Builtin {
    fn hello(&mut self) -> Result<Hello, Broken> {
        let served = |op: &&str| (is_program(op) && self.runs(op)) || TRAINING.contains(op);
        let names = crate::check::spec::names().into_iter().filter(served);
        let ops = names.map(|op| (op.to_string(), self.served(op)));
        let ops = ops.filter(|(_, served)| served.dtype != Some(Vec::new())).collect();
        let dtypes: Vec<&str> = self.dtypes.iter().map(|dtype| dtype.name()).collect();
        let backend = if self.kernels.is_none() { "cpu" } else { "cuda_interpreted" };
        let identity = Identity {
            name: format!("plummet {backend} {}", dtypes.join(" ")),
            version: env!("CARGO_PKG_VERSION").into(),
            language: "rust".into(),
        };
        let claims = Claims { deterministic: true, inputs_untouched: true, ..Claims::default() };
        Ok(Hello { identity, ops, claims })
    }

    fn run(&mut self, call: &Call) -> Result<Reply, Broken> {
        if !self.dtypes.contains(&call.dtype) || call.params_dtype != call.dtype {
            return Ok(Reply::Unsupported(format!("{} and {}", call.dtype, call.params_dtype)));
        }
        if let Some(why) = refused(call) {
            return Ok(Reply::Error(why));
        }
        // Operators assert that their arguments fit, since a wrong call is a fault of the program; a
        // call that comes over the wire is not, so that what they say is answered as an error.
        let answer = catch_unwind(AssertUnwindSafe(|| match (&self.kernels, call.dtype) {
            (Some(machine), Dtype::F32) => serve(&Device::new(machine.clone()), call),
            (Some(machine), storage) => serve_stored(machine, storage, call),
            (None, Dtype::F64) => serve(&Host::<f64>::new(), call),
            (None, _) => serve(&Host::<f32>::new(), call),
        }));
        if let Some(failure) = self.kernels.as_ref().and_then(Machine::failure) {
            // A machine that has failed does nothing any more: the next call has another.
            self.kernels = Some(Interpreted::default());
            return Ok(Reply::Error(failure));
        }
        Ok(match answer {
            Ok(Some(answer)) => Reply::Ok(answer),
            Ok(None) => Reply::Unsupported(call.op.clone()),
            Err(panic) => Reply::Error(message(&*panic)),
        })
    }
}

/// Serves what a program is made of, every operator by its kernels of a storage.
fn serve_stored(machine: &Interpreted, storage: Dtype, call: &Call) -> Option<Tensors> {
    if !is_program(&call.op) {
        return None;
    }
    let mut answer = program::run_with(&Host::<f32>::new(), call, |op| {
        let stored = OnMachine::new(op.clone(), machine.clone()).map(|op| op.storing(storage));
        Arc::new(stored.unwrap_or_else(|| panic!("{} has no kernels", op.id())))
    });
    answer.retain(|name, _| call.want.contains(name));
    Some(answer)
}

fn serve<B: Backend>(backend: &B, call: &Call) -> Option<Tensors> {
    let mut answer = match call.op.as_str() {
        "adamw" => training::adamw(backend, call),
        "clip_grad_norm" => training::clip_grad_norm::<B::Number>(call),
        "lr_schedule" => training::lr_schedule(call),
        "init" => training::init(call)?,
        op if is_program(op) => program::run(backend, call),
        _ => return None,
    };
    answer.retain(|name, _| call.want.contains(name));
    Some(answer)
}

/// Why a call has no answer: a variance of one row, a target that is no class.
fn refused(call: &Call) -> Option<String> {
    let classes = match call.op.as_str() {
        "batch_norm" if call.attrs["training"] == true && call.tensors["x"].shape[0] == 1 => {
            return Some("x has 1 row: the variance of a batch needs 2 or more".into());
        }
        "cross_entropy" => call.tensors["logits"].shape[1],
        "transformer_stack" => call.tensors["embed.weight"].shape[0],
        _ => return None,
    };
    let targets = call.tensors.get("target").or(call.tensors.get("targets"))?;
    let ignored = number(&call.attrs, "ignore_index");
    let mut targets = targets.values.iter();
    let stranger = targets.find(|&&t| t != ignored && !(0.0..classes as f64).contains(&t))?;
    Some(format!("target {stranger}: allowed is 0 to {}, or {ignored}", classes - 1))
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_string()
}

/// A buffer with these numbers.
fn buffer<B: Backend>(backend: &B, numbers: &[f64]) -> B::Buffer {
    let mut buffer = backend.allocate(&[numbers.len()]).remove(0);
    fill(backend, &mut buffer, numbers);
    buffer
}

/// Fills a buffer with as many numbers.
fn fill<B: Backend>(backend: &B, buffer: &mut B::Buffer, numbers: &[f64]) {
    backend.upload(buffer, 0..numbers.len(), |to| {
        for (to, &number) in to.iter_mut().zip(numbers) {
            *to = B::Number::num(number);
        }
    });
}

/// A tensor of numbers of any kind.
fn tensor<T: crate::num::Num>(dtype: Dtype, shape: &[usize], values: &[T]) -> Tensor {
    Tensor::new(dtype, shape, values.iter().map(|value| value.value()).collect())
}
