//! Backends run a [`Program`](crate::program::Program): [`Host`] on the CPU, at `f32` through the
//! fast paths, at any other number through the references.
//!
//! What to run when, and where each value lives, is worked out once in a [`Plan`].

mod buffer;
mod element;
mod host;
pub(crate) mod norm;
mod plan;

pub use buffer::Buffer;
pub use element::Element;
pub use host::{Host, Observer, Unobserved};
pub use norm::norm;
pub use plan::{Need, Plan, Planner};
