//! The only training loop.
//!
//! A step's batch is cut into a fixed number of shards. Every shard runs the whole stack, forward
//! and backward, on one thread with buffers of its own; the gradients are added in the order of
//! the shards. So the work scales with cores without a lock in any operator, and the bits do not
//! depend on the number of threads.

mod footprint;
mod gradient;
mod optimizer;
mod run;
mod schedule;
mod snapshot;
mod task;
mod verdict;

use std::sync::Arc;

use rayon::prelude::*;

pub use footprint::Footprint;
pub use gradient::{clip_factor, norm};
pub use optimizer::Optimizer;
pub use run::{Error, Progress, Quiet, run};
pub use schedule::learning_rate;
pub use task::{Batch, Corpus};
pub use verdict::Watch;

use crate::backend::{Buffer, Element, Host, Observer, Unobserved};
use crate::config::{Invalid, Precision, RunConfig};
use crate::op::View;
use crate::probe::Probe;
use crate::program::{Id, Program, Source, Step};
use crate::stack::{self, CLOCK, TARGETS, TOKENS};

/// Held-out batches that one measurement averages over.
const HELD_OUT_BATCHES: usize = 4;

/// One part of the batch: a host and the mean loss of its last passes.
#[derive(Debug)]
struct Shard<T> {
    host: Host<T>,
    loss: f64,
    probe: Option<Probe>,
}

/// A stack in training.
#[derive(Debug)]
pub struct Trainer<T> {
    config: RunConfig,
    corpus: Arc<Corpus>,
    parameters: Buffer<T>,
    states: Buffer<T>,
    optimizer: Optimizer<T>,
    shards: Vec<Shard<T>>,
    evaluation: Vec<Host<T>>,
    inputs: Inputs,
    batch: Batch,
    /// Working space of [`gradient::reduce`].
    squares: Vec<f64>,
    step: usize,
    /// The parameters before a probed update, where no other buffer can hold them.
    before: Vec<T>,
    footprint: Footprint,
}

/// Ids of the inputs, the same in the training and the evaluation program.
#[derive(Debug, Clone, Copy)]
struct Inputs {
    tokens: Id,
    targets: Id,
    clock: Id,
}

/// What one training step showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Stepped {
    /// Mean loss of the batch before the update.
    pub loss: f64,
    /// Learning rate of the update.
    pub lr: f64,
    /// Norm of the whole gradient before clipping.
    pub grad_norm: f64,
    /// The first value that was not finite, if one was; then nothing was updated.
    pub non_finite: Option<String>,
}

impl<T: Element> Trainer<T> {
    /// A stack at its initial weights.
    ///
    /// # Errors
    /// Where the stack would need more memory than this machine has free.
    pub fn new(config: &RunConfig, corpus: Arc<Corpus>) -> Result<Self, Invalid> {
        let samples = config.samples();
        let program = Arc::new(stack::build(config, corpus.vocabulary, samples, true));
        let evaluation = Arc::new(stack::build(config, corpus.vocabulary, samples, false));
        let footprint = Footprint::of::<T>(config, &corpus, &program, &evaluation)?;
        let inputs = Inputs {
            tokens: program.find(TOKENS).expect("an input of every stack"),
            targets: program.find(TARGETS).expect("an input of every stack"),
            clock: program.find(CLOCK).expect("an input of every stack"),
        };
        // Converted before anything else is allocated: the f64 values of a deep stack are large.
        let (depth, std, seed) = (config.depth, config.embed_std, config.seed);
        let weights = config.init.weights(&program, depth, std, seed);
        let mut parameters = Buffer::zeros(weights.len(), 0);
        for (parameter, weight) in parameters.iter_mut().zip(weights) {
            *parameter = T::num(weight);
        }
        let optimizer = Optimizer::new(config, &program);
        let host = Host::training(program.clone(), footprint.segment);
        let evaluator = Host::inference(evaluation);
        let shards = config.shards();
        let siblings = |host: Host<T>| {
            let mut hosts: Vec<Host<T>> = (1..shards).map(|_| host.sibling()).collect();
            hosts.insert(0, host);
            hosts
        };
        Ok(Trainer {
            config: config.clone(),
            corpus,
            parameters,
            states: stack::states(&program).into_iter().map(T::num).collect(),
            optimizer,
            shards: (siblings(host).into_iter())
                .map(|host| Shard { host, loss: 0.0, probe: None })
                .collect(),
            evaluation: siblings(evaluator),
            inputs,
            batch: Batch::default(),
            squares: vec![0.0; program.parameters().div_ceil(gradient::CHUNK)],
            step: 0,
            before: Vec::new(),
            footprint,
        })
    }

    /// The number of steps taken.
    pub fn step(&self) -> usize {
        self.step
    }

    /// The learned numbers, in the order of [`Program::weights`].
    pub fn parameters(&self) -> &[T] {
        &self.parameters
    }

    /// The program of one shard.
    pub fn program(&self) -> &Program {
        self.shards[0].host.program()
    }

    /// Bytes of everything that the run holds at once.
    pub fn bytes(&self) -> usize {
        self.footprint.total()
    }

    /// Bytes of the activations, their gradients and working space, of all shards together.
    pub fn activation_bytes(&self) -> usize {
        let elements: usize = self.shards.iter().map(|s| s.host.plan().elements()).sum();
        elements * size_of::<T>()
    }

    /// Takes one training step. A probe sees the first shard of the batch, and of every weight
    /// the gradient of the whole batch and the update.
    pub fn advance(&mut self, mut probe: Option<&mut Probe>) -> Stepped {
        let mut stepped = self.differentiate(probe.as_deref_mut());
        stepped.lr = learning_rate(&self.config, self.step);
        if stepped.non_finite.is_some() {
            return stepped;
        }
        let scale = clip_factor(stepped.grad_norm, self.config.clip);
        if probe.is_some() {
            self.keep_parameters();
        }
        let gradient = self.shards[0].host.gradients();
        self.optimizer.step(&mut self.parameters, gradient, stepped.lr, self.step + 1, scale);
        if let Some(probe) = probe {
            self.probe_updates(probe);
        }
        self.take_over_states();
        self.step += 1;
        stepped
    }

    /// Forward and backward over the batch of the current step, without an update.
    pub fn differentiate(&mut self, mut probe: Option<&mut Probe>) -> Stepped {
        self.corpus.training_batch(&self.config, self.step, &mut self.batch);
        let (inputs, batch, step) = (self.inputs, &self.batch, self.step);
        let (parameters, states) = (&self.parameters[..], &self.states[..]);
        let (samples, passes) = (self.config.samples(), self.config.micro_batches);
        let dloss = T::num(1.0 / (self.shards.len() * passes) as f64);
        if let Some(probe) = probe.as_deref_mut() {
            self.shards[0].probe = Some(std::mem::take(probe));
        }
        // Each thread takes its shards side by side. How many there are changes no bit: every shard
        // has its own buffers.
        let share = self.shards.len().div_ceil(rayon::current_num_threads());
        self.shards.par_chunks_mut(share).enumerate().for_each(|(part, shards)| {
            shards.iter_mut().for_each(|shard| shard.host.clear());
            shards.iter_mut().for_each(|shard| shard.loss = 0.0);
            for pass in 0..passes {
                for (i, shard) in shards.iter_mut().enumerate() {
                    let first = ((part * share + i) * passes + pass) * samples;
                    set_inputs(&mut shard.host, inputs, batch, first, samples, step);
                }
                let mut rest = &mut *shards;
                if let Some(Shard { host, probe: Some(probe), .. }) = rest.first_mut()
                    && pass == 0
                {
                    host.forward(parameters, states, probe);
                    host.backward(parameters, states, dloss, probe);
                    rest = &mut rest[1..];
                }
                Host::together(rest, |shard| &mut shard.host, parameters, states, dloss);
                for shard in &mut *shards {
                    shard.loss += shard.host.output()[0].value() / passes as f64;
                }
            }
        });
        if let (Some(probe), Some(seen)) = (probe.as_deref_mut(), self.shards[0].probe.take()) {
            *probe = seen;
        }
        let loss = self.shards.iter().map(|s| s.loss).sum::<f64>() / self.shards.len() as f64;
        let grad_norm = gradient::reduce(&mut self.shards, &mut self.squares);
        if let Some(probe) = probe {
            self.probe_gradients(probe);
        }
        let finite = loss.is_finite() && grad_norm.is_finite();
        let non_finite = if finite { None } else { Some(self.find_non_finite()) };
        Stepped { loss, lr: 0.0, grad_norm, non_finite }
    }

    /// Mean loss over some held-out batches, the same ones at every call.
    pub fn evaluate(&mut self) -> f64 {
        let (inputs, samples) = (self.inputs, self.config.samples());
        let (parameters, states) = (&self.parameters[..], &self.states[..]);
        let mut total = 0.0;
        for index in 0..HELD_OUT_BATCHES {
            self.corpus.held_out_batch(&self.config, index, &mut self.batch);
            let batch = &self.batch;
            let losses: Vec<f64> = (self.evaluation.par_iter_mut().enumerate())
                .map(|(i, host)| {
                    let passes = self.config.micro_batches;
                    let pass = |pass: usize| {
                        let first = (i * passes + pass) * samples;
                        set_inputs(host, inputs, batch, first, samples, 0);
                        host.forward(parameters, states, &mut Unobserved).value()
                    };
                    (0..passes).map(pass).sum::<f64>() / passes as f64
                })
                .collect();
            total += losses.iter().sum::<f64>() / losses.len() as f64;
        }
        total / HELD_OUT_BATCHES as f64
    }

    /// The states become the mean over the shards of what the last passes computed.
    fn take_over_states(&mut self) {
        if self.states.is_empty() {
            return;
        }
        self.states.fill(T::zero());
        let share = T::num(1.0 / self.shards.len() as f64);
        for shard in &self.shards {
            shard.host.add_carried(&mut self.states, share);
        }
    }

    fn probe_gradients(&self, probe: &mut Probe) {
        let gradient = self.shards[0].host.gradients();
        for (layer, site, range) in weight_ranges(self.program()) {
            probe.push(layer, site, "grad_norm", norm(&gradient[range]));
        }
    }

    /// Keeps the parameters for [`Trainer::probe_updates`]: in the gradient of the second shard,
    /// which the sum over the shards has taken up, or where there is none in a copy of their own.
    fn keep_parameters(&mut self) {
        match self.shards.get_mut(1) {
            Some(shard) => shard.host.gradients_mut().copy_from_slice(&self.parameters),
            None => self.before = self.parameters.to_vec(),
        }
    }

    fn probe_updates(&mut self, probe: &mut Probe) {
        let before = match self.shards.get(1) {
            Some(shard) => shard.host.gradients(),
            None => &self.before,
        };
        for (layer, site, range) in weight_ranges(self.program()) {
            let pairs = self.parameters[range.clone()].iter().zip(&before[range.clone()]);
            let update: f64 = pairs.map(|(a, b)| (a.value() - b.value()).powi(2)).sum();
            let weight = norm(&before[range]);
            probe.push(layer, site, "weight_norm", weight);
            probe.push(layer, site, "update_ratio", update.sqrt() / weight);
        }
        self.before = Vec::new();
        if let Some(shard) = self.shards.get_mut(1) {
            shard.host.gradients_mut().fill(T::zero());
        }
    }

    /// The name of the first value that is not finite, forward or backward.
    fn find_non_finite(&mut self) -> String {
        self.corpus.training_batch(&self.config, self.step, &mut self.batch);
        let (samples, passes) = (self.config.samples(), self.config.micro_batches);
        for (i, shard) in self.shards.iter_mut().enumerate() {
            for pass in 0..passes {
                let first = (i * passes + pass) * samples;
                let host = &mut shard.host;
                set_inputs(host, self.inputs, &self.batch, first, samples, self.step);
                let mut search = FirstNonFinite::default();
                host.forward(&self.parameters, &self.states, &mut search);
                if search.0.is_none() {
                    host.clear();
                    host.backward(&self.parameters, &self.states, T::one(), &mut search);
                }
                if let Some(name) = search.0 {
                    return name;
                }
            }
        }
        "the gradient".to_string()
    }
}

/// Layer, site and range in the parameter vector of every weight.
fn weight_ranges(program: &Program) -> impl Iterator<Item = (usize, &str, std::ops::Range<usize>)> {
    let mut at = 0;
    program.weights().map(move |(_, value)| {
        let range = at..at + value.shape.len();
        at = range.end;
        // What belongs to no layer stands behind the last one.
        let last = program.values().iter().filter_map(|v| v.layer).max().unwrap_or(0);
        (value.layer.unwrap_or(last + 1), value.site.as_str(), range)
    })
}

fn set_inputs<T: Element>(
    host: &mut Host<T>,
    inputs: Inputs,
    batch: &Batch,
    first: usize,
    samples: usize,
    step: usize,
) {
    for (id, tokens) in [(inputs.tokens, &batch.tokens), (inputs.targets, &batch.targets)] {
        let buffer = host.input(id);
        let seq = buffer.len() / samples;
        let part = &tokens[first * seq..(first + samples) * seq];
        for (slot, &token) in buffer.iter_mut().zip(part) {
            *slot = T::num(token as f64);
        }
    }
    host.input(inputs.clock).copy_from_slice(&[T::num(step as f64), T::num(first as f64)]);
}

/// Notes the first value that is not finite.
#[derive(Default)]
struct FirstNonFinite(Option<String>);

impl FirstNonFinite {
    fn look<T: Element>(&mut self, data: &[T], name: impl FnOnce() -> String) {
        if self.0.is_none() && data.iter().any(|x| !x.value().is_finite()) {
            self.0 = Some(name());
        }
    }
}

impl<T: Element> Observer<T> for FirstNonFinite {
    fn computed(&mut self, program: &Program, step: &Step, args: &[View<T>], outs: &[&[T]]) {
        for (view, &id) in args.iter().zip(&step.args) {
            let weight = id != Id::ABSENT && matches!(program.get(id).source, Source::Weight(_));
            if weight {
                self.look(view.data, || program.get(id).name.clone());
            }
        }
        for (out, &id) in outs.iter().zip(&step.outs) {
            self.look(out, || program.get(id).name.clone());
        }
    }
    fn gradient(&mut self, program: &Program, value: Id, gradient: &[T]) {
        self.look(gradient, || format!("the gradient of {}", program.get(value).name));
    }
}

/// What a run takes, by part; refuses one that does not fit. Allocates next to nothing.
///
/// # Errors
/// Where no plan of the run, or not the one that is asked for, fits into `config.memory`.
pub fn fits(config: &RunConfig, corpus: &Corpus) -> Result<Footprint, Invalid> {
    let build = |training| stack::build(config, corpus.vocabulary, config.samples(), training);
    let (program, evaluation) = (build(true), build(false));
    match config.precision {
        Precision::F32 => Footprint::of::<f32>(config, corpus, &program, &evaluation),
        Precision::F64 => Footprint::of::<f64>(config, corpus, &program, &evaluation),
    }
}
