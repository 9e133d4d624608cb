//! The gate: its oracle, its bank of mutants, its protocol and its command line.

#[path = "gate/bank.rs"]
mod bank;
#[cfg(unix)]
#[path = "gate/misbehaving.rs"]
mod misbehaving;
#[path = "gate/oracle.rs"]
mod oracle;
#[path = "gate/wire.rs"]
mod wire;
