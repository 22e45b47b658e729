//! Commands in a cage besides its first process: shells, and what `cage run` runs.

use crate::cage::env_file;
use crate::cage::variable::Variable;
use crate::engine::command::Secret;
use crate::engine::runtime::{Runtime, RuntimeKind};
use crate::host::machine::Host;
use crate::lifecycle::attach::{Exec, STATE_FORMAT};
use crate::lifecycle::plan::Step;

/// Becomes the command that follows a directory, in that directory if it is not empty. The engines' own way to choose a
/// directory and to look for the program has other exit codes on each, and docker 20.10 complains on stdout.
pub const BECOME: &str = r#"[ -z "$1" ] || cd -- "$1" 2>/dev/null || { echo "error: there is no such directory in the cage, or none for this user" >&2; exit 125; }
shift; exec "$@""#;

/// Becomes the user's shell: the one the image names, or the best there is. In the directory $1, if that can be.
const BEST_SHELL: &str = r#"[ -z "$1" ] || cd -- "$1"
for s in "${SHELL:-}" zsh bash; do [ -n "$s" ] && command -v "$s" >/dev/null && exec "$s" -l; done; exec /bin/sh -l"#;

/// Sends signal $2 to a command that has $1 in its environment, and to what it started, as a terminal that goes away
/// would: not to what has since begun a session of its own, such as tmux. What an engine starts has its parent outside.
const SIGNAL: &str = r#"PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
mark=$1 signal=$2 sessions=
each() {
    callback=$1
    for process in /proc/[0-9]*; do
        tr '\0' '\n' <"$process/environ" | grep -qxF "$mark" || continue
        read -r stat <"$process/stat" || continue
        set -- ${stat##*) }
        "$callback" "${process#/proc/}" "$2" "$4"
    done
}
leader() { if [ "$2" = 0 ]; then sessions="$sessions $3 "; fi; }
hit() { case $sessions in *" $3 "*) kill -"$signal" "$1" ;; esac; }
{ each leader; each hit; } 2>/dev/null
true"#;

/// A command to be run in a cage.
#[derive(Debug, Default)]
pub struct Inside {
    /// The command and its arguments; a login shell if there are none.
    pub command: Vec<String>,
    /// The directory to run it in; the project if it is empty.
    pub workdir: String,
    /// Who is to run it, if not the image's user.
    pub user: Option<String>,
    /// Variables for it alone, with their values.
    pub env: Vec<Variable>,
}

impl Inside {
    /// The step that runs it in `container`, which is called `name`, with a terminal if there is one here.
    pub fn step(&self, host: &Host, runtime: &Runtime, container: &str, name: &str) -> Step {
        let session = format!("CAGE_SESSION={}", host.session);
        let mut args = vec!["exec", "--interactive", "--env", &session];
        let variables: Vec<String> =
            host.terminal_variables().map(|(name, value)| format!("{name}={value}")).collect();
        if host.is_interactive() {
            // Nobody could come back to a command, so there are no keys that leave it; docker's own can't be turned off.
            let keys = match runtime.kind {
                RuntimeKind::Docker => "ctrl-^,ctrl-^,ctrl-^,ctrl-^",
                RuntimeKind::Podman => "",
            };
            args.extend(["--tty", "--detach-keys", keys]);
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
