//! Scaled dot-product attention (Vaswani et al. 2017, arXiv 1706.03762, equation 1).
//!
//! Per head: s_ij = scale·⟨q_i, k_j⟩ + bias_ij, p = softmax over the keys that row i may attend to,
//! y_i = Σ_j p_ij·v_j. With dp_ij = ⟨dy_i, v_j⟩ and D_i = Σ_j p_ij·dp_ij: ds = p ⊙ (dp − D),
//! dq_i = scale·Σ_j ds_ij·k_j, dk_j = scale·Σ_i ds_ij·q_i, dv_j = Σ_i p_ij·dy_i, dbias = Σ ds.
//!
//! Forward keeps two numbers per row, max and Σ e^(s − max); vjp makes the probabilities again
//! (Dao et al. 2022, arXiv 2205.14135). D comes from p and dp, not from ⟨dy, y⟩ as there: y need
//! not be kept, and the row of ds sums to 0 as well as p sums to 1.

use pulp::Simd;

use super::panel::{Left, Right, product};
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

/// Queries that are worked on at once, one per lane: no sum goes across lanes, and keys beyond the
/// last one that the tile sees are skipped.
const TILE: usize = 16;

impl Fast for Attention {
    /// Per row of the logits the largest one, and Σ e^(s − max). The log-sum-exp of both in one
    /// number would lose the digits of e^(s − lse) as logits grow.
    fn saved(&self, args: &[Shape]) -> usize {
        let Sizes { batch, queries, .. } = self.sizes(args[0], args[1]);
        2 * batch * self.heads * queries
    }
    /// Two tiles by channels, of q and dy, and two by keys, of p and ds.
    fn scratch(&self, args: &[Shape]) -> usize {
        let Sizes { keys, width, .. } = self.sizes(args[0], args[1]);
        2 * TILE * (width + keys)
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
        pulp::Arch::new().dispatch(Forward { op: self, sizes, args, y, saved, scratch });
    }

    fn vjp(
        &self,
        args: &[View<f32>],
        dy: &[f32],
        saved: &[f32],
        dargs: &mut [&mut [f32]],
        scratch: &mut [f32],
    ) {
        let sizes = self.sizes(args[0].shape, args[1].shape);
        pulp::Arch::new().dispatch(Backward { op: self, sizes, args, dy, saved, dargs, scratch });
    }
}

/// Some queries of one head.
#[derive(Debug, Clone, Copy)]
struct Tile {
    sample: usize,
    head: usize,
    /// The first query and how many there are.
    first: usize,
    count: usize,
    /// The keys that the last of the queries sees by its place.
    keys: usize,
    /// Where these queries lie in q and y, and the keys in k and v.
    q: Rows,
    k: Rows,
}

impl Tile {
    /// Where the two numbers of each query of the tile are saved.
    fn saved(&self, op: &Attention, sizes: Sizes) -> std::ops::Range<usize> {
        let start = 2 * ((self.sample * op.heads + self.head) * sizes.queries + self.first);
        start..start + 2 * self.count
    }
}

impl Attention {
    fn tiles(&self, sizes: Sizes) -> impl Iterator<Item = Tile> {
        let tiles = triples(sizes.batch, self.heads, sizes.queries.div_ceil(TILE));
        tiles.map(move |(sample, head, tile)| {
            let first = tile * TILE;
            let count = TILE.min(sizes.queries - first);
            let (mut q, k) = self.places(sample, head, sizes);
            q.start = q.at(first, 0);
            Tile { sample, head, first, count, keys: self.seen(sizes, first + count - 1), q, k }
        })
    }

    /// How many keys query i sees by its place.
    fn seen(&self, sizes: Sizes, i: usize) -> usize {
        match self.causal {
            true => (i + 1 + sizes.keys).saturating_sub(sizes.queries).min(sizes.keys),
            false => sizes.keys,
        }
    }

    /// The logits of a tile by keys: row j holds those of key j, −∞ where a query may not attend.
    #[inline(always)]
    fn logits_by_keys<S: Simd>(
        &self,
        simd: S,
        sizes: Sizes,
        args: &[View<f32>],
        tile: &Tile,
        q: &[f32],
        s: &mut [f32],
    ) {
        scores(simd, sizes, args[1].data, tile, q, s);
        let (mask, bias) = (args[3], args[4]);
        for l in 0..tile.count {
            let i = tile.first + l;
            if !bias.is_absent() {
                let bias = &bias.data[(tile.head * sizes.queries + i) * sizes.keys..];
                for (s, bias) in s.chunks_exact_mut(TILE).zip(bias) {
                    s[l] += bias;
                }
            }
            if !mask.is_absent() {
                let allowed = &mask.data[(tile.sample * sizes.queries + i) * sizes.keys..];
                for (s, &allowed) in s.chunks_exact_mut(TILE).zip(allowed) {
                    s[l] = if allowed == 0.0 { f32::NEG_INFINITY } else { s[l] };
                }
            }
            for s in s.chunks_exact_mut(TILE).skip(self.seen(sizes, i)) {
                s[l] = f32::NEG_INFINITY;
            }
        }
    }
}

/// ⟨row j of `keys`, query l⟩ of a tile by keys, from the queries by channels.
#[inline(always)]
fn scores<S: Simd>(
    simd: S,
    sizes: Sizes,
    keys: &[f32],
    tile: &Tile,
    queries: &[f32],
    s: &mut [f32],
) {
    let left = Left { data: &keys[tile.k.start..], row: tile.k.stride, step: 1 };
    let right = Right { data: queries, stride: TILE, cols: TILE };
    product(
        simd,
        [tile.keys, sizes.width],
        left,
        right,
        #[inline(always)]
        |j, l, sums, lanes| store(simd, &mut s[j * TILE + l..][..lanes], sums),
    );
}

/// The queries of a tile by channels, times a factor, 0 in the lanes of no query.
#[inline(always)]
fn by_channels(x: &[f32], tile: &Tile, factor: f32, channels: &mut [f32]) {
    if tile.count < TILE {
        channels.fill(0.0);
    }
    let width = channels.len() / TILE;
    for l in 0..tile.count {
        let x = &x[tile.q.at(l, 0)..][..width];
        for (channel, x) in channels.chunks_exact_mut(TILE).zip(x) {
            channel[l] = factor * x;
        }
    }
}

/// The lanes of a vector that are wanted.
#[inline(always)]
fn store<S: Simd>(simd: S, y: &mut [f32], vector: S::f32s) {
    match S::as_mut_simd_f32s(y) {
        ([y], []) => *y = vector,
        _ => simd.partial_store_f32s(y, vector),
    }
}

/// y += factor·vector in the lanes that are wanted.
#[inline(always)]
fn add<S: Simd>(simd: S, y: &mut [f32], factor: f32, vector: S::f32s) {
    let vector = simd.mul_f32s(simd.splat_f32s(factor), vector);
    match S::as_mut_simd_f32s(y) {
        ([y], []) => *y = simd.add_f32s(*y, vector),
        _ => simd.partial_store_f32s(y, simd.add_f32s(simd.partial_load_f32s(y), vector)),
    }
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
        let (q_channels, scratch) = scratch.split_at_mut(TILE * sizes.width);
        let v = args[2].data;
        for tile in op.tiles(sizes) {
            by_channels(args[0].data, &tile, op.scale(sizes.width) as f32, q_channels);
            let s = &mut scratch[..TILE * tile.keys];
            op.logits_by_keys(simd, sizes, args, &tile, q_channels, s);
            let max = largest(s);
            let mut sum = [0.0; TILE];
            for s in rows(s) {
                for l in 0..TILE {
                    s[l] = exp(s[l] - max[l]);
                }
                for l in 0..TILE {
                    sum[l] += s[l];
                }
            }
            for (l, stats) in saved[tile.saved(op, sizes)].chunks_exact_mut(2).enumerate() {
                stats.copy_from_slice(&[max[l], sum[l]]);
            }
            let left = Left { data: s, row: 1, step: TILE };
            let right =
                Right { data: &v[tile.k.start..], stride: tile.k.stride, cols: sizes.width };
            product(
                simd,
                [tile.count, tile.keys],
                left,
                right,
                #[inline(always)]
                |l, c, sums, lanes| {
                    let per_sum = simd.splat_f32s(reciprocal(sum[l]));
                    let y = &mut y[tile.q.at(l, c)..][..lanes];
                    store(simd, y, simd.mul_f32s(per_sum, sums));
                },
            );
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
    dargs: &'a mut [&'c mut [f32]],
    scratch: &'a mut [f32],
}

impl pulp::WithSimd for Backward<'_, '_, '_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Backward { op, sizes, args, dy, saved, dargs, scratch } = self;
        let [q, k, v] = [args[0].data, args[1].data, args[2].data];
        let [dq, dk, dv, _, dbias] = dargs else { unreachable!("five arguments") };
        let width = sizes.width;
        let scale = op.scale(width) as f32;
        let (channels, scratch) = scratch.split_at_mut(TILE * width);
        let (p, ds) = scratch.split_at_mut(TILE * sizes.keys);
        for tile in op.tiles(sizes) {
            let (p, ds) = (&mut p[..TILE * tile.keys], &mut ds[..TILE * tile.keys]);
            by_channels(q, &tile, scale, channels);
            op.logits_by_keys(simd, sizes, args, &tile, channels, p);
            by_channels(dy, &tile, 1.0, channels);
            scores(simd, sizes, v, &tile, channels, ds);

            // A lane of no query has 1/Σ = 0, hence p = 0 and no part in any gradient.
            let (mut max, mut per_sum) = ([0.0; TILE], [0.0; TILE]);
            for (l, stats) in saved[tile.saved(op, sizes)].chunks_exact(2).enumerate() {
                max[l] = stats[0];
                per_sum[l] = reciprocal(stats[1]);
            }
            let mut mean = [0.0; TILE];
            for (p, dp) in rows(p).iter_mut().zip(rows(ds)) {
                for l in 0..TILE {
                    p[l] = exp(p[l] - max[l]) * per_sum[l];
                }
                for l in 0..TILE {
                    mean[l] += p[l] * dp[l];
                }
            }
            for (p, ds) in rows(p).iter_mut().zip(rows(ds)) {
                for l in 0..TILE {
                    ds[l] = p[l] * (ds[l] - mean[l]);
                }
            }

            let by_query = |data| Left { data, row: 1, step: TILE };
            let by_key = |data| Left { data, row: TILE, step: 1 };
            if !dbias.is_empty() {
                for l in 0..tile.count {
                    let start = (tile.head * sizes.queries + tile.first + l) * sizes.keys;
                    for (dbias, ds) in dbias[start..].iter_mut().zip(rows(ds)) {
                        *dbias += ds[l];
                    }
                }
            }
            if !dq.is_empty() {
                let k = Right { data: &k[tile.k.start..], stride: tile.k.stride, cols: width };
                product(
                    simd,
                    [tile.count, tile.keys],
                    by_query(ds),
                    k,
                    #[inline(always)]
                    |l, c, sums, lanes| {
                        add(simd, &mut dq[tile.q.at(l, c)..][..lanes], scale, sums);
                    },
                );
            }
            for (d, factor, left, right) in [(&mut *dk, scale, &*ds, q), (&mut *dv, 1.0, &*p, dy)] {
                if !d.is_empty() {
                    product(
                        simd,
                        [tile.keys, tile.count],
                        by_key(left),
                        Right { data: &right[tile.q.start..], stride: tile.q.stride, cols: width },
                        #[inline(always)]
                        |j, c, sums, lanes| {
                            add(simd, &mut d[tile.k.at(j, c)..][..lanes], factor, sums);
                        },
                    );
                }
            }
        }
    }
}

/// A tile by keys as rows of one number per query.
#[inline(always)]
fn rows(tile: &mut [f32]) -> &mut [[f32; TILE]] {
    tile.as_chunks_mut().0
}

/// The largest number of every lane, 0 where each is −∞: any finite shift serves a query that
/// attends to nothing, whose row becomes zeros and not NaN.
#[inline(always)]
fn largest(s: &mut [f32]) -> [f32; TILE] {
    let mut max = [f32::NEG_INFINITY; TILE];
    for s in rows(s) {
        for l in 0..TILE {
            max[l] = if s[l] > max[l] { s[l] } else { max[l] };
        }
    }
    max.map(|max| if max == f32::NEG_INFINITY { 0.0 } else { max })
}

/// 1/sum, or 0 for the sum of a query that attends to nothing.
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
    use super::super::trial::{SIZES, Trial};
    use super::*;

    #[test]
    fn fast_is_within_64_units_of_the_reference() {
        for causal in [false, true] {
            for layout in [Layout::TokenMajor, Layout::HeadMajor] {
                let op = Attention { kv_heads: 2, causal, layout, ..Attention::causal(4) };
                for n in SIZES {
                    let mut shapes = op.example(n, 12);
                    Trial::new(&op, &shapes).agrees(64.0);
                    shapes[3..].fill(Shape::ABSENT);
                    Trial::new(&op, &shapes).agrees(64.0);
                    Trial::new(&op, &op.example(4, 4 * n)).agrees(64.0);
                }
            }
        }
    }
}
