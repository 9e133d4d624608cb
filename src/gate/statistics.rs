//! Stage 6: answers that are random numbers, of which only the law is known.
//!
//! Every test has a *proven* bound on the probability that a right target looks as bad as this one
//! does: none is a normal quantile that holds for many samples only. With n samples:
//!
//! - a share of independent events: the tail of the binomial distribution, summed up;
//! - the mean of any independent numbers within [0, 1] of mean q: P(mean beyond x) ≤ e^(−n·KL(x‖q))
//!   on either side (Hoeffding 1963, theorem 1);
//! - the mean of standard normal numbers, or of uniform ones of variance 1, which are sub-Gaussian
//!   with that variance since sinh(t)/t ≤ e^(t²/6): P(|mean| ≥ x) ≤ 2e^(−n·x²/2);
//! - the mean square r of standard normal numbers (χ²): P ≤ e^(−n·(r − 1 − ln r)/2) on either side;
//!   that of uniform ones as a mean within [0, 1];
//! - the largest of uniform magnitudes below a: P(max ≤ m) = (m/a)ⁿ exactly;
//! - the distance D of the empirical distribution function from the law: P ≤ 2e^(−2n·D²)
//!   (Dvoretzky, Kiefer & Wolfowitz 1956; the constant of Massart 1990), which tells normal from
//!   uniform as kurtosis does, whose own tails for normal numbers have no such bound;
//! - a sum of independent terms, each within a range rᵢ: P(off by t) ≤ 2e^(−2t²/Σrᵢ²) (Hoeffding,
//!   theorem 2).
//!
//! Independence is tested by events that are independent themselves: fair signs that are compared
//! along a path (s₁s₂, s₂s₃, … of fair independent signs are fair and independent), or pairs that
//! share no element where they are not fair.
//!
//! Numbers made of 24 bits, as in `f32`, are uniform but for 2⁻²³: the distance allows for that, and
//! a binomial tail at [`LEVEL`] is moved by less than a thousandth.
//!
//! A finding has a probability below [`LEVEL`] = 10⁻¹¹. A whole run makes fewer than 10⁵ tests, so
//! by Bonferroni's inequality a right target is accused with a probability below 10⁻⁶.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2};

use serde_json::Value;

use super::call::{Broken, Call, Candidate, Dir, Reply, Served};
use super::case::{Case, Kind, Upstream};
use super::double::Dd;
use super::judge::{Grade, Judged, judge};
use super::number::{Bound, Real, at_unit};
use super::op::{self, init};
use super::operator::{Operator, number};
use super::oracle;
use super::scope::{self, Scope};
use super::tensor::{Dtype, Tensor, Tensors};
use crate::num::Num;

/// The largest probability under which a right target is accused by one test.
pub const LEVEL: f64 = 1e-11;

/// How many numbers a test is given: a standard deviation that is 5 % off is found.
pub const ELEMENTS: usize = 1 << 14;

/// The grid that uniform numbers lie on where they are made of 24 bits, as in `f32`.
const GRID: f64 = 1.0 / (1 << 23) as f64;

/// One test that a right target fails with a probability below [`LEVEL`].
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The case, the first where several are compared.
    pub case: Case,
    /// What is wrong.
    pub message: String,
    /// What was measured.
    pub got: f64,
    /// What was expected.
    pub want: f64,
    /// By how much it may be off.
    pub bound: f64,
}

/// What the tests of one operator came to.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// What speaks against the target, one finding per case.
    pub findings: Vec<Finding>,
    /// How many tests there were.
    pub tests: usize,
    /// The logarithm of the smallest probability of all.
    pub smallest: f64,
}

impl Evidence {
    /// A test: `ln_p` bounds the logarithm of the probability of a value as far off as its argument.
    fn weigh(
        &mut self,
        case: &Case,
        what: impl Into<String>,
        got: f64,
        want: f64,
        ln_p: impl Fn(f64) -> f64,
    ) {
        self.tests += 1;
        let own = ln_p(got);
        self.smallest = self.smallest.min(own);
        // Written so that NaN is a finding.
        if own >= LEVEL.ln() {
            return;
        }
        let (mut near, mut far) = (want, got);
        for _ in 0..60 {
            let middle = 0.5 * (near + far);
            if ln_p(middle) >= LEVEL.ln() { near = middle } else { far = middle }
        }
        self.accuse(case, what, got, want, (near - want).abs());
    }

    /// The share of `n` independent events of probability `want`.
    fn share(&mut self, case: &Case, what: impl Into<String>, hits: usize, n: usize, want: f64) {
        self.weigh(case, what, hits as f64 / n as f64, want, |x| LN_2 + ln_tail(x, n, want));
    }

    fn accuse(&mut self, case: &Case, what: impl Into<String>, got: f64, want: f64, bound: f64) {
        if self.findings.iter().all(|finding| finding.case != *case) {
            let (case, message) = (case.clone(), what.into());
            self.findings.push(Finding { case, message, got, want, bound });
        }
    }

    /// What must hold whatever the numbers are.
    fn demand(&mut self, case: &Case, what: &str, wrong: usize) {
        if wrong > 0 {
            self.accuse(case, what, wrong as f64, 0.0, 0.0);
        }
    }
}

/// ln P(share of n events of probability q is x, or further off on the same side).
fn ln_tail(x: f64, n: usize, q: f64) -> f64 {
    // Below the mean, count the events that did not happen.
    let (x, q) = if x < q { (1.0 - x, 1.0 - q) } else { (x, q) };
    let total = n as f64;
    let first = (x * total).round();
    let ways =
        libm::lgamma(total + 1.0) - libm::lgamma(first + 1.0) - libm::lgamma(total - first + 1.0);
    let all_but = if first == total { 0.0 } else { (total - first) * (1.0 - q).ln() };
    // P(k+1)/P(k) = (n−k)/(k+1)·q/(1−q), which falls below 1 beyond the mean.
    let (mut term, mut sum, mut k) = (1.0, 1.0, first);
    while k < total && term > 1e-17 * sum {
        term *= (total - k) / (k + 1.0) * q / (1.0 - q);
        sum += term;
        k += 1.0;
    }
    (ways + first * q.ln() + all_but + sum.ln()).min(0.0)
}

/// KL(x‖q) of two coins.
fn divergence(x: f64, q: f64) -> f64 {
    let part = |a: f64, b: f64| if a == 0.0 { 0.0 } else { a * (a / b).ln() };
    if !(0.0..=1.0).contains(&x) { f64::INFINITY } else { part(x, q) + part(1.0 - x, 1.0 - q) }
}

/// Every test of an operator whose answers are random; nothing for the others.
pub fn check(
    candidate: &mut dyn Candidate,
    op: &str,
    served: &Served,
    seed: u64,
) -> Result<Vec<Finding>, Broken> {
    Ok(evidence(candidate, op, served, seed, ELEMENTS)?.findings)
}

/// As [`check`], with so many numbers per test.
pub fn evidence(
    candidate: &mut dyn Candidate,
    op: &str,
    served: &Served,
    seed: u64,
    elements: usize,
) -> Result<Evidence, Broken> {
    // Seeds are below 2⁵³, those that follow on this one included.
    let seed = seed % (1 << 52);
    let mut stage = Stage { candidate, served, elements, seed, evidence: Evidence::default() };
    match op::find(op) {
        Some(operator) if op == "init" => stage.weights(operator)?,
        Some(operator) if operator.random() => stage.masks(operator)?,
        _ => {}
    }
    Ok(stage.evidence)
}

struct Stage<'a> {
    candidate: &'a mut dyn Candidate,
    served: &'a Served,
    elements: usize,
    seed: u64,
    evidence: Evidence,
}

impl Stage<'_> {
    /// A case of normal numbers; attributes are what is served.
    fn case(&self, operator: &'static dyn Operator, dir: Dir, dtypes: (Dtype, Dtype)) -> Case {
        let mut case = Scope::new(operator, self.served).simplest(dir, dtypes);
        (case.kind, case.upstream, case.seed) = (Kind::Normal, Upstream::Normal, self.seed);
        case
    }

    /// Sizes within the target's limits.
    fn sized(&self, case: &mut Case, sizes: [(&'static str, usize); 2]) {
        let limits = &self.served.limits;
        let [(rows, height), (cols, width)] = sizes;
        let width = width.min(limits.max_columns.unwrap_or(width)).max(1);
        let most = limits.max_elements.unwrap_or(usize::MAX) / width / 6;
        case.sizes.insert(rows, height.min(most).max(1));
        case.sizes.insert(cols, width);
    }

    /// The answer to a case, if it is one that can be judged further.
    fn ask(&mut self, case: &Case) -> Result<Option<Tensor>, Broken> {
        let call = case.call();
        let reply = self.candidate.run(&call)?;
        let accumulate = self.served.accumulator(case.dtype);
        let expected = oracle::expect(&call, accumulate, &self.served.variant);
        let wrong = match judge(&call, &expected, &reply) {
            Judged::Wrong(why) => Some((why, 0.0, 0.0, 0.0)),
            Judged::Graded(graded) => {
                graded.into_iter().find(|g| g.grade == Grade::Fail).map(|g| {
                    (format!("{}[{}] is beyond its bound", g.tensor, g.at), g.got, g.want, g.bound)
                })
            }
        };
        let mut answer = match reply {
            Reply::Ok(answer) => answer,
            _ => Tensors::new(),
        };
        let wrong = wrong.or_else(|| {
            let beyond = case.operator().beyond(&call, &answer);
            beyond.into_iter().next().map(|why| (why, 0.0, 0.0, 0.0))
        });
        match wrong {
            Some((why, got, want, bound)) => {
                self.evidence.accuse(case, why, got, want, bound);
                Ok(None)
            }
            None => Ok(answer.remove(&call.want[0])),
        }
    }

    /// `init`: every scheme of every role.
    fn weights(&mut self, operator: &'static dyn Operator) -> Result<(), Broken> {
        let words = |settings: &[super::operator::Setting]| -> Vec<Value> {
            settings.iter().map(|word| word.json()).collect()
        };
        let dtypes = self.served.dtypes();
        let (schemes, roles) = (
            scope::among(self.served, "scheme", &words(init::SCHEMES)),
            scope::among(self.served, "role", &words(init::ROLES)),
        );
        let depths = scope::among(self.served, "depth", &[12.into(), 1.into(), 3.into()]);
        let layers = scope::among(self.served, "layer", &[0.into(), 2.into()]);
        let gains = scope::among(self.served, "gain", &[1.0.into(), 0.5.into(), 2.0.into()]);
        // Far from square, so that fans that are swapped differ.
        let long = (2.6 * self.elements as f64).sqrt() as usize;
        let short = self.elements / long;
        for (s, scheme) in schemes.iter().enumerate() {
            for (r, role) in roles.iter().enumerate() {
                let turn = s * roles.len() + r;
                let mut case = self.case(operator, Dir::Fwd, dtypes[turn % dtypes.len()]);
                case.seed = self.seed + 2 * turn as u64;
                let (out, input) = if turn % 2 == 0 { (long, short) } else { (short, long) };
                self.sized(&mut case, [("out", out), ("in", input)]);
                let cycled = [
                    ("scheme", scheme),
                    ("role", role),
                    ("depth", &depths[(s + r + r / 3) % depths.len()]),
                    ("layer", &layers[turn % layers.len()]),
                    ("gain", &gains[(s + r) % gains.len()]),
                ];
                for (name, value) in cycled {
                    case.attrs[name] = value.clone();
                }
                let Some(weight) = self.ask(&case)? else { continue };
                self.slices(&case, &weight.values);
                // One role per scheme is enough to see what a seed does.
                if r == s % roles.len() {
                    self.seeds_of_weights(&case, &weight)?;
                }
            }
        }
        Ok(())
    }

    fn slices(&mut self, case: &Case, weight: &[f64]) {
        let attrs = case.operator().attributes(case);
        let (out, input) = (case.size("out"), case.size("in"));
        let roles = init::slices(attrs["role"].as_str().unwrap_or_default());
        for (role, slice) in roles.into_iter().zip(weight.chunks_exact(out * input)) {
            let law = init::law(&attrs, role, out, input);
            let scaled: Vec<f64> = slice.iter().map(|w| w / law.std).collect();
            self.marginal(case, role, &scaled, law.uniform);
            self.independence(case, role, &scaled, input, law.uniform);
        }
    }

    /// The law of single weights, which have variance 1 here.
    fn marginal(&mut self, case: &Case, role: &str, weights: &[f64], uniform: bool) {
        let count = weights.len();
        let n = count as f64;
        let mean = |power: i32| weights.iter().map(|w| w.powi(power)).sum::<f64>() / n;
        let edge = 3f64.sqrt();
        let evidence = &mut self.evidence;
        let of = |what: &str| format!("{what} of {role}, in standard deviations");
        evidence.weigh(case, of("mean"), mean(1), 0.0, |x| LN_2 - n * x * x / 2.0);
        if uniform {
            for (what, power, want) in [("mean square", 2, 1.0), ("fourth moment", 4, 1.8)] {
                let most = edge.powi(power);
                evidence.weigh(case, of(what), mean(power), want, |x| {
                    LN_2 - n * divergence(x / most, want / most)
                });
            }
            let largest = weights.iter().fold(0.0f64, |most, w| most.max(w.abs()));
            evidence.weigh(case, of("largest magnitude"), largest, edge, |m| {
                n * (m / edge).ln().min(0.0)
            });
        } else {
            evidence.weigh(case, of("mean square"), mean(2), 1.0, |r| {
                LN_2 - n * (r - 1.0 - r.ln()) / 2.0
            });
        }
        let below = |x: f64| match uniform {
            true => (0.5 + 0.5 * x / edge).clamp(0.0, 1.0),
            false => 0.5 * libm::erfc(-x * FRAC_1_SQRT_2),
        };
        for deviations in [1.0, 1.5, 2.0, 3.0] {
            let want = 2.0 * below(-deviations);
            if want > 0.0 {
                let beyond = weights.iter().filter(|w| w.abs() > deviations).count();
                let what = format!("share of {role} beyond {deviations} standard deviations");
                evidence.share(case, what, beyond, count, want);
            }
        }
        let mut sorted = weights.to_vec();
        sorted.sort_by(f64::total_cmp);
        let gaps = sorted.iter().enumerate().map(|(i, &w)| {
            let law = below(w);
            (law - i as f64 / n).abs().max((law - (i + 1) as f64 / n).abs())
        });
        let distance = gaps.fold(0.0, f64::max);
        let what = format!("distance of the distribution of {role} from its law");
        evidence.weigh(case, what, distance, 0.0, |d| LN_2 - 2.0 * n * (d - GRID).max(0.0).powi(2));
    }

    /// Fair coins of the weights, compared with those of neighbours in the row and in the column.
    fn independence(
        &mut self,
        case: &Case,
        role: &str,
        weights: &[f64],
        cols: usize,
        uniform: bool,
    ) {
        let median = if uniform { 0.75f64.sqrt() } else { 0.674_489_750_196_081_7 };
        let coins: [(&str, Vec<bool>); 2] = [
            ("signs", weights.iter().map(|&w| w < 0.0).collect()),
            ("magnitudes", weights.iter().map(|w| w.abs() > median).collect()),
        ];
        let rows = weights.len() / cols;
        for (what, coins) in &coins {
            for lag in [1, 2, 3, 4, 8, 16, 32, 64] {
                let agree = |i: &usize| coins[*i] == coins[i + lag];
                if lag < cols {
                    let places = (0..weights.len()).filter(|i| i % cols + lag < cols);
                    let what = format!("share of equal {what} of {role} {lag} apart in a row");
                    let hits = places.filter(agree).count();
                    self.evidence.share(case, what, hits, rows * (cols - lag), 0.5);
                }
                if lag < rows {
                    let n = (rows - lag) * cols;
                    let hits = (0..n).filter(|&i| coins[i] == coins[i + lag * cols]).count();
                    let what = format!("share of equal {what} of {role} {lag} apart in a column");
                    self.evidence.share(case, what, hits, n, 0.5);
                }
            }
            // A product of a number per row and one per column shows in squares of four only.
            let corners =
                (0..rows / 2).flat_map(|r| (0..cols / 2).map(move |c| 2 * (r * cols + c)));
            let odd = |i: &usize| coins[*i] ^ coins[i + 1] ^ coins[i + cols] ^ coins[i + cols + 1];
            let n = (rows / 2) * (cols / 2);
            if n > 0 {
                let what = format!("share of odd squares of {what} of {role}");
                self.evidence.share(case, what, corners.filter(odd).count(), n, 0.5);
            }
        }
    }

    /// One seed gives the same weights again, the next one others.
    fn seeds_of_weights(&mut self, case: &Case, first: &Tensor) -> Result<(), Broken> {
        if let Some(again) = self.ask(case)? {
            let wrong = usize::from(!again.same_bits(first));
            self.evidence.demand(case, "one seed gives other weights the second time", wrong);
        }
        let next = Case { seed: case.seed + 1, ..case.clone() };
        if let Some(other) = self.ask(&next)? {
            let coins =
                |weight: &Tensor| -> Vec<bool> { weight.values.iter().map(|&w| w < 0.0).collect() };
            self.unrelated(case, "signs", &coins(first), &coins(&other), 0.5);
        }
        Ok(())
    }

    /// Two lists of independent events, compared place by place and one place off.
    fn unrelated(&mut self, case: &Case, what: &str, a: &[bool], b: &[bool], rate: f64) {
        let want = rate * rate + (1.0 - rate) * (1.0 - rate);
        for (a, b, off) in [(a, b, 0), (&a[1..], b, 1), (a, &b[1..], -1)] {
            let pairs = a.iter().zip(b);
            let (n, hits) = (pairs.len(), pairs.filter(|(a, b)| a == b).count());
            if n > 0 {
                let what = format!("share of equal {what} of two seeds, {off} places off");
                self.evidence.share(case, what, hits, n, want);
            }
        }
    }

    /// `dropout` and `drop_path`: the mask.
    fn masks(&mut self, operator: &'static dyn Operator) -> Result<(), Broken> {
        let rates = scope::among(self.served, "p", &[0.1, 0.5, 0.9, 0.0, 1.0].map(Value::from));
        let training = scope::among(self.served, "training", &[true.into(), false.into()]);
        for (turn, dtypes) in self.served.dtypes().into_iter().enumerate() {
            for (i, rate) in rates.iter().enumerate() {
                for training in &training {
                    let mut case = self.case(operator, Dir::Fwd, dtypes);
                    case.attrs["p"] = rate.clone();
                    case.attrs["training"] = training.clone();
                    let rate = number(&case.attrs, "p");
                    let random = rate > 0.0 && rate < 1.0 && *training == Value::Bool(true);
                    // The first dtype meets every rate at length, each other dtype one of them.
                    let at_length = random && (turn == 0 || i == turn % rates.len().min(3));
                    if at_length {
                        self.shaped(&mut case);
                    } else {
                        few_decisions(&mut case);
                    }
                    let Some(y) = self.both_passes(&case)? else { continue };
                    if at_length {
                        self.mask(&case, &y, rate);
                        self.seeds_of_masks(&case, &y, rate)?;
                    }
                    if random && turn == 0 {
                        self.few(&case, rate)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What forward answers, after backward was seen to have the same mask.
    fn both_passes(&mut self, case: &Case) -> Result<Option<Tensor>, Broken> {
        let dirs = self.served.dirs();
        let backward = Case { dir: Dir::Bwd, ..case.clone() };
        let y = if dirs.contains(&Dir::Fwd) { self.ask(case)? } else { None };
        let dx = if dirs.contains(&Dir::Bwd) { self.ask(&backward)? } else { None };
        if let (Some(y), Some(dx)) = (&y, &dx) {
            // An element of 0 says nothing of the mask.
            let (x, dy) = (&case.call().tensors["x"], &backward.call().tensors["dy"]);
            let given = x.values.iter().zip(&dy.values);
            let left = y.values.iter().zip(&dx.values);
            let differs = given.zip(left).filter(|((x, dy), (y, dx))| {
                **x != 0.0 && **dy != 0.0 && (**y == 0.0) != (**dx == 0.0)
            });
            let what = "elements that forward keeps and backward drops, or the reverse";
            self.evidence.demand(&backward, what, differs.count());
        }
        Ok(y)
    }

    fn shaped(&self, case: &mut Case) {
        let elements = self.elements;
        if case.op == "dropout" {
            self.sized(case, [("rows", elements.div_ceil(129)), ("cols", 129)]);
        } else {
            case.sizes.insert("seq", 2);
            self.sized(case, [("batch", elements / 2), ("width", 2)]);
        }
    }

    /// One mask: how many are kept, where, and whether they know of each other.
    fn mask(&mut self, case: &Case, y: &Tensor, rate: f64) {
        let unit = decided_together(case.op, &y.shape);
        let kept = kept(y, unit);
        let n = kept.len();
        let count = |kept: &[bool]| kept.iter().filter(|kept| **kept).count();
        self.evidence.share(case, "share of what is kept", count(&kept), n, 1.0 - rate);
        for (i, part) in kept.chunks(n.div_ceil(16)).enumerate() {
            let what = format!("share of what is kept in part {i} of 16");
            self.evidence.share(case, what, count(part), part.len(), 1.0 - rate);
        }
        // Σxy/Σx² is 1 on average, and every term of it lies between 0 and x²/(1−p).
        let x = &case.call().tensors["x"].values;
        let along: f64 = x.iter().zip(&y.values).map(|(x, y)| x * y).sum();
        let sizes = x.chunks(unit).map(|x| x.iter().map(|x| x * x).sum::<f64>());
        let (total, squares) = sizes.fold((0.0, 0.0), |(a, b), s| (a + s, b + s * s));
        // What is stored in 16 bits is rounded, by no more than this in the mean.
        let slack = 2.0 * case.dtype.unit() / (1.0 - rate);
        self.evidence.weigh(case, "mean of y over x", along / total, 1.0, |x| {
            let off = ((x - 1.0).abs() - slack).max(0.0) * total * (1.0 - rate);
            LN_2 - 2.0 * off * off / squares
        });
        let want = rate * rate + (1.0 - rate) * (1.0 - rate);
        let cols = if unit == 1 { y.shape[1] } else { 1 };
        let lags = (1..=16).chain((5..24).map(|power| 1 << power)).chain((0..4).map(|i| cols << i));
        for lag in lags.filter(|lag| 2 * lag <= n) {
            // Pairs that share no element: the first half of a block of 2·lag with the second.
            let pairs = kept.chunks_exact(2 * lag).flat_map(|block| {
                let (near, far) = block.split_at(lag);
                near.iter().zip(far)
            });
            let what = format!("share of pairs {lag} apart with one fate");
            let hits = pairs.filter(|(a, b)| a == b).count();
            self.evidence.share(case, what, hits, n / (2 * lag) * lag, want);
        }
    }

    /// One seed gives the same mask again, the next one another.
    fn seeds_of_masks(&mut self, case: &Case, first: &Tensor, rate: f64) -> Result<(), Broken> {
        if let Some(again) = self.ask(case)? {
            let wrong = usize::from(!again.same_bits(first));
            self.evidence.demand(case, "one seed gives another mask the second time", wrong);
        }
        let next = Case { seed: case.seed + 1, ..case.clone() };
        // The values of the next case are others, too; the mask is what is compared.
        if let Some(other) = self.ask(&next)? {
            let unit = decided_together(case.op, &first.shape);
            self.unrelated(case, "fates", &kept(first, unit), &kept(&other, unit), rate);
        }
        Ok(())
    }

    /// Seven decisions under 64 seeds: what is left over by blocks of four is decided, too.
    fn few(&mut self, case: &Case, rate: f64) -> Result<(), Broken> {
        const SEEDS: u64 = 64;
        let mut small = case.clone();
        few_decisions(&mut small);
        let mut masks = Vec::new();
        for seed in 0..SEEDS {
            let own = Case { seed: case.seed + 2 + seed, ..small.clone() };
            let Some(y) = self.ask(&own)? else { return Ok(()) };
            masks.push(kept(&y, decided_together(case.op, &y.shape)));
        }
        for place in 0..7 {
            let hits = masks.iter().filter(|mask| mask[place]).count();
            let what = format!("share of {SEEDS} seeds that keep place {place} of 7");
            self.evidence.share(&small, what, hits, masks.len(), 1.0 - rate);
        }
        let pairs = masks.chunks_exact(2).flat_map(|two| two[0].iter().zip(&two[1]));
        let want = rate * rate + (1.0 - rate) * (1.0 - rate);
        let hits = pairs.filter(|(a, b)| a == b).count();
        let what = "share of places with one fate under two seeds";
        self.evidence.share(&small, what, hits, 7 * masks.len() / 2, want);
        Ok(())
    }
}

/// The sizes of seven decisions.
fn few_decisions(case: &mut Case) {
    let sizes = match case.op {
        "dropout" => vec![("rows", 1), ("cols", 7)],
        _ => vec![("batch", 7), ("seq", 1), ("width", 3)],
    };
    case.sizes = sizes.into_iter().collect();
}

/// How many elements share one decision.
fn decided_together(op: &str, shape: &[usize]) -> usize {
    if op == "drop_path" { shape[1..].iter().product() } else { 1 }
}

/// Which decisions were to keep.
fn kept(y: &Tensor, unit: usize) -> Vec<bool> {
    y.values.chunks_exact(unit).map(|y| y.iter().any(|&y| y != 0.0)).collect()
}

/// What every single answer of random numbers must hold, in words where it does not.
pub fn judge_random(call: &Call, answer: &Tensors) -> Vec<String> {
    let Some(answer) = call.want.first().and_then(|name| answer.get(name)) else {
        return Vec::new();
    };
    if call.op == "init" { within(call, answer) } else { kept_or_dropped(call, answer) }
}

/// A uniform weight lies within ±√3·std, which is the result of fewer than eight roundings.
fn within(call: &Call, weight: &Tensor) -> Vec<String> {
    let roles = init::slices(call.attrs["role"].as_str().unwrap_or_default());
    let (out, input) = (weight.shape[0] / roles.len(), weight.shape[1]);
    let slices = roles.into_iter().zip(weight.values.chunks_exact(out * input));
    let beyond = slices.filter_map(|(role, slice)| {
        let law = init::law(&call.attrs, role, out, input);
        let edge = 3f64.sqrt() * law.std;
        let most = edge * (1.0 + 8.0 * weight.dtype.unit());
        // A gain of 0 leaves nothing of a normal weight either.
        let bounded = law.uniform || law.std == 0.0;
        let wrong = slice.iter().find(|w| bounded && w.abs() > most)?;
        Some(format!("{wrong:e} in {role} is beyond ±{edge:e}"))
    });
    beyond.collect()
}

/// An element that is kept is x/(1−p), every other is 0, and samples are dropped as a whole.
fn kept_or_dropped(call: &Call, left: &Tensor) -> Vec<String> {
    let rate = number(&call.attrs, "p");
    if call.attrs["training"] != Value::Bool(true) || rate == 0.0 || rate == 1.0 {
        return Vec::new();
    }
    let x = &call.tensors[if call.dir == Dir::Fwd { "x" } else { "dy" }];
    let dtype = left.dtype;
    let scaled = |x: f64| {
        at_unit(dtype.accumulator().unit(), || {
            let rate = Bound::<Dd>::num(rate).loosened(rate);
            Bound::num(x) / (Bound::one() - rate)
        })
    };
    for (i, (&x, &left)) in x.values.iter().zip(&left.values).enumerate() {
        if left == 0.0 {
            continue;
        }
        let want = scaled(x);
        let error = ((Dd::num(left) - want.v).value()).abs();
        let size = want.v.value().abs() + want.worst;
        let bound = want.worst + dtype.unit() * size + dtype.smallest_normal();
        if error > bound || error.is_nan() {
            let want = want.v.value();
            return vec![format!("[{i}] is {left:e}, neither 0 nor {want:e} ± {bound:e}")];
        }
    }
    let unit = decided_together(&call.op, &x.shape);
    for (sample, (x, left)) in x.values.chunks(unit).zip(left.values.chunks(unit)).enumerate() {
        // What may have been flushed to 0 says nothing of its fate.
        let tells = |x: f64| x.abs() > dtype.smallest_normal();
        let told = || x.iter().zip(left).filter(|(x, _)| tells(**x)).map(|(_, left)| *left);
        if told().any(|left| left == 0.0) && told().any(|left| left != 0.0) {
            return vec![format!("sample {sample} is dropped in part")];
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_those_of_exact_sums() {
        // Sums of fractions.
        let exact = [
            (0.5, 10, 0.3, 0.150_268_332_6),
            (0.1, 10, 0.3, 0.149_308_345_9),
            (0.15, 2000, 0.1, 1.5652064462134268e-12),
            (0.05, 2000, 0.1, 2.374647248072791e-16),
            (1.0, 64, 0.5, 2f64.powi(-64)),
            (0.0, 64, 0.5, 2f64.powi(-64)),
        ];
        for (x, n, q, want) in exact {
            let got = ln_tail(x, n, q).exp();
            assert!((got / want - 1.0).abs() < 1e-8, "{x} of {n} at {q}: {got:e}, not {want:e}");
        }
    }

    #[test]
    fn one_tail_is_what_the_other_leaves() {
        for hits in 0..=40 {
            let (at, next) = (f64::from(hits) / 41.0, f64::from(hits + 1) / 41.0);
            if at < 0.4 && next > 0.4 {
                let both = ln_tail(at, 41, 0.4).exp() + ln_tail(next, 41, 0.4).exp();
                assert!((both - 1.0).abs() < 1e-12, "{both}");
            }
        }
    }
}
