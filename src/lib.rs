//! Plummet: does a deep Transformer stand true?
//!
//! The layers, in the order in which they depend on each other:
//!
//! - [`num`]: the number types that a reference is read at; [`rng`]: random numbers by counter.
//! - [`op`]: the operators, each with a reference and a fast path, forward and vjp.

pub mod backend;
pub mod num;
pub mod op;
pub mod program;
pub mod rng;
