//! What runs kernels.

use std::fmt::Debug;

use crate::op::device::{Chip, Launch};

/// Memory and launches: a GPU behind its driver, or the interpreter.
///
/// Calls come in order and may be under way when they return; [`Machine::read`] waits. What goes wrong
/// is kept ([`Machine::failure`]): nothing after it has an effect, and whoever looks sees it.
pub trait Machine: Clone + Debug + Send + Sync {
    /// Some bytes of its memory, given back when dropped.
    type Memory: Debug + Send + Sync;
    /// A list of launches and copies.
    type Recording: Debug + Send + Sync;

    /// What launches may depend on.
    fn chip(&self) -> Chip;

    /// What it is, for the record of a run.
    fn name(&self) -> String;

    /// Bytes of its own memory that are free; nothing where that is the host's.
    fn free(&self) -> Option<u64> {
        None
    }

    /// So many bytes; zeros if they must be, and anything if not.
    fn allocate(&self, bytes: usize, zeros: bool) -> Self::Memory;

    /// Writes to memory, from byte `at` on.
    fn write(&self, to: &Self::Memory, at: usize, bytes: &[u8]);

    /// Reads from memory, once everything before has been done.
    fn read(&self, from: &Self::Memory, at: usize, bytes: &mut [u8]);

    /// Copies within memory.
    fn copy(
        &self,
        from: &Self::Memory,
        from_at: usize,
        to: &Self::Memory,
        to_at: usize,
        bytes: usize,
    );

    /// Runs a kernel of a module with these values of its parameters.
    fn launch(&self, ptx: &'static str, launch: &Launch, values: &[Value<Self::Memory>]);

    /// Multiplies matrices by a library of the machine's, all of them or none: false where it has none
    /// for one of them.
    fn multiply(&self, _products: &[Product<Self::Memory>]) -> bool {
        false
    }

    /// From here on launches and copies are kept, not done. Until [`Machine::end`] memory is neither
    /// written nor read, allocated or given back, and no kernel runs for the first time.
    fn begin(&self);

    /// What was kept since [`Machine::begin`]; nothing if something went wrong.
    fn end(&self) -> Option<Self::Recording>;

    /// Does what was kept, on the memory that it was kept with.
    fn replay(&self, recording: &Self::Recording);

    /// Seconds that what is asked for within `work` takes.
    fn timed(&self, work: &mut dyn FnMut()) -> f64;

    /// What went wrong first, if something did.
    fn failure(&self) -> Option<String>;
}

/// A product of row-major matrices, `to[rows, cols] = Σ left[rows, depth]·right[depth, cols] (+ bias[cols])`.
/// Each place is some memory and a byte in it.
#[derive(Debug)]
pub struct Product<'a, M> {
    /// Rows of the result.
    pub rows: usize,
    /// Columns of the result.
    pub cols: usize,
    /// Terms of every sum.
    pub depth: usize,
    /// The left factor.
    pub left: (&'a M, usize),
    /// Whether it lies transposed, as [depth, rows].
    pub left_across: bool,
    /// The right factor.
    pub right: (&'a M, usize),
    /// Whether it lies transposed, as [cols, depth].
    pub right_across: bool,
    /// What is added to every row.
    pub bias: Option<(&'a M, usize)>,
    /// The result.
    pub to: (&'a M, usize),
    /// Whether it is added to what is there.
    pub adds: bool,
}

/// The value of one parameter of a kernel.
#[derive(Debug)]
pub enum Value<'a, M> {
    /// A pointer to nothing.
    Null,
    /// A pointer to a byte of some memory.
    Pointer(&'a M, usize),
    /// A count.
    U32(u32),
    /// A large count.
    U64(u64),
    /// A number.
    F32(f32),
}
