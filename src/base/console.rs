//! The only place that prints: data on stdout, everything else on stderr.
#![expect(clippy::disallowed_methods, reason = "this is the one module that owns the standard streams")]

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::termios::{QueueSelector, tcflush};
use serde::Serialize;

use crate::base::text::{escape, is_unsafe, wrap};

/// Prints a message.
pub fn info(message: &str) {
    say(&format!("cage: {}\n", escape(message)));
}

/// Ends the line on which a terminal may have echoed Ctrl-C.
pub fn end_line() {
    if io::stderr().is_terminal() {
        to_stderr("\n");
    }
}

/// Prints a warning.
pub fn warn(message: &str) {
    say(&format!("cage: warning: {}\n", escape(message)));
}

/// Prints which step takes long, until the sender of `ended` is dropped: on a terminal with the elapsed time, in a line that is
/// erased at the end; elsewhere on a line of its own. A step of less than 300 ms is not worth a message.
pub fn tell_while(what: &str, ended: &Receiver<()>) {
    let start = Instant::now();
    let goes_on = |wait| ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout);
    if !goes_on(Duration::from_millis(300)) {
        return;
    }
    if !io::stderr().is_terminal() {
        return info(&format!("{what}..."));
    }
    let what = format!("cage: {}...", escape(what));
    // Another thread may wait, too, and have the same line.
    to_stderr(&format!("\r{what}"));
    let mut line = what.clone();
    while goes_on(Duration::from_secs(1)) {
        line = format!("{what} {} s", start.elapsed().as_secs());
        to_stderr(&format!("\r{line}"));
    }
    to_stderr(&format!("\r{:width$}\r", "", width = line.chars().count()));
}

/// Echoes an engine command, already quoted for a shell, before it runs.
pub fn echo(command: &str) {
    to_stderr(&format!("+ {command}\n"));
}

/// Prints the error that ends the program, already escaped.
pub fn error(text: &str) {
    say(text);
}

/// Prints a line of data.
pub fn data(line: &str) -> io::Result<()> {
    ignore_broken_pipe(writeln!(io::stdout(), "{line}"))
}

/// The version of what [`json`] prints. It grows when a field goes away or means something else, not when one is added.
pub const JSON_VERSION: u32 = 1;

/// Prints one JSON object, on one line. It may be read on a terminal, and outside of strings there is no character that
/// would act on one.
pub fn json(object: &impl Serialize) -> io::Result<()> {
    let mut line = String::new();
    for c in serde_json::to_string(object)?.chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string can't fail.
                let _ = write!(line, "\\u{unit:04x}");
            }
        } else {
            line.push(c);
        }
    }
    data(&line)
}

/// Ignores a broken pipe: a reader that stops early (`cage list | head -1`) is not an error.
pub fn ignore_broken_pipe(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
}

/// Asks a yes-or-no question on the terminal, also if stderr is redirected; anything but yes is no. What was typed before the
/// question is no answer to it.
pub fn confirm(question: &str) -> io::Result<bool> {
    let _ = tcflush(io::stdin(), QueueSelector::IFlush);
    let text = format!("{question} [y/N]");
    if io::stderr().is_terminal() {
        to_stderr(&(fitted(&text, io::stderr()) + " "));
    } else {
        let mut terminal = File::options().write(true).open("/dev/tty")?;
        let text = fitted(&text, &terminal) + " ";
        terminal.write_all(text.as_bytes())?;
    }
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Discards everything that is written to stderr from now on, including a panic's message.
pub fn hush() {
    if let Ok(nowhere) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stderr(nowhere);
    }
}

/// Returns the size of the terminal that stdout is, columns and rows.
pub fn size() -> Option<(u16, u16)> {
    size_of(io::stdout())
}

fn size_of(stream: impl AsFd) -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}

/// Returns which of the standard streams are terminals.
pub fn terminal() -> Terminal {
    Terminal {
        stdin: io::stdin().is_terminal(),
        stdout: io::stdout().is_terminal(),
        stderr: io::stderr().is_terminal(),
    }
}

/// Prints lines that fit the terminal, if stderr is one.
fn say(text: &str) {
    to_stderr(&fitted(text, io::stderr()));
}

/// Breaks lines between words where they don't fit a terminal. Further ones begin below the text after `cage: ` and the like.
fn fitted(text: &str, terminal: impl AsFd) -> String {
    let Some((columns, _)) = size_of(terminal) else { return text.to_owned() };
    let indent = |line: &str| line.find(": ").map(|at| at + 2).filter(|indent| *indent <= 7).unwrap_or(2);
    let lines = text.split('\n').flat_map(|line| wrap(line, columns.into(), indent(line)));
    lines.collect::<Vec<_>>().join("\n")
}

fn to_stderr(text: &str) {
    // If this fails, the error can't be shown.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// The standard streams that are terminals.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terminal {
    /// Whether stdin is a terminal.
    pub stdin: bool,
    /// Whether stdout is a terminal.
    pub stdout: bool,
    /// Whether stderr is a terminal.
    pub stderr: bool,
}
