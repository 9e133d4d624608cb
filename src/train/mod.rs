//! The only training loop.
//!
//! A step's batch is cut into a fixed number of shards. Every shard runs the whole stack, forward
//! and backward, in one lane of the device (on the CPU a thread), which takes one shard after
//! another through the same buffers; each has a vector of gradients of its own, and these are added
//! in the order of the shards. So the work scales with cores without a lock in any operator, memory
//! and caches hold as many activations as there are lanes, and the bits do not depend on their number.
//!
//! Nothing here knows the device: see [`crate::backend`].

mod blocks;
mod corpus;
mod device;
mod examine;
mod feed;
mod footprint;
mod held_out;
mod jacobian;
mod non_finite;
mod optimizer;
mod profile;
mod response;
mod run;
mod schedule;
mod snapshot;
mod text;
mod trainer;
mod verdict;
mod warnings;

pub use crate::task::Batch;
pub use corpus::Corpus;
pub use device::gpu;
pub use footprint::Footprint;
pub use held_out::{HeldOut, Measurements};
pub use optimizer::{factors, rule};
pub use response::{Change, Shift};
pub use run::{Error, Progress, Quiet, run, run_on};
pub use schedule::learning_rate;
pub use text::Library;
pub use trainer::{Stepped, Trainer};
pub use verdict::{Ending, Watch, measure, steady};
pub use warnings::warnings;

use self::device::{Work, on_device};
use crate::backend::Backend;
use crate::config::{Invalid, RunConfig};
use crate::program::Program;
use crate::stack;

/// What a run takes, by part; refuses one that does not fit, or that its device cannot run. Allocates
/// next to nothing.
///
/// # Errors
/// Where no plan of the run, or not the one that is asked for, fits into `config.memory`; where this
/// machine has no such device.
pub fn fits(config: &RunConfig, corpus: &Corpus) -> Result<Footprint, Invalid> {
    let build = |training| {
        stack::build(&config.architecture(), &config.task.ends(), config.samples(), training)
    };
    let (program, evaluation) = (&build(true), &build(false));
    on_device(config, Fits { config, corpus, program, evaluation })?
}

struct Fits<'a> {
    config: &'a RunConfig,
    corpus: &'a Corpus,
    program: &'a Program,
    evaluation: &'a Program,
}

impl Work for Fits<'_> {
    type Done = Result<Footprint, Invalid>;
    fn on<B: Backend>(self, backend: B) -> Self::Done {
        let Fits { config, corpus, program, evaluation } = self;
        device::runs(&backend, config, program)?;
        Footprint::of(&backend, config, corpus, program, evaluation)
    }
}
