//! Verification of whole stacks: gradients, equalities between wirings, arithmetic, memory.

#[path = "stack/arithmetic.rs"]
mod arithmetic;
#[path = "stack/equalities.rs"]
mod equalities;
#[path = "stack/gradients.rs"]
mod gradients;
#[path = "stack/memory.rs"]
mod memory;
// Shared with the verification of the training, which uses more of it.
#[allow(dead_code)]
#[path = "stack/rewrite.rs"]
mod rewrite;
#[path = "stack/support.rs"]
mod support;
