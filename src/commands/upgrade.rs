//! `cage upgrade`.

use anyhow::Result;
use clap::Args;

use super::restart::{Before, Renew};
use super::update::refuse_local;
use crate::base::console;
use crate::lifecycle::plan::{Plan, Step};
use crate::lifecycle::resume::tell_ignored;
use crate::lifecycle::session::{Session, may_end};
use crate::lifecycle::steps::fetch;

/// Pull the latest image, and replace a cage that has another one
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
        refuse_local(&self.renew.image(&session.host))?;
        let renewal = self.renew.find(session)?;
        let runtime = &renewal.runtime;
        let pull = |image: &str| {
            refuse_local(image)?;
            session.carry_out(&fetch(&session.host, runtime, image, None)).map(drop)
        };
        let Some(old) = &renewal.found.cage else {
            pull(&self.renew.image(&session.host))?;
            console::info("No existing container. Use 'cage start' to create one.");
            if let Some(advice) = renewal.advice_above("upgrade")? {
                console::info(&advice);
            }
            return Ok(0);
        };
        let pull_and_ask = |image: &str| {
            pull(image)?;
            let is_newest = || {
                let images = runtime.images(session.runner, &[image])?;
                anyhow::Ok(images.first().is_some_and(|image| image.id == old.image_id))
            };
            // If the cage stays, nothing ends.
            let checked = renewal.check(old);
            let visitors = session.at_work(runtime, old, self.renew.yes);
            if (checked.is_ok() && visitors.is_empty()) || is_newest()? {
                return Ok(Before::Changed);
            }
            checked?;
            Ok(if may_end(&visitors)? { Before::Changed } else { Before::Refused })
        };
        renewal.replace(old, pull_and_ask, |old, name, newest| {
            let mut plan = Plan::default();
            if session.global.dry_run {
                // The image was not pulled, so only the script can tell.
                let id = ["image", "inspect", "--format", "{{.Id}}", name];
                plan.push(Step::StopIfPrints(runtime.command(id), old.image_id.clone()));
            } else if newest.is_some_and(|image| image.id == old.image_id) {
                let mut keep = tell_ignored(old, &old.options().unwrap_or_default(), &renewal.typed);
                keep.say("Container is already on the latest image.");
                session.carry_out(&keep)?;
                return Ok(None);
            }
            plan.say(format!("Removing old container {}", old.name));
            Ok(Some(plan))
        })
    }
}
