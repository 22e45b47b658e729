//! `cage rmconfig`.

use anyhow::Result;
use clap::Args;

use super::question::{Everything, confirm};
use crate::cage::existing::Cage;
use crate::cage::home;
use crate::lifecycle::plan::Plan;
use crate::lifecycle::session::Session;
use crate::lifecycle::steps::halt;

/// Stop all cages and reset the home that they share
///
/// The home is filled from the image again: logins, settings and histories are lost. The cages stay, and use the new home
/// when they start again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage rmconfig         Show what will be lost, and ask
  cage rmconfig --yes   Don't ask")]
pub struct Rmconfig {
    /// Don't ask; needed without a terminal
    #[arg(short, long)]
    yes: bool,
}

impl Rmconfig {
    /// Asks, stops the cages and resets the home.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn run(&self, session: &Session) -> Result<u8> {
        let everything = Everything::find(session)?;
        let Everything { runtime, cages, home } = &everything;
        let running: Vec<&Cage> = cages.iter().filter(|cage| cage.state.is_up()).collect();
        let mut plan = Plan::default();
        if !running.is_empty() {
            plan.say("Stopping running cage containers");
            halt(&mut plan, &session.host, runtime, &running, "stopped");
        }
        // An engine removes no volume that a container uses, even a stopped one. So with cages, the home is emptied.
        let used = home.as_deref().and_then(|volume| {
            cages.iter().find_map(|cage| Some((cage, volume, cage.mount_point_of(volume)?)))
        });
        if let Some((cage, volume, place)) = used {
            plan.say(format!("Emptying shared home volume {volume}"));
            plan.run(home::reset(runtime, cage, volume, place)?);
        } else {
            everything.remove_home(&session.host, &mut plan);
        }
        if !confirm(session, self.yes, &everything.losses("stops", &running, &[]))? {
            return Ok(1);
        }
        session.carry_out(&plan)
    }
}
