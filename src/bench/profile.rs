//! Where the time of a step goes, by operator and direction.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::backend::{Backend, Observer, Seen};

/// An observer that adds up the time between what it sees.
#[derive(Debug)]
pub struct Stopwatch {
    last: Instant,
    /// What runs backward at the moment: seen when it begins, known to have ended at the next.
    running: Option<&'static str>,
    seconds: BTreeMap<(&'static str, bool), f64>,
}

impl Stopwatch {
    /// A stopwatch at zero.
    pub fn new() -> Self {
        Stopwatch { last: Instant::now(), running: None, seconds: BTreeMap::new() }
    }

    /// Begins a forward pass.
    pub fn start(&mut self) {
        self.last = Instant::now();
    }

    /// Ends a backward pass.
    pub fn stop(&mut self) {
        if let Some(op) = self.running.take() {
            self.lap(op, true);
        }
    }

    /// Seconds by operator, and whether backward.
    pub fn seconds(&self) -> &BTreeMap<(&'static str, bool), f64> {
        &self.seconds
    }

    fn lap(&mut self, op: &'static str, backward: bool) {
        let now = Instant::now();
        *self.seconds.entry((op, backward)).or_default() += (now - self.last).as_secs_f64();
        self.last = now;
    }
}

impl Default for Stopwatch {
    fn default() -> Self {
        Self::new()
    }
}

impl<B: Backend> Observer<B> for Stopwatch {
    fn computed(&mut self, seen: &Seen<B>) {
        self.lap(seen.step().op.id(), false);
    }
    fn gradient(&mut self, seen: &Seen<B>) {
        match self.running {
            Some(op) => self.lap(op, true),
            None => self.last = Instant::now(),
        }
        self.running = Some(seen.step().op.id());
    }
}
