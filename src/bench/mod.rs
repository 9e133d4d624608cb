//! Measuring: a step against the matrix products in it, operators against the memory they touch.

mod floor;
mod profile;
mod size;
mod timing;

pub use floor::{Form, Product, Rates, products};
pub use profile::Stopwatch;
pub use size::{SIZES, Size};
pub use timing::{Samples, Timing, cpu_seconds, interleaved};
