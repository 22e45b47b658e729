//! Connecting this terminal with a container's first process, as the last step of a plan.

use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, bail};
use signal_hook::consts::{SIGHUP, SIGTERM};

use crate::base::console;
use crate::base::error::Failure;
use crate::engine::command::Invocation;
use crate::engine::error::{EngineError, Trouble};
use crate::engine::runner::{Cancel, Runner, spawn};
use crate::engine::signals::Interrupts;
use crate::host::detach_keys::DetachKeys;
use crate::lifecycle::client::{Client, Ended, Event, Running};
use crate::lifecycle::ending::{ANSWER, Ending, State};
use crate::lifecycle::kept_modes::{Keeper, KeptModes};
use crate::lifecycle::open_terminals::{OpenTerminals, Way};
use crate::terminal::keys::KeyFilter;

/// An attachment to a container's first process.
#[derive(Debug)]
pub struct Attach {
    /// Asks how the container ended.
    pub ending: Ending,
    /// The engine's client that connects the terminal with the process; it may also start the container.
    pub client: Invocation,
    /// The command line for `--dry-run`, in which the client itself handles the detach keys.
    pub script: Invocation,
    /// The keys that detach.
    pub keys: DetachKeys,
    /// Runs once the client has the terminal.
    pub once_attached: Option<Invocation>,
    /// Whether to make a running program redraw its screen.
    pub redraws: bool,
    /// The warning for a user who detaches and logs out.
    pub at_logout: Option<String>,
    /// The modes of the terminal when the user detached.
    pub modes: KeptModes,
}

/// docker's words when its own detach keys were pressed.
pub const DETACHED: &str = "read escape sequence";

/// The time in which a client may still be connecting.
const CONNECTING: Duration = Duration::from_secs(3);

impl Attach {
    /// Attaches until the process ends or the user detaches, and returns the exit code of cage, or the engine's error if the
    /// container could not be started for the first time.
    ///
    /// # Errors
    /// When the client fails.
    pub fn execute(&self, runner: Runner, interrupts: &Interrupts) -> Result<Result<u8, EngineError>> {
        let mut keeper = self.modes.read(runner);
        let modes = keeper.modes().clone();
        let client = Client {
            invocation: &self.client,
            if_killed: None,
            runner,
            interrupts,
            modes,
            redraws: self.redraws,
            session: None,
        };
        let start = SystemTime::now();
        // When the container was started, once it is known to run.
        let since = self.modes.since.clone().map_or_else(OnceLock::new, OnceLock::from);
        let on_event = |running: &Running, event| match event {
            Event::Keys | Event::Signal(SIGHUP | SIGTERM) => {
                if start.elapsed().is_ok_and(|time| time < CONNECTING) {
                    self.wait_until_up(runner, running, &since);
                }
                running.hang_up();
            }
            // SIGINT and SIGQUIT are for the program inside, which gets the keys.
            Event::Signal(_) => {}
        };
        let beside = |running: &Running| self.go_along(runner, running, &mut keeper, &since);
        let open = self.ending.terminals.as_ref().map(|all| all.open(Way::Attached, ""));
        let ended = client.run(KeyFilter::new(&self.keys), on_event, Some(beside))?;
        drop(open);
        let mut left = Left { attach: self, ended, keeper, start };
        match since.get() {
            // The user need not wait for a busy engine.
            Some(since) if left.ended.hung_up && left.ended.status.code().is_none() => {
                Ok(Ok(left.detached(since)))
            }
            _ => left.conclude(runner),
        }
    }

    /// Does what is to be done beside the client while it runs.
    fn go_along(&self, runner: Runner, running: &Running, keeper: &mut Keeper, since: &OnceLock<String>) {
        running.connects();
        if self.redraws {
            // Without another thread the modes come with the next prompt.
            let set_prompt = || {
                keeper.unseen_prompt(&running.ended).iter().for_each(|prompt| running.set_prompt(prompt));
            };
            thread::scope(|scope| {
                let _ = spawn(scope, set_prompt);
                running.redraw();
            });
        }
        self.settle(runner, running);
        let is_last = || self.ending.terminals.as_ref().map(OpenTerminals::is_last);
        let mut before = is_last();
        // Another terminal, or this one after cage was killed, needs the modes.
        while !running.ends_within(Duration::from_secs(1)) {
            if self.is_up(runner, running, since, ANSWER)
                && let Some(since) = since.get()
            {
                keeper.keep(&running.modes(), since, &running.ended);
            }
            // A terminal that has left may have had another size.
            let now = is_last();
            if now != before && now.is_some_and(|(_, is_last)| is_last) {
                running.resize(0);
            }
            before = now;
        }
    }

    /// Runs `once_attached`.
    fn settle(&self, runner: Runner, running: &Running) {
        let Some(command) = &self.once_attached else { return };
        // The container may not be running yet.
        for _ in 0..5 {
            let done =
                runner.capture_unless(command, &running.ended).is_ok_and(|output| output.status.success());
            if done || running.ends_within(Duration::from_millis(100)) {
                break;
            }
        }
    }

    /// Waits until the container runs: ending the client earlier could keep it from starting.
    fn wait_until_up(&self, runner: Runner, running: &Running, since: &OnceLock<String>) {
        let deadline = Instant::now() + CONNECTING;
        let left = || deadline.saturating_duration_since(Instant::now());
        while !left().is_zero()
            && !self.is_up(runner, running, since, left())
            && !running.ends_within(Duration::from_millis(50))
        {}
    }

    /// Returns whether the container was seen running, while the client runs, too, and notes `since` when it does.
    fn is_up(&self, runner: Runner, running: &Running, since: &OnceLock<String>, time: Duration) -> bool {
        if since.get().is_none() {
            let state = self.ending.state.clone().within(time);
            let state = runner.capture_unless(&state, &running.ended);
            let state = state.ok().map(|state| State::parse(&state.stdout)).filter(State::is_up);
            state.map(|state| since.set(state.since));
        }
        since.get().is_some()
    }
}

/// An attachment whose client has ended.
struct Left<'a> {
    attach: &'a Attach,
    ended: Ended,
    keeper: Keeper<'a>,
    /// When the client was started.
    start: SystemTime,
}

impl Left<'_> {
    /// Finds out what has become of the container, and tells the user. Returns as [`Attach::execute`].
    fn conclude(mut self, runner: Runner) -> Result<Result<u8, EngineError>> {
        let Attach { ending, client, .. } = self.attach;
        let Ended { status, hung_up, .. } = self.ended;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        let state = match ending.look(runner, code) {
            Err(_) if hung_up => {
                self.tell(true, &format!("detached from {}; the engine does not answer", ending.name));
                return Ok(Ok(0));
            }
            state => state.inspect_err(|_| self.ended.end_line(true))?,
        };
        let complaint = EngineError::new(client, status, &self.ended.stderr);
        match End::of(&state, code, &complaint.words) {
            End::Detached => Ok(Ok(self.detached(&state.since))),
            End::NeverStarted if hung_up => Err(Failure::new("interrupted").into()),
            End::NeverStarted => Ok(Err(complaint)),
            // Not an `EngineError`, which would make cage try again although the user was in the container.
            End::Failed => {
                self.ended.end_line(true);
                if complaint.trouble == Trouble::NoSuchContainer {
                    bail!(
                        Failure::new(format!("{} is gone", ending.name)).hint("`cage start` makes a new one")
                    );
                }
                Err(complaint.into())
            }
            End::Exited(code) => {
                self.tell_exit(ending.reason(&state, self.start));
                Ok(Ok(code))
            }
            End::Gone => {
                ending.reason(&state, self.start).iter().for_each(|reason| self.tell(true, reason));
                Ok(Ok(code.unwrap_or(1)))
            }
        }
    }

    fn tell(&self, broken_off: bool, message: &str) {
        self.ended.end_line(broken_off);
        console::info(message);
    }

    /// Tells the user that the container, which runs since then, goes on, and keeps the modes. Returns cage's exit code.
    fn detached(&mut self, since: &str) -> u8 {
        self.tell(true, &format!("detached from {}: `cage start` re-attaches", self.attach.ending.name));
        self.attach.at_logout.iter().for_each(|warning| console::warn(warning));
        self.keeper.keep(&self.ended.modes, since, &Cancel::default());
        0
    }

    /// Tells the user that the first process has ended, and the reason if it is another than its own.
    fn tell_exit(&self, reason: Option<String>) {
        let ending = &self.attach.ending;
        if reason.is_none() {
            ending.note_left();
        }
        let others = ending.terminals.as_ref().map_or(0, |open| open.take_ended(self.start));
        if let Some(reason) = reason {
            return self.tell(true, &reason);
        }
        let more = match others {
            0 => String::new(),
            1 => "; another terminal ended".to_owned(),
            others => format!("; {others} other terminals ended"),
        };
        self.tell(false, &format!("left {}, which has stopped{more}", ending.name));
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
    /// Derives the end from the container's state, the client's exit code and its complaint. With a terminal attached docker
    /// complains only of failures and of being detached.
    fn of(state: &State, code: Option<u8>, complaint: &str) -> Self {
        let (status, exit_code) = (state.status.as_str(), state.exit_code);
        // The first process may end before the client can attach to it.
        let harmless =
            [DETACHED, "cannot attach to a stopped container", "can only attach to running containers"];
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
            assert_eq!(End::of(&State::parse(state.as_bytes()), code, words), end, "{state:?} {code:?}");
        }
    }
}
