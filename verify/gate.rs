//! The gate: its oracle, its bank of mutants, its protocol and its command line.

#[path = "gate/bank.rs"]
mod bank;
#[path = "gate/builtin.rs"]
mod builtin;
#[path = "gate/check.rs"]
mod check;
#[cfg(unix)]
#[path = "gate/misbehaving.rs"]
mod misbehaving;
#[path = "gate/oracle.rs"]
mod oracle;
#[path = "gate/perf.rs"]
mod perf;
#[path = "gate/planner.rs"]
mod planner;
#[path = "gate/report.rs"]
mod report;
#[path = "gate/statistics.rs"]
mod statistics;
#[path = "gate/wire.rs"]
mod wire;
