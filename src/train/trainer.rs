//! A stack in training, on any device.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::feed::Feed;
use super::{Corpus, Footprint, factors, learning_rate, rule};
use crate::backend::{Backend, Pace, Rule, Runner, Stretch, Unobserved, Update, norm};
use crate::config::{Invalid, RunConfig};
use crate::num::Num;
use crate::probe::Probe;
use crate::program::Program;
use crate::stack;
use crate::task::Batch;

/// What is known of one part of the batch.
#[derive(Debug)]
struct Shard<B: Backend> {
    /// What the states take over from its last pass.
    carried: B::Buffer,
    probe: Option<Probe>,
}

/// A stack in training.
#[derive(Debug)]
pub struct Trainer<B: Backend> {
    pub(super) backend: B,
    pub(super) config: RunConfig,
    pub(super) corpus: Arc<Corpus>,
    pub(super) parameters: B::Buffer,
    pub(super) states: B::Buffer,
    /// First moment, or momentum.
    pub(super) m: B::Buffer,
    /// Second moment; empty where the optimiser has none.
    pub(super) v: B::Buffer,
    pub(super) rule: Rule,
    stretches: Vec<Stretch>,
    /// Which states take something over when a step ends.
    carried: Vec<Range<usize>>,
    /// One per shard; after [`Backend::reduce`] the first is that of the batch.
    pub(super) gradients: Vec<B::Buffer>,
    norm: B::Norm,
    pace: B::Pace,
    /// Forward, backward and the update of a step that no probe sees.
    recording: B::Recording,
    /// One per shard: the loss of each of its passes.
    pub(super) losses: Vec<B::Buffer>,
    shards: Vec<Shard<B>>,
    /// One per lane.
    pub(super) runners: Vec<Runner<B>>,
    pub(super) evaluators: Vec<Runner<B>>,
    pub(super) feed: Feed<B>,
    pub(super) batch: Batch,
    /// The gradient of a pass's loss: its share of the mean over the passes of a step.
    pub(super) dloss: B::Buffer,
    pub(super) step: usize,
    footprint: Footprint,
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

/// A buffer that starts at these numbers.
pub(super) fn starting<B: Backend>(
    backend: &B,
    numbers: impl ExactSizeIterator<Item = f64>,
) -> B::Buffer {
    let len = numbers.len();
    let mut buffer = backend.allocate(&[len]).remove(0);
    backend.upload(&mut buffer, 0..len, |to| {
        for (to, number) in to.iter_mut().zip(numbers) {
            *to = B::Number::num(number);
        }
    });
    buffer
}

impl<B: Backend> Trainer<B> {
    /// A stack at its initial weights.
    ///
    /// # Errors
    /// Where the stack would need more memory than this machine has free.
    pub fn new(backend: B, config: &RunConfig, corpus: Arc<Corpus>) -> Result<Self, Invalid> {
        let (samples, ends) = (config.samples(), config.task.ends());
        let build =
            |training| Arc::new(stack::build(&config.architecture(), &ends, samples, training));
        let (program, evaluation) = (build(true), build(false));
        super::device::runs(&backend, config, &program)?;
        let footprint = Footprint::of(&backend, config, &corpus, &program, &evaluation)?;
        // Converted before anything else is allocated: the f64 values of a deep stack are large.
        let (depth, std, seed) = (config.depth, config.embed_std(), config.seed);
        let weights = config.init.weights(&program, depth, std, seed);
        let parameters = starting(&backend, weights.into_iter());
        let states = stack::states(&program);
        let (numbers, carried, rule) = (program.parameters(), states.len(), rule(config));
        let (shards, passes) = (config.shards(), config.micro_batches);
        let mut vectors = vec![numbers; shards + 1];
        vectors.push(if rule.has_second_moment() { numbers } else { 0 });
        let mut vectors = backend.allocate(&vectors);
        let (v, m) = (vectors.pop(), vectors.pop());
        let shard = |carried| Shard { carried, probe: None };
        let lanes = |runner: Runner<B>| {
            let mut all: Vec<Runner<B>> = (1..footprint.lanes).map(|_| runner.sibling()).collect();
            all.insert(0, runner);
            all
        };
        let mut trainer = Trainer {
            parameters,
            states: starting(&backend, states.into_iter()),
            m: m.expect("a buffer for each length"),
            v: v.expect("a buffer for each length"),
            carried: carried_ranges(&program),
            stretches: Stretch::of(&program, |value| factors(config, value)),
            rule,
            gradients: vectors,
            norm: B::Norm::default(),
            pace: B::Pace::default(),
            recording: B::Recording::default(),
            losses: backend.allocate(&vec![passes; shards]),
            shards: (backend.allocate(&vec![carried; shards]).into_iter()).map(shard).collect(),
            feed: Feed::new(&backend, &program, &ends, shards * passes),
            dloss: starting(&backend, [1.0 / (shards * passes) as f64].into_iter()),
            runners: lanes(Runner::training(backend.clone(), program, footprint.segment)),
            evaluators: lanes(Runner::inference(backend.clone(), evaluation)),
            batch: Batch::default(),
            step: 0,
            footprint,
            config: config.clone(),
            corpus,
            backend,
        };
        if config.wiring.is_profiled() {
            super::profile::set(&mut trainer);
        }
        Ok(trainer)
    }

    /// What went wrong with the device, if something did; then what the last step showed is nothing.
    pub fn failure(&self) -> Option<String> {
        self.backend.failure()
    }

    /// The number of steps taken.
    pub fn step(&self) -> usize {
        self.step
    }

    /// The learned numbers, in the order of [`Program::weights`].
    pub fn parameters(&self) -> Cow<'_, [B::Number]> {
        self.backend.download(&self.parameters, 0..self.program().parameters())
    }

    /// The program of one shard.
    pub fn program(&self) -> &Program {
        self.runners[0].program()
    }

    /// Bytes of everything that the run holds at once.
    pub fn bytes(&self) -> usize {
        self.footprint.total()
    }

    /// Bytes of the activations, their gradients and working space, of all lanes together.
    pub fn activation_bytes(&self) -> usize {
        let elements: usize = self.runners.iter().map(|runner| runner.plan().elements()).sum();
        elements * size_of::<B::Number>()
    }

    /// Takes one training step. A probe sees the first shard of the batch, and of every weight
    /// the gradient of the whole batch and the update.
    pub fn advance(&mut self, mut probe: Option<&mut Probe>) -> Stepped {
        self.feed_batch();
        let pace = Pace { lr: learning_rate(&self.config, self.step), step: self.step + 1 };
        self.backend.set_pace(&mut self.pace, pace, &self.rule, &self.stretches);
        let mut before = None;
        match probe.as_deref_mut() {
            Some(probe) => {
                self.gradient_of_batch(Some(probe));
                before = Some(self.keep_parameters());
                self.update();
            }
            None => {
                let (backend, mut recording) =
                    (self.backend.clone(), std::mem::take(&mut self.recording));
                backend.repeat(&mut recording, || {
                    self.gradient_of_batch(None);
                    self.update();
                });
                self.recording = recording;
            }
        }
        // The norm and the losses are read when all is under way, so that no device waits for it.
        let stepped = self.seen();
        if stepped.non_finite.is_some() {
            return stepped;
        }
        if let (Some(probe), Some(before)) = (probe, before) {
            self.probe_updates(probe, before);
        }
        self.take_over_states();
        self.step += 1;
        stepped
    }

    /// Forward and backward over the batch of the current step, without an update.
    pub fn differentiate(&mut self, probe: Option<&mut Probe>) -> Stepped {
        self.feed_batch();
        self.gradient_of_batch(probe);
        self.seen()
    }

    /// Moves the parameters by the gradient of the batch.
    fn update(&mut self) {
        self.backend.update(Update {
            rule: &self.rule,
            stretches: &self.stretches,
            pace: &self.pace,
            clip: self.config.clip,
            norm: &self.norm,
            parameters: &mut self.parameters,
            gradient: &self.gradients[0],
            m: &mut self.m,
            v: &mut self.v,
        });
    }

    /// Takes up the batch of the current step.
    fn feed_batch(&mut self) {
        self.corpus.training_batch(&self.config, self.step, &mut self.batch);
        self.feed.fill(&self.backend, &self.batch, self.step, self.config.samples());
    }

    /// Forward and backward over all shards, and the sum and the norm of their gradients.
    fn gradient_of_batch(&mut self, mut probe: Option<&mut Probe>) {
        let passes = self.config.micro_batches;
        let (backend, feed, dloss) = (&self.backend, &self.feed, &self.dloss);
        let (parameters, states) = (&self.parameters, &self.states);
        if let Some(probe) = probe.as_deref_mut() {
            self.shards[0].probe = Some(std::mem::take(probe));
        }
        // How many shards a lane takes changes no bit: each has its own gradients.
        let share = share(self.shards.len(), self.runners.len());
        let shards = self.shards.par_chunks_mut(share).zip(self.losses.par_chunks_mut(share));
        let shards = shards.zip(self.gradients.par_chunks_mut(share));
        let lanes = self.runners.par_iter_mut().zip(shards).enumerate();
        lanes.for_each(|(lane, (runner, ((shards, losses), gradients)))| {
            let shards = shards.iter_mut().zip(losses).zip(gradients).enumerate();
            for (i, ((shard, losses), gradient)) in shards {
                runner.clear();
                for pass in 0..passes {
                    feed.set(backend, runner, (lane * share + i) * passes + pass);
                    match &mut shard.probe {
                        Some(probe) if pass == 0 => {
                            runner.forward(parameters, states, probe);
                            runner.backward(parameters, states, dloss, gradient, probe);
                        }
                        _ => {
                            let nobody = &mut Unobserved;
                            runner.forward(parameters, states, nobody);
                            runner.backward(parameters, states, dloss, gradient, nobody);
                        }
                    }
                    runner.copy_output(losses, pass);
                }
                runner.copy_carried(&mut shard.carried);
            }
        });
        self.backend.reduce(&mut self.gradients, &self.losses, &mut self.norm);
        if let (Some(probe), Some(seen)) = (probe, self.shards[0].probe.take()) {
            *probe = seen;
            self.probe_gradients(probe);
        }
    }

    /// What the batch showed.
    fn seen(&mut self) -> Stepped {
        let passes = self.config.micro_batches;
        let mean = |losses: &B::Buffer| {
            let losses = self.backend.download(losses, 0..passes);
            losses.iter().fold(0.0, |sum, loss| sum + loss.value() / passes as f64)
        };
        let loss = self.losses.iter().map(mean).sum::<f64>() / self.losses.len() as f64;
        let grad_norm = self.backend.read(&self.norm);
        let finite = loss.is_finite() && grad_norm.is_finite();
        let non_finite = if finite { None } else { Some(self.find_non_finite()) };
        let lr = learning_rate(&self.config, self.step);
        let baseline = self.corpus.baseline_cost(&self.batch);
        Stepped { loss, baseline, lr, grad_norm, non_finite }
    }

    /// The states that take something over become the mean over the shards of what the last passes
    /// computed.
    fn take_over_states(&mut self) {
        let (backend, shards) = (&self.backend, &self.shards);
        let share = B::Number::num(1.0 / shards.len() as f64);
        for range in &self.carried {
            backend.upload(&mut self.states, range.clone(), |states| {
                states.fill(B::Number::zero());
                for shard in shards {
                    let carried = backend.download(&shard.carried, range.clone());
                    for (state, &carried) in states.iter_mut().zip(&*carried) {
                        *state += share * carried;
                    }
                }
            });
        }
    }

    fn probe_gradients(&self, probe: &mut Probe) {
        for (layer, site, range) in weight_ranges(self.program()) {
            let gradient = self.backend.download(&self.gradients[0], range);
            probe.push(layer, site, "grad_norm", norm(&gradient));
        }
    }

    /// Keeps the parameters for [`Trainer::probe_updates`]: in the gradient of the second shard,
    /// which the sum over the shards has taken up, or where there is none in a buffer of their own,
    /// which is returned.
    fn keep_parameters(&mut self) -> Option<B::Buffer> {
        let len = self.program().parameters();
        let mut own = self.gradients.len().eq(&1).then(|| self.backend.allocate(&[len]).remove(0));
        if let Some(to) = own.as_mut().or(self.gradients.get_mut(1)) {
            self.backend.copy(&self.parameters, 0..len, to, 0);
        }
        own
    }

    fn probe_updates(&mut self, probe: &mut Probe, own: Option<B::Buffer>) {
        let before = own.as_ref().unwrap_or_else(|| &self.gradients[1]);
        for (layer, site, range) in weight_ranges(self.program()) {
            let after = self.backend.download(&self.parameters, range.clone());
            let before = self.backend.download(before, range);
            let pairs = after.iter().zip(&*before);
            let update: f64 = pairs.map(|(a, b)| (a.value() - b.value()).powi(2)).sum();
            let weight = norm(&before);
            probe.push(layer, site, "weight_norm", weight);
            probe.push(layer, site, "update_ratio", update.sqrt() / weight);
        }
        let len = self.program().parameters();
        if let Some(gradient) = self.gradients.get_mut(1) {
            self.backend.upload(gradient, 0..len, |to| to.fill(B::Number::zero()));
        }
    }
}

/// Layer, site and range in the parameter vector of every weight.
fn weight_ranges(program: &Program) -> impl Iterator<Item = (usize, &str, Range<usize>)> {
    let mut at = 0;
    program.weights().map(move |(_, value)| {
        let range = at..at + value.shape.len();
        at = range.end;
        // What belongs to no layer stands behind the last one.
        let last = program.values().iter().filter_map(|v| v.layer).max().unwrap_or(0);
        (value.layer.unwrap_or(last + 1), value.site.as_str(), range)
    })
}

/// Where in the state vector lies what takes something over, neighbours in one.
fn carried_ranges(program: &Program) -> Vec<Range<usize>> {
    let (mut ranges, mut at): (Vec<Range<usize>>, _) = (Vec::new(), 0);
    for (id, value) in program.states() {
        let end = at + value.shape.len();
        if program.carries().iter().any(|carry| carry.to == id) {
            match ranges.last_mut() {
                Some(last) if last.end == at => last.end = end,
                _ => ranges.push(at..end),
            }
        }
        at = end;
    }
    ranges
}

/// How many shards a lane takes, of those that have a thread.
pub(super) fn share(shards: usize, lanes: usize) -> usize {
    shards.div_ceil(lanes.min(rayon::current_num_threads()))
}
