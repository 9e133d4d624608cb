//! The third body of an operator: kernels for a device that runs thousands of threads.
//!
//! An operator's kernels are a `.cu` file beside its Rust; what ships and what is checked is the PTX
//! that was compiled from it, once, and lies beside it too. [`Kernels`] says which of them are
//! launched, over how many threads, and with which of the call's tensors: a plain list, which a
//! device may keep and replay. Every machine runs them: an interpreter of PTX where there is no
//! GPU.
//!
//! Activations, learned tensors and their gradients are stored as the [`Chip`] says: as `f32`, or in 16
//! bits, which are widened when they are read and rounded to nearest even when they are written. Whatever
//! else there is, and all arithmetic, is `f32`.
//!
//! All sums are formed in `f32` or wider and in an order that depends on the shapes and the
//! [`Chip`] only, never by atomics: two runs give the same bits.

mod columns;

pub(crate) use columns::ColumnSums;

use super::shape::Shape;
use crate::num::Dtype;

/// An operator's kernels.
pub trait Kernels {
    /// The module that has them.
    fn ptx(&self) -> Ptx;

    /// Whether output `index` is `f32` whatever is stored: a loss, or what is carried from step to step.
    fn keeps_f32(&self, _index: usize) -> bool {
        false
    }

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

/// A module as PTX, compiled from one source for everything that may be stored.
#[derive(Debug, Clone, Copy)]
pub struct Ptx {
    /// Stores `f32`.
    pub f32: &'static str,
    /// Stores `bf16`.
    pub bf16: &'static str,
    /// Stores `f16`.
    pub f16: &'static str,
}

/// The [`Ptx`] of a name, from the files beside the operator.
macro_rules! ptx {
    ($name:literal) => {
        $crate::op::device::Ptx {
            f32: include_str!(concat!($name, ".ptx")),
            bf16: include_str!(concat!($name, ".bf16.ptx")),
            f16: include_str!(concat!($name, ".f16.ptx")),
        }
    };
}
pub(crate) use ptx;

/// What kernels may store.
pub const STORAGES: [Dtype; 3] = [Dtype::F32, Dtype::Bf16, Dtype::F16];

impl Ptx {
    /// The one for a chip.
    ///
    /// # Panics
    /// Where it stores none of [`STORAGES`].
    pub fn of(self, chip: &Chip) -> &'static str {
        match chip.storage {
            Dtype::F32 => self.f32,
            Dtype::Bf16 => self.bf16,
            Dtype::F16 => self.f16,
            other => panic!("no kernel stores {other}"),
        }
    }
}

/// What a list of launches may depend on beside the shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chip {
    /// Multiprocessors: as many blocks run at once, at least.
    pub multiprocessors: u32,
    /// What activations, learned tensors and their gradients are stored as: one of [`STORAGES`].
    pub storage: Dtype,
}

impl Chip {
    /// A chip of so many multiprocessors that stores `f32`.
    pub fn new(multiprocessors: u32) -> Self {
        Chip { multiprocessors, storage: Dtype::F32 }
    }
    /// The same chip that stores something else.
    pub fn storing(self, storage: Dtype) -> Self {
        Chip { storage, ..self }
    }
    /// Stored elements of a vector, which is one access of 16 bytes: VECTOR of `common.cuh`.
    pub fn vector(&self) -> usize {
        16 / self.storage.bytes()
    }
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

    /// A kernel with a thread for every vector of `len` elements, as `elementwise.cuh` takes them.
    pub fn by_vectors(kernel: &'static str, len: usize, chip: &Chip, params: &[Param]) -> Self {
        Launch::each(kernel, len.div_ceil(chip.vector()), params)
    }
}
