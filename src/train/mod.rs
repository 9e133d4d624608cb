//! The only training loop.
//!
//! A step's batch is cut into a fixed number of shards. Every shard runs the whole stack, forward
//! and backward, on one thread, which takes one shard after another through the same buffers; each
//! has a vector of gradients of its own, and these are added in the order of the shards. So the work
//! scales with cores without a lock in any operator, memory and caches hold as many activations as
//! there are threads, and the bits do not depend on their number.

mod corpus;
mod footprint;
mod gradient;
mod held_out;
mod optimizer;
mod run;
mod schedule;
mod snapshot;
mod text;
mod verdict;
mod warnings;

use std::sync::Arc;

use rayon::prelude::*;

pub use crate::task::Batch;
pub use corpus::Corpus;
pub use footprint::Footprint;
pub use gradient::clip_factor;
pub use held_out::{HeldOut, Measurements};
pub use optimizer::Optimizer;
pub use run::{Error, Progress, Quiet, run, run_on};
pub use schedule::learning_rate;
pub use text::Library;
pub use verdict::{Ending, Watch, measure, steady};
pub use warnings::warnings;

use crate::backend::{Buffer, Element, Host, Observer, Unobserved, norm};
use crate::config::{Invalid, Precision, RunConfig};
use crate::op::View;
use crate::probe::Probe;
use crate::program::{Id, Program, Source, Step};
use crate::stack::{self, CLOCK, TARGETS};

/// What is known of one part of the batch.
#[derive(Debug)]
struct Shard<T> {
    /// Of the mean loss of its passes.
    gradients: Buffer<T>,
    /// What the states take over from its last pass.
    carried: Vec<T>,
    /// The mean loss of its passes.
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
    /// One per thread.
    hosts: Vec<Host<T>>,
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
    read: Id,
    targets: Id,
    clock: Id,
}

/// What one training step showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Stepped {
    /// Mean loss of the batch before the update.
    pub loss: f64,
    /// What the targets of the batch cost the model that the baseline stands for.
    pub baseline: f64,
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
        let program =
            Arc::new(stack::build(&config.architecture(), &config.task.ends(), samples, true));
        let evaluation =
            Arc::new(stack::build(&config.architecture(), &config.task.ends(), samples, false));
        let footprint = Footprint::of::<T>(config, &corpus, &program, &evaluation)?;
        let inputs = Inputs {
            read: program.find(config.task.ends().input()).expect("an input of every stack"),
            targets: program.find(TARGETS).expect("an input of every stack"),
            clock: program.find(CLOCK).expect("an input of every stack"),
        };
        // Converted before anything else is allocated: the f64 values of a deep stack are large.
        let (depth, std, seed) = (config.depth, config.embed_std(), config.seed);
        let weights = config.init.weights(&program, depth, std, seed);
        let mut parameters = Buffer::zeros(weights.len(), 0);
        for (parameter, weight) in parameters.iter_mut().zip(weights) {
            *parameter = T::num(weight);
        }
        let optimizer = Optimizer::new(config, &program);
        let host = Host::borrowing(program.clone(), footprint.segment);
        let evaluator = Host::inference(evaluation);
        let siblings = |host: Host<T>| {
            let mut hosts: Vec<Host<T>> = (1..footprint.hosts).map(|_| host.sibling()).collect();
            hosts.insert(0, host);
            hosts
        };
        let states: Buffer<T> = stack::states(&program).into_iter().map(T::num).collect();
        let shard = |number: usize| Shard {
            gradients: Buffer::zeros(parameters.len(), number + 1),
            carried: vec![T::zero(); states.len()],
            loss: 0.0,
            probe: None,
        };
        Ok(Trainer {
            config: config.clone(),
            corpus,
            shards: (0..config.shards()).map(shard).collect(),
            hosts: siblings(host),
            evaluation: siblings(evaluator),
            parameters,
            states,
            optimizer,
            inputs,
            batch: Batch::default(),
            squares: vec![0.0; program.parameters().div_ceil(crate::backend::norm::CHUNK)],
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
        self.hosts[0].program()
    }

    /// Bytes of everything that the run holds at once.
    pub fn bytes(&self) -> usize {
        self.footprint.total()
    }

    /// Bytes of the activations, their gradients and working space, of all threads together.
    pub fn activation_bytes(&self) -> usize {
        let elements: usize = self.hosts.iter().map(|host| host.plan().elements()).sum();
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
        let gradient = &self.shards[0].gradients;
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
        // How many shards a thread takes changes no bit: each has its own gradients.
        let share = share(self.shards.len(), self.hosts.len());
        let parts = self.hosts.par_iter_mut().zip(self.shards.par_chunks_mut(share)).enumerate();
        parts.for_each(|(part, (host, shards))| {
            for (i, shard) in shards.iter_mut().enumerate() {
                host.swap_gradients(&mut shard.gradients);
                host.clear();
                shard.loss = 0.0;
                for pass in 0..passes {
                    let first = ((part * share + i) * passes + pass) * samples;
                    set_inputs(host, inputs, batch, first, samples, step);
                    match &mut shard.probe {
                        Some(probe) if pass == 0 => {
                            host.forward(parameters, states, probe);
                            host.backward(parameters, states, dloss, probe);
                        }
                        _ => {
                            host.forward(parameters, states, &mut Unobserved);
                            host.backward(parameters, states, dloss, &mut Unobserved);
                        }
                    }
                    shard.loss += host.output()[0].value() / passes as f64;
                }
                host.copy_carried(&mut shard.carried);
                host.swap_gradients(&mut shard.gradients);
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
        let baseline = self.corpus.baseline_cost(&self.batch);
        Stepped { loss, baseline, lr: 0.0, grad_norm, non_finite }
    }

    /// The states become the mean over the shards of what the last passes computed.
    fn take_over_states(&mut self) {
        if self.states.is_empty() {
            return;
        }
        self.states.fill(T::zero());
        let share = T::num(1.0 / self.shards.len() as f64);
        for shard in &self.shards {
            for (state, &carried) in self.states.iter_mut().zip(&shard.carried) {
                *state += share * carried;
            }
        }
    }

    fn probe_gradients(&self, probe: &mut Probe) {
        let gradient = &self.shards[0].gradients;
        for (layer, site, range) in weight_ranges(self.program()) {
            probe.push(layer, site, "grad_norm", norm(&gradient[range]));
        }
    }

    /// Keeps the parameters for [`Trainer::probe_updates`]: in the gradient of the second shard,
    /// which the sum over the shards has taken up, or where there is none in a copy of their own.
    fn keep_parameters(&mut self) {
        match self.shards.get_mut(1) {
            Some(shard) => shard.gradients.copy_from_slice(&self.parameters),
            None => self.before = self.parameters.to_vec(),
        }
    }

    fn probe_updates(&mut self, probe: &mut Probe) {
        let before = match self.shards.get(1) {
            Some(shard) => &shard.gradients[..],
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
            shard.gradients.fill(T::zero());
        }
    }

    /// The name of the first value that is not finite, forward or backward.
    fn find_non_finite(&mut self) -> String {
        self.corpus.training_batch(&self.config, self.step, &mut self.batch);
        let (samples, passes) = (self.config.samples(), self.config.micro_batches);
        let host = &mut self.hosts[0];
        // The sum of the gradients is of no use any more.
        host.swap_gradients(&mut self.shards[0].gradients);
        let mut search = FirstNonFinite::default();
        for first in (0..self.shards.len() * passes).map(|pass| pass * samples) {
            set_inputs(host, self.inputs, &self.batch, first, samples, self.step);
            host.forward(&self.parameters, &self.states, &mut search);
            if search.0.is_none() {
                host.clear();
                host.backward(&self.parameters, &self.states, T::one(), &mut search);
            }
            if search.0.is_some() {
                break;
            }
        }
        host.swap_gradients(&mut self.shards[0].gradients);
        search.0.unwrap_or_else(|| "the gradient".to_string())
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

/// How many shards a host takes, of those that have a thread.
fn share(shards: usize, hosts: usize) -> usize {
    shards.div_ceil(hosts.min(rayon::current_num_threads()))
}

fn set_inputs<T: Element>(
    host: &mut Host<T>,
    inputs: Inputs,
    batch: &Batch,
    first: usize,
    samples: usize,
    step: usize,
) {
    for (id, numbers) in [(inputs.read, &batch.inputs), (inputs.targets, &batch.targets)] {
        let buffer = host.input(id);
        let each = buffer.len() / samples;
        let part = &numbers[first * each..(first + samples) * each];
        for (slot, &number) in buffer.iter_mut().zip(part) {
            *slot = T::num(number.into());
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
    let build = |training| {
        stack::build(&config.architecture(), &config.task.ends(), config.samples(), training)
    };
    let (program, evaluation) = (build(true), build(false));
    match config.precision {
        Precision::F32 => Footprint::of::<f32>(config, corpus, &program, &evaluation),
        Precision::F64 => Footprint::of::<f64>(config, corpus, &program, &evaluation),
    }
}
