//! What is learned: sequences of tokens, and the losses that mark their floors.

use super::text;
use crate::config::{Invalid, RunConfig, Task};
use crate::rng::Rng;

/// Share of a text's bytes that training sees; the rest is held out.
const TRAINING_SHARE: f64 = 0.95;
/// Tokens that the Markov source emits for training and for the held-out part.
const MARKOV_LENGTH: usize = 1 << 20;

/// Tokens to learn from, and what is known about them. Losses are in nats per token.
#[derive(Debug, Clone)]
pub struct Corpus {
    /// Every token, training part first.
    tokens: Vec<u8>,
    /// Length of the training part.
    training: usize,
    /// Number of different tokens that the model allows for.
    pub vocabulary: usize,
    /// Entropy of a token by itself: what a model that sees nothing reaches.
    pub unigram_entropy: f64,
    /// Entropy of a token given the one before it.
    pub bigram_entropy: f64,
    /// The best loss there is, where it is known.
    pub floor: Option<f64>,
    /// What each token costs a model without context, −ln of its frequency.
    costs: Vec<f64>,
    /// The SHA-256 of a text that was read, in hexadecimal.
    pub sha256: Option<String>,
    /// What a text that was read is, where it is no text.
    pub(super) kind: Option<&'static str>,
}

/// Sequences of one step: inputs and their targets, the next tokens.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// `[sequences, seq]`.
    pub tokens: Vec<u8>,
    /// `[sequences, seq]`.
    pub targets: Vec<u8>,
}

impl Corpus {
    /// Bytes of the tokens.
    pub(super) fn bytes(&self) -> usize {
        self.tokens.capacity()
    }

    /// The corpus that a configuration asks for. A text is read; where several runs learn one,
    /// [`Library`](super::Library) reads it once.
    ///
    /// # Errors
    /// Where the text cannot be read, or is too short for one held-out sequence.
    pub fn load(config: &RunConfig) -> Result<Corpus, Invalid> {
        let corpus = match config.task {
            Task::Markov => markov(config.seed),
            Task::Text => Corpus::read(config, text::LARGEST)?,
        };
        corpus.suits(config)?;
        Ok(corpus)
    }

    /// The text of a configuration, of at most so many bytes.
    pub(super) fn read(config: &RunConfig, most: u64) -> Result<Corpus, Invalid> {
        if config.text.is_empty() {
            return Ok(text(lipsum::LIBER_PRIMUS.as_bytes().to_vec()));
        }
        let bytes = text::read(config, most)?;
        let (sha256, kind) = (Some(text::digest(&bytes)), super::warnings::kind(&bytes));
        Ok(Corpus { sha256, kind, ..text(bytes) })
    }

    /// Checks that the corpus is long enough for a configuration, and the text that it pins.
    pub(super) fn suits(&self, config: &RunConfig) -> Result<(), Invalid> {
        if let (Some(pinned), Some(found)) = (&config.text.sha256, &self.sha256)
            && pinned != found
        {
            let allowed =
                format!("the text of SHA-256 {pinned:.12}…; it has changed, to {found:.12}…");
            return Err(Invalid::new("text", &config.text.path, allowed));
        }
        let held_out = self.held_out().len();
        if held_out > config.seq {
            return Ok(());
        }
        let length = self.tokens.len();
        if config.text.is_empty() && config.given(&["seq"]).is_some() {
            let allowed = format!("2 to {} for a text of {length} bytes", held_out - 1);
            return Err(Invalid::new("seq", config.seq, allowed));
        }
        let needed = ((config.seq + 2) as f64 / (1.0 - TRAINING_SHARE)).ceil();
        let seq = config.seq;
        let allowed =
            format!("a text of {needed} bytes or more at seq {seq} (this one has {length})");
        Err(Invalid::new("text", &config.text.path, allowed))
    }

    /// What training sees.
    pub(super) fn training(&self) -> &[u8] {
        &self.tokens[..self.training]
    }

    /// What is kept from training.
    pub(super) fn held_out(&self) -> &[u8] {
        &self.tokens[self.training..]
    }

    /// Fills the batch of training step `step`: it depends on seed and step only.
    pub fn training_batch(&self, config: &RunConfig, step: usize, batch: &mut Batch) {
        let mut rng = Rng::new(config.seed).named("batches").at(step as u64);
        let starts = (0..config.batch).map(|_| rng.below(self.training - config.seq));
        self.fill(config.seq, starts, batch);
    }

    /// Held-out batches that cover the whole held-out part.
    pub fn held_out_batches(&self, config: &RunConfig) -> usize {
        let targets = self.tokens.len() - self.training - 1;
        targets.div_ceil(config.batch * config.seq)
    }

    /// Fills held-out batch number `index` of `of`, whose sequences lie evenly over the held-out
    /// part: the same for every seed and every run.
    pub fn held_out_batch(&self, config: &RunConfig, index: usize, of: usize, batch: &mut Batch) {
        let last = self.tokens.len() - self.training - config.seq - 1;
        let spaces = (of * config.batch - 1).max(1);
        let numbers = index * config.batch..(index + 1) * config.batch;
        let starts = numbers.map(|number| self.training + number * last / spaces);
        self.fill(config.seq, starts, batch);
    }

    /// What `targets` cost a model without context, in the mean: their cross-entropy under the
    /// frequencies of the training part.
    pub fn unigram_cost(&self, targets: &[u8]) -> f64 {
        targets.iter().map(|&t| self.costs[t as usize]).sum::<f64>() / targets.len() as f64
    }

    /// How many times a run of `steps` goes over the training part.
    pub fn passes(&self, config: &RunConfig, steps: usize) -> f64 {
        (steps * config.batch) as f64 * config.seq as f64 / self.training as f64
    }

    fn fill(&self, seq: usize, starts: impl Iterator<Item = usize>, batch: &mut Batch) {
        batch.tokens.clear();
        batch.targets.clear();
        for start in starts {
            batch.tokens.extend_from_slice(&self.tokens[start..start + seq]);
            batch.targets.extend_from_slice(&self.tokens[start + 1..start + seq + 1]);
        }
    }
}

fn text(tokens: Vec<u8>) -> Corpus {
    let training = (tokens.len() as f64 * TRAINING_SHARE) as usize;
    let (unigram_entropy, bigram_entropy) = entropies(&tokens[..training]);
    let mut counts = [0usize; 256];
    tokens[..training].iter().for_each(|&token| counts[token as usize] += 1);
    // A half more of each, so that a byte which only the held-out part has costs much, not all.
    let cost = |&count: &usize| -((count as f64 + 0.5) / (training as f64 + 128.0)).ln();
    Corpus {
        training,
        vocabulary: Task::Text.vocabulary(),
        unigram_entropy,
        bigram_entropy,
        floor: None,
        costs: counts.iter().map(cost).collect(),
        sha256: None,
        kind: None,
        tokens,
    }
}

/// Unigram and bigram entropy of the counts in `tokens`.
fn entropies(tokens: &[u8]) -> (f64, f64) {
    let mut single = [0u64; 256];
    let mut pair = vec![0u64; 256 * 256];
    for window in tokens.windows(2) {
        single[window[0] as usize] += 1;
        pair[window[0] as usize * 256 + window[1] as usize] += 1;
    }
    let total = tokens.len().saturating_sub(1).max(1) as f64;
    let entropy = |counts: &[u64]| -> f64 {
        let terms = counts.iter().filter(|&&n| n > 0);
        terms.map(|&n| -(n as f64 / total) * (n as f64 / total).ln()).sum()
    };
    let unigram = entropy(&single);
    (unigram, entropy(&pair) - unigram)
}

/// A Dirichlet(0.1) row for every pair of symbols; each symbol follows from the two before it.
fn markov(seed: u64) -> Corpus {
    let n = Task::Markov.vocabulary();
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
    let floor = law.iter().zip(&rows).map(|(weight, row)| weight * row_entropy(row)).sum();
    let single: Vec<f64> = (0..n).map(|a| law[a * n..(a + 1) * n].iter().sum()).collect();
    let unigram_entropy = row_entropy(&single);
    let bigram_entropy = row_entropy(&law) - unigram_entropy;

    let mut tokens = Vec::with_capacity(MARKOV_LENGTH);
    let mut pair = rng.below(n * n);
    while tokens.len() < MARKOV_LENGTH {
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
    let training = (MARKOV_LENGTH as f64 * TRAINING_SHARE) as usize;
    Corpus {
        tokens,
        training,
        vocabulary: n,
        unigram_entropy,
        bigram_entropy,
        floor: Some(floor),
        costs: single.iter().map(|p| -p.ln()).collect(),
        sha256: None,
        kind: None,
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
    use super::*;

    #[test]
    fn markov_floor_lies_below_what_shorter_memories_reach() {
        let corpus = markov(1);
        let floor = corpus.floor.unwrap();
        assert!(floor < corpus.bigram_entropy && corpus.bigram_entropy < corpus.unigram_entropy);
        // The counts of a long sample come close to the exact law.
        let (unigram, bigram) = entropies(&corpus.tokens);
        assert!((unigram - corpus.unigram_entropy).abs() < 0.01, "{unigram}");
        assert!((bigram - corpus.bigram_entropy).abs() < 0.01, "{bigram}");
    }

    #[test]
    fn batches_depend_on_seed_and_step_only() {
        let config = RunConfig::default();
        let corpus = Corpus::load(&config).unwrap();
        let (mut a, mut b) = (Batch::default(), Batch::default());
        corpus.training_batch(&config, 5, &mut a);
        corpus.training_batch(&config, 6, &mut b);
        assert_ne!(a.tokens, b.tokens);
        corpus.training_batch(&config, 5, &mut b);
        assert_eq!(a.tokens, b.tokens);
        assert_eq!(a.tokens[1..64], a.targets[..63]);
    }

    #[test]
    fn held_out_batches_cover_the_held_out_part_and_nothing_else() {
        for (batch_size, seq) in [("16", "64"), ("8", "32"), ("1", "2"), ("64", "2000")] {
            let config = RunConfig::from_settings([("batch", batch_size), ("seq", seq)]).unwrap();
            let corpus = Corpus::load(&config).unwrap();
            let of = corpus.held_out_batches(&config);
            let mut batch = Batch::default();
            let mut seen: Vec<u8> = Vec::new();
            for index in 0..of {
                corpus.held_out_batch(&config, index, of, &mut batch);
                seen.extend(&batch.targets);
            }
            let held_out = &corpus.tokens[corpus.training + 1..];
            assert_eq!(seen[..config.seq], held_out[..config.seq]);
            assert_eq!(seen[seen.len() - config.seq..], held_out[held_out.len() - config.seq..]);
            assert!(
                seen.len() >= held_out.len()
                    && seen.len() < held_out.len() + config.batch * config.seq
            );
        }
    }

    #[test]
    fn the_training_part_costs_its_entropy_without_context() {
        for task in ["text", "markov"] {
            let config = RunConfig::from_settings([("task", task)]).unwrap();
            let corpus = Corpus::load(&config).unwrap();
            let cost = corpus.unigram_cost(&corpus.tokens[..corpus.training]);
            assert!((cost - corpus.unigram_entropy).abs() < 0.01, "{task}: {cost}");
        }
    }
}
