//! The command line.

use std::path::PathBuf;

use clap::builder::Styles;
use clap::builder::styling::AnsiColor;
use clap::{Args, Parser, Subcommand, ValueHint};

use crate::commands::check::Check;
use crate::commands::completions::Completions;
use crate::commands::doctor::Doctor;
use crate::commands::forward::Forward;
use crate::commands::list::List;
use crate::commands::man::Man;
use crate::commands::obliterate::Obliterate;
use crate::commands::prune::Prune;
use crate::commands::restart::Restart;
use crate::commands::rm::Rm;
use crate::commands::rmconfig::Rmconfig;
use crate::commands::run::Run;
use crate::commands::shell::Shell;
use crate::commands::start::Start;
use crate::commands::status::Status;
use crate::commands::stop::Stop;
use crate::commands::update::Update;
use crate::commands::upgrade::Upgrade;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const AFTER_HELP: &str = "\
Examples:
  cage start                 In a project: make its cage and sit down in it
  cage shell                 In a second terminal: another shell in it
  cage run -- npm test       One command, in a script or a pipe
  cage restart -p 3000:3000  A clean box, and a port of it on 127.0.0.1
  cage help start            What a cage has of yours, and what it hasn't

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
  .cage.env             Variables for this project's cage; they win
  ~/.config/cage/home/  Files copied to the home of new cages, never over others";

/// Run coding agents in an isolated container: the project mounted at its own path, everything else out of reach
#[derive(Debug, Parser)]
#[command(name = "cage", version, styles = STYLES, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do; help if nothing.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Act as if started in DIR
    #[arg(short = 'C', long, value_name = "DIR", global = true, value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,

    /// Container runtime: docker, podman, or the path of one [default: docker if it answers, else podman]
    #[arg(long, value_name = "RUNTIME", global = true)]
    pub runtime: Option<String>,

    /// Echo each engine command as it runs
    #[arg(long, global = true)]
    pub verbose: bool,

    /// Print what would be done, as a script for bash or zsh, and do nothing
    #[arg(long, global = true)]
    pub dry_run: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    Start(Start),
    Shell(Shell),
    Run(Run),
    Forward(Forward),
    Stop(Stop),
    Restart(Restart),
    Rm(Rm),
    Status(Status),
    List(List),
    Check(Check),
    Doctor(Doctor),
    Update(Update),
    Upgrade(Upgrade),
    Prune(Prune),
    Rmconfig(Rmconfig),
    Obliterate(Obliterate),
    Completions(Completions),
    Man(Man),
    /// Print the version
    #[command(after_help = "Examples:\n  cage version   As does `cage --version`")]
    Version,
}

impl Cli {
    /// The exit code of a failure that is cage's own or the engine's: `run` keeps 1 to 124 for the command in the cage.
    pub fn failure_code(&self) -> u8 {
        if matches!(self.command, Some(Command::Run(_))) { 125 } else { 1 }
    }

    /// Does a program read what is printed?
    pub fn json(&self) -> bool {
        match &self.command {
            Some(Command::Check(check)) => check.json,
            Some(Command::Status(status)) => status.json,
            Some(Command::Doctor(doctor)) => doctor.json,
            Some(Command::List(list)) => list.json,
            Some(Command::Prune(prune)) => prune.json,
            _ => false,
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
