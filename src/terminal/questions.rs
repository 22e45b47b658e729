//! Questions of a program to the terminal. The terminal answers as if the user typed, so an answer that comes when the program has
//! ended would be typed into the user's shell, which may run parts of it.

use std::mem;
use std::time::{Duration, Instant};

use vte::Params;

/// The beginnings of strings that are no questions: titles, the directory, the clipboard, marks.
const SILENT: [&str; 6] = ["0;", "1;", "2;", "7;", "52;", "133;"];

/// The questions in a program's output. Anything not known to be harmless counts as a question.
#[derive(Debug, Default)]
pub struct Questions {
    /// Whether there was a question since [`Questions::note_time`] was last called.
    is_new: bool,
    /// Whether a string that was understood was the last thing in the output, and is about to be terminated.
    in_string: bool,
    last: Option<Instant>,
    /// How often the program has asked for the terminal's status.
    pub of_status: usize,
}

impl Questions {
    /// Takes a control sequence.
    pub fn sequence(&mut self, params: &Params, intermediates: &[u8], action: char) {
        let first = params.iter().next().map_or(0, |subparameters| subparameters[0]);
        let is_silent = match (intermediates, action) {
            // Among others, sets the title and asks for it.
            (b"", 't') => !(11..=21).contains(&first),
            _ => matches!(
                (intermediates, action),
                (b"", '@'..='Z' | '`'..='b' | 'd'..='m' | 'r' | 's' | 'u')
                    | (b"?", 'J' | 'K' | 'h' | 'l' | 'r' | 's')
                    | (b">" | b"<" | b"=", 'm' | 'u')
                    | (b" ", 'q')
                    | (b"!", 'p')
            ),
        };
        self.is_new |= !is_silent;
        self.in_string = false;
        self.of_status += usize::from((intermediates, action, first) == (b"", 'n', 5));
    }

    /// Takes the content of a string for the operating system, whose end is still to come if it is not `terminated`.
    pub fn string(&mut self, text: &str, sets: bool, terminated: bool) {
        let is_silent = sets || SILENT.iter().any(|start| text.starts_with(start));
        // One string can set some colours and ask for others.
        self.is_new |= !is_silent || text.split(';').any(|part| part.starts_with('?'));
        self.in_string = !terminated;
    }

    /// Takes something that no terminal answers. A string before it has no other end.
    pub fn other(&mut self) {
        self.in_string = false;
    }

    /// Takes the end of a string. One that was not understood may be about graphics or a setting.
    pub fn end_of_string(&mut self) {
        self.is_new |= !mem::take(&mut self.in_string);
    }

    /// Takes a character or sequence that is a question by itself.
    pub fn ask(&mut self) {
        self.is_new = true;
    }

    /// Notes that the questions so far came before now.
    pub fn note_time(&mut self) {
        if mem::take(&mut self.is_new) {
            self.last = Some(Instant::now());
        }
    }

    /// Returns whether the last question was asked at most so long ago.
    pub fn are_within(&self, time: Duration) -> bool {
        self.last.is_some_and(|last| last.elapsed() < time)
    }
}
