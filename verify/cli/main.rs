//! Verification of the command line: what it answers, what it refuses, and what it never loses.

mod answers;
mod bench;
mod claims;
mod experiments;
mod kill;
mod memory;
mod page;
mod places;
mod refusals;
#[cfg(unix)]
mod signals;
mod support;
#[cfg(unix)]
mod texts;
#[cfg(unix)]
mod twice;
#[cfg(unix)]
mod volumes;
mod warnings;
