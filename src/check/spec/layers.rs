//! The layers that blocks are composed of, forward and backward, as in the papers.
//!
//! A matrix is its rows. What is one sum in exact arithmetic is one [`Sums`] here, whatever adds to
//! it: three projections of one gradient, a bias, the residual stream, a weight that is used
//! twice; so that every order of summation and every fusion is within the bound.

use std::collections::BTreeMap;

use super::operator::{Named, Problem, View};
use crate::check::call::Call;
use crate::num::Num;

/// A matrix as its rows.
pub type Rows<R> = Vec<Vec<R>>;

/// The most terms of any sum of a block: places, or the sides of a matrix, thrice for the three
/// projections of one gradient.
pub fn longest_sum(call: &Call) -> Option<usize> {
    let sides = call.tensors.values().flat_map(|tensor| {
        let rows: usize = tensor.shape.iter().rev().skip(1).product();
        [rows, tensor.shape.last().copied().unwrap_or(1)]
    });
    sides.max().map(|longest| 3 * longest)
}

/// The rows of a tensor's last axis.
pub fn rows<R: Num>(view: &View<R>) -> Rows<R> {
    view.rows().map(<[R]>::to_vec).collect()
}

/// A matrix each of whose elements is a sum in the making.
#[derive(Debug, Clone)]
pub struct Sums<R> {
    cols: usize,
    terms: Vec<Vec<R>>,
}

impl<R: Num> Sums<R> {
    /// Empty sums.
    pub fn new(rows: usize, cols: usize) -> Self {
        Sums { cols, terms: vec![Vec::new(); rows * cols] }
    }
    /// One more term.
    pub fn add(&mut self, row: usize, col: usize, term: R) {
        self.terms[row * self.cols + col].push(term);
    }
    /// One more term for every element of a row.
    pub fn add_row(&mut self, row: usize, x: &[R]) {
        x.iter().enumerate().for_each(|(col, &x)| self.add(row, col, x));
    }
    /// factor·x, element by element.
    pub fn add_rows(&mut self, factor: R, x: &Rows<R>) {
        for (terms, &x) in self.terms.iter_mut().zip(x.iter().flatten()) {
            terms.push(if factor == R::one() { x } else { factor * x });
        }
    }
    /// The sums as rows.
    pub fn total(&self) -> Rows<R> {
        let sums: Vec<R> = self.terms.iter().map(|terms| R::sum(terms.iter().copied())).collect();
        sums.chunks_exact(self.cols).map(<[R]>::to_vec).collect()
    }
}

/// The gradients of learned tensors, by name.
#[derive(Debug)]
pub struct Gradients<R>(BTreeMap<String, (Vec<usize>, Sums<R>)>);

impl<R: Num> Gradients<R> {
    /// None yet.
    pub fn new() -> Self {
        Gradients(BTreeMap::new())
    }
    /// The sums of one tensor's gradient.
    pub fn of(&mut self, param: &Param<R>) -> &mut Sums<R> {
        let shape = &param.view.shape;
        let empty =
            || (shape.clone(), Sums::new(param.view.data.len() / param.cols(), param.cols()));
        &mut self.0.entry(param.name.clone()).or_insert_with(empty).1
    }
    /// Every gradient as an output, its name behind a `d`.
    pub fn outputs(self) -> impl Iterator<Item = Named<R>> {
        self.0.into_iter().map(|(name, (shape, sums))| {
            Named::new(format!("d{name}"), &shape, sums.total().concat())
        })
    }
}

/// A learned tensor and its name.
#[derive(Debug)]
pub struct Param<'a, R> {
    name: String,
    view: &'a View<R>,
}

impl<'a, R: Num> Param<'a, R> {
    /// A tensor that is always there.
    pub fn get(p: &'a Problem<R>, name: &str) -> Self {
        Param { name: name.into(), view: p.get(name) }
    }
    /// A tensor that may be absent.
    pub fn opt(p: &'a Problem<R>, name: &str) -> Option<Self> {
        p.opt(name).map(|view| Param { name: name.into(), view })
    }
    /// The length of a row.
    pub fn cols(&self) -> usize {
        self.view.cols()
    }
    /// One row of a matrix.
    pub fn row(&self, i: usize) -> &[R] {
        &self.view.data[i * self.cols()..(i + 1) * self.cols()]
    }
    /// The rows of a matrix.
    pub fn rows(&self) -> usize {
        self.view.data.len() / self.cols()
    }
    fn at(&self, i: usize) -> R {
        self.view.data[i]
    }
}

/// What a sublayer wraps: a function of the stream, given as the terms of its sums.
pub trait Branch<R> {
    /// What backward reads.
    type Kept;
    /// f(x).
    fn forward(&self, x: &Rows<R>) -> (Sums<R>, Self::Kept);
    /// Adds the gradient of x to `dx`, those of learned tensors to `grads`.
    fn backward(&self, kept: &Self::Kept, dy: &Rows<R>, dx: &mut Sums<R>, grads: &mut Gradients<R>);
}

/// y = x·Wᵀ + b.
#[derive(Debug)]
pub struct Linear<'a, R> {
    weight: Param<'a, R>,
    bias: Option<Param<'a, R>>,
}

impl<'a, R: Num> Linear<'a, R> {
    /// `name.weight` and `name.bias`, where there is one.
    pub fn named(p: &'a Problem<R>, name: &str) -> Self {
        let weight = Param::get(p, &format!("{name}.weight"));
        Linear { weight, bias: Param::opt(p, &format!("{name}.bias")) }
    }
    /// A matrix alone.
    pub fn of(weight: Param<'a, R>) -> Self {
        Linear { weight, bias: None }
    }
}

impl<R: Num> Branch<R> for Linear<'_, R> {
    type Kept = Rows<R>;
    fn forward(&self, x: &Rows<R>) -> (Sums<R>, Rows<R>) {
        let mut y = Sums::new(x.len(), self.weight.rows());
        for (r, x) in x.iter().enumerate() {
            for o in 0..self.weight.rows() {
                self.weight.row(o).iter().zip(x).for_each(|(&w, &x)| y.add(r, o, w * x));
                if let Some(bias) = &self.bias {
                    y.add(r, o, bias.at(o));
                }
            }
        }
        (y, x.clone())
    }
    fn backward(&self, x: &Rows<R>, dy: &Rows<R>, dx: &mut Sums<R>, grads: &mut Gradients<R>) {
        let dweight = grads.of(&self.weight);
        for (r, dy) in dy.iter().enumerate() {
            for (o, &dy) in dy.iter().enumerate() {
                for (i, &w) in self.weight.row(o).iter().enumerate() {
                    dx.add(r, i, dy * w);
                    dweight.add(o, i, dy * x[r][i]);
                }
            }
        }
        if let Some(bias) = &self.bias {
            let dbias = grads.of(bias);
            dy.iter().for_each(|dy| dbias.add_row(0, dy));
        }
    }
}

/// y = (x − mean)/√(var + eps)·weight + bias, or x/√(mean(x²) + eps)·weight.
#[derive(Debug)]
pub struct Norm<'a, R> {
    weight: Param<'a, R>,
    bias: Option<Param<'a, R>>,
    centred: bool,
    eps: R,
}

/// One row after its norm, before the affine map.
#[derive(Debug)]
pub struct Normed<R> {
    xhat: Vec<R>,
    rstd: R,
}

impl<'a, R: Num> Norm<'a, R> {
    /// `layer_norm` with the affine map of these names.
    pub fn layer(p: &'a Problem<R>, weight: &str, bias: &str) -> Self {
        let (weight, bias) = (Param::get(p, weight), Some(Param::get(p, bias)));
        Norm { weight, bias, centred: true, eps: R::num(p.num("eps")) }
    }
    /// The norm that the attribute `norm` says, with `name.weight` and `name.bias`.
    pub fn named(p: &'a Problem<R>, name: &str) -> Self {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        match p.word("norm") {
            "layer_norm" => Norm::layer(p, &weight, &bias),
            _ => Norm {
                weight: Param::get(p, &weight),
                bias: None,
                centred: false,
                eps: R::num(p.num("eps")),
            },
        }
    }

    /// The norm of each row.
    pub fn forward(&self, x: &Rows<R>) -> (Rows<R>, Vec<Normed<R>>) {
        let kept: Vec<Normed<R>> = x.iter().map(|x| self.normed(x)).collect();
        let y = kept.iter().map(|row| {
            let scaled =
                row.xhat.iter().enumerate().map(|(j, &xhat)| (j, xhat * self.weight.at(j)));
            scaled.map(|(j, y)| self.bias.as_ref().map_or(y, |bias| y + bias.at(j))).collect()
        });
        (y.collect(), kept)
    }
    fn normed(&self, x: &[R]) -> Normed<R> {
        let n = R::count(x.len());
        let mean = if self.centred { R::sum(x.iter().copied()) / n } else { R::zero() };
        let centred: Vec<R> = x.iter().map(|&x| if self.centred { x - mean } else { x }).collect();
        // √(mean(c²) + eps) is the length of the row beside √(n·eps), over √n.
        let beside = [centred.as_slice(), &[(n * self.eps).sqrt()]].concat();
        let rstd = n.sqrt() / R::length(&beside);
        Normed { xhat: centred.iter().map(|&c| c * rstd).collect(), rstd }
    }
    /// dx = rstd·(w − mean(w) − x̂·mean(w·x̂)) with w = weight·dy; the root-mean-square norm
    /// subtracts no mean(w).
    pub fn backward(&self, kept: &[Normed<R>], dy: &Rows<R>, grads: &mut Gradients<R>) -> Rows<R> {
        let dweight = grads.of(&self.weight);
        for (row, dy) in kept.iter().zip(dy) {
            row.xhat
                .iter()
                .zip(dy)
                .enumerate()
                .for_each(|(j, (&x, &dy))| dweight.add(0, j, dy * x));
        }
        if let Some(bias) = &self.bias {
            let dbias = grads.of(bias);
            dy.iter().for_each(|dy| dbias.add_row(0, dy));
        }
        let dx = kept.iter().zip(dy).map(|(row, dy)| {
            let n = R::count(dy.len());
            let w: Vec<R> = dy.iter().enumerate().map(|(j, &dy)| self.weight.at(j) * dy).collect();
            let mean = R::sum(w.iter().copied()) / n;
            let slope = R::dot(&w, &row.xhat) / n;
            let each = w.iter().zip(&row.xhat).map(|(&w, &xhat)| match self.centred {
                true => row.rstd * R::sum([w, -mean, -(xhat * slope)]),
                false => row.rstd * (w - xhat * slope),
            });
            each.collect()
        });
        dx.collect()
    }
}

/// How norm, skip and branch meet.
#[derive(Debug, Clone, Copy)]
pub enum Wiring<R> {
    /// x + f(n(x)).
    Pre,
    /// n(alpha·x + f(x)); alpha is 1 in post_ln.
    Post {
        /// What the stream is multiplied by.
        alpha: R,
    },
    /// x + n(f(n(x))).
    Sandwich,
}

impl<R: Num> Wiring<R> {
    /// What the attributes say.
    pub fn of(p: &Problem<R>) -> Self {
        match p.word("wiring") {
            "pre_ln" => Wiring::Pre,
            "post_ln" => Wiring::Post { alpha: R::one() },
            "deepnorm" => Wiring::Post { alpha: R::num(p.num("alpha")) },
            _ => Wiring::Sandwich,
        }
    }
}

/// A branch in its wiring.
#[derive(Debug)]
pub struct Sublayer<'a, R, B> {
    /// How they meet.
    pub wiring: Wiring<R>,
    /// One norm, used wherever the wiring has one.
    pub norm: Norm<'a, R>,
    /// The function of the stream.
    pub branch: B,
}

/// What the backward pass of a sublayer reads.
#[derive(Debug)]
pub struct Wired<R, K> {
    before: Vec<Normed<R>>,
    branch: K,
    after: Vec<Normed<R>>,
}

impl<R: Num, B: Branch<R>> Sublayer<'_, R, B> {
    /// The new stream.
    pub fn forward(&self, x: &Rows<R>) -> (Rows<R>, Wired<R, B::Kept>) {
        let one = R::one();
        match self.wiring {
            Wiring::Pre => {
                let (n, before) = self.norm.forward(x);
                let (mut y, branch) = self.branch.forward(&n);
                y.add_rows(one, x);
                (y.total(), Wired { before, branch, after: Vec::new() })
            }
            Wiring::Post { alpha } => {
                let (mut sum, branch) = self.branch.forward(x);
                sum.add_rows(alpha, x);
                let (y, after) = self.norm.forward(&sum.total());
                (y, Wired { before: Vec::new(), branch, after })
            }
            Wiring::Sandwich => {
                let (n, before) = self.norm.forward(x);
                let (f, branch) = self.branch.forward(&n);
                let (n, after) = self.norm.forward(&f.total());
                (plus(x, &n), Wired { before, branch, after })
            }
        }
    }

    /// The gradient of the old stream.
    pub fn backward(
        &self,
        kept: &Wired<R, B::Kept>,
        dy: &Rows<R>,
        grads: &mut Gradients<R>,
    ) -> Rows<R> {
        let mut dx = Sums::new(dy.len(), dy[0].len());
        match self.wiring {
            Wiring::Pre => {
                self.branch.backward(&kept.branch, dy, &mut dx, grads);
                plus(dy, &self.norm.backward(&kept.before, &dx.total(), grads))
            }
            Wiring::Post { alpha } => {
                let dsum = self.norm.backward(&kept.after, dy, grads);
                dx.add_rows(alpha, &dsum);
                self.branch.backward(&kept.branch, &dsum, &mut dx, grads);
                dx.total()
            }
            Wiring::Sandwich => {
                let df = self.norm.backward(&kept.after, dy, grads);
                self.branch.backward(&kept.branch, &df, &mut dx, grads);
                plus(dy, &self.norm.backward(&kept.before, &dx.total(), grads))
            }
        }
    }
}

/// a + b, row by row.
fn plus<R: Num>(a: &Rows<R>, b: &Rows<R>) -> Rows<R> {
    let row = |(a, b): (&Vec<R>, &Vec<R>)| a.iter().zip(b).map(|(&a, &b)| a + b).collect();
    a.iter().zip(b).map(row).collect()
}

/// Multi-head self-attention with its four projections.
#[derive(Debug)]
pub struct Attention<'a, R> {
    /// Projections of the stream.
    pub q: Linear<'a, R>,
    /// As `q`, of `kv_heads` heads.
    pub k: Linear<'a, R>,
    /// As `k`.
    pub v: Linear<'a, R>,
    /// Back to the stream.
    pub out: Linear<'a, R>,
    /// Positions of a sample: rows come sample by sample.
    pub seq: usize,
    /// Heads of the queries.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Whether position t sees no later one.
    pub causal: bool,
}

/// What the backward pass of attention reads.
#[derive(Debug)]
pub struct Attended<R> {
    x: Rows<R>,
    q: Rows<R>,
    k: Rows<R>,
    v: Rows<R>,
    /// The probabilities of one query row and head after the other.
    p: Rows<R>,
    mixed: Rows<R>,
}

/// One query row under one head: where its numbers are.
struct Place {
    /// Row of the query.
    row: usize,
    /// First channel of the query.
    q: usize,
    /// First channel of keys and values.
    kv: usize,
    /// The rows of the keys that it sees.
    keys: std::ops::Range<usize>,
}

impl<R: Num> Attention<'_, R> {
    /// Every query row under every head: head h is channels hK…(h+1)K−1 and reads key head
    /// ⌊h·kv_heads/heads⌋.
    fn places(&self, rows: usize, width: usize) -> Vec<Place> {
        let size = width / self.heads;
        let place = |row: usize, h: usize| {
            let first = row - row % self.seq;
            let seen = if self.causal { row + 1 } else { first + self.seq };
            let kv = h * self.kv_heads / self.heads * size;
            Place { row, q: h * size, kv, keys: first..seen }
        };
        (0..rows).flat_map(|row| (0..self.heads).map(move |h| place(row, h))).collect()
    }
    fn scale(&self, size: usize) -> R {
        R::one() / R::count(size).sqrt()
    }
}

impl<R: Num> Branch<R> for Attention<'_, R> {
    type Kept = Attended<R>;
    fn forward(&self, x: &Rows<R>) -> (Sums<R>, Attended<R>) {
        let [q, k, v] = [&self.q, &self.k, &self.v].map(|linear| linear.forward(x).0.total());
        let (width, size) = (q[0].len(), q[0].len() / self.heads);
        let mut mixed = Sums::new(x.len(), width);
        let mut p = Vec::new();
        for at in self.places(x.len(), width) {
            let query = &q[at.row][at.q..at.q + size];
            let scores: Vec<R> = at
                .keys
                .clone()
                .map(|s| self.scale(size) * R::dot(query, &k[s][at.kv..at.kv + size]))
                .collect();
            let probabilities = softmax(&scores);
            for (s, &p) in at.keys.zip(&probabilities) {
                for c in 0..size {
                    mixed.add(at.row, at.q + c, p * v[s][at.kv + c]);
                }
            }
            p.push(probabilities);
        }
        let mixed = mixed.total();
        let (y, _) = self.out.forward(&mixed);
        (y, Attended { x: x.clone(), q, k, v, p, mixed })
    }

    /// dv = pᵀ·dy, ds = p·(dp − Σ p·dp) with dp = dy·vᵀ, dq = scale·ds·k, dk = scale·dsᵀ·q.
    fn backward(
        &self,
        kept: &Attended<R>,
        dy: &Rows<R>,
        dx: &mut Sums<R>,
        grads: &mut Gradients<R>,
    ) {
        let Attended { x, q, k, v, p, mixed } = kept;
        let (rows, width, size) = (x.len(), q[0].len(), q[0].len() / self.heads);
        let mut dmixed = Sums::new(rows, width);
        self.out.backward(mixed, dy, &mut dmixed, grads);
        let dmixed = dmixed.total();
        let mut dq = Sums::new(rows, width);
        let [mut dk, mut dv] = [k, v].map(|x| Sums::new(rows, x[0].len()));
        for (at, p) in self.places(rows, width).into_iter().zip(p) {
            let dy = &dmixed[at.row][at.q..at.q + size];
            let dp: Vec<R> =
                at.keys.clone().map(|s| R::dot(dy, &v[s][at.kv..at.kv + size])).collect();
            let ds = softmax_backward(p, &dp);
            for (i, s) in at.keys.enumerate() {
                let ds = self.scale(size) * ds[i];
                for c in 0..size {
                    dq.add(at.row, at.q + c, ds * k[s][at.kv + c]);
                    dk.add(s, at.kv + c, ds * q[at.row][at.q + c]);
                    dv.add(s, at.kv + c, p[i] * dy[c]);
                }
            }
        }
        for (linear, dy) in [(&self.q, dq), (&self.k, dk), (&self.v, dv)] {
            linear.backward(x, &dy.total(), dx, grads);
        }
    }
}

/// e^(x − max)/Σ e^(x − max); another shift, and another base, round something of the size of x.
pub fn softmax<R: Num>(x: &[R]) -> Vec<R> {
    let max = x.iter().copied().reduce(R::larger).expect("a row is not empty");
    let shifted = |&x: &R| (x - max).loosened(x.value().abs() + max.value().abs());
    let e: Vec<R> = x.iter().map(|x| shifted(x).exp()).collect();
    let sum = R::sum(e.iter().copied());
    e.into_iter().map(|e| e / sum).collect()
}

/// p·(dp − Σ p·dp).
fn softmax_backward<R: Num>(p: &[R], dp: &[R]) -> Vec<R> {
    let mean = R::dot(p, dp);
    p.iter().zip(dp).map(|(&p, &dp)| p * (dp - mean)).collect()
}

/// An activation.
#[derive(Debug, Clone, Copy)]
pub enum Function {
    Relu,
    Gelu,
    GeluTanh,
    Silu,
}

impl Function {
    /// What the attribute `fn` says.
    pub fn of<R: Num>(p: &Problem<R>) -> Self {
        match p.word("fn") {
            "relu" => Function::Relu,
            "gelu" => Function::Gelu,
            "gelu_tanh" => Function::GeluTanh,
            _ => Function::Silu,
        }
    }
    /// Value and derivative; what is below |x|·u in a tail is nobody's error.
    fn at<R: Num>(self, x: R) -> (R, R) {
        let [half, one] = [0.5, 1.0].map(R::num);
        let (y, slope) = match self {
            Function::Relu => return (R::zero().larger(x), x.step()),
            Function::Gelu => {
                let below = half * (one + (x * R::num(std::f64::consts::FRAC_1_SQRT_2)).erf());
                let density = R::num((0.5 * std::f64::consts::FRAC_1_PI).sqrt())
                    * (-(half * x.square())).exp();
                (x * below, below + x * density)
            }
            Function::GeluTanh => {
                let [c, cubic] = [std::f64::consts::FRAC_2_PI.sqrt(), 0.044715].map(R::num);
                let t = (c * (x + cubic * x * x.square())).tanh();
                let inner = c * (one + R::num(3.0) * cubic * x.square());
                (half * x * (one + t), half * (one + t) + half * x * (one - t.square()) * inner)
            }
            Function::Silu => {
                let sigmoid = one / (one + (-x).exp());
                (x * sigmoid, sigmoid * (one + x * (one - sigmoid)))
            }
        };
        (y.loosened(x.value().abs()), slope.loosened(1.0))
    }
}

/// y = down·fn(up·x), or down·(fn(gate·x) ⊙ (up·x)).
#[derive(Debug)]
pub struct FeedForward<'a, R> {
    /// To the hidden width.
    pub up: Linear<'a, R>,
    /// The gate, where there is one.
    pub gate: Option<Linear<'a, R>>,
    /// Back to the stream.
    pub down: Linear<'a, R>,
    /// The activation.
    pub function: Function,
}

/// What the backward pass of a feed-forward reads.
#[derive(Debug)]
pub struct Fed<R> {
    x: Rows<R>,
    up: Rows<R>,
    gate: Option<Rows<R>>,
    hidden: Rows<R>,
}

impl<R: Num> Branch<R> for FeedForward<'_, R> {
    type Kept = Fed<R>;
    fn forward(&self, x: &Rows<R>) -> (Sums<R>, Fed<R>) {
        let up = self.up.forward(x).0.total();
        let gate = self.gate.as_ref().map(|gate| gate.forward(x).0.total());
        let active = |x: &Rows<R>| -> Rows<R> {
            x.iter().map(|x| x.iter().map(|&x| self.function.at(x).0).collect()).collect()
        };
        let hidden = match &gate {
            None => active(&up),
            Some(gate) => times(&active(gate), &up),
        };
        (self.down.forward(&hidden).0, Fed { x: x.clone(), up, gate, hidden })
    }
    fn backward(&self, kept: &Fed<R>, dy: &Rows<R>, dx: &mut Sums<R>, grads: &mut Gradients<R>) {
        let Fed { x, up, gate, hidden } = kept;
        let mut dhidden = Sums::new(x.len(), hidden[0].len());
        self.down.backward(hidden, dy, &mut dhidden, grads);
        let dhidden = dhidden.total();
        let at = |x: &Rows<R>, part: fn((R, R)) -> R| -> Rows<R> {
            x.iter().map(|x| x.iter().map(|&x| part(self.function.at(x))).collect()).collect()
        };
        match (&self.gate, gate) {
            (Some(linear), Some(gate)) => {
                let dgate = times(&times(&dhidden, up), &at(gate, |(_, slope)| slope));
                linear.backward(x, &dgate, dx, grads);
                let dup = times(&dhidden, &at(gate, |(y, _)| y));
                self.up.backward(x, &dup, dx, grads);
            }
            _ => {
                let dup = times(&dhidden, &at(up, |(_, slope)| slope));
                self.up.backward(x, &dup, dx, grads);
            }
        }
    }
}

/// a ⊙ b.
fn times<R: Num>(a: &Rows<R>, b: &Rows<R>) -> Rows<R> {
    let row = |(a, b): (&Vec<R>, &Vec<R>)| a.iter().zip(b).map(|(&a, &b)| a * b).collect();
    a.iter().zip(b).map(row).collect()
}

/// One block: attention and feed-forward, each in the same wiring with a norm of its own.
#[derive(Debug)]
pub struct Block<'a, R> {
    attention: Sublayer<'a, R, Attention<'a, R>>,
    feed_forward: Sublayer<'a, R, FeedForward<'a, R>>,
}

/// What the backward pass of a block reads.
pub type Passed<R> = (Wired<R, Attended<R>>, Wired<R, Fed<R>>);

impl<'a, R: Num> Block<'a, R> {
    /// The block whose tensors are named behind `prefix`, over sequences of `seq`.
    pub fn named(p: &'a Problem<R>, prefix: &str, seq: usize) -> Self {
        let linear = |name: &str| Linear::named(p, &format!("{prefix}{name}"));
        let norm = |name: &str| Norm::named(p, &format!("{prefix}{name}"));
        let gate = Param::opt(p, &format!("{prefix}ffn.gate.weight")).map(Linear::of);
        let attention = Attention {
            q: linear("attn.q"),
            k: linear("attn.k"),
            v: linear("attn.v"),
            out: linear("attn.out"),
            seq,
            heads: p.int("heads") as usize,
            kv_heads: p.int("kv_heads") as usize,
            causal: p.flag("causal"),
        };
        let feed_forward = FeedForward {
            up: linear("ffn.up"),
            gate,
            down: linear("ffn.down"),
            function: Function::of(p),
        };
        let wiring = Wiring::of(p);
        Block {
            attention: Sublayer { wiring, norm: norm("norm1"), branch: attention },
            feed_forward: Sublayer { wiring, norm: norm("norm2"), branch: feed_forward },
        }
    }
    /// The new stream.
    pub fn forward(&self, x: &Rows<R>) -> (Rows<R>, Passed<R>) {
        let (mid, first) = self.attention.forward(x);
        let (y, second) = self.feed_forward.forward(&mid);
        (y, (first, second))
    }
    /// The gradient of the old stream.
    pub fn backward(&self, kept: &Passed<R>, dy: &Rows<R>, grads: &mut Gradients<R>) -> Rows<R> {
        let dmid = self.feed_forward.backward(&kept.1, dy, grads);
        self.attention.backward(&kept.0, &dmid, grads)
    }
}

/// The mean over the kept rows of −log softmax at the target, and its gradient times `dloss`; an
/// ignored row counts for nothing, and nothing is the mean of no row.
pub fn cross_entropy<R: Num>(
    logits: &Rows<R>,
    targets: &[usize],
    kept: &[bool],
    dloss: R,
) -> (R, Rows<R>) {
    let count = R::count(kept.iter().filter(|&&kept| kept).count().max(1));
    let rows = || logits.iter().zip(targets).zip(kept).map(|((x, &t), &kept)| (x, t, kept));
    let losses = rows().filter(|(_, _, kept)| *kept).map(|(x, t, _)| {
        let max = x.iter().copied().reduce(R::larger).expect("a vocabulary is not empty");
        let sum = R::sum(x.iter().map(|&x| (x - max).exp()));
        R::sum([sum.ln(), max, -x[t]])
    });
    let loss = R::sum(losses) / count;
    let dlogits = rows().map(|(x, t, kept)| {
        if !kept {
            return vec![R::zero(); x.len()];
        }
        let p = softmax(x).into_iter().enumerate();
        p.map(|(j, p)| (if j == t { p - R::one() } else { p }) * (dloss / count)).collect()
    });
    (loss, dlogits.collect())
}
