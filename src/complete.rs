//! What a shell is told when somebody presses Tab: how the command line could go on.
//!
//! `cage completions` prints a script for the shell ([`script`]), which at each Tab starts cage anew, with [`COMPLETE`] set
//! and the command line as its arguments, and takes what [`answer`] prints. The library that does both with the rest of
//! the command line knows neither cages nor which names of files are harmless: that is told it here.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use clap::{Arg, Command, CommandFactory as _, FromArgMatches as _, ValueHint};
use clap_complete::Shell;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::Shells;

use crate::base::{console, name, text};
use crate::cli::Cli;
use crate::engine::runner::Runner;
use crate::engine::signals::Interrupts;
use crate::host::machine::{COMPLETE, Host};
use crate::lifecycle::session::Global;
use crate::lifecycle::session::Session;

/// How long an engine may take to name its cages. Somebody waits with a finger on the key.
const PATIENCE: Duration = Duration::from_millis(1500);

/// How many entries of a directory are looked at.
const MANY: usize = 10_000;

/// The script for a shell.
///
/// # Errors
/// Never, but that is for the library to say.
pub fn script(shell: Shell) -> io::Result<String> {
    let mut script = Vec::new();
    if let Some(adapter) = Shells::builtins().completer(&shell.to_string()) {
        // By its name: the script outlives an upgrade that puts cage elsewhere.
        adapter.write_registration(COMPLETE, "cage", "cage", "cage", &mut script)?;
    }
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if shell == Shell::Zsh {
        // From a file in `fpath` zsh runs it as the function `_cage` at the first Tab, which is to be answered already.
        script.push_str("\n[ \"$funcstack[1]\" != _cage ] || _clap_dynamic_completer_cage \"$@\"\n");
    }
    Ok(script)
}

/// Answers `shell`, whose script started cage with these `words`: `--`, and the command line so far. Returns false if they
/// are not that, so that the variable alone makes cage do nothing else than usual.
///
/// Whatever goes wrong is not worth a word in the middle of a command line: then nothing is offered.
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
    let mut command = with_completers(command, &global(&words));
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

/// bash takes the `=` of `--home=project` for a word of its own. Where it stood there is a switch without meaning here
/// instead: the library counts words as bash does.
fn join_values(words: &mut [OsString]) {
    for index in 1..words.len() {
        if words[index] == "=" && words[index - 1].as_encoded_bytes().starts_with(b"--") {
            words[index] = std::mem::replace(&mut words[index - 1], "--verbose".into());
        }
    }
}

/// The global options of a command line that isn't complete.
fn global(words: &[OsString]) -> Global {
    let none = Global { directory: None, runtime: None, verbose: false, dry_run: false };
    let matches = Cli::command().ignore_errors(true).try_get_matches_from(words);
    matches.ok().and_then(|matches| Global::from_arg_matches(&matches).ok()).unwrap_or(none)
}

/// Lets every argument that takes a cage's name, a path, or a runtime know how to complete it.
fn with_completers(command: Command, global: &Global) -> Command {
    command
        .mut_args(|arg| with_completer(arg, global))
        .mut_subcommands(|command| with_completers(command, global))
}

/// Offers options only where there is nothing else to offer: for who has typed nothing yet, they would hide the rest.
fn without_options(command: Command) -> Command {
    command
        .mut_args(|arg| if arg.is_positional() { arg } else { arg.hide(true) })
        .mut_subcommands(without_options)
}

fn with_completer(arg: Arg, global: &Global) -> Arg {
    let Some(takes) = Takes::of(&arg) else { return arg };
    let global = global.clone();
    arg.add(ArgValueCompleter::new(move |start: &OsStr| {
        let Some(start) = start.to_str() else { return Vec::new() };
        let mut offers = match takes {
            Takes::Cage => cages(&global).unwrap_or_default(),
            Takes::Runtime => ["docker", "podman"].map(CompletionCandidate::new).into(),
            Takes::Project => paths(start, None, false).unwrap_or_default(),
            Takes::Directory => paths(start, global.directory.as_deref(), false).unwrap_or_default(),
            Takes::File => paths(start, global.directory.as_deref(), true).unwrap_or_default(),
        };
        offers.retain(|offer| offer.get_value().to_str().is_some_and(|value| value.starts_with(start)));
        offers
    }))
}

/// What an argument takes, if that is something that the library can't complete.
#[derive(Debug, Clone, Copy)]
enum Takes {
    /// The name of a cage.
    Cage,
    /// docker or podman.
    Runtime,
    /// The directory that all else is seen from.
    Project,
    /// A directory.
    Directory,
    /// Anything with a path.
    File,
}

impl Takes {
    fn of(arg: &Arg) -> Option<Self> {
        match (arg.get_id().as_str(), arg.get_value_hint()) {
            // So it is called in every command.
            ("name", _) => Some(Self::Cage),
            ("runtime", _) => Some(Self::Runtime),
            ("directory", _) => Some(Self::Project),
            (_, ValueHint::DirPath) => Some(Self::Directory),
            (_, ValueHint::AnyPath | ValueHint::FilePath) => Some(Self::File),
            _ => None,
        }
    }
}

/// The cages there are at this moment, with what `list` says of them. A name is harmless to a shell: only a container whose
/// name is made of its project's path is a cage ([`Container::project`]), and such a name has letters, digits and `_.-`
/// alone.
///
/// [`Container::project`]: crate::engine::container::Container::project
fn cages(global: &Global) -> Result<Vec<CompletionCandidate>> {
    let (host, _) = Host::gather()?;
    let runner = Runner { verbose: false, limit: Some(PATIENCE) };
    let global = Global { verbose: false, ..global.clone() };
    let interrupts = Interrupts::register(host.ignored_signals);
    let session = Session { host, global, runner, interrupts };
    // So that no runtime inside of it is run.
    let project = session.project().ok();
    let (_, mut cages) = session.ask(project.as_ref(), |runtime| session.cages(runtime))?;
    cages.retain(|cage| name::is_engine_name(&cage.name));
    cages.sort_by(|one, other| one.name.cmp(&other.name));
    let offer = |cage: &crate::engine::container::Container| {
        let path = text::escape(cage.project(&session.host.label).unwrap_or_default());
        let about = format!("{}, {path}", cage.state.name());
        CompletionCandidate::new(&cage.name).help(Some(about.into()))
    };
    Ok(cages.iter().map(offer).collect())
}

/// Directories, and files where `files` are wanted, whose path begins with `start`, seen from where one stands or from
/// `below`.
///
/// Whoever is in a cage can give files names of any kind, and a script that completes puts them into the command line as
/// they are. So only names that mean themselves to every shell are offered.
fn paths(start: &str, below: Option<&Path>, files: bool) -> Option<Vec<CompletionCandidate>> {
    let (host, _) = Host::gather().ok()?;
    let (before, name) = start.split_at(start.rfind('/').map_or(0, |slash| slash + 1));
    let dir = match before.strip_prefix("~/") {
        Some(rest) => host.home?.join(rest),
        None => host.cwd?.join(below.unwrap_or(Path::new(""))).join(before),
    };
    let mut offers: Vec<String> = fs::read_dir(dir)
        .ok()?
        .take(MANY)
        .flatten()
        .filter_map(|entry| {
            let found = entry.file_name().into_string().ok()?;
            let hidden = found.starts_with('.') && !name.starts_with('.');
            let fits = found.starts_with(name) && !hidden && means_itself(&found);
            // Of a link, what it leads to.
            let is_dir = fits && entry.path().is_dir();
            (fits && (is_dir || files)).then(|| format!("{before}{found}{}", if is_dir { "/" } else { "" }))
        })
        .collect();
    offers.sort();
    Some(offers.into_iter().map(CompletionCandidate::new).collect())
}

/// Is this file name neither an option nor anything that a shell, or an option of cage's, reads as more than letters?
fn means_itself(name: &str) -> bool {
    !name.starts_with(['-', '+']) && name.chars().all(|c| c.is_alphanumeric() || "-_.,@+".contains(c))
}
