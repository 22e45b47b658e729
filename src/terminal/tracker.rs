//! Following the modes that a program sets in its output.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

use vte::{Params, Parser, Perform};

use super::characters::{Characters, ESCAPE};
use super::modes::{
    APPLICATION_KEYPAD, ASCII, BACK_TO_TITLES, FIRST_CHARSET, FORMATS, Is, LINE_FEED, MAX_STACK, MODIFIERS,
    Modes, NO_ECHO, NO_LOCATOR, NO_USER_KEYS, PASTE, REPLACE, SEVEN_BITS, UNLOCKED, UTF_8, WHEEL, WHEEL_ON,
    is, switch,
};
use super::questions::Questions;

/// The mode of a terminal that draws lines, which understands other sequences.
const TEKTRONIX: u16 = 38;

/// Sequences that leave that mode, and VT52 mode, in which another sequence could swallow the first.
const BACK: &str = "\x1b\x03\x1b<\x1b<";

/// The most parameters that every terminal takes. vte takes 32.
const MAX_PARAMETERS: usize = 16;

/// The kind of string that gives keys a text (DECUDK).
const USER_KEYS: Option<char> = Some('|');

/// The beginnings of strings that set something, and the sequences that undo it.
const STRINGS: [(&str, &str); 7] = [
    ("4;", "\x1b]104\x1b\\"),     // the palette
    ("8;", "\x1b]8;;\x1b\\"),     // a link
    ("9;4;", "\x1b]9;4;0\x1b\\"), // progress, shown in a taskbar for example
    ("10;", "\x1b]110\x1b\\"),    // the colour of text
    ("11;", "\x1b]111\x1b\\"),    // of the background
    ("12;", "\x1b]112\x1b\\"),    // of the cursor
    ("22;", "\x1b]22;\x1b\\"),    // the pointer's shape
];

/// The beginnings of strings that set a title, and the sequence that keeps both titles.
const TITLES: [&str; 3] = ["0;", "1;", "2;"];
const KEEP_TITLES: &str = "\x1b[22;0t";

/// Follows the modes in a program's output.
#[derive(Default)]
pub struct ModeTracker {
    parser: Parser,
    state: State,
    has_output: bool,
    characters: Characters,
    output: Output,
}

/// What happens to the program's output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Output {
    /// The user's terminal shows it.
    #[default]
    Shown,
    /// It is shown beside that of the program that has the terminal now.
    Beside,
    /// It waits, because the terminal was left.
    Held,
    /// It is discarded, because the terminal was left for good.
    Discarded,
}

/// The number of the string for the operating system by which the shell that controls a command says that it is suspended. No terminal
/// knows it.
const SUSPENDED: &str = "5379;";

/// The command of a session, which may be suspended.
struct Job {
    session: String,
    is_suspended: bool,
}

#[derive(Default)]
struct State {
    modes: Modes,
    questions: Questions,
    job: Option<Job>,
    /// Whether the output has a sequence, or sets a mode, that terminals understand differently.
    is_doubtful: bool,
    /// The sequences that undo dangerous modes, even those that the program has undone: a terminal may not have understood that.
    undo_at_end: BTreeSet<String>,
    /// The height of the terminal. A scroll region of that height is none.
    rows: u16,
    in_sequence: bool,
    /// Whether there was text since the last line feed.
    in_line: bool,
    /// What the output has last switched bracketed paste to.
    paste: Option<bool>,
    /// Whether the program expects that the wheel sends cursor keys.
    wheel: Option<bool>,
    /// The modes that the output has made the terminal save.
    saved: BTreeMap<u16, bool>,
    /// How often the output has set a title since that was last asked.
    titles: usize,
    /// The kind of the last device control string.
    device_string: Option<char>,
}

impl ModeTracker {
    /// Follows modes from `modes` on, and when the command of a session is suspended, if it can be.
    pub fn new(modes: Modes, session: Option<String>) -> Self {
        let job = session.map(|session| Job { session, is_suspended: false });
        Self { state: State { modes, job, ..State::default() }, ..Self::default() }
    }

    /// Notes the height of the terminal, in rows.
    pub fn set_rows(&mut self, rows: u16) {
        self.state.rows = rows;
    }

    /// Follows a piece of output, which may begin and end anywhere.
    pub fn feed(&mut self, output: &[u8]) {
        self.has_output = true;
        let ascii = self.characters.in_ascii(output);
        // What follows the last Escape tells whether a sequence is complete.
        let last = ascii.iter().rposition(|byte| *byte == ESCAPE);
        let (before, rest) = ascii.split_at(last.unwrap_or(0));
        self.parser.advance(&mut self.state, before);
        self.state.in_sequence |= last.is_some();
        self.parser.advance(&mut self.state, rest);
        self.state.questions.note_time();
    }

    /// Follows modes that cage itself sets between the output.
    pub fn feed_note(&mut self, note: &[u8]) {
        let has_output = self.has_output;
        self.feed(note);
        self.has_output = has_output;
    }

    /// Returns whether there was any output, or any since [`ModeTracker::forget_output`].
    pub fn has_output(&self) -> bool {
        self.has_output
    }

    /// Forgets that there was output.
    pub fn forget_output(&mut self) {
        self.has_output = false;
    }

    /// Returns whether this follows the command of a session.
    pub fn has_session(&self) -> bool {
        self.state.job.is_some()
    }

    /// Returns whether the command was suspended since the last call.
    pub fn take_suspension(&mut self) -> bool {
        self.state.job.as_mut().is_some_and(|job| mem::take(&mut job.is_suspended))
    }

    /// Returns whether the output ends in the middle of a line.
    pub fn is_in_line(&self) -> bool {
        self.state.in_line
    }

    /// Returns whether the output has switched bracketed paste on or off.
    pub fn has_switched_paste(&self) -> bool {
        self.state.paste.is_some()
    }

    /// Returns whether something else may be shown here: the output does not end in the middle of a sequence or character.
    pub fn is_between_sequences(&self) -> bool {
        !self.state.in_sequence && !self.characters.is_cut
    }

    /// Returns the modes at the end of the output.
    pub fn modes(&self) -> &Modes {
        &self.state.modes
    }

    /// Returns what happens to the output.
    pub fn output(&self) -> Output {
        self.output
    }

    /// Leaves the terminal. Returns the sequences that break off an unfinished one, and undo what is on; `None` if it was left before.
    pub fn leave(&mut self) -> Option<String> {
        let had = mem::replace(&mut self.output, Output::Held);
        matches!(had, Output::Shown | Output::Beside).then(|| self.undo())
    }

    /// Shows the output again although another program has the terminal, if that was left by the command of a session that needs
    /// neither keys nor the screen. Returns whether it does.
    pub fn go_on_beside(&mut self) -> bool {
        let can = self.output == Output::Held && self.has_session() && !self.needs_terminal();
        if can {
            self.output = Output::Beside;
        }
        can
    }

    /// Returns whether the program needs keys or the screen, as its modes tell.
    pub fn needs_terminal(&self) -> bool {
        self.modes().of_program() != Modes::default()
    }

    /// Discards the output from now on if the terminal was left.
    pub fn give_up(&mut self) {
        if self.output == Output::Held {
            self.output = Output::Discarded;
        }
    }

    /// Returns the sequence to show before the piece of output that was followed last: it keeps the user's title, which the output
    /// replaces. Nothing is shown in the middle of a sequence.
    pub fn keep_titles(&mut self, was_between_sequences: bool) -> &'static str {
        let is_new = mem::take(&mut self.state.titles) > 0
            && was_between_sequences
            && !self.modes().others.contains(&BACK_TO_TITLES);
        if is_new {
            self.state.modes.note(BACK_TO_TITLES, true);
        }
        if is_new { KEEP_TITLES } else { "" }
    }

    /// Returns to the terminal, and returns the sequences that set the modes again. If it was not left, they are undone first.
    pub fn return_to_terminal(&mut self) -> String {
        let mut undo = self.leave().unwrap_or_default();
        if self.modes().others.contains(&BACK_TO_TITLES) {
            undo += KEEP_TITLES;
        }
        self.output = Output::Shown;
        // Where the user's shell has left the cursor.
        self.state.in_line = false;
        undo + &self.modes().redo()
    }

    /// Returns whether a terminal may have understood the output in another way.
    fn is_doubtful(&self) -> bool {
        self.characters.are_doubtful || self.state.is_doubtful
    }

    fn undo(&self) -> String {
        let cancel = if self.is_between_sequences() { "" } else { "\x18" };
        let undo = self.modes().undo();
        if self.is_doubtful() {
            return [cancel, BACK, &undo, &Modes::reset()].concat();
        }
        let rest = self.state.undo_at_end.iter().filter(|dangerous| !undo.contains(*dangerous));
        [cancel, &undo].into_iter().chain(rest.map(String::as_str)).collect()
    }

    /// Returns whether the terminal may still send input that the user didn't type: because of a mode, or as an answer to a
    /// question of this last `time`. Then, how often the program has asked for the terminal's status.
    pub fn reports(&self, time: Duration) -> Option<usize> {
        let State { questions, modes, .. } = &self.state;
        // It may have asked unseen.
        let times = if self.is_doubtful() { usize::MAX } else { questions.of_status };
        (self.is_doubtful() || questions.are_within(time) || modes.reports()).then_some(times)
    }

    /// Returns those of the modes from a file that cage follows: another program may have written it.
    pub fn checked(modes: &Modes) -> Modes {
        let mut tracker = Self::default();
        // No scroll region is that high.
        tracker.set_rows(u16::MAX);
        tracker.feed(modes.redo().as_bytes());
        tracker.state.modes
    }
}

impl State {
    /// Sets, resets, saves or restores modes.
    fn private_modes(&mut self, params: &Params, action: char) {
        for mode in params.iter().map(|subparameters| subparameters[0]) {
            self.is_doubtful |= [2, TEKTRONIX].contains(&mode);
            let on = match action {
                's' => {
                    self.saved.extend(self.modes.get(mode).map(|on| (mode, on)));
                    continue;
                }
                // A program may have saved the mode in an earlier session.
                'r' => self.saved.get(&mode).copied().unwrap_or(!is(mode, Is::On)),
                _ => action == 'h',
            };
            match mode {
                PASTE => self.paste = Some(on),
                WHEEL => {
                    // A program that begins by turning it off expects it to be on.
                    let is_expected = *self.wheel.get_or_insert(!on);
                    self.modes.note(WHEEL_ON, is_expected && !on);
                }
                _ => {}
            }
            self.modes.set(mode, on);
        }
        self.note_dangerous();
    }

    /// Remembers the dangerous modes that are on.
    fn note_dangerous(&mut self) {
        let is_dangerous = |mode: &&u16| is(**mode, Is::Report) || is(**mode, Is::Keys);
        let modes = self.modes.private.iter().filter(is_dangerous);
        self.undo_at_end.extend(modes.map(|mode| switch(*mode, is(*mode, Is::On))));
        let others = self.modes.others.iter().filter(|undo| [NO_LOCATOR, NO_USER_KEYS].contains(undo));
        self.undo_at_end.extend(others.map(|undo| (*undo).to_owned()));
    }
}

impl Perform for State {
    fn hook(&mut self, params: &Params, intermediates: &[u8], _ignore: bool, action: char) {
        self.questions.ask();
        let clears = params.iter().next().is_none_or(|subparameters| subparameters[0] == 0);
        self.device_string = intermediates.is_empty().then_some(action);
        if self.device_string == USER_KEYS && clears {
            self.modes.note(NO_USER_KEYS, false);
        }
    }

    fn put(&mut self, _byte: u8) {
        if self.device_string == USER_KEYS {
            self.modes.note(NO_USER_KEYS, true);
            self.note_dangerous();
        }
    }

    fn print(&mut self, _character: char) {
        self.questions.other();
        (self.in_sequence, self.in_line) = (false, true);
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: char) {
        self.in_sequence = false;
        let has_parts = params.iter().any(|subparameters| subparameters.len() > 1);
        self.is_doubtful |= action != 'm' && (ignore || has_parts || params.len() > MAX_PARAMETERS);
        self.questions.sequence(params, intermediates, action);
        let mut numbers = params.iter().map(|subparameters| subparameters[0]);
        let mut next = || numbers.next().unwrap_or(0);
        let modes = &mut self.modes;
        match (intermediates, action) {
            (b"?", 'h' | 'l' | 's' | 'r') => self.private_modes(params, action),
            (b"", 'h' | 'l') => numbers.for_each(|mode| match mode {
                2 => modes.note(UNLOCKED, action == 'h'),
                4 => modes.note(REPLACE, action == 'h'),
                12 => modes.note(NO_ECHO, action == 'l'),
                20 => modes.note(LINE_FEED, action == 'h'),
                _ => {}
            }),
            (b"", 'r') => {
                let (top, bottom) = (next(), next());
                let is_whole = top <= 1 && (bottom == 0 || bottom >= self.rows);
                modes.scroll_region = (!is_whole).then_some((top.max(1), bottom));
            }
            (b"", 'm') => modes.style(params),
            (b"", 't') => match (next(), next()) {
                (22, title @ 0..=2) if modes.titles.len() < MAX_STACK => modes.titles.push(title),
                (23, 0..=2) => drop(modes.titles.pop()),
                _ => {}
            },
            (b" ", 'q') => modes.cursor_shape = next(),
            (b"!", 'p') => modes.soft_reset(),
            (b">", 'u') => modes.keyboard().push(next()),
            (b"<", 'u') => modes.keyboard().pop(next()),
            (b"=", 'u') => {
                let (flags, how) = (next(), next());
                modes.keyboard().set(flags, how);
            }
            (b">", 'm' | 'n' | 'f') => {
                let (key, is_set) = (next(), action == 'n' || params.len() > 1);
                let undos = if action == 'f' { FORMATS } else { MODIFIERS };
                match undos.get(usize::from(key)) {
                    Some(_) if (key, action) == (4, 'm') => modes.modify_other_keys = next(),
                    Some(undo) => modes.note(undo, is_set),
                    None => {}
                }
            }
            (b"'", 'z') => {
                modes.note(NO_LOCATOR, next() != 0);
                self.note_dangerous();
            }
            // The cursor moves to where something may be.
            (b"", 'A' | 'C' | 'F'..='H' | '`' | 'a' | 'd' | 'f') => self.in_line = true,
            _ => {}
        }
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], _ignore: bool, byte: u8) {
        self.in_sequence = false;
        let modes = &mut self.modes;
        match (intermediates, byte) {
            (b"", b'c') => modes.full_reset(),
            (b"", b'=' | b'>') => modes.set(APPLICATION_KEYPAD, byte == b'='),
            (b"", b'<') => modes.set(2, true),
            (b"", b'Z') => self.questions.ask(),
            (b"", b'\\') => return self.questions.end_of_string(),
            (b"", b'n' | b'o') => modes.note(FIRST_CHARSET, true),
            (b" ", b'F' | b'G') => modes.note(SEVEN_BITS, byte == b'G'),
            (b"%", b'@' | b'G') => modes.note(UTF_8, byte == b'@'),
            ([set], charset) => {
                if let Some((_, undo)) = ASCII.iter().find(|(known, _)| known == set) {
                    modes.note(undo, charset != b'B');
                }
            }
            _ => {}
        }
        self.questions.other();
    }

    fn execute(&mut self, byte: u8) {
        self.questions.other();
        match byte {
            0x05 => self.questions.ask(),
            0x0e | 0x0f => self.modes.note(FIRST_CHARSET, byte == 0x0e),
            b'\n' => self.in_line = false,
            // These break a sequence off.
            0x18 | 0x1a => self.in_sequence = false,
            _ => {}
        }
    }

    fn osc_dispatch(&mut self, params: &[&[u8]], bell_terminated: bool) {
        self.in_sequence &= !bell_terminated;
        let text = String::from_utf8_lossy(&params.join(&b';')).into_owned();
        // vte passes no more fields.
        if params.len() == 16 {
            self.questions.ask();
        }
        let suspends = |job: &&mut Job| text.strip_prefix(SUSPENDED) == Some(&job.session);
        let mut is_setting = false;
        if let Some(job) = self.job.as_mut().filter(suspends) {
            (job.is_suspended, is_setting) = (true, true);
        }
        self.titles += usize::from(TITLES.iter().any(|start| text.starts_with(start)));
        for (start, undo) in STRINGS {
            let is_undone = undo == format!("\x1b]{text}\x1b\\");
            is_setting |= is_undone || text.starts_with(start);
            // A question changes nothing.
            if is_undone || text.starts_with(start) && !text.ends_with(";?") {
                let is_off = is_undone || text.ends_with(';') || text.starts_with("9;4;0");
                self.modes.note(undo, !is_off);
            }
        }
        self.questions.string(&text, is_setting, bell_terminated);
    }
}

#[cfg(test)]
mod tests {
    use super::super::modes::AT_ONCE;
    use super::*;
    use proptest::prelude::*;

    fn after(output: &[u8]) -> Modes {
        let mut tracker = ModeTracker::default();
        tracker.set_rows(24);
        tracker.feed(output);
        tracker.modes().clone()
    }

    fn undo(output: &str) -> String {
        after(output.as_bytes()).undo().replace('\x1b', "^")
    }

    #[test]
    fn the_users_title_is_kept_once_and_comes_back() {
        let mut tracker = ModeTracker::default();
        tracker.feed(b"\x1b]4;1;red\x07\x1b[22;2t");
        assert_eq!(tracker.keep_titles(true), "");
        for (output, kept) in [("\x1b]2;one\x07", "\x1b[22;0t"), ("\x1b]0;two\x1b\\", "")] {
            tracker.feed(output.as_bytes());
            assert_eq!((tracker.keep_titles(true), tracker.keep_titles(true)), (kept, ""));
        }
        assert!(tracker.leave().unwrap().ends_with("\x1b[23;0t"));
        assert!(tracker.return_to_terminal().starts_with("\x1b[22;0t"));
        // Too late.
        let mut tracker = ModeTracker::default();
        tracker.feed(b"\x1b]2;one\x07");
        assert_eq!((tracker.keep_titles(false), tracker.leave().unwrap().as_str()), ("", ""));
    }

    #[test]
    fn a_terminal_is_left_once_and_entered_again_once() {
        let mut tracker = ModeTracker::default();
        tracker.feed(b"\x1b[?25l\x1b[3");
        tracker.give_up();
        assert_eq!(tracker.output(), Output::Shown);
        assert_eq!(tracker.leave().unwrap(), "\x18\x1b[?25h");
        assert_eq!((tracker.leave(), tracker.output()), (None, Output::Held));
        tracker.give_up();
        assert_eq!(tracker.output(), Output::Discarded);
        assert_eq!(tracker.return_to_terminal(), "\x1b[?25l");
        // After a stop that could not be prepared.
        assert_eq!(tracker.return_to_terminal(), "\x18\x1b[?25h\x1b[?25l");
        assert_eq!(tracker.output(), Output::Shown);
    }

    #[test]
    fn dangerous_modes_are_undone_once_more() {
        let undo = |output: &str| {
            let mut tracker = ModeTracker::default();
            tracker.feed(output.as_bytes());
            tracker.undo()
        };
        assert_eq!(undo("\x1b[?1003h\x1b[?1003l\x1b[?25l\x1b[?25h"), "\x1b[?1003l");
        assert_eq!(
            undo("\x1b[?1061;1003h\x1bP0;1|17/41\x1b\\\x1bc"),
            "\x1bP0;1|\x1b\\\x1b[?1003l\x1b[?1061l"
        );
        assert_eq!(undo("\x1b[?1003h\x1b[?1003l\x1b[?1003h"), "\x1b[?1003l");
        assert_eq!(undo("\x1b[?1003l"), "");
    }

    #[test]
    fn what_is_on_is_undone_and_nothing_else() {
        for (output, sequences) in [
            ("text\r\nä€ \x1b[31mred\x1b[0m", ""),
            ("\x1b[?25l", "^[?25h"),
            ("\x1b[?25l\x1b[?25h", ""),
            ("\x1b[?7l", "^[?7h"),
            ("\x1b[?1;2004h\x1b=", "^>^[?2004l^[?1l"),
            ("\x1b[?1000h\x1b[?1002h\x1b[?1003h\x1b[?1006h\x1b[?1000l", "^[?1006l^[?1003l^[?1002l"),
            ("\x1b[?1049h", "^[?1049l"),
            ("\x1b[?1049h\x1b[?1049l", ""),
            ("\x1b[>5u", "^[<1u"),
            ("\x1b[>1u\x1b[>7u\x1b[<u", "^[<1u"),
            ("\x1b[<u", ""),
            ("\x1b[=5u", "^[=0u"),
            ("\x1b[=5u\x1b[=5;3u", ""),
            // The alternate screen has keyboard modes of its own.
            ("\x1b[>1u\x1b[?1049h\x1b[>7u\x1b[>3u", "^[<2u^[?1049l^[<1u"),
            ("\x1b[>4;2m", "^[>4m"),
            ("\x1b[>4;2m\x1b[>4;0m", ""),
            ("\x1b[>4;2m\x1b[>4m", ""),
            ("\x1b[6 q", "^[0 q"),
            ("\x1b[6 q\x1b[ q", ""),
            ("\x1b[2;10r", "^7^[r^8"),
            ("\x1b[1;24r", ""),
            ("\x1b[2;10r\x1b[r", ""),
            ("\x1b[?6h\x1b[2;10r", "^[r^[?6l^[999;1H"),
            ("\x1b(0\x1b)0\x0e", "^(B^)B\x0f"),
            ("\x1b[22;0t\x1b[22;2t", "^[23;2t^[23;0t"),
            ("\x1b[22;0t\x1b[23;0t", ""),
            ("\x1b[1m", "^[m"),
            ("\x1b[48;2;0;0;0m", "^[m"),
            ("\x1b]8;;http://x\x07", "^]8;;^\\"),
            ("\x1b]9;4;1;50\x07", "^]9;4;0^\\"),
            ("\x1b]12;red\x1b\\\x1b]11;?\x1b\\", "^]112^\\"),
            ("\x1b]12;red\x1b\\\x1b]112\x1b\\", ""),
            ("\x1b[?2026h", "^[?2026l"),
            ("\x1b[?2031h\x1b[?2048h", "^[?2048l^[?2031l"),
            // The default of these differs between terminals.
            ("\x1b[?12h\x1b[?1007h\x1b[?1034h\x1b[?9999h", ""),
            ("\x1b[?1007l", "^[?1007h"),
            ("\x1b[?1007l\x1b[?1007h", ""),
            ("\x1b[?1007h\x1b[?1007l", ""),
            ("\x1b[?1061h\x1bP0;1|17/746f7563680d\x1b\\", "^[?1061l^P0;1|^\\"),
            ("\x1bP1;1|17/41\x1b\\\x1bP0;1|\x1b\\\x1bP1$tx\x1b\\", ""),
            ("\x1b[?1003h\x1b[?1003s\x1b[?1003l\x1b[?1003r", "^[?1003l"),
            ("\x1b[?1003;7s\x1b[?1003h\x1b[?7l\x1b[?1003;7r", ""),
            ("\x1b[?1003;7;9999r", "^[?7h^[?1003l"),
            ("\x1b[?1049h\x1b[?1049s\x1b[?1049l\x1b[?1049r", "^[?1049l"),
            ("\x1b[>1;3m\x1b[>2n\x1b[>4;1f\x1b[>9;1m", "^[>1m^[>2m^[>4f"),
            ("\x1b[>1;3m\x1b[>2n\x1b[>4;1f\x1b[>1m\x1b[>2m\x1b[>4f", ""),
            ("\x1b[1'z", "^[0'z"),
            ("\x1b[2;1'z\x1b[0'z", ""),
            ("\x1b[?25l\x1b[?2004h\x1b[>5u\x1b(0\x1b[1m\x1bc", ""),
            // tmux stays on the alternate screen.
            ("\x1b[?1049;2004h\x1bc", "^[?47l"),
            ("\x1b[?1049h\x1bc\x1bc\x1b[!p", "^[?47l"),
            ("\x1b[?1049h\x1bc\x1b[?1049l", ""),
            ("\x1b[?1049h\x1bc\x1b[?1049h", "^[?1049l"),
            ("\x1b[?25l\x1b[?2004h\x1b[!p", "^[?2004l"),
            ("\x1b[4h\x1b[20h", "^[4l^[20l"),
            ("\x1b[4h\x1b(0\x1b[1m\x1b[!p", ""),
            ("\x1b[4;20h\x1b[4;20l\x1b[?4h", ""),
            ("\x1b[1;31mx\x1b[39m", "^[m"),
            ("\x1b[1mx\x1b[0;39m\x1b[39m", ""),
            ("\x1b[0;1m", "^[m"),
            ("\x1b%@", "^%G"),
            ("\x1b G", "^ F"),
            ("\x1b G\x1b F", ""),
            ("\x1b%@\x1b%G", ""),
            ("\x1b*0\x1bn", "^*B\x0f"),
            ("\x1b+0\x1bo\x0f\x1b+B", ""),
            ("\x1b]4;1;red\x07\x1b]22;wait\x07", "^]104^\\^]22;^\\"),
            ("\x1b]4;1;?\x07\x1b]8;id=x;http://x\x07\x1b]8;id=x;\x07", ""),
            ("\x1b]4;1;red\x07\x1b]104\x07\x1b]22;wait\x07\x1b]22;\x07", ""),
            ("\x1b]4;1;red\x07\x1b]104;1\x07", "^]104^\\"),
            ("\x1b[?1049h\x1b[>7u\x1b[?1049l", "^[?1049h^[<1u^[?1049l"),
        ] {
            assert_eq!(undo(output), sequences, "{output:?}");
        }
    }

    #[test]
    fn modes_are_set_again_in_the_same_way() {
        let agent = "\x1b[>5u\x1b[22;0t\x1b[?1049h\x1b[>7u\x1b[?25l\x1b[?2026h\x1b[?1004;2004;1003;1006h\x1b[>4;2m\x1b[5 q";
        let modes = after(agent.as_bytes());
        assert_eq!(
            modes.redo().replace('\x1b', "^"),
            "^[>5u^[22;0t^[?1049h^[>7u^[?25l^[?1004h^[?2004h^[?1003h^[?1006h^[>4;2m^[5 q"
        );
        let mut again = after(modes.redo().as_bytes());
        // Text that is shown at once is shown anyway.
        again.note(AT_ONCE, true);
        again.private.sort_unstable();
        let mut modes = modes;
        modes.private.sort_unstable();
        assert_eq!(again, modes);
    }

    #[test]
    fn reports_are_those_of_keys_and_pointers_that_are_on() {
        for output in ["\x1b[?1003h", "\x1b[?1004h", "\x1b[>7u", "\x1b[?1049h\x1b[=2u", "\x1b[1'z"] {
            assert!(after(output.as_bytes()).reports(), "{output:?}");
        }
        for output in [
            "\x1b[?1003h\x1b[?1003l",
            "\x1b[?2004h\x1b[?25l",
            "\x1b[>5u\x1b[>4;2m",
            "\x1b[?1049h\x1b[>7u\x1b[?1049l",
        ] {
            assert!(!after(output.as_bytes()).reports(), "{output:?}");
        }
    }

    #[test]
    fn what_the_terminal_may_answer_is_a_question() {
        let asks = |output: &str| {
            let mut tracker = ModeTracker::default();
            output.as_bytes().chunks(1).for_each(|byte| tracker.feed(byte));
            tracker.reports(Duration::from_secs(60)).is_some()
        };
        for output in [
            "\x1b[c",
            "\x1b[>0c",
            "\x1b[6n",
            "\x1b[?6n",
            "\x1b[18t",
            "\x1b[?2026$p",
            "\x1b[>q",
            "\x1b[?u",
            "\x1b[x",
            "\x1b[1;1;1;1;1;1*y",
            "\x1bZ",
            "\x05",
            "\u{9b}c",
            "\x1bP$qm\x1b\\",
            "\x1bP+q544e\x1b\\",
            "\x1b_Ga=q,i=1;\x1b\\",
            "\x1b]11;?\x07",
            "\x1b]52;c;?\x1b\\",
            "\x1b]1337;ReportCellSize\x07",
            "\x1b[?4m",
            "\x1b]4;1;?;2;#000000\x07",
            "\x1b]10;?;#ffffff\x07",
            "\x1b]4;3;#0;3;#0;3;#0;3;#0;3;#0;3;#0;3;#0;3;#0;3;#0;1;?;2;#0\x07",
            "\x1b]22;?wait\x1b\\",
            "\x1b]0;title\x1b[m\x1bP$qm\x1b\\",
            "\x1b]0;title\x18\x1b_Ga=q\x1b\\",
            "\x1b]0;title\x1b7\x1b_Ga=q\x1b\\",
            "\x1b]0;title\x18text\x1b_Ga=q\x1b\\",
        ] {
            assert!(asks(output), "{output:?}");
        }
        for output in [
            "text\r\n\x1b[2J\x1b[1;31mred\x1b[m\x1b[4;5H\x1b[K\x1b[6 q\x1b[!p",
            "\x1b[?25l\x1b[22;0t\x1b[23;0t\x1b[>1u\x1b[<u\x1b[>4;2m\x1b(B\x1b7\x1b8\x1bM",
            "\x1b]0;title\x07\x1b]7;file:///\x1b\\\x1b]8;;http://x\x1b\\\x1b]8;;\x1b\\",
            "\x1b]104\x1b\\\x1b]133;A\x07\x1b]52;c;eA==\x07",
        ] {
            assert!(!asks(output), "{output:?}");
        }
    }

    #[test]
    fn sequences_that_terminals_read_differently_make_the_modes_doubtful() {
        let after = |output: &str, size| {
            let mut tracker = ModeTracker::default();
            output.as_bytes().chunks(size).for_each(|piece| tracker.feed(piece));
            tracker
        };
        let strange = [
            "\x1b[5î",
            "\x1bÚ",
            "\x1b[?1003è",
            "\x1b[?10\n03è",
            "\x1bÐ0;1|17/41\x1b\\",
            "\u{9b}?1003è",
            "\x1b(é",
            "\x1b[?2l\x1bYx\x1b<",
            "\x1b[?2l\x1bc",
            "\x1b[?38h",
            "\x1b[?1003:1l",
            "\x1b[?9;9;9;9;9;9;9;9;9;9;9;9;9;9;9;9;9;1003l",
            "\x1b\x7f[5î",
            "\x1bP$ñm\x1b\\",
        ];
        for size in 1..9 {
            for output in strange {
                let tracker = after(output, size);
                assert!(tracker.reports(Duration::ZERO).is_some(), "{output:?} {size}");
                let undo = tracker.undo();
                assert!(undo.trim_start_matches('\x18').starts_with(BACK), "{output:?} {size}");
                assert!(undo.contains("\x1b[?1003l"), "{output:?} {size}");
            }
            for output in
                ["ä\x1b[mä€", "\x1b]0;ä\x07ä", "\x1b[31mä\x1bMä", "\x1bPqä\x1b\\", "\x1b[3\x18ä", "\u{85}ä"]
            {
                assert!(!after(output, size).is_doubtful(), "{output:?} {size}");
            }
        }
    }

    #[test]
    fn the_end_of_a_line_is_known() {
        for (output, is_in_line) in [
            ("", false),
            ("$ ", true),
            ("ä\r\n\x1b[?2004l\r", false),
            ("exit\r\n", false),
            ("50%\r", true),
            ("> text\r\n-----\r\n\x1b[7C\x1b[3A", true),
            ("text\r\n\x1b[2;3H", true),
            ("text\r\n\x1b[K\x1b[2B", false),
        ] {
            let mut tracker = ModeTracker::default();
            tracker.feed(output.as_bytes());
            assert_eq!(tracker.is_in_line(), is_in_line, "{output:?}");
        }
    }

    #[test]
    fn sequences_and_characters_are_not_interrupted() {
        for (output, is_between) in [
            ("", true),
            ("text\r\n", true),
            ("\x1b[31mtext", true),
            ("text\x1b[0m", true),
            ("\x1b]0;title\x07", true),
            ("\x1b]0;title\x1b\\", true),
            ("\x1bP1q#0\x1b\\", true),
            ("\x1b[3\x18", true),
            ("ä€", true),
            ("text\x1b", false),
            ("text\x1b[", false),
            ("\x1b[0m\x1b[38;2;1", false),
            ("\x1b[3\n", false),
            ("\x1b]0;title", false),
            ("\x1b]0;title\x1b", false),
            ("\x1bP1q#0", false),
            ("\x1b_Gq", false),
        ] {
            for size in 1..=output.len().max(1) {
                let mut tracker = ModeTracker::default();
                output.as_bytes().chunks(size).for_each(|piece| tracker.feed(piece));
                assert_eq!(tracker.is_between_sequences(), is_between, "{output:?} {size}");
            }
        }
        for output in [&b"\xe2\x82"[..], b"text\xf0", b"\xc3\xa4\xc3"] {
            let mut tracker = ModeTracker::default();
            tracker.feed(output);
            assert!(!tracker.is_between_sequences(), "{output:?}");
        }
    }

    #[test]
    fn modes_of_a_prompt_and_of_drawing_are_told_from_those_of_a_program() {
        for (output, is_prompt) in [
            ("\x1b[?1;2004h\x1b=\x1b[1m", true),
            ("\x1b[?1007l\x1b[?2004h", true),
            ("\x1b[?25l", false),
            ("\x1b[?1049h", false),
            ("\x1b[>1u", false),
        ] {
            assert_eq!(after(output.as_bytes()).are_of_a_prompt(), is_prompt, "{output:?}");
        }
        let (program, drawing) =
            ("\x1b[?1049;1003;2004h\x1b[>7u", "\x1b[?25;7l\x1b[?6;2026h\x1b[1m\x1b[2;5r");
        let both = after(format!("{program}{drawing}").as_bytes());
        assert_eq!(both.of_program(), after(program.as_bytes()));
    }

    #[test]
    fn only_known_modes_are_read_from_a_file() {
        let modes = after(b"\x1b[?2004h\x1b[?1049h");
        let text = serde_json::to_string(&modes).unwrap();
        assert_eq!(ModeTracker::checked(&serde_json::from_str(&text).unwrap()), modes);
        let forged = text.replace("2004", "9002").replace("1049", "3");
        assert_eq!(ModeTracker::checked(&serde_json::from_str(&forged).unwrap()), Modes::default());
    }

    /// Generates output that is rich in modes, as the bytes of a hostile program are.
    fn output() -> impl Strategy<Value = Vec<u8>> {
        let pieces: Vec<&'static str> = vec![
            "\x1b[",
            "?",
            ">",
            "<",
            "=",
            "u",
            "h",
            "l",
            ";",
            "5",
            "1049",
            "25",
            "2004",
            "1003",
            "r",
            "m",
            "\x1b",
            "c",
            "!p",
            "t",
            "22;0",
            "23;0",
            "\x1b]",
            "\x1b[4h",
            "20",
            "\x1b%@",
            "\x1bn",
            "\x1b+0",
            "104",
            "\x1b]4;1;red",
            "11;?",
            "\x07",
            "\x1b\\",
            "\x1b[?1049h",
            "\x1b[?1049l",
            "\x1b[>7u",
            "\x1b[<u",
            "\x1b[2;5r",
            "\x1b(0",
            "\x0e",
            "\x1b[6 q",
            "ä",
            "text",
            "\x1b[?6h",
            "\x1bP",
            "\x18",
            "\x1b[?2l",
            "\x1b[?1003s",
            "1007",
            "\x1b[>2n",
            "f",
            "'z",
            "|1/41",
            "\u{9b}2h",
            "\u{9b}12l",
            "\x05",
        ];
        let piece = prop_oneof![
            9 => proptest::sample::select(pieces).prop_map(|piece| piece.as_bytes().to_vec()),
            1 => any::<u8>().prop_map(|byte| vec![byte]),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    #[test]
    fn a_control_character_after_a_split_character_counts() {
        let mut tracker = ModeTracker::default();
        for piece in [&b"\xc3"[..], b"\xa4\x0e\xc3", b"\xa4"] {
            tracker.feed(piece);
        }
        assert_eq!(tracker.modes(), &after("ä\x0eä".as_bytes()));
        assert_eq!(tracker.modes().undo(), "\x0f");
    }

    proptest! {
        #[test]
        fn any_split_of_the_output_gives_the_same(output in output(), size in 1_usize..8) {
            let mut tracker = ModeTracker::default();
            tracker.set_rows(24);
            output.chunks(size).for_each(|piece| tracker.feed(piece));
            prop_assert_eq!(tracker.modes(), &after(&output));
        }

        #[test]
        fn nothing_is_on_after_all_was_undone(output in output()) {
            let mut tracker = ModeTracker::default();
            tracker.set_rows(24);
            tracker.feed(&output);
            // Ends a sequence that the output broke off.
            tracker.feed(b"\x18");
            let undo = tracker.modes().undo();
            tracker.feed(undo.as_bytes());
            prop_assert_eq!(tracker.modes(), &Modes::default());
        }
    }
}
