//! The user's terminal in raw mode, and a pseudo-terminal in its place for the engine's client.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open};
use rustix::io::{FdFlags, fcntl_setfd, write};
use rustix::process::{Signal, getpgrp, getpid, getsid, kill_current_process_group, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::stdio::{stderr, stdin, stdout};
use rustix::termios::{
    LocalModes, OptionalActions, OutputModes, Termios, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr,
    tcsetwinsize,
};
use signal_hook::consts::SIGTTOU;
use signal_hook::low_level::raise;

/// How much input is written at once to a client that is paced, in bytes.
const PIECE: usize = 512;

/// How long the program must then draw nothing, after it has drawn something or for the time [`SILENT`], before it gets the next piece.
const QUIET: Duration = Duration::from_millis(10);
const SILENT: Duration = Duration::from_millis(30);

/// How long the next piece waits at most.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// How long to wait for a client to take its terminal.
const TAKES_TERMINAL: Duration = Duration::from_secs(5);

/// The modes of the user's terminal before cage changed them. Dropping this sets them again.
#[derive(Debug)]
pub struct SavedTerminal {
    modes: Termios,
    ending: Arc<AtomicBool>,
}

impl SavedTerminal {
    /// Reads the modes of the terminal that stdin is. `ending` tells whether a signal ends cage.
    ///
    /// # Errors
    /// When stdin is not a terminal.
    pub fn read(ending: Arc<AtomicBool>) -> io::Result<Self> {
        Ok(Self { modes: tcgetattr(stdin())?, ending })
    }

    /// Makes the terminal raw: every key is passed on as it is. In the background this stops cage until the user brings it to the
    /// foreground, or a signal ends it.
    ///
    /// # Errors
    /// When a signal ends it, or the terminal has gone away.
    pub fn make_raw(&self) -> io::Result<()> {
        // `tcsetattr` stops cage, too, but again after each signal. Where no shell could continue it, nothing is stopped.
        for _ in 0..100 {
            if !is_in_background(stdin()) {
                break;
            }
            if self.ending.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            raise(SIGTTOU)?;
            // Another thread may take a signal that came meanwhile.
            thread::sleep(Duration::from_millis(10));
        }
        let mut raw = self.modes.clone();
        raw.make_raw();
        Ok(tcsetattr(stdin(), OptionalActions::Now, &raw)?)
    }

    /// Sets the modes from before again.
    pub fn restore(&self) {
        // A terminal that has gone away needs nothing, and in the background another program has it.
        if !is_in_background(stdin()) {
            let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.modes);
        }
    }
}

impl Drop for SavedTerminal {
    fn drop(&mut self) {
        self.restore();
    }
}

/// Returns whether another process group has a terminal.
pub fn is_in_background(terminal: impl AsFd) -> bool {
    tcgetpgrp(terminal).is_ok_and(|group| group != getpgrp())
}

/// Returns whether a terminal gives its readers whole lines, as it does unless a program wants each key.
pub fn reads_lines(terminal: impl AsFd) -> bool {
    tcgetattr(terminal).map_or(true, |modes| modes.local_modes.contains(LocalModes::ICANON))
}

/// Returns whether a terminal that is cage's output stops programs in the background that write to it (`stty tostop`).
pub fn stops_background_output() -> bool {
    let stops = |modes: Termios| modes.local_modes.contains(LocalModes::TOSTOP);
    tcgetattr(stdout()).is_ok_and(stops) || tcgetattr(stderr()).is_ok_and(stops)
}

/// Suspends cage's job, as Ctrl-Z does. Where no shell could continue it, acts as if one had done so.
pub fn suspend_job() {
    let has_shell = getsid(None).is_ok_and(|session| session != getpgrp());
    let _ = if has_shell {
        kill_current_process_group(Signal::TSTP)
    } else {
        kill_process(getpid(), Signal::CONT)
    };
}

/// cage's side of a pseudo-terminal, whose other side is the terminal of the engine's client.
#[derive(Debug)]
pub struct Pty {
    fd: OwnedFd,
    input: Mutex<bool>,
    output: Mutex<()>,
    pace: Option<Mutex<Pace>>,
}

/// What decides about the next piece of input.
#[derive(Debug)]
struct Pace {
    /// How much was written since the program was last quiet, in bytes.
    written: usize,
    last_input: Instant,
    last_output: Instant,
}

impl Pty {
    /// Makes a pseudo-terminal, and returns both sides. `paced` tells whether a long input is written in pieces.
    ///
    /// # Errors
    /// When there can't be another one.
    pub fn open(paced: bool) -> io::Result<(Self, OwnedFd)> {
        let pty = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        fcntl_setfd(&pty, FdFlags::CLOEXEC)?;
        grantpt(&pty)?;
        unlockpt(&pty)?;
        let path = ptsname(&pty, Vec::new())?;
        let client = open(path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        // What is typed before the client has taken the terminal waits for it, unchanged, and is not echoed. What the client
        // prints before and after looks as in any terminal. IEXTEN has no effect here but shows when the client sets its modes.
        let mut modes = tcgetattr(&client)?;
        modes.make_raw();
        modes.output_modes |= OutputModes::OPOST | OutputModes::ONLCR;
        modes.local_modes |= LocalModes::IEXTEN;
        tcsetattr(&client, OptionalActions::Now, &modes)?;
        fcntl_setfl(&pty, fcntl_getfl(&pty)? | OFlags::NONBLOCK)?;
        let now = Instant::now();
        let pace = paced.then(|| Mutex::new(Pace { written: 0, last_input: now, last_output: now }));
        Ok((Self { fd: pty, input: Mutex::default(), output: Mutex::default(), pace }, client))
    }

    /// Writes input that fits. Returns the number of bytes.
    pub fn write(&self, input: &[u8]) -> usize {
        let _turn = self.hold_input();
        let Some(mut pace) = self.pace() else { return write(&self.fd, input).unwrap_or(0) };
        let piece = &input[..input.len().min(pace.room())];
        let taken = if piece.is_empty() { 0 } else { write(&self.fd, piece).unwrap_or(0) };
        if taken > 0 {
            (pace.written, pace.last_input) = (pace.written + taken, Instant::now());
        }
        taken
    }

    /// Returns whether the next piece of input is to wait.
    pub fn is_paused(&self) -> bool {
        self.pace().is_some_and(|mut pace| pace.room() == 0)
    }

    /// Notes that the program draws.
    pub fn note_output(&self) {
        if let Some(mut pace) = self.pace() {
            pace.last_output = Instant::now();
        }
    }

    fn pace(&self) -> Option<MutexGuard<'_, Pace>> {
        self.pace.as_ref().map(|pace| pace.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps the user's input from being read and written until this is dropped. The value is whether the terminal was left, so that
    /// input is for another program while that has the terminal.
    pub fn hold_input(&self) -> MutexGuard<'_, bool> {
        self.input.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps other threads from leaving the user's terminal or returning to it while this shows output, or the other way round, until
    /// this is dropped.
    pub fn hold_output(&self) -> MutexGuard<'_, ()> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives it the size of the user's terminal, or some rows fewer. Returns the number of rows.
    ///
    /// # Errors
    /// When a terminal has gone away.
    pub fn resize(&self, fewer: u16) -> io::Result<u16> {
        let mut size = tcgetwinsize(stdout())?;
        size.ws_row = size.ws_row.saturating_sub(fewer);
        tcsetwinsize(&self.fd, size)?;
        Ok(size.ws_row)
    }

    /// Waits until the client has set its terminal's modes, which clients do right before they connect, or until `ended` returns
    /// true.
    pub fn wait_for_client(&self, ended: impl Fn() -> bool) {
        let is_taken =
            || tcgetattr(&self.fd).is_ok_and(|modes| !modes.local_modes.contains(LocalModes::IEXTEN));
        let deadline = Instant::now() + TAKES_TERMINAL;
        while !ended() && Instant::now() < deadline && !is_taken() {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Pace {
    /// Returns how much may be written now, in bytes.
    fn room(&mut self) -> usize {
        let [input, output] = [self.last_input, self.last_output].map(|last| last.elapsed());
        let has_reacted = self.last_output > self.last_input || input >= SILENT;
        if input >= LONGEST_PAUSE || has_reacted && output >= QUIET {
            self.written = 0;
        }
        PIECE.saturating_sub(self.written)
    }
}

impl AsFd for Pty {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_input_waits_for_a_program_that_draws() {
        let (pty, _client) = Pty::open(true).unwrap();
        let input = [b'x'; 3 * PIECE];
        // Keys never wait.
        assert_eq!([pty.write(b"a"), pty.write(&input), pty.write(&input)], [1, PIECE - 1, 0]);
        assert!(pty.is_paused());
        let start = Instant::now();
        while pty.is_paused() {
            pty.note_output();
            thread::sleep(QUIET / 4);
        }
        assert!(start.elapsed() + QUIET > LONGEST_PAUSE, "{:?}", start.elapsed());
        assert_eq!(pty.write(&input), PIECE);
        pty.note_output();
        thread::sleep(QUIET);
        assert_eq!(pty.write(&input), PIECE);
        thread::sleep(SILENT);
        assert_eq!(pty.write(&input), PIECE);
        let (pty, _client) = Pty::open(false).unwrap();
        assert!(pty.write(&input) == input.len() && !pty.is_paused());
    }
}
