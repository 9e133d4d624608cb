//! The third body of an operator: kernels for a device that runs thousands of threads.
//!
//! An operator's kernels are a `.cu` file beside its Rust; what ships and what is checked is the PTX
//! that was compiled from it, once, and lies beside it too. [`Kernels`] says which of them are
//! launched, over how many threads, and with which of the call's tensors: a plain list, which a
//! device may keep and replay. Every machine runs them: an interpreter of PTX where there is no
//! GPU.
//!
//! All sums are formed in `f32` or wider and in an order that depends on the shapes and the
//! [`Chip`] only, never by atomics: two runs give the same bits.

mod columns;

pub(crate) use columns::ColumnSums;

use super::shape::Shape;

/// An operator's kernels.
pub trait Kernels {
    /// The module that has them, as PTX.
    fn ptx(&self) -> &'static str;

    /// Number of `f32` that forward leaves for vjp.
    fn saved(&self, _args: &[Shape], _chip: &Chip) -> usize {
        0
    }
    /// Number of `f32` of working space that either pass needs.
    fn scratch(&self, _args: &[Shape], _chip: &Chip) -> usize {
        0
    }
    /// What writes the outputs, in order.
    fn forward(&self, args: &[Shape], chip: &Chip) -> Vec<Launch>;
    /// What writes or adds to the gradients, in order, given that of the first output.
    fn vjp(&self, args: &[Shape], chip: &Chip) -> Vec<Launch>;
}

/// What a list of launches may depend on beside the shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chip {
    /// Multiprocessors: as many blocks run at once, at least.
    pub multiprocessors: u32,
}

impl Chip {
    /// Blocks that share so many rows out among them: one a multiprocessor, where there are rows for
    /// all.
    pub fn blocks(&self, rows: usize) -> usize {
        rows.clamp(1, self.multiprocessors as usize)
    }
}

/// Threads of a warp.
pub const WARP: u32 = 32;

/// One kernel over a line of blocks.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    /// Its name in the module.
    pub kernel: &'static str,
    /// Blocks.
    pub blocks: u32,
    /// Threads of each.
    pub threads: u32,
    /// What it is called with, in order.
    pub params: Vec<Param>,
}

/// One parameter of a kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Param {
    /// Pointer to the argument of this index; null where it is absent.
    Arg(usize),
    /// Pointer to the output of this index.
    Out(usize),
    /// Pointer to the gradient of the first output.
    Dy,
    /// Two parameters: pointer to the gradient of the argument of this index, null where nobody wants
    /// it; and 1 where it is added to what is there, 0 where it overwrites it.
    Grad(usize),
    /// Pointer to what forward leaves for vjp, from this element on.
    Saved(usize),
    /// Pointer to the working space, from this element on.
    Scratch(usize),
    /// A count.
    U32(u32),
    /// A count that may be large: an index into a tensor.
    U64(u64),
    /// A constant.
    F32(f32),
}

impl Launch {
    /// A kernel over `blocks` blocks of `threads` threads each.
    ///
    /// # Panics
    /// Where a launch of that size does not exist.
    pub fn new(kernel: &'static str, blocks: usize, threads: u32, params: &[Param]) -> Self {
        assert!((1..=1024).contains(&threads), "{kernel} with {threads} threads");
        let blocks = u32::try_from(blocks.max(1)).ok().filter(|&blocks| blocks <= i32::MAX as u32);
        let blocks = blocks.unwrap_or_else(|| panic!("{kernel} over too many blocks"));
        Launch { kernel, blocks, threads, params: params.to_vec() }
    }

    /// A kernel with a thread for each of `len` elements.
    pub fn each(kernel: &'static str, len: usize, params: &[Param]) -> Self {
        const THREADS: u32 = 256;
        Launch::new(kernel, len.div_ceil(THREADS as usize), THREADS, params)
    }

    /// A kernel with a thread for every four of `len` elements, as `elementwise.cuh` takes them.
    pub fn by_fours(kernel: &'static str, len: usize, params: &[Param]) -> Self {
        Launch::each(kernel, len.div_ceil(4), params)
    }
}
