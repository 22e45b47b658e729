//! Commands in a running cage: shells, and the command of `cage run`.

use std::time::Duration;

use crate::base::script;
use crate::base::text::escape;
use crate::cage::env_file::EnvFiles;
use crate::cage::existing::{Cage, TERMINAL_LABEL};
use crate::cage::variable::Variable;
use crate::engine::runtime::Runtime;
use crate::host::machine::Host;
use crate::host::terminal_variables::NAMES;
use crate::lifecycle::connected::Exec;
use crate::lifecycle::ending::Ending;
use crate::lifecycle::plan::Step;

/// Runs a command in a directory, or a login shell.
pub const EXEC_COMMAND: &str = script::body(include_str!("exec_command.sh"));

/// Signals a command and its children.
const SIGNAL: &str = script::body(include_str!("signal.sh"));

/// How long it may take to pass a signal on.
const SIGNALLING: Duration = Duration::from_secs(10);

/// A command to run in a cage.
#[derive(Debug, Clone, Default)]
pub struct ExecCommand {
    /// The command and its arguments; a login shell if there are none.
    pub command: Vec<String>,
    /// The working directory.
    pub workdir: String,
    /// The user, if not the image's.
    pub user: Option<String>,
    /// Variables for this command, with their values.
    pub env: Vec<Variable>,
}

/// A container that a command is to run in.
#[derive(Debug, Clone, Copy)]
pub struct ExecTarget<'a> {
    /// Its name or ID.
    pub id: &'a str,
    /// The variables of the terminal that it has from elsewhere, separated by spaces: they stay as they are.
    pub fixed: &'a str,
    /// The name of its image, for messages.
    pub image: &'a str,
}

impl<'a> ExecTarget<'a> {
    /// Returns an existing cage as a target.
    pub fn of(cage: &'a Cage) -> Self {
        Self { id: &cage.id, fixed: cage.label(TERMINAL_LABEL).unwrap_or_default(), image: cage.image_name() }
    }
}

impl ExecCommand {
    /// Returns the name of the program, without its path and arguments.
    fn program(&self) -> String {
        let first = self.command.first().map_or("shell", String::as_str);
        first.rsplit('/').next().unwrap_or(first).to_owned()
    }

    /// Returns the step that runs the command in a container, called `name` in messages, with a terminal if there is one here.
    pub fn step(&self, host: &Host, runtime: &Runtime, container: ExecTarget, name: &str) -> Step {
        let ExecTarget { id: container, fixed, image } = container;
        let keys = runtime.kind.unused_keys(None);
        let session = format!("CAGE_SESSION={}", host.session);
        // The project's path may be gone inside, where root can rename the directories above it; and old versions of runc could be
        // led out of the container by a working directory (CVE-2024-21626).
        let mut args = vec!["exec", "--interactive", "--workdir", "/", "--env", &session];
        let is_interactive = host.is_interactive();
        // The container may have been created from another terminal.
        let is_fixed = |name: &str| {
            fixed.split(' ').any(|fixed| fixed == name)
                || self.env.iter().any(|variable| variable.name == name)
        };
        let mut variables = if is_interactive { host.terminal_variables() } else { Vec::new() };
        variables.retain(|(name, _)| !is_fixed(name));
        let assignments: Vec<String> =
            variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if is_interactive {
            args.extend(["--tty", "--detach-keys", &keys]);
            args.extend(assignments.iter().flat_map(|variable| ["--env", variable]));
        }
        args.extend(self.user.iter().flat_map(|user| ["--user", user]));
        let image = escape(image);
        let zeroth = if self.command.is_empty() { "sh" } else { &image };
        args.extend([container, "/bin/sh", "-c", EXEC_COMMAND, zeroth, &self.workdir]);
        let is_set = |name: &str| is_fixed(name) || variables.iter().any(|(set, _)| *set == name);
        let unset: Vec<&str> = NAMES.into_iter().filter(|name| !is_set(name)).collect();
        let unset = unset.join(" ");
        args.push(&unset);
        let size = host
            .size
            .filter(|_| is_interactive)
            .map(|(columns, rows)| [rows.to_string(), columns.to_string()]);
        args.extend(size.iter().flatten().map(String::as_str));
        args.push("--");
        args.extend(self.command.iter().map(String::as_str));
        // Runs as the same user: reading another user's /proc/PID/environ needs CAP_SYS_PTRACE, which root in a cage lacks.
        let mut signal = vec!["exec", "--workdir", "/"];
        signal.extend(self.user.iter().flat_map(|user| ["--user", user]));
        signal.extend([container, "/bin/sh", "-c", SIGNAL, "sh", &session]);
        Step::Exec(Box::new(Exec {
            ending: Ending::of(host, runtime, container, name),
            client: runtime.command(args).env_file(EnvFiles::default().to_input(&self.env)),
            keys: is_interactive.then(|| host.detach_keys.clone()),
            program: self.program(),
            // Code in the cage can replace the shell by a program that doesn't end.
            signal: runtime.command(signal).within(SIGNALLING),
            session: host.session.clone(),
        }))
    }
}
