//! What a text shows and nobody means: archives, other encodings, far too little of it.

use super::Corpus;
use crate::config::{RunConfig, Warning};

/// A text that training goes over this often teaches hardly anything more.
const PASSES: f64 = 100.0;
/// A held-out batch that goes over its part this often is no more than the part itself.
const OVER: usize = 4;
/// A text of less entropy than this, in nats a byte, repeats itself.
const EMPTY: f64 = 0.1;
/// What is surely not meant by a configuration on this corpus. Nothing at the defaults.
pub fn warnings(config: &RunConfig, corpus: &Corpus) -> Vec<Warning> {
    let mut found = config.warnings();
    let Some(text) = corpus.text() else { return found };
    let name = if config.text.is_empty() { "(embedded)" } else { config.text.path.as_str() };
    let mut warn = |effect: String| found.push(Warning::new("text", name, effect));
    if !config.text.is_empty() {
        if let Some(kind) = text.kind {
            warn(format!("is {kind}; its bytes are learned as they are"));
        } else if text.entropy < EMPTY {
            warn("is nearly one byte over and over".to_string());
        }
    }
    let seen = config.steps as f64 * config.batch as f64 * config.seq as f64;
    let passes = seen / text.training as f64;
    if passes > PASSES {
        let bytes = text.training;
        warn(format!("its {bytes} bytes for training are gone over {passes:.0} times"));
    }
    let (batch, held_out) = (config.batch * config.seq, text.held_out);
    if config.steps > 0 && batch > OVER * held_out {
        warn(format!("a held-out batch takes {batch} tokens from {held_out} bytes"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_meant_and_very_many_passes_are_not() {
        let config = RunConfig::default();
        let corpus = Corpus::load(&config).unwrap();
        assert!(warnings(&config, &corpus).is_empty());
        let long = RunConfig { steps: 1_000_000, ..config.clone() };
        let text = warnings(&long, &corpus)[0].to_string();
        assert!(text.contains("(embedded)") && text.contains("times"), "{text}");
        let wide = RunConfig { batch: 1024, ..config };
        let texts: Vec<String> = warnings(&wide, &corpus).iter().map(|w| w.to_string()).collect();
        assert!(texts.iter().any(|text| text.contains("held-out batch")), "{texts:?}");
    }
}
