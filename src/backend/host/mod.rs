//! The CPU: every pass runs on one thread, vectors over all parameters are shared by all threads.

mod buffer;
mod element;
mod gradient;
mod muon;
mod optimizer;
mod step;

use std::borrow::Cow;
use std::marker::PhantomData;
use std::ops::Range;

pub use buffer::Buffer;
pub use element::Element;
pub use gradient::norm;

use super::plan::{Action, Room};
use super::{Backend, Memory, Pace, Rule, Stretch, Update};
use crate::op::{Op, Shape};

/// The CPU, with numbers of type `T`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Host<T>(PhantomData<T>);

impl<T> Host<T> {
    /// The CPU; how many threads it takes is rayon's to say.
    pub fn new() -> Self {
        Host(PhantomData)
    }
}

/// Elements of one work item; sums are formed per item and then in order, so that no result
/// depends on the number of threads.
const CHUNK: usize = 1 << 14;

impl<T: Element> Backend for Host<T> {
    type Number = T;
    type Buffer = Buffer<T>;
    type Norm = gradient::Norm;
    type Pace = Pace;
    type Recording = ();

    fn lanes(&self, threads: usize) -> usize {
        threads
    }

    fn room(&self, op: &dyn Op, shapes: &[Shape]) -> Room {
        Room { saved: T::saved(op, shapes), scratch: T::scratch(op, shapes) }
    }

    fn padding(&self) -> usize {
        buffer::PADDING
    }

    fn allocate(&self, lens: &[usize]) -> Vec<Buffer<T>> {
        Buffer::several(lens)
    }

    fn upload(&self, to: &mut Buffer<T>, range: Range<usize>, write: impl FnOnce(&mut [T])) {
        write(&mut to[range]);
    }

    fn download<'a>(&self, from: &'a Buffer<T>, range: Range<usize>) -> Cow<'a, [T]> {
        Cow::Borrowed(&from[range])
    }

    fn copy(&self, from: &Buffer<T>, range: Range<usize>, to: &mut Buffer<T>, at: usize) {
        to[at..at + range.len()].copy_from_slice(&from[range]);
    }

    fn forward(&self, op: &dyn Op, action: &Action, memory: &mut Memory<Self>) {
        step::forward(op, action, memory);
    }

    fn vjp(&self, op: &dyn Op, action: &Action, memory: &mut Memory<Self>) {
        step::vjp(op, action, memory);
    }

    fn reduce(&self, gradients: &mut [Buffer<T>], losses: &[Buffer<T>], norm: &mut gradient::Norm) {
        gradient::reduce(gradients, losses, norm);
    }

    fn read(&self, norm: &gradient::Norm) -> f64 {
        norm.value
    }

    fn set_pace(&self, to: &mut Pace, pace: Pace, _rule: &Rule, _stretches: &[Stretch]) {
        *to = pace;
    }

    fn update(&self, update: Update<Self>) {
        optimizer::update(update);
    }

    fn prefetch(&self, buffer: &Buffer<T>, range: Range<usize>) {
        step::fetch(&buffer[range]);
    }
}
