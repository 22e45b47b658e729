//! A terminal that keeps the modes which programs set, answers questions, and sends keys and pastes as they ask for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rexpect::process::PtyProcess;
use vt100::{Callbacks, Parser, Screen};

use crate::common::absent;
use crate::lab::{Engine, World, from_npm};

/// How long a program may take to show something. Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Writes the bytes on stdin to xterm.js, the terminal of VS Code, and prints the names of the modes that it knows, and of those
/// that are on.
const XTERM: &str = r#"
const { Terminal } = require(process.argv[1]);
const terminal = new Terminal({ cols: 80, rows: 24, allowProposedApi: true });
terminal.write(require("fs").readFileSync(0), () => {
    const modes = terminal.modes;
    const names = {
        "alternate screen": terminal.buffer.active.type === "alternate",
        "hidden cursor": terminal._core.coreService.isCursorHidden,
        "bracketed paste": modes.bracketedPasteMode,
        "application cursor": modes.applicationCursorKeysMode,
        "application keypad": modes.applicationKeypadMode,
        "mouse": modes.mouseTrackingMode !== "none",
        "1004": modes.sendFocusMode,
        "2026": modes.synchronizedOutputMode,
        "6": modes.originMode,
        "7": !modes.wraparoundMode,
    };
    const on = Object.keys(names).filter((name) => names[name]);
    console.log(Object.keys(names).join(", ") + ", :" + on.join(", "));
});
"#;

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

/// What has come to the terminal.
struct State {
    screen: Parser<Extra>,
    /// What no test has looked for yet.
    unseen: String,
    all: Vec<u8>,
}

/// A terminal in which a shell of the user's runs a script.
pub struct Emulator {
    /// The process and its terminal; ended when this goes away.
    process: PtyProcess,
    keyboard: File,
    state: Arc<Mutex<State>>,
    engine: Engine,
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
        let size = [24, 80].map(|size| NonZeroU16::new(size).unwrap());
        let screen = Parser::new_with_callbacks(size[0], size[1], 0, Extra::default());
        let state = Arc::new(Mutex::new(State { screen, unseen: String::new(), all: Vec::new() }));
        let mut output = process.get_file_handle().unwrap();
        let (seen, mut answers) = (Arc::clone(&state), process.get_file_handle().unwrap());
        thread::spawn(move || {
            let (mut bytes, mut is_slow) = ([0; 4096], true);
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                let answer = {
                    let mut state = seen.lock().unwrap();
                    state.screen.process(&bytes[..count]);
                    state.all.extend(&bytes[..count]);
                    state.unseen.push_str(&String::from_utf8_lossy(&bytes[..count]));
                    is_slow = is_slow && !after.iter().any(|text| state.unseen.contains(text));
                    if is_slow {
                        Vec::new()
                    } else {
                        std::mem::take(&mut state.screen.callbacks_mut().answers)
                    }
                };
                if answers.write_all(&answer).is_err() {
                    break;
                }
            }
        });
        let keyboard = process.get_file_handle().unwrap();
        Self { process, keyboard, state, engine: world.engine }
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
        let is_bracketed = self.state.lock().unwrap().screen.screen().bracketed_paste();
        self.sends(&if is_bracketed { format!("\x1b[200~{text}\x1b[201~") } else { text.to_owned() })
    }

    /// Waits until everything that was shown since the last call contains a text, and forgets it.
    #[track_caller]
    pub fn shows(&mut self, text: &str) -> &mut Self {
        self.shown_until(text);
        self
    }

    /// The same, and returns what was shown before that text.
    #[track_caller]
    pub fn shown_until(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut state = self.state.lock().unwrap();
            if let Some(start) = state.unseen.find(text) {
                let mut shown: String = state.unseen.drain(..start + text.len()).collect();
                shown.truncate(start);
                return shown;
            }
            assert!(Instant::now() < deadline, "should have shown {text:?}: {:?}", state.unseen);
            drop(state);
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Returns what was shown since the last call, after a while.
    pub fn shown_within(&mut self, time: Duration) -> String {
        thread::sleep(time);
        std::mem::take(&mut self.state.lock().unwrap().unseen)
    }

    /// Returns all modes that are not as in a new terminal.
    pub fn modes(&self) -> String {
        let state = self.state.lock().unwrap();
        let (screen, extra) = (state.screen.screen(), state.screen.callbacks());
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
        let is_default = |mode: u16, on: bool| mode == 1007 || on == (mode == 7);
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

    /// Returns the text on the screen.
    pub fn screen(&self) -> String {
        self.state.lock().unwrap().screen.screen().contents()
    }

    /// Waits until a text is on the screen.
    #[track_caller]
    pub fn has_on_screen(&mut self, text: &str) -> &mut Self {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if screen.contains(text) {
                return self;
            }
            assert!(Instant::now() < deadline, "should have had {text:?} on the screen:\n{screen}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Checks that a terminal of others, which gets the same bytes, has the same modes as this one, of those that it knows.
    #[track_caller]
    pub fn agrees_with_xterm(&mut self) -> &mut Self {
        let Some(library) = from_npm("xterm") else {
            absent(self.engine, "no xterm.js to compare with");
            return self;
        };
        let (own, bytes) = (self.modes(), self.state.lock().unwrap().all.clone());
        let mut xterm = Command::new("node");
        xterm.args(["-e", XTERM]).arg(library).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut xterm = xterm.spawn().unwrap();
        xterm.stdin.take().unwrap().write_all(&bytes).unwrap();
        let output = xterm.wait_with_output().unwrap();
        assert!(output.status.success());
        let of_xterm = String::from_utf8(output.stdout).unwrap();
        let (known, on) = of_xterm.trim_end().split_once(':').unwrap();
        // The list has an empty name, too, for no mode.
        let modes = |list: &str| list.split(", ").map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(&modes(&own) & &modes(known), modes(on), "after {:?}", String::from_utf8_lossy(&bytes));
        self
    }

    /// Closes the terminal, as a window is closed.
    pub fn closes(self) {
        drop(self.process);
    }
}
