//! The detach keys, in every encoding in which a terminal sends them.
//!
//! Ctrl-\ arrives as the byte 0x1c, unless the program inside has turned on another encoding: `CSI 92;5u` in the kitty keyboard
//! protocol (<https://sw.kovidgoyal.net/kitty/keyboard-protocol/>), `CSI 27;5;92~` with xterm's modifyOtherKeys
//! (<https://invisible-island.net/xterm/modified-keys.html>).

use crate::host::detach_keys::{DetachKeys, Key};

/// A filter that removes the detach keys from the user's input.
///
/// The keys before the last one are passed on at once, as are sequences that merely could become a detach key, after a few
/// milliseconds ([`KeyFilter::flush`]). Keys in a bracketed paste are text.
#[derive(Debug)]
pub struct KeyFilter {
    keys: Vec<Key>,
    second_press: SecondPress,
    /// How many of the keys have been pressed.
    pressed: usize,
    /// Whether the keys were held back, and no other key was pressed since.
    armed: bool,
    /// Whether the last key, which was held back, is still held down. Its repetition and release are held back too.
    down: bool,
    in_paste: bool,
    /// The beginning of an escape sequence, of which the first `sent` bytes have been passed on.
    sequence: Vec<u8>,
    sent: usize,
}

/// What happens when the keys are pressed again, and no other key was pressed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondPress {
    /// They are held back again.
    HeldBack,
    /// The program gets the last one.
    PassedOn,
}

/// A key in one of the longer encodings: numbers as in `CSI code:shifted:base;modifiers:event u`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct KeyEvent {
    code: u32,
    /// The character with Shift, or 0.
    shifted: u32,
    /// The character that the key has on a US keyboard, or 0.
    base: u32,
    /// A bit mask, without Caps Lock and Num Lock.
    modifiers: u32,
    kind: u32,
}

const SHIFT: u32 = 1;
const CTRL: u32 = 4;
/// Caps Lock and Num Lock.
const LOCKS: u32 = 64 | 128;

const REPEAT: u32 = 2;
const RELEASE: u32 = 3;

const ESCAPE: u8 = 0x1b;

/// The longest sequence that is held back. A key with associated text is shorter.
const MAX_SEQUENCE: usize = 64;

impl KeyEvent {
    fn is(self, key: Key) -> bool {
        let KeyEvent { code, shifted, base, modifiers, .. } = self;
        match (key, modifiers) {
            (Key::Control(ESCAPE), 0) => code == u32::from(ESCAPE),
            (Key::Control(byte), CTRL) => {
                [code, base].into_iter().any(|code| control_byte(code) == Some(byte))
            }
            // A character that needs Shift: with its own code, or with that of the key on a US keyboard.
            (Key::Control(byte), modifiers) if modifiers == CTRL | SHIFT => {
                let on_us_keyboard = match code {
                    0x32 => b'@',
                    0x36 => b'^',
                    0x2d => b'_',
                    _ => 0,
                };
                let shifted = if shifted == 0 { u32::from(on_us_keyboard) } else { shifted };
                shifted != 0 && !is_letter(shifted) && control_byte(shifted) == Some(byte)
            }
            (Key::Plain(character), 0) => code == u32::from(character),
            (Key::Plain(character), SHIFT) => [code, shifted].contains(&u32::from(character)),
            _ => false,
        }
    }
}

fn is_letter(code: u32) -> bool {
    u8::try_from(code).is_ok_and(|code| code.is_ascii_alphabetic())
}

/// Returns the byte that Ctrl with a character sends in the legacy encoding
/// (<https://sw.kovidgoyal.net/kitty/keyboard-protocol/#legacy-ctrl-mapping-of-ascii-keys>).
fn control_byte(code: u32) -> Option<u8> {
    let code = u8::try_from(code).ok()?;
    match code {
        b'a'..=b'z' | b'A'..=b'Z' | b'@' | b'['..=b'_' => Some(code & 0x1f),
        b' ' | b'2' => Some(0),
        b'3'..=b'7' => Some(code - b'3' + ESCAPE),
        b'/' => Some(0x1f),
        b'~' => Some(0x1e),
        _ => None,
    }
}

impl KeyFilter {
    /// Makes a filter for these keys.
    pub fn new(keys: &DetachKeys, second_press: SecondPress) -> Self {
        Self {
            keys: keys.keys().to_vec(),
            second_press,
            pressed: 0,
            armed: false,
            down: false,
            in_paste: false,
            sequence: Vec::new(),
            sent: 0,
        }
    }

    /// Takes a byte of the input and appends what is to be passed on to `passed`. Returns whether the keys were pressed and the
    /// last of them was held back.
    pub fn feed(&mut self, byte: u8, passed: &mut Vec<u8>) -> bool {
        let starts_csi = self.sequence == [ESCAPE] && byte == b'[';
        match self.sequence.len() {
            0 if byte == ESCAPE => {}
            0 => return self.character(byte, passed),
            1 if starts_csi => {}
            // Alt with another key, or another kind of sequence.
            1 if self.sent == 0 && byte != ESCAPE => {
                self.other_key();
                self.pass_sequence(passed);
                passed.push(byte);
                return false;
            }
            2.. if (0x20..=0x3f).contains(&byte) && self.sequence.len() < MAX_SEQUENCE => {}
            2.. if (0x40..=0x7e).contains(&byte) => {
                self.sequence.push(byte);
                return self.control_sequence(passed);
            }
            // The sequence is broken off, or Escape was a key.
            _ => {
                let is_pressed = self.end_escape(passed);
                return self.feed(byte, passed) || is_pressed;
            }
        }
        self.sequence.push(byte);
        false
    }

    /// Returns whether a part of a sequence is held back.
    pub fn holds_back(&self) -> bool {
        self.sent < self.sequence.len()
    }

    /// Passes on what is held back, because nothing has followed for some milliseconds. It may still become a detach key. Returns
    /// the same as [`KeyFilter::feed`].
    pub fn flush(&mut self, passed: &mut Vec<u8>) -> bool {
        if self.sequence == [ESCAPE] && self.keys.contains(&Key::Control(ESCAPE)) {
            return self.end_escape(passed);
        }
        passed.extend_from_slice(&self.sequence[self.sent..]);
        self.sent = self.sequence.len();
        false
    }

    /// Ends a sequence that did not become one. A lone Escape was a key.
    fn end_escape(&mut self, passed: &mut Vec<u8>) -> bool {
        let is_key = self.sequence == [ESCAPE] && self.sent == 0;
        if is_key {
            self.sequence.clear();
            return self.character(ESCAPE, passed);
        }
        self.other_key();
        self.pass_sequence(passed);
        false
    }

    fn pass_sequence(&mut self, passed: &mut Vec<u8>) {
        passed.extend_from_slice(&self.sequence[self.sent..]);
        self.sequence.clear();
        self.sent = 0;
    }

    fn other_key(&mut self) {
        self.pressed = 0;
        self.armed = false;
    }

    fn character(&mut self, byte: u8, passed: &mut Vec<u8>) -> bool {
        self.down = false;
        let is_held_back = !self.in_paste
            && self.press(|key| matches!(key, Key::Control(key) | Key::Plain(key) if key == byte));
        if !is_held_back {
            passed.push(byte);
        }
        is_held_back
    }

    fn control_sequence(&mut self, passed: &mut Vec<u8>) -> bool {
        match &self.sequence[2..] {
            b"200~" => self.in_paste = true,
            b"201~" => self.in_paste = false,
            // A pointer event, the focus, or an answer of the terminal.
            [b'<' | b'=' | b'>' | b'?', ..]
            | [.., b'I' | b'M' | b'O' | b'R' | b'c' | b'm' | b'n' | b't' | b'y'] => {}
            sequence => match KeyEvent::parse(sequence) {
                Some(event) if !self.in_paste => {
                    if self.event(event) {
                        // What has not been passed on of it is the key itself.
                        let is_pressed = event.kind != REPEAT && event.kind != RELEASE;
                        self.sequence.clear();
                        self.sent = 0;
                        return is_pressed;
                    }
                }
                _ => self.other_key(),
            },
        }
        self.pass_sequence(passed);
        false
    }

    /// Returns whether an event is held back.
    fn event(&mut self, event: KeyEvent) -> bool {
        let is_last = self.keys.last().is_some_and(|key| event.is(*key));
        match event.kind {
            RELEASE => is_last && std::mem::take(&mut self.down),
            REPEAT if is_last && self.down => true,
            _ if event.is_modifier() => false,
            _ => {
                self.down = self.press(|key| event.is(key));
                self.down
            }
        }
    }

    /// Notes a key, and returns whether it is to be held back because it is the last one.
    fn press(&mut self, is_key: impl Fn(Key) -> bool) -> bool {
        let at = |position: usize| self.keys.get(position).is_some_and(|key| is_key(*key));
        self.pressed = if at(self.pressed) { self.pressed + 1 } else { usize::from(at(0)) };
        if self.pressed < self.keys.len() {
            self.armed &= self.pressed > 0;
            return false;
        }
        self.pressed = 0;
        self.armed = self.second_press == SecondPress::HeldBack || !self.armed;
        self.armed
    }
}

impl KeyEvent {
    /// Parses the end of a control sequence, after `CSI`.
    fn parse(sequence: &[u8]) -> Option<Self> {
        let (last, parameters) = sequence.split_last()?;
        let parameters = std::str::from_utf8(parameters).ok()?;
        let mut fields = parameters.split(';').map(|field| {
            // An empty number has the default value.
            let mut numbers = field.split(':').map(|number| number.parse::<u32>().unwrap_or(0));
            [(); 3].map(|()| numbers.next().unwrap_or(0))
        });
        let mut field = || fields.next().unwrap_or([0; 3]);
        let (code, [modifiers, kind, _]) = match last {
            b'u' => (field(), field()),
            b'~' if field()[0] == 27 => {
                let modifiers = field();
                let [code, ..] = field();
                // The character is the one that Shift makes.
                ([code, code, 0], modifiers)
            }
            _ => return None,
        };
        let modifiers = modifiers.saturating_sub(1) & !LOCKS;
        Some(Self { code: code[0], shifted: code[1], base: code[2], modifiers, kind })
    }

    /// Returns whether a modifier itself was pressed, or a lock key.
    fn is_modifier(self) -> bool {
        matches!(self.code, 57358..=57360 | 57441..=57454)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds input and returns what was passed on, with `!` where the keys were held back.
    fn feed(filter: &mut KeyFilter, input: &[u8]) -> String {
        let mut passed = Vec::new();
        for byte in input {
            if filter.feed(*byte, &mut passed) {
                passed.push(b'!');
            }
        }
        if filter.flush(&mut passed) {
            passed.push(b'!');
        }
        String::from_utf8_lossy(&passed).replace('\x1b', "^")
    }

    fn filter(keys: &str) -> KeyFilter {
        KeyFilter::new(&DetachKeys::parse(keys).unwrap(), SecondPress::HeldBack)
    }

    #[test]
    fn a_key_is_recognized_in_every_encoding() {
        for (keys, inputs) in [
            (
                r"ctrl-\",
                &[
                    "\x1c",
                    "\x1b[92;5u",
                    // Caps Lock, Num Lock, both.
                    "\x1b[92;69u",
                    "\x1b[92;133u",
                    "\x1b[92;197u",
                    "\x1b[92:124;5u",
                    "\x1b[92:124:92;5:1u",
                    "\x1b[92;5;28u",
                    // A keyboard with another alphabet.
                    "\x1b[1098::92;5u",
                    "\x1b[1098:1066:92;5:1u",
                    // A keyboard where the character needs Shift.
                    "\x1b[55:92;6u",
                    "\x1b[27;5;92~",
                    "\x1b[27;69;92~",
                ][..],
            ),
            (
                "ctrl-a",
                &["\x01", "\x1b[97;5u", "\x1b[97;69u", "\x1b[27;5;97~", "\x1b[27;69;65~", "\x1b[1092::97;5u"],
            ),
            ("ctrl-@", &["\0", "\x1b[32;5u", "\x1b[50:64;6u", "\x1b[27;6;64~", "\x1b[27;5;32~"]),
            ("ctrl-^", &["\x1e", "\x1b[54;6u", "\x1b[54:94;6u", "\x1b[54;5u"]),
            ("ctrl-_", &["\x1f", "\x1b[45:95;6u", "\x1b[45;6u", "\x1b[95;5u"]),
            ("ctrl-]", &["\x1d", "\x1b[93;5u"]),
            ("ctrl-[", &["\x1b", "\x1b[27u", "\x1b[91;5u"]),
            ("q", &["q", "\x1b[113u", "\x1b[113;129u"]),
            ("Q", &["Q", "\x1b[113:81;2u"]),
        ] {
            for input in inputs {
                assert_eq!(feed(&mut filter(keys), input.as_bytes()), "!", "{keys} {input:?}");
            }
        }
    }

    #[test]
    fn other_keys_are_passed_on() {
        for input in [
            "\x1b[92u",
            "\x1b[92;6u",
            "\x1b[92;7u",
            "\x1b[92;13u",
            "\x1b[124;5u",
            "\x1b[27;5;124~",
            "\x1b[27;7;92~",
            // A release, although the key was not held back.
            "\x1b[92;5:3u",
            "\x1b\x1c",
            "\x1b\x1b[A",
            "\x1b[A",
            "\x1bOP",
            "\x1b[200~\x1c\x1b[92;5u\x1b[201~",
            "\x1b[M !!",
            "\x1b[<0;1;1M",
            "\x1b[?62c",
            "\x1b[99999999999;5u",
            "\x1b[92;5",
            "\x1b[",
            "\x1b",
            "ä€\u{1F600}",
            "\\",
        ] {
            let passed = feed(&mut filter(r"ctrl-\"), input.as_bytes());
            assert_eq!(passed, input.replace('\x1b', "^"), "{input:?}");
        }
    }

    #[test]
    fn keys_count_again_after_a_paste() {
        let passed = feed(&mut filter(r"ctrl-\"), b"\x1b[200~a\x1cb\x1b[201~c\x1c");
        assert_eq!(passed, "^[200~a\x1cb^[201~c!");
    }

    #[test]
    fn the_first_keys_of_several_are_passed_on() {
        for (input, passed) in [
            ("\x10\x11", "\x10!"),
            ("\x10x\x11", "\x10x\x11"),
            ("\x10\x10\x11", "\x10\x10!"),
            ("\x11\x10", "\x11\x10"),
            ("\x1b[112;5u\x1b[113;5u", "^[112;5u!"),
            // The release of the first key, a modifier, and a pointer event come between them.
            (
                "\x1b[112;5u\x1b[112;5:3u\x1b[57442;5:3u\x1b[<35;1;1M\x1b[113;5u",
                "^[112;5u^[112;5:3u^[57442;5:3u^[<35;1;1M!",
            ),
        ] {
            assert_eq!(feed(&mut filter("ctrl-p,ctrl-q"), input.as_bytes()), passed, "{input:?}");
        }
    }

    #[test]
    fn pressing_the_keys_twice_sends_the_last_one() {
        let keys = DetachKeys::parse(r"ctrl-\").unwrap();
        for (input, passed) in [
            ("\x1c\x1c\x1c", "!\x1c!"),
            ("\x1ca\x1c", "!a!"),
            // Held down: repetition and release belong to the first press.
            ("\x1b[92;5u\x1b[92;5:2u\x1b[92;5:3u\x1b[92;5u\x1b[92;5:3u", "!^[92;5u^[92;5:3u"),
        ] {
            assert_eq!(
                feed(&mut KeyFilter::new(&keys, SecondPress::PassedOn), input.as_bytes()),
                passed,
                "{input:?}"
            );
        }
    }

    #[test]
    fn an_incomplete_sequence_is_passed_on_and_still_counts() {
        let mut filter = filter(r"ctrl-\");
        assert_eq!(feed(&mut filter, b"\x1b"), "^");
        assert_eq!(feed(&mut filter, b"\x1c"), "!");
        assert_eq!(feed(&mut filter, b"\x1b[92"), "^[92");
        assert_eq!(feed(&mut filter, b";5u"), "!");
        assert_eq!(feed(&mut filter, b"\x1b"), "^");
        assert_eq!(feed(&mut filter, b"[92;5u"), "!");
        assert_eq!(feed(&mut filter, b"\x1b"), "^");
        assert_eq!(feed(&mut filter, b"x"), "x");
    }

    /// Generates input that is rich in what matters.
    fn input() -> impl Strategy<Value = Vec<u8>> {
        let pieces: Vec<&'static [u8]> = vec![
            b"\x1b",
            b"[",
            b"\x1c",
            b"\x1b[92;5u",
            b"\x1b[92;5:3u",
            b"\x1b[27;5;92~",
            b"\x1b[200~",
            b"\x1b[201~",
            b"92;",
            b"5",
            b"u",
            b"~",
            b"M",
            b"\x10",
            b"\x11",
            b"a",
            b"\xc3\xa4",
        ];
        let piece = prop_oneof![
            proptest::sample::select(pieces).prop_map(<[u8]>::to_vec),
            any::<u8>().prop_map(|byte| vec![byte]),
        ];
        proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn all_but_the_keys_is_passed_on_in_order(input in input(), flushes in proptest::collection::vec(any::<bool>(), 200)) {
            // A key that is never typed: all is passed on.
            let mut never = filter("ctrl-a,ctrl-b,ctrl-c,ctrl-d,ctrl-e");
            let mut passed = Vec::new();
            for (byte, flush) in input.iter().zip(&flushes) {
                prop_assert!(!never.feed(*byte, &mut passed));
                if *flush {
                    never.flush(&mut passed);
                }
            }
            never.flush(&mut passed);
            let end = input.len().min(flushes.len());
            prop_assert_eq!(&passed, &input[..end]);

            // What is passed on is the input without pieces of it.
            let mut some = filter(r"ctrl-\");
            let mut passed = Vec::new();
            for byte in &input {
                some.feed(*byte, &mut passed);
            }
            some.flush(&mut passed);
            let mut rest = input.iter();
            prop_assert!(passed.iter().all(|byte| rest.any(|other| other == byte)));
        }
    }
}
