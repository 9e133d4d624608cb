//! Plummet's own operators as a target of the gate: judged like any other, never the oracle.
//!
//! At `f32` calls go through the fast paths, at `f64` through the references; what has no operator
//! of its own (a feed-forward, a residual, a block, a stack) is composed as the trainer does it.
//! The kernels for a GPU can be put in their place, interpreted; the norm that clipping needs, schedules
//! and initialisations are the CPU's in any case.
//!
//! There is no `weight_standardize`, no `lecun_uniform` and no 16-bit arithmetic.

mod program;
mod training;

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

use crate::backend::device::{Device, Interpreted};
use crate::backend::{Backend, Host};
use crate::check::call::{Broken, Call, Candidate, Claims, Dir, Hello, Identity, Reply, Served};
use crate::check::spec::operator::number;
use crate::check::tensor::{Dtype, Tensor, Tensors};
use crate::num::Num;
use crate::setting::Invalid;
use crate::stack::init;

/// Plummet's operators in one dtype, on the CPU or by their kernels.
#[derive(Debug, Clone)]
pub struct Builtin {
    dtype: Dtype,
    /// None for the CPU.
    kernels: Option<Device<Interpreted>>,
}

/// What is composed of several operators, as the trainer does it.
const COMPOSED: [&str; 4] = ["feed_forward", "residual", "transformer_block", "transformer_stack"];

/// Whether an operator of the specification runs as a program, forward and backward.
fn is_program(op: &str) -> bool {
    COMPOSED.contains(&op) || crate::op::named(op).is_some()
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
            Dtype::F32 | Dtype::F64 => Ok(Builtin { dtype, kernels: None }),
            other => Err(Invalid::new("dtype", other, "f32, f64")),
        }
    }

    /// Plummet's kernels, in `f32`, interpreted.
    pub fn interpreted() -> Builtin {
        Builtin { dtype: Dtype::F32, kernels: Some(Device::new(Interpreted::default())) }
    }

    fn served(&self, op: &str) -> Served {
        let dir = if is_program(op) { vec![Dir::Fwd, Dir::Bwd] } else { vec![Dir::Fwd] };
        let mut served =
            Served { dir: Some(dir), dtype: Some(vec![self.dtype]), ..Served::default() };
        if op == "init" {
            let schemes = init::ALL.iter().filter(|init| init.id != "orthogonal");
            let schemes: Vec<Value> = schemes.map(|init| init.id.into()).collect();
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
        // What has no kernels yet is not served by them.
        let runs = |op: &str| match (&self.kernels, crate::op::named(op)) {
            (Some(device), Some(op)) => device.runs(&*op),
            _ => true,
        };
        let served = |op: &&str| is_program(op) && runs(op) || TRAINING.contains(op);
        let names = crate::check::spec::names().into_iter().filter(served);
        let ops = names.map(|op| (op.to_string(), self.served(op))).collect();
        let identity = Identity {
            name: match self.kernels {
                None => format!("plummet cpu {}", self.dtype),
                Some(_) => format!("plummet cuda_interpreted {}", self.dtype),
            },
            version: env!("CARGO_PKG_VERSION").into(),
            language: "rust".into(),
        };
        let claims = Claims { deterministic: true, inputs_untouched: true, ..Claims::default() };
        Ok(Hello { identity, ops, claims })
    }

    fn run(&mut self, call: &Call) -> Result<Reply, Broken> {
        if call.dtype != self.dtype || call.params_dtype != self.dtype {
            let why = format!("{} and {}, not {}", call.dtype, call.params_dtype, self.dtype);
            return Ok(Reply::Unsupported(why));
        }
        if let Some(why) = refused(call) {
            return Ok(Reply::Error(why));
        }
        // Operators assert that their arguments fit, since a wrong call is a fault of the program; a
        // call that comes over the wire is not, so that what they say is answered as an error.
        let answer = catch_unwind(AssertUnwindSafe(|| match (&self.kernels, self.dtype) {
            (Some(device), _) => serve(device, call),
            (None, Dtype::F64) => serve(&Host::<f64>::new(), call),
            (None, _) => serve(&Host::<f32>::new(), call),
        }));
        if let Some(failure) = self.kernels.as_ref().and_then(Backend::failure) {
            // A device that has failed does nothing any more: the next call has another.
            *self = Builtin::interpreted();
            return Ok(Reply::Error(failure));
        }
        Ok(match answer {
            Ok(Some(answer)) => Reply::Ok(answer),
            Ok(None) => Reply::Unsupported(call.op.clone()),
            Err(panic) => Reply::Error(message(&*panic)),
        })
    }
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
