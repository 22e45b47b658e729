//! The modes of the terminal that programs set, the sequences that undo them when cage leaves, and those that set them again when it
//! comes back.
//!
//! cage only writes sequences of its own, for the modes that are listed here. Their meaning:
//! <https://invisible-island.net/xterm/ctlseqs/ctlseqs.html>, <https://sw.kovidgoyal.net/kitty/keyboard-protocol/>.

use serde::{Deserialize, Serialize};
use vte::Params;

/// A property of a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Is {
    /// Terminals have it on by default.
    On,
    /// A soft reset resets it.
    Soft,
    /// The terminal sends input that the user didn't type.
    Report,
    /// It changes how keys are sent, and no program needs it.
    Keys,
}

/// The modes that are followed. Not in this list are most of those whose default differs between terminals.
const MODES: &[(u16, &[Is])] = &[
    (1, &[Is::Soft]),          // cursor keys send application sequences
    (2, &[Is::On]),            // no VT52
    (5, &[]),                  // reverse video
    (ORIGIN, &[Is::Soft]),     // origin mode
    (7, &[Is::On, Is::Soft]),  // autowrap
    (9, &[Is::Report]),        // mouse: presses
    (25, &[Is::On, Is::Soft]), // cursor visible
    (45, &[]),                 // reverse wraparound
    (APPLICATION_KEYPAD, &[Is::Soft]),
    (69, &[Is::Soft]),     // left and right margins
    (1000, &[Is::Report]), // mouse: presses and releases
    (1001, &[Is::Report]), // mouse: highlight
    (1002, &[Is::Report]), // mouse: drags
    (1003, &[Is::Report]), // mouse: motion
    (1004, &[Is::Report]), // focus
    (1005, &[]),           // mouse encoding: UTF-8
    (1006, &[]),           // mouse encoding: SGR
    (1015, &[]),           // mouse encoding: urxvt
    (1016, &[]),           // mouse encoding: SGR in pixels
    // Function keys as other terminals have them; 1061 makes those of DECUDK work.
    (1050, &[Is::Keys]),
    (1051, &[Is::Keys]),
    (1052, &[Is::Keys]),
    (1053, &[Is::Keys]),
    (1060, &[Is::Keys]),
    (1061, &[Is::Keys]),
    (PASTE, &[]),          // bracketed paste
    (2031, &[Is::Report]), // colour scheme reports
    (2048, &[Is::Report]), // in-band size reports
    (5522, &[Is::Report]), // pastes of any type
    (9001, &[Is::Report]), // keys as Windows has them, with their release
];

pub(super) const ORIGIN: u16 = 6;
pub(super) const APPLICATION_KEYPAD: u16 = 66;
pub(super) const PASTE: u16 = 2004;

/// The mode in which the wheel sends cursor keys, and the sequence that turns it on. Terminals differ in the default.
pub(super) const WHEEL: u16 = 1007;
pub(super) const WHEEL_ON: &str = "\x1b[?1007h";

/// The modes that switch to the alternate screen.
pub(super) const ALTERNATE_SCREENS: [u16; 3] = [47, 1047, 1049];

/// The sequence that shows the main screen, and does nothing where that is shown already.
pub(super) const MAIN_SCREEN: &str = "\x1b[?47l";

/// Sequences that unlock the keyboard, and turn the terminal's own echo off.
pub(super) const UNLOCKED: &str = "\x1b[2l";
pub(super) const NO_ECHO: &str = "\x1b[12h";

/// Sequences that undo how text is written: inserted, with a carriage return at each line feed, at once, in a character set, an
/// encoding, a style. And one after which answers have no control characters beyond ASCII.
pub(super) const REPLACE: &str = "\x1b[4l";
pub(super) const LINE_FEED: &str = "\x1b[20l";
pub(super) const AT_ONCE: &str = "\x1b[?2026l";
pub(super) const ASCII: [(u8, &str); 4] =
    [(b'(', "\x1b(B"), (b')', "\x1b)B"), (b'*', "\x1b*B"), (b'+', "\x1b+B")];
pub(super) const FIRST_CHARSET: &str = "\x0f";
pub(super) const SEVEN_BITS: &str = "\x1b F";
pub(super) const UTF_8: &str = "\x1b%G";
const PLAIN: &str = "\x1b[m";

/// The sequence that switches the DEC locator off, an older kind of mouse.
pub(super) const NO_LOCATOR: &str = "\x1b[0'z";

/// The sequence that brings back the titles that the terminal keeps.
pub(super) const BACK_TO_TITLES: &str = "\x1b[23;0t";

/// The sequence that clears the texts that a program has given keys (DECUDK).
pub(super) const NO_USER_KEYS: &str = "\x1bP0;1|\x1b\\";

/// Sequences that reset how the modifiers of keys are sent, by the kind of key, and in which format.
pub(super) const MODIFIERS: [&str; 8] =
    ["\x1b[>0m", "\x1b[>1m", "\x1b[>2m", "\x1b[>3m", "\x1b[>4m", "\x1b[>5m", "\x1b[>6m", "\x1b[>7m"];
pub(super) const FORMATS: [&str; 8] =
    ["\x1b[>0f", "\x1b[>1f", "\x1b[>2f", "\x1b[>3f", "\x1b[>4f", "\x1b[>5f", "\x1b[>6f", "\x1b[>7f"];

/// The most entries that are kept of a stack. Terminals keep fewer.
pub(super) const MAX_STACK: usize = 32;

/// The modes at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modes {
    /// Modes that are not as they are by default, in the order in which they were set.
    pub(super) private: Vec<u16>,
    /// The mode that switched to the alternate screen.
    alternate_screen: Option<u16>,
    /// The keyboard modes of the main and the alternate screen.
    keyboards: [Keyboard; 2],
    pub(super) modify_other_keys: u16,
    pub(super) cursor_shape: u16,
    pub(super) scroll_region: Option<(u16, u16)>,
    /// What was pushed on the stack of titles: 0 for both titles, 1 for the icon's, 2 for the window's.
    pub(super) titles: Vec<u16>,
    /// The sequences that undo everything else, such as colours and links.
    #[serde(skip)]
    pub(super) others: Vec<&'static str>,
}

/// The flags of the kitty keyboard protocol on one screen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Keyboard {
    /// What a program set without pushing anything before.
    bottom: u16,
    stack: Vec<u16>,
}

impl Modes {
    /// Returns whether the alternate screen is shown.
    pub fn alternate_screen(&self) -> bool {
        self.alternate_screen.is_some()
    }

    /// Returns whether pasted text is marked.
    pub fn bracketed_paste(&self) -> bool {
        self.private.contains(&PASTE)
    }

    /// Returns whether the terminal sends input that the user didn't type, such as pointer movements and the release of keys.
    pub(super) fn reports(&self) -> bool {
        self.private.iter().any(|mode| is(*mode, Is::Report))
            || self.others.contains(&NO_LOCATOR)
            || self.keyboards[usize::from(self.alternate_screen())].flags() & Keyboard::EVENTS != 0
    }

    /// Returns the sequences that undo what is on, and nothing for what is not.
    pub fn undo(&self) -> String {
        let mut parts = Vec::new();
        for mode in self.private.iter().rev().filter(|mode| **mode != ORIGIN) {
            parts.push(switch(*mode, is(*mode, Is::On)));
        }
        if self.private.contains(&ORIGIN) {
            // This and the next move the cursor to the top.
            parts.push(format!("\x1b[r\x1b[?{ORIGIN}l\x1b[999;1H"));
        } else if self.scroll_region.is_some() {
            parts.push("\x1b7\x1b[r\x1b8".to_owned());
        }
        let [main, alternate] = [0, 1].map(|screen| self.keyboards[screen].undo());
        if let Some(mode) = self.alternate_screen {
            parts.push(format!("{alternate}\x1b[?{mode}l"));
        } else if !alternate.is_empty() {
            parts.push(format!("\x1b[?1049h{alternate}\x1b[?1049l"));
        }
        parts.push(main);
        if self.modify_other_keys != 0 {
            parts.push("\x1b[>4m".to_owned());
        }
        if self.cursor_shape != 0 {
            parts.push("\x1b[0 q".to_owned());
        }
        for title in self.titles.iter().rev() {
            parts.push(format!("\x1b[23;{title}t"));
        }
        parts.concat() + &self.others.concat()
    }

    /// Returns the sequences that reset everything that is followed, but for the keyboard's stack of modes.
    pub(super) fn reset() -> String {
        let modes = MODES.iter().filter(|(mode, _)| *mode != ORIGIN);
        let modes: String = modes.map(|(mode, _)| switch(*mode, is(*mode, Is::On))).collect();
        let undos = [REPLACE, LINE_FEED, UNLOCKED, NO_ECHO, UTF_8, NO_LOCATOR, NO_USER_KEYS].concat();
        format!("{MAIN_SCREEN}\x1b[!p{modes}{undos}{}{}", MODIFIERS.concat(), FORMATS.concat())
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
        for mode in &self.private {
            parts.push(switch(*mode, !is(*mode, Is::On)));
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

    /// Returns whether there are only modes that a shell sets at its prompt.
    pub fn are_of_a_prompt(&self) -> bool {
        let is_of_a_prompt = |mode: &u16| matches!(*mode, 1 | APPLICATION_KEYPAD | PASTE);
        let others = Self { private: Vec::new(), ..self.clone() };
        others.redo().is_empty() && self.private.iter().all(is_of_a_prompt)
    }

    /// Returns the modes that a program normally sets when it starts and undoes when it ends, and not those that it draws with.
    pub fn of_program(&self) -> Self {
        let mut private = self.private.clone();
        private.retain(|mode| ![ORIGIN, 7, 25].contains(mode));
        let Self { alternate_screen, ref keyboards, modify_other_keys, .. } = *self;
        Self { private, alternate_screen, keyboards: keyboards.clone(), modify_other_keys, ..Self::default() }
    }

    pub(super) fn set(&mut self, mode: u16, on: bool) {
        if ALTERNATE_SCREENS.contains(&mode) {
            self.alternate_screen = on.then_some(mode);
            self.note(MAIN_SCREEN, false);
        } else if mode == 2026 {
            self.note(AT_ONCE, on);
        } else if properties(mode).is_some() {
            self.private.retain(|other| *other != mode);
            if on != is(mode, Is::On) {
                self.private.push(mode);
            }
        }
    }

    /// Returns whether a mode is on, if it is one that is followed.
    pub(super) fn get(&self, mode: u16) -> Option<bool> {
        if ALTERNATE_SCREENS.contains(&mode) {
            return Some(self.alternate_screen.is_some());
        }
        properties(mode).map(|_| self.private.contains(&mode) != is(mode, Is::On))
    }

    /// Notes whether there is something for a sequence to undo.
    pub(super) fn note(&mut self, undo: &'static str, is_on: bool) {
        self.others.retain(|other| *other != undo);
        if is_on {
            self.others.push(undo);
        }
    }

    /// Notes whether text is coloured, bold or the like.
    pub(super) fn style(&mut self, params: &Params) {
        let mut is_styled = self.others.contains(&PLAIN);
        for parameter in params {
            match parameter[0] {
                0 => is_styled = false,
                // These turn something off, but not everything.
                22..=29 | 39 | 49 | 54 | 55 | 59 | 65 | 75 => {}
                // The numbers of a colour may follow.
                38 | 48 | 58 => {
                    is_styled = true;
                    break;
                }
                _ => is_styled = true,
            }
        }
        self.note(PLAIN, is_styled);
    }

    pub(super) fn keyboard(&mut self) -> &mut Keyboard {
        &mut self.keyboards[usize::from(self.alternate_screen.is_some())]
    }

    /// Resets what every terminal resets. Some, such as tmux, stay on the alternate screen.
    pub(super) fn full_reset(&mut self) {
        let may_be_alternate = self.alternate_screen() || self.others.contains(&MAIN_SCREEN);
        let has_titles = self.others.contains(&BACK_TO_TITLES);
        *self = Self::default();
        self.note(MAIN_SCREEN, may_be_alternate);
        // Terminals differ in whether they forget the titles that they keep.
        self.note(BACK_TO_TITLES, has_titles);
    }

    /// Resets what a soft reset does.
    pub(super) fn soft_reset(&mut self) {
        self.private.retain(|mode| !is(*mode, Is::Soft));
        self.scroll_region = None;
        for undo in ASCII.map(|(_, undo)| undo).into_iter().chain([REPLACE, FIRST_CHARSET, PLAIN]) {
            self.note(undo, false);
        }
    }
}

impl Keyboard {
    /// The flag that makes the terminal report when a key is released.
    const EVENTS: u16 = 2;

    fn flags(&self) -> u16 {
        *self.stack.last().unwrap_or(&self.bottom)
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

    pub(super) fn set(&mut self, flags: u16, how: u16) {
        let current = self.stack.last_mut().unwrap_or(&mut self.bottom);
        match how {
            2 => *current |= flags,
            3 => *current &= !flags,
            _ => *current = flags,
        }
    }

    pub(super) fn push(&mut self, flags: u16) {
        if self.stack.len() == MAX_STACK {
            self.stack.remove(0);
        }
        self.stack.push(flags);
    }

    pub(super) fn pop(&mut self, count: u16) {
        let left = self.stack.len().saturating_sub(count.max(1).into());
        self.stack.truncate(left);
    }
}

/// Returns the sequence that sets or resets a mode.
pub(super) fn switch(mode: u16, on: bool) -> String {
    let end = if on { 'h' } else { 'l' };
    match mode {
        // More terminals know this sequence than the mode.
        APPLICATION_KEYPAD => if on { "\x1b=" } else { "\x1b>" }.to_owned(),
        2 if on => "\x1b<".to_owned(),
        _ => format!("\x1b[?{mode}{end}"),
    }
}

fn properties(mode: u16) -> Option<&'static [Is]> {
    MODES.iter().find(|(known, _)| *known == mode).map(|(_, properties)| *properties)
}

pub(super) fn is(mode: u16, property: Is) -> bool {
    properties(mode).is_some_and(|properties| properties.contains(&property))
}
