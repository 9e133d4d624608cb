//! What the trainer does outside of programs: the optimiser, clipping, the schedule, initialisation.

use crate::backend::{Backend, Factors, Pace, Rule, Stretch, Update, clip_factor, norm};
use crate::check::call::Call;
use crate::check::spec::operator::number;
use crate::check::tensor::{Tensor, Tensors};
use crate::config::{RunConfig, Schedule};
use crate::num::Num;
use crate::op::Shape;
use crate::program::Role;
use crate::rng::Rng;
use crate::setting::Setting;
use crate::stack::Init;
use crate::train::learning_rate;

fn values<T: Num>(call: &Call, name: &str) -> Vec<T> {
    call.tensors[name].values.iter().map(|&value| T::num(value)).collect()
}

fn word<'a>(call: &'a Call, attr: &str) -> &'a str {
    call.attrs[attr].as_str().unwrap_or_default()
}

/// One step of the optimiser, from the moments given.
pub fn adamw<B: Backend>(backend: &B, call: &Call) -> Tensors {
    let num = |attr: &str| number(&call.attrs, attr);
    let [mut p, g, mut m, mut v] =
        ["p", "g", "m", "v"].map(|name| super::buffer(backend, &call.tensors[name].values));
    let count = call.tensors["p"].values.len();
    let rule = Rule::Adamw { beta1: num("beta1"), beta2: num("beta2"), eps: num("eps") };
    let factors = Factors { decay: num("weight_decay"), lr: 1.0, eps: 1.0, matrix: None };
    let stretches = [Stretch { range: 0..count, factors }];
    let mut pace = Default::default();
    let given = Pace { lr: num("lr"), step: num("step") as usize };
    backend.set_pace(&mut pace, given, &rule, &stretches);
    backend.update(Update {
        rule: &rule,
        stretches: &stretches,
        pace: &pace,
        clip: 0.0,
        norm: &Default::default(),
        parameters: &mut p,
        gradient: &g,
        m: &mut m,
        v: &mut v,
    });
    let shaped = |name: &str, buffer: &B::Buffer| {
        let (given, values) = (&call.tensors[name], backend.download(buffer, 0..count));
        (name.to_string(), super::tensor(given.dtype, &given.shape, &values))
    };
    [shaped("p", &p), shaped("m", &m), shaped("v", &v)].into()
}

/// The norm of all gradients together, and each of them shortened.
pub fn clip_grad_norm<T: Num>(call: &Call) -> Tensors {
    let num = |attr: &str| number(&call.attrs, attr);
    let names: Vec<&String> = call.tensors.keys().collect();
    let all: Vec<T> = names.iter().flat_map(|name| values::<T>(call, name)).collect();
    let norm = norm(&all) / num("loss_scale");
    // For the trainer a longest gradient of 0 means none; here it leaves nothing of any.
    let longest = num("max_norm");
    let factor = if longest == 0.0 { 0.0 } else { clip_factor(norm, longest) };
    let factor = T::num(factor / num("loss_scale"));
    let clipped = names.iter().map(|name| {
        let given = &call.tensors[*name];
        let values: Vec<T> = values::<T>(call, name).into_iter().map(|g| g * factor).collect();
        (name.to_string(), super::tensor(given.dtype, &given.shape, &values))
    });
    let mut answer: Tensors = clipped.collect();
    answer.insert("norm".into(), Tensor::new(call.dtype, &[], vec![norm]));
    answer
}

/// The learning rate of each step.
pub fn lr_schedule(call: &Call) -> Tensors {
    let num = |attr: &str| number(&call.attrs, attr);
    let config = RunConfig {
        schedule: match word(call, "kind") {
            "constant" => Schedule::Constant,
            "linear" => Schedule::Linear,
            _ => Schedule::Cosine,
        },
        lr: num("lr"),
        warmup: num("warmup") as usize,
        steps: num("total") as usize,
        ..RunConfig::default()
    };
    let steps = &call.tensors["step"];
    let rates = steps.values.iter().map(|&step| learning_rate(&config, step as usize)).collect();
    [("lr".to_string(), Tensor::new(call.dtype, &steps.shape, rates))].into()
}

/// A weight as it starts; nothing for a law or a gain that Plummet does not have.
pub fn init(call: &Call) -> Option<Tensors> {
    let num = |attr: &str| number(&call.attrs, attr);
    let scheme = Init::read(word(call, "scheme")).ok()?;
    if num("gain") != 1.0 {
        return None;
    }
    let sizes = call.attrs["shape"].as_array()?;
    let sizes: Vec<usize> = sizes.iter().map(|size| size.as_u64().unwrap_or(0) as usize).collect();
    let role = word(call, "role");
    // A packed projection is three matrices, each by its own law.
    let parts: Vec<&str> = if role == "qkv" { vec!["q", "k", "v"] } else { vec![role] };
    let shape = Shape::new(&[sizes[0] / parts.len(), sizes[1]]);
    let rng = Rng::new(num("seed") as u64).at(num("layer") as u64);
    let mut weight = Vec::new();
    for part in parts {
        let role = match part {
            "q" => Role::Query,
            "k" => Role::Key,
            "v" => Role::Value,
            "out" => Role::Out,
            "up" => Role::Up,
            "gate" => Role::Gate,
            "down" => Role::Down,
            "embed" => Role::Embed,
            _ => return None,
        };
        let mut own = vec![0.0; shape.len()];
        let place = (num("layer") as usize + 1, num("depth") as usize);
        let draw = scheme.draw(role, shape, place, None);
        draw.fill(shape, rng.named(part), &mut own);
        weight.extend(own);
    }
    Some([("weight".to_string(), Tensor::new(call.params_dtype, &sizes, weight))].into())
}
