//! The gate: its oracle, its bank of mutants, its protocol and its command line.

#[path = "gate/bank.rs"]
mod bank;
#[path = "gate/builtin.rs"]
mod builtin;
#[path = "gate/oracle.rs"]
mod oracle;
