//! The command line.

use anyhow::Result;
use clap::builder::Styles;
use clap::builder::styling::AnsiColor;
use clap::{CommandFactory as _, Parser};

use crate::base::console;
use crate::commands;
use crate::commands::Command;
use crate::engine::signals::Interrupts;
use crate::lifecycle::session::Global;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const AFTER_HELP: &str = "\
Examples:
  cage start                 Create this project's cage and open a shell in it
  cage shell                 Open another shell, in a second terminal
  cage run -- npm test       Run one command, also in a script or a pipe
  cage restart -p 3000:3000  Get a clean box, with a port on 127.0.0.1
  cage help start            Show what a cage can see and what it can't

Environment:
  CAGE_IMAGE        Image for new cages; never pulled if it has no slash
                    [default: ghcr.io/pacificsky/devcontainer-lite:latest]
  CAGE_RUNTIME      docker, podman, or the path of one
  CAGE_DETACH_KEYS  Keys that leave a cage running [default: ctrl-\\]
  CAGE_MEMORY, ...  Defaults for options: `cage help start` names the variables
  CAGE_CREATE_ARGS  Arguments for the engine's own create
  CAGE_HOME_VOLUME  Volume that is the home of all cages [default: cage-home]
  CAGE_LABEL        Label that marks cages [default: cage.project]

Files:
  ~/.config/cage/env    Variables for every cage, KEY=VALUE
  .cage.env             Variables for this project's cage, over those above
  ~/.config/cage/home/  Files copied to the home of new cages, never overwriting";

/// Run coding agents in an isolated container: the project mounted at its own path, everything else out of reach
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

impl Cli {
    /// Returns the exit code for an error: `run` keeps 1 to 124 for the command in the cage.
    pub fn failure_code(&self) -> u8 {
        if matches!(self.command, Some(Command::Run(_))) { 125 } else { 1 }
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
            None => console::ignore_broken_pipe(Self::command().print_help()).map(|()| 0).map_err(Into::into),
            Some(command) => commands::run(command, self.global, interrupts, Self::command()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_tree_is_sound() {
        super::Cli::command().debug_assert();
    }
}
