//! `cage obliterate`: as if cage had never been used.

use anyhow::Result;
use clap::Args;

use super::{cages, question};
use crate::engine::container::Container;
use crate::engine::runtime::Runtime;
use crate::host::machine::Host;
use crate::lifecycle::plan::Plan;
use crate::lifecycle::session::Session;
use crate::lifecycle::start::unlink;

/// Remove all cages and the home that they share
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage obliterate             Asks before all cages and their home are gone
  cage obliterate --dry-run   Says what would go")]
pub struct Obliterate {
    /// Don't ask (without a terminal nothing is asked)
    #[arg(short, long)]
    yes: bool,
}

impl Obliterate {
    /// Does it.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn run(&self, session: &Session) -> Result<u8> {
        let (runtime, cages, home) = cages(session)?;
        let plan = plan(&session.host, &runtime, &cages, home);
        let what =
            question("removes", &cages, home.then_some(&session.host.home_volume), &session.host.label);
        match what {
            Some(what) if !session.confirm(self.yes, &what)? => Ok(1),
            _ => session.carry_out(&plan),
        }
    }
}

fn plan(host: &Host, runtime: &Runtime, cages: &[Container], home: bool) -> Plan {
    let mut plan = Plan::default();
    if cages.is_empty() {
        plan.say("No cage containers to remove");
    } else {
        plan.say("Removing all cage containers");
        let mut args = vec!["rm", "--force", "--volumes"];
        args.extend(cages.iter().map(|cage| cage.id.as_str()));
        plan.run(runtime.command(args));
        for cage in cages {
            plan.append(unlink(host, cage));
        }
    }
    if home {
        plan.say(format!("Removing shared home volume {}", host.home_volume));
        plan.run(runtime.command(["volume", "rm", &host.home_volume]));
    } else {
        plan.say("No shared home volume to remove");
    }
    plan
}
