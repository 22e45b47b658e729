//! `cage rm`.

use anyhow::{Result, ensure};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::complete;
use crate::cage::existing::{Cage, SEEN_LABEL};
use crate::cage::home;
use crate::cage::home::own_home;
use crate::engine::runtime::Runtime;
use crate::host::machine::Host;
use crate::lifecycle::find::Target;
use crate::lifecycle::plan::{Plan, Step};
use crate::lifecycle::session::Session;
use crate::lifecycle::steps::{halt, remove, unlink};

/// Stop and remove the project's cage; project and home stay
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage rm                          The cage of this directory
  cage rm cage-app-0123abcd        The one that `cage list` calls so
  cage rm --home                   With the home of its own that it has")]
pub struct Rm {
    /// A cage that `list` shows [default: that of the current directory]
    #[arg(add = ArgValueCandidates::new(complete::cages))]
    name: Option<String>,

    /// Remove the project's own home too (`start --home project`); the shared one stays
    #[arg(long)]
    home: bool,
}

impl Rm {
    /// Removes the cage.
    ///
    /// # Errors
    /// When there is no such cage.
    pub fn run(self, session: &Session) -> Result<u8> {
        let target = session.target(self.name)?;
        let (runtime, container) = session.find(&target)?;
        let Some(container) = container else {
            let own = own_home(&session.host, target.name());
            ensure!(self.home && runtime.has_volume(session.runner, &own)?, target.missing());
            return session.carry_out(&remove_home(&runtime, &own));
        };
        let own = own_home(&session.host, &container.name);
        let own = if self.home {
            Some(container.mount_point_of(&own).is_some() || runtime.has_volume(session.runner, &own)?)
        } else {
            None
        };
        let code = session.carry_out(&plan(&session.host, &runtime, &container, own))?;
        if let Target::Project(project) = &target {
            // Nothing remembers any more what is new.
            session.tell_leftovers(project, container.label(SEEN_LABEL));
        }
        Ok(code)
    }
}

/// `own`: whether there is a home of its own, which is to go, too; nothing if it isn't to.
fn plan(host: &Host, runtime: &Runtime, container: &Cage, own: Option<bool>) -> Plan {
    let mut plan = Plan::default();
    let what = if container.state.is_up() { "Stopping and removing" } else { "Removing" };
    plan.say(format!("{what} {}", container.name));
    halt(&mut plan, host, runtime, &[container], "removed");
    plan.run(remove(runtime, &container.id));
    plan.append(unlink(host, container));
    let place = container.mount_point_of(&host.home_volume);
    if let Some(rest) = place.and_then(|place| home::below(place, container.project())) {
        plan.push(Step::Try(home::remove_room(runtime, &container.image_id, &host.home_volume, rest)));
    }
    match own {
        None => {}
        Some(true) => plan.append(remove_home(runtime, &own_home(host, &container.name))),
        Some(false) => plan.say(format!("{} has no home of its own", container.name)),
    }
    plan
}

fn remove_home(runtime: &Runtime, volume: &str) -> Plan {
    let mut plan = Plan::default();
    plan.say(format!("Removing the home {volume}"));
    plan.run(runtime.command(["volume", "rm", volume]));
    plan
}
