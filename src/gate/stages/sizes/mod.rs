//! Stage 7: which problems of production sizes are asked.

mod asked;
mod shapes;

pub use asked::Asked;
pub use shapes::{affordable, cases, within};
