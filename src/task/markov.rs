//! An order-2 Markov source over 32 symbols, each predicted from those before it.
//!
//! Every pair of symbols has a row of probabilities drawn from Dirichlet(0.1). With π the stationary
//! law of pairs, the references are exact: H(π₁) of a symbol by itself (unigram), H(π) − H(π₁) given
//! the one before it (bigram), and Σ π(ab)·H(row of ab) given both (bayes), below which no model comes.

use super::stream::{Stream, TRAINING_SHARE};
use super::{Data, Task, Wanted};
use crate::choice::Described;
use crate::record::ReferenceLoss;
use crate::rng::Rng;
use crate::setting::Invalid;
use crate::stack::Ends;

/// Symbols of the source.
const SYMBOLS: usize = 32;
/// Tokens that it emits for training and for the held-out part.
const LENGTH: usize = 1 << 20;

/// The source of a run's seed.
#[derive(Debug, Clone, Copy)]
pub struct Markov;

impl Described for Markov {
    const ID: &'static str = "markov";
    const ABOUT: &'static str = "an order-2 Markov source over 32 symbols, rows from Dirichlet(0.1); \
                                 bayes = Σ π(ab)·H(row of ab)";
    fn new() -> Self {
        Markov
    }
}

impl Task for Markov {
    fn ends(&self) -> Ends {
        Ends::tokens(SYMBOLS)
    }
    fn baseline(&self) -> String {
        "unigram".to_string()
    }
    fn load(&self, wanted: &Wanted, _most: u64) -> Result<Box<dyn Data>, Invalid> {
        Ok(Box::new(markov(wanted.seed)))
    }
}

fn markov(seed: u64) -> Stream {
    let n = SYMBOLS;
    let mut rng = Rng::new(seed).named("markov");
    let rows: Vec<Vec<f64>> = (0..n * n).map(|_| dirichlet(n, 0.1, &mut rng)).collect();

    // The stationary law of pairs, by iteration: every row is positive, so it converges.
    let mut law = vec![1.0 / (n * n) as f64; n * n];
    for _ in 0..1000 {
        let mut next = vec![0.0; n * n];
        for (pair, row) in rows.iter().enumerate() {
            for (c, p) in row.iter().enumerate() {
                next[pair % n * n + c] += law[pair] * p;
            }
        }
        let change: f64 = law.iter().zip(&next).map(|(a, b)| (a - b).abs()).sum();
        law = next;
        if change < 1e-13 {
            break;
        }
    }
    let row_entropy =
        |row: &[f64]| -> f64 { row.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum() };
    let bayes = law.iter().zip(&rows).map(|(weight, row)| weight * row_entropy(row)).sum();
    let single: Vec<f64> = (0..n).map(|a| law[a * n..(a + 1) * n].iter().sum()).collect();
    let unigram = row_entropy(&single);
    let bigram = row_entropy(&law) - unigram;

    let mut tokens = Vec::with_capacity(LENGTH);
    let mut pair = rng.below(n * n);
    while tokens.len() < LENGTH {
        let mut left = rng.uniform();
        let row = &rows[pair];
        let symbol = row.iter().position(|p| {
            left -= p;
            left < 0.0
        });
        let symbol = symbol.unwrap_or(n - 1);
        tokens.push(symbol as u8);
        pair = pair % n * n + symbol;
    }
    let training = (LENGTH as f64 * TRAINING_SHARE) as usize;
    let references = [("unigram", unigram), ("bigram", bigram), ("bayes", bayes)];
    Stream {
        tokens,
        training,
        references: references.map(ReferenceLoss::from).to_vec(),
        costs: single.iter().map(|p| -p.ln()).collect(),
        text: None,
    }
}

/// One draw from a symmetric Dirichlet law, by gamma variables.
fn dirichlet(n: usize, alpha: f64, rng: &mut Rng) -> Vec<f64> {
    let mut row: Vec<f64> = (0..n).map(|_| gamma(alpha, rng)).collect();
    let total: f64 = row.iter().sum();
    row.iter_mut().for_each(|p| *p /= total);
    row
}

/// One draw from Gamma(alpha, 1), alpha < 1: Marsaglia & Tsang 2000 at alpha + 1, times U^(1/alpha).
fn gamma(alpha: f64, rng: &mut Rng) -> f64 {
    let d = alpha + 1.0 - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = rng.normal();
        let v = (1.0 + c * x).powi(3);
        let u = 1.0 - rng.uniform();
        if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v * (1.0 - rng.uniform()).powf(1.0 / alpha);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Batch;
    use super::super::stream::entropies;
    use super::*;

    #[test]
    fn the_floor_lies_below_what_shorter_memories_reach() {
        let source = markov(1);
        let [unigram, bigram, bayes] = &source.references[..] else { panic!("three") };
        assert!(bayes.nats < bigram.nats && bigram.nats < unigram.nats);
        // The counts of a long sample come close to the exact law.
        let (counted, paired) = entropies(&source.tokens);
        assert!((counted - unigram.nats).abs() < 0.01, "{counted}");
        assert!((paired - bigram.nats).abs() < 0.01, "{paired}");
        let targets = source.tokens.iter().map(|&token| token.into()).collect();
        let cost = source.baseline_cost(&Batch { inputs: Vec::new(), targets });
        assert!((cost - unigram.nats).abs() < 0.01, "{cost}");
    }
}
