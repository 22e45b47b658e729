//! Reporting the error that ends the program, as text and as JSON.

use std::fmt::Write as _;

use serde_json::json;

use crate::base::console;
use crate::base::error::chain;
use crate::base::text::{escape, escape_lines};
use crate::engine::error::{EngineError, hint};

/// Prints the error that ends the program, with a hint if there is one. If `verbose`, prints also what an engine said.
pub fn failure(error: &anyhow::Error, verbose: bool) {
    let shown = indent(&chain(error, escape_lines));
    let mut text = format!("error: {shown}\n");
    let details =
        error.downcast_ref::<EngineError>().map(|error| indent(&escape_lines(&error.details(usize::MAX))));
    if let Some(details) = details.filter(|details| verbose && !shown.contains(details)) {
        let _ = writeln!(text, "  {details}");
    }
    if let Some(hint) = hint(error) {
        let _ = writeln!(text, "hint: {}", escape(&hint));
    }
    console::error(&text);
}

/// Indents all lines but the first: code in a cage may have printed them, and none of them may look like a line of cage's own.
fn indent(text: &str) -> String {
    text.replace('\n', "\n  ")
}

/// Prints the error that ends the program as JSON.
pub fn json_failure(error: &anyhow::Error) {
    let described = json!({"message": chain(error, str::to_owned), "hint": hint(error)});
    // An error here can't be reported anywhere.
    let _ = console::json(&json!({"version": console::JSON_VERSION, "error": described}));
}
