//! A device that programs run on.
//!
//! A [`Backend`] holds numbers in its own memory, runs the steps of a [`Plan`], adds gradients and
//! updates weights. It knows no operator by name: an operator brings its own way of running
//! ([`Op`]). [`Runner`] is a program with the buffers of one pass on any backend, and the trainer is
//! written against the trait alone. [`Host`] is the CPU: `f32` through the fast paths, any other
//! number through the references.
//!
//! What a training step asks of a backend is the same list of calls in every step, with the same
//! buffers in the same order, and nothing is read back between the first and the last of them
//! unless a probe looks. So a device can record the list once and replay it ([`Backend::repeat`]): what
//! changes from step to step is uploaded before it, the learning rate by [`Backend::set_pace`].

pub mod device;
mod host;
mod observer;
mod plan;
mod runner;
mod update;

use std::borrow::Cow;
use std::fmt::Debug;
use std::ops::Range;

pub use host::{Buffer, Element, Host, norm};
pub use observer::{Observer, Seen, Unobserved};
pub use plan::{Action, First, Need, Pass, Place, Plan, Planner, Room};
pub use runner::Runner;
pub use update::{Factors, Pace, Rule, Stretch, Update, clip_factor, maps_features};

use crate::num::Num;
use crate::op::{Op, Shape};

/// A device with memory of its own that runs the steps of programs.
pub trait Backend: Clone + Debug + Send + Sync {
    /// What its numbers are on the host.
    type Number: Num;
    /// Numbers in its memory.
    type Buffer: Debug + Send + Sync;
    /// The norm of a gradient, where it was formed, and the room that forming it takes.
    type Norm: Debug + Default + Send + Sync;
    /// What changes from one update to the next, where the update reads it.
    type Pace: Debug + Default + Send + Sync;
    /// A list of calls that was kept to be done again.
    type Recording: Debug + Default + Send + Sync;

    /// Passes that run side by side where a run may have `threads` threads.
    fn lanes(&self, threads: usize) -> usize;

    /// Elements that an operator keeps from forward to backward, and of its working space.
    fn room(&self, op: &dyn Op, shapes: &[Shape]) -> Room;

    /// Elements that a buffer takes beyond its length.
    fn padding(&self) -> usize {
        0
    }

    /// Buffers of zeros that are used together.
    fn allocate(&self, lens: &[usize]) -> Vec<Self::Buffer>;

    /// Lets `write` fill a part of a buffer; what it is handed may hold anything.
    fn upload(
        &self,
        to: &mut Self::Buffer,
        range: Range<usize>,
        write: impl FnOnce(&mut [Self::Number]),
    );

    /// A part of a buffer, once everything asked for before has been done.
    fn download<'a>(&self, from: &'a Self::Buffer, range: Range<usize>) -> Cow<'a, [Self::Number]>;

    /// Copies a part of a buffer into another, from element `at` on.
    fn copy(&self, from: &Self::Buffer, range: Range<usize>, to: &mut Self::Buffer, at: usize);

    /// Runs an operator forward, from and to the places that the action names.
    fn forward(&self, op: &dyn Op, action: &Action, memory: &mut Memory<Self>);

    /// Runs an operator backward. The gradient of a value that [`Action::fresh`] names is
    /// overwritten, any other is added to.
    fn vjp(&self, op: &dyn Op, action: &Action, memory: &mut Memory<Self>);

    /// Adds the other gradients to the first, element by element in their order, forms the
    /// Euclidean norm of the sum, and notes whether it and all these losses are finite.
    fn reduce(
        &self,
        gradients: &mut [Self::Buffer],
        losses: &[Self::Buffer],
        norm: &mut Self::Norm,
    );

    /// The number that [`Backend::reduce`] formed, once it has been.
    fn read(&self, norm: &Self::Norm) -> f64;

    /// Sets what the next update by this rule over these stretches takes.
    fn set_pace(&self, to: &mut Self::Pace, pace: Pace, rule: &Rule, stretches: &[Stretch]);

    /// Does a list of calls, the same with the same buffers every time that it is asked for with this
    /// recording: none but copies, [`Backend::forward`], [`Backend::vjp`], [`Backend::reduce`] and
    /// [`Backend::update`]. A device may keep the list, and from then on do it without asking.
    fn repeat(&self, _recording: &mut Self::Recording, calls: impl FnOnce()) {
        calls();
    }

    /// Moves the parameters by one step of the optimiser, if the norm and the losses were finite.
    fn update(&self, update: Update<Self>);

    /// The place of the first number within `range` that is not finite.
    fn first_non_finite(&self, buffer: &Self::Buffer, range: Range<usize>) -> Option<usize> {
        let start = range.start;
        let at = self.download(buffer, range).iter().position(|x| !x.value().is_finite())?;
        Some(start + at)
    }

    /// Whether it has a way to run an operator.
    fn runs(&self, _op: &dyn Op) -> bool {
        true
    }

    /// Whether it can move parameters by a rule.
    fn follows(&self, _rule: &Rule) -> bool {
        true
    }

    /// What it is, for the record of a run; nothing for the CPU, of which every one gives the same bits.
    fn name(&self) -> Option<String> {
        None
    }

    /// Bytes of its own memory that are free; nothing where that is the host's.
    fn free(&self) -> Option<u64> {
        None
    }

    /// What went wrong with the device itself first, if something did; nothing after it had an effect.
    fn failure(&self) -> Option<String> {
        None
    }

    /// Says that a part of a buffer is read or written soon. Nothing depends on it but time.
    fn prefetch(&self, _buffer: &Self::Buffer, _range: Range<usize>) {}
}

/// Everything that an action may read and write.
#[derive(Debug)]
pub struct Memory<'a, B: Backend> {
    /// The learned numbers.
    pub parameters: &'a B::Buffer,
    /// Numbers that are carried from step to step.
    pub states: &'a B::Buffer,
    /// Buffers that values, their gradients and what operators keep share in turn.
    pub slots: &'a mut [B::Buffer],
    /// Working space of one operator at a time.
    pub scratch: &'a mut B::Buffer,
    /// Gradients of the parameters, at the same places; none in a forward pass.
    pub gradients: Option<&'a mut B::Buffer>,
    /// Whether the gradients count as zero, whatever their buffer holds.
    pub cleared: bool,
}
