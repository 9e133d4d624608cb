//! What is asked of a target beside generated cases, a stage each.
//!
//! - [`sensitivity`]: every argument, moved off its default, changes the answer as it should.
//! - [`gradients`]: the target's backward against its own forward.
//! - [`determinism`], [`repeat`]: the same question again.
//! - [`statistics`]: answers that are random numbers, against their distribution.
//! - [`sizes`]: problems of production sizes.
//! - [`depth`]: what the error of a norm grows to in a deep stack.

#[cfg(feature = "harness")]
pub mod depth;
pub mod determinism;
pub mod gradients;
pub mod repeat;
pub mod sensitivity;
pub mod sizes;
pub mod statistics;
