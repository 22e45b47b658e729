//! `cage upgrade`: the newest image, and a cage made of it.

use anyhow::Result;
use clap::Args;

use super::restart::Renew;
use super::update::{fetch_newest, refuse_local};
use crate::base::console;
use crate::lifecycle::context::Context;
use crate::lifecycle::create::NewCage;
use crate::lifecycle::plan::{Plan, Step};
use crate::lifecycle::preflight::Preflight;
use crate::lifecycle::resume::tell_ignored;
use crate::lifecycle::session::Session;
use crate::lifecycle::start::with_what_works;
use crate::lifecycle::steps::remove_all;

/// Pull the latest image and, if the project's cage has another one, replace the cage
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage upgrade        Pull, and replace the cage if its image is another one
  cage upgrade -d     Do the same in the background")]
pub struct Upgrade {
    #[command(flatten)]
    renew: Renew,
}

impl Upgrade {
    /// Pulls the image and replaces the cage if its image is another one.
    ///
    /// # Errors
    /// When the image can't be pulled, or a new cage can't be made; then the old one is still there.
    pub fn run(self, session: &Session) -> Result<u8> {
        refuse_local(&session.host)?;
        let project = session.project()?;
        let typed = self.renew.typed(&session.host, &project)?;
        let (runtime, found) = session.find_all(&project)?;
        let options = match &found.cage {
            Some(old) => self.renew.options_after(&session.host, old, &typed)?,
            None => typed.clone(),
        };
        let preflight = Preflight::gather(session, &runtime, &project, &options)?;
        session.carry_out(&fetch_newest(&session.host, &runtime))?;
        with_what_works(|features| {
            let lock = session.lock()?;
            let found = session.look(&runtime, &project)?;
            let context = Context {
                host: &session.host,
                runtime: &runtime,
                project: &project,
                image: found.image.as_ref(),
            };
            let Some(old) = &found.cage else {
                console::info("No existing container. Use 'cage start' to create one.");
                return Ok(0);
            };
            let mut plan = Plan::default();
            if session.global.dry_run {
                // The image was not pulled, so only the script can tell.
                let id = ["image", "inspect", "--format", "{{.Id}}", &session.host.image];
                plan.push(Step::StopIfPrints(runtime.command(id), old.image_id.clone()));
            } else if found.image.as_ref().is_some_and(|image| image.id == old.image_id) {
                let mut keep = tell_ignored(old, &old.options().unwrap_or_default(), &typed);
                keep.say("Container is already on the latest image.");
                return session.carry_out(&keep);
            }
            plan.say(format!("Removing old container {}", old.name));
            let new_cage = NewCage::gather(session, &context, Some(old), preflight.clone(), features)?;
            plan.append(remove_all(&runtime, found.left_over.iter()));
            plan.append(self.renew.replacement(&context, old, &new_cage, &typed)?);
            session.carry_out_locked(&plan, lock)
        })
    }
}
