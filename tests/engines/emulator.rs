//! A terminal that keeps the modes which programs set, answers questions, and sends keys and pastes as they ask for it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rexpect::process::PtyProcess;
use vt100::{Callbacks, Parser, Screen};

use crate::lab::World;

/// How long a program may take to show something. Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The modes that the emulator of the screen doesn't know, and what is to be answered.
#[derive(Default)]
struct Extra {
    /// Private modes, with whether they are on.
    private: BTreeMap<u16, bool>,
    /// The flags of the kitty keyboard protocol that were pushed.
    keyboard: Vec<u16>,
    modify_other_keys: u16,
    answers: Vec<u8>,
}

impl Callbacks for Extra {
    fn unhandled_csi(
        &mut self,
        screen: &mut Screen,
        i1: Option<u8>,
        i2: Option<u8>,
        params: &[&[u16]],
        c: char,
    ) {
        let number = |index: usize| params.get(index).map_or(0, |parameter| parameter[0]);
        match (i1, i2, c) {
            (Some(b'?'), None, 'h' | 'l') => {
                for parameter in params {
                    self.private.insert(parameter[0], c == 'h');
                }
            }
            (Some(b'>'), None, 'u') => self.keyboard.push(number(0)),
            (Some(b'<'), None, 'u') => {
                let left = self.keyboard.len().saturating_sub(number(0).max(1).into());
                self.keyboard.truncate(left);
            }
            (Some(b'?'), None, 'u') => {
                let flags = self.keyboard.last().copied().unwrap_or(0);
                self.answers.extend(format!("\x1b[?{flags}u").bytes());
            }
            (Some(b'>'), None, 'm') if number(0) == 4 => self.modify_other_keys = number(1),
            (None, None, 'c') => self.answers.extend(b"\x1b[?62;22c"),
            (None, None, 'n') if number(0) == 5 => self.answers.extend(b"\x1b[0n"),
            (None, None, 'n') if number(0) == 6 => {
                let (row, column) = screen.cursor_position();
                self.answers.extend(format!("\x1b[{};{}R", row + 1, column + 1).bytes());
            }
            _ => {}
        }
    }
}

/// A terminal in which a shell of the user's runs a script.
pub struct Emulator {
    /// The process and its terminal; ended when this goes away.
    process: PtyProcess,
    keyboard: File,
    state: Arc<Mutex<(Parser<Extra>, String)>>,
}

impl Emulator {
    /// Runs a script in a terminal of 80 columns and 24 rows.
    pub fn run(world: &World, script: &str, variables: &[(&str, &str)]) -> Self {
        Self::slow(world, script, variables, &[""])
    }

    /// Runs a script in a terminal that is slow to answer questions: not before it has shown one of the texts `after`.
    pub fn slow(
        world: &World,
        script: &str,
        variables: &[(&str, &str)],
        after: &'static [&'static str],
    ) -> Self {
        let mut command = world.command("sh");
        let path = format!("{}:{}", world.binary().parent().unwrap().display(), crate::lab::PATH);
        command.args(["-c", &format!("stty rows 24 cols 80; {script}; echo \"code=$?.\"")]);
        command.env("PATH", path).env("TERM", "xterm").envs(variables.iter().copied());
        let process = PtyProcess::new(command).unwrap();
        let screen = [24, 80].map(|size| NonZeroU16::new(size).unwrap());
        let parser = Parser::new_with_callbacks(screen[0], screen[1], 0, Extra::default());
        let state = Arc::new(Mutex::new((parser, String::new())));
        let mut output = process.get_file_handle().unwrap();
        let (seen, mut answers) = (Arc::clone(&state), process.get_file_handle().unwrap());
        thread::spawn(move || {
            let (mut bytes, mut is_slow) = ([0; 4096], true);
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                let answer = {
                    let mut state = seen.lock().unwrap();
                    state.0.process(&bytes[..count]);
                    state.1.push_str(&String::from_utf8_lossy(&bytes[..count]));
                    is_slow = is_slow && !after.iter().any(|text| state.1.contains(text));
                    if is_slow { Vec::new() } else { std::mem::take(&mut state.0.callbacks_mut().answers) }
                };
                if answers.write_all(&answer).is_err() {
                    break;
                }
            }
        });
        let keyboard = process.get_file_handle().unwrap();
        Self { process, keyboard, state }
    }

    /// Sends bytes, as keys do.
    pub fn sends(&mut self, bytes: &str) -> &mut Self {
        self.keyboard.write_all(bytes.as_bytes()).unwrap();
        self
    }

    /// Types a line.
    pub fn types(&mut self, line: &str) -> &mut Self {
        self.sends(line).sends("\r")
    }

    /// Pastes text, as the program wants it.
    pub fn pastes(&mut self, text: &str) -> &mut Self {
        let is_bracketed = self.state.lock().unwrap().0.screen().bracketed_paste();
        self.sends(&if is_bracketed { format!("\x1b[200~{text}\x1b[201~") } else { text.to_owned() })
    }

    /// Waits until everything that was shown since the last call contains a text, and forgets it.
    #[track_caller]
    pub fn shows(&mut self, text: &str) -> &mut Self {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut state = self.state.lock().unwrap();
            if let Some(start) = state.1.find(text) {
                state.1.drain(..start + text.len());
                drop(state);
                return self;
            }
            assert!(Instant::now() < deadline, "should have shown {text:?}: {:?}", state.1);
            drop(state);
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Returns what was shown since the last call, after a while.
    pub fn shown_within(&mut self, time: Duration) -> String {
        thread::sleep(time);
        std::mem::take(&mut self.state.lock().unwrap().1)
    }

    /// Returns all modes that are not as in a new terminal.
    pub fn modes(&self) -> String {
        let state = self.state.lock().unwrap();
        let (screen, extra) = (state.0.screen(), state.0.callbacks());
        let mut modes = Vec::new();
        let mut note = |name: &str, is_on: bool| modes.extend(is_on.then(|| name.to_owned()));
        note("alternate screen", screen.alternate_screen());
        note("hidden cursor", screen.hide_cursor());
        note("bracketed paste", screen.bracketed_paste());
        note("application cursor", screen.application_cursor());
        note("application keypad", screen.application_keypad());
        note("mouse", screen.mouse_protocol_mode() != vt100::MouseProtocolMode::None);
        note("mouse encoding", screen.mouse_protocol_encoding() != vt100::MouseProtocolEncoding::Default);
        note("modify other keys", extra.modify_other_keys != 0);
        modes.extend((!extra.keyboard.is_empty()).then(|| format!("keyboard {:?}", extra.keyboard)));
        let is_default = |mode: u16, on: bool| on == matches!(mode, 7);
        modes.extend(
            extra
                .private
                .iter()
                .filter(|(mode, on)| !is_default(**mode, **on))
                .map(|(mode, _)| mode.to_string()),
        );
        modes.join(", ")
    }

    /// Waits until the modes are these.
    #[track_caller]
    pub fn has_modes(&mut self, modes: &str) -> &mut Self {
        let deadline = Instant::now() + PATIENCE;
        while self.modes() != modes {
            assert!(Instant::now() < deadline, "should have had modes {modes:?}: {:?}", self.modes());
            thread::sleep(Duration::from_millis(10));
        }
        self
    }

    /// Waits until a text is on the screen.
    #[track_caller]
    pub fn has_on_screen(&mut self, text: &str) -> &mut Self {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let screen = self.state.lock().unwrap().0.screen().contents();
            if screen.contains(text) {
                return self;
            }
            assert!(Instant::now() < deadline, "should have had {text:?} on the screen:\n{screen}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Closes the terminal, as a window is closed.
    pub fn closes(self) {
        drop(self.process);
    }
}
