//! The help: a short page for `-h`, a long one for `--help`, and which flags they show.

use std::fmt::Write as _;

use clap::builder::StyledStr;
use clap::builder::styling::{AnsiColor, Style};
use clap::{Arg, Command};

/// The commands, in the groups in which users look for them. With the lines above it, this has 22 lines.
const GROUPS: &str = "\
Work:
  run              Run an agent or a command in the cage: cage run claude
  start            Create this project's cage and enter it, or re-attach
  shell            Open another shell in the running cage
  forward          Reach ports inside the running cage at 127.0.0.1
  stop, restart    Stop the cage; replace it with a clean one
Look:
  status           Show this project's cage, and who is in it
  list             List all cages
  check            List files in the project that your machine would run
  doctor           Check engine, image, home and SSH agent, and suggest fixes
Clean up:
  rm, prune        Remove this cage; remove those whose project is gone
  rmconfig         Reset the home that all cages share
  obliterate       Remove all cages and the home
Set up:
  update, upgrade  Pull the image; also replace a cage that has an older one
  completions, man Make your shell complete commands; write the manual
`cage COMMAND -h` explains a command, `cage --help` files and variables";

/// How a page of cage itself is put together. The options are on the long page only.
const TEMPLATE: &str = "{about-with-newline}{usage-heading} {usage}{after-help}\n{options}";

/// The style of headings.
pub const HEADING: Style = AnsiColor::Green.on_default().bold();

/// Options that `-h` leaves out.
const RARE: [&str; 6] =
    ["--allow-nested", "--allow-dangerous-dir", "--pids-limit", "--shm-size", "--gpus", "engine_args"];

/// Global options, each with the commands for which they mean nothing.
const POINTLESS: [(&str, &[&str]); 4] = [
    ("directory", &["update", "prune", "rmconfig", "obliterate", "completions", "version", "help"]),
    ("runtime", &["completions", "man", "version", "help"]),
    ("verbose", &["completions", "man", "version", "help"]),
    ("dry_run", &["status", "list", "check", "doctor", "completions", "version", "help"]),
];

/// Returns the whole command line with its help. The text after the options of cage itself is on the long page only.
pub fn with_help(cage: Command) -> Command {
    let more = cage.get_after_help().map(ToString::to_string).unwrap_or_default();
    let long = format!("{}\n{more}\n\nOptions:", commands(&cage));
    let mut cage = cage
        .mut_subcommands(with_short_page)
        .help_template(TEMPLATE)
        .after_help(styled(GROUPS))
        .after_long_help(styled(&long));
    // Adds the global options to every command.
    cage.build();
    cage.mut_arg("help", |arg| arg.hide_short_help(true))
        .mut_arg("version", |arg| arg.hide_short_help(true))
        .mut_subcommands(without_pointless)
}

/// Returns the list of commands for the long page of cage itself, one a line.
fn commands(cage: &Command) -> String {
    let mut list = "Commands:\n".to_owned();
    for command in cage.get_subcommands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let aliases: Vec<&str> = command.get_visible_aliases().collect();
        let aliases =
            if aliases.is_empty() { String::new() } else { format!(" [also: {}]", aliases.join(", ")) };
        // Writing to a string can't fail.
        let _ = writeln!(list, "  {:11}  {about}{aliases}", command.get_name());
    }
    list + "  help         Print help, also for a command: `cage help start`\n"
}

/// Returns a command whose `-h` leaves rare options out.
fn with_short_page(command: Command) -> Command {
    let short = command.get_after_help().map(|text| styled(&text.to_string()));
    let long = command.get_after_long_help().map(|text| styled(&text.to_string()));
    let mut command = command.mut_args(|arg| {
        let is_rare = RARE.contains(&arg.get_id().as_str());
        if is_rare { arg.hide_short_help(true) } else { arg }
    });
    if let Some(short) = short {
        command = command.after_help(short);
    }
    if let Some(long) = long {
        command = command.after_long_help(long);
    }
    command
}

/// Hides global options that mean nothing to a command.
fn without_pointless(command: Command) -> Command {
    let name = command.get_name().to_owned();
    let is_pointless = |arg: &Arg| {
        POINTLESS
            .iter()
            .any(|(option, commands)| *option == arg.get_id() && commands.contains(&name.as_str()))
    };
    command.mut_args(|arg| if is_pointless(&arg) { arg.hide(true) } else { arg })
}

/// Styles the headings of a text: lines that end in a colon.
fn styled(text: &str) -> StyledStr {
    let header = HEADING;
    let mut styled = StyledStr::new();
    for (number, line) in text.lines().enumerate() {
        let end = if number == 0 { "" } else { "\n" };
        let is_heading = line.ends_with(':') && !line.starts_with(' ');
        // The library wraps lines, and forgets the width of a line only at a line break in text of the same style. Writing to a
        // string can't fail.
        let _ = if is_heading {
            write!(styled, "{header}{end}{line}{header:#}")
        } else {
            write!(styled, "{end}{line}")
        };
    }
    styled
}
