//! Verification of whole stacks: gradients, equalities between wirings, arithmetic, memory.

mod arithmetic;
mod equalities;
mod errors;
mod gradients;
mod memory;
// Shared with the verification of the training, which uses more of it.
#[allow(dead_code)]
mod rewrite;
mod support;
mod wirings;
