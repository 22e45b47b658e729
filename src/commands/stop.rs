//! `cage stop`.

use anyhow::{Result, bail};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::complete;
use crate::lifecycle::choice::Fallback;
use crate::lifecycle::plan::Plan;
use crate::lifecycle::session::{Session, may_end};
use crate::lifecycle::steps::halt;

/// Stop the project's cage; `cage start` starts it again
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage stop                        The cage of this directory
  cage stop cage-app-0123abcd      A cage by its name in `cage list`")]
pub struct Stop {
    /// A cage that `list` shows [default: that of the current directory]
    #[arg(add = ArgValueCandidates::new(complete::cages))]
    name: Option<String>,

    /// Don't ask when others are at work in the cage
    #[arg(short, long)]
    yes: bool,
}

impl Stop {
    /// Stops the cage.
    ///
    /// # Errors
    /// When there is no such cage.
    pub fn run(self, session: &Session) -> Result<u8> {
        let (target, runtime, container) = session.find_nearest(self.name, Fallback::Never)?;
        let Some(container) = container else { bail!(target.missing()) };
        if !may_end(&session.at_work(&runtime, &container, self.yes))? {
            return Ok(1);
        }
        let mut plan = Plan::default();
        if container.state.is_up() {
            plan.say(format!("Stopping {}", container.name));
            halt(&mut plan, &session.host, &runtime, &[&container], "stopped");
        } else {
            plan.say(format!("{} is already stopped", container.name));
        }
        session.carry_out(&plan)
    }
}
