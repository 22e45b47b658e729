//! Why a container ended.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};

use crate::base::error::Failure;
use crate::base::time;
use crate::cage::existing::Cage;
use crate::engine::command::Invocation;
use crate::engine::container;
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

/// Returns how a stopped cage ended, if its first process failed, and no user was in the cage or stopped it.
pub fn death(host: &Host, cage: &Cage) -> Option<String> {
    let started = time::parse(&cage.started).filter(|_| cage.state == container::State::Stopped)?;
    let noted = note(host, &cage.name).and_then(|path| fs::metadata(path).ok()?.modified().ok());
    if noted.is_some_and(|noted| noted >= started) {
        return None;
    }
    let age = time::age(cage.changed()?);
    match cage.exit_code {
        _ if cage.out_of_memory => {
            Some(format!("killed {age} ago: out of memory; `cage restart --memory SIZE` gives it more"))
        }
        // A container that is stopped from outside by SIGHUP or SIGTERM may have these codes, too.
        0 | 129 | 143 => None,
        137 => Some(format!("killed {age} ago (code 137), not for want of memory")),
        code => Some(format!("ended {age} ago with code {code}")),
    }
}

impl Ending {
    /// Records that a user has seen the container end.
    pub fn note_left(&self) {
        let _ = self.note.as_ref().map(|path| fs::write(path, "left"));
    }

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

    /// Asks for the container's state after a client has ended with `code`.
    ///
    /// # Errors
    /// When the engine doesn't answer.
    pub fn look(&self, runner: Runner, code: Option<u8>) -> Result<State> {
        let mut state = self.ask(runner)?;
        if code == Some(137) || state.exit_code == Some(137) {
            // docker reports the end of a container slightly after that of its processes, and `rm --force` kills before it removes.
            let was_up = state.is_up();
            for goes_on in [was_up, was_up, was_up, true, true, true] {
                if goes_on && !state.status.is_empty() {
                    thread::sleep(Duration::from_millis(100));
                    state = self.ask(runner)?;
                }
            }
        }
        Ok(state)
    }

    fn ask(&self, runner: Runner) -> Result<State> {
        let output = runner.capture(&self.state).map_err(|error| self.lost(error))?;
        let error = EngineError::new(&self.state, output.status, &output.stderr);
        ensure!(output.status.success() || error.trouble == Trouble::NoSuchContainer, self.lost(error));
        Ok(State::parse(&output.stdout))
    }

    /// Returns a failed question as an error for a user who was in the container when the engine went away.
    fn lost(&self, error: EngineError) -> anyhow::Error {
        match error.trouble {
            Trouble::Unreachable | Trouble::TimedOut => {
                Failure::new(format!("the engine went away while you were in {}", self.name))
                    .hint("when it is back, `cage start` starts the cage again")
                    .into()
            }
            _ => error.into(),
        }
    }

    /// Returns why a command in the container has ended with the container, if it has. `lost` tells whether the engine no longer
    /// knows the command.
    ///
    /// # Errors
    /// When the engine doesn't answer.
    pub fn reason_for_command(
        &self,
        runner: Runner,
        code: u8,
        lost: bool,
        start: SystemTime,
    ) -> Result<Option<String>> {
        let state = self.look(runner, Some(code))?;
        let what = if lost { " was ended with the engine" } else { " has ended" };
        let first = if lost { "" } else { "the first shell of " };
        let ended = || format!("{first}{}{what}; `cage start` starts it again", self.name);
        ensure!(!lost || !state.is_up(), Failure::new("the engine was restarted, and has lost the command"));
        Ok((!state.is_up()).then(|| self.reason(&state, start).unwrap_or_else(ended)))
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
            _ if matches!(state.status.as_str(), "" | "removing") => {
                ("was removed or restarted", "`cage start` enters the new one, or makes one")
            }
            (_, Some(137)) if state.out_of_memory => {
                ("was killed: out of memory", "`cage restart --memory SIZE` gives it more")
            }
            // A program in the shell may also have ended with this code, like with those of other signals.
            (_, Some(137)) => ("exited with 137", again),
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
