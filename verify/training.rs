//! Verification of the training: golden values, bits that depend on nothing they should not,
//! outcomes.

#[path = "training/bits.rs"]
mod bits;
#[path = "training/golden.rs"]
mod golden;
#[path = "training/outcomes.rs"]
mod outcomes;
#[path = "stack/rewrite.rs"]
mod rewrite;
#[path = "training/rules.rs"]
mod rules;
#[path = "training/spikes.rs"]
mod spikes;
#[path = "training/start.rs"]
mod start;
#[path = "training/stop.rs"]
mod stop;
#[path = "training/whole.rs"]
mod whole;
