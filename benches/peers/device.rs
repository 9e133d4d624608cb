//! Plummet's worker on a device: a stack in training, or the kernels of one operator.

use std::sync::Arc;

use plummet::backend::device::{Device, Machine, Prepared};
use plummet::config;
use plummet::train::{Corpus, Trainer};

use super::operators;
use super::protocol::{Answer, Worker};

/// Our side on a machine.
pub struct OnDevice<M: Machine> {
    machine: M,
    device: config::Device,
    trainer: Option<Trainer<Device<M>>>,
    /// The operator, and whether it is called backward.
    operator: Option<(Prepared<M>, bool)>,
    /// What is copied to clear the caches, how much of it, and where to.
    clears: (M::Memory, usize, M::Memory),
}

impl<M: Machine> OnDevice<M> {
    /// A worker that copies so many bytes to clear the caches.
    pub fn new(machine: M, device: config::Device, bytes: usize) -> Self {
        let clears = (machine.allocate(bytes, true), bytes, machine.allocate(bytes, true));
        OnDevice { machine, device, trainer: None, operator: None, clears }
    }

    fn whole(&self) -> Answer<()> {
        self.machine.failure().map_or(Ok(()), Err)
    }
}

impl<M: Machine + 'static> Worker for OnDevice<M> {
    /// One shard: a device takes the whole batch at once. The step after the first one is recorded.
    fn load(&mut self, size: &str) -> Answer<(f64, Option<f64>)> {
        let config = super::config(size)?;
        let config = config::RunConfig { device: self.device, shards: Some(1), ..config };
        let corpus = Corpus::load(&config).map_err(|e| e.to_string())?;
        let backend = Device::new(self.machine.clone());
        let mut trainer =
            Trainer::new(backend, &config, Arc::new(corpus)).map_err(|e| e.to_string())?;
        let stepped = trainer.advance(None);
        trainer.advance(None);
        self.trainer = Some(trainer);
        self.whole().map(|()| (stepped.loss, Some(stepped.grad_norm)))
    }

    fn steps(&mut self, n: usize) -> Answer<()> {
        let trainer = self.trainer.as_mut().ok_or("nothing is loaded")?;
        for _ in 0..n {
            if let Some(name) = trainer.advance(None).non_finite {
                return Err(format!("{name} is not finite"));
            }
        }
        self.whole()
    }

    fn op(&mut self, name: &str, pass: &str, rows: usize, cols: usize) -> Answer<()> {
        let op = operators::named(name).ok_or(format!("there is no operator {name}"))?;
        let shapes = op.example(rows, cols);
        let prepared = Prepared::new(op, &shapes, self.machine.clone());
        let prepared = prepared.ok_or(format!("{name} has no kernels"))?;
        prepared.forward();
        self.operator = Some((prepared, pass == "backward"));
        self.whole()
    }

    fn device(&mut self, n: usize) -> Answer<f64> {
        let (operator, backward) = self.operator.as_ref().ok_or("no operator is prepared")?;
        let (from, bytes, to) = &self.clears;
        let mut seconds: Vec<f64> = (0..n.max(1))
            .map(|_| {
                self.machine.copy(from, 0, to, 0, *bytes);
                self.machine.timed(&mut || match backward {
                    true => operator.vjp(),
                    false => operator.forward(),
                })
            })
            .collect();
        self.whole()?;
        seconds.sort_by(f64::total_cmp);
        Ok(seconds[seconds.len() / 2])
    }
}
