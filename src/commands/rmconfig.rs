//! `cage rmconfig`: a fresh home.

use anyhow::Result;
use clap::Args;

use super::{cages, question};
use crate::cage::home;
use crate::cage::user::Mapping;
use crate::engine::container::{Container, KEEP_ID_LABEL, OWNER_LABEL};
use crate::engine::runtime::Runtime;
use crate::host::machine::Host;
use crate::lifecycle::plan::Plan;
use crate::lifecycle::session::Session;
use crate::lifecycle::start::halt;

/// Stop all cages and remove the home that they share
///
/// The cages stay and have a fresh home when they start again. A volume can't be removed while containers exist that
/// use it, so as long as there are cages the home is emptied and filled anew from the image.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage rmconfig         Asks before logins, settings and histories are gone
  cage rmconfig --yes   Doesn't")]
pub struct Rmconfig {
    /// Don't ask (without a terminal nothing is asked)
    #[arg(short, long)]
    yes: bool,
}

impl Rmconfig {
    /// Does it.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn run(&self, session: &Session) -> Result<u8> {
        let (runtime, cages, home) = cages(session)?;
        let running: Vec<Container> = cages.iter().filter(|cage| cage.state.is_up()).cloned().collect();
        let plan = plan(&session.host, &runtime, &cages, home)?;
        let what =
            question("stops", &running, home.then_some(&session.host.home_volume), &session.host.label);
        match what {
            Some(what) if !session.confirm(self.yes, &what)? => Ok(1),
            _ => session.carry_out(&plan),
        }
    }
}

fn plan(host: &Host, runtime: &Runtime, cages: &[Container], home: bool) -> Result<Plan> {
    let mut plan = Plan::default();
    let volume = &host.home_volume;
    if cages.iter().any(|cage| cage.state.is_up()) {
        plan.say("Stopping running cage containers");
        halt(&mut plan, runtime, &cages.iter().collect::<Vec<_>>());
    }
    match cages.iter().find_map(|cage| Some((cage, cage.place_of(volume)?))) {
        _ if !home => plan.say("No shared home volume to remove"),
        None => {
            plan.say(format!("Removing shared home volume {volume}"));
            plan.run(runtime.command(["volume", "rm", volume]));
        }
        Some((cage, place)) => {
            plan.say(format!("Emptying shared home volume {volume}"));
            let flag = cage.ids(KEEP_ID_LABEL)?.and_then(|ids| Mapping::KeepId(ids).flag());
            let owner = cage.ids(OWNER_LABEL)?.map(|ids| ids.to_string());
            let reset =
                home::reset(runtime, &cage.image_id, volume, place, flag.as_deref(), owner.as_deref());
            plan.run(reset);
        }
    }
    Ok(plan)
}
