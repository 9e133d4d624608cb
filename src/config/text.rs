//! Which text a run learns: where it lies, and what was in it.

use std::ffi::OsStr;

use super::Setting;

/// The name of the digest in a stored configuration, beside `text`.
pub(super) const SHA256: &str = "text-sha256";

/// A text by its place and, once it has been read, by its content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// The file or pipe; `-` for standard input, empty for the embedded text.
    pub path: String,
    /// The SHA-256 of its bytes, in hexadecimal. Where it is known before the text is read, a text
    /// with another one is refused.
    pub sha256: Option<String>,
}

impl Text {
    /// Whether it is the embedded text.
    pub fn is_empty(&self) -> bool {
        self.path.is_empty()
    }

    /// What tells one text from another: its content, whatever its name. A text that has not been
    /// read is like no other.
    pub(super) fn content(&self) -> String {
        match &self.sha256 {
            Some(digest) => format!("sha256 {digest}"),
            None if self.is_empty() => String::new(),
            None => format!("not read: {}", self.path),
        }
    }
}

impl AsRef<OsStr> for Text {
    fn as_ref(&self) -> &OsStr {
        self.path.as_ref()
    }
}

impl Setting for Text {
    fn read(text: &str) -> Result<Self, String> {
        Ok(Text { path: text.to_string(), sha256: None })
    }
    fn show(&self) -> String {
        self.path.clone()
    }
}
