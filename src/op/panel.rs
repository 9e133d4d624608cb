//! Products of small panels that lie in the cache: what attention is made of.
//!
//! A general product copies both factors into an order of its own, which for a head of 16 or 32
//! channels costs as much as the product. Here every element of the left factor is broadcast and
//! the right one is read where it lies, a vector of columns at a time. Each sum is one chain of
//! fused multiply-adds in the order of the inner index, whatever the width of the vectors, so that
//! every instruction set gives the same bits.

use std::array;
use std::ops::Range;

use pulp::Simd;

/// The most lanes that a vector of `f32` has; columns come in multiples of it.
pub const LANES: usize = 16;

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

/// The rows that a product is written to.
#[derive(Debug)]
pub struct Target<'a> {
    /// Where row r starts at start + r·stride.
    pub data: &'a mut [f32],
    /// The place of the first row.
    pub start: usize,
    /// From one row to the next.
    pub stride: usize,
    /// How many rows there are; what is beyond is dropped.
    pub rows: usize,
    /// How many columns there are; what is beyond is dropped.
    pub cols: usize,
    /// Whether the product is added to what is there.
    pub adds: bool,
    /// What every row of the product is multiplied by.
    pub factors: Option<[f32; LANES]>,
}

impl Target<'_> {
    /// Puts the vectors at column c of the rows from r on.
    #[inline(always)]
    fn put<S: Simd, const ROWS: usize>(
        &mut self,
        simd: S,
        r: usize,
        c: usize,
        mut vectors: [S::f32s; ROWS],
    ) {
        if let Some(factors) = &self.factors {
            for (vector, &factor) in vectors.iter_mut().zip(&factors[r..]) {
                *vector = simd.mul_f32s(simd.splat_f32s(factor), *vector);
            }
        }
        if c >= self.cols {
            return;
        }
        let start = self.start + r * self.stride + c;
        if r + ROWS > self.rows || c + S::F32_LANES > self.cols {
            let lanes = S::F32_LANES.min(self.cols - c);
            let count = self.rows.saturating_sub(r);
            for (i, vector) in vectors.into_iter().enumerate().take(count) {
                let y = &mut self.data[start + i * self.stride..][..lanes];
                let old = simd.partial_load_f32s(y);
                let sum = if self.adds { simd.add_f32s(old, vector) } else { vector };
                simd.partial_store_f32s(y, sum);
            }
            return;
        }
        let y = &mut self.data[start..][..(ROWS - 1) * self.stride + S::F32_LANES];
        for (i, vector) in vectors.into_iter().enumerate() {
            // SAFETY: a whole vector of every row, the last of which ends with y; the accesses ask
            // for no alignment.
            unsafe {
                let y = y.as_mut_ptr().add(i * self.stride).cast::<S::f32s>();
                let sum =
                    if self.adds { simd.add_f32s(y.read_unaligned(), vector) } else { vector };
                y.write_unaligned(sum);
            }
        }
    }
}

/// Puts the product of `left`, so many rows, and `right`, row-major of `cols` columns.
///
/// Rows and columns come in multiples of [`LANES`]. `inner` says which inner indices count for some
/// rows: those of later rows neither begin nor end earlier. The left factor is 0 at the others,
/// which would take time as well.
#[inline(always)]
pub fn product<S: Simd>(
    simd: S,
    rows: usize,
    left: Left,
    right: &[f32],
    cols: usize,
    inner: impl Fn(Range<usize>) -> Range<usize>,
    target: Target,
) {
    // Sixteen sums are in flight where there are registers for them. Two vectors of columns share
    // what is broadcast.
    if S::REGISTER_COUNT < 32 {
        product_by::<S, 8, 1>(simd, rows, left, right, cols, inner, target);
    } else if cols.is_multiple_of(2 * S::F32_LANES) {
        product_by::<S, 8, 2>(simd, rows, left, right, cols, inner, target);
    } else {
        product_by::<S, 16, 1>(simd, rows, left, right, cols, inner, target);
    }
}

/// The product by blocks of so many rows and vectors of columns.
#[inline(always)]
fn product_by<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    rows: usize,
    left: Left,
    right: &[f32],
    cols: usize,
    inner: impl Fn(Range<usize>) -> Range<usize>,
    mut target: Target,
) {
    assert!(rows.is_multiple_of(LANES) && cols.is_multiple_of(LANES));
    for r in (0..rows).step_by(ROWS) {
        let part = ROWS / 4;
        let inner: [Range<usize>; 4] = array::from_fn(|i| inner(r + i * part..r + (i + 1) * part));
        // What the unchecked reads of `block` rely on.
        let end = inner[3].end;
        assert!(inner.iter().all(|inner| inner.start <= inner.end && inner.end <= end));
        if let Some(last) = end.checked_sub(1) {
            assert!((r + ROWS - 1) * left.row + last * left.step < left.data.len());
            assert!(end * cols <= right.len());
        }
        for c in (0..cols).step_by(VECTORS * S::F32_LANES) {
            // SAFETY: these rows, inner indices and columns are within the factors.
            let sums: [[_; ROWS]; VECTORS] =
                unsafe { block(simd, &inner, Place::new(left, r, right, cols, c)) };
            for (v, sums) in sums.into_iter().enumerate() {
                target.put(simd, r, c + v * S::F32_LANES, sums);
            }
        }
    }
}

/// Where a block of a product begins in its factors.
#[derive(Clone, Copy)]
struct Place {
    /// Element (i, p) of the left factor is i·row + p·step from here.
    left: *const f32,
    row: usize,
    step: usize,
    /// Row p of the right factor is p·cols from here.
    right: *const f32,
    cols: usize,
}

impl Place {
    #[inline(always)]
    fn new(left: Left, r: usize, right: &[f32], cols: usize, c: usize) -> Self {
        let Left { data, row, step } = left;
        Place {
            left: data.as_ptr().wrapping_add(r * row),
            row,
            step,
            right: right.as_ptr().wrapping_add(c),
            cols,
        }
    }
}

/// A block of rows and of vectors of columns; of each quarter of the rows the sums over its own
/// inner indices.
///
/// # Safety
/// The factors must hold these rows and columns at every inner index.
#[inline(always)]
unsafe fn block<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    inner: &[Range<usize>; 4],
    at: Place,
) -> [[S::f32s; ROWS]; VECTORS] {
    let mut sums = [[simd.splat_f32s(0.0); ROWS]; VECTORS];
    let [w, x, y, z] = inner.clone();
    let part = ROWS / 4;
    // SAFETY: the caller's promise, and no inner index is beyond those of a quarter.
    unsafe {
        // Written out, since sums that a loop picks by number would live in memory.
        accumulate(simd, &mut sums, 0..part, w.start..x.start, at);
        accumulate(simd, &mut sums, 0..2 * part, x.start..y.start, at);
        accumulate(simd, &mut sums, 0..3 * part, y.start..z.start, at);
        accumulate(simd, &mut sums, 0..ROWS, z.start..w.end, at);
        accumulate(simd, &mut sums, part..ROWS, w.end.max(z.start)..x.end, at);
        accumulate(simd, &mut sums, 2 * part..ROWS, x.end.max(z.start)..y.end, at);
        accumulate(simd, &mut sums, 3 * part..ROWS, y.end.max(z.start)..z.end, at);
    }
    sums
}

/// Adds to the sums of some rows of a block the terms of some inner indices.
///
/// # Safety
/// As [`block`] for these rows and inner indices.
#[inline(always)]
unsafe fn accumulate<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    sums: &mut [[S::f32s; ROWS]; VECTORS],
    rows: Range<usize>,
    inner: Range<usize>,
    at: Place,
) {
    for p in inner {
        // SAFETY: the caller's promise.
        let (column, row) = unsafe { (at.left.add(p * at.step), at.right.add(p * at.cols)) };
        let vectors: [S::f32s; VECTORS] = array::from_fn(
            #[inline(always)]
            // SAFETY: as above; the read asks for no alignment.
            |v| unsafe { row.add(v * S::F32_LANES).cast::<S::f32s>().read_unaligned() },
        );
        for i in rows.clone() {
            // SAFETY: as above.
            let x = simd.splat_f32s(unsafe { *column.add(i * at.row) });
            for v in 0..VECTORS {
                sums[v][i] = simd.mul_add_f32s(x, vectors[v], sums[v][i]);
            }
        }
    }
}

/// Copies a row, times a factor, and pads it with zeros.
#[inline(always)]
pub fn pack<S: Simd>(simd: S, packed: &mut [f32], x: &[f32], factor: f32) {
    let factor = simd.splat_f32s(factor);
    let (vectors, rest) = S::as_simd_f32s(x);
    let (packed, _) = S::as_mut_simd_f32s(packed);
    let (whole, padding) = packed.split_at_mut(vectors.len());
    for (packed, &x) in whole.iter_mut().zip(vectors) {
        *packed = simd.mul_f32s(factor, x);
    }
    if let Some((packed, zeros)) = padding.split_first_mut() {
        *packed = simd.mul_f32s(factor, simd.partial_load_f32s(rest));
        zeros.fill(simd.splat_f32s(0.0));
    }
}

/// Numbers of a square of [`LANES`] rows and as many columns.
const SQUARE: usize = LANES * LANES;

/// Columns of [`LANES`] rows of `x` become rows of `y`.
#[inline(always)]
pub fn transpose(y: &mut [f32], x: &[f32]) {
    let cols = x.len() / LANES;
    for (y, c) in y.as_chunks_mut::<SQUARE>().0.iter_mut().zip((0..cols).step_by(LANES)) {
        let (mut square, mut half) = ([0.0; SQUARE], [0.0; SQUARE]);
        for (square, x) in square.as_chunks_mut::<LANES>().0.iter_mut().zip(x.chunks_exact(cols)) {
            square.copy_from_slice(&x[c..][..LANES]);
        }
        interleave(&mut half, &square);
        interleave(y, &half);
    }
}

/// Interleaves the four quarters of a square, number by number.
///
/// Two of the bits of every place go from its front to its back; after two times those of the row
/// are behind those of the column. A compiler makes whole shuffles of it, while it would gather and
/// scatter for an outright transposition.
#[inline(always)]
fn interleave(y: &mut [f32; SQUARE], x: &[f32; SQUARE]) {
    const QUARTER: usize = SQUARE / 4;
    for (m, y) in y.as_chunks_mut().0.iter_mut().enumerate() {
        *y = [x[m], x[m + QUARTER], x[m + 2 * QUARTER], x[m + 3 * QUARTER]];
    }
}
