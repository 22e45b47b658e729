//! Characters beyond ASCII in a program's output, which the parser of sequences doesn't get.

use std::borrow::Cow;
use std::mem;

/// The character that begins a sequence.
pub const ESCAPE: u8 = 0x1b;

/// Follows the characters of the output.
#[derive(Debug, Default)]
pub struct Characters {
    /// Whether the output ends in the middle of a character.
    pub is_cut: bool,
    /// Whether the output ends with the first byte of a character that may be a control character.
    in_control: bool,
    part: Part,
    /// Whether a character beyond ASCII was in a control sequence. xterm takes some for others there, such as `ã` for `c`, and other
    /// terminals don't.
    pub are_doubtful: bool,
}

/// The part of the output in which a character is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Part {
    /// Text, or the content of a string.
    #[default]
    Text,
    /// After Escape.
    Escape,
    /// A control sequence, or the beginning of a device control string.
    Sequence,
}

impl Part {
    /// Returns the part after one more byte.
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (_, ESCAPE) => Self::Escape,
            (Self::Escape, b'[' | b'P') => Self::Sequence,
            (Self::Text, _)
            | (Self::Escape, 0x30..=0x7e)
            | (Self::Sequence, 0x40..=0x7e)
            | (_, 0x18 | 0x1a) => Self::Text,
            (part, _) => part,
        }
    }
}

impl Characters {
    /// Returns output with Escape and a letter for each control character beyond ASCII, and `?` for other characters. vte 0.15 may
    /// skip a byte after a character that is split between two calls.
    pub fn in_ascii<'a>(&mut self, output: &'a [u8]) -> Cow<'a, [u8]> {
        let is_incomplete =
            |bytes| std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none());
        self.is_cut = output.utf8_chunks().last().is_some_and(|chunk| is_incomplete(chunk.invalid()));
        if output.is_ascii() && !self.in_control {
            // What comes before the last Escape doesn't matter, and text stays text.
            let last = output.iter().rposition(|byte| *byte == ESCAPE);
            if last.is_some() || self.part != Part::Text {
                let rest = &output[last.unwrap_or(0)..];
                self.part = rest.iter().fold(self.part, |part, byte| part.after(*byte));
            }
            return output.into();
        }
        let mut ascii = Vec::with_capacity(output.len() + 1);
        for byte in output {
            match (mem::take(&mut self.in_control), byte) {
                (true, 0x80..=0x9f) => {
                    ascii.extend([ESCAPE, byte - 0x40]);
                    self.part = Part::Escape.after(byte - 0x40);
                    continue;
                }
                (_, 0xc2) => self.in_control = true,
                (_, byte) => ascii.push(if byte.is_ascii() { *byte } else { b'?' }),
            }
            self.are_doubtful |= !byte.is_ascii() && self.part != Part::Text;
            self.part = self.part.after(*byte);
        }
        ascii.into()
    }
}
