//! Words, numbers and signs of a PTX text.

use super::parse_error::ParseError;

/// One token and the line it stands on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub line: usize,
    pub kind: Kind,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// An opcode, a register, a label, a directive, a number.
    Word(String),
    /// A text in quotes.
    Text(String),
    /// Any other sign.
    Sign(char),
}

impl Kind {
    /// The token as a person would name it.
    pub fn name(&self) -> String {
        match self {
            Self::Word(word) => format!("`{word}`"),
            Self::Text(text) => format!("\"{text}\""),
            Self::Sign(sign) => format!("`{sign}`"),
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '%' | '.')
}

/// Cuts a text into tokens; comments and space are dropped.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ParseError> {
    let chars: Vec<char> = text.chars().collect();
    let mut out = Vec::new();
    let mut line = 1;
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let next = chars.get(at + 1).copied();
        if c == '\n' {
            line += 1;
            at += 1;
        } else if c.is_whitespace() {
            at += 1;
        } else if c == '/' && next == Some('/') {
            while chars.get(at).is_some_and(|&c| c != '\n') {
                at += 1;
            }
        } else if c == '/' && next == Some('*') {
            let begin = line;
            at += 2;
            loop {
                match (chars.get(at), chars.get(at + 1)) {
                    (Some('*'), Some('/')) => break,
                    (Some(&c), _) => line += usize::from(c == '\n'),
                    (None, _) => return Err(ParseError::new(begin, "a comment never ends")),
                }
                at += 1;
            }
            at += 2;
        } else if c == '"' {
            let begin = at + 1;
            at = begin;
            while chars.get(at).is_some_and(|&c| c != '"' && c != '\n') {
                at += 1;
            }
            if chars.get(at) != Some(&'"') {
                return Err(ParseError::new(line, "a text in quotes never ends"));
            }
            out.push(Token { line, kind: Kind::Text(chars[begin..at].iter().collect()) });
            at += 1;
        } else if is_word(c) {
            let begin = at;
            loop {
                let pair = (chars.get(at), chars.get(at + 1), chars.get(at + 2));
                match pair {
                    (Some(&c), _, _) if is_word(c) => at += 1,
                    // `.L2::128B` and `.shared::cta` are one word; a label's colon is not.
                    (Some(':'), Some(':'), Some(&c)) if is_word(c) => at += 2,
                    _ => break,
                }
            }
            out.push(Token { line, kind: Kind::Word(chars[begin..at].iter().collect()) });
        } else {
            out.push(Token { line, kind: Kind::Sign(c) });
            at += 1;
        }
    }
    Ok(out)
}

/// An integer without its sign: decimal, `0x`, `0b`, or octal; a `U` may follow.
pub(super) fn integer(word: &str) -> Option<u64> {
    let word = word.strip_suffix('U').unwrap_or(word);
    if let Some(hex) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        u64::from_str_radix(hex, 16).ok()
    } else if let Some(bits) = word.strip_prefix("0b") {
        u64::from_str_radix(bits, 2).ok()
    } else if word.len() > 1 && word.starts_with('0') {
        u64::from_str_radix(word, 8).ok()
    } else {
        word.parse().ok()
    }
}
