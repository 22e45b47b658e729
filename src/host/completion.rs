//! Completion of paths on a command line, and the global options on it that decide which paths and cages are meant.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter as _};

/// The global options of the command line that is being completed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The value of `--directory`.
    pub directory: Option<PathBuf>,
    /// The value of `--runtime`.
    pub runtime: Option<String>,
}

impl Line {
    /// Reads the command line, which follows this program's name and `--`.
    pub fn current() -> Self {
        Self::read(env::args_os().skip(2).map(|word| word.to_string_lossy().into_owned()))
    }

    fn read(words: impl Iterator<Item = String>) -> Self {
        let mut line = Self::default();
        // bash passes the `=` of `--runtime=podman` as a separate word.
        let mut words = words.filter(|word| word != "=").take_while(|word| word != "--");
        while let Some(word) = words.next() {
            let mut value = |long: &str, short: Option<char>| {
                let rest = word.strip_prefix(long).or_else(|| {
                    // `C` may be the last of several short flags, of which the others take no value.
                    let flags = word.strip_prefix('-')?.trim_start_matches(['d', 'q', 'y']);
                    flags.strip_prefix(short?)
                })?;
                if rest.is_empty() { words.next() } else { Some(rest.trim_start_matches('=').to_owned()) }
            };
            if let Some(directory) = value("--directory", Some('C')) {
                line.directory = Some(directory.into());
            } else if let Some(runtime) = value("--runtime", None) {
                line.runtime = Some(runtime);
            }
        }
        line
    }
}

/// Completes the directory of `--directory` itself.
pub fn project(start: &OsStr) -> Vec<CompletionCandidate> {
    safe(&PathCompleter::dir(), start)
}

/// Completes a directory, relative to `--directory`.
pub fn directory(start: &OsStr) -> Vec<CompletionCandidate> {
    safe(&relative(PathCompleter::dir()), start)
}

/// Completes any path, relative to `--directory`.
pub fn path(start: &OsStr) -> Vec<CompletionCandidate> {
    safe(&relative(PathCompleter::any()), start)
}

fn relative(completer: PathCompleter) -> PathCompleter {
    match Line::current().directory {
        Some(directory) => completer.current_dir(directory),
        None => completer,
    }
}

/// Returns only paths whose last part is safe to insert into a command line. An agent can give files any name, and shells
/// insert them as they are.
fn safe(completer: &PathCompleter, start: &OsStr) -> Vec<CompletionCandidate> {
    let mut paths = completer.complete(start);
    paths.retain(|path| {
        let name = Path::new(path.get_value()).file_name();
        name.and_then(OsStr::to_str).is_some_and(is_plain)
    });
    paths
}

/// Returns whether a file name is neither an option nor contains a character that means something to a shell or to cage.
fn is_plain(name: &str) -> bool {
    !name.starts_with(['-', '+']) && name.chars().all(|c| c.is_alphanumeric() || "-_.,@+".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn global_options_are_found_in_every_notation() {
        let read = |line: &str| Line::read(line.split(' ').map(str::to_owned));
        let both = Line { directory: Some("/p".into()), runtime: Some("podman".into()) };
        for line in [
            "cage -C /p --runtime podman stop c",
            "cage start --runtime=podman -dC/p",
            "cage rm --directory = /p --runtime = podman c",
            "cage prune -yC /p --runtime podman",
        ] {
            assert_eq!(read(line), both, "{line}");
        }
        assert_eq!(read("cage run -- make -C /p"), Line::default());
        assert_eq!(read("cage run -e C=/p -C"), Line::default());
    }
}
