//! How a kernel is launched, and under which conditions it runs.

use super::memory::Buffer;

/// The shape of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Blocks in the grid.
    pub grid: [u32; 3],
    /// Threads in a block.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub shared: u32,
}

impl Launch {
    /// A launch in one dimension, without dynamic shared memory.
    pub fn linear(blocks: u32, threads: u32) -> Self {
        Self { grid: [blocks, 1, 1], block: [threads, 1, 1], shared: 0 }
    }

    /// The same with dynamic shared memory.
    #[must_use]
    pub fn with_shared(self, shared: u32) -> Self {
        Self { shared, ..self }
    }
}

/// An argument of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    /// A pointer to the first byte of a buffer.
    Buffer(Buffer),
    /// A pointer into a buffer, that many bytes behind its first.
    Within(Buffer, i64),
    /// A pointer to nothing.
    Null,
    /// A 32-bit unsigned integer (and `bool`, `unsigned`).
    U32(u32),
    /// A 32-bit signed integer.
    I32(i32),
    /// A 64-bit unsigned integer.
    U64(u64),
    /// A 64-bit signed integer.
    I64(i64),
    /// A single.
    F32(f32),
    /// A double.
    F64(f64),
    /// Anything else, a `struct` or a narrow integer, by its bytes.
    Bytes(Vec<u8>),
}

impl Arg {
    /// The bytes as a kernel finds them.
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Buffer(b) => b.address().to_le_bytes().to_vec(),
            Self::Within(b, by) => b.address().wrapping_add_signed(*by).to_le_bytes().to_vec(),
            Self::Null => vec![0; 8],
            Self::U32(v) => v.to_le_bytes().to_vec(),
            Self::I32(v) => v.to_le_bytes().to_vec(),
            Self::U64(v) => v.to_le_bytes().to_vec(),
            Self::I64(v) => v.to_le_bytes().to_vec(),
            Self::F32(v) => v.to_le_bytes().to_vec(),
            Self::F64(v) => v.to_le_bytes().to_vec(),
            Self::Bytes(v) => v.clone(),
        }
    }
}

/// In which order blocks and warps run. No order is promised by the chip, so right kernels
/// give the same under all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Blocks ascend; each warp in turn runs one instruction.
    RoundRobin,
    /// Blocks ascend; a warp runs until it waits, the first that can run goes first.
    Ascending,
    /// Blocks descend; a warp runs until it waits, the last that can run goes first.
    Descending,
    /// Blocks are shuffled, and a random warp runs for a random while.
    Random(u64),
}

impl Schedule {
    /// One of each kind: what a test runs a kernel under.
    pub const ALL: [Self; 4] =
        [Self::RoundRobin, Self::Ascending, Self::Descending, Self::Random(1)];
}

/// What approximate instructions (`rsqrt.approx`, `ex2.approx`, …) return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approximation {
    /// The exact value, rounded once.
    Exact,
    /// The lowest value that the documented error allows.
    Lowest,
    /// The highest value that the documented error allows.
    Highest,
}

impl Approximation {
    /// All of them: what a test runs a kernel under.
    pub const ALL: [Self; 3] = [Self::Exact, Self::Lowest, Self::Highest];
}

/// The conditions of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The order of blocks and warps.
    pub schedule: Schedule,
    /// What approximate instructions return.
    pub approximation: Approximation,
    /// How many thread-instructions may run before the kernel counts as endless.
    pub limit: u64,
    /// Whether an atomic sum of floats is a fault.
    pub forbid_float_atomics: bool,
    /// Whether a mask may not name lanes that have exited or never were. PTX allows it (such
    /// lanes are not waited for); whether anything reads from them is checked in any case.
    pub strict_masks: bool,
    /// Whether shuffles, votes and their like order memory among their lanes, as chips do. The
    /// guide of CUDA promises it of `__syncwarp` only.
    pub shuffles_order_memory: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            schedule: Schedule::RoundRobin,
            approximation: Approximation::Exact,
            limit: 1 << 32,
            forbid_float_atomics: false,
            strict_masks: false,
            shuffles_order_memory: true,
        }
    }
}
