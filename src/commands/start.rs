//! `cage start`.

use anyhow::Result;
use clap::Args;

use crate::cage::create_options::CreateOptions;
use crate::cage::pull::PullFlag;
use crate::lifecycle::context::Entry;
use crate::lifecycle::session::Session;
use crate::lifecycle::start::bring_up;

const BRIEF: &str = "Examples:
  cage start                           Create this directory's cage and enter it
  cage start -d -C ~/src/app           Start another one in the background
  cage start -p 3000:3000              Publish a port on 127.0.0.1
  cage start -v ~/datasets:/data:ro    Mount another directory, read-only
  cage help start                      Show what a cage can see, and all options";

const EXAMPLES: &str = "Examples:
  cage start                           Create this directory's cage and enter it
  cage start -d -C ~/src/app           Start another one in the background
  cage start -p 3000:3000 -p 5432      Publish ports on 127.0.0.1
  cage start -v ~/datasets:/data:ro    Mount another directory, read-only
  cage start -e TOKEN -e DEBUG=1       Set TOKEN to its value here, and DEBUG
  cage start --home project            Use a home for this project alone
  cage start --no-ssh --network none   Keep the SSH agent and the network out
  cage start --memory 8g --cpus 4      Limit memory and CPUs
  cage start -- --dns 9.9.9.9          Pass arguments on to the engine";

const WHAT_IT_HAS: &str = "What the cage can see:
  this directory    at its own path, read-write; with the repository, if it is a
                    linked worktree or a submodule of one
  a home            a volume that all cages share, not your home: log in once
  your SSH agent    code in the cage can sign with it; the keys stay outside
  name and address  for commits; known_hosts lines about the project's git hosts
  variables         from ~/.config/cage/env, .cage.env and -e
  copies of files   from ~/.config/cage/home, where the home has none
  the network       and what you add with -v, -p or after --

What it can't see:
  Your other files, your environment and processes, and the engine's socket.
  The threat model describes the isolation, with tests of each promise:
  https://github.com/pacificsky/cage/blob/main/docs/threat-model.md

Leaving:
  Ctrl-\\            detaches: the cage keeps running, and `cage start`
                    re-attaches. CAGE_DETACH_KEYS sets other keys
  exit              ends the shell and stops the cage, until `cage start`
";

/// Create the project's cage, or re-attach to it
#[derive(Debug, Args)]
#[command(after_help = BRIEF, after_long_help = format!("{WHAT_IT_HAS}\n{EXAMPLES}"))]
pub struct Start {
    #[command(flatten)]
    options: CreateOptions,

    #[command(flatten)]
    pull: PullFlag,

    /// Start the cage in the background and print its name (default without a terminal)
    #[arg(short, long)]
    detach: bool,

    /// Arguments for the engine's own `create`, after `--`
    #[arg(last = true, value_name = "ENGINE-ARGS")]
    engine_args: Vec<String>,
}

impl Start {
    /// Creates or starts the cage and enters it.
    ///
    /// # Errors
    /// When the cage can't be started; a half-made cage has been removed.
    pub fn run(mut self, session: &Session) -> Result<u8> {
        self.options.engine_args = self.engine_args;
        let then = Entry::enter(&session.host, self.detach);
        let project = session.project()?;
        let options = self.options.resolve(&session.host, &project.dir())?;
        bring_up(session, &project, &options, self.pull, &then)
    }
}
