//! Which file a run learns from: where it lies, what was in it, and its bytes.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::memory::amount;
use crate::setting::{Invalid, Setting};

/// The longest text, and the most bytes that all files of a command have together. They are held in
/// memory; far fewer are seen in any run that a CPU can do.
pub const LARGEST: u64 = 1 << 30;

/// The name of standard input.
const STANDARD_INPUT: &str = "-";

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

/// A file by its place and, once it has been read, by its content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// The file or pipe; `-` for standard input, empty for what the task has by itself.
    pub path: String,
    /// The SHA-256 of its bytes, in hexadecimal. Where it is known before the file is read, a file
    /// with another one is refused.
    pub sha256: Option<String>,
}

impl Source {
    /// Whether it is no file, but what the task has by itself.
    pub fn is_empty(&self) -> bool {
        self.path.is_empty()
    }

    /// What tells one file from another: its content, whatever its name. A file that has not been
    /// read is like no other.
    pub(crate) fn content(&self) -> String {
        match &self.sha256 {
            Some(digest) => format!("sha256 {digest}"),
            None if self.is_empty() => String::new(),
            None => format!("not read: {}", self.path),
        }
    }
}

impl AsRef<OsStr> for Source {
    fn as_ref(&self) -> &OsStr {
        self.path.as_ref()
    }
}

impl Setting for Source {
    fn read(text: &str) -> Result<Self, String> {
        Ok(Source { path: text.to_string(), sha256: None })
    }
    fn show(&self) -> String {
        self.path.clone()
    }
}

/// The bytes of the file of a field, `most` of them at most.
pub(super) fn read(field: &str, source: &Source, most: u64) -> Result<Vec<u8>, Invalid> {
    let path = &source.path;
    let unreadable =
        |error: io::Error| Invalid::new(field, path, format!("a readable file ({error})"));
    let long = |what: &str| {
        Invalid::new(field, path, format!("a {field} of up to {} ({what})", amount(most)))
    };
    let mut bytes = Vec::new();
    let mut up_to = |from: &mut dyn Read| {
        // One more, to tell a file that ends from one that goes on.
        from.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)
    };
    if path == STANDARD_INPUT {
        up_to(&mut io::stdin().lock())?;
    } else {
        let mut file = File::open(Path::new(path)).map_err(unreadable)?;
        // A file that is too long is refused by its length, before it is read.
        if let Ok(meta) = file.metadata()
            && meta.is_file()
            && meta.len() > most
        {
            return Err(long(&format!("this one has {}", amount(meta.len()))));
        }
        up_to(&mut file)?;
    }
    if bytes.len() as u64 > most {
        return Err(long("this one goes on"));
    }
    bytes.shrink_to_fit();
    Ok(bytes)
}

/// The SHA-256 of some bytes, in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
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
    fn the_digest_is_the_published_one() {
        let wanted = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest(b"abc"), wanted);
    }

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
}
