//! `cage rm`.

use anyhow::{Result, bail};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::complete;
use crate::base::error::Failure;
use crate::cage::existing::{Cage, SEEN_LABEL};
use crate::cage::home::own_home;
use crate::engine::runtime::Runtime;
use crate::host::machine::Host;
use crate::lifecycle::choice::Fallback;
use crate::lifecycle::find::Target;
use crate::lifecycle::plan::Plan;
use crate::lifecycle::session::{Session, may_end};
use crate::lifecycle::steps::{clean_up, halt, remove};

/// Stop and remove the project's cage; project and home stay
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage rm                          The cage of this directory
  cage rm cage-app-0123abcd        A cage by its name in `cage list`
  cage rm --home                   Remove the project's own home, too")]
pub struct Rm {
    /// A cage that `list` shows [default: that of the current directory]
    #[arg(add = ArgValueCandidates::new(complete::cages))]
    name: Option<String>,

    /// Remove the project's own home too (`start --home project`); the shared one stays
    #[arg(long)]
    home: bool,

    /// Don't ask when others are at work in the cage
    #[arg(short, long)]
    yes: bool,
}

impl Rm {
    /// Removes the cage.
    ///
    /// # Errors
    /// When there is no such cage.
    pub fn run(self, session: &Session) -> Result<u8> {
        let (target, runtime, found) = session.find_here(self.name, false, Fallback::Never)?;
        let own = own_home(&session.host, found.as_ref().map_or(target.name(), |cage| &cage.name));
        let has_home = self.home && runtime.volume(session.runner, &own)?.is_some();
        if found.is_none() && !has_home {
            let advice = match &target {
                Target::Project(project) => session.advice_above(&runtime, project, "rm")?,
                Target::Name(_) => None,
            };
            bail!(advice.into_iter().fold(target.missing(), Failure::hint));
        }
        if let Some(cage) = &found
            && !may_end(&session.at_work(&runtime, cage, self.yes))?
        {
            return Ok(1);
        }
        let mut plan = Plan::default();
        if let Some(cage) = &found {
            remove_cage(&mut plan, &session.host, &runtime, cage);
        }
        if has_home {
            plan.say(format!("Removing the home {own}"));
            plan.run(runtime.command(["volume", "rm", &own]));
        } else if self.home {
            plan.say(format!("{} has no home of its own", target.name()));
        } else if found.as_ref().is_some_and(|cage| cage.mount_point_of(&own).is_some()) {
            plan.say(format!("keeping the project's home {own}; `cage rm --home` removes it"));
        }
        let code = session.carry_out(&plan)?;
        if let (Target::Project(project), Some(cage)) = (&target, &found) {
            session.tell_leftovers(project, cage.label(SEEN_LABEL));
        }
        Ok(code)
    }
}

fn remove_cage(plan: &mut Plan, host: &Host, runtime: &Runtime, cage: &Cage) {
    let verb = if cage.state.is_up() { "Stopping and removing" } else { "Removing" };
    plan.say(format!("{verb} {}", cage.name));
    halt(plan, host, runtime, &[cage], "removed");
    plan.run(remove(runtime, &cage.id));
    plan.append(clean_up(host, runtime, cage));
}
