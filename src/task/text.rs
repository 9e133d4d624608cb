//! The bytes of a text, each predicted from those before it.
//!
//! References, from the counts of the training part: the entropy of a byte by itself (unigram), and
//! given the one before it (bigram).

use super::source;
use super::stream::{Stream, TRAINING_SHARE, entropies};
use super::{Data, Task, TextFacts, Wanted};
use crate::choice::Described;
use crate::record::ReferenceLoss;
use crate::setting::Invalid;
use crate::stack::Ends;

/// The text of `--text`, or the embedded Latin one.
#[derive(Debug, Clone, Copy)]
pub struct Text;

impl Described for Text {
    const ID: &'static str = "text";
    const ABOUT: &'static str = "the next byte of a text (--text FILE, or the embedded Latin one), \
                                 from those before it";
    fn new() -> Self {
        Text
    }
}

impl Task for Text {
    fn ends(&self) -> Ends {
        Ends::tokens(256)
    }
    fn baseline(&self) -> String {
        "unigram".to_string()
    }
    fn reads(&self, field: &str) -> bool {
        field == "text"
    }
    fn load(&self, wanted: &Wanted, most: u64) -> Result<Box<dyn Data>, Invalid> {
        if wanted.text.is_empty() {
            let bytes = lipsum::LIBER_PRIMUS.as_bytes().to_vec();
            return Ok(Box::new(stream(bytes, None, None)));
        }
        let bytes = source::read("text", wanted.text, most)?;
        let (digest, kind) = (source::digest(&bytes), source::kind(&bytes));
        Ok(Box::new(stream(bytes, Some(digest), kind)))
    }
}

fn stream(tokens: Vec<u8>, sha256: Option<String>, kind: Option<&'static str>) -> Stream {
    let training = (tokens.len() as f64 * TRAINING_SHARE) as usize;
    let (unigram, bigram) = entropies(&tokens[..training]);
    let mut counts = [0usize; 256];
    tokens[..training].iter().for_each(|&token| counts[token as usize] += 1);
    // A half more of each, so that a byte which only the held-out part has costs much, not all.
    let cost = |&count: &usize| -((count as f64 + 0.5) / (training as f64 + 128.0)).ln();
    let held_out = tokens.len() - training;
    Stream {
        training,
        references: [("unigram", unigram), ("bigram", bigram)].map(ReferenceLoss::from).to_vec(),
        costs: counts.iter().map(cost).collect(),
        text: Some(TextFacts { sha256, kind, training, held_out, entropy: unigram }),
        tokens,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Batch;
    use super::*;

    #[test]
    fn the_training_part_costs_its_entropy_without_context() {
        let text = stream(lipsum::LIBER_PRIMUS.as_bytes().to_vec(), None, None);
        let targets = text.tokens[..text.training].iter().map(|&token| token.into()).collect();
        let cost = text.baseline_cost(&Batch { inputs: Vec::new(), targets });
        assert!((cost - text.references[0].nats).abs() < 0.01, "{cost}");
    }
}
