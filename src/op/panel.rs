//! Products of small panels that lie in the cache: what attention is made of.
//!
//! A general product copies both factors into an order of its own, which for a head of 16 or 32
//! channels costs as much as the product. Here every element of the left factor is broadcast and
//! the right one is read where it lies, a vector of columns at a time. Each sum is one chain of
//! fused multiply-adds in the order of the inner index, whatever the width of the vectors, so that
//! every instruction set gives the same bits.

use pulp::Simd;

/// The most lanes that a vector of `f32` has; columns come in multiples of it.
pub const LANES: usize = 16;

/// Rows whose sums are in flight together: enough to hide the latency of a fused multiply-add,
/// and few enough for machines with 16 registers.
const BLOCK: usize = 8;

/// The left factor: element (r, p) lies at r·row + p·step.
#[derive(Debug, Clone, Copy)]
pub struct Left<'a> {
    /// The elements.
    pub data: &'a [f32],
    /// From one row to the next.
    pub row: usize,
    /// From one inner index to the next.
    pub step: usize,
}

/// Hands to `put` the product of `left`, of `rows` rows, and `right`, row-major of `cols` columns:
/// every vector of sums with its row and its first column.
#[inline(always)]
pub fn product<S: Simd>(
    simd: S,
    rows: usize,
    left: Left,
    right: &[f32],
    cols: usize,
    mut put: impl FnMut(usize, usize, S::f32s),
) {
    let depth = right.len() / cols;
    // What the unchecked reads of `block` rely on.
    assert!(cols.is_multiple_of(LANES));
    assert!(rows * depth == 0 || (rows - 1) * left.row + (depth - 1) * left.step < left.data.len());
    for c in (0..cols).step_by(S::F32_LANES) {
        let mut r = 0;
        while r + BLOCK <= rows {
            // SAFETY: all these rows and columns are within the factors.
            let sums: [_; BLOCK] = unsafe { block(simd, left, r, right, cols, c) };
            for (i, sums) in sums.into_iter().enumerate() {
                put(r + i, c, sums);
            }
            r += BLOCK;
        }
        while r < rows {
            // SAFETY: as above.
            let [sums] = unsafe { block(simd, left, r, right, cols, c) };
            put(r, c, sums);
            r += 1;
        }
    }
}

/// `ROWS` rows of the product from row `r`, and the vector of columns from column `c`.
///
/// # Safety
/// `left` must hold these rows for every row of `right`, and `right` a vector from column `c`.
#[inline(always)]
unsafe fn block<S: Simd, const ROWS: usize>(
    simd: S,
    left: Left,
    r: usize,
    right: &[f32],
    cols: usize,
    c: usize,
) -> [S::f32s; ROWS] {
    let mut sums = [simd.splat_f32s(0.0); ROWS];
    for p in 0..right.len() / cols {
        // SAFETY: the caller's promise; the read asks for no alignment.
        let vector = unsafe { right.as_ptr().add(p * cols + c).cast::<S::f32s>().read_unaligned() };
        for (i, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            let x = unsafe { *left.data.get_unchecked((r + i) * left.row + p * left.step) };
            *sum = simd.mul_add_f32s(simd.splat_f32s(x), vector, *sum);
        }
    }
    sums
}

/// Copies `width` columns of some rows that lie `stride` apart, times a factor, to rows that are
/// padded with zeros to a whole number of vectors.
#[inline(always)]
pub fn pack(packed: &mut [f32], x: &[f32], stride: usize, width: usize, factor: f32) {
    let rows = packed.chunks_exact_mut(width.next_multiple_of(LANES));
    for (packed, x) in rows.zip(x.chunks(stride)) {
        // Whole vectors apart: the usual head has no rest, and its rows are too short for the
        // set-up of a loop of unknown length.
        let (vectors, rest) = x[..width].as_chunks::<LANES>();
        let mut packed = packed.as_chunks_mut::<LANES>().0.iter_mut();
        for (x, packed) in vectors.iter().zip(&mut packed) {
            *packed = x.map(|x| factor * x);
        }
        if let Some(packed) = packed.next() {
            packed.fill(0.0);
            for (packed, x) in packed.iter_mut().zip(rest) {
                *packed = factor * x;
            }
        }
    }
}

/// y += packed, y being rows of `width` columns that lie `stride` apart.
#[inline(always)]
pub fn unpack_add(y: &mut [f32], packed: &[f32], stride: usize, width: usize) {
    let rows = packed.chunks_exact(width.next_multiple_of(LANES));
    for (y, packed) in y.chunks_mut(stride).zip(rows) {
        let (vectors, rest) = y[..width].as_chunks_mut::<LANES>();
        let mut packed = packed.as_chunks::<LANES>().0.iter();
        for (y, packed) in vectors.iter_mut().zip(&mut packed) {
            *y = std::array::from_fn(|l| y[l] + packed[l]);
        }
        for (y, packed) in rest.iter_mut().zip(packed.flatten()) {
            *y += packed;
        }
    }
}

/// Columns of [`LANES`] rows of `x` become rows of `y`.
///
/// By squares of four and for the least instruction set on purpose: a wider one would scatter,
/// which takes longer.
#[inline(never)]
pub fn transpose(y: &mut [f32], x: &[f32]) {
    let cols = x.len() / LANES;
    for (y, c) in y.chunks_exact_mut(4 * LANES).zip((0..cols).step_by(4)) {
        for l in (0..LANES).step_by(4) {
            let x: [[f32; 4]; 4] =
                std::array::from_fn(|i| std::array::from_fn(|j| x[(l + i) * cols + c + j]));
            for (j, y) in y.chunks_exact_mut(LANES).enumerate() {
                y[l..l + 4].copy_from_slice(&[x[0][j], x[1][j], x[2][j], x[3][j]]);
            }
        }
    }
}
