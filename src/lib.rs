//! Plummet: does a deep Transformer stand true?
//!
//! The layers, in the order in which they depend on each other:
//!
//! - [`num`]: the number types that a reference is read at; [`rng`]: random numbers by counter;
//!   [`setting`]: how one setting is read, written and refused; [`choice`]: one of a list, with
//!   constants of its own.
//! - [`statistics`]: what measured figures decide, by rules whose error rates are known.
//! - [`ptx`]: an interpreter of PTX, which runs kernels without a GPU.
//! - [`op`]: the operators, each with a reference, a fast path and kernels, forward and vjp.
//! - [`check`]: cases, error budgets, gradients and properties for whatever calls itself an operator.
//! - [`program`]: a stack as a straight list of steps over named values; [`backend`]: the devices
//!   that run it.
//! - [`task`]: what is learned; [`config`]: everything that a run depends on; [`stack`]: from a configuration to a program.
//! - [`record`]: what a run leaves behind; [`store`]: where it is kept; [`probe`]: what a layer
//!   looks like.
//! - [`train`]: the only training loop, and what is learned; [`sweep`]: products of configurations.
//! - [`plot`]: data to PNG; [`experiment`]: a file of runs to pictures, a report and verdicts; [`ledger`]:
//!   claims of the field as such files; [`survey`]: the built-in experiments, their pictures and report.
//! - [`gate`]: judging other implementations of the same operators.
//! - [`cli`]: the command line; [`memory`]: what memory there is and was used.

pub mod backend;
#[cfg(feature = "harness")]
pub mod bench;
pub mod check;
pub mod choice;
#[cfg(feature = "harness")]
pub mod cli;
#[cfg(feature = "harness")]
pub mod config;
#[cfg(feature = "harness")]
pub mod experiment;
pub mod gate;
#[cfg(feature = "harness")]
pub mod ledger;
#[cfg(feature = "harness")]
pub mod memory;
pub mod num;
pub mod op;
#[cfg(feature = "harness")]
pub mod plot;
#[cfg(feature = "harness")]
pub mod probe;
pub mod program;
pub mod ptx;
#[cfg(feature = "harness")]
pub mod record;
pub mod rng;
pub mod setting;
pub mod stack;
#[cfg(feature = "harness")]
pub mod statistics;
#[cfg(feature = "harness")]
pub mod store;
#[cfg(feature = "harness")]
pub mod survey;
#[cfg(feature = "harness")]
pub mod sweep;
#[cfg(feature = "harness")]
pub mod task;
#[cfg(feature = "harness")]
pub mod train;
