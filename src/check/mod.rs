//! The engine: what is known of an operator, problems of it, the truth with its bounds, and answers
//! judged by them.
//!
//! - [`call`], [`tensor`]: what is asked and answered, by whoever is judged.
//! - [`spec`]: the operators, one file each, and problems of them as readable strings ([`spec::case`])
//!   with their values ([`spec::fill`]).
//! - [`scope`]: what a target declares; [`plan`]: which problems are tried; [`shrink`]: the smallest
//!   that still fails.
//! - [`oracle`]: the truth and its bounds; [`judge`]: one answer against them; [`large`]: answers to
//!   problems of production sizes; [`vacuous`]: problems that tell nothing.
//! - [`trial`]: one problem put to a target; [`flaw`]: what is wrong with the answer.
//! - [`bodies`]: both bodies of an operator of this crate, from inside.

pub mod arithmetic;
pub mod bodies;
pub mod call;
pub mod flaw;
pub mod judge;
pub mod large;
pub mod oracle;
pub mod plan;
pub mod reading;
pub mod scope;
pub mod shrink;
pub mod spec;
pub mod tensor;
pub mod trial;
pub mod vacuous;
