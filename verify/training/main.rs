//! Verification of the training: golden values, bits that depend on nothing they should not,
//! outcomes.

mod bits;
mod blocks;
mod device;
mod examine;
mod golden;
mod hops;
mod interpreted;
mod library;
mod outcomes;
mod profile;
mod recorded;
mod response;
#[path = "../stack/rewrite.rs"]
mod rewrite;
mod rules;
mod spikes;
mod start;
mod stop;
mod volume;
mod whole;
mod wirings;
