//! The gate: its oracle, its bank of mutants, its protocol and its command line.

#[path = "gate/bank.rs"]
mod bank;
#[path = "gate/builtin.rs"]
mod builtin;
#[path = "gate/check.rs"]
mod check;
#[cfg(unix)]
#[path = "gate/command.rs"]
mod command;
#[path = "gate/flow.rs"]
mod flow;
#[cfg(unix)]
#[path = "gate/misbehaving.rs"]
mod misbehaving;
#[path = "gate/oracle.rs"]
mod oracle;
#[path = "gate/pattern.rs"]
mod pattern;
#[path = "gate/perf.rs"]
mod perf;
#[cfg(unix)]
#[path = "gate/perf_processes.rs"]
mod perf_processes;
#[path = "gate/planner.rs"]
mod planner;
#[path = "gate/report.rs"]
mod report;
#[path = "gate/sizes.rs"]
mod sizes;
#[path = "gate/statistics.rs"]
mod statistics;
#[path = "gate/unsteady.rs"]
mod unsteady;
#[path = "gate/wire.rs"]
mod wire;
