//! The gate: is another implementation of a Transformer's operators right?
//!
//! - [`tensor`], [`call`]: what is asked and answered; [`case`]: problems as readable strings,
//!   [`fill`]: their values.
//! - [`number`], [`double`]: numbers that carry their error bound; [`operator`]: what an operator
//!   states of itself, [`op`]: the operators, one file each.
//! - [`oracle`]: the truth and its bounds; [`judge`]: one answer against them.
//! - [`plan`]: which cases are tried; [`model`]: executable models of right and wrong targets.
//! - [`wire`]: frames, targets behind commands and libraries, and serving them.
//! - [`init`]: adapters to begin with.

pub mod call;
pub mod case;
pub mod double;
pub mod fill;
pub mod init;
pub mod judge;
pub mod model;
pub mod number;
pub mod op;
pub mod operator;
pub mod oracle;
pub mod plan;
pub mod selftest;
pub mod tensor;
pub mod wire;

pub use call::{Broken, Call, Candidate, Dir, Hello, Reply};
pub use case::Case;
pub use tensor::{Dtype, Tensor, Tensors};
