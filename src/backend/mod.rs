//! Backends run a [`Program`](crate::program::Program): [`Host`] on the CPU, at `f32` through the
//! fast paths, at any other number through the references.
//!
//! What to run when, and where each value lives, is worked out once in a [`Plan`].

mod buffer;
mod host;
mod plan;

pub use buffer::Buffer;
pub use host::{Element, Host, Observer, Unobserved};
pub use plan::{Need, Plan, Planner};
