//! The numbers of a batch on the device, and from there into the inputs of a pass.

use std::ops::Range;

use crate::backend::{Backend, Runner};
use crate::num::Num;
use crate::program::{Id, Program};
use crate::stack::{CLOCK, Ends, TARGETS};
use crate::task::Batch;

/// A whole batch on the device. It is filled before a step begins, so that the step itself is the
/// same list of calls every time.
#[derive(Debug)]
pub(super) struct Feed<B: Backend> {
    /// What is read, the targets, and the clock of every pass.
    parts: [Part<B>; 3],
}

#[derive(Debug)]
struct Part<B: Backend> {
    /// The input, the same in the training and the evaluation program.
    id: Id,
    batch: B::Buffer,
    /// Numbers of one pass.
    each: usize,
}

impl<B: Backend> Part<B> {
    fn of(&self, pass: usize) -> Range<usize> {
        pass * self.each..(pass + 1) * self.each
    }
}

impl<B: Backend> Feed<B> {
    /// For steps of so many passes of `program`.
    pub fn new(backend: &B, program: &Program, ends: &Ends, passes: usize) -> Self {
        let part = |name: &str| {
            let id = program.find(name).expect("an input of every stack");
            let each = program.shape(id).len();
            let batch = backend.allocate(&[passes * each]).remove(0);
            Part { id, batch, each }
        };
        Feed { parts: [part(ends.input()), part(TARGETS), part(CLOCK)] }
    }

    /// Elements for steps of so many passes.
    pub fn elements(program: &Program, ends: &Ends, passes: usize) -> usize {
        let len = |name| program.find(name).map_or(0, |id| program.shape(id).len());
        let each = [ends.input(), TARGETS, CLOCK].map(len).iter().sum::<usize>();
        each.saturating_mul(passes)
    }

    /// Takes a batch up, of step number `step`, with `samples` to a pass.
    pub fn fill(&mut self, backend: &B, batch: &Batch, step: usize, samples: usize) {
        let [read, targets, clock] = &mut self.parts;
        let passes = batch.targets.len() / targets.each;
        for (part, numbers) in [(read, &batch.inputs), (targets, &batch.targets)] {
            backend.upload(&mut part.batch, 0..numbers.len(), |to| {
                for (to, &number) in to.iter_mut().zip(numbers) {
                    *to = B::Number::num(number.into());
                }
            });
        }
        backend.upload(&mut clock.batch, 0..passes * clock.each, |to| {
            for (pass, clock) in to.chunks_exact_mut(clock.each).enumerate() {
                clock[0] = B::Number::num(step as f64);
                clock[1] = B::Number::num((pass * samples) as f64);
            }
        });
    }

    /// Sets the inputs of pass number `pass` of the batch.
    pub fn set(&self, backend: &B, runner: &mut Runner<B>, pass: usize) {
        for part in &self.parts {
            backend.copy(&part.batch, part.of(pass), runner.input(part.id), 0);
        }
    }
}
