//! The steps of a command: decided before anything is done, then executed, or shown as a shell script.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use super::attach::Attach;
use super::connected::Exec;
use crate::base::error::Failure;
use crate::base::mount_point::{MountPoint, Owner};
use crate::base::text::{escape, quote};
use crate::base::{console, file};
use crate::cage::create_options::CreateOptions;
use crate::cage::existing::Cage;
use crate::cage::nesting;
use crate::cage::ssh_agent::Link;
use crate::engine::command::Invocation;
use crate::engine::error::other_platform;
use crate::engine::forward::Forwarding;
use crate::engine::runner::Runner;
use crate::engine::signals::Interrupts;
use crate::lifecycle::lock;
use crate::lifecycle::lock::{Lock, Locks};
use crate::lifecycle::pause::Pause;

/// The steps of a command, in order.
#[derive(Debug, Default)]
pub struct Plan {
    steps: Vec<Step>,
}

/// One step of a plan.
#[derive(Debug)]
pub enum Step {
    /// Print a message about what happens next.
    Say(String),
    /// Print a warning.
    Warn(String),
    /// Print a line of data.
    Print(String),
    /// Set a link to the SSH agent.
    Link(Link),
    /// Remove one of cage's own files or directories.
    Unlink(PathBuf),
    /// Write a word to one of cage's own files, and ignore a failure.
    Note(PathBuf, &'static str),
    /// Write one of cage's own files.
    Write(PathBuf, String),
    /// Write one of cage's own files that it can do without, and ignore a failure.
    Remember(PathBuf, String),
    /// Wait for a lock and hold it until the user enters a container.
    Lock(PathBuf),
    /// Check that the path of a file or directory that is about to be mounted has no symbolic links.
    CheckUnlinked(PathBuf),
    /// Check the same of all that a stopped cage with these options mounts.
    CheckMounts(Box<Cage>, Box<CreateOptions>),
    /// Check that no link in the project with this path, or in what the options mount, leads the engine elsewhere on the way to sources
    /// that it mounts as they are written.
    CheckWritten(Vec<String>, String, Box<CreateOptions>),
    /// Create a mount point in a directory that is about to be mounted, for this owner.
    MakeMountPoint(MountPoint, Owner),
    /// Check that the source of a mount exists before an old container starts: docker would make a directory in its place.
    CheckThere(PathBuf),
    /// Run a command that must succeed.
    Run(Invocation),
    /// Print the published ports that a command lists, and ignore a failure.
    TellPorts(Invocation),
    /// Run a command, and ignore a failure.
    Try(Invocation),
    /// Stop here, successfully, if a command prints this text.
    StopIfPrints(Invocation, String),
    /// Pull an image and show the progress. If that fails and the second command, which looks for an image, succeeds, continue with
    /// a warning.
    Pull(Invocation, Option<Box<Invocation>>),
    /// If a later step fails, execute this plan. It replaces the undo plan before it.
    Undo(Plan),
    /// Pause containers, execute a plan, and continue the containers, also if that fails.
    WhilePaused(Box<Pause>, Plan),
    /// Discard the undo plan; interrupts no longer stop the plan.
    Keep,
    /// Connect the terminal with a container's first process. The last step of a plan.
    Attach(Box<Attach>),
    /// Run a command in a container, and exit with its code. The last step of a plan.
    Exec(Box<Exec>),
    /// Forward ports of a container until a signal comes. The last step of a plan.
    Forward(Forwarding),
}

/// The state of a plan that is being executed.
struct Execution<'a> {
    runner: Runner,
    interrupts: &'a Interrupts,
    /// Released when the user enters a container.
    locks: Locks,
    undo: Option<&'a Plan>,
    /// Whether a signal stops the plan before its next step.
    heeds_signals: bool,
}

impl Plan {
    /// Makes a plan of these steps.
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

    /// Returns the steps.
    pub fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    /// Adds a message.
    pub fn say(&mut self, message: impl Into<String>) {
        self.push(Step::Say(message.into()));
    }

    /// Adds a command that must succeed.
    pub fn run(&mut self, invocation: Invocation) {
        self.push(Step::Run(invocation));
    }

    /// Executes the plan and returns the exit code. `locks` are held until the user enters a container.
    ///
    /// # Errors
    /// When a step fails; half-done steps have been undone.
    pub fn execute(&self, runner: Runner, locks: Locks, interrupts: &Interrupts) -> Result<u8> {
        interrupts.hold(|| {
            let mut execution = Execution { runner, interrupts, locks, undo: None, heeds_signals: true };
            let mut result = execution.steps(self);
            if result.is_err() {
                execution.locks.iter_mut().for_each(Lock::stay_abandoned);
            }
            if result.is_err() && interrupts.came() {
                console::end_line();
                result = Err(Failure::new("interrupted").into());
            }
            if let (Err(_), Some(undo)) = (&result, execution.undo) {
                let mut undoing =
                    Execution { runner, interrupts, locks: Locks::new(), undo: None, heeds_signals: false };
                if let Err(error) = undoing.steps(undo) {
                    console::warn(&format!("could not undo the steps so far: {error}"));
                }
            }
            result
        })
    }

    /// Renders the plan as a script for bash or zsh, which does the same when no step fails.
    pub fn script(&self) -> String {
        ["set -e -o pipefail".to_owned()].into_iter().chain(self.lines()).collect::<Vec<_>>().join("\n")
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        self.steps.iter().filter_map(Step::script)
    }
}

impl<'a> Execution<'a> {
    fn steps(&mut self, plan: &'a Plan) -> Result<u8> {
        for step in &plan.steps {
            // Never between a step and the one that says how to undo it.
            if self.heeds_signals && !matches!(step, Step::Undo(_) | Step::Keep) && self.interrupts.came() {
                bail!(Failure::new("interrupted"));
            }
            if let Some(code) = self.step(step)? {
                return Ok(code);
            }
        }
        Ok(0)
    }

    /// Executes a step. Returns the exit code if it ends the plan.
    fn step(&mut self, step: &'a Step) -> Result<Option<u8>> {
        match step {
            Step::Say(message) => console::info(message),
            Step::Warn(message) => console::warn(message),
            Step::Print(line) => console::data(line)?,
            Step::Link(link) => link.set()?,
            Step::Unlink(path) => drop(fs::remove_file(path).or_else(|_| fs::remove_dir_all(path))),
            Step::Write(path, text) => file::write_private(path, text)
                .with_context(|| format!("cannot write {}", escape(&path.to_string_lossy())))?,
            Step::Remember(path, text) => drop(file::write_private(path, text)),
            Step::Note(path, word) => drop(fs::write(path, word)),
            Step::Lock(path) => self.locks.extend(lock::take(path, self.interrupts)?),
            Step::CheckUnlinked(path) => file::check_unlinked(path)?,
            Step::CheckMounts(cage, options) => nesting::check_mounts(cage, options)?,
            Step::CheckWritten(sources, project, options) => {
                nesting::check_written(sources.iter().map(String::as_str), project, options)?;
            }
            Step::MakeMountPoint(point, owner) => point.make(*owner)?,
            Step::CheckThere(path) => {
                let shown = escape(&path.to_string_lossy());
                ensure!(
                    !file::is_gone(path),
                    Failure::new(format!("the cage stays stopped, because it mounts {shown}, which is gone"))
                );
            }
            Step::Run(command) => {
                let output = self.runner.run_for_output(command)?;
                if let Some(mismatch) = other_platform(&output.stderr) {
                    console::warn(&format!("{mismatch} (programs run slowly, if at all)"));
                }
            }
            Step::TellPorts(command) => {
                let output = self.runner.capture(command)?;
                String::from_utf8_lossy(&output.stdout)
                    .lines()
                    .filter_map(port)
                    .for_each(|line| console::info(&line));
            }
            Step::Try(command) => drop(self.runner.capture(command)?),
            Step::StopIfPrints(command, text) => {
                if self.runner.run(command)?.trim() == text {
                    return Ok(Some(0));
                }
            }
            Step::Pull(pull, unless) => self.pull(pull, unless.as_deref())?,
            Step::Undo(plan) => self.undo = Some(plan),
            Step::WhilePaused(pause, plan) => {
                pause.around(self.runner, || self.steps(plan))?;
            }
            Step::Keep => {
                self.undo = None;
                self.heeds_signals = false;
            }
            Step::Attach(attach) => return self.attach(attach).map(Some),
            Step::Exec(exec) => {
                self.locks.clear();
                return exec.execute(self.runner, self.interrupts).map(Some);
            }
            Step::Forward(forwarding) => return forwarding.execute(self.runner, self.interrupts).map(Some),
        }
        Ok(None)
    }

    fn pull(&self, pull: &Invocation, unless: Option<&Invocation>) -> Result<()> {
        let Err(error) = self.runner.show(pull) else { return Ok(()) };
        match unless {
            _ if self.interrupts.came() => Err(error.into()),
            Some(have) if self.runner.capture(have)?.status.success() => {
                console::warn("could not pull the image; using the one that is here");
                Ok(())
            }
            _ => bail!(
                Failure::new(format!("could not pull: {error}"))
                    .hint("check the image's name and the network")
            ),
        }
    }

    /// Attaches, and keeps what was made unless the container never started: one in which anything ran is never removed. A signal that
    /// no longer stopped the plan, such as that of Ctrl-\, counts as detaching.
    fn attach(&mut self, attach: &Attach) -> Result<u8> {
        self.locks.clear();
        if self.interrupts.came() {
            console::end_line();
            console::info(&format!("{} is running: `cage start` attaches", attach.ending.name));
            return Ok(0);
        }
        let undo = self.undo.take();
        attach.execute(self.runner, self.interrupts)?.map_err(|complaint| {
            self.undo = undo;
            complaint.into()
        })
    }
}

impl Step {
    /// Renders the step for a shell; undoing has no place in a script.
    fn script(&self) -> Option<String> {
        let path = |path: &Path| quote(&path.to_string_lossy());
        Some(match self {
            Self::Say(message) => tell(&format!("cage: {message}")),
            Self::Warn(message) => tell(&format!("cage: warning: {message}")),
            Self::Print(line) => format!("printf '%s\\n' {}", quote(line)),
            Self::Link(link) => {
                let dir = link.path.parent().map(path).unwrap_or_default();
                format!("mkdir -p {dir} && ln -sfn {} {}", path(&link.target), path(&link.path))
            }
            Self::Unlink(link) => format!("rm -rf {}", path(link)),
            Self::Write(file, text) | Self::Remember(file, text) => {
                let dir = file.parent().map(path).unwrap_or_default();
                format!("mkdir -p {dir} && printf '%s' {} >{}", quote(text), path(file))
            }
            Self::Note(file, word) => format!("{{ echo {word} >{}; }} 2>/dev/null || true", path(file)),
            Self::CheckUnlinked(source) => {
                let source = path(source);
                format!("[ \"$(realpath {source})\" = {source} ]")
            }
            Self::CheckMounts(cage, options) => {
                let sources = nesting::mounted_sources(cage, options).into_iter();
                let checks: Vec<_> =
                    sources.filter_map(|source| Self::CheckUnlinked(source).script()).collect();
                return (!checks.is_empty()).then(|| checks.join(" && "));
            }
            Self::MakeMountPoint(point, _) => {
                let target = point.path();
                let dir = target.parent().filter(|_| point.is_file).unwrap_or(&target);
                let touch =
                    if point.is_file { format!(" && touch {}", path(&target)) } else { String::new() };
                format!("[ -e {} ] || {{ mkdir -p {}{touch}; }}", path(&target), path(dir))
            }
            Self::CheckThere(source) => format!("[ -e {} ]", path(source)),
            Self::Run(command) => format!("{command} >/dev/null"),
            Self::TellPorts(command) => format!("{command} >&2 || true"),
            Self::Try(command) => format!("{command} >/dev/null 2>&1 || true"),
            Self::StopIfPrints(command, text) => format!("[ \"$({command})\" != {} ] || exit 0", quote(text)),
            Self::Pull(pull, None) => format!("{pull} >&2"),
            Self::Pull(pull, Some(have)) => format!("{pull} >&2 || {have} >/dev/null"),
            Self::WhilePaused(pause, plan) => pause.script(&plan.lines().collect::<Vec<_>>().join("\n")),
            Self::Undo(_) | Self::Lock(_) | Self::Keep | Self::CheckWritten(..) => return None,
            Self::Attach(attach) => {
                let beside = attach.once_attached.as_ref();
                let beside = beside.map(|command| format!("(sleep 1; {command}) >/dev/null 2>&1 &\n"));
                format!("{}exec {}", beside.unwrap_or_default(), attach.script)
            }
            Self::Exec(exec) => format!("exec {}", exec.client),
            Self::Forward(forwarding) => forwarding.script(),
        })
    }
}

/// Returns the message about a published port, of which the engine says `3000/tcp -> 127.0.0.1:49153`.
fn port(line: &str) -> Option<String> {
    let (inside, outside) = line.split_once(" -> ")?;
    Some(format!("published {outside} → {}", inside.trim_end_matches("/tcp")))
}

/// Renders a message for stderr. `echo` would interpret backslashes in some shells.
fn tell(message: &str) -> String {
    format!("printf '%s\\n' {} >&2", quote(&escape(message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Plan {
        /// Renders the plan as [`Plan::script`] does, with a comment for each plan that undoes the steps before it.
        pub fn script_with_undo(&self) -> String {
            let lines = self.steps.iter().filter_map(|step| match step {
                Step::Undo(undo) => {
                    let undo: Vec<String> = undo.steps.iter().filter_map(Step::script).collect();
                    Some(format!("# undo: {}", undo.join("; ")))
                }
                Step::Keep => Some("# keep".to_owned()),
                step => step.script(),
            });
            lines.collect::<Vec<_>>().join("\n")
        }
    }
}
