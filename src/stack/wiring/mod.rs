//! Where norm, skip and branch meet: one file and one line in the list below each.
//!
//! A wiring says how a sublayer meets the residual streams, and where the stack has norms besides.
//! Everything else (the command line, the survey, the checks of whole stacks) iterates over [`ALL`].

use std::fmt::Debug;
use std::sync::Arc;

use super::{Builder, Part, Sublayer};
use crate::choice::{Choice, Constant};
use crate::program::Id;
use crate::setting::Invalid;

/// The residual streams between two sublayers: one under most wirings.
///
/// The first is the one that probes look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Streams(pub Vec<Id>);

impl Streams {
    /// The only stream.
    pub fn one(&self) -> Id {
        assert_eq!(self.0.len(), 1, "a wiring of one stream is given several");
        self.0[0]
    }
    /// The stream that probes look at.
    pub fn first(&self) -> Id {
        self.0[0]
    }
}

impl From<Id> for Streams {
    fn from(stream: Id) -> Self {
        Streams(vec![stream])
    }
}

/// How a sublayer meets the residual streams.
pub trait Wire: Debug + Send + Sync {
    /// Its constants; see [`crate::constants`].
    fn consts(&self) -> Vec<Constant> {
        Vec::new()
    }
    /// The same with one constant changed.
    ///
    /// # Errors
    /// Where it has no such constant, or the constant does not take the value.
    fn with(&self, name: &str, _value: &str) -> Result<Arc<dyn Wire>, Invalid> {
        Err(Invalid::new("constant", name, "none"))
    }
    /// Whether the embedding is normed.
    fn norms_embedding(&self) -> bool {
        false
    }
    /// Whether the last stream is normed: where the blocks leave it unnormed.
    fn norms_output(&self) -> bool {
        true
    }
    /// Whether there is a norm anywhere.
    fn has_norm(&self) -> bool {
        true
    }
    /// Root mean square of what the head reads at first: 1 behind one norm. A tied head is drawn
    /// smaller by as much.
    fn output_rms(&self) -> f64 {
        1.0
    }
    /// Whether learned factors of the streams start from the variances of a first pass instead of
    /// their constant.
    fn is_profiled(&self) -> bool {
        false
    }
    /// The streams that the first sublayer meets, of what is embedded.
    fn open(&self, _b: &mut Builder, x: Id) -> Streams {
        x.into()
    }
    /// What becomes of a value inside of a branch, before what reads it: nothing, under most.
    fn inside(&self, _b: &mut Builder, _part: Part, x: Id) -> Id {
        x
    }
    /// Adds one sublayer to the program and returns the new streams.
    fn wire(&self, s: &mut Sublayer, x: Streams) -> Streams;
    /// What the last sublayer leaves, in one stream.
    fn close(&self, _b: &mut Builder, x: Streams) -> Id {
        x.one()
    }
}

/// A wiring and its constants, as a stack is given it: `layer_scale(gain=0.1)`.
pub type Wiring = Choice<dyn Wire>;

crate::list! { dyn Wire;
    no_residual::NoResidual,
    no_norm::NoNorm,
    post_ln::PostLn,
    pre_ln::PreLn,
    sandwich_ln::SandwichLn,
    peri_ln::PeriLn,
    deepnorm::Deepnorm,
    rezero::Rezero,
    layer_scale::LayerScale,
    ln_scaling::LnScaling,
    resi_dual::ResiDual,
    siamese_norm::SiameseNorm,
    out_norm::OutNorm,
    sub_ln::SubLn,
    normformer::Normformer,
    mix_ln::MixLn,
    b2t::B2t,
    hybrid_norm::HybridNorm,
    keel::Keel,
    branch_norm::BranchNorm,
    admin::Admin,
    parallel::Parallel,
    value_residual::ValueResidual,
    skip_init::SkipInit,
    hyper_connections::HyperConnections,
    ngpt::Ngpt,
}
