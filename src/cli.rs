//! The command line.

use anyhow::Result;
use clap::builder::Styles;
use clap::builder::styling::AnsiColor;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _, Parser};

use crate::base::{console, text};
use crate::commands;
use crate::commands::Command;
use crate::commands::help::{HEADING, with_help};
use crate::engine::signals::Interrupts;
use crate::lifecycle::session::Global;

const STYLES: Styles = Styles::styled()
    .header(HEADING)
    .usage(HEADING)
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const AFTER_HELP: &str = "\
Examples:
  cage run claude --dangerously-skip-permissions
                             Create this project's cage and run an agent in it
  cage start                 Create this project's cage and open a shell in it
  cage shell                 Open another shell, in a second terminal
  cage run npm test          Run one command, also in a script or a pipe
  cage restart -p 3000:3000  Get a clean box, with a port on 127.0.0.1
  cage help start            Show what a cage can see and what it can't

Environment:
  CAGE_IMAGE        Image for new cages; never pulled if it has no slash
                    [default: ghcr.io/pacificsky/devcontainer-lite:latest]
  CAGE_RUNTIME      docker, podman, or the path of one
  CAGE_DETACH_KEYS  Keys that leave a cage running [default: Ctrl-\\]
  CAGE_MEMORY, ...  Defaults for options: `cage help start` names the variables
  CAGE_CREATE_ARGS  Arguments for the engine's own create
  CAGE_HOME_VOLUME  Volume that is the home of all cages [default: cage-home]
  CAGE_LABEL        Label that marks cages [default: cage.project]

Files:
  ~/.config/cage/env    Variables for every cage, KEY=VALUE
  .cage.env             Variables for this project's cage, over those above
  ~/.config/cage/mounts, ~/.config/cage/ports
                        -v and -p of every cage, one value a line
  ~/.config/cage/home/  Files for the home of new cages, never overwriting";

/// Run coding agents in a container that sees this project and little else
#[derive(Debug, Parser)]
#[command(name = "cage", version, styles = STYLES, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Cli {
    /// The global options.
    #[command(flatten)]
    pub global: Global,
    /// The subcommand; without one, cage prints help.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Commands that delete something: no typo may lead to one.
const DELETING: [&str; 4] = ["obliterate", "prune", "rm", "rmconfig"];

/// Replaces clap's tips: they name any command or option that is a bit like the one that was typed, and offer to pass it on.
fn with_own_tips(mut error: clap::Error) -> clap::Error {
    match error.kind() {
        ErrorKind::InvalidSubcommand => tell_command(&mut error),
        ErrorKind::UnknownArgument => tell_option(&mut error),
        ErrorKind::MissingRequiredArgument => tell_missing(&mut error),
        _ => {}
    }
    error
}

fn suggest(error: &mut clap::Error, tips: Vec<String>) {
    let tips = tips.into_iter().map(Into::into).collect();
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
}

fn how_to_run(program: &str) -> Vec<String> {
    vec![format!("to run a program in the cage, use 'cage run {}'", text::escape(program))]
}

/// Tells the closest command, or how to run a program of that name.
fn tell_command(error: &mut clap::Error) {
    let Some(typed) = error.get(ContextKind::InvalidSubcommand).map(ToString::to_string) else { return };
    let near = closest(&typed, &Cli::command());
    error.remove(ContextKind::SuggestedSubcommand);
    if typed == "dstart" {
        return suggest(error, commands::instead_of_dstart());
    }
    // A short word is as likely a program: `bun`.
    if near.is_empty() || is_short(&typed) {
        suggest(error, how_to_run(&typed));
    }
    if !near.is_empty() {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(near));
    }
}

/// Tells the closest option if it is at most two letters away, or how to run a program of that name.
fn tell_option(error: &mut clap::Error) {
    let text = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let (typed, near) = (text(ContextKind::InvalidArg), text(ContextKind::SuggestedArg));
    let makes_cage =
        subcommand(error).is_some_and(|name| ["start", "restart", "upgrade"].contains(&name.as_str()));
    error.remove(ContextKind::Suggested);
    if makes_cage && !typed.starts_with('-') {
        suggest(error, how_to_run(&typed));
    } else if !near.is_empty() && strsim::damerau_levenshtein(&typed, &near) > 2 {
        error.remove(ContextKind::SuggestedArg);
        // It names the option, too.
        error.remove(ContextKind::Usage);
    }
}

/// Tells what is possible for a missing argument.
fn tell_missing(error: &mut clap::Error) {
    let cage = Cli::command();
    let Some(command) = subcommand(error).and_then(|name| cage.find_subcommand(name)) else { return };
    let tips = command.get_positionals().filter(|arg| arg.is_required_set()).map(|arg| {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let values: Vec<_> =
            arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
        if values.is_empty() { help } else { format!("{help}: {}", values.join(", ")) }
    });
    suggest(error, tips.collect());
}

/// Returns the name of the command that an error is about.
fn subcommand(error: &clap::Error) -> Option<String> {
    let usage = error.get(ContextKind::Usage)?.to_string();
    usage.split_whitespace().skip_while(|word| *word != "cage").nth(1).map(str::to_owned)
}

/// Returns whether one letter makes most of a word.
fn is_short(word: &str) -> bool {
    word.chars().count() < 4
}

/// Returns the commands that are closest to a mistyped one, at most two letters away, but for those that delete something.
fn closest(typed: &str, cage: &clap::Command) -> Vec<String> {
    let names = cage.get_subcommands().map(clap::Command::get_name).filter(|name| !DELETING.contains(name));
    let distances = names.map(|name| (strsim::damerau_levenshtein(typed, name), name));
    let most = if is_short(typed) { 1 } else { 2 };
    let mut near: Vec<_> = distances.filter(|(distance, _)| *distance <= most).collect();
    near.sort_unstable();
    let least = near.first().map(|(distance, _)| *distance);
    let is_closest = |(distance, _): &(usize, &str)| Some(*distance) == least;
    near.into_iter().filter(is_closest).map(|(_, name)| name.to_owned()).collect()
}

impl Cli {
    /// Reads the command line, or prints what is wrong with it and exits.
    pub fn read() -> Self {
        let parse =
            |cage: clap::Command| cage.try_get_matches().and_then(|matches| Self::from_arg_matches(&matches));
        // Putting the help together takes as long as all the rest, and few command lines need it.
        parse(Self::command())
            .or_else(|_| parse(with_help(Self::command())))
            .unwrap_or_else(|error| with_own_tips(error).exit())
    }

    /// Returns the exit code for an error: `run` keeps 1 to 124 for the command in the cage.
    pub fn failure_code(&self) -> u8 {
        if matches!(self.command, Some(Command::Run(_))) { 125 } else { 1 }
    }

    /// Returns whether a program that the command runs, and that an interrupt has ended, ends cage in the same way.
    pub fn passes_interrupts(&self) -> bool {
        matches!(self.command, Some(Command::Run(_)))
    }

    /// Returns whether the command prints JSON.
    pub fn json(&self) -> bool {
        self.command.as_ref().is_some_and(Command::json)
    }

    /// Runs the command, or prints the help.
    ///
    /// # Errors
    /// Those of the command.
    pub fn run(self, interrupts: Interrupts) -> Result<u8> {
        match self.command {
            None => console::ignore_broken_pipe(with_help(Self::command()).print_help())
                .map(|()| 0)
                .map_err(Into::into),
            Some(command) => commands::run(command, self.global, interrupts, Self::command),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns every word that is one letter away from another: left out, doubled, replaced or swapped with the next.
    fn typos(word: &str) -> Vec<String> {
        let letters: Vec<char> = word.chars().collect();
        let mut typos = Vec::new();
        for at in 0..letters.len() {
            let change = |change: &dyn Fn(&mut Vec<char>)| {
                let mut changed = letters.clone();
                change(&mut changed);
                changed.into_iter().collect::<String>()
            };
            typos.push(change(&|word| {
                word.remove(at);
            }));
            typos.push(change(&|word| word.insert(at, word[at])));
            typos.push(change(&|word| word[at] = 'x'));
            if at + 1 < letters.len() {
                typos.push(change(&|word| word.swap(at, at + 1)));
            }
        }
        typos
    }

    #[test]
    fn no_typo_leads_to_a_command_that_deletes() {
        let commands = Cli::command();
        let mut tried = 0;
        for command in commands.get_subcommands() {
            for once in typos(command.get_name()) {
                for typo in typos(&once).iter().chain([&once]) {
                    let near = closest(typo, &commands);
                    assert!(!near.iter().any(|name| DELETING.contains(&name.as_str())), "{typo}: {near:?}");
                    tried += 1;
                }
            }
        }
        assert!(tried > 5000, "{tried}");
        // The control: clap itself suggests one.
        let error = Cli::try_parse_from(["cage", "strat"]).unwrap_err();
        assert!(error.to_string().contains("'obliterate'"), "{error}");
        let said = with_own_tips(error).to_string();
        assert!(said.contains("a similar subcommand exists: 'start'"), "{said}");
    }

    #[test]
    fn an_unknown_word_may_be_a_program_and_an_unknown_option_is_not_passed_on() {
        let said = |words: &[&str]| {
            let words = ["cage"].iter().chain(words);
            with_own_tips(Cli::try_parse_from(words).unwrap_err()).to_string()
        };
        for program in ["claude", "codex", "git", "bun", "vi", "npm"] {
            assert!(
                said(&[program, "--help-me"]).contains(&format!("use 'cage run {program}'")),
                "{program}"
            );
        }
        assert!(said(&["rn"]).contains("exists: 'run'") && !said(&["strat"]).contains("cage run"));
        let memory = said(&["start", "--memery", "4g"]);
        assert!(memory.contains("'--memory'") && !memory.contains("-- --memery"), "{memory}");
        // No option that is far away, not even in the usage, and none for the engine.
        let tipless = [
            said(&["start", "--forsh"]),
            said(&["run", "--forsh"]),
            said(&["start", "-z"]),
            said(&["list", "claude"]),
        ];
        assert!(
            tipless.iter().all(|said| !said.contains("tip:") && !said.contains("--no-ssh")),
            "{tipless:?}"
        );
        assert!(said(&["restart", "--forsh"]).contains("exists: '--fresh'"));
        for command in ["start", "restart", "upgrade"] {
            assert!(
                said(&[command, "claude"])
                    .contains("tip: to run a program in the cage, use 'cage run claude'")
            );
        }
    }

    #[test]
    fn a_missing_argument_is_explained() {
        for (command, tip) in [
            ("completions", "tip: Shell that runs the script: bash, elvish, fish, powershell, zsh"),
            ("man", "tip: Directory to write to, e.g. ~/.local/share/man/man1"),
            ("forward", "tip: Port in the cage; "),
            ("run", "tip: "),
        ] {
            let said = with_own_tips(Cli::try_parse_from(["cage", command]).unwrap_err()).to_string();
            assert!(said.contains(tip), "{said}");
        }
    }

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }
}
