//! Any text: a manifest is read or refused, a pattern stands for a name or not, and nothing worse.
//!
//! The text is a manifest, a day, and, at the end of its first line, a pattern before a name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plummet::gate::manifest::{self, Date, Manifest, Status, matches};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    read(&text);
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

fn read(text: &str) {
    let read = match manifest::parse(text) {
        Ok(read) => read,
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
    assert!(read.require.iter().all(|pattern| said(pattern)));
    for expect in &read.expect {
        assert!(said(&expect.pattern) && said(&expect.reason), "{expect:?}");
        assert!(expect.issue.as_deref().is_none_or(said), "{expect:?}");
        assert_eq!(expect.factor.is_some(), expect.status == Status::Tolerate, "{expect:?}");
        assert!(expect.factor.is_none_or(|f| f > 1.0 && f.is_finite()), "{expect:?}");
        assert!(expect.until.is_none_or(|day| Date::parse(&day.to_string()) == Some(day)));
    }
    // What was read is written and read again as the same.
    let Manifest { require, expect, .. } = &read;
    let patterns = toml::Value::try_from(require).expect("patterns can be written");
    let entries = toml::Value::try_from(expect).expect("entries can be written");
    let again = format!("require = {patterns}\nexpect = {entries}");
    let again = manifest::parse(&again).expect("what was written can be read");
    assert_eq!((&again.require, &again.expect), (&read.require, &read.expect));
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
