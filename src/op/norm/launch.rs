//! How the kernels of the norms are launched, and of whatever else takes rows as they do: over rows, or
//! over strips of columns (`rows.cuh`).

use crate::op::Shape;
use crate::op::device::{Chip, Launch, Param, WARP};

/// Rows of a tensor, and who takes one: a few lanes' worth of a warp, a whole warp, or a block.
#[derive(Debug, Clone, Copy)]
pub(in crate::op) struct Rows {
    rows: usize,
    cols: usize,
    chip: Chip,
}

/// The names of the three kernels of one pass over rows: for narrow rows, for those of a warp and
/// for those of a block.
pub(in crate::op) type Names = [&'static str; 3];

/// Columns of a narrow row: four for each lane of a warp.
const NARROW: usize = 128;
/// Columns of the widest row that a warp takes: 32 for each lane.
const WIDE: usize = 1024;
/// Columns for each thread of a block that takes a row.
const PER_THREAD: usize = 8;

impl Rows {
    /// The rows of x.
    pub(in crate::op) fn of(x: Shape, chip: &Chip) -> Self {
        Rows { rows: x.rows(), cols: x.cols(), chip: *chip }
    }

    /// The number of rows and the number of columns, as kernels take them.
    pub(in crate::op) fn sizes(self) -> [Param; 2] {
        [Param::U64(self.rows as u64), count(self.cols)]
    }

    /// The index of the kernel in [`Names`], its threads and how many rows a block takes at once.
    /// A narrow row is so little work that one block of a multiprocessor has to be a large one.
    fn taken(self, narrow: u32) -> (usize, u32, usize) {
        if self.cols <= NARROW {
            return (0, narrow, (narrow / WARP) as usize);
        }
        if self.cols <= WIDE {
            return (1, 8 * WARP, 8);
        }
        // Rows that are no vectors are kept at four columns a thread.
        let vectors = self.cols.is_multiple_of(self.chip.vector());
        let per_thread = if vectors { PER_THREAD } else { 4 };
        let threads = self.cols.div_ceil(per_thread).next_multiple_of(WARP as usize);
        (2, threads.min(1024) as u32, 1)
    }

    /// A pass that sums nothing over rows: as many blocks as there is work for. Its kernel for
    /// narrow rows is of 256 threads.
    pub(in crate::op) fn each(self, kernels: Names, params: &[Param]) -> Launch {
        let (kernel, threads, at_once) = self.taken(8 * WARP);
        let blocks = self.rows.div_ceil(at_once).min(i32::MAX as usize);
        Launch::new(kernels[kernel], blocks, threads, params)
    }

    /// Blocks of [`Rows::sum`]: of the small ones that take a row each, as many for a multiprocessor
    /// as have 1024 threads.
    pub(super) fn blocks(self) -> usize {
        let (_, threads, at_once) = self.taken(1024);
        let resident = if at_once == 1 { 1024 / threads } else { 1 };
        let chip = Chip { multiprocessors: self.chip.multiprocessors * resident, ..self.chip };
        chip.blocks(self.rows.div_ceil(at_once))
    }

    /// A pass that sums over rows: blocks that stay, each of which leaves one row of sums. Its
    /// kernel for narrow rows is of 1024 threads.
    pub(super) fn sum(self, kernels: Names, params: &[Param]) -> Launch {
        let (kernel, threads, _) = self.taken(1024);
        Launch::new(kernels[kernel], self.blocks(), threads, params)
    }
}

/// A norm that multiplies a row by one number, as `scaled.cuh` has it: its kernels, the last of which adds
/// the sums of a weight where there is one, and its constants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scaled {
    pub forward: Names,
    pub vjp: Names,
    pub dweight: Option<&'static str>,
    pub eps: f64,
    /// How many columns the number is made of.
    pub seen: usize,
}

impl Scaled {
    /// A row of partial sums for every block, of dweight.
    pub(super) fn scratch(&self, x: Shape, chip: &Chip) -> usize {
        self.dweight.map_or(0, |_| x.cols() * Rows::of(x, chip).blocks())
    }

    /// Where a weight is; null where there is none.
    fn weight(&self) -> Param {
        self.dweight.map_or(Param::U64(0), |_| Param::Arg(1))
    }

    fn constants(&self) -> [Param; 2] {
        [Param::F32(self.eps as f32), count(self.seen)]
    }

    pub(super) fn forward(&self, x: Shape, chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let rows = Rows::of(x, chip);
        let tensors = [Arg(0), self.weight(), Out(0), Saved(0)];
        let params = [&tensors[..], &rows.sizes(), &self.constants()].concat();
        vec![rows.each(self.forward, &params)]
    }

    pub(super) fn vjp(&self, x: Shape, chip: &Chip) -> Vec<Launch> {
        use Param::*;
        let (rows, cols) = (Rows::of(x, chip), x.cols());
        let blocks = rows.blocks();
        let tensors = [Arg(0), self.weight(), Dy, Saved(0), Grad(0), Scratch(0)];
        let params = [&tensors[..], &rows.sizes(), &self.constants()].concat();
        let sums = [Scratch(0), Grad(1), count(blocks), count(cols)];
        match self.dweight {
            None => vec![rows.each(self.vjp, &params)],
            Some(dweight) => {
                vec![rows.sum(self.vjp, &params), columns(dweight, blocks, cols, &sums)]
            }
        }
    }
}

/// A tensor in strips of columns, and groups of its rows: a block takes one strip of one group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strips {
    rows: usize,
    cols: usize,
    /// Strips side by side.
    pub strips: usize,
    /// Groups of rows.
    pub groups: usize,
}

impl Strips {
    /// Strips of x: about eight blocks for every multiprocessor, each of 8 warps.
    pub(super) fn of(x: Shape, chip: &Chip) -> Self {
        let (rows, cols) = (x.rows(), x.cols());
        let strips = cols.div_ceil(NARROW);
        let most = 8 * chip.multiprocessors as usize / strips;
        Strips { rows, cols, strips, groups: most.clamp(1, rows.div_ceil(8).max(1)) }
    }

    /// The number of rows, of columns and of strips, as kernels take them.
    pub(super) fn sizes(self) -> [Param; 3] {
        [Param::U64(self.rows as u64), count(self.cols), count(self.strips)]
    }

    /// Blocks of a pass.
    pub(super) fn blocks(self) -> usize {
        self.strips * self.groups
    }

    /// A pass over all elements.
    pub(super) fn pass(self, kernel: &'static str, params: &[Param]) -> Launch {
        Launch::new(kernel, self.blocks(), 8 * WARP, params)
    }
}

/// What adds `parts` rows of sums of `cols` columns: 32 columns for a block, a row for each of its
/// warps.
pub(super) fn columns(kernel: &'static str, parts: usize, cols: usize, params: &[Param]) -> Launch {
    let warps = parts.clamp(1, WARP as usize) as u32;
    Launch::new(kernel, cols.div_ceil(WARP as usize), warps * WARP, params)
}

/// What adds `parts` single numbers: one block.
pub(super) fn total(kernel: &'static str, parts: usize, params: &[Param]) -> Launch {
    let warps = parts.div_ceil(WARP as usize).clamp(1, WARP as usize) as u32;
    Launch::new(kernel, 1, warps * WARP, params)
}

/// A count of 32 bits.
///
/// # Panics
/// Where it is larger.
pub(in crate::op) fn count(n: usize) -> Param {
    Param::U32(u32::try_from(n).unwrap_or_else(|_| panic!("{n} does not fit into 32 bits")))
}
