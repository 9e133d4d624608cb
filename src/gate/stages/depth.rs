//! Stage 9, depth: a target's norm inside a deep stack against the reference stack.
//!
//! An error that is harmless in one call may grow through a hundred blocks. The stack is
//! [`stack::build`]'s, worked out at `f64` by the reference operators, with every norm handed to the
//! target, forward and backward. How far a right norm may take it is measured, not assumed: the
//! same stack runs with norms whose every element is off by its whole statistical bound, up or
//! down at random, and all up, and all down. The target's error must stay below the largest of
//! these at every depth.

use crate::check::reading;
use crate::check::spec::truth;
use serde::{Deserialize, Serialize};

use crate::check::call::{Attrs, Broken, Call, Candidate, Dir, Reply, Served};
use crate::check::oracle::{self, Expected};
use crate::check::scope::Scope;
use crate::check::spec;
use crate::check::spec::operator::Attr;
use crate::check::tensor::{Dtype, Tensor, Tensors};
use crate::config::{Invalid, RunConfig};
use crate::op::norm::NormChoice;
use crate::op::{Reference, Shape, View};
use crate::plot::{Axis, Lines, Panels, Scale, Series};
use crate::program::{Id, Program, Source, Step};
use crate::rng::Rng;
use crate::stack::{self, Ends, Wiring};

/// Blocks of the stack.
pub const DEPTH: usize = 100;
/// The depths that a verdict is given at.
pub const AT: [usize; 3] = [1, 10, 100];
/// The norms that a stack has and whose rows do not see each other.
pub fn norms() -> Vec<&'static str> {
    let all = crate::op::norm::ALL.iter().map(|entry| entry.id);
    all.filter(|id| spec::norm_of_rows(id)).collect()
}

/// Stacks of right norms that are as wrong as they may be.
const READINGS: u64 = 6;

/// What came of one norm under one wiring.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Depth {
    /// The norm.
    pub op: String,
    /// How the residual stream is wired.
    pub wiring: String,
    /// The error of the stream after each block, relative to its root mean square.
    pub error: Vec<f64>,
    /// What a right norm may reach.
    pub allowed: Vec<f64>,
    /// The same of the gradient of the stream, from the last block back, where the target has a
    /// backward.
    pub gradient_error: Vec<f64>,
    /// What a right norm may reach.
    pub gradient_allowed: Vec<f64>,
}

impl Depth {
    /// True where the error stays below what is allowed at every depth, forward and backward.
    pub fn holds(&self) -> bool {
        let below = |errors: &[f64], allowed: &[f64]| {
            // Written so that a NaN does not hold.
            errors.iter().zip(allowed).all(|(error, allowed)| error <= allowed)
        };
        below(&self.error, &self.allowed) && below(&self.gradient_error, &self.gradient_allowed)
    }
    /// In words, at the depths of [`AT`].
    pub fn summary(&self) -> String {
        let at = |errors: &[f64], allowed: &[f64]| -> Vec<String> {
            AT.iter()
                .filter_map(|&depth| {
                    let (error, allowed) = (errors.get(depth - 1)?, allowed.get(depth - 1)?);
                    Some(format!("{error:.1e} of {allowed:.1e} at {depth}"))
                })
                .collect()
        };
        let mut words = format!("stream {}", at(&self.error, &self.allowed).join(", "));
        if !self.gradient_error.is_empty() {
            let gradient = at(&self.gradient_error, &self.gradient_allowed);
            words += &format!("; gradient {}", gradient.join(", "));
        }
        words
    }
}

/// Who works out the norms of a stack.
enum Norms<'a> {
    /// The oracle.
    Right,
    /// The oracle at the target's dtype, off by its statistical bound: at random, or all one way.
    Off { rng: Rng, way: Option<f64> },
    /// The target.
    Target(&'a mut dyn Candidate),
}

/// A stack at `f64` with somebody's norms: the stream after each block, and its gradient.
struct Reading {
    streams: Vec<Vec<f64>>,
    gradients: Vec<Vec<f64>>,
}

/// Runs the target's norm in a deep stack under `pre_ln` and `post_ln`.
pub fn check(
    target: &mut dyn Candidate,
    norm: &str,
    served: &Served,
    seed: u64,
) -> Result<Vec<Depth>, DepthError> {
    if !spec::norm_of_rows(norm) {
        return Err(Invalid::new("norm", norm, norms().join(", ")).into());
    }
    let mut answers = Vec::new();
    for wiring in ["pre_ln", "post_ln"].map(Wiring::usual) {
        let config = RunConfig {
            norm: NormChoice::usual(norm),
            wiring: wiring.clone(),
            depth: DEPTH,
            width: 32,
            heads: 4,
            seq: 8,
            ..RunConfig::default()
        };
        let program = stack::build(&config.architecture(), &Ends::tokens(64), 2, false);
        let weights = config.init.weights(&program, DEPTH, None, seed);
        let run = |norms| Stack::new(&program, &weights, norm, served, seed).run(norms);
        let truth = run(Norms::Right)?;
        let got = run(Norms::Target(&mut *target))?;
        let mut allowed = vec![0.0f64; DEPTH];
        let mut gradient_allowed = vec![0.0f64; DEPTH];
        for reading in 0..READINGS {
            let way = [Some(1.0), Some(-1.0)].get(reading as usize).copied().flatten();
            let rng = Rng::new(seed).named("off").at(reading);
            let off = run(Norms::Off { rng, way })?;
            widen(&mut allowed, &errors(&off.streams, &truth.streams));
            widen(&mut gradient_allowed, &errors(&off.gradients, &truth.gradients));
        }
        let backward = !got.gradients.is_empty();
        answers.push(Depth {
            op: norm.to_string(),
            wiring: wiring.id().to_string(),
            error: errors(&got.streams, &truth.streams),
            allowed,
            gradient_error: errors(&got.gradients, &truth.gradients),
            gradient_allowed: if backward { gradient_allowed } else { Vec::new() },
        });
    }
    Ok(answers)
}

/// Why there is no verdict.
#[derive(Debug)]
pub enum DepthError {
    /// The question does not hold.
    Invalid(Invalid),
    /// The target broke.
    Broken(Broken),
    /// The target did not answer with what was asked.
    Answer(String),
}

impl From<Invalid> for DepthError {
    fn from(invalid: Invalid) -> Self {
        DepthError::Invalid(invalid)
    }
}
impl From<Broken> for DepthError {
    fn from(broken: Broken) -> Self {
        DepthError::Broken(broken)
    }
}
impl std::fmt::Display for DepthError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DepthError::Invalid(invalid) => invalid.fmt(f),
            DepthError::Broken(broken) => broken.fmt(f),
            DepthError::Answer(words) => f.write_str(words),
        }
    }
}

fn widen(allowed: &mut [f64], errors: &[f64]) {
    allowed.iter_mut().zip(errors).for_each(|(allowed, error)| *allowed = allowed.max(*error));
}

/// The largest error of each stream over the root mean square of the right one.
fn errors(got: &[Vec<f64>], truth: &[Vec<f64>]) -> Vec<f64> {
    let pairs = got.iter().zip(truth);
    pairs
        .map(|(got, truth)| {
            let square: f64 = truth.iter().map(|t| t * t).sum::<f64>() / truth.len() as f64;
            let worst = got.iter().zip(truth).map(|(g, t)| (g - t).abs());
            // `max` would lose a NaN.
            let worst = worst
                .fold(0.0f64, |a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) });
            worst / square.sqrt()
        })
        .collect()
}

struct Stack<'a> {
    program: &'a Program,
    norm: &'a str,
    served: &'a Served,
    dtype: Dtype,
    values: Vec<Vec<f64>>,
}

impl<'a> Stack<'a> {
    fn new(
        program: &'a Program,
        weights: &[f64],
        norm: &'a str,
        served: &'a Served,
        seed: u64,
    ) -> Self {
        let mut rng = Rng::new(seed).named("tokens");
        let mut rest = weights;
        let values = program.values().iter().map(|value| match value.source {
            Source::Input if value.site == stack::CLOCK => vec![0.0; value.shape.len()],
            Source::Input => (0..value.shape.len()).map(|_| rng.below(64) as f64).collect(),
            Source::Weight(_) => {
                let (own, others) = rest.split_at(value.shape.len());
                rest = others;
                own.to_vec()
            }
            _ => vec![0.0; value.shape.len()],
        });
        let values = values.collect();
        // The widest that is served: `f32` where there is a choice, as a stack would use it.
        let dtypes = served.dtypes();
        let plain = dtypes.iter().find(|(data, params)| data == params && *data == Dtype::F32);
        let dtype = plain.or(dtypes.first()).map_or(Dtype::F32, |(data, _)| *data);
        Stack { program, norm, served, dtype, values }
    }

    fn run(mut self, mut norms: Norms) -> Result<Reading, DepthError> {
        for step in self.program.steps() {
            let outs = if step.op.id() == self.norm {
                vec![self.norm(step, Dir::Fwd, None, &mut norms)?.remove(0).1]
            } else {
                let mut outs: Vec<Vec<f64>> =
                    step.outs.iter().map(|&id| vec![0.0; self.program.shape(id).len()]).collect();
                let mut slices: Vec<&mut [f64]> = outs.iter_mut().map(Vec::as_mut_slice).collect();
                Reference::<f64>::forward(&*step.op, &self.views(step), &mut slices);
                outs
            };
            for (id, out) in step.outs.iter().zip(outs) {
                self.values[id.index()] = out;
            }
        }
        let streams = self.streams();
        let backward = match norms {
            Norms::Target(_) => self.served.dirs().contains(&Dir::Bwd),
            _ => true,
        };
        let mut gradients = Vec::new();
        if backward {
            let grads = self.backward(&mut norms)?;
            gradients = streams.iter().rev().map(|id| grads[id.index()].clone()).collect();
        }
        let streams = streams.iter().map(|id| self.values[id.index()].clone()).collect();
        Ok(Reading { streams, gradients })
    }

    /// The stream after each block.
    fn streams(&self) -> Vec<Id> {
        let name = |layer: usize| format!("blocks.{layer}.stream");
        (0..DEPTH).filter_map(|layer| self.program.find(&name(layer))).collect()
    }

    fn views(&self, step: &Step) -> Vec<View<'_, f64>> {
        let view = |&id: &Id| match id {
            Id::ABSENT => View::absent(),
            id => View::new(self.program.shape(id), &self.values[id.index()]),
        };
        step.args.iter().map(view).collect()
    }

    fn backward(&self, norms: &mut Norms) -> Result<Vec<Vec<f64>>, DepthError> {
        let mut grads: Vec<Vec<f64>> =
            self.program.values().iter().map(|value| vec![0.0; value.shape.len()]).collect();
        grads[self.program.loss().index()].fill(1.0);
        for step in self.program.steps().iter().rev() {
            let dy = grads[step.outs[0].index()].clone();
            if step.op.id() == self.norm {
                for (name, gradient) in self.norm(step, Dir::Bwd, Some(&dy), norms)? {
                    let own =
                        step.op.args().iter().position(|arg| name == format!("d{}", arg.name));
                    let Some(i) = own else { continue };
                    let sum = &mut grads[step.args[i].index()];
                    sum.iter_mut().zip(&gradient).for_each(|(sum, g)| *sum += g);
                }
                continue;
            }
            let mut dargs: Vec<Vec<f64>> = (step.args.iter().zip(step.op.args()))
                .map(|(&id, arg)| match arg.kind.differentiable() {
                    true => vec![0.0; self.program.shape(id).len()],
                    false => Vec::new(),
                })
                .collect();
            let mut slices: Vec<&mut [f64]> = dargs.iter_mut().map(Vec::as_mut_slice).collect();
            Reference::<f64>::vjp(&*step.op, &self.views(step), &dy, &mut slices);
            for (&id, own) in step.args.iter().zip(&dargs) {
                if id != Id::ABSENT {
                    let sum = &mut grads[id.index()];
                    sum.iter_mut().zip(own).for_each(|(sum, g)| *sum += g);
                }
            }
        }
        Ok(grads)
    }

    /// What somebody answers for one norm of the stack.
    fn norm(
        &self,
        step: &Step,
        dir: Dir,
        dy: Option<&[f64]>,
        norms: &mut Norms,
    ) -> Result<Vec<(String, Vec<f64>)>, DepthError> {
        let dtype = match norms {
            Norms::Right => Dtype::F64,
            _ => self.dtype,
        };
        let mut tensors = Tensors::new();
        for (arg, &id) in step.op.args().iter().zip(&step.args) {
            if id != Id::ABSENT {
                let shape: Shape = self.program.shape(id);
                let values = self.values[id.index()].clone();
                tensors.insert(arg.name.to_string(), Tensor::new(dtype, shape.sizes(), values));
            }
        }
        if let Some(dy) = dy {
            let shape = self.program.shape(step.outs[0]);
            tensors.insert("dy".to_string(), Tensor::new(dtype, shape.sizes(), dy.to_vec()));
        }
        let operator = spec::find(self.norm).expect("a norm of the specification");
        // The default, or the first that is served where it is not.
        let scope = Scope::new(operator, self.served);
        let plain =
            |attr: &Attr| Some((attr.name.to_string(), scope.values(attr).first()?.clone()));
        let attrs: Attrs = operator.attrs().iter().filter_map(plain).collect();
        let mut call = Call {
            id: format!("depth:{}", self.program.get(step.outs[0]).name),
            op: self.norm.to_string(),
            dir,
            dtype,
            params_dtype: dtype,
            attrs,
            want: Vec::new(),
            tensors,
        };
        let truth = truth::truth(&call);
        call.want = truth.iter().map(|named| named.name.clone()).collect();
        match norms {
            Norms::Right => Ok(truth.into_iter().map(|named| (named.name, named.data)).collect()),
            Norms::Off { rng, way } => {
                let expected = oracle::expect(&call, &reading::Reading::of(self.served, dtype));
                Ok(expected.into_iter().map(|e| off(e, rng, *way)).collect())
            }
            Norms::Target(target) => match target.run(&call)? {
                Reply::Ok(mut answer) => call
                    .want
                    .iter()
                    .zip(truth)
                    .map(|(name, truth)| match answer.remove(name) {
                        Some(tensor) if tensor.shape == truth.shape => {
                            Ok((name.clone(), tensor.values))
                        }
                        _ => Err(DepthError::Answer(format!("{name} is missing or misshapen"))),
                    })
                    .collect(),
                Reply::Unsupported(why) | Reply::Error(why) => Err(DepthError::Answer(why)),
            },
        }
    }
}

/// A right answer that is as wrong as it statistically may be.
fn off(expected: Expected, rng: &mut Rng, way: Option<f64>) -> (String, Vec<f64>) {
    let bounds = expected.truth.iter().zip(&expected.statistical);
    let values = bounds.map(|(&truth, &bound)| {
        let way = way.unwrap_or_else(|| if rng.below(2) == 0 { 1.0 } else { -1.0 });
        if bound.is_finite() { truth + way * bound } else { truth }
    });
    (expected.name, values.collect())
}

/// The picture: error over depth, the target against what is allowed, forward and backward.
pub fn picture(target: &str, answers: &[Depth]) -> Panels {
    let line = |label: &str, values: &[f64]| {
        let points = values.iter().enumerate().map(|(i, &v)| ((i + 1) as f64, v.max(1e-18)));
        Series::new(label, points.collect())
    };
    let mut panels = Vec::new();
    for answer in answers {
        let passes = [
            ("stream", "Block", &answer.error, &answer.allowed),
            ("gradient", "Block, from the last", &answer.gradient_error, &answer.gradient_allowed),
        ];
        for (what, x, error, allowed) in passes {
            if error.is_empty() {
                continue;
            }
            panels.push(Lines {
                title: format!("{} of {}", what, answer.wiring),
                x: Axis::new(x).scale(Scale::Log10),
                y: Axis::new("Error / root mean square").scale(Scale::Log10),
                series: vec![line("allowed", allowed), line(target, error)],
                ..Lines::default()
            });
        }
    }
    let op = answers.first().map_or("norm", |answer| &answer.op);
    let verdict = if answers.iter().all(Depth::holds) {
        format!("{target}: {op} stays within its bounds through {DEPTH} blocks")
    } else {
        format!("{target}: {op} leaves its bounds within {DEPTH} blocks")
    };
    Panels {
        title: verdict,
        subtitle: "Largest error of a stack that uses the target's norm, everything else exact; \
                   width 32, 4 heads"
            .to_string(),
        panels,
        same_y: true,
        notes: vec![
            "Allowed: the largest of six stacks whose norms are off by their whole statistical \
             bound, at random and all one way."
                .to_string(),
        ],
        ..Panels::default()
    }
}
