//! The detach keys, in every encoding in which a terminal sends them.
//!
//! Ctrl-\ arrives as the byte 0x1c, unless the program inside has turned on another encoding: `CSI 92;5u` in the kitty keyboard
//! protocol (<https://sw.kovidgoyal.net/kitty/keyboard-protocol/>), `CSI 27;5;92~` with xterm's modifyOtherKeys
//! (<https://invisible-island.net/xterm/modified-keys.html>).

use std::mem;
use std::ops::Range;
use std::time::Duration;

use crate::host::detach_keys::{DetachKeys, Key};

/// A filter that removes the detach keys from the user's input.
///
/// All keys but the last are passed on at once. A sequence that could still become a detach key is held for a few milliseconds
/// ([`KeyFilter::flush`]). Nothing in a bracketed paste is a key.
///
/// When the keys are pressed again, and no other key was pressed in between, the last one is passed on, unless it seems to be held down.
#[derive(Debug, Default)]
pub struct KeyFilter {
    keys: Vec<Key>,
    /// How many of the keys have been pressed.
    pressed: usize,
    /// When the last key was held back, unless another key was pressed since.
    held_back: Option<Duration>,
    /// Whether a press since then may have been the first repetition of a key that is held down.
    repeated: bool,
    /// Whether the last key, which was held back, is still held down. Its repetition and release are held back too.
    down: bool,
    in_paste: bool,
    /// How many of the next bytes are no keys, but belong to a function key, a pointer event or an answer of the terminal.
    skipped: usize,
    /// When the last byte came.
    now: Duration,
    /// The beginning of an escape sequence, of which the first `sent` bytes have been passed on.
    sequence: Vec<u8>,
    sent: usize,
}

/// What is done with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is passed on.
    Passed,
    /// It is the last of the detach keys, held back.
    HeldBack,
    /// It is held back because it only repeats or releases that one.
    Swallowed,
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
const CTRL_SHIFT: u32 = CTRL | SHIFT;
/// Caps Lock and Num Lock.
const LOCKS: u32 = 64 | 128;

const REPEAT: u32 = 2;
const RELEASE: u32 = 3;

const ESCAPE: u8 = 0x1b;

/// The last character of the Latin alphabets.
const LAST_LATIN: u32 = 0x24f;

/// The longest sequence that is held back. A key with associated text is shorter.
const MAX_SEQUENCE: usize = 64;

/// A key that comes again sooner is held down. On a Mac it repeats each 90 ms, elsewhere sooner.
const REPEATS: Duration = Duration::from_millis(120);

/// When a key that is held down may repeat for the first time.
const FIRST_REPEAT: Range<Duration> = Duration::from_millis(200)..Duration::from_millis(700);

/// A key that comes again later is pressed for the first time.
const FORGETS: Duration = Duration::from_secs(5);

/// A paste or another long sequence has ended, even without its end, when nothing has come for this time.
const SILENCE: Duration = Duration::from_secs(1);

impl KeyEvent {
    /// Parses the end of a control sequence, after `CSI`.
    fn parse(sequence: &[u8]) -> Option<Self> {
        let (last, parameters) = sequence.split_last()?;
        let parameters = std::str::from_utf8(parameters).ok()?;
        // A missing number has the default value.
        let number = |field, position| -> u32 {
            let numbers = parameters.split(';').nth(field).unwrap_or_default();
            numbers.split(':').nth(position).and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        let (code, shifted, base) = match last {
            b'u' => (number(0, 0), number(0, 1), number(0, 2)),
            // The character is the one that Shift makes.
            b'~' if number(0, 0) == 27 => (number(2, 0), number(2, 0), 0),
            _ => return None,
        };
        let modifiers = number(1, 0).saturating_sub(1) & !LOCKS;
        Some(Self { code, shifted, base, modifiers, kind: number(1, 1) })
    }

    /// Returns whether this is one of the detach keys. In the legacy encoding Ctrl with 2 to 8, `/` and `~` sends the same bytes as
    /// other keys; here these are keys of their own.
    fn is(self, key: Key) -> bool {
        let Self { code, shifted, base, modifiers, .. } = self;
        match (key, modifiers) {
            (Key::Control(ESCAPE), 0) => code == u32::from(ESCAPE),
            // The place of a key counts on a keyboard with another alphabet. A Latin keyboard has the character elsewhere.
            (Key::Control(byte), CTRL) => {
                control_byte(if code > LAST_LATIN { base } else { code }) == Some(byte)
            }
            // A character that needs Shift: with its own code, or with that of the key on a US keyboard.
            (Key::Control(byte), CTRL_SHIFT) => {
                let shifted = match (shifted, code) {
                    (0, 0x32) => u32::from(b'@'),
                    (0, 0x36) => u32::from(b'^'),
                    (0, 0x2d) => u32::from(b'_'),
                    (shifted, _) => shifted,
                };
                matches!(shifted, 0x40 | 0x5b..=0x5f) && control_byte(shifted) == Some(byte)
            }
            (Key::Plain(character), 0) => code == u32::from(character),
            (Key::Plain(character), SHIFT) => [code, shifted].contains(&u32::from(character)),
            _ => false,
        }
    }

    /// Returns whether a modifier itself was pressed, or a lock key.
    fn is_modifier(self) -> bool {
        matches!(self.code, 57358..=57360 | 57441..=57454)
    }
}

/// Returns the byte that Ctrl with a character sends in the legacy encoding.
fn control_byte(code: u32) -> Option<u8> {
    match u8::try_from(code).ok()? {
        b' ' => Some(0),
        code @ (b'a'..=b'z' | b'@'..=b'_') => Some(code & 0x1f),
        _ => None,
    }
}

impl KeyFilter {
    /// Makes a filter for these keys.
    pub fn new(keys: &DetachKeys) -> Self {
        Self { keys: keys.keys().to_vec(), ..Self::default() }
    }

    /// Takes a byte of the input, which came at the time `now` since some moment, and appends what is to be passed on to `passed`.
    /// Returns whether the keys were pressed and the last of them was held back.
    pub fn feed(&mut self, byte: u8, now: Duration, passed: &mut Vec<u8>) -> bool {
        if now.saturating_sub(self.now) > SILENCE {
            (self.in_paste, self.skipped) = (false, 0);
        }
        self.now = now;
        self.take(byte, passed)
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

    fn take(&mut self, byte: u8, passed: &mut Vec<u8>) -> bool {
        if self.skipped > 0 && byte >= b' ' && self.sequence.is_empty() {
            self.skipped -= 1;
            passed.push(byte);
            return false;
        }
        self.skipped = 0;
        match (self.sequence.as_slice(), byte) {
            ([], ESCAPE) | ([_], b'[') => self.sequence.push(byte),
            ([_, _, ..], 0x20..=0x3f) if self.sequence.len() < MAX_SEQUENCE => self.sequence.push(byte),
            ([_, _, ..], 0x40..=0x7e) => {
                self.sequence.push(byte);
                return self.control_sequence(passed);
            }
            ([], _) => return self.character(byte, passed),
            // Alt with another key, or another kind of sequence.
            ([_], _) if self.sent == 0 && byte != ESCAPE => {
                self.skipped = match byte {
                    b'O' => 1,
                    // A string, which ends with a control character.
                    b'P' | b'X' | b']' | b'^' | b'_' => usize::MAX,
                    _ => 0,
                };
                self.sequence.push(byte);
                self.pass_sequence(passed);
                self.other_key();
            }
            // The sequence is broken off, or Escape was a key.
            _ => {
                let is_pressed = self.end_escape(passed);
                return self.take(byte, passed) || is_pressed;
            }
        }
        false
    }

    /// Gives up an unfinished sequence. A lone Escape was a key.
    fn end_escape(&mut self, passed: &mut Vec<u8>) -> bool {
        if self.sequence == [ESCAPE] && self.sent == 0 {
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
        (self.pressed, self.held_back) = (0, None);
    }

    fn character(&mut self, byte: u8, passed: &mut Vec<u8>) -> bool {
        self.down = false;
        let is_it = |key| matches!(key, Key::Control(key) | Key::Plain(key) if key == byte);
        let verdict = if self.in_paste { Verdict::Passed } else { self.press(is_it) };
        if verdict == Verdict::Passed {
            passed.push(byte);
        }
        verdict == Verdict::HeldBack
    }

    fn control_sequence(&mut self, passed: &mut Vec<u8>) -> bool {
        let mut verdict = Verdict::Passed;
        match &self.sequence[2..] {
            b"200~" => self.in_paste = true,
            b"201~" => self.in_paste = false,
            _ if self.in_paste => {}
            // A pointer event. Its three bytes follow.
            b"M" => self.skipped = 3,
            // An answer of the terminal.
            [b'<'..=b'?', ..] => {}
            sequence @ [.., b'A'..=b'H' | b'P' | b'Q' | b'S' | b'Z' | b'u' | b'~'] => {
                match KeyEvent::parse(sequence) {
                    Some(event) => verdict = self.event(event),
                    None => self.other_key(),
                }
            }
            // A pointer event, the focus, or an answer of the terminal.
            _ => {}
        }
        if verdict != Verdict::Passed {
            // What has not been passed on of it is the key itself.
            self.sent = self.sequence.len();
        }
        self.pass_sequence(passed);
        verdict == Verdict::HeldBack
    }

    fn event(&mut self, event: KeyEvent) -> Verdict {
        let is_last = self.keys.last().is_some_and(|key| event.is(*key));
        match event.kind {
            REPEAT | RELEASE if is_last && self.down => {
                self.down = event.kind == REPEAT;
                Verdict::Swallowed
            }
            REPEAT if is_last => Verdict::Passed,
            RELEASE => Verdict::Passed,
            _ if event.is_modifier() => Verdict::Passed,
            _ => {
                let verdict = self.press(|key| event.is(key));
                self.down = verdict != Verdict::Passed;
                verdict
            }
        }
    }

    /// Notes a key, and holds it back if it is the last one.
    fn press(&mut self, is_key: impl Fn(Key) -> bool) -> Verdict {
        let at = |position: usize| self.keys.get(position).is_some_and(|key| is_key(*key));
        self.pressed = if at(self.pressed) { self.pressed + 1 } else { usize::from(at(0)) };
        if self.pressed < self.keys.len() {
            self.held_back = self.held_back.filter(|_| self.pressed > 0);
            return Verdict::Passed;
        }
        self.pressed = 0;
        match self.held_back.replace(self.now).map(|before| self.now.saturating_sub(before)) {
            Some(time) if time < REPEATS => Verdict::Swallowed,
            Some(time) if FIRST_REPEAT.contains(&time) && !mem::replace(&mut self.repeated, true) => {
                Verdict::Swallowed
            }
            Some(time) if time < FORGETS => {
                self.held_back = None;
                Verdict::Passed
            }
            _ => {
                self.repeated = false;
                Verdict::HeldBack
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds input and returns what was passed on, with `!` where the keys were held back. At each `|` some time passes.
    fn feed(filter: &mut KeyFilter, input: &[u8]) -> String {
        let (mut passed, mut now) = (Vec::new(), filter.now);
        for byte in input {
            if *byte == b'|' {
                now += Duration::from_millis(1100);
            } else if filter.feed(*byte, now, &mut passed) {
                passed.push(b'!');
            }
        }
        if filter.flush(&mut passed) {
            passed.push(b'!');
        }
        String::from_utf8_lossy(&passed).replace('\x1b', "^")
    }

    fn filter(keys: &str) -> KeyFilter {
        KeyFilter::new(&DetachKeys::parse(keys).unwrap())
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
            ("ctrl-^", &["\x1e", "\x1b[54;6u", "\x1b[54:94;6u", "\x1b[94;5u"]),
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
            "\x1b[200~\x1c\x1b[201~",
            "\x1b[M !!",
            // Other characters on keyboards with Latin letters: `#`, `'`, `4`, `ç`.
            "\x1b[35::92;5u",
            "\x1b[39::52;5u",
            "\x1b[39:52:52;6u",
            "\x1b[52;5u",
            "\x1b[231::92;5u",
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
    fn a_key_in_the_place_of_another_is_passed_on() {
        for (keys, input) in
            [("ctrl-q", "\x1b[97::113;5u"), ("ctrl-_", "\x1b[47;5u"), ("ctrl-^", "\x1b[54;5u")]
        {
            assert_eq!(feed(&mut filter(keys), input.as_bytes()), input.replace('\x1b', "^"), "{keys}");
        }
    }

    #[test]
    fn a_key_that_is_pressed_quickly_is_no_key_that_is_held_down() {
        for (milliseconds, passed) in [
            (&[150, 150][..], "!^!"),
            (&[500], "!"),
            (&[300, 300, 300, 300, 300], "!^!^"),
            (&[800], "!^"),
            (&[6000], "!!"),
            // Held down, with the delays of several systems.
            (&[500, 33, 33, 33, 33], "!"),
            (&[250, 33, 33, 33, 33], "!"),
            (&[660, 40, 40, 40, 40], "!"),
            (&[375, 90, 90, 90, 90], "!"),
        ] {
            let (mut filter, mut now, mut seen) = (filter(r"ctrl-\"), Duration::ZERO, String::new());
            for time in [0].iter().chain(milliseconds) {
                now += Duration::from_millis(*time);
                let mut bytes = Vec::new();
                if filter.feed(0x1c, now, &mut bytes) {
                    seen.push('!');
                }
                seen.extend(bytes.iter().map(|_| '^'));
            }
            assert_eq!(seen, passed, "{milliseconds:?}");
        }
    }

    #[test]
    fn keys_count_again_after_a_paste() {
        for (input, passed) in [
            ("\x1b[200~a\x1cb\x1b[201~c\x1c", "^[200~a\x1cb^[201~c!"),
            // The end of the paste never comes.
            ("\x1b[200~a\x1cb|\x1c", "^[200~a\x1cb!"),
            ("\x1b[200~a\x1b[92;5u|\x1b[92;5u", "^[200~a^[92;5u!"),
            ("\x1b[200~\x1b[27;5;92~\x1b[201~\x1b[92;5u", "^[200~^[27;5;92~^[201~!"),
        ] {
            assert_eq!(feed(&mut filter(r"ctrl-\"), input.as_bytes()), passed, "{input:?}");
        }
    }

    #[test]
    fn characters_of_sequences_are_no_keys() {
        for input in [
            "\x1bOP",
            "\x1b[M PP",
            "\x1b[MPPP",
            "\x1b]11;rgb:PP\x07",
            "\x1bP1+r5P=P\x1b\\",
            "\x1b_P\x1b\\",
            "\x1bP",
        ] {
            let passed = input.replace('\x1b', "^");
            let mut filter = filter("P");
            assert_eq!(feed(&mut filter, input.as_bytes()), passed, "{input:?}");
            // The last one is Alt with P, or a string that never ends.
            assert_eq!(feed(&mut filter, b"|P"), "!", "{input:?}");
        }
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
        for (input, passed) in [
            ("\x1c|\x1c|\x1c", "!\x1c!"),
            ("\x1ca\x1c", "!a!"),
            // Much later.
            ("\x1c|||||\x1c", "!!"),
            // Held down: repetition and release belong to the first press.
            ("\x1c\x1c\x1c", "!"),
            ("\x1b[92;5u\x1b[92;5:2u|\x1b[92;5:2u\x1b[92;5:3u|\x1b[92;5u\x1b[92;5:3u", "!^[92;5u^[92;5:3u"),
            ("\x1b[92;5u|\x1b[92;5u\x1b[92;5:2u", "!^[92;5u^[92;5:2u"),
        ] {
            assert_eq!(feed(&mut filter(r"ctrl-\"), input.as_bytes()), passed, "{input:?}");
        }
    }

    #[test]
    fn an_incomplete_sequence_is_passed_on_and_still_counts() {
        let mut filter = filter(r"ctrl-\");
        assert_eq!(feed(&mut filter, b"\x1b"), "^");
        assert_eq!(feed(&mut filter, b"\x1c"), "!");
        assert_eq!(feed(&mut filter, b"x\x1b[92"), "x^[92");
        assert_eq!(feed(&mut filter, b";5u"), "!");
        assert_eq!(feed(&mut filter, b"x\x1b"), "x^");
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
            b"O",
            b"]",
            b"\x07",
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
            let (mut passed, mut now) = (Vec::new(), never.now);
            for (byte, flush) in input.iter().zip(&flushes) {
                now += Duration::from_millis(u64::from(*byte) * 5);
                prop_assert!(!never.feed(*byte, now, &mut passed));
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
                some.feed(*byte, now, &mut passed);
            }
            some.flush(&mut passed);
            let mut rest = input.iter();
            prop_assert!(passed.iter().all(|byte| rest.any(|other| other == byte)));
        }
    }
}
