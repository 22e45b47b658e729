//! Running a command in a container with this terminal, or with pipes, as the last step of a plan.

use std::io;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, bail};
use rustix::process::{Signal, kill_process, kill_process_group};
use rustix::stdio::stdin;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::base::console;
use crate::base::error::Failure;
use crate::base::text::escape;
use crate::engine::command::Invocation;
use crate::engine::error::EngineError;
use crate::engine::runner::{Cancel, Runner, Streams, Watch, pid, spawn};
use crate::engine::signals::Interrupts;
use crate::host::detach_keys::DetachKeys;
use crate::lifecycle::attach::DETACHED;
use crate::lifecycle::client::{Client, Ended, Event, Running};
use crate::lifecycle::ending::Ending;
use crate::lifecycle::open_terminals::{OpenTerminal, Way};
use crate::terminal::keys::KeyFilter;
use crate::terminal::modes::Modes;
use crate::terminal::{pty, relay};

/// A command in a container.
#[derive(Debug)]
pub struct Exec {
    /// Asks for the container's state when the exit code may be the client's instead of the command's.
    pub ending: Ending,
    /// The engine's client that connects this process's streams with the command.
    pub client: Invocation,
    /// The detach keys, if the command has a terminal. It can't be left running.
    pub keys: Option<DetachKeys>,
    /// The name of the command's program.
    pub program: String,
    /// Sends a signal, whose number or name is to be appended, to the command and its children. The engines' clients don't pass
    /// signals on, and leave the command running when they or their terminal go away.
    pub signal: Invocation,
    /// The name of this session inside.
    pub session: String,
}

/// docker's words when its daemon was restarted while a command ran.
const LOST: &str = "No such exec instance";

/// How long a command may take to start.
const STARTING: Duration = Duration::from_secs(2);

/// How long to wait until a command may have started.
const AGAIN: Duration = Duration::from_millis(100);

/// How long a command may take to end after SIGTERM.
const TERMINATING: Duration = Duration::from_secs(10);

impl Exec {
    /// Runs the command and returns its exit code. The clients' exit codes for their own failures may also be the command's:
    /// then the container's state decides.
    ///
    /// # Errors
    /// When the client can't run, or the container no longer runs.
    pub fn execute(&self, runner: Runner, interrupts: &Interrupts) -> Result<u8> {
        let start = SystemTime::now();
        let way = if self.keys.is_some() { Way::Terminal } else { Way::Streams };
        let mut open = self.ending.terminals.as_ref().map(|all| all.open(way, &self.program));
        let passed = AtomicI32::new(0);
        let pass_on = |number: i32| {
            let command = self.signalling(&number);
            let output = runner.capture_unless(&command, &Cancel::default());
            let is_passed = output.is_ok_and(|output| output.status.success());
            if is_passed {
                passed.store(number, Ordering::Relaxed);
            }
            is_passed
        };
        let (status, ended, lost) = match &self.keys {
            Some(keys) => {
                let (ended, lost) = self.with_terminal(keys, runner, interrupts, pass_on)?;
                (ended.status, Some(ended), lost)
            }
            None => (self.with_streams(runner, interrupts, pass_on)?, None, false),
        };
        let break_off = || ended.iter().for_each(|ended| ended.end_line(true));
        let passed = passed.load(Ordering::Relaxed);
        let Some(code) = status.code() else {
            // The client was ended, which the command doesn't notice.
            if passed == 0 {
                pass_on(SIGHUP);
            }
            break_off();
            let own = std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0);
            let signal = if passed == 0 { own } else { passed };
            return Ok(u8::try_from(128 + signal).unwrap_or(1));
        };
        let code = u8::try_from(code).unwrap_or(1);
        // A client's exit code for its own failures may also be the command's, as may that of a signal.
        let is_its_own = match code {
            1 | 125..=127 | 255 => false,
            129 | 137 | 143 => passed != 0,
            _ => true,
        };
        if is_its_own && !lost {
            return Ok(code);
        }
        let reason = self.ending.reason_for_command(runner, code, lost, start);
        if let Some(reason) = reason.inspect_err(|_| break_off())? {
            break_off();
            open.iter_mut().filter(|_| way == Way::Terminal).for_each(OpenTerminal::ends_with_cage);
            if !matches!(code, 129 | 137 | 143) {
                bail!(Failure::new(reason));
            }
            console::info(&reason);
        }
        Ok(code)
    }

    fn signalling(&self, signal: &impl ToString) -> Invocation {
        self.signal.clone().arg(signal.to_string())
    }

    /// Runs the client with the user's terminal until it ends, and passes signals on. Returns how it ended, and whether the engine no
    /// longer knows the command.
    fn with_terminal(
        &self,
        keys: &DetachKeys,
        runner: Runner,
        interrupts: &Interrupts,
        pass_on: impl Fn(i32) -> bool + Sync,
    ) -> Result<(Ended, bool)> {
        let client = Client {
            invocation: &self.client,
            if_killed: Some(&self.signalling(&SIGHUP)),
            runner,
            interrupts,
            modes: Modes::default(),
            redraws: false,
            session: Some(self.session.clone()),
        };
        let on_event = |running: &Running, event| match event {
            Event::Keys => {
                running.tell(&format!(
                    "{} again sends it to the program; only `cage start` detaches",
                    keys.shown()
                ));
            }
            // Its number differs between systems.
            Event::Signal(SIGCONT) => drop(runner.capture_unless(&self.signalling(&"CONT"), &running.ended)),
            Event::Signal(number) => {
                pass_on(number);
                // Shells ignore SIGTERM.
                let hangs_up = number == SIGTERM && !running.ends_within(TERMINATING);
                if hangs_up {
                    pass_on(SIGHUP);
                }
                if hangs_up || number == SIGHUP {
                    running.hang_up();
                }
            }
        };
        let filter = KeyFilter::new(keys);
        let ended = client.run(filter, on_event, None::<fn(&Running)>)?;
        let complaint = String::from_utf8_lossy(&ended.stderr);
        let lost = complaint.contains(LOST);
        if complaint.contains(DETACHED) {
            // The command runs on without a terminal.
            pass_on(SIGHUP);
            ended.end_line(true);
            console::info("the engine's client has left the command, which got a hangup");
        } else if !lost {
            complaint.lines().for_each(|line| console::error(&format!("{}\n", escape(line))));
        }
        Ok((ended, lost))
    }

    /// Runs the client with cage's own streams until it ends, while other threads pass signals on, and lines that are typed.
    fn with_streams(
        &self,
        runner: Runner,
        interrupts: &Interrupts,
        pass_on: impl Fn(i32) -> bool + Sync,
    ) -> Result<ExitStatus> {
        let failed = |error| EngineError::not_started(&self.client, &error);
        let numbers = interrupts.numbers().iter().copied().chain([SIGTSTP]);
        let mut signals = Signals::new(numbers).map_err(failed)?;
        let handle = signals.handle();
        let (ended, ended_writer) = io::pipe().map_err(failed)?;
        let mut watch = Watch::new(Some(&self.signalling(&SIGHUP)));
        let typed = console::terminal().stdin;
        // Where the terminal stops every writer in the background, Ctrl-C reaches the client, too, and its exit code tells nothing.
        let apart = !pty::stops_background_output();
        let mut child = runner.start(&self.client, Streams::Own { typed, apart })?;
        watch.follow(&child);
        let (client, keyboard) = (pid(&child), child.stdin.take());
        let kill = if apart { kill_process_group } else { kill_process };
        let signal = |signal| {
            client.map(|client| kill(client, signal));
        };
        // Early, the command may not be there yet.
        let pass_on = |number| {
            let deadline = Instant::now() + STARTING;
            while !pass_on(number) {
                if relay::has_ended(&ended, AGAIN).unwrap_or(true) {
                    return;
                }
                if Instant::now() > deadline {
                    return signal(Signal::HUP);
                }
            }
        };
        let status = thread::scope(|scope| {
            let start = || {
                keyboard.map(|pipe| spawn(scope, || relay::pass_lines(stdin(), pipe, &ended))).transpose()?;
                spawn(scope, || {
                    for number in &mut signals {
                        if number == SIGTSTP {
                            signal(Signal::STOP);
                            let _ = emulate_default_handler(SIGTSTP);
                            signal(Signal::CONT);
                        } else {
                            pass_on(number);
                        }
                    }
                })
            };
            let started = start();
            if started.is_err() {
                signal(Signal::HUP);
            }
            let status = child.wait();
            drop(watch);
            drop(ended_writer);
            handle.close();
            started.and(status)
        });
        Ok(status.map_err(failed)?)
    }
}
