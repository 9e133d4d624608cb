//! What a text shows and nobody means: archives, other encodings, far too little of it.

use super::Corpus;
use crate::config::{RunConfig, Warning};

/// A text that training goes over this often teaches hardly anything more.
const PASSES: f64 = 100.0;
/// A held-out batch that goes over its part this often is no more than the part itself.
const OVER: usize = 4;
/// A text of less entropy than this, in nats a byte, repeats itself.
const EMPTY: f64 = 0.1;
/// The share of control bytes from which bytes are no text; random ones have a tenth.
const BINARY: f64 = 0.03;

/// Beginnings of files whose bytes are not what they stand for.
const KINDS: &[(&[u8], &str)] = &[
    (b"\x1f\x8b", "compressed by gzip"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
    (b"\xfd7zXZ\x00", "compressed by xz"),
    (b"BZh", "compressed by bzip2"),
    (b"\x04\x22\x4d\x18", "compressed by lz4"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"%PDF-", "a PDF document"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"PAR1", "a Parquet table"),
    (b"\xff\xfe\x00\x00", "in UTF-32"),
    (b"\x00\x00\xfe\xff", "in UTF-32"),
    (b"\xff\xfe", "in UTF-16"),
    (b"\xfe\xff", "in UTF-16"),
];

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

/// What a file is that is no text.
pub(super) fn kind(bytes: &[u8]) -> Option<&'static str> {
    if let Some((_, kind)) = KINDS.iter().find(|(start, _)| bytes.starts_with(start)) {
        return Some(kind);
    }
    if bytes.is_empty() {
        return None;
    }
    // Latin letters in UTF-16 leave every second byte 0, in UTF-32 three of four.
    let zeros = |place: usize| {
        let every = bytes.iter().skip(place).step_by(4);
        let (zeros, all) = every.fold((0, 0), |(n, all), &b| (n + usize::from(b == 0), all + 1));
        zeros as f64 > 0.6 * all as f64
    };
    match [0, 1, 2, 3].map(zeros) {
        [false, true, true, true] | [true, true, true, false] => return Some("in UTF-32"),
        [false, true, false, true] | [true, false, true, false] => return Some("in UTF-16"),
        _ => {}
    }
    let control = |byte: &&u8| matches!(byte, 0..=8 | 14..=26 | 28..=31 | 127);
    let share = bytes.iter().filter(control).count() as f64 / bytes.len() as f64;
    (share > BINARY || bytes.contains(&0) && share > BINARY / 10.0).then_some("binary, no text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn texts_are_texts_in_any_language() {
        let latin1: Vec<u8> = "gr\u{fc}\u{df}e \u{e0} tous\n".chars().map(|c| c as u8).collect();
        for text in ["plain\ttext\r\n", "Ελληνικά", "日本語のテキスト", "\u{feff}with a mark"]
        {
            assert_eq!(kind(text.repeat(100).as_bytes()), None, "{text}");
        }
        assert_eq!(kind(&latin1.repeat(50)), None);
        assert_eq!(kind(b"\x1b[31mred\x1b[0m\n"), None, "colours of a terminal");
    }

    #[test]
    fn what_is_no_text_is_named() {
        let utf16 =
            |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        let utf32 = |text: &str| -> Vec<u8> {
            text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect()
        };
        let text = "Two households, both alike in dignity. ".repeat(20);
        assert_eq!(kind(&utf16(&text)), Some("in UTF-16"));
        assert_eq!(kind(&utf16(&format!("\u{feff}日本語{text}"))), Some("in UTF-16"));
        assert_eq!(kind(&utf32(&text)), Some("in UTF-32"));
        assert_eq!(kind(b"\x1f\x8b\x08abc"), Some("compressed by gzip"));
        assert_eq!(kind(b"PK\x03\x04abc"), Some("a zip archive"));
        let mut rng = Rng::new(1);
        let random: Vec<u8> = (0..4000).map(|_| rng.below(256) as u8).collect();
        assert_eq!(kind(&random), Some("binary, no text"));
        let floats: Vec<u8> = (0..4000).flat_map(|_| (rng.normal() as f32).to_le_bytes()).collect();
        assert_eq!(kind(&floats), Some("binary, no text"));
    }

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
