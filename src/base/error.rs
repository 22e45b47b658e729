//! Errors as the user reads them: what is wrong, and what to do about it.

use std::fmt;

/// A failure that cage found itself.
#[derive(Debug)]
pub struct Failure {
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// A failure that names the thing that is wrong.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns what the user can do about it, if anything is known.
    pub fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Joins the messages of an error and its causes, each passed through `show`.
pub fn chain(error: &anyhow::Error, show: impl Fn(&str) -> String) -> String {
    error.chain().map(|cause| show(&cause.to_string())).collect::<Vec<_>>().join(": ")
}
