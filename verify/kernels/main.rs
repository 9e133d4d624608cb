//! The kernels of every operator, run by the interpreter of PTX: held to what the CPU's fast paths are
//! held to, and free of races, of reads of what nobody wrote, and of accesses beyond a buffer.

mod every;
#[cfg(feature = "cuda")]
mod gpu;
