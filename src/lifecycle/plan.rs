//! What a command is going to do: decided before anything is done, then carried out, or shown as a shell script.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail, ensure};

use crate::base::console;
use crate::base::error::Failure;
use crate::cage::nesting;
use crate::cage::ssh_agent::Link;
use crate::engine::forward::Relay;
use crate::engine::runner::{EngineError, Interrupts, Invocation, Runner, Trouble, quote};

/// The steps of a command, in order.
#[derive(Debug, Default)]
pub struct Plan {
    steps: Vec<Step>,
}

/// One step of a plan.
#[derive(Debug)]
pub enum Step {
    /// Tell what is happening.
    Say(String),
    /// Tell what the user may want to change.
    Warn(String),
    /// Print a line of data.
    Print(String),
    /// Set a link to the SSH agent.
    Link(Link),
    /// Take one away.
    Unlink(PathBuf),
    /// Check that the way to a file or directory, which is about to be mounted, has no links.
    Unlinked(PathBuf),
    /// Run a command that must succeed.
    Run(Invocation),
    /// Run a command that must succeed, and give what it printed to another one.
    Pipe(Invocation, Invocation),
    /// Run a command whose failure doesn't matter.
    Try(Invocation),
    /// Fetch an image, showing how it goes. If that fails and `unless` succeeds, go on.
    Fetch {
        /// The command that fetches.
        fetch: Invocation,
        /// Says that there is an image here that will do.
        unless: Option<Invocation>,
    },
    /// From here on, if a step fails, do this.
    Undo(Plan),
    /// Nothing is to be undone any more.
    Keep,
    /// Go one way if a command prints anything else than a text, the other way if it prints that.
    IfDiffers {
        /// The command.
        command: Invocation,
        /// The text.
        from: String,
        /// What to do if they differ.
        then: Plan,
        /// What to do if they are the same.
        otherwise: Plan,
    },
    /// Take part in a container's first process at the terminal, until that ends or the user detaches. The end of a plan.
    Attach(Attach),
    /// Run a command in a container at the terminal or in a pipe, and pass its exit code on. The end of a plan.
    Exec(Exec),
    /// Forward ports of a container to this machine until a signal comes. The end of a plan.
    Relay(Relay),
}

/// A command in a container.
#[derive(Debug)]
pub struct Exec {
    /// The container's name, as it is told to the user.
    pub name: String,
    /// The client that connects it with the streams here.
    pub client: Invocation,
    /// Sends a signal to it and its children: the engines' clients don't pass signals on, and leave everything running
    /// when they or their terminal go away. The signal's name is to be appended.
    pub signal: Invocation,
    /// Prints the container's state afterwards, where the client's exit code may be its own.
    pub state: Invocation,
}

/// How to take part in a container's first process.
#[derive(Debug)]
pub struct Attach {
    /// The container's name, as it is told to the user.
    pub name: String,
    /// The client that connects terminal and process; it may also start the container.
    pub client: Invocation,
    /// Run once the client has taken the terminal over.
    pub once_attached: Option<Invocation>,
    /// Prints the container's state and exit code afterwards, since podman's client and docker's differ in what their
    /// own exit code means.
    pub state: Invocation,
    /// Removes the container if it could not be started.
    pub undo: Option<Plan>,
}

/// Held while containers are made.
pub type Lock = File;

impl Plan {
    /// A plan with these steps.
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect() }
    }

    /// Adds a step.
    pub fn push(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// Adds steps.
    pub fn extend(&mut self, steps: impl IntoIterator<Item = Step>) {
        self.steps.extend(steps);
    }

    /// Adds the steps of another plan.
    pub fn append(&mut self, mut other: Self) {
        self.steps.append(&mut other.steps);
    }

    /// Tells what is happening.
    pub fn say(&mut self, message: impl Into<String>) {
        self.push(Step::Say(message.into()));
    }

    /// Prints lines of data.
    pub fn print(&mut self, lines: impl IntoIterator<Item = String>) {
        self.steps.extend(lines.into_iter().map(Step::Print));
    }

    /// Runs a command that must succeed.
    pub fn run(&mut self, invocation: Invocation) {
        self.push(Step::Run(invocation));
    }

    /// Carries the plan out and returns the exit code. `lock` is held until somebody sits down in a container.
    ///
    /// # Errors
    /// When a step fails; what was half done has been undone.
    pub fn execute(&self, runner: Runner, mut lock: Option<Lock>, interrupts: &Interrupts) -> Result<u8> {
        interrupts.hold(|interrupted| {
            let mut undo = None;
            let mut result = self.execute_steps(runner, &mut undo, &mut lock, interrupted);
            if result.is_err() && interrupted.load(Ordering::Relaxed) {
                result = Err(Failure::new("interrupted").into());
            }
            if let (Err(_), Some(undo)) = (&result, undo)
                && let Err(error) = undo.undo(runner)
            {
                console::warn(&format!("could not undo what was done so far: {error}"));
            }
            result
        })
    }

    /// Carries a plan out that undoes another one, whatever signals come.
    fn undo(&self, runner: Runner) -> Result<u8> {
        self.execute_steps(runner, &mut None, &mut None, &AtomicBool::new(false))
    }

    fn execute_steps<'a>(
        &'a self,
        runner: Runner,
        undo: &mut Option<&'a Plan>,
        lock: &mut Option<Lock>,
        interrupted: &AtomicBool,
    ) -> Result<u8> {
        let mut kept = false;
        for step in &self.steps {
            // Never between a step and what undoes it, nor once there is no way back.
            let may_stop = !kept && !matches!(step, Step::Undo(_) | Step::Keep);
            if may_stop && interrupted.load(Ordering::Relaxed) {
                bail!(Failure::new("interrupted"));
            }
            match step {
                Step::Say(message) => console::info(message),
                Step::Warn(message) => console::warn(message),
                Step::Print(line) => console::data(line)?,
                Step::Link(link) => link.set()?,
                Step::Unlink(path) => drop(fs::remove_file(path)),
                Step::Unlinked(path) => nesting::check_unlinked(path)?,
                Step::Run(command) => drop(runner.run(command)?),
                Step::Pipe(from, to) => runner.pipe(from, to)?,
                Step::Try(command) => drop(runner.capture(command)?),
                Step::Fetch { fetch, unless } => {
                    if let Err(error) = runner.show(fetch) {
                        match unless {
                            _ if interrupted.load(Ordering::Relaxed) => return Err(error.into()),
                            Some(have) if runner.capture(have)?.status.success() => {
                                console::warn("could not pull; going on with the image that is here");
                            }
                            _ => bail!(
                                Failure::new(format!("could not pull: {error}"))
                                    .hint("is the name right, and the network up?")
                            ),
                        }
                    }
                }
                Step::Undo(plan) => *undo = Some(plan),
                Step::Keep => {
                    *undo = None;
                    kept = true;
                }
                Step::IfDiffers { command, from, then, otherwise } => {
                    let branch = if runner.run(command)?.trim() == from { otherwise } else { then };
                    let code = branch.execute_steps(runner, undo, lock, interrupted)?;
                    if code != 0 {
                        return Ok(code);
                    }
                }
                Step::Attach(attach) => {
                    drop(lock.take());
                    *undo = None;
                    return attach.execute(runner);
                }
                Step::Exec(exec) => {
                    drop(lock.take());
                    return exec.execute(runner);
                }
                Step::Relay(relay) => return relay.execute(runner, interrupted),
            }
        }
        Ok(0)
    }

    /// The plan as a script for bash or zsh.
    pub fn script(&self) -> String {
        let mut script = String::from("set -e -o pipefail\n");
        self.write_script(&mut script);
        script
    }

    /// The script of a plan without branches, on one line.
    fn one_line(&self) -> String {
        let mut script = String::new();
        self.write_script(&mut script);
        script.trim_end().replace('\n', "; ")
    }

    fn write_script(&self, script: &mut String) {
        for step in &self.steps {
            // Writing to a string can't fail.
            let _ = match step {
                Step::Say(message) => writeln!(script, "{}", tell(&format!("cage: {message}"))),
                Step::Warn(message) => writeln!(script, "{}", tell(&format!("cage: warning: {message}"))),
                Step::Print(line) => writeln!(script, "printf '%s\\n' {}", quote(line)),
                Step::Link(link) => {
                    let dir = link.path.parent().map(quote_path).unwrap_or_default();
                    let (path, target) = (quote_path(&link.path), quote_path(&link.target));
                    writeln!(script, "mkdir -p {dir} && ln -sfn {target} {path}")
                }
                Step::Unlink(path) => writeln!(script, "rm -f {}", quote_path(path)),
                Step::Unlinked(path) => {
                    let path = quote_path(path);
                    writeln!(script, "[ \"$(realpath {path})\" = {path} ]")
                }
                Step::Run(command) => writeln!(script, "{command} >/dev/null"),
                Step::Pipe(from, to) => writeln!(script, "{from} | {to} >/dev/null"),
                Step::Try(command) => writeln!(script, "{command} >/dev/null 2>&1 || true"),
                Step::Fetch { fetch, unless: None } => writeln!(script, "{fetch} >&2"),
                Step::Fetch { fetch, unless: Some(have) } => {
                    writeln!(script, "{fetch} >&2 || {have} >/dev/null")
                }
                Step::Undo(plan) => writeln!(script, "trap {} EXIT", quote(&plan.one_line())),
                Step::Keep => writeln!(script, "trap - EXIT"),
                Step::IfDiffers { command, from, then, otherwise } => {
                    let _ = writeln!(script, "if [ \"$({command})\" != {} ]; then", quote(from));
                    then.write_script(script);
                    script.push_str("else\n");
                    otherwise.write_script(script);
                    writeln!(script, "fi")
                }
                Step::Attach(attach) => writeln!(script, "{}", attach.script()),
                Step::Exec(exec) => writeln!(script, "exec {}", exec.client),
                Step::Relay(relay) => writeln!(script, "{}", relay.script()),
            };
        }
    }
}

impl Exec {
    /// Runs it and returns its exit code. The clients have codes of their own for failures, which commands have, too: then it
    /// is the container that tells.
    fn execute(&self, runner: Runner) -> Result<u8> {
        let code = runner.exec(&self.client, &self.signal)?;
        if !matches!(code, 1 | 125..=127 | 255) {
            return Ok(code);
        }
        let state = runner.capture(&self.state)?;
        let error = EngineError::new(&self.state, state.status, &state.stderr);
        ensure!(state.status.success() || error.trouble() == Trouble::NoSuchContainer, error);
        let state = String::from_utf8_lossy(&state.stdout);
        ensure!(
            state.starts_with("running") || state.starts_with("paused"),
            Failure::new(format!("{} does not run any more", self.name))
        );
        Ok(code)
    }
}

impl Attach {
    fn execute(&self, runner: Runner) -> Result<u8> {
        let (status, complaint) = runner.attach(&self.client, self.once_attached.as_ref())?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        let state = runner.capture(&self.state)?;
        let state = String::from_utf8_lossy(&state.stdout);
        let end = End::of(&state, code, complaint.words());
        if end == End::Detached || code.is_none() {
            console::leave_program();
        }
        match end {
            End::Detached => {
                console::info_below(&format!(
                    "detached; {} goes on running, `cage start` comes back to it",
                    self.name
                ));
                Ok(0)
            }
            // Whatever ran in a container is never removed with it.
            End::NeverStarted => {
                if let Some(undo) = &self.undo {
                    undo.undo(runner)?;
                }
                Err(complaint.into())
            }
            // Not an EngineError, which would say that it is worth another try: somebody sat in it.
            End::Failed if complaint.trouble() == Trouble::NoSuchContainer => {
                Err(Failure::new(format!("{} is gone", self.name))
                    .hint("`cage start` makes a new one")
                    .into())
            }
            End::Failed => Err(complaint.into()),
            End::Exited(code) => Ok(code),
            End::Gone => {
                console::info_below(&format!("{} was removed or replaced meanwhile", self.name));
                Ok(code.unwrap_or(1))
            }
        }
    }

    /// The same in a shell. `state` prints a word and a number.
    fn script(&self) -> String {
        let (keep, undo) = match &self.undo {
            Some(undo) => ("trap - EXIT\n", format!("'created '*) {}; exit 1 ;;\n  ", undo.one_line())),
            None => ("", String::new()),
        };
        // The client gets the signal as one of the script's processes.
        let meanwhile = self.once_attached.as_ref().map_or_else(String::new, |command| {
            format!("(sleep 1; {command}; kill -WINCH 0) >/dev/null 2>&1 &\n")
        });
        format!(
            "{keep}{meanwhile}code=0\n{} || code=$?\nstate=$({} 2>/dev/null) || exit $code\ncase $state in\n  \
             'running '* | 'paused '*) exit 0 ;;\n  {undo}*) exit \"${{state#* }}\" ;;\nesac",
            self.client, self.state
        )
    }
}

/// How a client's part in a container ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The container goes on.
    Detached,
    /// Its first process ended with this code.
    Exited(u8),
    /// The container was removed meanwhile.
    Gone,
    /// It could not be started, and never ran.
    NeverStarted,
    /// It could not be started again, or the connection broke.
    Failed,
}

impl End {
    /// Reads it from the container's `state` (`exited 7`; nothing when there is none), and from the client's exit code
    /// and what it complained of. With a terminal attached docker complains only of failures, and of being detached.
    fn of(state: &str, code: Option<u8>, complaint: &str) -> Self {
        let mut words = state.split_whitespace();
        let status = words.next().unwrap_or_default();
        let exit_code = words.next().and_then(|code| code.parse::<i64>().ok());
        // A first process may be done before anybody can attach to it.
        let harmless = [
            "read escape sequence",
            "cannot attach to a stopped container",
            "can only attach to running containers",
        ];
        let complained =
            code != Some(0) && !complaint.is_empty() && !harmless.iter().any(|text| complaint.contains(text));
        match (status, exit_code) {
            ("created", _) => Self::NeverStarted,
            // With the same code on both sides it is the first process's own, and the complaint was about something else:
            // podman warns of many things.
            (_, Some(exit_code)) if status != "running" && code.map(i64::from) == Some(exit_code) => {
                Self::Exited(u8::try_from(exit_code).unwrap_or(1))
            }
            _ if complained => Self::Failed,
            ("running" | "paused", _) => Self::Detached,
            (_, Some(exit_code)) => Self::Exited(u8::try_from(exit_code).unwrap_or(1)),
            (_, None) => Self::Gone,
        }
    }
}

/// The format in which [`Attach::state`] prints a container's state and exit code.
pub const STATE_FORMAT: &str = "{{.State.Status}} {{.State.ExitCode}}";

/// `echo` would make something of backslashes in some shells.
fn tell(message: &str) -> String {
    format!("printf '%s\\n' {} >&2", quote(&console::escape(message)))
}

fn quote_path(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

/// Is `error` of this kind?
pub fn is_trouble(error: &anyhow::Error, trouble: Trouble) -> bool {
    error.downcast_ref::<EngineError>().is_some_and(|error| error.trouble() == trouble)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_attached_client_is_read_from_both_engines() {
        let complaint = "Error response from daemon: port is already allocated";
        for (state, code, words, end) in [
            ("exited 7\n", Some(7), "", End::Exited(7)),
            // podman's attach exits 0 whatever the code was.
            ("exited 7\n", Some(0), "", End::Exited(7)),
            ("running 0\n", Some(1), "read escape sequence", End::Detached),
            ("running 0\n", Some(0), "", End::Detached),
            // The client was killed: the cage lives.
            ("running 0\n", None, "", End::Detached),
            ("created 128\n", Some(1), complaint, End::NeverStarted),
            ("running 0\n", Some(1), "error waiting for container: unexpected EOF", End::Failed),
            ("exited 3\n", Some(3), "level=warning msg=\"cgroups v1 is deprecated\"", End::Exited(3)),
            ("exited 1\n", Some(1), "Emulate Docker CLI using podman.", End::Exited(1)),
            ("exited 0\n", Some(1), complaint, End::Failed),
            ("", Some(137), "", End::Gone),
        ] {
            assert_eq!(End::of(state, code, words), end, "{state:?} {code:?}");
        }
    }
}
