//! Verification of the command line: what it answers, what it refuses, and what it never loses.

#[path = "cli/answers.rs"]
mod answers;
#[path = "cli/bench.rs"]
mod bench;
#[path = "cli/kill.rs"]
mod kill;
#[path = "cli/memory.rs"]
mod memory;
#[path = "cli/places.rs"]
mod places;
#[path = "cli/refusals.rs"]
mod refusals;
#[path = "cli/support.rs"]
mod support;
