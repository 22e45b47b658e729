//! An environment variable for a cage: `-e KEY[=VALUE]`.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use anyhow::{Result, ensure};

use crate::base::error::Failure;
use crate::base::text;
use crate::host::machine::Host;

/// The ways round a value with line breaks, which no engine takes from an env file.
pub const LINE_BREAKS: &str = "a value has one line: mount the file with `-v FILE:/PATH:ro` and set the variable to its path, or set it to \
                               `base64 <FILE | tr -d '\\n'` and decode that inside";

/// The character that engines drop at the beginning of an env file.
pub const BYTE_ORDER_MARK: char = '\u{feff}';

/// The variables that tell programs the encoding of text.
pub const LOCALE: [&str; 3] = ["LANG", "LC_ALL", "LC_CTYPE"];

/// A variable for a cage. The value may be secret: it is neither shown nor kept in a label.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    /// The part before `=`.
    pub name: String,
    /// The value, once it is known.
    pub value: Option<String>,
}

/// Returns whether a variable can have this name.
pub fn is_name(name: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '=' | BYTE_ORDER_MARK);
    !name.is_empty() && !name.starts_with('#') && !name.contains(odd)
}

impl FromStr for Variable {
    type Err = Infallible;

    /// Accepts any text: clap shows a value that it refuses, and the text may hold a secret.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.split_once('=') {
            Some((name, value)) => Self { name: name.to_owned(), value: Some(value.to_owned()) },
            None => Self { name: text.to_owned(), value: None },
        })
    }
}

impl Variable {
    /// Takes the value from this machine if the command line has none.
    ///
    /// # Errors
    /// When the name is invalid, or there is no value, or an env file can't hold it.
    pub fn resolve(self, host: &Host) -> Result<Self> {
        let shown = text::escape(&self.name);
        ensure!(
            is_name(&self.name),
            Failure::new(format!("-e: `{shown}` is not a variable's name")).hint("expected KEY=VALUE or KEY")
        );
        let value = self.value.or_else(|| host.any_variable(&self.name).map(str::to_owned));
        let value = value.ok_or_else(|| {
            Failure::new(format!("-e: {shown} has no value here"))
                .hint(format!("`export {shown}=…` first, or write -e {shown}=VALUE"))
        })?;
        ensure!(
            !value.contains(['\n', '\0']) && !value.ends_with('\r'),
            Failure::new(format!("-e: the value of {shown} has line breaks")).hint(LINE_BREAKS)
        );
        Ok(Self { name: self.name, value: Some(value) })
    }
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
