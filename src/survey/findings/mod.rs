//! What the runs show, in sentences: every title and finding of the survey is made here.
//!
//! Each maker is a function of runs and of nothing else. It says no more than holds on every seed
//! that was run, names the rates and steps that were tried, and says what is not known. A made-up
//! set of runs that shows the opposite gets the opposite sentence; `tests.rs` tries that.

pub(super) mod largest;
pub(super) mod map;
pub(super) mod rates;
#[cfg(test)]
mod tests;
pub(super) mod warmups;
pub(super) mod wirings;
pub(super) mod words;
