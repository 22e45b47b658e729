//! Running the engine's client that connects the user's terminal with a process in a container.

use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};
use rustix::stdio::{stdin, stdout};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGTSTP, SIGWINCH};
use signal_hook::flag::register_conditional_default;
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::base::console;
use crate::base::text::escape;
use crate::engine::command::Invocation;
use crate::engine::error::EngineError;
use crate::engine::runner::{Cancel, Runner, Streams, Watch, pid, spawn};
use crate::engine::signals::Interrupts;
use crate::terminal::keys::KeyFilter;
use crate::terminal::modes::Modes;
use crate::terminal::pty::{Pty, SavedTerminal, is_in_background};
use crate::terminal::relay::{self, Input};
use crate::terminal::tracker::{ModeTracker, Output};

/// How long a message is left among the output of a program.
const MESSAGE: Duration = Duration::from_secs(3);

/// How long a client may take to end after a hangup.
const HANGUP: Duration = Duration::from_secs(2);

/// A client that is to run with the user's terminal. Between the two is a pseudo-terminal, in which cage sees the detach keys and
/// the modes that programs set.
pub struct Client<'a> {
    /// The command line.
    pub invocation: &'a Invocation,
    /// Runs after cage was killed.
    pub if_killed: Option<&'a Invocation>,
    /// Starts the client and other commands.
    pub runner: Runner,
    /// The signals that cage handles.
    pub interrupts: &'a Interrupts,
    /// The terminal's modes that a program in the container has set before.
    pub modes: Modes,
    /// Whether to make a running program redraw its screen.
    pub redraws: bool,
    /// The session whose command may be suspended, which suspends cage.
    pub session: Option<String>,
}

/// What happens to a client while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The detach keys were pressed.
    Keys,
    /// A signal came to cage. `SIGHUP` stands for a terminal that has gone away, too.
    Signal(i32),
}

/// A running client.
pub struct Running {
    pid: Option<Pid>,
    pty: Pty,
    tracker: Mutex<ModeTracker>,
    /// Stops the commands that run beside the client when it has ended.
    pub ended: Cancel,
    hung_up: AtomicBool,
    /// Is closed when the client has ended.
    pipe: io::PipeReader,
    /// Takes what is to be shown between the program's output.
    notes: io::PipeWriter,
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
    /// Whether the terminal was not left before, by a user who has suspended cage.
    had_terminal: bool,
    /// Whether the output ends in the middle of a line.
    in_line: bool,
}

impl Ended {
    /// Goes to a new line if the output ends in the middle of one. If the program was left or `broken_off`, erases what it has drawn
    /// below, which a program that ends by itself does.
    pub fn end_line(&self, broken_off: bool) {
        if !self.had_terminal {
            return;
        }
        // A program in raw mode may have left the cursor where its last line ended.
        let line = if self.in_line { "\n" } else { "\r" };
        let erase = if broken_off && !self.modes.alternate_screen() { "\x1b[J" } else { "" };
        let _ = relay::show(stdout(), [line, erase].concat().as_bytes());
    }
}

impl Running {
    /// Ends the client; the container and the processes in it go on. A client that doesn't end soon, or not before this is called
    /// again, is killed.
    pub fn hang_up(&self) {
        let again = self.hung_up.swap(true, Ordering::Relaxed);
        self.signal(Signal::HUP);
        if again || !self.ends_within(HANGUP) {
            self.signal(Signal::KILL);
        }
    }

    /// Waits until the client ends, and returns false if it hasn't after some time.
    pub fn ends_within(&self, time: Duration) -> bool {
        let limit = Timespec::try_from(time).ok();
        let _ = poll(&mut [PollFd::new(&self.pipe, PollFlags::IN)], limit.as_ref());
        self.ended.is_cancelled()
    }

    /// Waits until the client is about to connect.
    pub fn connects(&self) {
        self.pty.wait_for_client(|| self.ended.is_cancelled());
    }

    /// Returns the modes that are set now.
    pub fn modes(&self) -> Modes {
        self.tracker().modes().clone()
    }

    /// Sets the modes of a shell that has set them when nobody was attached, unless it or another program has changed them since.
    pub fn set_prompt(&self, prompt: &Modes) {
        let mut tracker = self.tracker();
        if !tracker.has_switched_paste() {
            let redo = prompt.redo();
            tracker.feed_note(redo.as_bytes());
            self.show(&redo);
        }
    }

    /// Makes the client pass the terminal's size on, or a size with some rows fewer.
    pub fn resize(&self, fewer: u16) {
        if let Ok(rows) = self.pty.resize(fewer) {
            self.tracker().set_rows(rows);
        }
        // The kernel sends SIGWINCH only to processes that have it as their controlling terminal.
        self.signal(Signal::WINCH);
    }

    /// Passes the size on once more, which changes nothing unless it was lost: podman without root, which is two processes,
    /// sometimes loses one of several quick signals.
    fn resize_again(&self) {
        if !self.ends_within(Duration::from_millis(500)) {
            self.resize(0);
        }
    }

    /// Makes the program redraw its screen by resizing: the pseudo-terminal is one row too small and then gets its real size.
    /// Output before the client connects is lost, so this repeats until there is output. docker's client tries the same, but so
    /// quickly that programs may miss it; podman's sets the size before it connects.
    pub fn redraw(&self) {
        let is_over = || self.tracker().has_output() || self.ended.is_cancelled();
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            wait_until(400, is_over);
            thread::sleep(Duration::from_millis(50));
            self.resize(0);
            wait_until(300, is_over);
            if is_over() || Instant::now() > deadline {
                return self.resize_again();
            }
            self.resize(1);
        }
    }

    /// Shows a message while the client has the terminal, as soon as the program's output allows: on the last line of a program's
    /// screen, with the cursor where it was, and otherwise as a line of its own.
    pub fn tell(&self, message: &str) {
        let columns = console::size().map_or(80, |(columns, _)| columns.into());
        let message: String = format!("cage: {}", escape(message)).chars().take(columns).collect();
        self.show(&if self.modes().are_of_a_prompt() {
            format!("\r\n{message}\r\n")
        } else {
            on_last_line(&message)
        });
    }

    /// Makes the program draw over a message; if it is more than a shell's prompt, once the user had time to read it.
    fn redraw_after_message(&self) {
        if !self.modes().are_of_a_prompt() {
            self.ends_within(MESSAGE);
            if !self.modes().are_of_a_prompt() {
                // Programs may draw only as much as their own lines had.
                self.show(&on_last_line(""));
            }
        }
        self.redraw_again();
    }

    /// Makes a program that has drawn its screen draw it again. A busy podman may miss the first of two quick changes, and then the
    /// size is as before: so this, too, repeats until there is output.
    fn redraw_again(&self) {
        self.tracker().forget_output();
        self.resize(1);
        self.redraw();
    }

    fn show(&self, note: &str) {
        // Without a terminal nobody reads it.
        let _ = (&self.notes).write_all(note.as_bytes());
    }

    /// Passes the user's input on until the client ends or is hung up.
    fn pass_input<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        filter: &mut KeyFilter,
        on_event: impl Fn(&Self, Event),
    ) {
        let on_input = |input| match input {
            Input::Discarded => {
                self.show("\x07");
                ControlFlow::Continue(())
            }
            Input::Keys => {
                on_event(self, Event::Keys);
                if self.hung_up.load(Ordering::Relaxed) {
                    return ControlFlow::Break(());
                }
                // Without another thread the message stays.
                let _ = spawn(scope, || self.redraw_after_message());
                ControlFlow::Continue(())
            }
        };
        let gone = relay::pass_input(stdin(), &self.pty, &self.pipe, filter, on_input);
        if gone.unwrap_or(true) {
            on_event(self, Event::Signal(SIGHUP));
        }
    }

    /// Signals the client's process group. Rootless podman is two processes, and the first does not forward every
    /// signal to the second.
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid.filter(|_| !self.ended.is_cancelled()) {
            let _ = kill_process_group(pid, signal);
        }
    }

    /// Stops cage, with the terminal as it was before. The client goes on, and waits when nobody reads its output.
    fn suspend(&self, terminal: &SavedTerminal) {
        let mut held = self.pty.hold_input();
        self.leave_terminal();
        terminal.restore();
        *held = true;
        drop(held);
        let _ = emulate_default_handler(SIGTSTP);
    }

    /// Undoes the modes, unless that was done before, and discards what the terminal sends that is not for the user's shell. Returns
    /// whether cage had the terminal.
    fn leave_terminal(&self) -> bool {
        let turn = self.pty.hold_output();
        let had_terminal = self.tracker().output() == Output::Shown;
        let Some(undo) = self.tracker().leave() else { return false };
        let _ = relay::show(stdout(), undo.as_bytes());
        drop(turn);
        // In the background the answer to a question is for another program.
        let reports = self.tracker().reports(relay::ANSWER).filter(|_| !is_in_background(stdin()));
        reports.into_iter().for_each(relay::discard_reports);
        had_terminal
    }

    /// Sets the modes of the terminal again after cage was stopped. The shell in between has set modes of its own. After a stop that
    /// cage could not prepare, those of the program are still on. Returns false if a signal ends cage, or the terminal is gone.
    fn resume(&self, terminal: &SavedTerminal) -> bool {
        let is_raw = terminal.make_raw().is_ok();
        if is_raw {
            let _turn = self.pty.hold_output();
            let modes = self.tracker().return_to_terminal();
            let _ = relay::show(stdout(), modes.as_bytes());
        }
        is_raw
    }

    /// Passes changes of the terminal's size on, stops and goes on, and passes other signals to `on_event`.
    fn pass_signals<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        signals: &mut Signals,
        terminal: &SavedTerminal,
        on_event: impl Fn(&Self, Event),
    ) {
        for number in signals {
            match number {
                SIGTSTP => self.suspend(terminal),
                SIGCONT if is_in_background(stdin()) && self.tracker().go_on_beside() => {
                    on_event(self, Event::Signal(SIGCONT));
                }
                SIGCONT => {
                    // A key is for the program, which may go on later than cage.
                    let mut held = self.pty.hold_input();
                    if self.resume(terminal) {
                        *held = false;
                        self.resize(0);
                        on_event(self, Event::Signal(SIGCONT));
                        // A command draws when it is continued, and podman loses the code of one that ends meanwhile.
                        if !self.tracker().has_session() {
                            let _ = spawn(scope, || self.redraw_again());
                        }
                    }
                    drop(held);
                }
                SIGWINCH => {
                    self.resize(0);
                    let _ = spawn(scope, || self.resize_again());
                }
                number => {
                    // The program may draw when it ends.
                    if is_in_background(stdin()) && self.tracker().output() != Output::Beside {
                        self.leave_terminal();
                        self.tracker().give_up();
                    }
                    on_event(self, Event::Signal(number));
                }
            }
        }
    }

    fn tracker(&self) -> std::sync::MutexGuard<'_, ModeTracker> {
        self.tracker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the sequence that shows only this text on the last line of the screen.
fn on_last_line(text: &str) -> String {
    format!("\x1b7\x1b[999;1H\x1b[m\x1b[2K{text}\x1b8")
}

/// Waits until something is the case, but at most for some milliseconds.
fn wait_until(patience: u64, is_over: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_millis(patience);
    while Instant::now() < deadline && !is_over() {
        thread::sleep(Duration::from_millis(10));
    }
}

impl Client<'_> {
    /// Runs the client until it ends, calls `on_event` in other threads, and runs `beside` in another one.
    ///
    /// This thread waits; others pass input and output on, and handle signals.
    ///
    /// # Errors
    /// When the client can't be run.
    pub fn run(
        self,
        mut filter: KeyFilter,
        on_event: impl Fn(&Running, Event) + Sync,
        beside: Option<impl FnOnce(&Running) + Send>,
    ) -> Result<Ended, EngineError> {
        let Self { invocation, if_killed, runner, interrupts, modes, redraws, session } = self;
        let failed = |error| EngineError::not_started(invocation, &error);
        let numbers = interrupts.numbers().iter().copied().chain([SIGWINCH, SIGCONT, SIGTSTP]);
        let mut signals = Signals::new(numbers).map_err(failed)?;
        let (pty, side) = Pty::open(invocation.kind().freezes_with_long_input()).map_err(failed)?;
        let terminal = SavedTerminal::read(interrupts.noted()).map_err(failed)?;
        let (pipe, ended_writer) = io::pipe().map_err(failed)?;
        let (notes_reader, notes) = io::pipe().map_err(failed)?;
        let rows = pty.resize(redraws.into());
        terminal.make_raw().map_err(failed)?;
        let mut watch = Watch::new(if_killed);
        let child = runner.start(invocation, Streams::Terminal(side))?;
        watch.follow(&child);
        let _ = relay::show(stdout(), modes.redo().as_bytes());
        let running = Running {
            pid: pid(&child),
            pty,
            tracker: Mutex::new(ModeTracker::new(modes, session)),
            ended: Cancel::default(),
            hung_up: AtomicBool::new(false),
            pipe,
            notes,
        };
        // A terminal may have no size.
        running.tracker().set_rows(rows.unwrap_or_default());
        let handle = signals.handle();
        let output = thread::scope(|scope| {
            let start = || {
                spawn(scope, || {
                    relay::pass_output(stdout(), &running.pty, &running.pipe, &notes_reader, &running.tracker)
                })?;
                spawn(scope, || running.pass_input(scope, &mut filter, &on_event))?;
                spawn(scope, || running.pass_signals(scope, &mut signals, &terminal, &on_event))?;
                beside.map(|beside| spawn(scope, || beside(&running))).transpose().map(drop)
            };
            let started = start();
            if started.is_err() {
                running.signal(Signal::HUP);
            }
            let output = child.wait_with_output();
            drop(watch);
            running.ended.cancel();
            drop(ended_writer);
            handle.close();
            started.and(output)
        });
        let (modes, had_terminal) = (running.modes(), running.leave_terminal());
        drop(terminal);
        // From now on Ctrl-Z stops cage as usual.
        let _ = register_conditional_default(SIGTSTP, Arc::new(AtomicBool::new(true)));
        let output = output.map_err(failed)?;
        let (in_line, hung_up) = (running.tracker().is_in_line(), running.hung_up.load(Ordering::Relaxed));
        Ok(Ended { status: output.status, stderr: output.stderr, modes, hung_up, had_terminal, in_line })
    }
}
