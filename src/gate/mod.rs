//! The gate: is another implementation of a Transformer's operators right?
//!
//! The engine is [`check`](crate::check); here is what makes a tool of it for whoever writes operators
//! of their own.
//!
//! - [`wire`]: frames, targets behind commands and libraries, and serving them; [`builtin`]: our own
//!   operators as a target; [`init`]: adapters to begin with.
//! - [`run`]: a target through all stages; [`stages`]: what is asked beside generated cases.
//! - [`explain`]: why it fails and what it behaves like; [`mutants`]: executable models of right and
//!   wrong targets.
//! - [`report`]: what a run found, in every format; [`manifest`]: what a project expects of it;
//!   [`vectors`]: cases and answers as files.
//! - [`perf`]: two targets against each other; [`selftest`]: how many wrong targets are found.

#[cfg(feature = "harness")]
pub mod builtin;
pub mod explain;
mod function;
#[cfg(feature = "harness")]
pub mod init;
pub mod manifest;
pub mod mutants;
#[cfg(feature = "harness")]
pub mod perf;
pub mod report;
pub mod run;
#[cfg(feature = "harness")]
pub mod selftest;
pub mod stages;
#[cfg(feature = "harness")]
pub mod vectors;
pub mod wire;

#[cfg(feature = "harness")]
pub use builtin::Builtin;
pub use function::{Answer, check, check_as};
pub use run::assert_conforms;

pub use crate::check::call::{Broken, Call, Candidate, Dir, Hello, Reply};
pub use crate::check::spec::case::Case;
pub use crate::check::tensor::{Dtype, Tensor, Tensors};
