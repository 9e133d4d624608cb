//! Scaled dot-product attention (Vaswani et al. 2017, arXiv 1706.03762, equation 1).
//!
//! Per head: s_ij = scale·⟨q_i, k_j⟩ + bias_ij, p = softmax over the keys that row i may attend to,
//! y_i = Σ_j p_ij·v_j. With dp_ij = ⟨dy_i, v_j⟩ and D_i = Σ_j p_ij·dp_ij: ds = p ⊙ (dp − D),
//! dq_i = scale·Σ_j ds_ij·k_j, dk_j = scale·Σ_i ds_ij·q_i, dv_j = Σ_i p_ij·dy_i, dbias = Σ ds.
//!
//! Forward keeps two numbers per row, max and Σ e^(s − max); vjp makes the probabilities again
//! (Dao et al. 2022, arXiv 2205.14135). D comes from p and dp, not from ⟨dy, y⟩ as there: y need
//! not be kept, and the row of ds sums to 0 as well as p sums to 1.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::simd;
use super::{Arg, Fast, Kind, Law, Op, Reference, Shape, View};
use crate::num::Num;

/// Where the channels of a head lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `[batch, seq, heads·K]`: head h is the channels hK..(h+1)K of every token.
    TokenMajor,
    /// `[batch, heads, seq, K]`.
    HeadMajor,
}

/// Softmax attention of q over k and v.
///
/// A row that may attend to no key gives zeros.
#[derive(Debug, Clone, Copy)]
pub struct Attention {
    /// Heads of q and y.
    pub heads: usize,
    /// Heads of k and v, a divisor of `heads`: query head h reads head ⌊h·kv_heads/heads⌋.
    pub kv_heads: usize,
    /// Whether the last query attends to every key, the one before to all but the last, and so on.
    pub causal: bool,
    /// The factor of the products; none is 1/√K.
    pub scale: Option<f64>,
    /// How q, k, v and y lie in memory.
    pub layout: Layout,
}

/// The sizes of a problem.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    batch: usize,
    queries: usize,
    keys: usize,
    width: usize,
}

/// Where the rows of one head lie: row t starts at start + t·stride.
#[derive(Debug, Clone, Copy)]
struct Rows {
    start: usize,
    stride: usize,
}

impl Rows {
    /// The place of channel c of token t.
    fn at(self, t: usize, c: usize) -> usize {
        self.start + t * self.stride + c
    }
}

impl Attention {
    /// Causal attention of tokens, with as many heads everywhere.
    pub fn causal(heads: usize) -> Self {
        Attention { heads, kv_heads: heads, causal: true, scale: None, layout: Layout::TokenMajor }
    }

    fn sizes(&self, q: Shape, k: Shape) -> Sizes {
        match (self.layout, q.sizes(), k.sizes()) {
            (Layout::TokenMajor, &[batch, queries, width], &[_, keys, _]) => {
                assert_eq!(width % self.heads, 0, "{} heads for a width of {width}", self.heads);
                Sizes { batch, queries, keys, width: width / self.heads }
            }
            (Layout::HeadMajor, &[batch, _, queries, width], &[_, _, keys, _]) => {
                Sizes { batch, queries, keys, width }
            }
            _ => panic!("q {q:?} and k {k:?} do not fit {self:?}"),
        }
    }

    /// The shape of a tensor of this layout.
    fn shape(&self, batch: usize, heads: usize, seq: usize, width: usize) -> Shape {
        match self.layout {
            Layout::TokenMajor => Shape::new(&[batch, seq, heads * width]),
            Layout::HeadMajor => Shape::new(&[batch, heads, seq, width]),
        }
    }

    /// Where the rows of head `h` of sample `b` lie in a tensor of so many heads and tokens.
    fn rows(&self, b: usize, h: usize, heads: usize, seq: usize, width: usize) -> Rows {
        match self.layout {
            Layout::TokenMajor => {
                Rows { start: (b * seq * heads + h) * width, stride: heads * width }
            }
            Layout::HeadMajor => Rows { start: (b * heads + h) * seq * width, stride: width },
        }
    }

    /// Where the rows of a query head lie in q and y, and those that it reads in k and v.
    fn places(&self, b: usize, h: usize, sizes: Sizes) -> (Rows, Rows) {
        let kv_head = h * self.kv_heads / self.heads;
        (
            self.rows(b, h, self.heads, sizes.queries, sizes.width),
            self.rows(b, kv_head, self.kv_heads, sizes.keys, sizes.width),
        )
    }

    /// Shows the logits and the probabilities of every query row, masked logits as −∞: what a
    /// probe measures entropy by.
    pub fn each_row<T: Num>(&self, args: &[View<T>], mut see: impl FnMut(&[T], &[T])) {
        let sizes = self.sizes(args[0].shape, args[1].shape);
        for (b, h, i) in triples(sizes.batch, self.heads, sizes.queries) {
            let logits = self.logits(args, b, h, i);
            see(&logits, &softmax(&logits));
        }
    }

    fn scale(&self, width: usize) -> f64 {
        self.scale.unwrap_or(1.0 / (width as f64).sqrt())
    }
}

impl Op for Attention {
    fn id(&self) -> &'static str {
        "attention"
    }
    fn args(&self) -> &'static [Arg] {
        const ARGS: &[Arg] = &[
            Arg::real("q"),
            Arg::real("k"),
            Arg::real("v"),
            Arg::new("mask", Kind::Mask).optional(),
            Arg::real("bias").optional(),
        ];
        ARGS
    }
    fn outputs(&self, args: &[Shape]) -> Vec<Shape> {
        let Sizes { batch, queries, keys, width } = self.sizes(args[0], args[1]);
        let kv = self.shape(batch, self.kv_heads, keys, width);
        assert_eq!(self.heads % self.kv_heads, 0, "{self:?}");
        assert_eq!(args[0], self.shape(batch, self.heads, queries, width), "q of {self:?}");
        assert_eq!([args[1], args[2]], [kv, kv], "k and v of {self:?}");
        let mask = Shape::new(&[batch, 1, queries, keys]);
        let bias = Shape::new(&[1, self.heads, queries, keys]);
        assert!(args[3].is_empty() || args[3] == mask, "mask {:?} is not {mask:?}", args[3]);
        assert!(args[4].is_empty() || args[4] == bias, "bias {:?} is not {bias:?}", args[4]);
        vec![args[0]]
    }
    /// Two samples; an odd number of rows has two keys more than queries.
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        let (width, keys) =
            (cols.div_ceil(self.heads), if rows % 2 == 1 { rows + 2 } else { rows });
        let kv = self.shape(2, self.kv_heads, keys, width);
        vec![
            self.shape(2, self.heads, rows, width),
            kv,
            kv,
            Shape::new(&[2, 1, rows, keys]),
            Shape::new(&[1, self.heads, rows, keys]),
        ]
    }
    fn laws(&self) -> &'static [Law] {
        match (self.causal, self.layout) {
            (true, Layout::TokenMajor) => &[Law::Causal],
            _ => &[],
        }
    }
}

impl<T: Num> Reference<T> for Attention {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let sizes = self.sizes(args[0].shape, args[1].shape);
        let v = args[2].data;
        for (b, h, i) in triples(sizes.batch, self.heads, sizes.queries) {
            let (q_rows, k_rows) = self.places(b, h, sizes);
            let p = softmax(&self.logits(args, b, h, i));
            for c in 0..sizes.width {
                let mut sum = T::zero();
                for j in 0..sizes.keys {
                    sum += p[j] * v[k_rows.at(j, c)];
                }
                outs[0][q_rows.at(i, c)] = sum;
            }
        }
    }

    fn vjp(&self, args: &[View<T>], dy: &[T], dargs: &mut [&mut [T]]) {
        let [q, k, v] = [args[0].data, args[1].data, args[2].data];
        let sizes = self.sizes(args[0].shape, args[1].shape);
        let scale = T::num(self.scale(sizes.width));
        for (b, h, i) in triples(sizes.batch, self.heads, sizes.queries) {
            let (q_rows, k_rows) = self.places(b, h, sizes);
            let p = softmax(&self.logits(args, b, h, i));
            let mut dp = vec![T::zero(); sizes.keys];
            let mut mean = T::zero();
            for j in 0..sizes.keys {
                for c in 0..sizes.width {
                    dp[j] += dy[q_rows.at(i, c)] * v[k_rows.at(j, c)];
                }
                mean += p[j] * dp[j];
            }
            for j in 0..sizes.keys {
                let ds = p[j] * (dp[j] - mean);
                for c in 0..sizes.width {
                    let (at_q, at_k) = (q_rows.at(i, c), k_rows.at(j, c));
                    if let Some(dq) = dargs[0].get_mut(at_q) {
                        *dq += scale * ds * k[at_k];
                    }
                    if let Some(dk) = dargs[1].get_mut(at_k) {
                        *dk += scale * ds * q[at_q];
                    }
                    if let Some(dv) = dargs[2].get_mut(at_k) {
                        *dv += p[j] * dy[at_q];
                    }
                }
                if let Some(dbias) = dargs[4].get_mut((h * sizes.queries + i) * sizes.keys + j) {
                    *dbias += ds;
                }
            }
        }
    }
}

impl Attention {
    /// The logits of query i of head h of sample b, −∞ where it may not attend.
    fn logits<T: Num>(&self, args: &[View<T>], b: usize, h: usize, i: usize) -> Vec<T> {
        let [q, k, mask, bias] = [args[0], args[1], args[3], args[4]];
        let sizes = self.sizes(q.shape, k.shape);
        let (q_rows, k_rows) = self.places(b, h, sizes);
        let mut logits = vec![T::num(f64::NEG_INFINITY); sizes.keys];
        for (j, logit) in logits.iter_mut().enumerate() {
            // The last query sees the last key: i − queries is aligned with j − keys.
            let future = self.causal && j + sizes.queries > i + sizes.keys;
            let allowed = mask.get((b * sizes.queries + i) * sizes.keys + j);
            if future || allowed.is_some_and(|allowed| allowed.value() == 0.0) {
                continue;
            }
            let mut sum = T::zero();
            for c in 0..sizes.width {
                sum += q.data[q_rows.at(i, c)] * k.data[k_rows.at(j, c)];
            }
            sum = T::num(self.scale(sizes.width)) * sum;
            let bias = bias.get((h * sizes.queries + i) * sizes.keys + j);
            *logit = bias.map_or(sum, |&bias| sum + bias);
        }
        logits
    }
}

/// Every sample, head and query.
fn triples(
    batch: usize,
    heads: usize,
    queries: usize,
) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..batch * heads * queries)
        .map(move |n| (n / queries / heads, n / queries % heads, n % queries))
}

/// Probabilities of logits, all 0 where every logit is −∞.
fn softmax<T: Num>(logits: &[T]) -> Vec<T> {
    let mut max = T::num(f64::NEG_INFINITY);
    for &s in logits {
        max = max.larger(s);
    }
    if max.value() == f64::NEG_INFINITY {
        return vec![T::zero(); logits.len()];
    }
    let mut sum = T::zero();
    for &s in logits {
        sum += (s - max).exp();
    }
    logits.iter().map(|&s| (s - max).exp() / sum).collect()
}

/// Rows of queries that are worked on at once: what lies beyond the last of their keys is skipped.
const TILE: usize = 32;

impl Fast for Attention {
    /// Per row of the logits the largest one, and Σ e^(s − max). The log-sum-exp of both in one
    /// number would lose the digits of e^(s − lse) as logits grow.
    fn saved(&self, args: &[Shape]) -> usize {
        let Sizes { batch, queries, .. } = self.sizes(args[0], args[1]);
        2 * batch * self.heads * queries
    }
    /// Two tiles of logits: p, and dp that becomes ds.
    fn scratch(&self, args: &[Shape]) -> usize {
        let Sizes { queries, keys, .. } = self.sizes(args[0], args[1]);
        2 * queries.min(TILE) * keys
    }

    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        saved: &mut [f32],
        scratch: &mut [f32],
    ) {
        let v = args[2].data;
        let sizes = self.sizes(args[0].shape, args[1].shape);
        for (b, h, first) in self.tiles(sizes) {
            let (q_rows, k_rows) = self.places(b, h, sizes);
            let tile = self.tile(sizes, first);
            let mut y = rows_mut(outs[0], q_rows, first, tile.rows, sizes.width);
            if tile.keys == 0 {
                y.fill(0.0);
                continue;
            }
            self.weigh(args, (b, h), tile, scratch);
            let stats = &mut saved[2 * (self.heads * b + h) * sizes.queries + 2 * first..];
            simd::dispatch(
                #[inline(always)]
                || {
                    let rows = scratch.chunks_exact_mut(tile.keys).zip(stats.chunks_exact_mut(2));
                    for (s, stats) in rows.take(tile.rows) {
                        let max = max(s);
                        stats.copy_from_slice(&[max, exponentials(s, max)]);
                        let per_sum = reciprocal(stats[1]);
                        for p in s {
                            *p *= per_sum;
                        }
                    }
                },
            );
            let p = MatRef::from_row_major_slice(
                &scratch[..tile.rows * tile.keys],
                tile.rows,
                tile.keys,
            );
            let v = rows(v, k_rows, 0, tile.keys, sizes.width);
            matmul(y, Accum::Replace, p, v, 1.0, Par::Seq);
        }
    }

    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        saved: &[f32],
        dargs: &mut [&mut [f32]],
        scratch: &mut [f32],
    ) {
        let [q, k, v] = [args[0].data, args[1].data, args[2].data];
        let sizes = self.sizes(args[0].shape, args[1].shape);
        let width = sizes.width;
        let scale = self.scale(width) as f32;
        let (p, ds) = scratch.split_at_mut(sizes.queries.min(TILE) * sizes.keys);
        let [dq, dk, dv, _, dbias] = dargs else { unreachable!("five arguments") };
        for (b, h, first) in self.tiles(sizes) {
            let (q_rows, k_rows) = self.places(b, h, sizes);
            let tile = self.tile(sizes, first);
            if tile.keys == 0 {
                continue;
            }
            let len = tile.rows * tile.keys;
            let q = rows(q, q_rows, first, tile.rows, width);
            let dy = rows(dy, q_rows, first, tile.rows, width);
            let k = rows(k, k_rows, 0, tile.keys, width);
            let v = rows(v, k_rows, 0, tile.keys, width);
            self.weigh(args, (b, h), tile, p);
            let dp = MatMut::from_row_major_slice_mut(&mut ds[..len], tile.rows, tile.keys);
            matmul(dp, Accum::Replace, dy, v.transpose(), 1.0, Par::Seq);
            let stats = &saved[2 * (self.heads * b + h) * sizes.queries + 2 * first..];
            simd::dispatch(
                #[inline(always)]
                || {
                    let rows =
                        p[..len].chunks_exact_mut(tile.keys).zip(ds.chunks_exact_mut(tile.keys));
                    for (r, ((p, ds), stats)) in rows.zip(stats.chunks_exact(2)).enumerate() {
                        exponentials(p, stats[0]);
                        let per_sum = reciprocal(stats[1]);
                        for p in p.iter_mut() {
                            *p *= per_sum;
                        }
                        let mean = simd::dot(p, ds);
                        for (ds, p) in ds.iter_mut().zip(&*p) {
                            *ds = p * (*ds - mean);
                        }
                        let start = (h * sizes.queries + first + r) * sizes.keys;
                        simd::add(dbias.get_mut(start..start + tile.keys).unwrap_or_default(), ds);
                    }
                },
            );
            let p = MatRef::from_row_major_slice(&p[..len], tile.rows, tile.keys);
            let ds = MatRef::from_row_major_slice(&ds[..len], tile.rows, tile.keys);
            if !dq.is_empty() {
                let dq = rows_mut(dq, q_rows, first, tile.rows, width);
                matmul(dq, Accum::Add, ds, k, scale, Par::Seq);
            }
            if !dk.is_empty() {
                let dk = rows_mut(dk, k_rows, 0, tile.keys, width);
                matmul(dk, Accum::Add, ds.transpose(), q, scale, Par::Seq);
            }
            if !dv.is_empty() {
                let dv = rows_mut(dv, k_rows, 0, tile.keys, width);
                matmul(dv, Accum::Add, p.transpose(), dy, 1.0, Par::Seq);
            }
        }
    }
}

/// Some rows of queries of one head, and the keys that the last of them sees.
#[derive(Debug, Clone, Copy)]
struct Tile {
    first: usize,
    rows: usize,
    keys: usize,
}

impl Attention {
    /// Every sample, head and first query of a tile.
    fn tiles(&self, sizes: Sizes) -> impl Iterator<Item = (usize, usize, usize)> {
        triples(sizes.batch, self.heads, sizes.queries.div_ceil(TILE))
            .map(|(b, h, tile)| (b, h, tile * TILE))
    }

    fn tile(&self, sizes: Sizes, first: usize) -> Tile {
        let rows = TILE.min(sizes.queries - first);
        Tile { first, rows, keys: self.seen(sizes, first + rows - 1) }
    }

    /// How many keys query i may see by its place.
    fn seen(&self, sizes: Sizes, i: usize) -> usize {
        match self.causal {
            true => (i + 1 + sizes.keys).saturating_sub(sizes.queries).min(sizes.keys),
            false => sizes.keys,
        }
    }

    /// Fills `s` with the logits of a tile, −∞ where a query may not attend.
    fn weigh(&self, args: &[View<f32>], (b, h): (usize, usize), tile: Tile, s: &mut [f32]) {
        let [q, k, mask, bias] = [args[0], args[1], args[3], args[4]];
        let sizes = self.sizes(q.shape, k.shape);
        let (q_rows, k_rows) = self.places(b, h, sizes);
        let s = &mut s[..tile.rows * tile.keys];
        matmul(
            MatMut::from_row_major_slice_mut(s, tile.rows, tile.keys),
            Accum::Replace,
            rows(q.data, q_rows, tile.first, tile.rows, sizes.width),
            rows(k.data, k_rows, 0, tile.keys, sizes.width).transpose(),
            self.scale(sizes.width) as f32,
            Par::Seq,
        );
        simd::dispatch(
            #[inline(always)]
            || {
                for (s, i) in s.chunks_exact_mut(tile.keys).zip(tile.first..) {
                    s[self.seen(sizes, i)..].fill(f32::NEG_INFINITY);
                    if !bias.is_absent() {
                        simd::add(s, &bias.data[(h * sizes.queries + i) * sizes.keys..]);
                    }
                    if !mask.is_absent() {
                        let allowed = &mask.data[(b * sizes.queries + i) * sizes.keys..];
                        for (s, &allowed) in s.iter_mut().zip(allowed) {
                            *s = if allowed == 0.0 { f32::NEG_INFINITY } else { *s };
                        }
                    }
                }
            },
        );
    }
}

/// Some rows of a head as a matrix.
fn rows(data: &[f32], rows: Rows, first: usize, count: usize, width: usize) -> MatRef<'_, f32> {
    MatRef::from_row_major_slice_with_stride(&data[rows.at(first, 0)..], count, width, rows.stride)
}

/// As [`rows`], to be written.
fn rows_mut(
    data: &mut [f32],
    rows: Rows,
    first: usize,
    count: usize,
    width: usize,
) -> MatMut<'_, f32> {
    let data = &mut data[rows.at(first, 0)..];
    // By way of columns: from_row_major_slice_with_stride_mut of faer 0.24.4 makes columns of the
    // rows and writes out of bounds.
    MatMut::from_column_major_slice_with_stride_mut(data, width, count, rows.stride).transpose_mut()
}

/// s = e^(s − max), and the sum; all 0 where no logit is finite.
#[inline(always)]
fn exponentials(s: &mut [f32], max: f32) -> f32 {
    // Anything finite serves as the shift of a row of −∞, which then gives zeros, not NaN.
    let max = if max == f32::NEG_INFINITY { 0.0 } else { max };
    for s in s.iter_mut() {
        *s = exp(*s - max);
    }
    simd::sum(s)
}

/// 1/sum, or 0 for the sum of a row that attends to nothing.
#[inline(always)]
fn reciprocal(sum: f32) -> f32 {
    if sum == 0.0 { 0.0 } else { 1.0 / sum }
}

#[inline(always)]
pub(super) fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let (blocks, rest) = x.as_chunks::<16>();
    for block in blocks {
        for (lane, x) in lanes.iter_mut().zip(block) {
            *lane = if *x > *lane { *x } else { *lane };
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane = if *x > *lane { *x } else { *lane };
    }
    lanes.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const LOWEST: f32 = -87.336_55;
    const MAGIC: f32 = 12_582_912.0;
    let clamped = x.clamp(LOWEST, 88.722_84);
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    let r = n.mul_add(-0.693_359_4, clamped);
    let r = n.mul_add(2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4f32;
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p.mul_add(r, c);
    }
    let y = (p * r).mul_add(r, r) + 1.0;
    let bits = (shifted.to_bits() << 23).wrapping_add(127 << 23);
    let y = y * f32::from_bits(bits);
    if x < LOWEST {
        0.0
    } else if x > 88.722_84 {
        f32::INFINITY
    } else {
        y
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Case, Rows, fast_agrees};

    #[test]
    fn lengths_at_the_edges_of_tiles_agree() {
        for causal in [false, true] {
            for layout in [Layout::TokenMajor, Layout::HeadMajor] {
                let op = Attention { kv_heads: 2, causal, layout, ..Attention::causal(4) };
                for seq in [TILE - 1, TILE, TILE + 1, 2 * TILE + 1] {
                    let case = Case::draw(&op, Rows::Normal, seq, 12, 1);
                    fast_agrees(&op, &case).unwrap();
                    fast_agrees(&op, &case.without(3).without(4)).unwrap();
                }
            }
        }
    }
}
