//! Plummet: does a deep Transformer stand true?
//!
//! The layers, in the order in which they depend on each other:
//!
//! - [`num`]: the number types that a reference is read at; [`rng`]: random numbers by counter.
//! - [`op`]: the operators, each with a reference and a fast path, forward and vjp.
//! - [`program`]: a stack as a straight list of steps; [`backend`]: what runs it.
//! - [`plot`]: data to PNG.

pub mod backend;
pub mod num;
pub mod op;
pub mod plot;
pub mod program;
pub mod rng;
