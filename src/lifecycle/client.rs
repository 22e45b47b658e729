//! Running the engine's client that connects the user's terminal with a process in a container.

use std::io;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGWINCH};
use signal_hook::iterator::Signals;

use crate::base::console;
use crate::base::text::escape;
use crate::engine::command::Invocation;
use crate::engine::error::EngineError;
use crate::engine::runner::{Cancel, Runner, Streams, pid, spawn};
use crate::engine::signals::Interrupts;
use crate::terminal::keys::KeyFilter;
use crate::terminal::modes::{ModeTracker, Modes};
use crate::terminal::pty::{Pty, SavedTerminal};
use crate::terminal::relay;

/// A client that is to run with the user's terminal. Between the two is a pseudo-terminal, in which cage sees the detach keys and
/// the modes that programs set.
pub struct Client<'a> {
    /// The command line.
    pub invocation: &'a Invocation,
    /// Starts the client and other commands.
    pub runner: Runner,
    /// The signals that cage handles.
    pub interrupts: &'a Interrupts,
    /// The terminal's modes that a program in the container has set before.
    pub modes: Modes,
    /// Whether to make a running program redraw its screen.
    pub redraws: bool,
}

/// What happens to a client while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The client has taken its terminal, and is about to connect.
    Connecting,
    /// The detach keys were pressed.
    Keys,
    /// A signal came to cage. `SIGHUP` stands for a terminal that has gone away, too.
    Signal(i32),
}

/// A running client.
pub struct Running<'a> {
    pid: Option<Pid>,
    pty: &'a Pty,
    tracker: &'a Mutex<ModeTracker>,
    /// Stops the commands that run beside the client when it has ended.
    pub ended: &'a Cancel,
    hung_up: &'a AtomicBool,
    /// Is closed when the client has ended.
    pipe: &'a io::PipeReader,
    redraws: bool,
}

/// A client that has ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit status.
    pub status: ExitStatus,
    /// The client's messages on stderr. The container's output all comes on stdout.
    pub stderr: Vec<u8>,
    /// The terminal's modes that were set at the end; they are undone.
    pub modes: Modes,
    /// Whether cage ended it.
    pub hung_up: bool,
}

impl Running<'_> {
    /// Ends the client; the container and the processes in it go on.
    pub fn hang_up(&self) {
        self.hung_up.store(true, Ordering::Relaxed);
        self.signal(Signal::HUP);
    }

    /// Makes the client pass the terminal's size on, or a size with some rows fewer.
    fn resize(&self, fewer: u16) {
        if let Ok(rows) = self.pty.resize(fewer) {
            self.tracker().set_rows(rows);
        }
        // The kernel sends SIGWINCH only to processes that have it as their controlling terminal.
        self.signal(Signal::WINCH);
    }

    /// Makes the program redraw its screen by resizing: the pseudo-terminal starts one row too small and then gets its real size.
    /// Output before the client connects is lost, so this repeats until there is output. docker's client tries the same, but so
    /// quickly that programs may miss it; podman's sets the size before it connects.
    fn redraw(&self) {
        for patience in [400, 1500, 3000] {
            self.wait_for_output(patience);
            thread::sleep(Duration::from_millis(50));
            self.resize(0);
            self.wait_for_output(300);
            if self.tracker().has_output() || self.ended.is_cancelled() {
                return;
            }
            self.resize(1);
        }
        self.resize(0);
    }

    /// Waits for output, but at most for some milliseconds.
    fn wait_for_output(&self, patience: u64) {
        let deadline = Instant::now() + Duration::from_millis(patience);
        while Instant::now() < deadline && !self.tracker().has_output() && !self.ended.is_cancelled() {
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Shows a message while the client has the terminal: on the last line of the alternate screen, otherwise below the cursor.
    pub fn tell(&self, message: &str) {
        let message = escape(message);
        console::control(&if self.tracker().modes().alternate_screen() {
            format!("\x1b7\x1b[999;1H\x1b[2K\x1b[mcage: {message}\x1b8")
        } else {
            format!("\r\ncage: {message}\r\n")
        });
    }

    /// Signals the client's process group. Rootless podman is two processes, and the first does not forward every
    /// signal to the second.
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid.filter(|_| !self.ended.is_cancelled()) {
            let _ = kill_process_group(pid, signal);
        }
    }

    fn tracker(&self) -> std::sync::MutexGuard<'_, ModeTracker> {
        self.tracker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client<'_> {
    /// Runs the client until it ends, and calls `on_event` in other threads.
    ///
    /// Besides this thread, which waits, there are four: one passes input on, one output, one handles signals, and one waits for the
    /// client to connect.
    ///
    /// # Errors
    /// When the client can't be run.
    pub fn run(
        self,
        filter: KeyFilter,
        on_event: impl Fn(&Running, Event) + Sync,
    ) -> Result<Ended, EngineError> {
        let Self { invocation, runner, interrupts, modes, redraws } = self;
        let failed = |error| EngineError::not_started(invocation, &error);
        let numbers = interrupts.numbers().iter().copied().chain([SIGWINCH, SIGCONT]);
        let mut signals = Signals::new(numbers).map_err(failed)?;
        let (pty, side) = Pty::open().map_err(failed)?;
        let terminal = SavedTerminal::read().map_err(failed)?;
        let (ended_reader, ended_writer) = io::pipe().map_err(failed)?;
        let rows = pty.resize(redraws.into());
        let child = runner.start(invocation, Streams::Terminal(side))?;
        console::control(&modes.redo());
        let tracker = Mutex::new(ModeTracker::new(modes));
        let (ended, hung_up) = (Cancel::default(), AtomicBool::new(false));
        let running = Running {
            pid: pid(&child),
            pty: &pty,
            tracker: &tracker,
            ended: &ended,
            hung_up: &hung_up,
            pipe: &ended_reader,
            redraws,
        };
        // A terminal may have no size.
        running.tracker().set_rows(rows.unwrap_or_default());
        let handle = signals.handle();
        let output = thread::scope(|scope| {
            let started = terminal.make_raw().and_then(|()| {
                running.pass_bytes(scope, filter, &on_event)?;
                running.watch(scope, &terminal, &mut signals, &on_event)
            });
            if started.is_err() {
                running.signal(Signal::HUP);
            }
            let output = child.wait_with_output();
            ended.cancel();
            drop(ended_writer);
            handle.close();
            started.and(output)
        });
        let modes = running.tracker().modes().clone();
        console::control(&modes.undo());
        if modes.reports() {
            relay::discard_reports();
        }
        drop(terminal);
        let output = output.map_err(failed)?;
        Ok(Ended { status: output.status, stderr: output.stderr, modes, hung_up: hung_up.into_inner() })
    }
}

impl Running<'_> {
    /// Starts the threads that pass input and output on.
    fn pass_bytes<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        mut filter: KeyFilter,
        on_event: &'scope (impl Fn(&Running, Event) + Sync),
    ) -> io::Result<()> {
        spawn(scope, move || relay::pass_output(self.pty, self.pipe, self.tracker))?;
        spawn(scope, move || {
            let gone = relay::pass_input(self.pty, self.pipe, &mut filter, || on_event(self, Event::Keys));
            if gone.unwrap_or(true) {
                on_event(self, Event::Signal(SIGHUP));
            }
        })?;
        Ok(())
    }

    /// Starts the threads that handle signals and wait for the client to connect.
    fn watch<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        terminal: &'scope SavedTerminal,
        signals: &'scope mut Signals,
        on_event: &'scope (impl Fn(&Running, Event) + Sync),
    ) -> io::Result<()> {
        spawn(scope, move || {
            for number in signals {
                if number == SIGCONT {
                    let _ = terminal.make_raw();
                }
                match number {
                    SIGWINCH | SIGCONT => self.resize(0),
                    number => on_event(self, Event::Signal(number)),
                }
            }
        })?;
        spawn(scope, move || {
            self.pty.wait_for_client(|| self.ended.is_cancelled());
            if self.redraws {
                self.redraw();
            }
            on_event(self, Event::Connecting);
        })?;
        Ok(())
    }
}
