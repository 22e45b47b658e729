//! `cage restart`: a clean box.

use anyhow::{Result, bail, ensure};
use clap::Args;

use crate::container::Container;
use crate::creation::{Beforehand, Creation};
use crate::error::Failure;
use crate::lifecycle::{Facts, Pulling, Then, pull, with_or_without_init};
use crate::options::CreateOptions;
use crate::session::Session;
use crate::ui;

/// Replace the project's cage by a new one; project and home stay
#[derive(Debug, Args)]
pub struct Restart {
    #[command(flatten)]
    renew: Renew,

    #[command(flatten)]
    pulling: Pulling,
}

/// The flags of the commands that make a cage anew.
#[derive(Debug, Args)]
pub struct Renew {
    /// Added to those that the cage was made with.
    #[command(flatten)]
    pub options: CreateOptions,

    /// Forget the options that the cage was made with, but for --home
    #[arg(long)]
    pub fresh: bool,

    /// Bring the cage up in the background and print its name (as without a terminal)
    #[arg(short, long)]
    pub detach: bool,
}

impl Renew {
    /// The options for the cage that follows `old`.
    pub fn options_after(&self, old: &Container, typed: &CreateOptions) -> CreateOptions {
        let kept = old.options();
        if self.fresh {
            // Whose home it is stays: that is a place, and another one would look as if all were lost.
            CreateOptions { home: typed.home.or(kept.home), ..typed.clone() }
        } else {
            typed.clone().over(kept)
        }
    }
}

impl Restart {
    /// Does it.
    ///
    /// # Errors
    /// When there is no cage, or a new one can't be made; then the old one is still there.
    pub fn run(self, session: &Session) -> Result<u8> {
        let project = session.project()?;
        let typed = self.renew.options.clone().resolve(&session.host, &project.dir())?;
        let then = Then::enter(&session.host, self.renew.detach);
        let missing = || {
            let path = ui::escape(&project.path);
            Failure::new(format!("No container for {path}. Use 'cage start' to create one."))
        };
        let (runtime, found) = session.find_all(&project)?;
        ensure!(found.cage.is_some(), missing());
        let beforehand = Beforehand::gather(session, &runtime, &project)?;
        pull(session, &runtime, self.pulling, found.image.is_some())?;
        with_or_without_init(|init| {
            let lock = session.lock()?;
            let found = session.look(&runtime, &project)?;
            let Some(old) = &found.cage else { bail!(missing()) };
            let facts = Facts {
                host: &session.host,
                runtime: &runtime,
                project: &project,
                image: found.image.as_ref(),
            };
            let creation = Creation::gather(
                session,
                &runtime,
                &project,
                found.image.as_ref(),
                Some(old),
                beforehand.clone(),
                init,
            )?;
            let options = self.renew.options_after(old, &typed);
            options.check_sources()?;
            let plan = facts.replace(old, found.left_over.as_ref(), &creation, &options, &then);
            session.carry_out_locked(&plan, lock)
        })
    }
}
