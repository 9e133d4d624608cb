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
#[cfg(unix)]
#[path = "cli/signals.rs"]
mod signals;
#[path = "cli/support.rs"]
mod support;
#[cfg(unix)]
#[path = "cli/texts.rs"]
mod texts;
#[cfg(unix)]
#[path = "cli/twice.rs"]
mod twice;
#[path = "cli/warnings.rs"]
mod warnings;
