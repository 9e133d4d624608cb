//! Random operators with a fault of a given size: the power that stage 6 states, proved.
//!
//! The figures of [`power`] are computed from the numbers of a run. Here a run's own figures are
//! read, faults of exactly that size and of half of it are planted, and it is counted under how many
//! seeds they are found. Smaller crowds than those of a check show the same, since the figures
//! follow from the numbers by one formula.
//!
//! [`power`]: crate::gate::stages::statistics::power

use rayon::prelude::*;
use serde::Serialize;

use crate::check::call::{Broken, Call, Candidate, Dir, Hello, Reply, Served};
use crate::check::spec::init;
use crate::check::spec::operator::number;
use crate::check::tensor::{Dtype, Tensor};
use crate::gate::report::Reach;
use crate::gate::stages::statistics::power::FOUND;
use crate::gate::stages::statistics::{Effort, crowds};
use crate::rng::Rng;

/// What is wrong, and by how much.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// E[y] is off by so much of x, at this rate.
    Rate { rate: f64, bias: f64 },
    /// Weights have a mean, in standard deviations.
    Mean(f64),
    /// The standard deviation is too large, or too small, by so much of it.
    Scale(f64),
    /// Values that are no numbers, at this rate.
    Bad(f64),
}

/// A right operator but for its fault, with a stream of its own.
struct Planted {
    op: &'static str,
    scheme: &'static str,
    fault: Fault,
    salt: u64,
}

impl Planted {
    fn served(&self) -> Served {
        let mut served = Served { dtype: Some(vec![Dtype::F32]), ..Served::default() };
        if self.op == "init" {
            served.attrs.insert("scheme".into(), vec![self.scheme.into()]);
        } else if let Fault::Rate { rate, .. } = self.fault {
            served.attrs.insert("p".into(), vec![rate.into()]);
        } else {
            served.attrs.insert("p".into(), vec![0.1.into()]);
        }
        served
    }
}

impl Candidate for Planted {
    fn hello(&mut self) -> Result<Hello, Broken> {
        let ops = [(self.op.to_string(), self.served())].into();
        Ok(Hello { ops, ..Hello::default() })
    }

    fn run(&mut self, call: &Call) -> Result<Reply, Broken> {
        let stream = Rng::new(self.salt).named(self.op).at(number(&call.attrs, "seed") as u64);
        let (mut rng, mut bad) = (stream, stream.named("bad"));
        let (shape, mut values) = if self.op == "init" {
            let shape = init::shape(&call.attrs);
            let role = call.attrs["role"].as_str().unwrap_or_default();
            let known = init::distribution(&call.attrs, role, shape[0], shape[1]);
            let (mean, scale) = match self.fault {
                Fault::Mean(mean) => (mean, 1.0),
                Fault::Scale(error) => (0.0, 1.0 + error),
                _ => (0.0, 1.0),
            };
            let draw = |_| {
                let unit = match known.uniform {
                    true => 3f64.sqrt() * (2.0 * rng.uniform() - 1.0),
                    false => rng.normal(),
                };
                known.std * (scale * unit + mean)
            };
            let count: usize = shape.iter().product();
            (shape, (0..count).map(draw).collect::<Vec<f64>>())
        } else {
            let x = &call.tensors[if call.dir == Dir::Fwd { "x" } else { "dy" }];
            let rate = number(&call.attrs, "p");
            // One decision a sample: samples of `drop_path` have one element here.
            let kept = match self.fault {
                Fault::Rate { bias, .. } => (1.0 - rate) * (1.0 + bias),
                _ => 1.0 - rate,
            };
            let each = |&x: &f64| if rng.uniform() < kept { x / (1.0 - rate) } else { 0.0 };
            (x.shape.clone(), x.values.iter().map(each).collect())
        };
        if let Fault::Bad(rate) = self.fault {
            values.iter_mut().filter(|_| bad.uniform() < rate).for_each(|v| *v = f64::NAN);
        }
        let weight = Tensor::new(Dtype::F32, &shape, values);
        Ok(Reply::Ok([(call.want[0].clone(), weight)].into()))
    }
}

/// How often a fault of one kind was found.
#[derive(Debug, Clone, Serialize)]
pub struct Trial {
    /// The operator.
    pub op: String,
    /// The fault, in words.
    pub fault: String,
    /// Random numbers of a run.
    pub numbers: u64,
    /// The size that is stated to be found in 99 of 100 runs.
    pub size: f64,
    /// Runs with a fault of each size, and with none.
    pub tried: usize,
    /// Those that found one of the stated size.
    pub found: usize,
    /// Those that found one of half of it.
    pub half: usize,
    /// Those that accused a right target.
    pub accused: usize,
}

impl Trial {
    /// True where the share that was found speaks not against 99 % (a chance of one in a thousand),
    /// and no right target was accused.
    pub fn holds(&self) -> bool {
        let share = self.found as f64 / self.tried as f64;
        let tail = crate::gate::stages::statistics::power::at_most(share, self.tried, FOUND);
        self.accused == 0 && (share >= FOUND || tail > 1e-3)
    }
}

/// Plants faults of the stated size under so many seeds.
pub fn table(op: Option<&str>, seeds: usize) -> Vec<Trial> {
    let mean: fn(f64) -> Fault = Fault::Mean;
    let large: fn(f64) -> Fault = Fault::Scale;
    let small: fn(f64) -> Fault = |error| Fault::Scale(-error);
    let bad: fn(f64) -> Fault = Fault::Bad;
    let bias: [fn(f64) -> Fault; 3] = [
        |bias| Fault::Rate { rate: 0.1, bias },
        |bias| Fault::Rate { rate: 0.5, bias: -bias },
        |bias| Fault::Rate { rate: 0.9, bias },
    ];
    // The operator, the scheme, in words, the fault of a size, and the size that a run states.
    type Planned<'a> = (&'a str, &'a str, String, fn(f64) -> Fault, fn(&Reach) -> f64);
    let mut plans: Vec<Planned> = Vec::new();
    for op in ["dropout", "drop_path"] {
        for (rate, fault) in [0.1, 0.5, 0.9].into_iter().zip(bias) {
            plans.push((op, "", format!("bias at p={rate}"), fault, |reach| reach.bias));
        }
        plans.push((op, "", "bad values".to_string(), bad, |reach| reach.rare));
    }
    for scheme in ["xavier_normal", "xavier_uniform"] {
        plans.push(("init", scheme, format!("mean, {scheme}"), mean, |reach| reach.bias));
        plans.push(("init", scheme, format!("scale, {scheme}"), small, |reach| reach.scale));
        plans.push(("init", scheme, format!("bad values, {scheme}"), bad, |reach| reach.rare));
    }
    let normal = "xavier_normal";
    plans.push(("init", normal, "scale, too large".to_string(), large, |reach| reach.scale));
    plans.retain(|(own, ..)| op.is_none_or(|op| op == *own));
    let effort = Effort { crowd: 1 << 15, rare: 1 << 15, ..Effort::FULL };
    let trials = plans.par_iter().map(|(op, scheme, about, fault, figure)| {
        let run = |fault: Fault, seed: u64| {
            let mut planted = Planted { op, scheme, fault, salt: seed };
            let served = planted.served();
            let evidence = crowds(&mut planted, op, &served, 10_000 * seed, effort);
            evidence.expect("what is planted answers")
        };
        let right = run(fault(0.0), 0);
        let reach = right.reach.first().expect("a run states its power");
        let size = figure(reach);
        let count = |size: f64| {
            let runs = (1..=seeds as u64).into_par_iter();
            runs.filter(|&seed| !run(fault(size), seed).findings.is_empty()).count()
        };
        Trial {
            op: op.to_string(),
            fault: about.clone(),
            numbers: reach.numbers,
            size,
            tried: seeds,
            found: count(size),
            half: count(0.5 * size),
            accused: count(0.0),
        }
    });
    trials.collect()
}
