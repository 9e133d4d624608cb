//! When a rule was written down, so that it cannot follow its result.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Entry;

/// The hash of every file of claims at its first run, and when that was.
#[derive(Debug, Clone, Default)]
pub struct Registered {
    path: PathBuf,
    entries: BTreeMap<String, First>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct First {
    /// SHA-256 of the file, in hexadecimal.
    sha256: String,
    /// Milliseconds since 1970-01-01 UTC.
    at: u64,
}

impl Registered {
    /// Reads what stands in a folder of reports; nothing where nothing was registered.
    pub fn load(folder: &Path) -> Self {
        let path = folder.join("claims").join("registered.json");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        Registered { path, entries: serde_json::from_str(&text).unwrap_or_default() }
    }

    /// Writes down what is not there yet.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn register(&mut self, entries: &[&Entry]) -> std::io::Result<()> {
        for entry in entries {
            let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as u64);
            let first = || First { sha256: digest(entry.text), at: now };
            self.entries.entry(entry.id.to_string()).or_insert_with(first);
        }
        let text = serde_json::to_string_pretty(&self.entries).unwrap_or_default();
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&self.path, text + "\n")
    }

    /// Whether a file is not what was registered; nothing where it never was.
    pub fn changed(&self, entry: &Entry) -> Option<bool> {
        let first = self.entries.get(entry.id)?;
        Some(first.sha256 != digest(entry.text))
    }
}

pub(super) fn digest(text: &str) -> String {
    let mut hex = String::new();
    for byte in Sha256::digest(text.as_bytes()) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Tier;

    #[test]
    fn a_rule_that_is_changed_after_its_registration_is_known() {
        let place = tempfile::tempdir().unwrap();
        let entry = |text| Entry { id: "X1", tier: Tier::Init, text };
        let mut registered = Registered::load(place.path());
        assert_eq!(registered.changed(&entry("a")), None);
        registered.register(&[&entry("a")]).unwrap();
        let mut again = Registered::load(place.path());
        // The first one stands.
        again.register(&[&entry("b")]).unwrap();
        let again = Registered::load(place.path());
        assert_eq!(again.changed(&entry("a")), Some(false));
        assert_eq!(again.changed(&entry("b")), Some(true));
    }
}
