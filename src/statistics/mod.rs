//! What measured figures decide: intervals, tests, and rules whose error rates are known.
//!
//! A figure is one number of one run: its seed, where it was measured (a depth, a rate) and the value.
//! Runs of one seed share data and draws, so that everything here is by seed: figures of one seed
//! become one number (a difference of arms, a slope), and seeds are what is independent.
//!
//! - [`Figure`] and how figures are laid out by seed; a value that is not finite is one that counts.
//! - [`signed_rank`]: differences of pairs, tested by flipping signs; [`bootstrap`]: a mean's interval by
//!   drawing again; [`mean`]: Student's; [`proportion`]: counts; [`line`](mod@line): lines over places, by seed;
//!   [`order`]: rising or falling within seeds; [`distribution`]: the distributions behind them.
//! - [`rule`]: one rule a file, from figures to a [`Decision`]; [`family`]: several decisions at once.
//!
//! `docs/statistics.md` has every rule's stated and measured error rates.

pub mod bootstrap;
mod decision;
pub mod distribution;
pub mod family;
mod figure;
pub mod line;
pub mod mean;
pub mod order;
pub mod proportion;
pub mod rule;
pub mod signed_rank;

pub use decision::{Decision, Verdict};
pub use figure::Figure;
