//! The only place that prints: data on stdout, everything else on stderr.
#![expect(clippy::disallowed_methods, reason = "this is the one module that owns the standard streams")]

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::base::error;
use crate::host::machine::Terminal;

/// Tells what is happening.
pub fn info(message: &str) {
    to_stderr(&format!("cage: {}\n", escape(message)));
}

/// Tells what happened to a program that had the terminal, whose cursor may be anywhere in a line.
pub fn info_below(message: &str) {
    to_stderr("\n");
    info(message);
}

/// Tells something that the user may want to change.
pub fn warn(message: &str) {
    to_stderr(&format!("cage: warning: {}\n", escape(message)));
}

/// Tells what takes long, until `ended` is hung up: on a terminal with the time it takes, elsewhere in one line. What is done
/// in less than a blink is not worth a word.
pub fn tell_while(what: &str, ended: &Receiver<()>) {
    let start = Instant::now();
    let goes_on = |wait| ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout);
    if !goes_on(Duration::from_millis(300)) {
        return;
    }
    if !io::stderr().is_terminal() {
        return info(&format!("{what}..."));
    }
    to_stderr(&format!("cage: {what}..."));
    while goes_on(Duration::from_secs(1)) {
        to_stderr(&format!("\rcage: {what}... {} s", start.elapsed().as_secs()));
    }
    to_stderr("\n");
}

/// Echoes an engine command that is about to run. It is already quoted for a shell.
pub fn echo(command: &str) {
    to_stderr(&format!("+ {command}\n"));
}

/// Reports the error that ends the program.
pub fn failure(error: &anyhow::Error) {
    let mut text = format!("error: {}\n", chain(error, escape_lines));
    if let Some(hint) = error::hint(error) {
        let _ = writeln!(text, "hint: {}", escape(&hint));
    }
    to_stderr(&text);
}

/// Prints a line of data.
pub fn data(line: &str) -> io::Result<()> {
    ignore_broken_pipe(writeln!(io::stdout(), "{line}"))
}

/// A number of bytes for people: `193 MB`, in powers of 1000 as the engines have it.
pub fn bytes(number: u64) -> String {
    let mut whole = number;
    let mut rest = 0;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        if whole < 1000 || unit == "TB" {
            // One digit more where there is only one.
            let digit = if whole < 10 && unit != "B" { format!(".{}", rest / 100) } else { String::new() };
            return format!("{whole}{digit} {unit}");
        }
        rest = whole % 1000;
        whole /= 1000;
    }
    number.to_string()
}

/// The version of what [`json`] prints. It grows when a field goes away or means something else, not when one is added.
pub const JSON_VERSION: u32 = 1;

/// Prints one JSON object, on one line. It may be read on a terminal, and outside of strings there is no character that
/// would act on one.
pub fn json(object: &impl Serialize) -> io::Result<()> {
    let mut line = String::new();
    for c in serde_json::to_string(object)?.chars() {
        if is_unsafe(c) {
            // Writing to a string can't fail.
            let _ = write!(line, "\\u{:04x}", u32::from(c));
        } else {
            line.push(c);
        }
    }
    data(&line)
}

/// What [`json`] prints of an error.
#[derive(Serialize)]
struct JsonFailure {
    version: u32,
    error: JsonError,
}

#[derive(Serialize)]
struct JsonError {
    message: String,
    hint: Option<String>,
}

/// Tells a program what ended this one. People are told by [`failure`].
pub fn json_failure(error: &anyhow::Error) {
    let error = JsonError { message: chain(error, str::to_owned), hint: error::hint(error) };
    // Nobody is left to tell when stdout can't be written.
    let _ = json(&JsonFailure { version: JSON_VERSION, error });
}

fn chain(error: &anyhow::Error, show: impl Fn(&str) -> String) -> String {
    error.chain().map(|cause| show(&cause.to_string())).collect::<Vec<_>>().join(": ")
}

/// A reader that has gone away (`cage list | head -1`) is not an error.
pub fn ignore_broken_pipe(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
}

/// Asks a yes-or-no question on the terminal; anything but yes is no.
pub fn confirm(question: &str) -> io::Result<bool> {
    to_stderr(&format!("{question} [y/N] "));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Undoes what a program that was left may have done to the terminal, which it can't undo any more: the other screen, a hidden
/// cursor, colours, and that keys, pastes and the mouse come in its own way. The cursor stays where it is.
pub fn leave_program() {
    const LEAVE: &str = concat!(
        // Leaving the other screen goes back to where the cursor was saved, also if there was none to leave.
        "\x1b7\x1b[?1049l",
        "\x1b[?25h\x1b[0m\x1b[?1l\x1b>",
        "\x1b[?2004l\x1b[?1004l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l",
    );
    if io::stdout().is_terminal() {
        let _ = io::stdout().write_all(LEAVE.as_bytes()).and_then(|()| io::stdout().flush());
    }
}

/// From now on whatever is told on stderr, a panic included, reaches nobody.
pub fn hush() {
    if let Ok(nowhere) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stderr(nowhere);
    }
}

/// The size of the terminal that stdout is, columns and rows.
pub fn size() -> Option<(u16, u16)> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, height)| (width.0, height.0))
}

/// Which of the standard streams are terminals.
pub fn terminal() -> Terminal {
    Terminal {
        stdin: io::stdin().is_terminal(),
        stdout: io::stdout().is_terminal(),
        stderr: io::stderr().is_terminal(),
    }
}

/// Makes text from outside harmless to a terminal: control characters and those that reorder text are spelled out.
pub fn escape(text: &str) -> String {
    escape_if(text, is_unsafe)
}

/// As [`escape`], but keeps line breaks: for what an engine said.
pub fn escape_lines(text: &str) -> String {
    escape_if(text, |c| c != '\n' && is_unsafe(c))
}

/// Would `c`, printed as it is, do more than show itself?
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn escape_if(text: &str, unsafe_char: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if unsafe_char(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

fn to_stderr(text: &str) {
    // Nobody is left to tell when stderr itself can't be written.
    let _ = io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_could_drive_a_terminal_is_spelled_out() {
        assert_eq!(escape("a\u{1b}[31mb\nc\u{202e}d\u{9b}é"), r"a\u{1b}[31mb\nc\u{202e}d\u{9b}é");
        assert_eq!(escape_lines("a\nb\r"), "a\nb\\r");
    }

    #[test]
    fn bytes_are_shown_as_engines_have_them() {
        let shown = [0, 999, 1000, 9_990, 192_724_902, 1_950_000_000, u64::MAX].map(bytes);
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "9.9 kB", "192 MB", "1.9 GB", "18446744 TB"]);
    }

    proptest! {
        #[test]
        fn nothing_escaped_acts_on_a_terminal(text in any::<String>()) {
            prop_assert!(!escape(&text).contains(is_unsafe));
            prop_assert!(!escape_lines(&text).replace('\n', "").contains(is_unsafe));
        }
    }
}
