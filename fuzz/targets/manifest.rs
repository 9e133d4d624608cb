//! Any text: a manifest is read or refused, a pattern stands for a name or not, and nothing worse.
//!
//! The text is a manifest, a day, and, at the end of its first line, a pattern before a name.
#![no_main]
// Of the files that are taken as they are, some things are needed elsewhere only.
#![allow(dead_code)]

#[path = "../../src/gate/manifest/date.rs"]
pub mod date;
#[path = "../../src/gate/manifest/parse.rs"]
pub mod parse;
#[path = "../../src/gate/manifest/pattern.rs"]
pub mod pattern;
#[path = "../../src/config/setting.rs"]
pub mod setting;

/// Where those files look for each other.
mod config {
    pub use self::setting::Invalid;
}

use date::Date;
use libfuzzer_sys::fuzz_target;
use parse::{Manifest, Status};
use pattern::matches;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    manifest(&text);
    day(&text);
    let (pattern, name) = text.split_once('\n').unwrap_or((&text, &text));
    day(pattern);
    let matched = matches(pattern, name);
    if pattern.len().saturating_mul(name.len()) < 1 << 16 {
        assert_eq!(matched, stands_for(pattern, name), "{pattern} {name}");
    }
    // At length, and in vain but for a last letter that the name may have: more time than letters
    // times letters is more than there is.
    if bytes.len() < 32 && pattern.starts_with('*') {
        matches(&(long(pattern, 1 << 7) + "\u{e000}"), &long(name, 1 << 16));
    }
});

fn manifest(text: &str) {
    let manifest = match parse::parse(text) {
        Ok(manifest) => manifest,
        Err(invalid) => {
            let top = ["gate.toml", "field of ", "require", "expect"];
            assert!(top.iter().any(|field| invalid.field.starts_with(field)), "{invalid:?}");
            // An empty key is the one value that is shown as nothing.
            assert!(!invalid.value.is_empty() || invalid.field.starts_with("field of "));
            assert!(!invalid.allowed.is_empty(), "{invalid:?}");
            return;
        }
    };
    let said = |text: &str| !text.is_empty() && text.trim() == text;
    assert!(manifest.require.iter().all(|pattern| said(pattern)));
    for expect in &manifest.expect {
        assert!(said(&expect.pattern) && said(&expect.reason), "{expect:?}");
        assert!(expect.issue.as_deref().is_none_or(said), "{expect:?}");
        assert_eq!(expect.factor.is_some(), expect.status == Status::Tolerate, "{expect:?}");
        assert!(expect.factor.is_none_or(|f| f > 1.0 && f.is_finite()), "{expect:?}");
        assert!(expect.until.is_none_or(|day| Date::parse(&day.to_string()) == Some(day)));
    }
    // What was read is written and read again as the same.
    let Manifest { require, expect } = &manifest;
    let require = toml::Value::try_from(require).expect("patterns can be written");
    let expect = toml::Value::try_from(expect).expect("entries can be written");
    let again = format!("require = {require}\nexpect = {expect}");
    assert_eq!(parse::parse(&again).as_ref(), Ok(&manifest), "{again}");
}

/// A text over and over, in so many letters.
fn long(text: &str, letters: usize) -> String {
    text.chars().cycle().take(letters).collect()
}

/// A day is the one that its text says.
fn day(text: &str) {
    assert!(Date::parse(text).is_none_or(|day| day.to_string() == text), "{text}");
}

/// What `matches` says, by definition: the pattern reads the name up to where one of its parts ends.
fn stands_for(pattern: &str, name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    // Of which lengths the beginnings of the name are that the pattern so far can read.
    let mut reads: Vec<bool> = (0..=name.len()).map(|length| length == 0).collect();
    for c in pattern.chars() {
        let mut next = vec![false; reads.len()];
        for length in 0..reads.len() {
            next[length] = match (c, length.checked_sub(1)) {
                ('*', before) => reads[length] || before.is_some_and(|before| next[before]),
                (_, None) => false,
                (c, Some(before)) => reads[before] && (c == '?' || c == name[before]),
            };
        }
        reads = next;
    }
    let mut colons = (0..name.len()).filter(|&at| name[at] == ':');
    let head = colons.nth(2).unwrap_or(name.len());
    let ends = |length: usize| match name.get(length) {
        None | Some(':') => true,
        Some('+') => length < head,
        Some(_) => false,
    };
    (0..=name.len()).any(|length| reads[length] && ends(length))
}
