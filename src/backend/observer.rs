//! Looking on while a program runs.

use std::borrow::Cow;

use super::{Action, Backend, Memory, Place};
use crate::op::Shape;
use crate::program::{Program, Step};

/// Sees every value when it is computed and every gradient when it is complete.
pub trait Observer<B: Backend> {
    /// A step has run forward.
    fn computed(&mut self, _seen: &Seen<B>) {}
    /// The gradient of a step's first output is complete: it is [`Seen::out`] 0.
    fn gradient(&mut self, _seen: &Seen<B>) {}
}

/// Nobody looks.
#[derive(Debug, Clone, Copy)]
pub struct Unobserved;

impl<B: Backend> Observer<B> for Unobserved {}

/// One step of a pass. Its numbers stay on the device until somebody asks for them.
#[derive(Debug)]
pub struct Seen<'a, B: Backend> {
    pub(super) backend: &'a B,
    pub(super) program: &'a Program,
    pub(super) action: &'a Action,
    pub(super) memory: &'a Memory<'a, B>,
}

impl<'a, B: Backend> Seen<'a, B> {
    /// The program that runs.
    pub fn program(&self) -> &'a Program {
        self.program
    }

    /// The step.
    pub fn step(&self) -> &'a Step {
        &self.program.steps()[self.action.step]
    }

    /// The shape of an argument.
    pub fn shape(&self, arg: usize) -> Shape {
        self.action.shapes[arg]
    }

    /// The numbers of an argument; none of one that is absent.
    pub fn arg(&self, index: usize) -> Cow<'a, [B::Number]> {
        let memory = self.memory;
        match &self.action.args[index] {
            Place::Nowhere => Cow::Borrowed(&[]),
            Place::Weight(range) => self.backend.download(memory.parameters, range.clone()),
            Place::State(range) => self.backend.download(memory.states, range.clone()),
            &Place::Slot(slot) => self.slot(slot, self.action.shapes[index].len()),
        }
    }

    /// The numbers of an output, or of the gradient of the first.
    pub fn out(&self, index: usize) -> Cow<'a, [B::Number]> {
        self.slot(self.action.outs[index], self.len(index))
    }

    /// Whether an output, or the gradient of the first, is finite in all its numbers.
    pub fn is_finite(&self, out: usize) -> bool {
        let slot = &self.memory.slots[self.action.outs[out]];
        self.backend.first_non_finite(slot, 0..self.len(out)).is_none()
    }

    /// Whether an argument that is learned is finite in all its numbers; any other counts as such.
    pub fn learned_is_finite(&self, arg: usize) -> bool {
        let Place::Weight(range) = &self.action.args[arg] else { return true };
        self.backend.first_non_finite(self.memory.parameters, range.clone()).is_none()
    }

    fn len(&self, out: usize) -> usize {
        self.program.shape(self.step().outs[out]).len()
    }

    fn slot(&self, slot: usize, len: usize) -> Cow<'a, [B::Number]> {
        self.backend.download(&self.memory.slots[slot], 0..len)
    }
}
