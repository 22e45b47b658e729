//! The modes of the terminal that programs have set: followed in their output, undone when cage leaves, and set again when it
//! comes back.
//!
//! cage only writes sequences of its own, for the modes that are listed here. Their meaning:
//! <https://invisible-island.net/xterm/ctlseqs/ctlseqs.html>, <https://sw.kovidgoyal.net/kitty/keyboard-protocol/>.

use serde::{Deserialize, Serialize};
use vte::{Params, Parser, Perform};

/// The private modes that are followed, and whether a terminal has them on by default. Not in this list are modes whose default
/// differs between terminals.
const PRIVATE_MODES: &[(u16, bool)] = &[
    (1, false),  // cursor keys send application sequences
    (5, false),  // reverse video
    (6, false),  // origin mode
    (7, true),   // autowrap
    (9, false),  // mouse: presses
    (25, true),  // cursor visible
    (45, false), // reverse wraparound
    (APPLICATION_KEYPAD, false),
    (69, false),   // left and right margins
    (1000, false), // mouse: presses and releases
    (1001, false), // mouse: highlight
    (1002, false), // mouse: drags
    (1003, false), // mouse: motion
    (1004, false), // focus
    (1005, false), // mouse encoding: UTF-8
    (1006, false), // mouse encoding: SGR
    (1015, false), // mouse encoding: urxvt
    (1016, false), // mouse encoding: SGR in pixels
    (2004, false), // bracketed paste
    (SYNCHRONIZED, false),
    (2031, false), // colour scheme reports
    (2048, false), // in-band size reports
];

/// Output is shown only when this mode is reset.
const SYNCHRONIZED: u16 = 2026;

const ORIGIN: u16 = 6;
const APPLICATION_KEYPAD: u16 = 66;

/// The modes that switch to the alternate screen.
const ALTERNATE_SCREENS: [u16; 3] = [47, 1047, 1049];

/// The most entries that are kept of a stack. Terminals keep fewer.
const MAX_STACK: usize = 32;

/// Follows the modes in a program's output.
#[derive(Default)]
pub struct ModeTracker {
    parser: Parser,
    state: State,
    has_output: bool,
}

/// The modes at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modes {
    /// Private modes that are not as they are by default, in the order in which they were set.
    private: Vec<u16>,
    /// The mode that switched to the alternate screen.
    alternate_screen: Option<u16>,
    /// The keyboard modes of the main and the alternate screen.
    keyboards: [Keyboard; 2],
    modify_other_keys: u16,
    cursor_shape: u16,
    scroll_region: Option<(u16, u16)>,
    /// The sets of characters in G0 and G1, if they are not ASCII.
    charsets: [Option<char>; 2],
    /// Which of them is in use.
    charset: u8,
    /// What was pushed on the stack of titles: 0 for both titles, 1 for the icon's, 2 for the window's.
    titles: Vec<u16>,
    /// Whether text is coloured, bold or the like.
    styled: bool,
    /// Whether text is part of a link.
    link: bool,
    /// Whether the window shows progress, in a taskbar for example.
    progress: bool,
    /// The default colours that were changed: 10 for text, 11 for the background, 12 for the cursor.
    colours: Vec<u8>,
}

/// The flags of the kitty keyboard protocol on one screen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Keyboard {
    /// What a program set without pushing anything before.
    bottom: u16,
    stack: Vec<u16>,
}

#[derive(Default)]
struct State {
    modes: Modes,
    /// The height of the terminal. A scroll region of that height is none.
    rows: u16,
}

impl ModeTracker {
    /// Follows modes from `modes` on.
    pub fn new(modes: Modes) -> Self {
        Self { parser: Parser::new(), state: State { modes, rows: 0 }, has_output: false }
    }

    /// Notes the height of the terminal, in rows.
    pub fn set_rows(&mut self, rows: u16) {
        self.state.rows = rows;
    }

    /// Follows a piece of output, which may begin and end anywhere.
    pub fn feed(&mut self, output: &[u8]) {
        self.has_output = true;
        // Only ASCII matters here. vte 0.15 may skip a byte after a character that is split between two calls.
        let ascii: Vec<u8> = output.iter().map(|byte| if byte.is_ascii() { *byte } else { b'?' }).collect();
        self.parser.advance(&mut self.state, &ascii);
    }

    /// Returns whether there was any output.
    pub fn has_output(&self) -> bool {
        self.has_output
    }

    /// Returns the modes at the end of the output.
    pub fn modes(&self) -> &Modes {
        &self.state.modes
    }
}

impl Modes {
    /// Returns whether the alternate screen is shown.
    pub fn alternate_screen(&self) -> bool {
        self.alternate_screen.is_some()
    }

    /// Returns whether the terminal sends input that the user didn't type, such as pointer movements.
    pub fn reports(&self) -> bool {
        let is_report = |mode: &u16| matches!(mode, 9 | 1000..=1004 | 2031 | 2048);
        self.private.iter().any(is_report) || self.keyboards.iter().any(|keyboard| !keyboard.is_default())
    }

    /// Returns the sequences that undo what is on, and nothing for what is not.
    pub fn undo(&self) -> String {
        let mut parts = Vec::new();
        for mode in self.private.iter().rev().filter(|mode| **mode != ORIGIN) {
            parts.push(private(*mode, is_on_by_default(*mode)));
        }
        if self.private.contains(&ORIGIN) {
            // This and the next move the cursor to the top.
            parts.push(format!("\x1b[r\x1b[?{ORIGIN}l\x1b[999;1H"));
        } else if self.scroll_region.is_some() {
            parts.push("\x1b7\x1b[r\x1b8".to_owned());
        }
        if let Some(mode) = self.alternate_screen {
            parts.push(self.keyboards[1].undo());
            parts.push(format!("\x1b[?{mode}l"));
        }
        parts.push(self.keyboards[0].undo());
        if self.modify_other_keys != 0 {
            parts.push("\x1b[>4m".to_owned());
        }
        if self.cursor_shape != 0 {
            parts.push("\x1b[0 q".to_owned());
        }
        for (set, charset) in ['(', ')'].iter().zip(self.charsets) {
            if charset.is_some() {
                parts.push(format!("\x1b{set}B"));
            }
        }
        if self.charset != 0 {
            parts.push("\x0f".to_owned());
        }
        for title in self.titles.iter().rev() {
            parts.push(format!("\x1b[23;{title}t"));
        }
        if self.styled {
            parts.push("\x1b[m".to_owned());
        }
        if self.link {
            parts.push("\x1b]8;;\x1b\\".to_owned());
        }
        if self.progress {
            parts.push("\x1b]9;4;0\x1b\\".to_owned());
        }
        for colour in &self.colours {
            parts.push(format!("\x1b]1{colour}\x1b\\"));
        }
        parts.concat()
    }

    /// Returns the sequences that set the modes again which a program needs to be redrawn and to get its input. Whatever it draws
    /// with, it sets itself.
    pub fn redo(&self) -> String {
        let mut parts = Vec::new();
        parts.push(self.keyboards[0].redo());
        for title in &self.titles {
            parts.push(format!("\x1b[22;{title}t"));
        }
        if let Some(mode) = self.alternate_screen {
            parts.push(format!("\x1b[?{mode}h"));
            parts.push(self.keyboards[1].redo());
        }
        for mode in self.private.iter().filter(|mode| **mode != SYNCHRONIZED) {
            parts.push(private(*mode, !is_on_by_default(*mode)));
        }
        if let Some((top, bottom)) = self.scroll_region {
            parts.push(format!("\x1b[{top};{bottom}r"));
        }
        if self.modify_other_keys != 0 {
            parts.push(format!("\x1b[>4;{}m", self.modify_other_keys));
        }
        if self.cursor_shape != 0 {
            parts.push(format!("\x1b[{} q", self.cursor_shape));
        }
        parts.concat()
    }

    /// Returns the modes that are on cage's lists: the file may come from another program.
    pub fn checked(mut self) -> Self {
        self.private.retain(|mode| PRIVATE_MODES.iter().any(|(known, _)| known == mode));
        self.alternate_screen = self.alternate_screen.filter(|mode| ALTERNATE_SCREENS.contains(mode));
        for keyboard in &mut self.keyboards {
            keyboard.stack.truncate(MAX_STACK);
        }
        self.titles.truncate(MAX_STACK);
        self
    }

    fn set_private(&mut self, mode: u16, on: bool) {
        if ALTERNATE_SCREENS.contains(&mode) {
            self.alternate_screen = on.then_some(mode);
        } else if let Some((_, default)) = PRIVATE_MODES.iter().find(|(known, _)| *known == mode) {
            self.private.retain(|other| *other != mode);
            if on != *default {
                self.private.push(mode);
            }
        }
    }

    fn keyboard(&mut self) -> &mut Keyboard {
        &mut self.keyboards[usize::from(self.alternate_screen.is_some())]
    }

    /// Resets what a soft reset does.
    fn soft_reset(&mut self) {
        self.private.retain(|mode| ![1, ORIGIN, 7, 25, APPLICATION_KEYPAD, 69].contains(mode));
        (self.scroll_region, self.charsets) = (None, [None; 2]);
        (self.charset, self.styled) = (0, false);
    }
}

impl Keyboard {
    fn is_default(&self) -> bool {
        self.bottom == 0 && self.stack.is_empty()
    }

    fn undo(&self) -> String {
        let pop = if self.stack.is_empty() { String::new() } else { format!("\x1b[<{}u", self.stack.len()) };
        let reset = if self.bottom == 0 { "" } else { "\x1b[=0u" };
        pop + reset
    }

    fn redo(&self) -> String {
        let set = if self.bottom == 0 { String::new() } else { format!("\x1b[={}u", self.bottom) };
        self.stack.iter().fold(set, |text, flags| text + &format!("\x1b[>{flags}u"))
    }

    fn set(&mut self, flags: u16, how: u16) {
        let current = self.stack.last_mut().unwrap_or(&mut self.bottom);
        match how {
            2 => *current |= flags,
            3 => *current &= !flags,
            _ => *current = flags,
        }
    }

    fn push(&mut self, flags: u16) {
        if self.stack.len() == MAX_STACK {
            self.stack.remove(0);
        }
        self.stack.push(flags);
    }

    fn pop(&mut self, count: u16) {
        let left = self.stack.len().saturating_sub(count.max(1).into());
        self.stack.truncate(left);
    }
}

/// Returns the sequence that sets or resets a private mode.
fn private(mode: u16, on: bool) -> String {
    match (mode, on) {
        // More terminals know this sequence than the mode.
        (APPLICATION_KEYPAD, true) => "\x1b=".to_owned(),
        (APPLICATION_KEYPAD, false) => "\x1b>".to_owned(),
        (mode, on) => format!("\x1b[?{mode}{}", if on { 'h' } else { 'l' }),
    }
}

fn is_on_by_default(mode: u16) -> bool {
    PRIVATE_MODES.contains(&(mode, true))
}

impl Perform for State {
    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], _ignore: bool, action: char) {
        let mut numbers = params.iter().map(|subparameters| subparameters[0]);
        let mut next = || numbers.next().unwrap_or(0);
        let modes = &mut self.modes;
        match (intermediates, action) {
            (b"?", 'h' | 'l') => numbers.for_each(|mode| modes.set_private(mode, action == 'h')),
            (b"", 'r') => {
                let (top, bottom) = (next(), next());
                let is_whole = top <= 1 && (bottom == 0 || bottom >= self.rows);
                modes.scroll_region = (!is_whole).then_some((top.max(1), bottom));
            }
            (b"", 'm') => {
                // A colour may end with 0, too. 22 to 29, 39, 49 and 59 turn something off.
                let is_colour = params.iter().any(|parameter| matches!(parameter[0], 38 | 48 | 58));
                modes.styled =
                    is_colour || !matches!(numbers.last(), None | Some(0 | 22..=29 | 39 | 49 | 59));
            }
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
            (b">", 'm') if next() == 4 => modes.modify_other_keys = next(),
            _ => {}
        }
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], _ignore: bool, byte: u8) {
        let modes = &mut self.modes;
        match (intermediates, byte) {
            (b"", b'c') => *modes = Modes::default(),
            (b"", b'=' | b'>') => modes.set_private(APPLICATION_KEYPAD, byte == b'='),
            (b"(", set) => modes.charsets[0] = Some(char::from(set)).filter(|set| *set != 'B'),
            (b")", set) => modes.charsets[1] = Some(char::from(set)).filter(|set| *set != 'B'),
            _ => {}
        }
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            0x0e => self.modes.charset = 1,
            0x0f => self.modes.charset = 0,
            _ => {}
        }
    }

    fn osc_dispatch(&mut self, params: &[&[u8]], _bell_terminated: bool) {
        let modes = &mut self.modes;
        match params {
            [b"8", _, address, ..] => modes.link = !address.is_empty(),
            [b"9", b"4", state, ..] => modes.progress = *state != b"0" && !state.is_empty(),
            [[b'1', digit @ b'0'..=b'2'], colour, ..] if *colour != b"?" => {
                let colour = 10 + (digit - b'0');
                modes.colours.retain(|other| *other != colour);
                modes.colours.push(colour);
            }
            [[b'1', b'1', digit @ b'0'..=b'2'], ..] => {
                modes.colours.retain(|other| *other != 10 + (digit - b'0'));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
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
            ("\x1b[?1049;25;2004h\x1b[>5u\x1b(0\x1b[1m\x1bc", ""),
            ("\x1b[?25l\x1b[?2004h\x1b[!p", "^[?2004l"),
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
        again.private.push(SYNCHRONIZED);
        again.private.sort_unstable();
        let mut modes = modes;
        modes.private.sort_unstable();
        assert_eq!(again, modes);
    }

    #[test]
    fn only_known_modes_are_read_from_a_file() {
        let modes = after(b"\x1b[?2004h\x1b[?1049h");
        let text = serde_json::to_string(&modes).unwrap();
        assert_eq!(serde_json::from_str::<Modes>(&text).unwrap().checked(), modes);
        let forged = text.replace("2004", "9001").replace("1049", "3");
        assert_eq!(serde_json::from_str::<Modes>(&forged).unwrap().checked(), Modes::default());
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
            let mut modes = tracker.modes().clone();
            // That of a screen that is not shown can't be undone.
            modes.keyboards[1] = Keyboard::default();
            prop_assert_eq!(modes, Modes::default());
        }
    }
}
