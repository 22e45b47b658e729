//! The variables that describe the user's terminal to programs in a cage.

use super::machine::Host;

/// Their names.
pub const NAMES: [&str; 6] =
    ["TERM", "COLORTERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "VTE_VERSION", "COLORFGBG"];

/// The kinds of terminals that every image with ncurses knows: those of Debian's package `ncurses-base`. Others, such as
/// `xterm-kitty`, understand what `xterm-256color` does.
const KNOWN_TERMINALS: &[&str] = &[
    "ansi",
    "dumb",
    "linux",
    "rxvt",
    "rxvt-unicode",
    "rxvt-unicode-256color",
    "screen",
    "screen-256color",
    "screen-256color-bce",
    "screen.xterm-256color",
    "tmux",
    "tmux-256color",
    "vt100",
    "vt102",
    "vt220",
    "xterm",
    "xterm-256color",
    "xterm-color",
    "xterm-mono",
];

impl Host {
    /// Returns the variables that are set here, with their values for programs in a cage. At a terminal there is always a `TERM`.
    pub fn terminal_variables(&self) -> Vec<(&'static str, &str)> {
        let value = |name| {
            let value = self.variable(name).filter(|value| !value.contains(char::is_control));
            let is_known = value.is_some_and(|value| KNOWN_TERMINALS.contains(&value));
            let is_needed = name == "TERM" && !is_known && (value.is_some() || self.is_interactive());
            Some((name, if is_needed { "xterm-256color" } else { value? }))
        };
        NAMES.into_iter().filter_map(value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::console::Terminal;

    #[test]
    fn an_unknown_terminal_is_one_that_images_know() {
        for (term, inside) in [
            ("xterm", "xterm"),
            ("tmux-256color", "tmux-256color"),
            ("dumb", "dumb"),
            ("xterm-ghostty", "xterm-256color"),
            ("xterm-kitty", "xterm-256color"),
            ("alacritty", "xterm-256color"),
            ("foot", "xterm-256color"),
            ("wezterm", "xterm-256color"),
            ("st-256color", "xterm-256color"),
            ("", "xterm-256color"),
            ("odd\nname", "xterm-256color"),
        ] {
            let host = Host::sample(&[("TERM", term), ("COLORTERM", "truecolor"), ("TERM_PROGRAM", "a\nb")]);
            assert_eq!(host.terminal_variables(), [("TERM", inside), ("COLORTERM", "truecolor")]);
        }
        let mut host = Host::sample(&[]);
        assert_eq!(host.terminal_variables(), [("TERM", "xterm-256color")]);
        host.terminal = Terminal::default();
        assert_eq!(host.terminal_variables(), []);
    }
}
