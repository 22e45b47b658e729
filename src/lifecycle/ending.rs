//! The reason why a container ended while a user was in it.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};

use crate::engine::command::Invocation;
use crate::engine::error::{EngineError, Trouble};
use crate::engine::runner::Runner;
use crate::engine::runtime::Runtime;
use crate::host::machine::Host;
use crate::lifecycle::open_terminals::OpenTerminals;

/// How long an engine may take to answer a question while the user waits.
pub const ANSWER: Duration = Duration::from_secs(5);

/// The questions to ask when a session has ended.
#[derive(Debug)]
pub struct Ending {
    /// The container's name in messages.
    pub name: String,
    /// Prints the container's [`State`].
    pub state: Invocation,
    note: Option<PathBuf>,
    /// The other terminals in the container.
    pub terminals: Option<OpenTerminals>,
}

/// A container's state after a session.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The engine's word for it; empty when there is no container.
    pub status: String,
    /// The exit code of the first process.
    pub exit_code: Option<i64>,
    out_of_memory: bool,
    /// When the container was last started, as the engine writes it.
    pub since: String,
}

/// Returns the path of the file that records which command stopped a container, or `None` without a state directory. Engines don't
/// record why a container ended, and a shell may exit with any code after SIGHUP.
pub fn note(host: &Host, name: &str) -> Option<PathBuf> {
    host.state_file(name, "ended")
}

impl Ending {
    /// Prepares the questions about a container. `name` is its name in messages.
    pub fn of(host: &Host, runtime: &Runtime, container: &str, name: &str) -> Self {
        let format = "{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}} {{json .State.StartedAt}}";
        Self {
            name: name.to_owned(),
            state: runtime.command(["container", "inspect", "--format", format, container]).within(ANSWER),
            note: note(host, name),
            terminals: OpenTerminals::of(host, name),
        }
    }

    /// Asks for the container's state.
    ///
    /// # Errors
    /// When the engine doesn't answer.
    pub fn look(&self, runner: Runner) -> Result<State> {
        let output = runner.capture(&self.state)?;
        let error = EngineError::new(&self.state, output.status, &output.stderr);
        ensure!(output.status.success() || error.trouble == Trouble::NoSuchContainer, error);
        Ok(State::parse(&output.stdout))
    }

    /// Asks for the container's state after a process in it was killed. docker reports the end of the container slightly later, so this waits.
    ///
    /// # Errors
    /// When the engine doesn't answer.
    pub fn look_after_kill(&self, runner: Runner) -> Result<State> {
        let mut state = self.look(runner)?;
        for _ in 0..5 {
            if !state.is_up() {
                break;
            }
            thread::sleep(Duration::from_millis(100));
            state = self.look(runner)?;
        }
        Ok(state)
    }

    /// Returns why the container ended, unless the reason is its first process. `start` is the time when the session began.
    pub fn reason(&self, state: &State, start: SystemTime) -> Option<String> {
        let (again, new) = ("`cage start` starts it again", "`cage start` enters the new one");
        let noted = self.note.as_ref().and_then(|path| {
            let written = fs::metadata(path).ok()?.modified().ok()?;
            fs::read_to_string(path).ok().filter(|_| written >= start)
        });
        let (what, hint) = match (noted.as_deref(), state.exit_code) {
            (Some("stopped"), _) => ("was stopped", again),
            (Some("restarted"), _) => ("was restarted", new),
            (Some("removed"), _) => ("was removed", "`cage start` makes a new one"),
            _ if state.status.is_empty() => ("was removed or restarted", new),
            (_, Some(137)) if state.out_of_memory => {
                ("was killed: out of memory", "`cage restart --memory SIZE` gives it more")
            }
            (_, Some(137)) => ("was killed", again),
            (_, Some(129 | 143)) => ("was stopped", again),
            _ => return None,
        };
        Some(format!("{} {what}; {hint}", self.name))
    }
}

impl State {
    /// Parses what [`Ending::state`] prints, `exited 7 false "2026-11-27T19:10:04Z"`.
    pub fn parse(printed: &[u8]) -> Self {
        let printed = String::from_utf8_lossy(printed);
        let mut words = printed.split_whitespace();
        let mut word = || words.next().unwrap_or_default();
        Self {
            status: word().to_owned(),
            exit_code: word().parse().ok(),
            out_of_memory: word() == "true",
            since: word().trim_matches('"').to_owned(),
        }
    }

    /// Returns whether there are processes.
    pub fn is_up(&self) -> bool {
        matches!(self.status.as_str(), "running" | "paused")
    }
}
