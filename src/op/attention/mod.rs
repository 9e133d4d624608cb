//! Scaled dot-product attention (Vaswani et al. 2017, arXiv 1706.03762, equation 1).
//!
//! Per head: s_ij = scale·⟨q_i, k_j⟩ + bias_ij, p = softmax over the keys that row i may attend to,
//! y_i = Σ_j p_ij·v_j. With dp_ij = ⟨dy_i, v_j⟩ and D_i = Σ_j p_ij·dp_ij: ds = p ⊙ (dp − D),
//! dq_i = scale·Σ_j ds_ij·k_j, dk_j = scale·Σ_i ds_ij·q_i, dv_j = Σ_i p_ij·dy_i, dbias = Σ ds.
//!
//! A soft cap c puts c·tanh(u/c) in the place of u_ij = scale·⟨q_i, k_j⟩, before the bias (Gemma 2, Riviere et
//! al. 2024, arXiv 2408.00118, section 2): dq and dk are then made of ds ⊙ (1 − tanh(u/c)²).
//!
//! Forward keeps two numbers per row, max and Σ e^(s − max); vjp makes the probabilities again
//! (Dao et al. 2022, arXiv 2205.14135). D comes from p and dp, not from ⟨dy, y⟩ as there: y need
//! not be kept, and the row of ds sums to 0 as well as p sums to 1. The fast path is in `tiles`,
//! the kernels' launches are in `launches`.

mod launches;
#[cfg(test)]
mod tests;
mod tiles;

use super::device::Kernels;
use super::panel::{LANES, Target};
use super::{Arg, Kind, Op, Property, Reference, Shape, View};
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
    /// What the scaled products stay below, as c·tanh(u/c); 0 caps nothing.
    pub softcap: f64,
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
        Attention {
            heads,
            kv_heads: heads,
            causal: true,
            scale: None,
            softcap: 0.0,
            layout: Layout::TokenMajor,
        }
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
    crate::constants! {
        dyn Op;
        heads: Count,
        kv_heads: Count,
        causal: Any,
        scale: Finite,
        softcap: NotNegative,
        layout: Any,
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
    fn kernels(&self) -> Option<&dyn Kernels> {
        Some(self)
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
                let du = ds * self.slope(self.product(args, b, h, i, j));
                for c in 0..sizes.width {
                    let (at_q, at_k) = (q_rows.at(i, c), k_rows.at(j, c));
                    if let Some(dq) = dargs[0].get_mut(at_q) {
                        *dq += scale * du * k[at_k];
                    }
                    if let Some(dk) = dargs[1].get_mut(at_k) {
                        *dk += scale * du * q[at_q];
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
        let [mask, bias] = [args[3], args[4]];
        let sizes = self.sizes(args[0].shape, args[1].shape);
        let mut logits = vec![T::num(f64::NEG_INFINITY); sizes.keys];
        for (j, logit) in logits.iter_mut().enumerate() {
            // The last query sees the last key: i − queries is aligned with j − keys.
            let future = self.causal && j + sizes.queries > i + sizes.keys;
            let allowed = mask.get((b * sizes.queries + i) * sizes.keys + j);
            if future || allowed.is_some_and(|allowed| allowed.value() == 0.0) {
                continue;
            }
            let score = self.capped(self.product(args, b, h, i, j));
            let bias = bias.get((h * sizes.queries + i) * sizes.keys + j);
            *logit = bias.map_or(score, |&bias| score + bias);
        }
        logits
    }

    /// scale·⟨q_i, k_j⟩ of head h of sample b.
    fn product<T: Num>(&self, args: &[View<T>], b: usize, h: usize, i: usize, j: usize) -> T {
        let [q, k] = [args[0], args[1]];
        let sizes = self.sizes(q.shape, k.shape);
        let (q_rows, k_rows) = self.places(b, h, sizes);
        let mut sum = T::zero();
        for c in 0..sizes.width {
            sum += q.data[q_rows.at(i, c)] * k.data[k_rows.at(j, c)];
        }
        T::num(self.scale(sizes.width)) * sum
    }

    /// A scaled product as it enters the softmax.
    fn capped<T: Num>(&self, product: T) -> T {
        let cap = T::num(self.softcap);
        if self.softcap == 0.0 { product } else { cap * (product / cap).tanh() }
    }

    /// The derivative of [`Attention::capped`].
    fn slope<T: Num>(&self, product: T) -> T {
        if self.softcap == 0.0 {
            return T::one();
        }
        let t = (product / T::num(self.softcap)).tanh();
        T::one() - t * t
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
