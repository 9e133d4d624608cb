//! Why a text could not be read.

use std::fmt;

/// Why a text is no PTX that the interpreter knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line, from one.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

impl ParseError {
    pub(super) fn new(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PTX line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for ParseError {}
