//! The ways in and out of the gate: what goes through a pipe, and who reads it.
//!
//! - [`frame`]: bytes as a JSON message and tensors, and back; [`message`]: what the messages mean.
//! - [`process`]: a target behind a command; [`patience`]: how long it may take; [`server`]: any
//!   target as such a command.
//! - [`library`]: a target behind a C interface, loaded in a process of its own.

mod errors;
pub mod frame;
#[cfg(unix)]
mod groups;
#[cfg(unix)]
mod guarded;
pub mod library;
pub mod message;
pub mod patience;
pub mod process;
pub mod server;

pub use patience::Patience;
pub use process::Process;
