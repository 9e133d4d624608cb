//! `gate.toml`: what a project requires of a run, and which failures it knows of.
//!
//! ```toml
//! require = ["layer_norm:bwd:f32"]
//! patience = "90s"                  # of first calls, which may compile; or { first = "2m", call = "10s" }
//! sizes = ["layer_norm:rows=4096,cols=5120"]   # shapes to try beside those of the gate
//!
//! [[expect]]
//! match  = "softmax:fwd:bf16"       # a row, a tensor of it, or the id of a case; * and ? stand for others
//! status = "xfail"                  # or "skip", or "tolerate" with a factor
//! reason = "the row sum is kept in bf16"
//! issue  = "https://example.org/issues/7"
//! until  = 2027-01-31               # the last day on which it holds
//! ```
//!
//! A pattern stands for everything below it: `softmax` for each of its passes, dtypes, tensors and
//! cases, `softmax:fwd:bf16` for that row whatever the dtype of its parameters.

mod date;
mod parse;
mod pattern;

pub use date::Date;
pub use parse::{Expect, Manifest, Status, parse};
pub use pattern::matches;
