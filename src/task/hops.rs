//! k hops along a permutation, which take depth: pointer chasing, kin of the k-hop induction heads of
//! Sanford, Hsu & Telgarsky 2024 (arXiv 2402.09268), for which a depth of some log k is enough.
//!
//! A sequence first writes down a random permutation f of n symbols, an edge x → f(x) a token, in
//! random order; then come questions, a symbol q a token, each of whose targets is fᵏ(q). Only
//! answers count. No answer is in the sequence, so that none can be copied.
//!
//! References. An answer is determined: bayes = 0. Who knows nothing says every symbol alike:
//! constant = ln n. Who follows j hops from q, `hops_j`, knows the answer where the cycle of q has
//! at most j symbols. Its length l is uniform on 1..=n, since f is; where l > j, the answer is
//! f^(k mod l)(q): with cᵢ = #{j < l ≤ n: k mod l = i} it is the symbol fⁱ(q), i ≤ j, with
//! probability pᵢ = cᵢ/(n−j), and else one of the n−j−1 unseen symbols, all alike. Hence
//! hops_j = (n−j)/n · (−Σᵢ pᵢ ln pᵢ − u ln(u/(n−j−1))), u = 1 − Σᵢ pᵢ.
//! The baseline is one hop too few, where the formula becomes hops_(k−1) = (n−k+1)/n · ln(n−k+1):
//! what is clearly below it knows more of f than k−1 hops. A block that is wide for n can hold all
//! of a small f at once and needs no second one; a larger n leaves it no room.

use super::{Batch, Data, NOT_COUNTED, Task, Wanted};
use crate::choice::Described;
use crate::record::ReferenceLoss;
use crate::rng::{Rng, mix};
use crate::setting::Invalid;
use crate::setting::Setting;
use crate::stack::{Ends, Front, Head};

/// The most symbols: there are n² edges, each a row of the embedding.
const MOST_SYMBOLS: usize = 64;
/// The fewest symbols of which some permutations are held out.
const FEWEST_SYMBOLS: usize = 4;
/// One permutation of so many is held out.
const HELD_OUT_SHARE: u64 = 8;
/// Held-out sequences.
const HELD_OUT: usize = 4096;

/// k hops along a permutation of n symbols.
#[derive(Debug, Clone, Copy)]
pub struct Hops {
    k: usize,
    n: usize,
}

impl Described for Hops {
    const ID: &'static str = "hops";
    const ABOUT: &'static str = "f^k(q) for a permutation f of n symbols that the sequence writes \
                                 down; bayes = 0, one hop less = (n−k+1)/n·ln(n−k+1) \
                                 (after Sanford et al. 2024)";
    fn new() -> Self {
        Hops { k: 2, n: 8 }
    }
}

impl Task for Hops {
    crate::constants! { dyn Task; k: Count, n: Count }

    fn ends(&self) -> Ends {
        // Symbols first, then edges.
        let vocabulary = self.n + self.n * self.n;
        Ends { front: Front::Tokens { vocabulary }, head: Head::Classes { n: self.n } }
    }
    fn baseline(&self) -> String {
        hops(self.k - 1)
    }
    fn allows(&self, wanted: &Wanted, seq_given: bool) -> Result<(), Invalid> {
        let (k, n) = (self.k, self.n);
        let refuse = |allowed: String| Err(Invalid::new("task", wanted.task.show(), allowed));
        if !(FEWEST_SYMBOLS..=MOST_SYMBOLS).contains(&n) {
            return refuse(format!("hops with n from {FEWEST_SYMBOLS} to {MOST_SYMBOLS}"));
        }
        // Of more hops than that, one less does nearly as well.
        if k > n / 2 {
            return refuse(format!("hops with k from 1 to n/2 = {}", n / 2));
        }
        if wanted.seq > n {
            return Ok(());
        }
        if seq_given {
            let allowed = format!("{} or more for n = {n} edges and a question", n + 1);
            return Err(Invalid::new("seq", wanted.seq, allowed));
        }
        refuse(format!("hops with n below seq {}, for a question behind n edges", wanted.seq))
    }
    fn load(&self, _wanted: &Wanted, _most: u64) -> Result<Box<dyn Data>, Invalid> {
        Ok(Box::new(*self))
    }
}

impl Data for Hops {
    fn references(&self, _wanted: &Wanted) -> Vec<ReferenceLoss> {
        let constant = ("constant", (self.n as f64).ln()).into();
        let fewer = (0..self.k).map(|j| (&*hops(j), self.after(j)).into());
        let bayes = ("bayes", 0.0).into();
        [constant].into_iter().chain(fewer).chain([bayes]).collect()
    }

    fn training_batch(&self, wanted: &Wanted, step: usize, batch: &mut Batch) {
        let rng = Rng::new(wanted.seed).named("hops").at(step as u64);
        batch.clear();
        for number in 0..wanted.batch {
            self.fill(wanted.seq, false, rng.at(number as u64), batch);
        }
    }

    fn held_out_batches(&self, wanted: &Wanted) -> usize {
        HELD_OUT.div_ceil(wanted.batch)
    }

    fn held_out_batch(&self, wanted: &Wanted, index: usize, _of: usize, batch: &mut Batch) {
        let rng = Rng::new(wanted.seed).named("hops held out");
        batch.clear();
        for number in index * wanted.batch..(index + 1) * wanted.batch {
            self.fill(wanted.seq, true, rng.at(number as u64), batch);
        }
    }

    /// The permutations for training are n!·7/8: what goes over them more than once may learn them
    /// by heart, and is judged by those that are held out.
    fn passes(&self, wanted: &Wanted, steps: usize) -> f64 {
        let permutations: f64 = (1..=self.n).map(|i| i as f64).product();
        let share = 1.0 - 1.0 / HELD_OUT_SHARE as f64;
        (steps * wanted.batch) as f64 / (share * permutations)
    }

    /// Nothing where the cycle of the question is shorter than k, ln(n−k+1) elsewhere.
    fn baseline_cost(&self, batch: &Batch) -> f64 {
        let (k, n) = (self.k, self.n);
        let sequences = batch.targets.iter().filter(|&&target| target != NOT_COUNTED);
        let answers = sequences.count();
        let mut open = 0;
        let mut f = [0; MOST_SYMBOLS];
        for &token in &batch.inputs {
            let token = token as usize;
            match token.checked_sub(n) {
                Some(edge) => f[edge / n] = edge % n,
                None => open += usize::from((1..k).all(|j| follow(&f, token, j) != token)),
            }
        }
        open as f64 / answers as f64 * ((n - k + 1) as f64).ln()
    }
}

impl Hops {
    /// What who follows j < k hops pays for an answer.
    fn after(&self, j: usize) -> f64 {
        let (k, n) = (self.k, self.n);
        let open = (n - j) as f64;
        let paid =
            |p: f64, symbols: usize| if p > 0.0 { -p * (p / symbols as f64).ln() } else { 0.0 };
        let share = |i: usize| (j + 1..=n).filter(|l| k % l == i).count() as f64 / open;
        let seen: f64 = (0..=j).map(share).sum();
        let known: f64 = (0..=j).map(|i| paid(share(i), 1)).sum();
        open / n as f64 * (known + paid(1.0 - seen, n - j - 1))
    }

    /// Adds a sequence whose permutation is held out, or is not.
    fn fill(&self, seq: usize, held_out: bool, mut rng: Rng, batch: &mut Batch) {
        let n = self.n;
        // Arrays: a training step asks for no memory.
        let (mut f, mut order) = ([0; MOST_SYMBOLS], [0; MOST_SYMBOLS]);
        let (f, order) = (&mut f[..n], &mut order[..n]);
        shuffle(f, &mut rng);
        while is_held_out(f) != held_out {
            shuffle(f, &mut rng);
        }
        shuffle(order, &mut rng);
        for &x in &*order {
            batch.inputs.push((n + x * n + f[x]) as f32);
            batch.targets.push(NOT_COUNTED);
        }
        for _ in n..seq {
            let q = rng.below(n);
            batch.inputs.push(q as f32);
            batch.targets.push(follow(f, q, self.k) as f32);
        }
    }
}

/// Name of the reference loss of who follows j hops.
fn hops(j: usize) -> String {
    format!("hops_{j}")
}

/// fʲ(x).
fn follow(f: &[usize], x: usize, j: usize) -> usize {
    (0..j).fold(x, |x, _| f[x])
}

/// Makes of a slice the numbers below its length in random order (Fisher & Yates).
fn shuffle(order: &mut [usize], rng: &mut Rng) {
    order.iter_mut().enumerate().for_each(|(i, x)| *x = i);
    for i in (1..order.len()).rev() {
        order.swap(i, rng.below(i + 1));
    }
}

/// Whether a permutation is kept from training, whatever the seed.
fn is_held_out(f: &[usize]) -> bool {
    let hash = f.iter().fold(0, |hash, &y| mix(hash ^ y as u64));
    hash.is_multiple_of(HELD_OUT_SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RunConfig;
    use std::collections::{BTreeMap, BTreeSet};

    /// Every permutation of n symbols.
    fn permutations(n: usize) -> Vec<Vec<usize>> {
        let mut all = vec![Vec::new()];
        for _ in 0..n {
            let longer = |f: &Vec<usize>| -> Vec<Vec<usize>> {
                let unused = (0..n).filter(|y| !f.contains(y));
                unused.map(|y| [&f[..], &[y]].concat()).collect()
            };
            all = all.iter().flat_map(longer).collect();
        }
        all
    }

    #[test]
    fn the_formulas_are_what_counting_all_permutations_finds() {
        let n = 6;
        let all = permutations(n);
        assert_eq!(all.len(), 720);
        for k in 1..=3 {
            for j in 0..=k {
                // Of every path of j hops, how often which answer follows.
                let mut answers: BTreeMap<Vec<usize>, BTreeMap<usize, f64>> = BTreeMap::new();
                for f in &all {
                    let path = (0..=j).map(|i| follow(f, 0, i)).collect();
                    *answers.entry(path).or_default().entry(follow(f, 0, k)).or_default() += 1.0;
                }
                let paid = |counts: &BTreeMap<usize, f64>| {
                    let total: f64 = counts.values().sum();
                    counts.values().map(|c| -c * (c / total).ln()).sum::<f64>()
                };
                let counted = answers.values().map(paid).sum::<f64>() / all.len() as f64;
                let formula = if j < k { Hops { k, n }.after(j) } else { 0.0 };
                assert!((counted - formula).abs() < 1e-12, "k {k}, j {j}: {counted}, {formula}");
            }
        }
    }

    #[test]
    fn one_hop_less_has_the_short_formula_and_is_the_least_of_fewer() {
        for (k, n) in [(1, 4), (2, 8), (3, 8), (4, 8), (8, 16), (12, 64)] {
            let task = Hops { k, n };
            let open = (n - k + 1) as f64;
            assert!((task.after(k - 1) - open / n as f64 * open.ln()).abs() < 1e-12, "{task:?}");
            let references = task.references(&RunConfig::default().wanted());
            assert!(
                references.windows(2).all(|pair| pair[0].nats > pair[1].nats - 1e-12),
                "{references:?}"
            );
            assert!(ReferenceLoss::find(&references, &task.baseline()).is_some());
        }
    }

    fn batches(task: &Hops, seed: u64) -> [Batch; 2] {
        let config = RunConfig { seed, batch: 400, seq: 20, ..RunConfig::default() };
        let (mut training, mut held_out) = (Batch::default(), Batch::default());
        task.training_batch(&config.wanted(), 3, &mut training);
        task.held_out_batch(&config.wanted(), 1, 2, &mut held_out);
        [training, held_out]
    }

    #[test]
    fn answers_are_k_hops_from_the_question() {
        let (k, n) = (3, 8);
        for batch in batches(&Hops { k, n }, 1) {
            for (tokens, targets) in batch.inputs.chunks(20).zip(batch.targets.chunks(20)) {
                let edges: BTreeMap<usize, usize> = tokens[..n]
                    .iter()
                    .map(|&t| ((t as usize - n) / n, (t as usize - n) % n))
                    .collect();
                assert_eq!((edges.len(), edges.values().collect::<BTreeSet<_>>().len()), (n, n));
                assert!(targets[..n].iter().all(|&target| target == NOT_COUNTED));
                for (&q, &answer) in tokens[n..].iter().zip(&targets[n..]) {
                    assert_eq!(answer as usize, edges[&edges[&edges[&(q as usize)]]]);
                }
            }
        }
    }

    #[test]
    fn the_baseline_costs_its_formula() {
        let task = Hops { k: 3, n: 8 };
        let (mut cost, seeds) = (0.0, 20);
        for seed in 1..=seeds {
            cost += task.baseline_cost(&batches(&task, seed)[0]) / seeds as f64;
        }
        // A question costs ln 6 or nothing; those of one of the 8000 sequences hang together. The
        // seven eighths of 8! permutations that are trained on are a sample of all of them.
        let deviation = 6f64.ln() * (0.75f64 * 0.25).sqrt();
        let error = deviation * (1.0f64 / 8000.0 + 1.0 / 8.0 / 35280.0).sqrt();
        assert!((cost - task.after(2)).abs() < 5.0 * error, "{cost}");
    }

    #[test]
    fn no_permutation_is_both_trained_on_and_held_out() {
        let task = Hops { k: 1, n: FEWEST_SYMBOLS };
        let edges = |batch: &Batch| -> BTreeSet<Vec<u8>> {
            let sorted = |tokens: &[f32]| {
                let mut edges: Vec<u8> = tokens[..task.n].iter().map(|&t| t as u8).collect();
                edges.sort();
                edges
            };
            batch.inputs.chunks(20).map(sorted).collect()
        };
        let [a, b] = [1, 2].map(|seed| batches(&task, seed).map(|batch| edges(&batch)));
        assert_eq!(a[0].len() + a[1].len(), 24, "every permutation is in one of both");
        assert!(a[0].is_disjoint(&a[1]));
        assert_eq!(a, b, "which, does not depend on the seed");
    }

    #[test]
    fn batches_depend_on_seed_and_index() {
        let task = Hops::new();
        let [a, b] = [1, 2].map(|seed| batches(&task, seed).map(|batch| batch.inputs));
        assert_eq!(a, batches(&task, 1).map(|batch| batch.inputs));
        assert!(a[0] != b[0] && a[1] != b[1]);
    }
}
