//! Scaled dot-product attention (Vaswani et al. 2017, arXiv 1706.03762, equation 1).
//!
//! Per head: s_ij = scale·⟨q_i, k_j⟩ + bias_ij, p = softmax over the keys that row i may attend to,
//! y_i = Σ_j p_ij·v_j. With dp_ij = ⟨dy_i, v_j⟩ and D_i = Σ_j p_ij·dp_ij: ds = p ⊙ (dp − D),
//! dq_i = scale·Σ_j ds_ij·k_j, dk_j = scale·Σ_i ds_ij·q_i, dv_j = Σ_i p_ij·dy_i, dbias = Σ ds.
//!
//! Forward keeps two numbers per row, max and Σ e^(s − max); vjp makes the probabilities again
//! (Dao et al. 2022, arXiv 2205.14135). D comes from p and dp, not from ⟨dy, y⟩ as there: y need
//! not be kept, and the row of ds sums to 0 as well as p sums to 1.

use std::array;
use std::ops::Range;

use pulp::Simd;

use super::elementary::exp;
use super::panel::{LANES, Left, Target, pack, product, transpose};
use super::{Arg, Fast, Grad, Kind, Op, Property, Reference, Shape, View};
use crate::num::Num;

crate::choices! {
    /// Where the channels of a head lie.
    Layout {
        /// `[batch, seq, heads·K]`: head h is the channels hK..(h+1)K of every token.
        TokenMajor = "token_major",
        /// `[batch, heads, seq, K]`.
        HeadMajor = "head_major",
    }
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

    /// The first rows as what a product is written to.
    fn target<'a>(
        self,
        data: &'a mut [f32],
        rows: usize,
        cols: usize,
        adds: bool,
        factors: Option<[f32; LANES]>,
    ) -> Target<'a> {
        Target { data, start: self.start, stride: self.stride, rows, cols, adds, factors }
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
            Arg::real("q").in_exponent(),
            Arg::real("k").in_exponent(),
            Arg::real("v"),
            Arg::new("mask", Kind::Mask).optional(),
            Arg::real("bias").in_exponent().optional(),
        ];
        ARGS
    }
    crate::constants! { dyn Op; heads: Count, kv_heads: Count, causal: Any, scale: Finite, layout: Any }
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
    /// Two samples. An odd number of rows has two keys more than queries, but where position t of
    /// q and of k must be one place for causality to be stated.
    fn example(&self, rows: usize, cols: usize) -> Vec<Shape> {
        let width = cols.div_ceil(self.heads);
        let keys = if rows % 2 == 1 && self.properties().is_empty() { rows + 2 } else { rows };
        let kv = self.shape(2, self.kv_heads, keys, width);
        vec![
            self.shape(2, self.heads, rows, width),
            kv,
            kv,
            Shape::new(&[2, 1, rows, keys]),
            Shape::new(&[1, self.heads, rows, keys]),
        ]
    }
    fn properties(&self) -> &'static [Property] {
        match (self.causal, self.layout) {
            (true, Layout::TokenMajor) => &[Property::Causal],
            _ => &[],
        }
    }
}

impl<T: Num> Reference<T> for Attention {
    fn forward(&self, args: &[View<T>], outs: &mut [&mut [T]]) {
        let sizes = self.sizes(args[0].shape, args[1].shape);
        let v = args[2].data;
        for (b, h, i) in self.queries(sizes) {
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
        for (b, h, i) in self.queries(sizes) {
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
    /// Shows the logits (−∞ where a row may not attend) and the probabilities of every query row,
    /// by sample, then head, then query. For measurements, not for speed.
    pub fn each_row<T: Num>(&self, args: &[View<T>], mut see: impl FnMut(&[T], &[T])) {
        let sizes = self.sizes(args[0].shape, args[1].shape);
        for (b, h, i) in self.queries(sizes) {
            let logits = self.logits(args, b, h, i);
            see(&logits, &softmax(&logits));
        }
    }

    /// Every sample, head and query.
    fn queries(&self, sizes: Sizes) -> impl Iterator<Item = (usize, usize, usize)> {
        pairs(sizes.batch, self.heads)
            .flat_map(move |(b, h)| (0..sizes.queries).map(move |i| (b, h, i)))
    }

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

/// Every sample and head.
fn pairs(batch: usize, heads: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..batch).flat_map(move |b| (0..heads).map(move |h| (b, h)))
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

/// Queries that are worked on at once, one per lane: no sum goes across lanes, and keys beyond the
/// last one that the tile sees are skipped.
const TILE: usize = LANES;

impl Fast for Attention {
    /// Per row of the logits the largest one, and Σ e^(s − max). The log-sum-exp of both in one
    /// number would lose the digits of e^(s − lse) as logits grow.
    fn saved(&self, args: &[Shape]) -> usize {
        let Sizes { batch, queries, .. } = self.sizes(args[0], args[1]);
        2 * batch * self.heads * queries
    }
    /// A sample of q, dy, k and v, a tile of q and dy by channels, p and ds; and room to align.
    fn scratch(&self, args: &[Shape]) -> usize {
        let sizes = self.sizes(args[0], args[1]);
        let sample =
            self.heads * sizes.head(sizes.queries) + self.kv_heads * sizes.head(sizes.keys);
        2 * (sample + sizes.head(TILE) + TILE * tiled(sizes.keys)) + LANES
    }

    fn forward(
        &self,
        args: &[View<f32>],
        outs: &mut [&mut [f32]],
        saved: &mut [f32],
        scratch: &mut [f32],
    ) {
        let sizes = self.sizes(args[0].shape, args[1].shape);
        let y = &mut *outs[0];
        super::simd::arch().dispatch(Forward { op: self, sizes, args, y, saved, scratch });
    }

    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        saved: &[f32],
        dargs: &mut [Grad],
        scratch: &mut [f32],
    ) {
        let sizes = self.sizes(args[0].shape, args[1].shape);
        super::simd::arch().dispatch(Backward { op: self, sizes, args, dy, saved, dargs, scratch });
    }
}

impl Sizes {
    /// The width of a head in whole vectors.
    fn padded(&self) -> usize {
        self.width.next_multiple_of(LANES)
    }
    /// The numbers of a packed head.
    fn head(&self, seq: usize) -> usize {
        tiled(seq) * self.padded()
    }
}

/// Tokens in whole tiles; those beyond the last are zeros that nobody sees.
fn tiled(seq: usize) -> usize {
    seq.next_multiple_of(TILE)
}

/// Some queries of one head.
#[derive(Debug, Clone, Copy)]
struct Tile {
    sample: usize,
    head: usize,
    /// The first query and how many there are.
    first: usize,
    count: usize,
    /// The keys that the last of the queries sees by its place, in whole tiles.
    keys: usize,
    /// Whether it is the first that meets its keys, all of them.
    meets: bool,
    /// Where the queries lie in q and y, and the keys in k and v.
    rows: Rows,
    key_rows: Rows,
    /// Where the queries and the keys lie in a packed sample.
    packed: usize,
    packed_keys: usize,
    /// Where its first query is among the queries of all samples and heads.
    saved: usize,
}

/// −∞, then ∞: the lanes from a place on, as many as a tile has, bound the first ones to −∞.
const BOUNDS: [f32; 2 * TILE] = {
    let mut bounds = [f32::NEG_INFINITY; 2 * TILE];
    let mut l = TILE;
    while l < 2 * TILE {
        bounds[l] = f32::INFINITY;
        l += 1;
    }
    bounds
};

impl Attention {
    /// The tiles of a sample, of each head the last one first: it sees every key.
    fn tiles(&self, sizes: Sizes, sample: usize) -> impl Iterator<Item = Tile> {
        let per_kv_head = self.heads / self.kv_heads;
        let starts = move || (0..sizes.queries).step_by(TILE).rev();
        let places = (0..self.heads).flat_map(move |head| starts().map(move |first| (head, first)));
        places.map(move |(head, first)| {
            let (rows, key_rows) = self.places(sample, head, sizes);
            let count = TILE.min(sizes.queries - first);
            Tile {
                sample,
                head,
                first,
                count,
                keys: tiled(self.seen(sizes, first + count - 1)),
                meets: head % per_kv_head == 0 && first + count == sizes.queries,
                rows: Rows { start: rows.at(first, 0), ..rows },
                key_rows,
                packed: head * sizes.head(sizes.queries) + first * sizes.padded(),
                packed_keys: head / per_kv_head * sizes.head(sizes.keys),
                saved: (sample * self.heads + head) * sizes.queries + first,
            }
        })
    }

    /// Copies a sample to whole tiles, head after head, times a factor.
    ///
    /// All heads at once, so that the sample is read from end to end: memory is slow to give one
    /// head's pieces of every token.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "the sizes of q differ from those of k")]
    fn pack_sample<S: Simd>(
        &self,
        simd: S,
        packed: &mut [f32],
        x: &[f32],
        sample: usize,
        heads: usize,
        seq: usize,
        width: usize,
        factor: f32,
    ) {
        let padded = width.next_multiple_of(LANES);
        let head_len = tiled(seq) * padded;
        let place = |head| self.rows(sample, head, heads, seq, width);
        let (Rows { start, stride }, next) = (place(0), place(1).start - place(0).start);
        for t in 0..seq {
            for head in 0..heads {
                let x = &x[start + t * stride + head * next..][..width];
                let packed = &mut packed[head * head_len + t * padded..][..padded];
                pack(simd, packed, x, factor);
            }
        }
        for head in packed.chunks_exact_mut(head_len) {
            head[seq * padded..].fill(0.0);
        }
    }

    /// How many keys query i sees by its place.
    #[inline(always)]
    fn seen(&self, sizes: Sizes, i: usize) -> usize {
        match self.causal {
            true => (i + 1 + sizes.keys).saturating_sub(sizes.queries).min(sizes.keys),
            false => sizes.keys,
        }
    }

    /// From how many queries of a tile, the first ones, key j is hidden by its place.
    #[inline(always)]
    fn hidden(&self, sizes: Sizes, tile: &Tile, j: usize) -> usize {
        match self.causal && j < sizes.keys {
            // Where j − keys > i − queries.
            true => (j + sizes.queries).saturating_sub(tile.first + sizes.keys).min(TILE),
            false if j < sizes.keys => 0,
            false => TILE,
        }
    }

    /// Adds the bias to a tile of logits by keys, and puts −∞ where a query may not attend.
    #[inline(always)]
    fn bias_and_mask(&self, sizes: Sizes, args: &[View<f32>], tile: &Tile, s: &mut [[f32; TILE]]) {
        let (mask, bias) = (args[3].data, args[4].data);
        for l in 0..tile.count {
            let i = tile.first + l;
            if !bias.is_empty() {
                let bias = &bias[(tile.head * sizes.queries + i) * sizes.keys..][..sizes.keys];
                for (s, bias) in s.iter_mut().zip(bias) {
                    s[l] += bias;
                }
            }
            if !mask.is_empty() {
                let allowed = &mask[(tile.sample * sizes.queries + i) * sizes.keys..][..sizes.keys];
                for (s, &allowed) in s.iter_mut().zip(allowed) {
                    s[l] = if allowed == 0.0 { f32::NEG_INFINITY } else { s[l] };
                }
            }
        }
        for (s, j) in s.iter_mut().zip(0..).skip(self.seen(sizes, tile.first)) {
            // By a minimum, since a comparison of places would become a branch for every lane.
            let bound = &BOUNDS[TILE - self.hidden(sizes, tile, j)..][..TILE];
            for l in 0..TILE {
                s[l] = if bound[l] < s[l] { bound[l] } else { s[l] };
            }
        }
    }

    /// The inner indices of Σ over keys for some queries of a tile.
    #[inline(always)]
    fn keys_of(&self, sizes: Sizes, tile: &Tile, queries: Range<usize>) -> Range<usize> {
        0..self.seen(sizes, tile.first + queries.end - 1)
    }

    /// The inner indices of Σ over the queries of a tile for some keys.
    #[inline(always)]
    fn queries_of(&self, sizes: Sizes, tile: &Tile, keys: Range<usize>) -> Range<usize> {
        self.hidden(sizes, tile, keys.start)..TILE
    }
}

/// ⟨query, key⟩ of a tile: one row of scores per key, one lane per query.
#[inline(always)]
fn products_by_keys<S: Simd>(simd: S, keys: &[f32], queries: &[f32], scores: &mut [[f32; TILE]]) {
    // The usual widths as constants: every address of a block is then one base and an offset.
    match queries.len() / TILE {
        16 => products_of_width(simd, 16, keys, queries, scores),
        32 => products_of_width(simd, 32, keys, queries, scores),
        64 => products_of_width(simd, 64, keys, queries, scores),
        width => products_of_width(simd, width, keys, queries, scores),
    }
}

#[inline(always)]
fn products_of_width<S: Simd>(
    simd: S,
    width: usize,
    keys: &[f32],
    queries: &[f32],
    scores: &mut [[f32; TILE]],
) {
    let target = Target {
        start: 0,
        stride: TILE,
        rows: scores.len(),
        cols: TILE,
        adds: false,
        factors: None,
        data: scores.as_flattened_mut(),
    };
    let left = Left { data: keys, row: width, step: 1 };
    product(
        simd,
        target.rows,
        left,
        queries,
        TILE,
        #[inline(always)]
        |_| 0..width,
        target,
    );
}

/// Forward of every head, for one instruction set.
struct Forward<'a, 'b> {
    op: &'a Attention,
    sizes: Sizes,
    args: &'a [View<'b, f32>],
    y: &'a mut [f32],
    saved: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl pulp::WithSimd for Forward<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Forward { op, sizes, args, y, saved, scratch } = self;
        let (width, padded) = (sizes.width, sizes.padded());
        let scale = op.scale(width) as f32;
        let mut scratch = aligned(scratch);
        let q = take(&mut scratch, op.heads * sizes.head(sizes.queries));
        let k = take(&mut scratch, op.kv_heads * sizes.head(sizes.keys));
        let v = take(&mut scratch, op.kv_heads * sizes.head(sizes.keys));
        let channels = take(&mut scratch, sizes.head(TILE));
        let s = rows(take(&mut scratch, TILE * tiled(sizes.keys)));
        for sample in 0..sizes.batch {
            op.pack_sample(simd, q, args[0].data, sample, op.heads, sizes.queries, width, scale);
            op.pack_sample(simd, k, args[1].data, sample, op.kv_heads, sizes.keys, width, 1.0);
            op.pack_sample(simd, v, args[2].data, sample, op.kv_heads, sizes.keys, width, 1.0);
            for tile in op.tiles(sizes, sample) {
                let q = &q[tile.packed..][..sizes.head(TILE)];
                let [k, v] = [&*k, &*v].map(|x| &x[tile.packed_keys..][..tile.keys * padded]);
                let s = &mut s[..tile.keys];
                transpose(channels, q);
                products_by_keys(simd, k, channels, s);
                op.bias_and_mask(sizes, args, &tile, s);

                let max = largest(s);
                let mut sum = [0.0; TILE];
                for s in &mut *s {
                    for l in 0..TILE {
                        s[l] = exp(s[l] - max[l]);
                    }
                    for l in 0..TILE {
                        sum[l] += s[l];
                    }
                }
                let stats = saved[2 * tile.saved..].chunks_exact_mut(2).take(tile.count);
                for (l, stats) in stats.enumerate() {
                    stats.copy_from_slice(&[max[l], sum[l]]);
                }
                let per_sum = sum.map(reciprocal);
                product(
                    simd,
                    TILE,
                    Left { data: s.as_flattened(), row: 1, step: TILE },
                    v,
                    padded,
                    #[inline(always)]
                    |queries| op.keys_of(sizes, &tile, queries),
                    tile.rows.target(y, tile.count, width, false, Some(per_sum)),
                );
            }
        }
    }
}

/// The gradients of every head, for one instruction set.
struct Backward<'a, 'b, 'c> {
    op: &'a Attention,
    sizes: Sizes,
    args: &'a [View<'b, f32>],
    dy: &'a [f32],
    saved: &'a [f32],
    dargs: &'a mut [Grad<'c>],
    scratch: &'a mut [f32],
}

impl pulp::WithSimd for Backward<'_, '_, '_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Backward { op, sizes, args, dy, saved, dargs, scratch } = self;
        let [dq, dk, dv, _, dbias] = dargs else { unreachable!("five arguments") };
        let dbias = dbias.to_add();
        let (width, padded) = (sizes.width, sizes.padded());
        let scale = op.scale(width) as f32;
        let mut scratch = aligned(scratch);
        let q = take(&mut scratch, op.heads * sizes.head(sizes.queries));
        let dy_sample = take(&mut scratch, op.heads * sizes.head(sizes.queries));
        let k = take(&mut scratch, op.kv_heads * sizes.head(sizes.keys));
        let v = take(&mut scratch, op.kv_heads * sizes.head(sizes.keys));
        let q_channels = take(&mut scratch, sizes.head(TILE));
        let dy_channels = take(&mut scratch, sizes.head(TILE));
        let p = rows(take(&mut scratch, TILE * tiled(sizes.keys)));
        let ds = rows(take(&mut scratch, TILE * tiled(sizes.keys)));
        for sample in 0..sizes.batch {
            op.pack_sample(simd, q, args[0].data, sample, op.heads, sizes.queries, width, scale);
            op.pack_sample(simd, dy_sample, dy, sample, op.heads, sizes.queries, width, 1.0);
            op.pack_sample(simd, k, args[1].data, sample, op.kv_heads, sizes.keys, width, 1.0);
            op.pack_sample(simd, v, args[2].data, sample, op.kv_heads, sizes.keys, width, 1.0);
            for tile in op.tiles(sizes, sample) {
                let [q, dy] = [&*q, &*dy_sample].map(|x| &x[tile.packed..][..sizes.head(TILE)]);
                let [k, v] = [&*k, &*v].map(|x| &x[tile.packed_keys..][..tile.keys * padded]);
                let (p, ds) = (&mut p[..tile.keys], &mut ds[..tile.keys]);
                transpose(q_channels, q);
                transpose(dy_channels, dy);
                products_by_keys(simd, k, q_channels, p);
                products_by_keys(simd, v, dy_channels, ds);
                op.bias_and_mask(sizes, args, &tile, p);

                // A lane of no query has 1/Σ = 0, hence p = 0 and no part in any gradient.
                let (mut max, mut per_sum) = ([0.0; TILE], [0.0; TILE]);
                let stats = saved[2 * tile.saved..].chunks_exact(2).take(tile.count);
                for (l, stats) in stats.enumerate() {
                    max[l] = stats[0];
                    per_sum[l] = reciprocal(stats[1]);
                }
                let mut mean = [0.0; TILE];
                for (p, dp) in p.iter_mut().zip(&*ds) {
                    for l in 0..TILE {
                        p[l] = exp(p[l] - max[l]) * per_sum[l];
                    }
                    for l in 0..TILE {
                        mean[l] += p[l] * dp[l];
                    }
                }
                for (p, ds) in p.iter().zip(&mut *ds) {
                    for l in 0..TILE {
                        ds[l] = p[l] * (ds[l] - mean[l]);
                    }
                }

                if !dbias.is_empty() {
                    for l in 0..tile.count {
                        let start = (tile.head * sizes.queries + tile.first + l) * sizes.keys;
                        for (dbias, ds) in dbias[start..][..sizes.keys].iter_mut().zip(&*ds) {
                            *dbias += ds[l];
                        }
                    }
                }
                if !dq.is_empty() {
                    let (dq, adds) = dq.raw();
                    product(
                        simd,
                        TILE,
                        Left { data: ds.as_flattened(), row: 1, step: TILE },
                        k,
                        padded,
                        #[inline(always)]
                        |queries| op.keys_of(sizes, &tile, queries),
                        tile.rows.target(dq, tile.count, width, adds, Some([scale; TILE])),
                    );
                }
                for (d, weights, x) in [(&mut *dk, &*ds, q), (&mut *dv, &*p, dy)] {
                    if !d.is_empty() {
                        let (d, adds) = d.raw();
                        let adds = adds || !tile.meets;
                        product(
                            simd,
                            tile.keys,
                            Left { data: weights.as_flattened(), row: TILE, step: 1 },
                            x,
                            padded,
                            #[inline(always)]
                            |keys| op.queries_of(sizes, &tile, keys),
                            tile.key_rows.target(d, sizes.keys, width, adds, None),
                        );
                    }
                }
            }
        }
    }
}

/// The scratch space from the next whole vector on: a vector across two lines of the cache is read
/// at half the speed.
#[inline(always)]
fn aligned(scratch: &mut [f32]) -> &mut [f32] {
    let lanes = scratch.as_ptr().align_offset(LANES * size_of::<f32>());
    &mut scratch[lanes.min(LANES)..]
}

/// The next `n` numbers of what is left of the scratch space.
#[inline(always)]
fn take<'a>(scratch: &mut &'a mut [f32], n: usize) -> &'a mut [f32] {
    scratch.split_off_mut(..n).expect("scratch of the size that was asked for")
}

/// A tile by keys as rows of one number per query.
#[inline(always)]
fn rows(tile: &mut [f32]) -> &mut [[f32; TILE]] {
    tile.as_chunks_mut().0
}

/// The largest number of every lane, 0 where each is −∞: any finite shift serves a query that
/// attends to nothing, whose row becomes zeros and not NaN.
#[inline(always)]
fn largest(s: &[[f32; TILE]]) -> [f32; TILE] {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    // Made anew and not changed in place: so the lanes stay in registers.
    let mut max = [f32::NEG_INFINITY; TILE];
    for s in s {
        max = array::from_fn(|l| larger(max[l], s[l]));
    }
    max.map(|max| if max == f32::NEG_INFINITY { 0.0 } else { max })
}

/// 1/sum, or 0 for the sum of a query that attends to nothing.
#[inline(always)]
fn reciprocal(sum: f32) -> f32 {
    if sum == 0.0 { 0.0 } else { 1.0 / sum }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::bodies::{Case, Path, Results, Rows, fast_agrees, gradient};

    const FULL: Attention =
        Attention { heads: 1, kv_heads: 1, causal: false, scale: None, layout: Layout::TokenMajor };

    /// One sample of one head, without mask and bias.
    fn shapes(queries: usize, keys: usize, width: usize) -> [Shape; 5] {
        let [q, kv] = [queries, keys].map(|seq| Shape::new(&[1, seq, width]));
        [q, kv, kv, Shape::ABSENT, Shape::ABSENT]
    }

    /// Asserts that the fast path is within its budget, and returns both results.
    fn both(op: &Attention, case: &Case) -> [Results; 2] {
        fast_agrees(op, case).unwrap();
        Path::ALL.map(|path| path.run(op, case))
    }

    #[test]
    fn every_length_and_width_agrees_with_the_reference() {
        for causal in [false, true] {
            for layout in [Layout::TokenMajor, Layout::HeadMajor] {
                let op = Attention { heads: 4, kv_heads: 2, causal, layout, ..FULL };
                for n in [1, 2, 15, 16, 17, 63, 64, 65] {
                    let case = Case::draw(&op, Rows::Normal, n, 12, 1);
                    fast_agrees(&op, &case).unwrap();
                    fast_agrees(&op, &case.without(3).without(4)).unwrap();
                    fast_agrees(&op, &Case::draw(&op, Rows::Normal, 4, 4 * n, 1)).unwrap();
                }
            }
        }
    }

    #[test]
    fn gradients_are_slopes() {
        for causal in [false, true] {
            for layout in [Layout::TokenMajor, Layout::HeadMajor] {
                let scale = Some(0.8);
                let op = Attention { heads: 2, kv_heads: 1, causal, scale, layout };
                let case = Case::draw(&op, Rows::Normal, 5, 6, 1);
                gradient::agrees_with_differences(&op, &case).unwrap();
            }
        }
    }

    #[test]
    fn both_layouts_agree_on_one_head() {
        let head_major = Attention { layout: Layout::HeadMajor, ..FULL };
        let case = Case::draw(&FULL, Rows::Normal, 17, 5, 1);
        let other = Case { shapes: head_major.example(17, 5), ..case.clone() };
        assert_eq!(Path::Fast.run(&FULL, &case), Path::Fast.run(&head_major, &other));
    }

    #[test]
    fn a_query_without_keys_gives_zeros() {
        for bias in [false, true] {
            let mut case = Case::of(&FULL, &FULL.example(2, 3), Rows::Normal, 1);
            // The first query of the first sample: masked out, or −∞ by its bias (of both samples).
            let (index, hidden) = if bias { (4, f64::NEG_INFINITY) } else { (3, 0.0) };
            case.values[3].fill(1.0);
            case.values[index][..2].fill(hidden);
            for results in both(&FULL, &case) {
                assert_eq!(results.outs[0][..3], [0.0; 3]);
                assert_eq!(results.grads[0][..3], [0.0; 3]);
                assert!(results.outs[0][3..6].iter().all(|&y| y != 0.0));
            }
        }
    }

    #[test]
    fn masked_keys_have_a_gradient_of_exactly_zero() {
        let mut case = Case::of(&FULL, &FULL.example(4, 3), Rows::Normal, 1);
        for (i, allowed) in case.values[3].iter_mut().enumerate() {
            *allowed = (i % 4 != 1) as u8 as f64;
        }
        for results in both(&FULL, &case) {
            assert_eq!([&results.grads[1][3..6], &results.grads[2][3..6]], [[0.0; 3]; 2]);
            assert!(results.grads[4].iter().skip(1).step_by(4).all(|&d| d == 0.0));
        }
    }

    #[test]
    fn a_bias_of_minus_infinity_masks_and_one_of_the_least_number_does_not_overflow() {
        let least = f32::MIN as f64;
        for hidden in [f64::NEG_INFINITY, least] {
            let mut case = Case::of(&FULL, &FULL.example(2, 3), Rows::Normal, 1);
            case.values[3].fill(1.0);
            case.values[4] = vec![0.5, hidden, hidden, -0.5];
            for results in both(&FULL, &case) {
                assert_eq!(results.outs[0][..3], case.values[2][..3]);
            }
        }
        // Every key at the least number: the products drown in it, and all keys weigh the same.
        let mut case = Case::of(&FULL, &FULL.example(2, 3), Rows::Normal, 1);
        case.values[3].fill(1.0);
        case.values[4].fill(least);
        let mean = (case.values[2][0] + case.values[2][3]) / 2.0;
        for (path, unit) in [(Path::Reference, 2f64.powi(-53)), (Path::Fast, 2f64.powi(-24))] {
            let y = path.run(&FULL, &case).outs[0][0];
            // A rounding of the sum, one of the share, one of the product.
            assert!((y - mean).abs() <= 4.0 * unit * (case.values[2][0].abs() + mean.abs()), "{y}");
        }
    }

    #[test]
    fn causal_is_aligned_at_the_last_query_and_the_last_key() {
        let op = Attention { causal: true, ..FULL };
        for (queries, keys) in [(3, 5), (5, 3), (20, 37), (37, 20)] {
            let mut case = Case::of(&op, &shapes(queries, keys, 2), Rows::Normal, 1);
            // Equal logits, and values that tell how many keys were seen.
            case.values[0].fill(0.0);
            case.values[2] = (0..keys).flat_map(|j| [j as f64, 1.0]).collect();
            let [exact, _] = both(&op, &case);
            for (i, y) in exact.outs[0].chunks(2).enumerate() {
                let seen = (i + 1 + keys).saturating_sub(queries);
                let mean = seen.saturating_sub(1) as f64 / 2.0;
                // Up to 37 probabilities, each with a rounding or two at f64.
                let whole = (seen > 0) as u8 as f64;
                assert!((y[0] - mean).abs() < 1e-12 && (y[1] - whole).abs() < 1e-14, "{i}: {y:?}");
            }
        }
    }

    #[test]
    fn query_heads_in_a_row_share_a_key_head() {
        let op = Attention { heads: 4, kv_heads: 2, ..FULL };
        let (q, kv) = (Shape::new(&[1, 1, 4]), Shape::new(&[1, 1, 2]));
        let mut case = Case::of(&op, &[q, kv, kv, Shape::ABSENT, Shape::ABSENT], Rows::Normal, 1);
        case.values[2] = vec![7.0, 9.0];
        case.dy = vec![1.0, 10.0, 100.0, 1000.0];
        for results in Path::ALL.map(|path| path.run(&op, &case)) {
            assert_eq!(results.outs[0], [7.0, 7.0, 9.0, 9.0]);
            assert_eq!(results.grads[2], [11.0, 1100.0]);
        }
    }

    #[test]
    fn large_logits_neither_overflow_nor_lose_digits() {
        let op = Attention { scale: Some(1.0), ..FULL };
        let mut case = Case::of(&op, &shapes(17, 33, 1), Rows::Normal, 1);
        // Exact products near ±2¹³: the shift by the largest is exact as well, while e^(s − lse)
        // would carry the rounding of lse, 2⁻¹¹.
        case.values[0] = (0..17).map(|i| if i % 2 == 0 { 8192.0 } else { -8192.0 }).collect();
        case.values[1] = (0..33).map(|j| 1.0 - (j % 5) as f64 / 8192.0).collect();
        let [exact, fast] = Path::ALL.map(|path| path.run(&op, &case).outs.remove(0));
        for (exact, fast) in exact.iter().zip(&fast) {
            assert!((exact - fast).abs() < 2e-6, "{fast} for {exact}");
        }
    }

    #[test]
    fn probabilities_are_those_of_the_forward_pass() {
        let op = Attention { heads: 2, kv_heads: 1, causal: true, ..FULL };
        let mut case = Case::of(&op, &op.example(5, 4), Rows::Normal, 1);
        case.values[3].fill(1.0);
        let exact = Path::Reference.run(&op, &case);
        let call = case.call(&op, &case.values, |_, _, value| value as f32);
        let args: Vec<View<f32>> =
            call.shapes.iter().zip(&call.args).map(|(&s, data)| View::new(s, data)).collect();
        let mut count = 0;
        op.each_row(&args, |logits, p| {
            let (sample, head, i) = (count / 10, count / 5 % 2, count % 5);
            assert!(logits[i + 1..].iter().all(|&s| s == f32::NEG_INFINITY));
            assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            // 5 queries and 5 keys a sample, heads of 2 channels that share their keys.
            let y: f32 = (0..5).map(|j| p[j] * args[2].data[(5 * sample + j) * 2]).sum();
            assert!((y as f64 - exact.outs[0][(5 * sample + i) * 4 + 2 * head]).abs() < 1e-5);
            count += 1;
        });
        assert_eq!(count, 20);
    }
}
