//! Text for terminals and shells: escaping, quoting, numbers of bytes.

use std::fmt::Write as _;

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

/// Makes text from outside harmless to a terminal: control characters and those that reorder text are spelled out.
pub fn escape(text: &str) -> String {
    escape_if(text, is_unsafe)
}

/// As [`escape`], but keeps line breaks: for what an engine said.
pub fn escape_lines(text: &str) -> String {
    escape_if(text, |c| c != '\n' && is_unsafe(c))
}

/// Returns whether a terminal would act on `c` instead of showing it.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
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
