//! Sums over the rows of a matrix, one for each column: the host's side of `columns.cuh`.

use super::{Chip, Launch, Param};

/// Threads of a block, in either step.
const THREADS: u32 = 256;
/// Rows that are worth a block.
const ROWS: usize = 16;
/// Blocks of a multiprocessor, so that it has enough loads under way.
const BLOCKS: usize = 8;

/// How the sums over the rows of a matrix are formed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ColumnSums {
    rows: usize,
    cols: usize,
    blocks: usize,
}

impl ColumnSums {
    /// For a matrix of this size.
    pub(crate) fn new(rows: usize, cols: usize, chip: &Chip) -> Self {
        // The rows that a block takes side by side.
        let slots = (THREADS as usize / cols.max(1)).max(1);
        let blocks = rows.div_ceil(ROWS * slots).clamp(1, BLOCKS * chip.multiprocessors as usize);
        ColumnSums { rows, cols, blocks }
    }

    /// Number of `f32` of the partial sums.
    pub(crate) fn scratch(&self) -> usize {
        self.blocks * self.cols
    }

    /// The launch that forms the partial sums: the kernel's own parameters, then where the sums go,
    /// rows and columns.
    pub(crate) fn parts(&self, kernel: &'static str, params: &[Param]) -> Launch {
        let size = [Param::Scratch(0), Param::U64(self.rows as u64), Param::U32(self.cols as u32)];
        Launch::new(kernel, self.blocks, THREADS, &[params, &size].concat())
    }

    /// The launch that adds them to the gradient of argument `index`.
    pub(crate) fn totals(&self, kernel: &'static str, index: usize) -> Launch {
        use Param::*;
        let size = [U32(self.blocks as u32), U32(self.cols as u32)];
        let params = [&[Scratch(0), Grad(index)][..], &size].concat();
        Launch::new(kernel, self.cols.div_ceil(32), THREADS, &params)
    }

    /// The launch that adds those of every group of neighbouring columns, as many as there are in each, to
    /// the gradient of argument `index`.
    pub(crate) fn totals_of_groups(
        &self,
        kernel: &'static str,
        index: usize,
        groups: usize,
    ) -> Launch {
        use Param::*;
        let size = [self.blocks, self.cols, self.cols / groups].map(|n| U32(n as u32));
        let params = [&[Scratch(0), Grad(index)][..], &size].concat();
        Launch::new(kernel, groups, THREADS, &params)
    }

    /// The launch that writes them to output `index`.
    pub(crate) fn output(&self, kernel: &'static str, index: usize) -> Launch {
        use Param::*;
        let size = [U32(self.blocks as u32), U32(self.cols as u32)];
        let params = [&[Scratch(0), Out(index)][..], &size].concat();
        Launch::new(kernel, self.cols.div_ceil(32), THREADS, &params)
    }
}
