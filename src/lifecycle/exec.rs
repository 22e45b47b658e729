//! Commands in a running cage: shells, and the command of `cage run`.

use crate::base::script;
use crate::cage::env_file;
use crate::cage::variable::Variable;
use crate::engine::command::Secret;
use crate::engine::runtime::Runtime;
use crate::host::machine::Host;
use crate::lifecycle::attach::{Exec, STATE_FORMAT};
use crate::lifecycle::plan::Step;

/// Runs a command in a directory.
pub const BECOME: &str = script::body(include_str!("exec_command.sh"));

/// Starts a login shell.
const BEST_SHELL: &str = script::body(include_str!("login_shell.sh"));

/// Signals a command and its children.
const SIGNAL: &str = script::body(include_str!("signal.sh"));

/// A command to run in a cage.
#[derive(Debug, Default)]
pub struct ExecCommand {
    /// The command and its arguments; a login shell if there are none.
    pub command: Vec<String>,
    /// The working directory; empty for the project.
    pub workdir: String,
    /// The user, if not the image's.
    pub user: Option<String>,
    /// Variables for this command, with their values.
    pub env: Vec<Variable>,
}

impl ExecCommand {
    /// Returns the step that runs the command in a container, called `name` in messages, with a terminal if there is one here.
    pub fn step(&self, host: &Host, runtime: &Runtime, container: &str, name: &str) -> Step {
        let session = format!("CAGE_SESSION={}", host.session);
        let mut args = vec!["exec", "--interactive", "--env", &session];
        let variables: Vec<String> =
            host.terminal_variables().map(|(name, value)| format!("{name}={value}")).collect();
        if host.is_interactive() {
            args.extend(["--tty", "--detach-keys", runtime.kind.no_detach_keys()]);
            args.extend(variables.iter().flat_map(|variable| ["--env", variable]));
        }
        args.extend(self.user.iter().flat_map(|user| ["--user", user]));
        args.extend([container, "/bin/sh", "-c"]);
        let script = if self.command.is_empty() { BEST_SHELL } else { BECOME };
        args.extend([script, "sh", &self.workdir]);
        args.extend(self.command.iter().map(String::as_str));
        // As the same user: others can't tell whose a process is, not even root, which lacks the capability to trace.
        let mut signal = vec!["exec"];
        signal.extend(self.user.iter().flat_map(|user| ["--user", user]));
        signal.extend([container, "/bin/sh", "-c", SIGNAL, "sh", &session]);
        Step::Exec(Exec {
            name: name.to_owned(),
            client: runtime.command(args).env_file(self.secret()),
            signal: runtime.command(signal),
            state: runtime.command(["container", "inspect", "--format", STATE_FORMAT, container]),
        })
    }

    fn secret(&self) -> Option<Secret> {
        env_file::EnvFiles::default().to_secret(&self.env)
    }
}
