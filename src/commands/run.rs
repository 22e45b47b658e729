//! `cage run`: one command in the cage.

use anyhow::Result;
use clap::Args;

use crate::lifecycle::{Pulling, Then, bring_up};
use crate::options::CreateOptions;
use crate::session::Session;

/// Run a command in the project's cage, which is brought up if it isn't
///
/// The command runs as the image's user, with a terminal if there is one here. Its exit code is passed through; 125
/// means that it could not be run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage run -- npm test                One command, its exit code passed through
  cage run -e CI=1 -- make check      With a variable, if the cage is made now
  cage run -- sh -c 'ls | wc -l'      A pipe inside")]
pub struct Run {
    #[command(flatten)]
    options: CreateOptions,

    #[command(flatten)]
    pulling: Pulling,

    /// The command and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
    command: Vec<String>,
}

impl Run {
    /// Does it.
    ///
    /// # Errors
    /// When the cage can't be brought up.
    pub fn run(self, session: &Session) -> Result<u8> {
        bring_up(session, &session.project()?, self.options, self.pulling, &Then::Exec(self.command))
    }
}
