//! The layers of the models of blocks: plain loops over flat matrices, with places to go wrong.
//!
//! Mutations are named without the operator's prefix: `skip_normed` is `residual_skip_normed`,
//! `block_skip_normed` and `stack_skip_normed`.

use std::collections::BTreeMap;

use super::Mutation;
use crate::check::spec::operator::{Named, Problem};
use crate::num::Num;

/// Rows of `cols` numbers.
#[derive(Debug, Clone)]
pub struct Matrix<R> {
    pub cols: usize,
    pub data: Vec<R>,
}

impl<R: Num> Matrix<R> {
    pub fn zeros(rows: usize, cols: usize) -> Self {
        Matrix { cols, data: vec![R::zero(); rows * cols] }
    }
    pub fn of(p: &Problem<R>, name: &str) -> Self {
        let view = p.get(name);
        Matrix { cols: view.cols(), data: view.data.clone() }
    }
    pub fn rows(&self) -> usize {
        self.data.len() / self.cols
    }
    pub fn row(&self, i: usize) -> &[R] {
        &self.data[i * self.cols..(i + 1) * self.cols]
    }
    pub fn row_mut(&mut self, i: usize) -> &mut [R] {
        &mut self.data[i * self.cols..(i + 1) * self.cols]
    }
    fn map(&self, f: impl Fn(usize, R) -> R) -> Self {
        let data = self.data.iter().enumerate().map(|(i, &x)| f(i, x)).collect();
        Matrix { cols: self.cols, data }
    }
    fn times(&self, factor: R) -> Self {
        if factor == R::one() { self.clone() } else { self.map(|_, x| factor * x) }
    }
    pub fn plus(&self, other: &Self) -> Self {
        self.map(|i, x| x + other.data[i])
    }
    pub fn transposed(&self) -> Self {
        let mut answer = Matrix::zeros(self.cols, self.rows());
        for i in 0..self.rows() {
            for j in 0..self.cols {
                answer.row_mut(j)[i] = self.row(i)[j];
            }
        }
        answer
    }
}

/// A sum in the order that the model has.
fn total<R: Num>(terms: &[R], t: Mutation) -> R {
    match terms {
        [] => R::zero(),
        [one] => *one,
        _ if t.is("wide") => R::num(terms.iter().map(|term| term.value()).sum()),
        _ if t.is("pairwise") => {
            let (left, right) = terms.split_at(terms.len() / 2);
            total(left, t) + total(right, t)
        }
        _ if t.is("backwards") => terms.iter().rev().fold(R::zero(), |sum, &term| sum + term),
        _ => terms.iter().fold(R::zero(), |sum, &term| sum + term),
    }
}

fn dot<R: Num>(a: &[R], b: &[R], t: Mutation) -> R {
    if t.is("wide") {
        return R::num(a.iter().zip(b).map(|(a, b)| a.value() * b.value()).sum());
    }
    total(&a.iter().zip(b).map(|(&a, &b)| a * b).collect::<Vec<R>>(), t)
}

/// The gradients of all learned tensors, from zero.
#[derive(Debug)]
pub struct Grads<R>(BTreeMap<String, (Vec<usize>, Vec<R>)>);

impl<R: Num> Grads<R> {
    /// Zeros for every tensor but `inputs`.
    pub fn zeros(p: &Problem<R>, inputs: &[&str]) -> Self {
        let params = p.tensors().filter(|(name, _)| !inputs.contains(name));
        let zeros = params.map(|(name, view)| {
            (name.to_string(), (view.shape.clone(), vec![R::zero(); view.data.len()]))
        });
        Grads(zeros.collect())
    }
    pub fn of(&mut self, name: &str) -> &mut Vec<R> {
        &mut self.0.get_mut(name).expect("a learned tensor").1
    }
    fn add(&mut self, name: &str, values: &[R]) {
        self.of(name).iter_mut().zip(values).for_each(|(sum, &value)| *sum += value);
    }
    /// Sets every gradient behind a prefix to zero.
    pub fn forget(&mut self, prefix: &str) {
        let own = self.0.iter_mut().filter(|(name, _)| name.starts_with(prefix));
        own.for_each(|(_, (_, sums))| sums.fill(R::zero()));
    }
    pub fn outputs(self) -> impl Iterator<Item = Named<R>> {
        self.0.into_iter().map(|(name, (shape, data))| Named::new(format!("d{name}"), &shape, data))
    }
}

/// A problem, what is twisted in it, and whose tensors are read.
#[derive(Clone, Copy)]
pub struct Net<'a, R> {
    pub p: &'a Problem<'a, R>,
    pub t: Mutation<'a>,
    /// Where the tensors of a block are read.
    pub read: &'a str,
    /// Where their gradients go.
    pub write: &'a str,
}

impl<R: Num> Net<'_, R> {
    fn weight(&self, name: &str) -> Matrix<R> {
        Matrix::of(self.p, &format!("{}{name}", self.read))
    }
    fn bias(&self, name: &str) -> Option<&[R]> {
        self.p.opt(&format!("{}{name}", self.read)).map(|view| view.data.as_slice())
    }

    /// y = x·Wᵀ + b.
    pub fn linear(&self, x: &Matrix<R>, weight: &Matrix<R>, bias: Option<&[R]>) -> Matrix<R> {
        let mut y = Matrix::zeros(x.rows(), weight.rows());
        for r in 0..x.rows() {
            for o in 0..weight.rows() {
                let sum = dot(x.row(r), weight.row(o), self.t);
                y.row_mut(r)[o] = bias.map_or(sum, |bias| sum + bias[o]);
            }
        }
        y
    }
    fn project(&self, name: &str, x: &Matrix<R>) -> Matrix<R> {
        let (t, weight) = (self.t, self.weight(&format!("{name}.weight")));
        let lost = t.is("out_bias_forgotten") && name == "attn.out"
            || t.is("ffn_bias_forgotten") && name.starts_with("ffn")
            || t.is("qkv_bias_forgotten") && ["attn.q", "attn.k", "attn.v"].contains(&name);
        let bias = self.bias(&format!("{name}.bias")).filter(|_| !lost);
        self.linear(x, &weight, bias)
    }
    /// dx, and the gradients of weight and bias.
    fn project_back(
        &self,
        name: &str,
        x: &Matrix<R>,
        dy: &Matrix<R>,
        grads: &mut Grads<R>,
    ) -> Matrix<R> {
        let (dyt, xt) = (dy.transposed(), x.transposed());
        let dweight = self.linear(&dyt, &xt, None);
        grads.add(&format!("{}{name}.weight", self.write), &dweight.data);
        if self.bias(&format!("{name}.bias")).is_some() {
            let mut dbias: Vec<R> = (0..dy.cols).map(|o| total(dyt.row(o), self.t)).collect();
            if self.t.is("bias_gradient_of_one_row") {
                dbias = dy.row(0).to_vec();
            }
            grads.add(&format!("{}{name}.bias", self.write), &dbias);
        }
        self.linear(dy, &self.weight(&format!("{name}.weight")).transposed(), None)
    }
}

/// A norm: whose affine map, and of which kind.
pub struct Norm {
    pub weight: String,
    pub bias: String,
    pub dweight: String,
    pub dbias: String,
    pub centred: bool,
}

impl Norm {
    /// The norm of this name, of the kind that the attribute says.
    pub fn named<R: Num>(net: &Net<R>, name: &str) -> Norm {
        let affine = match name {
            "norm2" if net.t.is("norm2_of_norm1") => "norm1",
            other => other,
        };
        let centred = net.p.word("norm") == "layer_norm" || net.t.is("rms_centred");
        Norm {
            weight: format!("{}{affine}.weight", net.read),
            bias: format!("{}{affine}.bias", net.read),
            dweight: format!("{}{affine}.weight", net.write),
            dbias: format!("{}{affine}.bias", net.write),
            centred,
        }
    }
}

/// Normalised rows and the reciprocals of their deviations.
pub struct Normed<R> {
    xhat: Matrix<R>,
    rstd: Vec<R>,
}

impl<R: Num> Net<'_, R> {
    pub fn norm(&self, norm: &Norm, x: &Matrix<R>) -> (Matrix<R>, Normed<R>) {
        let (n, t) = (R::count(x.cols), self.t);
        let eps = R::num(if t.is("eps_fixed") { 1e-5 } else { self.p.num("eps") });
        let (mut y, mut xhat) = (x.clone(), x.clone());
        let mut rstds = Vec::new();
        let weight = &self.p.get(&norm.weight).data;
        let bias = self.p.opt(&norm.bias);
        for r in 0..x.rows() {
            let mean = if norm.centred { total(x.row(r), t) / n } else { R::zero() };
            let centred: Vec<R> = x.row(r).iter().map(|&x| x - mean).collect();
            let var = dot(&centred, &centred, t) / n;
            let rstd = match t.is("eps_outside") {
                true => R::one() / (var.sqrt() + eps),
                false => R::one() / (var + eps).sqrt(),
            };
            for j in 0..x.cols {
                xhat.row_mut(r)[j] = centred[j] * rstd;
                y.row_mut(r)[j] = xhat.row(r)[j] * weight[j];
                if let Some(bias) = bias {
                    y.row_mut(r)[j] += bias.data[j];
                }
            }
            rstds.push(rstd);
        }
        (y, Normed { xhat, rstd: rstds })
    }

    pub fn norm_back(
        &self,
        norm: &Norm,
        kept: &Normed<R>,
        dy: &Matrix<R>,
        grads: &mut Grads<R>,
    ) -> Matrix<R> {
        let (n, t) = (R::count(dy.cols), self.t);
        let weight = &self.p.get(&norm.weight).data;
        let dyt = dy.transposed();
        let xt = kept.xhat.transposed();
        let dweight: Vec<R> = (0..dy.cols).map(|j| dot(dyt.row(j), xt.row(j), t)).collect();
        grads.add(&norm.dweight, &dweight);
        if self.p.opt(&norm.bias).is_some() {
            let dbias: Vec<R> = (0..dy.cols).map(|j| total(dyt.row(j), t)).collect();
            grads.add(&norm.dbias, &dbias);
        }
        let mut dx = dy.clone();
        for r in 0..dy.rows() {
            let (dy, xhat) = (dy.row(r), kept.xhat.row(r));
            let w: Vec<R> = dy.iter().zip(weight).map(|(&dy, &weight)| weight * dy).collect();
            let mean = if norm.centred { total(&w, t) / n } else { R::zero() };
            let slope = dot(&w, xhat, t) / n;
            // A buffer of the first call, never filled again.
            let rstd = if t.is("stale_rstd") && t.calls > 0 { R::one() } else { kept.rstd[r] };
            for j in 0..w.len() {
                dx.row_mut(r)[j] = match t.is("statistics_constant") {
                    true => rstd * w[j],
                    false => rstd * (w[j] - mean - xhat[j] * slope),
                };
            }
        }
        dx
    }
}

/// Where norms stand, and what is added to what.
#[derive(Clone, Copy)]
struct Form<R> {
    norm_in: bool,
    norm_branch: bool,
    norm_sum: bool,
    skip_normed: bool,
    alpha: R,
    beta: R,
}

impl<R: Num> Form<R> {
    fn of(p: &Problem<R>, t: Mutation) -> Form<R> {
        let (one, alpha) = (R::one(), R::num(p.num("alpha")));
        let pre = Form {
            norm_in: true,
            norm_branch: false,
            norm_sum: false,
            skip_normed: false,
            alpha: one,
            beta: one,
        };
        let post = Form { norm_in: false, norm_sum: true, ..pre };
        let mut form = match p.word("wiring") {
            "pre_ln" => Form { skip_normed: t.is("skip_normed"), ..pre },
            "post_ln" if t.is("post_as_pre") => pre,
            "post_ln" => post,
            "deepnorm" if t.is("alpha_on_branch") => Form { beta: alpha, ..post },
            "deepnorm" if t.is("alpha_on_both") => Form { alpha, beta: alpha, ..post },
            "deepnorm" if t.is("alpha_forgotten") => post,
            "deepnorm" if t.is("deepnorm_as_pre") => Form { alpha, ..pre },
            "deepnorm" => Form { alpha, ..post },
            _ => Form {
                norm_in: !t.is("sandwich_inner_lost"),
                norm_branch: !t.is("sandwich_outer_lost"),
                norm_sum: t.is("sandwich_around_sum"),
                ..pre
            },
        };
        if t.is("alpha_always") {
            form.alpha = alpha;
        }
        if t.is("norm_forgotten") {
            form = Form { norm_in: false, norm_branch: false, norm_sum: false, ..form };
        }
        form
    }
}

/// A branch of the stream and its gradient.
pub trait Branch<R> {
    type Kept;
    fn forward(&self, x: &Matrix<R>) -> (Matrix<R>, Self::Kept);
    fn backward(&self, kept: &Self::Kept, dy: &Matrix<R>, grads: &mut Grads<R>) -> Matrix<R>;
}

/// What a sublayer keeps for its backward pass, and its sum before any norm.
pub struct Wired<R, K> {
    pub sum: Matrix<R>,
    before: Option<Normed<R>>,
    branch: K,
    behind: Option<Normed<R>>,
    after: Option<Normed<R>>,
}

impl<R: Num> Net<'_, R> {
    /// A branch of `inner` beside `skip`, which are one stream where nothing is wrong.
    pub fn wired<B: Branch<R>>(
        &self,
        norm: &Norm,
        branch: &B,
        skip: &Matrix<R>,
        inner: &Matrix<R>,
    ) -> (Matrix<R>, Wired<R, B::Kept>) {
        let form = Form::of(self.p, self.t);
        let apply = |wanted: bool, x: &Matrix<R>| match wanted {
            true => {
                let (y, kept) = self.norm(norm, x);
                (y, Some(kept))
            }
            false => (x.clone(), None),
        };
        let (n, before) = apply(form.norm_in, inner);
        let (f, kept) = branch.forward(&n);
        let (f, behind) = apply(form.norm_branch, &f);
        let skip = if form.skip_normed { &n } else { skip };
        let sum = skip.times(form.alpha).plus(&f.times(form.beta));
        let (y, after) = apply(form.norm_sum, &sum);
        (y, Wired { sum, before, branch: kept, behind, after })
    }

    /// The gradients of `skip` and `inner`; `dsum` is what reaches the sum by other ways.
    pub fn wired_back<B: Branch<R>>(
        &self,
        norm: &Norm,
        branch: &B,
        kept: &Wired<R, B::Kept>,
        dy: &Matrix<R>,
        dsum: Option<&Matrix<R>>,
        grads: &mut Grads<R>,
    ) -> (Matrix<R>, Matrix<R>) {
        let (form, t) = (Form::of(self.p, self.t), self.t);
        let mut back = |normed: &Option<Normed<R>>, dy: &Matrix<R>| match normed {
            Some(normed) => self.norm_back(norm, normed, dy, grads),
            None => dy.clone(),
        };
        let mut ds = back(&kept.after, dy);
        if let Some(dsum) = dsum {
            ds = ds.plus(dsum);
        }
        let beta = form.beta * R::num(if t.is("branch_gradient_twice") { 2.0 } else { 1.0 });
        let alpha = if t.is("alpha_not_in_backward") { R::one() } else { form.alpha };
        let mut dskip = ds.times(alpha);
        let df = back(&kept.behind, &ds.times(beta));
        if t.is("affine_overwritten") && kept.behind.is_some() {
            grads.forget(&norm.dweight);
            grads.forget(&norm.dbias);
        }
        let mut dn = branch.backward(&kept.branch, &df, grads);
        if form.skip_normed {
            dn = dn.plus(&dskip);
            dskip = dskip.times(R::zero());
        }
        let mut dinner = match &kept.before {
            Some(normed) => self.norm_back(norm, normed, &dn, grads),
            None => dn,
        };
        if t.is("skip_gradient_lost") {
            dskip = dskip.times(R::zero());
        }
        if t.is("branch_gradient_lost") {
            dinner = dinner.times(R::zero());
        }
        (dskip, dinner)
    }
}

/// Self-attention behind `attn.`.
pub struct Attention<'a, R> {
    pub net: Net<'a, R>,
    pub seq: usize,
}

pub struct Attended<R> {
    x: Matrix<R>,
    q: Matrix<R>,
    k: Matrix<R>,
    v: Matrix<R>,
    /// Probabilities by query row and head, over all positions of the sample.
    p: Vec<Vec<R>>,
    mixed: Matrix<R>,
}

impl<R: Num> Attention<'_, R> {
    fn heads(&self) -> (usize, usize) {
        (self.net.p.int("heads") as usize, self.net.p.int("kv_heads") as usize)
    }
    fn kv_head(&self, h: usize) -> usize {
        let (heads, kv_heads) = self.heads();
        if self.net.t.is("kv_modulo") { h % kv_heads } else { h / (heads / kv_heads) }
    }
    /// The channels of a head, of so many.
    fn channels(&self, h: usize, heads: usize, size: usize) -> Vec<usize> {
        let interleaved = self.net.t.is("heads_interleaved");
        (0..size).map(|c| if interleaved { c * heads + h } else { h * size + c }).collect()
    }
    fn scale(&self, size: usize, width: usize) -> R {
        let over = match self.net.t {
            t if t.is("scale_of_width") => width,
            t if t.is("scale_missing") => 1,
            _ => size,
        };
        R::one() / R::count(over).sqrt()
    }
    fn sees(&self, at: usize, key: usize) -> bool {
        let causal = self.net.p.flag("causal") && !self.net.t.is("causal_missing");
        let strict = self.net.t.is("causal_strict");
        !causal || key < at || key == at && !(strict && at > 0)
    }
    fn pick(row: &[R], channels: &[usize]) -> Vec<R> {
        channels.iter().map(|&c| row[c]).collect()
    }
    /// q, k and v, as three products or as one.
    fn projections(&self, x: &Matrix<R>) -> [Matrix<R>; 3] {
        const NAMES: [&str; 3] = ["attn.q", "attn.k", "attn.v"];
        if !self.net.t.is("fused_qkv") {
            return NAMES.map(|name| self.net.project(name, x));
        }
        let weights = NAMES.map(|name| self.net.weight(&format!("{name}.weight")));
        let all = weights.iter().flat_map(|weight| weight.data.clone()).collect();
        let all = self.net.linear(x, &Matrix { cols: x.cols, data: all }, None);
        let mut from = 0;
        let mut parts = weights.iter().zip(NAMES).map(|(weight, name)| {
            let cols = weight.rows();
            let data = (0..x.rows()).flat_map(|r| all.row(r)[from..from + cols].to_vec());
            let part = Matrix { cols, data: data.collect() };
            from += cols;
            match self.net.bias(&format!("{name}.bias")) {
                Some(bias) => part.map(|i, y| y + bias[i % cols]),
                None => part,
            }
        });
        std::array::from_fn(|_| parts.next().expect("three projections"))
    }
}

impl<R: Num> Branch<R> for Attention<'_, R> {
    type Kept = Attended<R>;
    fn forward(&self, x: &Matrix<R>) -> (Matrix<R>, Attended<R>) {
        let (net, t) = (&self.net, self.net.t);
        let (heads, kv_heads) = self.heads();
        let [q, k, v] = self.projections(x);
        let (width, size) = (q.cols, q.cols / heads);
        let mut mixed = Matrix::zeros(x.rows(), width);
        let mut all = Vec::new();
        for r in 0..x.rows() {
            let (first, at) = (r - r % self.seq, r % self.seq);
            for h in 0..heads {
                let own = self.channels(h, heads, size);
                let theirs = self.channels(self.kv_head(h), kv_heads, size);
                let query = Self::pick(q.row(r), &own);
                let mut p = vec![R::zero(); self.seq];
                let mut most = R::num(f64::NEG_INFINITY);
                for s in (0..self.seq).filter(|&s| self.sees(at, s)) {
                    let key = Self::pick(k.row(first + s), &theirs);
                    p[s] = dot(&query, &key, t) * self.scale(size, width);
                    most = most.larger(p[s]);
                }
                for (s, p) in p.iter_mut().enumerate() {
                    *p = if self.sees(at, s) { (*p - most).exp() } else { R::zero() };
                }
                let sum = total(&p, t);
                p.iter_mut().for_each(|p| *p = *p / sum);
                for (&o, &c) in own.iter().zip(&theirs) {
                    let values: Vec<R> = (0..self.seq).map(|s| v.row(first + s)[c]).collect();
                    mixed.row_mut(r)[o] = dot(&p, &values, t);
                }
                all.push(p);
            }
        }
        let y = net.project("attn.out", &mixed);
        (y, Attended { x: x.clone(), q, k, v, p: all, mixed })
    }

    fn backward(&self, kept: &Attended<R>, dy: &Matrix<R>, grads: &mut Grads<R>) -> Matrix<R> {
        let (net, t) = (&self.net, self.net.t);
        let (heads, kv_heads) = self.heads();
        let Attended { x, q, k, v, p, mixed } = kept;
        let (width, size) = (q.cols, q.cols / heads);
        let dmixed = net.project_back("attn.out", mixed, dy, grads);
        let mut dq = Matrix::zeros(x.rows(), width);
        let [mut dk, mut dv] = [k, v].map(|x| Matrix::zeros(x.rows(), x.cols));
        for r in 0..x.rows() {
            let first = r - r % self.seq;
            for h in 0..heads {
                let own = self.channels(h, heads, size);
                let theirs = self.channels(self.kv_head(h), kv_heads, size);
                let (p, dy) = (&p[r * heads + h], Self::pick(dmixed.row(r), &own));
                let value = |s: usize| Self::pick(v.row(first + s), &theirs);
                let dp: Vec<R> = (0..self.seq).map(|s| dot(&dy, &value(s), t)).collect();
                let mean = dot(p, &dp, t);
                let last_of_group = self.kv_head(h + 1) != self.kv_head(h);
                let lost = t.is("kv_gradient_of_one_head") && !last_of_group;
                for s in 0..self.seq {
                    let ds = match t.is("softmax_elementwise") {
                        true => p[s] * (R::one() - p[s]) * dp[s],
                        false => p[s] * (dp[s] - mean),
                    };
                    let scaled = ds * self.scale(size, width);
                    let dkey = if t.is("dk_unscaled") { ds } else { scaled };
                    for (c, (&o, &i)) in own.iter().zip(&theirs).enumerate() {
                        dq.row_mut(r)[o] += scaled * k.row(first + s)[i];
                        if !lost {
                            dk.row_mut(first + s)[i] += dkey * q.row(r)[o];
                            dv.row_mut(first + s)[i] += p[s] * dy[c];
                        }
                    }
                }
            }
        }
        let parts = [("attn.q", dq), ("attn.k", dk), ("attn.v", dv)];
        let [a, b, c] = parts.map(|(name, dy)| net.project_back(name, x, &dy, grads));
        if t.is("v_gradient_lost") {
            return a.plus(&b);
        }
        // A fused product adds in an order of its own.
        if t.is("fused_qkv") { c.plus(&b).plus(&a) } else { a.plus(&b).plus(&c) }
    }
}

/// Feed-forward behind `ffn.`.
pub struct FeedForward<'a, R> {
    pub net: Net<'a, R>,
}

pub struct Fed<R> {
    x: Matrix<R>,
    up: Matrix<R>,
    gate: Option<Matrix<R>>,
    hidden: Matrix<R>,
}

impl<R: Num> FeedForward<'_, R> {
    fn gated(&self) -> bool {
        let gate = format!("{}ffn.gate.weight", self.net.read);
        self.net.p.opt(&gate).is_some() && !self.net.t.is("gate_ignored")
    }
    fn active(&self, x: R) -> (R, R) {
        let [half, one] = [0.5, 1.0].map(R::num);
        match self.net.p.word("fn") {
            "relu" if x > R::zero() => (x, one),
            "relu" => (R::zero(), R::zero()),
            "silu" => {
                let s = one / (one + (-x).exp());
                (x * s, s + x * s * (one - s))
            }
            "gelu" if !self.net.t.is("gelu_as_tanh") => {
                let cdf = half * (-x * R::num(std::f64::consts::FRAC_1_SQRT_2)).erfc();
                let pdf = (-half * x * x).exp() / R::num((2.0 * std::f64::consts::PI).sqrt());
                (x * cdf, cdf + x * pdf)
            }
            _ => {
                let c = R::num((2.0 / std::f64::consts::PI).sqrt());
                let t = (c * (x + R::num(0.044715) * x * x * x)).tanh();
                let slope = c * (one + R::num(3.0 * 0.044715) * x * x);
                (half * x * (one + t), half * (one + t) + half * x * (one - t * t) * slope)
            }
        }
    }
}

impl<R: Num> Branch<R> for FeedForward<'_, R> {
    type Kept = Fed<R>;
    fn forward(&self, x: &Matrix<R>) -> (Matrix<R>, Fed<R>) {
        let net = &self.net;
        let up = net.project("ffn.up", x);
        let (hidden, gate) = if self.gated() {
            let gate = net.linear(x, &net.weight("ffn.gate.weight"), None);
            let hidden = match net.t.is("gate_and_up_swapped") {
                true => up.map(|i, up| self.active(up).0 * gate.data[i]),
                false => up.map(|i, up| self.active(gate.data[i]).0 * up),
            };
            (hidden, Some(gate))
        } else {
            (up.map(|_, up| self.active(up).0), None)
        };
        (net.project("ffn.down", &hidden), Fed { x: x.clone(), up, gate, hidden })
    }
    fn backward(&self, kept: &Fed<R>, dy: &Matrix<R>, grads: &mut Grads<R>) -> Matrix<R> {
        let (net, Fed { x, up, gate, hidden }) = (&self.net, kept);
        let dhidden = net.project_back("ffn.down", hidden, dy, grads);
        let Some(gate) = gate else {
            let dup = dhidden.map(|i, d| d * self.active(up.data[i]).1);
            return net.project_back("ffn.up", x, &dup, grads);
        };
        let (value, linear) = if net.t.is("gate_and_up_swapped") { (up, gate) } else { (gate, up) };
        let dvalue = dhidden.map(|i, d| d * linear.data[i] * self.active(value.data[i]).1);
        let dlinear = dhidden.map(|i, d| d * self.active(value.data[i]).0);
        let swapped = net.t.is("gate_and_up_swapped");
        let (dgate, dup) = if swapped { (dlinear, dvalue) } else { (dvalue, dlinear) };
        let first = net.project_back("ffn.up", x, &dup, grads);
        first.plus(&net.project_back("ffn.gate", x, &dgate, grads))
    }
}

/// One block over sequences of `seq`.
pub struct Block<'a, R> {
    pub net: Net<'a, R>,
    pub seq: usize,
}

pub struct Passed<R> {
    first: Wired<R, Attended<R>>,
    second: Wired<R, Fed<R>>,
}

impl<'a, R: Num> Block<'a, R> {
    fn parts(&self) -> (Norm, Norm, Attention<'a, R>, FeedForward<'a, R>) {
        let norm = |name: &str| Norm::named(&self.net, name);
        let attention = Attention { net: self.net, seq: self.seq };
        (norm("norm1"), norm("norm2"), attention, FeedForward { net: self.net })
    }
    /// What the second sublayer reads beside and inside: the stream between the two.
    pub fn forward(&self, x: &Matrix<R>) -> (Matrix<R>, Passed<R>) {
        let (net, (norm1, norm2, attention, feed_forward)) = (&self.net, self.parts());
        if net.t.is("branches_swapped") {
            let (mid, second) = net.wired(&norm1, &feed_forward, x, x);
            let (y, first) = net.wired(&norm2, &attention, &mid, &mid);
            return (y, Passed { first, second });
        }
        let (mid, first) = net.wired(&norm1, &attention, x, x);
        let inner = if net.t.is("norm2_of_x") { x } else { &mid };
        let skip = if net.t.is("skip_of_sum") { &first.sum } else { &mid };
        let (y, second) = net.wired(&norm2, &feed_forward, skip, inner);
        (y, Passed { first, second })
    }
    pub fn backward(&self, kept: &Passed<R>, dy: &Matrix<R>, grads: &mut Grads<R>) -> Matrix<R> {
        let (net, (norm1, norm2, attention, feed_forward)) = (&self.net, self.parts());
        let Passed { first, second } = kept;
        if net.t.is("branches_swapped") {
            let (skip, inner) = net.wired_back(&norm2, &attention, first, dy, None, grads);
            let dmid = skip.plus(&inner);
            let (skip, inner) = net.wired_back(&norm1, &feed_forward, second, &dmid, None, grads);
            return skip.plus(&inner);
        }
        let (skip, inner) = net.wired_back(&norm2, &feed_forward, second, dy, None, grads);
        if net.t.is("norm2_of_x") {
            let (a, b) = net.wired_back(&norm1, &attention, first, &skip, None, grads);
            return a.plus(&b).plus(&inner);
        }
        let (dmid, dsum) = match net.t.is("skip_of_sum") {
            true => (inner, Some(skip)),
            false => (skip.plus(&inner), None),
        };
        let (skip, inner) = net.wired_back(&norm1, &attention, first, &dmid, dsum.as_ref(), grads);
        skip.plus(&inner)
    }
}
