//! Connecting this terminal, or pipes, with a process in a container. Both are the last step of a plan.

use std::process::ExitStatus;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGTERM};
use signal_hook::iterator::Signals;

use crate::base::console;
use crate::base::error::Failure;
use crate::engine::command::Invocation;
use crate::engine::error::{EngineError, Trouble};
use crate::engine::runner::{Cancel, Runner, Streams, pid, spawn};
use crate::engine::signals::Interrupts;
use crate::terminal;
use crate::terminal::SavedModes;

/// An attachment to a container's first process.
#[derive(Debug)]
pub struct Attach {
    /// The container's name in messages.
    pub name: String,
    /// The engine's client that connects the terminal with the process; it may also start the container.
    pub client: Invocation,
    /// Runs once the client has the terminal.
    pub once_attached: Option<Invocation>,
    /// Prints the container's state and exit code ([`STATE_FORMAT`]) afterwards, because the exit codes of docker's and
    /// podman's clients mean different things.
    pub state: Invocation,
}

/// The end of an attachment.
#[derive(Debug)]
pub enum Attached {
    /// The process ended, or the user detached: cage exits with this code.
    Exit(u8),
    /// The container could not be started for the first time.
    NeverStarted(EngineError),
}

/// A command in a container.
#[derive(Debug)]
pub struct Exec {
    /// The container's name in messages.
    pub name: String,
    /// The engine's client that connects this process's streams with the command.
    pub client: Invocation,
    /// Sends a signal, whose number is to be appended, to the command and its children. The engines' clients don't pass
    /// signals on, and leave the command running when they or their terminal go away.
    pub signal: Invocation,
    /// Prints the container's state afterwards, where the client's exit code may be the client's own.
    pub state: Invocation,
}

/// The format in which [`Attach::state`] prints a container's state and exit code.
pub const STATE_FORMAT: &str = "{{.State.Status}} {{.State.ExitCode}}";

impl Attach {
    /// Attaches until the process ends or the user detaches.
    ///
    /// # Errors
    /// When the client fails.
    pub fn execute(&self, runner: Runner, interrupts: &Interrupts) -> Result<Attached> {
        let (status, complaint) = self.connect(runner, interrupts)?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        let state = runner.capture(&self.state)?;
        let state = String::from_utf8_lossy(&state.stdout);
        let end = End::of(&state, code, complaint.words());
        if end == End::Detached || code.is_none() {
            terminal::reset();
        }
        match end {
            End::Detached => {
                console::info_below(&format!(
                    "detached; {} keeps running, `cage start` re-attaches to it",
                    self.name
                ));
                Ok(Attached::Exit(0))
            }
            End::NeverStarted => Ok(Attached::NeverStarted(complaint)),
            // Not an `EngineError`, which would make cage try again although the user was in the container.
            End::Failed if complaint.trouble() == Trouble::NoSuchContainer => {
                Err(Failure::new(format!("{} is gone", self.name))
                    .hint("`cage start` makes a new one")
                    .into())
            }
            End::Failed => Err(complaint.into()),
            End::Exited(code) => Ok(Attached::Exit(code)),
            End::Gone => {
                console::info_below(&format!("{} was removed or replaced meanwhile", self.name));
                Ok(Attached::Exit(code.unwrap_or(1)))
            }
        }
    }

    /// Runs the client until it ends, and returns its status and complaint. The client's stderr is kept back: with a terminal
    /// attached, all output of the container comes on stdout, and stderr has only the client's own complaints.
    ///
    /// Besides this thread, one runs `once_attached`, and one passes signals on.
    fn connect(&self, runner: Runner, interrupts: &Interrupts) -> Result<(ExitStatus, EngineError)> {
        let not_started = |error| EngineError::not_started(&self.client, &error);
        let mut signals = Signals::new(interrupts.numbers()).map_err(not_started)?;
        let handle = signals.handle();
        let modes = SavedModes::read();
        let child = runner.start(&self.client, Streams::PipedStderr)?;
        let client = pid(&child);
        let ended = Cancel::default();
        let output = thread::scope(|scope| {
            let settling = spawn(scope, || self.settle(runner, client, &modes, &ended));
            let passing = spawn(scope, || {
                for number in &mut signals {
                    // With a terminal docker's client ignores SIGTERM. SIGINT and SIGQUIT are for the program inside.
                    if let (Some(client), SIGHUP | SIGTERM) = (client, number) {
                        let _ = kill_process(client, Signal::HUP);
                    }
                }
            });
            let threads = settling.and(passing).map(drop);
            if let (Err(_), Some(client)) = (&threads, client) {
                let _ = kill_process(client, Signal::HUP);
            }
            let output = child.wait_with_output();
            ended.cancel();
            handle.close();
            threads.and(output)
        });
        modes.restore();
        let output = output.map_err(not_started)?;
        Ok((output.status, EngineError::new(&self.client, output.status, &output.stderr)))
    }

    /// Runs `once_attached` when the client has taken the terminal, and makes the client pass the terminal's size on again.
    fn settle(&self, runner: Runner, client: Option<Pid>, modes: &SavedModes, ended: &Cancel) {
        let Some(command) = &self.once_attached else { return };
        modes.wait_for_change(|| ended.is_cancelled());
        // The container may not be running yet.
        for _ in 0..5 {
            let done = runner.capture_unless(command, ended).is_ok_and(|output| output.status.success());
            if done || ended.is_cancelled() {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        if let Some(client) = client.filter(|_| !ended.is_cancelled()) {
            let _ = kill_process(client, Signal::WINCH);
        }
    }
}

impl Exec {
    /// Runs the command and returns its exit code. The clients' exit codes for their own failures may also be the command's:
    /// then the container's state decides.
    ///
    /// # Errors
    /// When the client can't run, or the container no longer runs.
    pub fn execute(&self, runner: Runner, interrupts: &Interrupts) -> Result<u8> {
        let code = self.connect(runner, interrupts)?;
        if !matches!(code, 1 | 125..=127 | 255) {
            return Ok(code);
        }
        let state = runner.capture(&self.state)?;
        let error = EngineError::new(&self.state, state.status, &state.stderr);
        ensure!(state.status.success() || error.trouble() == Trouble::NoSuchContainer, error);
        let state = String::from_utf8_lossy(&state.stdout);
        ensure!(
            state.starts_with("running") || state.starts_with("paused"),
            Failure::new(format!("{} no longer runs", self.name))
        );
        Ok(code)
    }

    /// Runs the client until it ends, while another thread passes signals on, and returns the exit code.
    fn connect(&self, runner: Runner, interrupts: &Interrupts) -> Result<u8> {
        let not_started = |error| EngineError::not_started(&self.client, &error);
        let mut signals = Signals::new(interrupts.numbers()).map_err(not_started)?;
        let handle = signals.handle();
        let modes = SavedModes::read();
        let mut child = runner.start(&self.client, Streams::Inherited)?;
        let client = pid(&child);
        let (status, passed) = thread::scope(|scope| {
            let passing = spawn(scope, || {
                let mut passed = false;
                for number in &mut signals {
                    passed |= self.pass_on(runner, number);
                }
                // Signals that came when the client ended.
                for number in signals.pending() {
                    passed |= self.pass_on(runner, number);
                }
                passed
            });
            if let (Err(_), Some(client)) = (&passing, client) {
                let _ = kill_process(client, Signal::HUP);
            }
            let status = child.wait();
            handle.close();
            match passing {
                Ok(passing) => (status, passing.join().unwrap_or(false)),
                Err(error) => (status.and(Err(error)), false),
            }
        });
        modes.restore();
        let status = status.map_err(not_started)?;
        if let Some(code) = status.code() {
            return Ok(u8::try_from(code).unwrap_or(1));
        }
        terminal::reset();
        if !passed {
            self.pass_on(runner, SIGHUP);
        }
        let signal = std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0);
        Ok(u8::try_from(128 + signal).unwrap_or(1))
    }

    /// Sends a signal to the command, and returns whether that worked.
    fn pass_on(&self, runner: Runner, number: i32) -> bool {
        runner.run(&self.signal.clone().arg(number.to_string())).is_ok()
    }
}

/// How an attached client ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The container still runs.
    Detached,
    /// The container's first process ended with this code.
    Exited(u8),
    /// The container was removed meanwhile.
    Gone,
    /// The container could not be started, and never ran.
    NeverStarted,
    /// The container could not be started again, or the connection broke.
    Failed,
}

impl End {
    /// Derives the end from the container's `state` (`exited 7`; empty when there is no container), the client's exit code and
    /// the client's complaint. With a terminal attached docker complains only of failures and of being detached.
    fn of(state: &str, code: Option<u8>, complaint: &str) -> Self {
        let mut words = state.split_whitespace();
        let status = words.next().unwrap_or_default();
        let exit_code = words.next().and_then(|code| code.parse::<i64>().ok());
        // The first process may end before the client can attach to it.
        let harmless = [
            "read escape sequence",
            "cannot attach to a stopped container",
            "can only attach to running containers",
        ];
        let complained =
            code != Some(0) && !complaint.is_empty() && !harmless.iter().any(|text| complaint.contains(text));
        match (status, exit_code) {
            ("created", _) => Self::NeverStarted,
            // When both codes are the same, the code is the first process's, and the complaint is one of podman's warnings.
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
