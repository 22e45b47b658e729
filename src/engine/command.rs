//! An engine's client, and its command lines as values.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::text::quote;
use crate::engine::dialect::Dialect;

/// A docker or podman client on this machine.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// The dialect of its command line.
    pub kind: Dialect,
    /// The name by which the user chose it, for messages and command lines.
    pub name: String,
    pub(super) program: PathBuf,
    /// Variables with which it runs: no entry of theirs can be written by code in a cage.
    pub(super) variables: Vec<(OsString, OsString)>,
}

/// A command line of a client, before it runs.
#[derive(Debug, Clone)]
pub struct Invocation {
    pub(super) runtime: Runtime,
    pub(super) args: Vec<String>,
    pub(super) stdin: Option<Input>,
    pub(super) env_file: Option<Input>,
    pub(super) slow: Option<&'static str>,
    pub(super) within: Option<Duration>,
    pub(super) stays: bool,
}

/// Data that a command reads, and that must not be among its arguments.
#[derive(Clone)]
pub struct Input {
    /// The data, which may be secret and is never shown.
    pub data: Vec<u8>,
    /// A shell command that prints the data.
    pub source: String,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Runtime {
    /// Returns a command line of this client. An `exec` has a time limit if its output is captured.
    pub fn command<A: Into<String>>(&self, args: impl IntoIterator<Item = A>) -> Invocation {
        let args = args.into_iter().map(Into::into).collect();
        let runtime = self.clone();
        let invocation =
            Invocation { runtime, args, stdin: None, env_file: None, slow: None, within: None, stays: false };
        let within = invocation.is_exec().then_some(PATIENCE);
        Invocation { within, ..invocation }
    }
}

impl Invocation {
    /// Returns the kind of the engine.
    pub fn kind(&self) -> Dialect {
        self.runtime.kind
    }

    /// Returns whether this runs a command in a container that is running.
    pub fn is_exec(&self) -> bool {
        self.args.first().is_some_and(|verb| verb == "exec")
    }

    /// Sets the data that the command reads from stdin.
    #[must_use]
    pub fn stdin(mut self, stdin: Option<Input>) -> Self {
        self.stdin = stdin;
        self
    }

    /// Sets an env file, which the command reads from another descriptor than stdin. Only
    /// [`Runner::start`](crate::engine::runner::Runner::start) passes it on.
    #[must_use]
    pub fn env_file(mut self, env_file: Option<Input>) -> Self {
        self.env_file = env_file;
        self
    }

    /// Sets whether the command runs in the current directory instead of `/`, because the user's arguments may have relative
    /// paths.
    #[must_use]
    pub fn stays(mut self, stays: bool) -> Self {
        self.stays = stays;
        self
    }

    /// Sets the description that the user sees if the command takes long.
    #[must_use]
    pub fn slow(mut self, what: &'static str) -> Self {
        self.slow = Some(what);
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Sets a time limit, after which the command is killed.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

    /// Returns the command line for an error message, without the text of scripts.
    pub(super) fn brief(&self) -> String {
        let short = |arg: &String| if arg.contains('\n') { "'…'".to_owned() } else { quote(arg) };
        let line: Vec<String> =
            std::iter::once(quote(&self.runtime.name)).chain(self.args.iter().map(short)).collect();
        let all = line.join(" ");
        // A longer line would hide the engine's message below it. `--verbose` shows the whole line.
        if all.len() > 150 { format!("{} …", line[..2.min(line.len())].join(" ")) } else { all }
    }
}

/// Formats the command line for a shell.
impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(stdin) = &self.stdin {
            write!(f, "{} | ", stdin.source)?;
        }
        f.write_str(&quote(&self.runtime.name))?;
        let (verb, args) = self.args.split_at(1.min(self.args.len()));
        verb.iter().try_for_each(|verb| write!(f, " {}", quote(verb)))?;
        if let Some(secret) = &self.env_file {
            write!(f, " --env-file <({})", secret.source)?;
        }
        args.iter().try_for_each(|arg| write!(f, " {}", quote(arg)))
    }
}

/// The time limit for commands that cage itself runs in a cage, where an agent may have replaced the programs.
pub const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    impl Runtime {
        /// Returns a client that is not installed.
        pub fn sample(kind: Dialect) -> Self {
            let name = kind.program();
            Self {
                kind,
                name: name.into(),
                program: format!("/usr/bin/{name}").into(),
                variables: Vec::new(),
            }
        }
    }

    #[test]
    fn a_command_in_a_cage_ends_in_time() {
        let within = |verb: &str| Runtime::sample(Dialect::Docker).command([verb, "cage", "/bin/sh"]).within;
        assert_eq!(within("exec"), Some(PATIENCE));
        assert_eq!(within("create"), None, "the control: preparing an image takes long");
    }

    #[test]
    fn what_a_command_reads_is_never_shown() {
        let stdin = Input { data: "TOKEN=secret".into(), source: "cat file".into() };
        let invocation = Runtime::sample(Dialect::Docker).command(["create"]).stdin(Some(stdin));
        assert_eq!(invocation.to_string(), "cat file | docker create");
        assert!(!format!("{invocation:?}").contains("secret"));
    }
}
