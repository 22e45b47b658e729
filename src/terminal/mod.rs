//! The user's terminal: its modes, and the state that a program left it in. Printing is in `base/console.rs`.

use rustix::stdio::stdin;
use std::thread;
use std::time::{Duration, Instant};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::base::console;

/// How long to wait for a client to change the terminal's modes. A client that finds the terminal raw never does.
const PATIENCE: Duration = Duration::from_secs(5);

/// The modes of the terminal before a client changed them. A client that is killed leaves the terminal raw.
#[derive(Debug)]
pub struct SavedModes(Option<Termios>);

impl SavedModes {
    /// Reads the modes of the terminal that stdin is, if it is one.
    pub fn read() -> Self {
        Self(tcgetattr(stdin()).ok())
    }

    /// Waits until a client has changed the modes, which clients do right before they connect, or until `ended` returns true.
    pub fn wait_for_change(&self, ended: impl Fn() -> bool) {
        let modes = |terminal: &Termios| terminal.local_modes;
        let before = self.0.as_ref().map(modes);
        let deadline = Instant::now() + PATIENCE;
        while !ended() && Instant::now() < deadline && tcgetattr(stdin()).ok().as_ref().map(modes) == before {
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sets the modes as they were.
    pub fn restore(&self) {
        if let Some(modes) = &self.0 {
            // A terminal that has gone away needs nothing.
            let _ = tcsetattr(stdin(), OptionalActions::Now, modes);
        }
    }
}

/// Resets what a program that no longer has the terminal may have changed: the alternate screen, a hidden cursor, colours,
/// cursor keys, bracketed paste, focus and mouse reports. The cursor stays where it is.
pub fn reset() {
    console::control(concat!(
        // Leaving the alternate screen moves the cursor to where it was saved, also if there was none to leave.
        "\x1b7\x1b[?1049l",
        "\x1b[?25h\x1b[0m\x1b[?1l\x1b>",
        "\x1b[?2004l\x1b[?1004l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l",
    ));
}
