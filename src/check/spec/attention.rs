//! `attention` (Vaswani et al. 2017, arXiv 1706.03762): y = softmax(scale·q·kᵀ + bias)·v per head.
//!
//! Query head h reads key head ⌊h·Hk/Hq⌋; a causal mask is aligned at the last key. With
//! dp = dy·vᵀ and D = Σ p·dp of a row: ds = p·(dp − D), dq = scale·ds·k, dk = scale·dsᵀ·q,
//! dv = pᵀ·dy, dbias = Σ ds over the batch. A row without an open key gives zeros, or NaN where that
//! is declared.
//!
//! In 16-bit storage the usual kernels keep p, dp and ds in that dtype between their products, and
//! D from the answer as it was stored (FlashAttention, Dao et al. 2022, arXiv 2205.14135): the
//! bounds allow it.

use super::case::Case;
use super::operator::{Attr, Axis, Fill, Formula, Named, Operator, Problem, Role};
use super::operator::{Setting, Slot, View};
use super::softmax::{largest, shares};
use crate::check::call::Attrs;
use crate::check::tensor::Dtype;
use crate::num::Num;

pub struct Attention;

const LENGTHS: &[usize] = &[1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 129, 257];
/// The largest element of q and k: scores reach some hundreds, where exponentials overflow, and
/// their own roundings stay small.
const REACH: f64 = 8.0;

impl Operator for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }
    fn dtypes(&self) -> &'static [Dtype] {
        &Dtype::REAL
    }
    fn axes(&self) -> &'static [Axis] {
        &[
            Axis { name: "batch", sizes: &[1, 2, 3] },
            Axis { name: "kv_heads", sizes: &[1, 2, 3] },
            Axis { name: "group", sizes: &[1, 2, 3, 4] },
            Axis { name: "queries", sizes: LENGTHS },
            Axis { name: "keys", sizes: LENGTHS },
            Axis { name: "width", sizes: &[1, 2, 3, 4, 7, 8, 9, 16, 31, 32, 33, 64, 80, 128, 256] },
        ]
    }
    fn attrs(&self) -> &'static [Attr] {
        use Setting::{Bool, Null, Num};
        &[
            Attr { name: "causal", values: &[Bool(false), Bool(true)] },
            Attr { name: "scale", values: &[Null, Num(0.0), Num(0.3), Num(1.0), Num(-0.5)] },
            Attr { name: "softcap", values: &[Num(0.0), Num(2.5), Num(50.0), Num(0.25)] },
        ]
    }
    fn later(&self) -> &'static [&'static str] {
        &["softcap"]
    }
    fn variants(&self) -> &'static [(&'static str, [&'static str; 2])] {
        &[("attention.empty_row", ["zero", "nan"])]
    }
    fn slots(&self, case: &Case) -> Vec<Slot> {
        let [batch, kv_heads, group, queries, keys, width] =
            ["batch", "kv_heads", "group", "queries", "keys", "width"].map(|axis| case.size(axis));
        let heads = kv_heads * group;
        let near = |name: &str, shape: &[usize], reach: f64| {
            Slot::new(name, shape, Role::Data, Fill::Within(reach))
        };
        // What a 16-bit kernel keeps of dy·v has to stay a number.
        let values = if case.dtype == Dtype::F16 { 64.0 } else { f64::INFINITY };
        vec![
            near("q", &[batch, heads, queries, width], REACH),
            near("k", &[batch, kv_heads, keys, width], REACH),
            near("v", &[batch, kv_heads, keys, width], values),
            Slot::new("mask", &[batch, 1, queries, keys], Role::Mask, Fill::Mask).optional(),
            Slot::new("bias", &[1, heads, queries, keys], Role::Data, Fill::Scores).optional(),
        ]
    }
    fn reach(&self, case: &Case, tensor: &str) -> Option<i32> {
        // Scores are told from each other while they stay within hundreds; of dy·v a 16-bit kernel
        // keeps what its dtype holds.
        let narrow = case.dtype == Dtype::F16;
        if matches!(tensor, "v" | "dy") && !narrow { Some(60) } else { Some(0) }
    }
    fn work(&self, case: &Case) -> usize {
        let axes = ["batch", "kv_heads", "group", "queries", "keys", "width"];
        2 * axes.map(|axis| case.size(axis)).iter().product::<usize>()
    }
    fn batched(&self, _: &Attrs) -> Option<Vec<String>> {
        Some(["q", "k", "v", "mask", "dy"].map(String::from).to_vec())
    }
}

/// The sizes of a problem and its places.
struct Sizes {
    batch: usize,
    heads: usize,
    kv_heads: usize,
    queries: usize,
    keys: usize,
}

impl Sizes {
    fn of<R: Num>(p: &Problem<R>) -> Sizes {
        let (q, k) = (&p.get("q").shape, &p.get("k").shape);
        Sizes { batch: q[0], heads: q[1], kv_heads: k[1], queries: q[2], keys: k[2] }
    }
    /// Every query in order of storage: sample, head, place.
    fn each_query(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let (heads, queries) = (self.heads, self.queries);
        (0..self.batch * heads * queries)
            .map(move |n| (n / (heads * queries), n / queries % heads, n % queries))
    }
    fn query(&self, b: usize, h: usize, i: usize) -> usize {
        (b * self.heads + h) * self.queries + i
    }
    /// The key of place j that query head h reads.
    fn key(&self, b: usize, h: usize, j: usize) -> usize {
        (b * self.kv_heads + h * self.kv_heads / self.heads) * self.keys + j
    }
    /// How many equal keys the query of place i meets at place j: 1 or 0, unless the mask says that
    /// it may attend to more, or every query meets as many.
    fn open<R: Num>(&self, p: &Problem<R>, b: usize, i: usize, j: usize) -> usize {
        let past = j + self.queries <= i + self.keys;
        if p.flag("causal") && !past {
            return 0;
        }
        match p.opt("mask") {
            Some(mask) => mask.data[(b * self.queries + i) * self.keys + j].value() as usize,
            None => p.times("keys", j),
        }
    }
}

/// The n-th row of the last axis.
fn row<R: Copy>(view: &View<R>, n: usize) -> &[R] {
    let cols = view.cols();
    &view.data[n * cols..(n + 1) * cols]
}

fn scale<R: Num>(p: &Problem<R>) -> R {
    let width = p.get("q").cols();
    p.call.attrs["scale"].as_f64().map_or_else(|| R::one() / R::count(width).sqrt(), R::num)
}

/// The cap of the scores; none for 0, and in calls of before there was one.
fn cap<R: Num>(p: &Problem<R>) -> Option<R> {
    let cap = p.call.attrs.get("softcap").and_then(|cap| cap.as_f64());
    cap.filter(|&cap| cap > 0.0).map(R::num)
}

/// A score under the cap.
fn capped<R: Num>(p: &Problem<R>, score: R) -> R {
    cap(p).map_or(score, |cap| cap * (score / cap).tanh())
}

/// The derivative of [`capped`], which may be formed from the capped score.
fn slope<R: Num>(p: &Problem<R>, score: R) -> Option<R> {
    cap(p).map(|cap| {
        let t = (score / cap).tanh();
        let t = t.loosened(2.0 * t.value().abs());
        R::one() - t * t
    })
}

/// A key that a query attends to.
#[derive(Clone, Copy)]
struct Attended<R> {
    place: usize,
    /// How many equal keys it stands for.
    times: usize,
    /// The share of each.
    share: R,
}

/// The keys that a query attends to, each with its share; all with NaN where a query that attends
/// to none is declared to give that.
fn attended<R: Num>(p: &Problem<R>, s: &Sizes, b: usize, h: usize, i: usize) -> Vec<Attended<R>> {
    let query = row(p.get("q"), s.query(b, h, i));
    let score = |j: usize| -> R {
        let score = capped(p, R::dot(query, row(p.get("k"), s.key(b, h, j))) * scale(p));
        match p.opt("bias") {
            Some(bias) => score + bias.data[(h * s.queries + i) * s.keys + j],
            None => score,
        }
    };
    let open = (0..s.keys).filter(|&j| s.open(p, b, i, j) > 0).map(|j| (j, score(j)));
    // A score of −∞ holds no mass, whatever stands beside it.
    let open = open.filter(|(_, score)| score.value() > f64::NEG_INFINITY);
    let (keys, scores): (Vec<usize>, Vec<R>) = open.unzip();
    // A constant on every score rounds at this magnitude, and so does the logarithm of their sum,
    // where a share is e^(s − log z).
    let slack = largest(&scores).abs() + 1.0;
    let loose = |share: R| share.loosened(share.value() * slack);
    let times: Vec<usize> = keys.iter().map(|&j| s.open(p, b, i, j)).collect();
    match shares(&scores, slack, |j| times[j]) {
        Some(shares) => {
            let each = keys.into_iter().zip(times).zip(shares.into_iter().map(loose));
            each.map(|((place, times), share)| Attended { place, times, share }).collect()
        }
        None if p.declares("attention.empty_row", "nan") => {
            let share = R::num(f64::NAN);
            (0..s.keys).map(|place| Attended { place, times: 1, share }).collect()
        }
        None => Vec::new(),
    }
}

/// Σ p·v over the attended keys.
fn mixed<R: Num>(p: &Problem<R>, s: &Sizes, b: usize, h: usize, shares: &[Attended<R>]) -> Vec<R> {
    let v = p.get("v");
    let column = |c: usize| {
        let term = |key: &Attended<R>| {
            let v = row(v, s.key(b, h, key.place))[c];
            (key.share.kept(p.call.dtype) * v, key.times)
        };
        R::sum_of(shares.iter().map(term))
    };
    (0..v.cols()).map(column).collect()
}

impl<R: Num> Formula<R> for Attention {
    fn forward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let s = Sizes::of(p);
        let y = s.each_query().flat_map(|(b, h, i)| mixed(p, &s, b, h, &attended(p, &s, b, h, i)));
        vec![Named::new("y", &p.get("q").shape, y.collect())]
    }

    fn backward(&self, p: &Problem<R>) -> Vec<Named<R>> {
        let s = Sizes::of(p);
        let (q, k, v, dy) = (p.get("q"), p.get("k"), p.get("v"), p.get("dy"));
        let dtype = p.call.dtype;
        let width = q.cols();
        // What reaches each key, as terms, and each score.
        let mut to_k = vec![Vec::new(); k.data.len()];
        let mut to_v = vec![Vec::new(); v.data.len()];
        let mut to_bias = vec![Vec::new(); s.heads * s.queries * s.keys];
        let mut dq = Vec::with_capacity(q.data.len());
        for (b, h, i) in s.each_query() {
            let shares = attended(p, &s, b, h, i);
            let (q, dy) = (row(q, s.query(b, h, i)), row(dy, s.query(b, h, i)));
            let dp: Vec<R> = shares
                .iter()
                .map(|key| R::dot(dy, row(v, s.key(b, h, key.place))).kept(dtype))
                .collect();
            // D = Σ p·dp, or as right from the answer: dy·y.
            let y: Vec<R> =
                mixed(p, &s, b, h, &shares).into_iter().map(|y| y.kept(dtype)).collect();
            let terms = shares.iter().zip(&dp).map(|(key, &dp)| (key.share * dp, key.times));
            let mean = R::sum_of(terms);
            let mean = mean.or(R::dot(dy, &y));
            let mut to_q = vec![Vec::new(); width];
            let queries = p.times("queries", i);
            for (&Attended { place: j, times, share }, &dp) in shares.iter().zip(&dp) {
                let key = s.key(b, h, j);
                let mut ds = (share * (dp - mean)).kept(dtype);
                if s.heads > s.kv_heads {
                    // The sum over one head may be kept before it joins that of the others.
                    ds = ds.kept(dtype);
                }
                let score = R::dot(q, row(k, key)) * scale(p);
                let du = slope(p, score).map_or(ds, |slope| (ds * slope).kept(dtype));
                to_bias[(h * s.queries + i) * s.keys + j].push(ds);
                for c in 0..width {
                    to_q[c].push((du * k.data[key * width + c], times));
                    to_k[key * width + c].push((du * q[c], queries));
                    to_v[key * width + c].push((share.kept(dtype) * dy[c], queries));
                }
            }
            dq.extend(to_q.into_iter().map(|terms| R::sum_of(terms) * scale(p)));
        }
        let dk = to_k.into_iter().map(|terms| R::sum_of(terms) * scale(p)).collect();
        let dv = to_v.into_iter().map(R::sum_of).collect();
        let mut answer = vec![
            Named::new("dq", &q.shape, dq),
            Named::new("dk", &k.shape, dk),
            Named::new("dv", &v.shape, dv),
        ];
        if let Some(bias) = p.opt("bias") {
            let dbias = to_bias.into_iter().map(R::sum).collect();
            answer.push(Named::new("dbias", &bias.shape, dbias));
        }
        answer
    }
}
