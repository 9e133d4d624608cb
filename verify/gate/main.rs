//! The gate: its oracle, its bank of mutants, its protocol and its command line.

mod arithmetic;
mod builtin;
mod check;
#[cfg(unix)]
mod ci;
mod command;
mod flow;
mod interpreted;
#[cfg(unix)]
mod misbehaving;
mod mutants;
mod oracle;
mod pattern;
mod perf;
#[cfg(unix)]
mod perf_processes;
mod planner;
mod report;
mod sizes;
mod statistics;
mod unsteady;
mod wire;
