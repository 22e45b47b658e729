//! The result of one check.

use serde::Serialize;

use crate::base::error::chain;
use crate::engine::error;

/// The severity of a check's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing to do.
    Ok,
    /// cage works, but the user may want to change something.
    Warning,
    /// cage does not work, or does not isolate as it should.
    Problem,
}

/// The result of one check. Its texts are not escaped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The subject, by which scripts find the check.
    pub name: &'static str,
    /// How serious the result is.
    pub level: Level,
    /// The result, on one line.
    pub message: String,
    /// A command or action that solves the problem.
    pub fix: Option<String>,
}

impl Check {
    /// Returns a check that found nothing wrong.
    pub fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, level: Level::Ok, message: message.into(), fix: None }
    }

    /// Returns a check that found something the user may want to change.
    pub fn warning(name: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, level: Level::Warning, message: message.into(), fix: Some(fix.into()) }
    }

    /// Returns a check that found something that does not work.
    pub fn problem(name: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::Problem, ..Self::warning(name, message, fix) }
    }

    /// Returns a check that found `error`, with its hint as the fix.
    pub fn error(name: &'static str, level: Level, error: &anyhow::Error) -> Self {
        Self { name, level, message: one_line(error), fix: error::hint(error) }
    }
}

/// Returns an error's text on one line. If cage has no message for an engine's failure, that is the command and
/// the last line of the engine's answer.
pub fn one_line(error: &anyhow::Error) -> String {
    let text = chain(error, str::to_owned);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    match lines.next_back().filter(|_| first.starts_with('`')) {
        Some(last) => format!("{first}: {last}"),
        None => first.to_owned(),
    }
}

/// Returns a number with its noun: `no keys`, `1 key`, `2 keys`.
pub fn count(number: usize, noun: &str) -> String {
    match number {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}
