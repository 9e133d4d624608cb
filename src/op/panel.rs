//! Products of panels that lie in the cache, for inner sizes too small for a general product.
//!
//! A general product copies both factors into an order of its own, which at a head of 16 or 32
//! channels costs as much as the product. Here the right factor is read where it lies, a vector of
//! columns at a time, and every element of the left one is broadcast. Each sum is one chain of
//! fused multiply-adds in the order of the inner index, whatever the width of the vectors, so that
//! every instruction set gives the same bits.

use pulp::Simd;

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

/// The right factor: element (p, c) lies at p·stride + c.
#[derive(Debug, Clone, Copy)]
pub struct Right<'a> {
    /// The elements.
    pub data: &'a [f32],
    /// From one inner index to the next.
    pub stride: usize,
    /// The number of columns.
    pub cols: usize,
}

/// Hands to `put` row and first column of every vector of columns of the product of `left` and
/// `right`, with the vector and how many of its lanes are columns.
#[inline(always)]
pub fn product<S: Simd>(
    simd: S,
    [rows, depth]: [usize; 2],
    left: Left,
    right: Right,
    mut put: impl FnMut(usize, usize, S::f32s, usize),
) {
    let cols = right.cols;
    if rows == 0 || cols == 0 {
        return;
    }
    // What the unchecked reads of `block` rely on.
    assert!(depth == 0 || (rows - 1) * left.row + (depth - 1) * left.step < left.data.len());
    assert!(depth == 0 || (depth - 1) * right.stride + cols <= right.data.len());
    for c in (0..cols).step_by(S::F32_LANES) {
        let lanes = S::F32_LANES.min(cols - c);
        let whole = lanes == S::F32_LANES;
        let mut r = 0;
        while r + BLOCK <= rows {
            // SAFETY: r + BLOCK ≤ rows, and c + lanes ≤ cols.
            let sums: [_; BLOCK] = unsafe {
                match whole {
                    true => block::<S, BLOCK, true>(simd, depth, left, right, r, c),
                    false => block::<S, BLOCK, false>(simd, depth, left, right, r, c),
                }
            };
            for (i, sums) in sums.into_iter().enumerate() {
                put(r + i, c, sums, lanes);
            }
            r += BLOCK;
        }
        while r < rows {
            // SAFETY: r < rows, and c + lanes ≤ cols.
            let [sums] = unsafe {
                match whole {
                    true => block::<S, 1, true>(simd, depth, left, right, r, c),
                    false => block::<S, 1, false>(simd, depth, left, right, r, c),
                }
            };
            put(r, c, sums, lanes);
            r += 1;
        }
    }
}

/// `ROWS` rows from row `r` and the vector of columns from column `c`, `WHOLE` where all its lanes
/// are columns.
///
/// # Safety
/// Rows r..r + ROWS and the columns must be within the factors for every inner index below `depth`.
#[inline(always)]
unsafe fn block<S: Simd, const ROWS: usize, const WHOLE: bool>(
    simd: S,
    depth: usize,
    left: Left,
    right: Right,
    r: usize,
    c: usize,
) -> [S::f32s; ROWS] {
    let mut sums = [simd.splat_f32s(0.0); ROWS];
    for p in 0..depth {
        let start = p * right.stride + c;
        let vector = if WHOLE {
            // SAFETY: the caller's promise; the read asks for no alignment.
            unsafe { right.data.as_ptr().add(start).cast::<S::f32s>().read_unaligned() }
        } else {
            let lanes = right.cols - c;
            let mut padded = [0.0; 16];
            padded[..lanes].copy_from_slice(&right.data[start..start + lanes]);
            S::as_simd_f32s(&padded).0[0]
        };
        for (i, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            let x = unsafe { *left.data.get_unchecked((r + i) * left.row + p * left.step) };
            *sum = simd.mul_add_f32s(simd.splat_f32s(x), vector, *sum);
        }
    }
    sums
}
