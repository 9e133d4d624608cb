//! Measuring: the machine's limits, a step against the matrix products in it, operators against a
//! copy of the memory that they touch; and the same of a device that runs kernels.

mod device;
mod floor;
mod limits;
mod methods;
mod operators;
mod profile;
mod report;
mod size;
mod step;
mod timing;

pub use device::{GPU, Plan, TINY, measure_device};
pub use floor::{Form, Product, Rates, products};
pub use limits::{Limit, copies, products as product_peaks};
pub use methods::{Cost, costs};
pub use operators::{SHAPES, Share, measured, share};
pub use profile::Stopwatch;
pub use report::Report;
pub use size::{DEEP, SIZES, SMALL, Size};
pub use step::{PARTS, StepTime, step_time};
pub use timing::{Samples, Timing, interleaved};
