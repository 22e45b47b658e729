//! `cage run`: one command in the cage.

use anyhow::Result;
use clap::Args;

use crate::cage::create_options::CreateOptions;
use crate::cage::pull::PullFlag;
use crate::lifecycle::context::Entry;
use crate::lifecycle::exec::ExecCommand;
use crate::lifecycle::session::Session;
use crate::lifecycle::start::bring_up;

const EXAMPLES: &str = "Examples:
  cage run claude --dangerously-skip-permissions
                                      Run an agent in this terminal
  cage run claude -p 'Fix the tests'  Run it for one task
  cage run npm test                   Run one command, with its exit code
  cage run -e TOKEN -- make publish   Set a variable for this command only
  cage run -u root -- apt-get update  Run as root inside
  cage run -w src -- ls               Run in a directory relative to this one
  cage run -- sh -c 'ls | wc -l'      Run a pipe inside";

const LOGGING_IN: &str = "Logging in to an agent, once for all cages:
  a URL and a code   open the URL in your browser, paste the code (claude)
  a code to type     open the page it names: cage run codex login --device-auth
  a port to call     `cage forward 1455` in a second terminal lets your browser
                     reach what waits in the cage: cage run codex login
  a key              ANTHROPIC_API_KEY=... in ~/.config/cage/env, or -e KEY
";

/// Run a command in the project's cage
///
/// A cage that isn't running is started. The command runs as the image's user, with a terminal if cage has one: then Ctrl-Z
/// suspends it, and `fg` or `bg` continues it; one that is started in the background waits for the terminal, unless its output goes
/// elsewhere: `cage run CMD >log &`. Its exit code is passed through; 125 means that the command could not be run.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{LOGGING_IN}\n{EXAMPLES}"))]
pub struct Run {
    #[command(flatten)]
    options: CreateOptions,

    #[command(flatten)]
    pull: PullFlag,

    /// Run the command in this directory, relative to the current one
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,

    /// Run the command as this user, e.g. root [default: the image's user]
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,

    /// The command and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
    command: Vec<String>,
}

impl Run {
    /// Runs the command and returns its exit code.
    ///
    /// # Errors
    /// When the cage can't be started.
    pub fn run(self, session: &Session) -> Result<u8> {
        let here = session.project()?;
        let mut workdir = here.dir();
        workdir.extend(&self.workdir);
        let inside = ExecCommand {
            command: self.command,
            workdir: workdir.to_string_lossy().into_owned(),
            user: self.user,
            env: self
                .options
                .variables()
                .map(|variable| variable.clone().resolve(&session.host))
                .collect::<Result<_>>()?,
        };
        // The variables are for the command only.
        let options = self.options.without_variables().resolve(&session.host, &here.dir())?;
        bring_up(session, &here, &options, self.pull, &Entry::Exec(inside))
    }
}
