//! Verification of every operator of the registry: properties, gradients, error budgets, contracts.
//!
//! The generic half draws problems for every operator from fixed seeds; the rest are identities
//! of single operators, and deliberately wrong operators that the generic half must refuse.

mod archs;
mod every;
mod formulas;
mod likelihoods;
mod mutants;
mod noise;
mod norms;
mod rows;
mod streams;
