//! `cage start`.

use anyhow::Result;
use clap::Args;

use crate::cage::create_options::CreateOptions;
use crate::cage::pull::PullFlag;
use crate::lifecycle::session::Session;
use crate::lifecycle::start::{Then, bring_up};

const EXAMPLES: &str = "Examples:
  cage start                           Sit down in the cage of this directory
  cage start -d -C ~/src/app           Another directory's, in the background
  cage start -p 3000:3000 -p 5432      Ports of the cage on 127.0.0.1
  cage start -v ~/datasets:/data:ro    Something else of yours, read-only
  cage start -e TOKEN -e DEBUG=1       Variables: TOKEN as it is here, and DEBUG
  cage start --home project            A home of its own, not that of all cages
  cage start --no-ssh --network none   Nothing that leads out
  cage start --memory 8g --cpus 4      Not more than that
  cage start -- --shm-size 1g          What follows -- is the engine's own";

const WHAT_IT_HAS: &str = "What the cage has of yours:
  this directory    at its own path, read-write; with the repository, if it is a
                    linked worktree or a submodule of one
  a home            a volume that all cages share, not your home: log in once
  your SSH agent    it signs for whoever asks; the keys stay outside
  variables         of ~/.config/cage/env, .cage.env and -e
  copies of files   of ~/.config/cage/home, where the home has none
  the network       and what you name: -v, -p, what follows --

What it hasn't:
  The rest of your files, your environment, your processes, the engine's socket.
  SECURITY.md describes the isolation, with tests of each promise:
  https://github.com/pacificsky/cage/blob/main/SECURITY.md

Leaving:
  Ctrl-\\            leaves what runs in the cage at work; `cage start` comes
                    back to it. CAGE_DETACH_KEYS chooses other keys
  exit              ends the shell and with it the cage, until `cage start`
";

/// Create the project's cage, or come back to it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{WHAT_IT_HAS}\n{EXAMPLES}"))]
pub struct Start {
    #[command(flatten)]
    options: CreateOptions,

    #[command(flatten)]
    pull: PullFlag,

    /// Bring the cage up in the background and print its name (as without a terminal)
    #[arg(short, long)]
    detach: bool,

    /// Arguments for the engine's own `create`, after `--`
    #[arg(last = true, value_name = "ENGINE-ARGS")]
    engine_args: Vec<String>,
}

impl Start {
    /// Does it.
    ///
    /// # Errors
    /// When the cage can't be brought up; one that was half made is gone.
    pub fn run(mut self, session: &Session) -> Result<u8> {
        self.options.engine_args = self.engine_args;
        let then = Then::enter(&session.host, self.detach);
        let project = session.project()?;
        let options = self.options.resolve(&session.host, &project.dir())?;
        bring_up(session, &project, &options, self.pull, &then)
    }
}
