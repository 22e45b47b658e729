//! `cage start`.

use anyhow::Result;
use clap::Args;

use crate::lifecycle::{Pulling, Then, bring_up};
use crate::options::CreateOptions;
use crate::session::Session;

/// Create the project's cage, or come back to it
#[derive(Debug, Args)]
pub struct Start {
    #[command(flatten)]
    options: CreateOptions,

    #[command(flatten)]
    pulling: Pulling,

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
        bring_up(session, &project, &options, self.pulling, &then)
    }
}
