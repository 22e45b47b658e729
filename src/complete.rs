//! Answers to the Tab key. At each Tab the script of `cage completions` starts cage with
//! [`COMPLETE`](crate::host::machine::COMPLETE) set and the command line as its arguments. The arguments themselves know how their
//! values are completed.

use std::ffi::OsString;

use clap::{Command, CommandFactory as _};
use clap_complete::env::Shells;

use crate::base::console;
use crate::cli::Cli;

/// Answers `shell`, whose script started cage with `words`: `--` and the command line so far. Returns false if the words are
/// different, so that the variable alone changes nothing.
///
/// Errors are not reported, as this would be in the middle of the user's command line: nothing is offered then.
pub fn answer(shell: &str, words: impl IntoIterator<Item = OsString>) -> bool {
    let mut words = words.into_iter();
    if words.next().is_none_or(|word| word != "--") {
        return false;
    }
    console::hush();
    let mut words: Vec<OsString> = words.collect();
    if words.is_empty() {
        return true;
    }
    if shell == "bash" {
        join_values(&mut words);
    }
    let mut command = Cli::command();
    // Adds the library's own options and `help`.
    command.build();
    if words.last().is_none_or(|word| word.is_empty()) {
        command = without_options(command);
    }
    let mut offers = Vec::new();
    // The library reads the variables that its scripts set, such as the index of the word to complete.
    let answered = Shells::builtins()
        .completer(shell)
        .is_some_and(|adapter| adapter.write_complete(&mut command, words, None, &mut offers).is_ok());
    let offers = String::from_utf8_lossy(&offers);
    if answered && !offers.is_empty() {
        let _ = console::data(offers.trim_end_matches('\n'));
    }
    true
}

/// Joins `--home`, `=` and `project`, which bash passes as three words. The library counts words like bash does, so a flag
/// without effect takes the place of the first.
fn join_values(words: &mut [OsString]) {
    for index in 1..words.len() {
        if words[index] == "=" && words[index - 1].as_encoded_bytes().starts_with(b"--") {
            words[index] = std::mem::replace(&mut words[index - 1], "--verbose".into());
        }
    }
}

/// Hides options, which would crowd out everything else before the first letter is typed. They are still offered where
/// nothing else is.
fn without_options(command: Command) -> Command {
    command
        .mut_args(|arg| if arg.is_positional() { arg } else { arg.hide(true) })
        .mut_subcommands(without_options)
}
