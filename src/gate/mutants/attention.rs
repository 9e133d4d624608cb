//! Attention, wrong in the ways in which it has been.

use super::softmax::{greatest, total};
use super::{Control, Mutant, Mutation};
use crate::check::call::Dir;
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

const fn mutant(id: &'static str, class: &'static str, about: &'static str) -> Mutant {
    Mutant::new("attention", id, class, about)
}

pub const MUTANTS: &[Mutant] = &[
    mutant("att_top_left", "mask", "the causal mask is aligned at the first key"),
    mutant("att_causal_late", "mask", "causal, but one key of the future is seen"),
    mutant("att_causal_strict", "mask", "causal, but the own key is not seen"),
    mutant("att_causal_drop", "mask", "causal is ignored when there is a mask as well"),
    mutant("att_causal_ignored", "mask", "causal is ignored"),
    mutant("att_mask_drop", "mask", "the mask is ignored where causal is set"),
    mutant("att_mask_inverted", "mask", "1 in the mask closes"),
    mutant("att_mask_transposed", "axis", "a square mask is read transposed"),
    mutant("att_mask_first_sample", "axis", "the mask of the first sample serves all"),
    mutant("att_mask_by_head", "axis", "the mask is indexed by head, not by sample"),
    mutant("att_mask_first_query", "axis", "the mask of the first query serves all"),
    mutant("att_mask_last_tile", "tile", "the mask is ignored in the last tile of 16 keys"),
    mutant("att_mask_1e4", "mask", "−10000 is added where the mask closes"),
    mutant("att_mask_post", "mask", "closed keys are zeroed after the softmax"),
    mutant("att_blk_bound", "tile", "causal tiles of keys end too early"),
    mutant("att_empty_nan", "mask", "a row without an open key gives NaN"),
    mutant("att_empty_uniform", "mask", "a row without an open key gives the mean of v"),
    mutant("att_online_neginf", "mask", "a running maximum of −∞ enters the rescale factor"),
    mutant("att_rescale_forgotten", "tile", "the answer so far is not rescaled to a new maximum"),
    mutant("att_nomax", "precision", "exponentials of the raw scores"),
    mutant("att_no_scale", "wiring", "the scale is forgotten"),
    mutant("att_scale_width", "wiring", "scores are divided by K, not √K"),
    mutant("att_scale_model", "wiring", "scores are divided by the root of the model's width"),
    mutant("att_scale_twice", "wiring", "the scale is applied twice"),
    mutant("att_scale_bias", "wiring", "the scale is applied to the bias too"),
    mutant("att_scale_default", "wiring", "1/√K whatever scale is asked for"),
    mutant("att_bias_ignored", "wiring", "the bias is not added"),
    mutant("att_bias_first_head", "axis", "the bias of the first head serves all"),
    mutant("att_bias_as_mask", "mask", "a bias that is not 0 closes"),
    mutant("att_bias_with_mask", "mask", "the bias is dropped when there is a mask as well"),
    mutant("att_softcap_ignored", "wiring", "the soft cap is not applied"),
    mutant("att_softcap_hard", "wiring", "scores are clipped at the cap, not bent"),
    mutant("att_softcap_bias", "wiring", "the cap is applied to the bias too"),
    mutant("att_softcap_unscaled", "wiring", "the cap is applied before the scale"),
    mutant("att_softcap_factor", "wiring", "tanh(s/c) without the factor c"),
    mutant("att_gqa_modulo", "axis", "query head h reads key head h mod Hk"),
    mutant("att_gqa_first", "axis", "every query head reads the first key head"),
    mutant("att_padding_lanes", "tile", "lanes that pad the keys to 8 count with a score of 0"),
    mutant("att_tail_keys", "tile", "keys beyond the last multiple of 8 are dropped"),
    mutant("att_tail_width", "tile", "channels beyond the last multiple of 8 miss in the score"),
    mutant("att_key_length", "axis", "keys end at the number of queries"),
    mutant("att_wrong_axis", "axis", "softmax over the queries"),
    mutant("att_scores_narrow", "precision", "scores are rounded to the storage dtype"),
    mutant("att_stale", "determinism", "from the second call on the sum of shares starts at 1"),
    Mutant { native: true, ..mutant("att_native", "precision", "sums in the storage dtype") },
    mutant("attb_dq_scale", "backward", "dq without the scale"),
    mutant("attb_dk_scale", "backward", "dk without the scale"),
    mutant("attb_softcap_slope", "backward", "dq and dk without 1 − (s/c)²"),
    mutant("attb_softcap_raw", "backward", "1 − (s/c)² of the score before the cap"),
    mutant("attb_softcap_dbias", "backward", "dbias with 1 − (s/c)² too"),
    mutant("attb_dv_unmasked", "backward", "dv from shares before the mask"),
    mutant("attb_no_row_sum", "backward", "ds without the row's sum D"),
    mutant("attb_row_sum_early", "backward", "D is taken before the mask"),
    mutant("attb_elementwise", "backward", "ds = p·(1 − p)·dp"),
    mutant("attb_row_sum_of_dp", "backward", "D as the mean of dp"),
    mutant("attb_dk_overwritten", "backward", "dk of a shared head is that of its last query head"),
    mutant("attb_dv_overwritten", "backward", "dv of a shared head is that of its last query head"),
    mutant("attb_gqa_modulo", "backward", "dk and dv go to key head h mod Hk"),
    mutant("attb_dbias_first", "backward", "dbias of the first sample only"),
    mutant("attb_dbias_scaled", "backward", "dbias times the scale"),
    mutant("attb_last_queries", "tile", "queries beyond the last multiple of 16 miss in dk and dv"),
    mutant("attb_padding", "tile", "the last key's share is spread to the lanes that pad it"),
    mutant("attb_empty_nan", "mask", "a row without an open key gives NaN gradients"),
    mutant("attb_stale", "determinism", "from the second call on dq is added to itself"),
    mutant("att_features_64", "size", "features of q beyond 64 not read"),
    mutant("att_features_128", "size", "features of q beyond 128 not read"),
    mutant("att_keys_1024", "size", "keys beyond 1024 read as 0"),
    mutant("att_queries_512", "size", "queries beyond 512 not answered"),
    mutant("att_scale_zero", "argument", "a scale of 0 taken for none given"),
];

const fn control(id: &'static str, about: &'static str) -> Control {
    Control { id, op: "attention", about }
}

pub const CONTROLS: &[Control] = &[
    control("att_online_1", "tiles of 1 key, rescaled to the running maximum"),
    control("att_online_5", "tiles of 5 keys, rescaled to the running maximum"),
    control("att_online_8", "tiles of 8 keys, rescaled to the running maximum"),
    control("att_online_64", "tiles of 64 keys, rescaled to the running maximum"),
    control("att_scale_in_q", "the scale folded into q"),
    control("att_scale_in_k", "the scale folded into k"),
    control("att_plus_one", "1 added to every score"),
    control("att_divided_last", "divided by the sum after the product with v"),
    control("att_narrow_shares", "shares kept in the storage dtype before the product with v"),
    control("att_log_z", "shares as e^(s − log z)"),
    control("att_pairwise", "sums in pairs"),
    control("att_wide", "sums in f64"),
    control("attb_row_sum_of_y", "D as dy·y of the stored answer"),
    control("attb_softcap_of_capped", "1 − (s/c)² from the capped score"),
    control("attb_narrow", "dp and ds kept in the storage dtype"),
];

pub fn answer<R: Num>(p: &Problem<R>, t: Mutation) -> Vec<Named<R>> {
    let [q, k] = [p.get("q"), p.get("k")];
    let [batch, heads, queries, width] = q.shape[..] else { panic!("q has four axes") };
    let model =
        Model { p, t, batch, heads, kv_heads: k.shape[1], queries, keys: k.shape[2], width };
    match p.call.dir {
        Dir::Fwd => model.forward(),
        Dir::Bwd => model.backward(),
    }
}

struct Model<'a, R> {
    p: &'a Problem<'a, R>,
    t: Mutation<'a>,
    batch: usize,
    heads: usize,
    kv_heads: usize,
    queries: usize,
    keys: usize,
    width: usize,
}

/// Of one head of one sample, [queries, keys].
struct Map<R> {
    /// Scores before the cap and the bias.
    raw: Vec<R>,
    scores: Vec<R>,
    open: Vec<bool>,
    shares: Vec<R>,
}

impl<R: Num> Model<'_, R> {
    fn scale(&self) -> R {
        let width = match self.t.id {
            "att_scale_model" => self.width * self.heads,
            "att_scale_width" => self.width * self.width,
            _ => self.width,
        };
        let own = R::one() / R::count(width).sqrt();
        match (self.p.call.attrs["scale"].as_f64(), self.t.id) {
            (_, "att_no_scale") => R::one(),
            (Some(scale), id) if id != "att_scale_default" => R::num(scale),
            _ => own,
        }
    }

    fn cap(&self) -> Option<R> {
        let cap = self.p.call.attrs["softcap"].as_f64().filter(|&cap| cap > 0.0);
        cap.filter(|_| !self.t.is("att_softcap_ignored")).map(R::num)
    }

    fn capped(&self, score: R) -> R {
        let Some(cap) = self.cap() else { return score };
        match self.t.id {
            "att_softcap_hard" if score.abs() > cap => cap * (score / score.abs()),
            "att_softcap_hard" => score,
            "att_softcap_factor" => (score / cap).tanh(),
            _ => cap * (score / cap).tanh(),
        }
    }

    /// The derivative of a capped score.
    fn slope(&self, raw: R) -> R {
        let Some(cap) = self.cap() else { return R::one() };
        let t = match self.t.id {
            "attb_softcap_slope" => R::zero(),
            "attb_softcap_raw" => raw / cap,
            "attb_softcap_of_capped" => self.capped(raw) / cap,
            _ => (raw / cap).tanh(),
        };
        R::one() - t * t
    }

    fn kv_head(&self, h: usize) -> usize {
        match self.t.id {
            "att_gqa_modulo" => h % self.kv_heads,
            "att_gqa_first" => 0,
            _ => h / (self.heads / self.kv_heads),
        }
    }

    /// One head of a tensor [batch, heads, n, width].
    fn head(&self, name: &str, b: usize, h: usize) -> &[R] {
        let view = self.p.get(name);
        let size = view.shape[2] * self.width;
        let at = (b * view.shape[1] + h) * size;
        &view.data[at..at + size]
    }

    fn open(&self, b: usize, h: usize, i: usize, j: usize) -> bool {
        let (tq, tk) = (self.queries, self.keys);
        let mask = self.p.opt("mask");
        let causal = self.p.flag("causal")
            && !self.t.is("att_causal_ignored")
            && !(self.t.is("att_causal_drop") && mask.is_some());
        let seen = match self.t.id {
            "att_top_left" => j <= i,
            "att_causal_late" => j + tq <= i + tk + 1,
            "att_causal_strict" => j + tq < i + tk,
            // Tiles of 8 queries and 3 keys, the last tile of keys rounded down.
            "att_blk_bound" => j + tq <= i + tk && j / 3 <= (i / 8 * 8 + tk).saturating_sub(tq) / 3,
            _ => j + tq <= i + tk,
        };
        if causal && !seen {
            return false;
        }
        let Some(mask) = mask else { return true };
        let at = |b: usize, i: usize, j: usize| mask.data[(b * tq + i) * tk + j] > R::zero();
        match self.t.id {
            "att_mask_drop" if causal => true,
            "att_mask_inverted" => !at(b, i, j),
            "att_mask_transposed" if tq == tk => at(b, j, i),
            "att_mask_first_sample" => at(0, i, j),
            "att_mask_by_head" => at(h % self.batch, i, j),
            "att_mask_first_query" => at(b, 0, j),
            "att_mask_last_tile" if tk > 16 && j >= (tk - 1) / 16 * 16 => true,
            _ => at(b, i, j),
        }
    }

    fn map(&self, b: usize, h: usize) -> Map<R> {
        let (t, tq, tk) = (self.t, self.queries, self.keys);
        let q = self.head("q", b, h);
        let k = self.head("k", b, self.kv_head(h));
        let scale = self.scale();
        let bias = self.p.opt("bias").filter(|_| {
            let dropped = t.is("att_bias_with_mask") && self.p.opt("mask").is_some();
            !t.is("att_bias_ignored") && !dropped
        });
        let channels =
            if t.is("att_tail_width") && self.width > 8 { self.width / 8 * 8 } else { self.width };
        let (mut scores, mut open, mut raw) = (Vec::new(), Vec::new(), Vec::new());
        for i in 0..tq {
            for j in 0..tk {
                let terms = (0..channels).map(|c| {
                    let (q, k) = (q[i * self.width + c], k[j * self.width + c]);
                    match t.id {
                        "att_scale_in_q" => (q * scale) * k,
                        "att_scale_in_k" => q * (k * scale),
                        _ => q * k,
                    }
                });
                let mut score = total(&terms.collect::<Vec<R>>(), t);
                match t.id {
                    "att_scale_in_q" | "att_scale_in_k" | "att_scale_bias" => {}
                    "att_scale_twice" => score = score * scale * scale,
                    "att_softcap_unscaled" => score = self.capped(score) * scale,
                    _ => score = score * scale,
                }
                raw.push(score);
                if !t.is("att_softcap_bias") {
                    score = self.capped(score);
                }
                let mut allowed = self.open(b, h, i, j);
                if let Some(bias) = bias {
                    let head = if t.is("att_bias_first_head") { 0 } else { h };
                    let bias = bias.data[(head * tq + i) * tk + j];
                    match t.id {
                        "att_bias_as_mask" => allowed = allowed && bias == R::zero(),
                        _ => score += bias,
                    }
                }
                if t.is("att_softcap_bias") {
                    score = self.capped(score);
                }
                if t.is("att_scale_bias") {
                    score = score * scale;
                }
                if t.is("att_plus_one") {
                    score += R::one();
                }
                if t.is("att_scores_narrow") {
                    score = score.narrow(self.p.call.dtype);
                }
                if t.is("att_tail_keys") && tk > 8 && j >= tk / 8 * 8 {
                    allowed = false;
                }
                if t.is("att_key_length") && j >= tq {
                    allowed = false;
                }
                if t.is("att_mask_1e4") && !allowed {
                    score -= R::num(10000.0);
                    allowed = true;
                }
                scores.push(score);
                open.push(allowed);
            }
        }
        let mut shares = vec![R::zero(); tq * tk];
        if t.is("att_wrong_axis") {
            for j in 0..tk {
                let column: Vec<R> = (0..tq).map(|i| scores[i * tk + j]).collect();
                let allowed: Vec<bool> = (0..tq).map(|i| open[i * tk + j]).collect();
                let column = self.shares(&column, &allowed);
                (0..tq).for_each(|i| shares[i * tk + j] = column[i]);
            }
        } else {
            for i in 0..tq {
                let row = i * tk..(i + 1) * tk;
                shares[row.clone()].copy_from_slice(&self.shares(&scores[row.clone()], &open[row]));
            }
        }
        Map { raw, scores, open, shares }
    }

    /// The softmax of a row of scores of which some are open.
    fn shares(&self, scores: &[R], open: &[bool]) -> Vec<R> {
        let (t, n) = (self.t, scores.len());
        let low = R::num(f64::NEG_INFINITY);
        let every = t.is("att_mask_post");
        let masked: Vec<R> = scores
            .iter()
            .zip(open)
            .map(|(&s, &open)| if open || every { s } else { low })
            .collect();
        let mut most = greatest(&masked);
        if most == low {
            let empty = match t.id {
                "att_empty_uniform" => R::one() / R::count(n),
                "att_empty_nan" | "attb_empty_nan" => R::num(f64::NAN),
                _ => R::zero(),
            };
            return vec![empty; n];
        }
        if t.is("att_nomax") {
            most = R::zero();
        }
        let each: Vec<R> = masked.iter().map(|&s| (s - most).exp()).collect();
        let mut sum = total(&each, t);
        match t.id {
            "att_log_z" => {
                let log_z = most + sum.ln();
                return masked.iter().map(|&s| (s - log_z).exp()).collect();
            }
            "att_padding_lanes" => {
                sum += R::count(n.next_multiple_of(8) - n) * (-most).exp();
            }
            "att_stale" if t.calls > 0 => sum += R::one(),
            _ => {}
        }
        let share = |(&e, &open): (&R, &bool)| if open { e / sum } else { R::zero() };
        each.iter().zip(open).map(share).collect()
    }

    /// The answer of one query from its scores, in tiles of keys.
    fn online(&self, scores: &[R], open: &[bool], v: &[R], tile: usize) -> Vec<R> {
        let low = R::num(f64::NEG_INFINITY);
        let (mut most, mut sum) = (low, R::zero());
        let mut y = vec![R::zero(); self.width];
        let keys: Vec<usize> = (0..scores.len()).collect();
        for keys in keys.chunks(tile) {
            let tile: Vec<R> =
                keys.iter().map(|&j| if open[j] { scores[j] } else { low }).collect();
            let higher = greatest(&tile).larger(most);
            let safe = higher > low || self.t.is("att_online_neginf");
            let shift = if safe { higher } else { R::zero() };
            let factor = (most - shift).exp();
            sum = sum * factor;
            if !self.t.is("att_rescale_forgotten") {
                y.iter_mut().for_each(|y| *y = *y * factor);
            }
            for (&j, &score) in keys.iter().zip(&tile) {
                let e = (score - shift).exp();
                sum += e;
                for c in 0..self.width {
                    y[c] += e * v[j * self.width + c];
                }
            }
            most = higher;
        }
        if sum > R::zero() || self.t.is("att_online_neginf") {
            y.iter_mut().for_each(|y| *y = *y / sum);
        }
        y
    }

    fn mixed(&self, map: &Map<R>, v: &[R]) -> Vec<R> {
        let (t, tk) = (self.t, self.keys);
        let tile = match t.id {
            "att_online_1" => Some(1),
            "att_online_5" => Some(5),
            "att_online_8" | "att_online_neginf" | "att_rescale_forgotten" => Some(8),
            "att_online_64" => Some(64),
            _ => None,
        };
        let mut y = Vec::with_capacity(self.queries * self.width);
        for i in 0..self.queries {
            let row = i * tk..(i + 1) * tk;
            if let Some(tile) = tile {
                y.extend(self.online(&map.scores[row.clone()], &map.open[row], v, tile));
                continue;
            }
            let mut shares = map.shares[row.clone()].to_vec();
            if t.is("att_narrow_shares") {
                shares.iter_mut().for_each(|share| *share = share.narrow(self.p.call.dtype));
            }
            let mut over = R::one();
            if t.is("att_divided_last") {
                let open = |j: &usize| map.open[row.start + j];
                let score = |j: usize| map.scores[row.start + j];
                let kept: Vec<R> = (0..tk).filter(open).map(score).collect();
                let most = greatest(&kept);
                if most > R::num(f64::NEG_INFINITY) {
                    (0..tk).filter(open).for_each(|j| shares[j] = (score(j) - most).exp());
                    over = total(&shares, t);
                }
            }
            for c in 0..self.width {
                let terms: Vec<R> = (0..tk).map(|j| shares[j] * v[j * self.width + c]).collect();
                y.push(total(&terms, t) / over);
            }
        }
        y
    }

    fn forward(&self) -> Vec<Named<R>> {
        let mut y = Vec::new();
        for b in 0..self.batch {
            for h in 0..self.heads {
                let v = self.head("v", b, self.kv_head(h));
                y.extend(self.mixed(&self.map(b, h), v));
            }
        }
        vec![Named::new("y", &self.p.get("q").shape, y)]
    }

    fn backward(&self) -> Vec<Named<R>> {
        let (t, p, tq, tk, width) = (self.t, self.p, self.queries, self.keys, self.width);
        let scale = self.scale();
        let dtype = p.call.dtype;
        let mut dq = Vec::with_capacity(p.get("q").data.len());
        let mut dk = vec![R::zero(); p.get("k").data.len()];
        let mut dv = vec![R::zero(); p.get("v").data.len()];
        let mut dbias = vec![R::zero(); self.heads * tq * tk];
        for b in 0..self.batch {
            for h in 0..self.heads {
                let map = self.map(b, h);
                let kv = self.kv_head(h);
                let (q, k) = (self.head("q", b, h), self.head("k", b, kv));
                let (v, dy) = (self.head("v", b, kv), self.head("dy", b, h));
                let every = vec![true; tq * tk];
                let unmasked: Vec<R> = (0..tq)
                    .flat_map(|i| {
                        let row = i * tk..(i + 1) * tk;
                        self.shares(&map.scores[row.clone()], &every[row])
                    })
                    .collect();
                let y = self.mixed(&map, v);
                // ds of this head, row by row.
                let mut ds = Vec::with_capacity(tq * tk);
                for i in 0..tq {
                    let dp: Vec<R> = (0..tk)
                        .map(|j| {
                            let terms: Vec<R> =
                                (0..width).map(|c| dy[i * width + c] * v[j * width + c]).collect();
                            let dp = total(&terms, t);
                            if t.is("attb_narrow") { dp.narrow(dtype) } else { dp }
                        })
                        .collect();
                    let row = i * tk..(i + 1) * tk;
                    let of = |shares: &[R]| -> R {
                        let terms = shares[row.clone()].iter().zip(&dp).map(|(&s, &dp)| s * dp);
                        total(&terms.collect::<Vec<R>>(), t)
                    };
                    let mean = match t.id {
                        "attb_no_row_sum" => R::zero(),
                        "attb_row_sum_early" => of(&unmasked),
                        "attb_row_sum_of_dp" => total(&dp, t) / R::count(tk),
                        "attb_row_sum_of_y" => {
                            let own = i * width..(i + 1) * width;
                            let y = y[own.clone()].iter().map(|y| y.narrow(dtype));
                            let terms = dy[own].iter().zip(y).map(|(&dy, y)| dy * y);
                            total(&terms.collect::<Vec<R>>(), t)
                        }
                        _ => of(&map.shares),
                    };
                    for (j, &dp) in dp.iter().enumerate() {
                        let share = map.shares[i * tk + j];
                        let slope = match t.id {
                            "attb_elementwise" => share * (R::one() - share) * dp,
                            _ => share * (dp - mean),
                        };
                        ds.push(if t.is("attb_narrow") { slope.narrow(dtype) } else { slope });
                    }
                }
                // What reaches the products, by the slope of the cap.
                let du: Vec<R> =
                    ds.iter().zip(&map.raw).map(|(&ds, &raw)| ds * self.slope(raw)).collect();
                let dq_scale = if t.is("attb_dq_scale") { R::one() } else { scale };
                let dk_scale = if t.is("attb_dk_scale") { R::one() } else { scale };
                for i in 0..tq {
                    for c in 0..width {
                        let terms: Vec<R> =
                            (0..tk).map(|j| du[i * tk + j] * k[j * width + c]).collect();
                        let dq_own = total(&terms, t) * dq_scale;
                        let again = t.is("attb_stale") && t.calls > 0;
                        dq.push(if again { dq_own + dq_own } else { dq_own });
                    }
                }
                let counted = if t.is("attb_last_queries") && tq > 16 { tq / 16 * 16 } else { tq };
                let kv = if t.is("attb_gqa_modulo") { h % self.kv_heads } else { kv };
                for j in 0..tk {
                    for c in 0..width {
                        let at = ((b * self.kv_heads + kv) * tk + j) * width + c;
                        let terms: Vec<R> =
                            (0..counted).map(|i| du[i * tk + j] * q[i * width + c]).collect();
                        let own = total(&terms, t) * dk_scale;
                        dk[at] = if t.is("attb_dk_overwritten") { own } else { dk[at] + own };
                        let shares = if t.is("attb_dv_unmasked") { &unmasked } else { &map.shares };
                        let terms: Vec<R> = (0..counted)
                            .map(|i| {
                                let mut share = shares[i * tk + j];
                                if t.is("attb_padding") && j + 1 == tk {
                                    share = share / R::count(tk.next_multiple_of(8) - tk + 1);
                                }
                                share * dy[i * width + c]
                            })
                            .collect();
                        let own = total(&terms, t);
                        dv[at] = if t.is("attb_dv_overwritten") { own } else { dv[at] + own };
                    }
                }
                let to_bias = if t.is("attb_softcap_dbias") { &du } else { &ds };
                for (n, &ds) in to_bias.iter().enumerate() {
                    match t.id {
                        "attb_dbias_first" if b > 0 => {}
                        "attb_dbias_scaled" => dbias[h * tq * tk + n] += ds * scale,
                        _ => dbias[h * tq * tk + n] += ds,
                    }
                }
            }
        }
        let mut answer = vec![
            Named::new("dq", &p.get("q").shape, dq),
            Named::new("dk", &p.get("k").shape, dk),
            Named::new("dv", &p.get("v").shape, dv),
        ];
        if let Some(bias) = p.opt("bias") {
            answer.push(Named::new("dbias", &bias.shape, dbias));
        }
        answer
    }
}
