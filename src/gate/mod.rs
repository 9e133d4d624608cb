//! The gate: is another implementation of a Transformer's operators right?
//!
//! - [`tensor`], [`call`]: what is asked and answered; [`case`]: problems as readable strings,
//!   [`fill`]: their values.
//! - [`operator`]: what an operator states of itself, [`op`]: the operators, one file each.
//! - [`oracle`]: the truth and its bounds; [`judge`]: one answer against them.
//! - [`statistics`]: answers that are random numbers, against their law.
//! - [`scope`]: what a target declares; [`plan`]: which cases are tried; [`model`]: executable models
//!   of right and wrong targets.
//! - `explain`: why it fails; [`diagnose`]: what it behaves like;
//! - [`report`]: what a run found, in every format; [`manifest`]: what a project expects of it;
//!   [`diff`]: two runs; [`vectors`]: cases and answers as files.
//! - [`wire`]: frames, targets behind commands and libraries, and serving them.
//! - [`init`]: adapters to begin with.

pub mod builtin;
pub mod call;
pub mod case;
pub mod check;
pub mod depth;
pub mod determinism;
pub mod diagnose;
pub mod diff;
pub(crate) mod explain;
pub mod fill;
pub mod gradients;
pub mod init;
pub mod judge;
pub mod laws;
pub mod liveness;
pub mod manifest;
pub mod model;
pub mod op;
pub mod operator;
pub mod oracle;
pub mod pattern;
pub mod perf;
pub mod plan;
pub mod planted;
pub mod production;
pub mod repeat;
pub mod report;
pub mod scan;
pub mod scope;
pub mod selftest;
pub mod shrink;
pub mod statistics;
pub(crate) mod steadiness;
pub mod tensor;
pub mod trial;
pub mod vacuity;
pub mod vectors;
pub mod wire;

pub use builtin::Builtin;
pub use call::{Broken, Call, Candidate, Dir, Hello, Reply};
pub use case::Case;
pub use check::assert_conforms;
pub use tensor::{Dtype, Tensor, Tensors};
