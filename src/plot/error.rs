//! Why a picture could not be written.

use std::fmt;
use std::path::{Path, PathBuf};

/// A picture could not be written; names the file and the reason.
#[derive(Debug)]
pub struct Error {
    path: PathBuf,
    reason: String,
}

impl Error {
    pub(crate) fn new(path: &Path, reason: impl fmt::Display) -> Self {
        Self { path: path.to_path_buf(), reason: reason.to_string() }
    }

    /// The file that could not be written.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "cannot write the picture {}: {}", self.path.display(), self.reason)
    }
}

impl std::error::Error for Error {}
