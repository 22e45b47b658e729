//! Text for terminals and shells: escaping, quoting, numbers of bytes.

use std::cmp::Ordering;
use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;

/// The number of characters of a name or value that are shown.
const MAX_SHOWN: usize = 200;

/// The number of names that a message has.
const FEW: usize = 3;

/// A number of bytes for people: `193 MB`, in powers of 1000 as the engines have it.
pub fn bytes(number: u64) -> String {
    let mut whole = number;
    let mut rest = 0;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        if whole < 1000 || unit == "TB" {
            // One digit more where there is only one.
            let digit = if whole < 10 && unit != "B" { format!(".{}", rest / 100) } else { String::new() };
            return format!("{whole}{digit} {unit}");
        }
        rest = whole % 1000;
        whole /= 1000;
    }
    number.to_string()
}

/// Makes text from outside harmless to a terminal: control characters, those that reorder text and blanks other than a space are
/// spelled out.
pub fn escape(text: &str) -> String {
    escape_if(text, is_unsafe)
}

/// As [`escape`], but keeps line breaks: for what an engine said.
pub fn escape_lines(text: &str) -> String {
    escape_if(text, |c| c != '\n' && is_unsafe(c))
}

/// Shows a name that code in a cage may have chosen: shortened, and quoted unless it is plain, so that it can't be read as words of
/// cage's own message.
pub fn name(name: &str) -> String {
    quote(&shorten(name))
}

/// Shows a few of such names.
pub fn names<T: AsRef<str>>(all: &[T]) -> String {
    let shown = all.iter().take(FEW).map(|one| name(one.as_ref()));
    let more = (all.len() > FEW).then(|| "…".to_owned());
    shown.chain(more).collect::<Vec<_>>().join(", ")
}

/// Cuts a text to a length worth showing.
pub fn shorten(text: &str) -> String {
    if text.chars().count() <= MAX_SHOWN {
        return text.to_owned();
    }
    text.chars().take(MAX_SHOWN - 1).chain(['…']).collect()
}

/// Returns whether a terminal would act on `c` or show nothing instead of it: characters that control, format or reorder text,
/// those that Unicode lets a program ignore, and blanks other than a space.
pub fn is_unsafe(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    INVISIBLE
        .binary_search_by(|(first, last)| {
            if *last < c {
                Ordering::Less
            } else if *first > c {
                Ordering::Greater
            } else {
                Ordering::Equal
            }
        })
        .is_ok()
}

/// The ranges of these characters, in order; a test compares them with Unicode's properties.
#[rustfmt::skip]
const INVISIBLE: [(char, char); 33] = [
    ('\u{0}', '\u{1f}'), ('\u{7f}', '\u{a0}'), ('\u{ad}', '\u{ad}'), ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'), ('\u{61c}', '\u{61c}'), ('\u{6dd}', '\u{6dd}'), ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'), ('\u{8e2}', '\u{8e2}'), ('\u{115f}', '\u{1160}'), ('\u{1680}', '\u{1680}'),
    ('\u{17b4}', '\u{17b5}'), ('\u{180b}', '\u{180f}'), ('\u{2000}', '\u{200f}'), ('\u{2028}', '\u{202f}'),
    ('\u{205f}', '\u{206f}'), ('\u{2800}', '\u{2800}'), ('\u{3000}', '\u{3000}'), ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'), ('\u{feff}', '\u{feff}'), ('\u{ffa0}', '\u{ffa0}'), ('\u{fff0}', '\u{fffc}'),
    ('\u{110bd}', '\u{110bd}'), ('\u{110cd}', '\u{110cd}'), ('\u{13430}', '\u{1343f}'),
    ('\u{13441}', '\u{13442}'), ('\u{16fe4}', '\u{16fe4}'), ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d159}', '\u{1d159}'), ('\u{1d173}', '\u{1d17a}'), ('\u{e0000}', '\u{e0fff}'),
];

/// Shortens text to `room` columns of a terminal: the middle gives way, and the end, which is more specific, keeps more than the
/// start.
pub fn keep_ends(text: &str, room: usize) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let start = text.char_indices().map(|(at, _)| &text[..at]);
    let start =
        start.take_while(|start| start.width() <= room.saturating_sub(1) / 3).last().unwrap_or_default();
    let left = room.saturating_sub(start.width() + 1);
    let end = text.char_indices().rev().map(|(at, _)| &text[at..]);
    let end = end.take_while(|end| end.width() <= left).last().unwrap_or_default();
    if room == 0 { String::new() } else { format!("{start}…{end}") }
}

/// Breaks a line between words so that it fits `columns`. Further lines are indented; a longer word stays whole, and so does a
/// command in backquotes that fits a line.
pub fn wrap(line: &str, columns: usize, indent: usize) -> Vec<String> {
    let mut words = words(line, columns.saturating_sub(indent)).into_iter();
    let mut lines = vec![words.next().unwrap_or_default().to_owned()];
    for word in words {
        match lines.last_mut() {
            Some(last) if last.trim().is_empty() || last.width() + 1 + word.width() <= columns => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(" ".repeat(indent) + word),
        }
    }
    lines
}

/// Returns the parts between which a line may break: words, and what is in backquotes if it fits `room`.
fn words(line: &str, room: usize) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    for (end, _) in line.match_indices(' ') {
        let rest = &line[start..];
        let quotes = line[start..end].matches('`').count();
        let closing = rest.match_indices('`').nth(quotes).filter(|_| quotes % 2 == 1);
        let whole = closing.map(|(at, _)| rest[at..].find(' ').map_or(rest, |after| &rest[..at + after]));
        if whole.is_none_or(|whole| whole.width() > room) {
            words.push(&line[start..end]);
            start = end + 1;
        }
    }
    words.push(&line[start..]);
    words
}

fn escape_if(text: &str, unsafe_char: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if unsafe_char(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Quotes a word for a shell. What would act on a terminal is written with the shell's `$'…'` escapes, which bash, zsh
/// and busybox know, so that a command line is harmless to look at.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) && !word.starts_with('=') {
        return word.to_owned();
    }
    if !word.chars().any(is_unsafe) {
        return shell_words::quote(word).into_owned();
    }
    let mut quoted = String::from("$'");
    for c in word.chars() {
        match c {
            '\'' | '\\' => quoted.extend(['\\', c]),
            c if is_unsafe(c) => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    // Writing to a string can't fail.
                    let _ = write!(quoted, "\\{byte:03o}");
                }
            }
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_could_drive_a_terminal_is_spelled_out() {
        assert_eq!(escape("a\u{1b}[31mb\nc\u{202e}d\u{9b}é"), r"a\u{1b}[31mb\nc\u{202e}d\u{9b}é");
        assert_eq!(escape_lines("a\nb\r"), "a\nb\\r");
    }

    #[test]
    fn what_a_reader_cannot_see_is_spelled_out_and_ordinary_text_is_not() {
        for invisible in "\u{85}\u{a0}\u{1680}\u{2003}\u{202f}\u{3000}\u{2800}\u{fffc}\u{13441}\u{16fe4}\u{1d159}\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{17b4}\u{180e}\u{200b}\u{2028}\u{2066}\u{206a}\u{3164}\u{fe0f}\u{feff}\u{ffa0}\u{fff9}\u{1d173}\u{e0001}\u{e007f}\u{e01ef}".chars() {
            assert!(is_unsafe(invisible), "{:x}", u32::from(invisible));
            assert!(escape(&invisible.to_string()).starts_with("\\u{"));
        }
        let ordinary = "plain ÄÖé 日本語 한국어 עברית العربية हिन्दी 🦀 ½ — “”";
        assert_eq!(escape(ordinary), ordinary);
    }

    #[test]
    fn the_ranges_are_those_of_unicode_s_properties() {
        use regex_syntax::hir::{Class, HirKind};
        // Those named by number have a blank glyph: the object replacement character, the Braille pattern without dots, the Khitan
        // filler, the blank hieroglyphs, the null notehead.
        let properties = concat!(
            r"[[\p{Cc}\p{Cf}\p{Z}\p{Bidi_Control}\p{Default_Ignorable_Code_Point}",
            r"\u{FFFC}\u{2800}\u{16FE4}\u{13441}\u{13442}\u{1D159}]--\u{20}]"
        );
        let parsed = regex_syntax::parse(properties).unwrap();
        let HirKind::Class(Class::Unicode(class)) = parsed.into_kind() else { panic!("{properties}") };
        let ranges: Vec<_> = class.ranges().iter().map(|range| (range.start(), range.end())).collect();
        assert_eq!(ranges, INVISIBLE);
    }

    #[test]
    fn a_name_is_not_read_as_words_of_a_message() {
        assert_eq!(name("/app/sub-1/a.b"), "/app/sub-1/a.b");
        assert_eq!(name("x is gone: run `y`, because z"), "'x is gone: run `y`, because z'");
        assert_eq!(name("x' is gone\nhint: y"), r"$'x\' is gone\012hint: y'");
        assert_eq!(name(&"x".repeat(200)), "x".repeat(200));
        assert_eq!(name(&"x".repeat(4000)), "x".repeat(199) + "…");
        assert_eq!(names(&["a", "b c"]), "a, 'b c'");
        assert_eq!(names(&["a", "b", "c", "d", "e"]), "a, b, c, …");
    }

    #[test]
    fn shortened_text_keeps_both_ends() {
        let shortened = |room| keep_ends("~/src/日本語/docs", room);
        assert_eq!(
            [17, 16, 12, 5, 1, 0].map(shortened),
            ["~/src/日本語/docs", "~/src…本語/docs", "~/s…語/docs", "~…ocs", "…", ""]
        );
    }

    #[test]
    fn a_line_breaks_between_words() {
        assert_eq!(wrap("one two three", 7, 2), ["one two", "  three"]);
        assert_eq!(wrap("a  b incomprehensible c", 8, 1), ["a  b", " incomprehensible", " c"]);
        assert_eq!(
            wrap("use `cage start -d`, or `a b` c", 18, 2),
            ["use", "  `cage start -d`,", "  or `a b` c"]
        );
        assert_eq!(wrap("`it is longer than that` so", 9, 1), ["`it is", " longer", " than", " that` so"]);
        assert_eq!(wrap("one ` alone", 8, 0), ["one `", "alone"]);
        assert_eq!(wrap("", 5, 2), [""]);
        assert_eq!(wrap("  a b", 3, 4), ["  a", "    b"]);
    }

    #[test]
    fn bytes_are_shown_as_engines_have_them() {
        let shown = [0, 999, 1000, 9_990, 192_724_902, 1_950_000_000, u64::MAX].map(bytes);
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "9.9 kB", "192 MB", "1.9 GB", "18446744 TB"]);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a shell reads the line back")]
    fn a_command_line_is_what_a_shell_takes() {
        let words =
            ["--plain=a,b:c", "=zsh", "two words", "it's", "$HOME", "", "a\nb", "\u{1b}[31m'\\", "\u{202e}x"];
        let line = words.map(quote).join(" ");
        assert_eq!(
            line,
            r"--plain=a,b:c '=zsh' 'two words' 'it'\''s' '$HOME' '' $'a\012b' $'\033[31m\'\\' $'\342\200\256x'"
        );
        let printed = std::process::Command::new("bash")
            .args(["-c", &format!("printf '%s|' {line}")])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(printed.stdout).unwrap(), words.map(|w| format!("{w}|")).concat());
    }

    proptest! {
        #[test]
        fn nothing_escaped_acts_on_a_terminal(text in any::<String>()) {
            prop_assert!(!escape(&text).contains(is_unsafe));
            prop_assert!(!escape_lines(&text).replace('\n', "").contains(is_unsafe));
        }

        #[test]
        fn every_word_is_quoted_for_a_shell(word in any::<String>()) {
            let quoted = quote(&word);
            prop_assert!(!quoted.contains(is_unsafe));
            if !quoted.starts_with("$'") {
                prop_assert_eq!(shell_words::split(&quoted).unwrap(), [word]);
            }
        }
    }
}
