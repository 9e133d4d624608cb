//! Verification of every operator of the registry: laws, gradients, error budgets, contracts.
//!
//! The generic half draws problems for every operator from fixed seeds; the rest are identities
//! of single operators, and deliberately wrong operators that the generic half must refuse.

#[path = "ops/archs.rs"]
mod archs;
#[path = "ops/every.rs"]
mod every;
#[path = "ops/formulas.rs"]
mod formulas;
#[path = "ops/mutants.rs"]
mod mutants;
#[path = "ops/noise.rs"]
mod noise;
#[path = "ops/norms.rs"]
mod norms;
#[path = "ops/rows.rs"]
mod rows;
