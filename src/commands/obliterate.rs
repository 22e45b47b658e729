//! `cage obliterate`: all cages and their home.

use anyhow::Result;
use clap::Args;

use super::question::Everything;
use crate::cage::existing::Cage;
use crate::lifecycle::plan::Plan;
use crate::lifecycle::session::Session;
use crate::lifecycle::steps::unlink;

/// Remove all cages and the home that they share
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage obliterate             Show what will be removed, and ask
  cage obliterate --dry-run   Print what would be removed, as a script")]
pub struct Obliterate {
    /// Don't ask (cage never asks without a terminal)
    #[arg(short, long)]
    yes: bool,
}

impl Obliterate {
    /// Asks, and removes the cages and the home.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn run(&self, session: &Session) -> Result<u8> {
        let everything = Everything::find(session)?;
        let all: Vec<&Cage> = everything.cages.iter().collect();
        if !everything.confirm(session, self.yes, "removes", &all)? {
            return Ok(1);
        }
        let mut plan = Plan::default();
        if all.is_empty() {
            plan.say("No cage containers to remove");
        } else {
            plan.say("Removing all cage containers");
            let ids = all.iter().map(|cage| cage.id.as_str());
            plan.run(everything.runtime.command(["rm", "--force", "--volumes"].into_iter().chain(ids)));
            for cage in all {
                plan.append(unlink(&session.host, cage));
            }
        }
        everything.remove_home(&mut plan);
        session.carry_out(&plan)
    }
}
