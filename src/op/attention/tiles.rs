//! The fast path of attention: a tile of queries at a time, one per lane.

use std::array;
use std::ops::Range;

use pulp::Simd;

use super::{Attention, Rows, Sizes};
use crate::op::elementary::{exp, tanh};
use crate::op::panel::{LANES, Left, Target, pack, product, transpose};
use crate::op::{Fast, Grad, Shape, View};

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
    /// A sample of q, dy, k and v, a tile of q and dy by channels, p, ds and under a cap its slopes; and
    /// room to align.
    fn scratch(&self, args: &[Shape]) -> usize {
        let sizes = self.sizes(args[0], args[1]);
        let sample =
            self.heads * sizes.head(sizes.queries) + self.kv_heads * sizes.head(sizes.keys);
        let tile = TILE * tiled(sizes.keys);
        let slopes = if self.softcap > 0.0 { tile } else { 0 };
        2 * (sample + sizes.head(TILE) + tile) + slopes + LANES
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
        crate::op::simd::arch().dispatch(Forward { op: self, sizes, args, y, saved, scratch });
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
        crate::op::simd::arch().dispatch(Backward {
            op: self,
            sizes,
            args,
            dy,
            saved,
            dargs,
            scratch,
        });
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

    /// Puts c·tanh(u/c) in the place of every product u of a tile.
    #[inline(always)]
    fn cap(&self, s: &mut [[f32; TILE]]) {
        let (cap, per_cap) = (self.softcap as f32, (1.0 / self.softcap) as f32);
        for s in s {
            *s = s.map(|u| cap * tanh(u * per_cap));
        }
    }

    /// The derivatives 1 − (s/c)² of a tile of capped products s.
    #[inline(always)]
    fn slopes(&self, s: &[[f32; TILE]], slopes: &mut [[f32; TILE]]) {
        let per_cap = (1.0 / self.softcap) as f32;
        for (slopes, s) in slopes.iter_mut().zip(s) {
            *slopes = s.map(|s| (s * per_cap).mul_add(-(s * per_cap), 1.0));
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
                if op.softcap > 0.0 {
                    op.cap(s);
                }
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
        let slopes = if op.softcap > 0.0 { TILE * tiled(sizes.keys) } else { 0 };
        let slopes = rows(take(&mut scratch, slopes));
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
                if op.softcap > 0.0 {
                    op.cap(p);
                    op.slopes(p, slopes);
                }
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
                if op.softcap > 0.0 {
                    for (ds, slopes) in ds.iter_mut().zip(&*slopes) {
                        for l in 0..TILE {
                            ds[l] *= slopes[l];
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
