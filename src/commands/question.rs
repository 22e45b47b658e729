//! All cages and the home that they share, and the question before these are removed: for `rmconfig` and `obliterate`.

use anyhow::Result;

use crate::base::text::escape;
use crate::cage::existing::Cage;
use crate::engine::runtime::Runtime;
use crate::host::machine::Host;
use crate::lifecycle::belonging;
use crate::lifecycle::plan::{Plan, Step};
use crate::lifecycle::session::Session;

/// All cages of an engine, and the home that they share.
pub struct Everything {
    /// The engine's client.
    pub runtime: Runtime,
    /// All cages of the engine.
    pub cages: Vec<Cage>,
    /// The volume of the home, if it exists.
    pub home: Option<String>,
}

impl Everything {
    /// Asks the engine for all cages and the home.
    ///
    /// # Errors
    /// When no engine answers.
    pub fn find(session: &Session) -> Result<Self> {
        let (runtime, cages) = session.own_cages()?;
        let volume = &session.host.home_volume;
        let home = runtime.volume(session.runner, volume)?.map(|volume| volume.name);
        Ok(Self { runtime, cages, home })
    }

    /// Returns a line for each thing that is lost: the `affected` cages, with a verb such as `removes`, the shared home, and
    /// `homes` of single projects.
    pub fn losses(&self, verb: &str, affected: &[&Cage], homes: &[(String, String)]) -> String {
        let cages =
            affected.iter().map(|cage| format!("this {verb} {} ({})\n", cage.name, escape(cage.project())));
        let home = self.home.iter().map(|home| {
            format!("this removes everything in {home}: logins, settings, histories of all cages\n")
        });
        let homes = homes.iter().map(|(volume, project)| {
            format!("this removes the home {volume}, with its logins ({})\n", escape(project))
        });
        cages.chain(home).chain(homes).collect()
    }

    /// Adds the steps that remove the home. All cages must be removed before.
    pub fn remove_home(&self, host: &Host, plan: &mut Plan) {
        if let Some(home) = &self.home {
            plan.say(format!("Removing shared home volume {home}"));
            plan.run(self.runtime.command(["volume", "rm", home]));
        } else {
            plan.say("No shared home volume to remove");
        }
        plan.extend(belonging::file_of(host, &self.runtime, &host.home_volume).map(Step::Unlink));
    }
}

/// Asks whether to continue, after a list of what is lost. If nothing is lost there is no question.
///
/// # Errors
/// When there is no terminal, or it can't be read.
pub fn confirm(session: &Session, yes: bool, losses: &str) -> Result<bool> {
    Ok(losses.is_empty() || session.confirm(yes, &format!("{losses}Continue?"))?)
}
