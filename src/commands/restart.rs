//! `cage restart`: a clean box.

use anyhow::{Result, bail};
use clap::Args;

use crate::base::error::Failure;
use crate::base::text;
use crate::cage::create_options::CreateOptions;
use crate::cage::existing::{Cage, SEEN_LABEL};
use crate::cage::options::Home;
use crate::cage::pull::PullFlag;
use crate::host::machine::Host;
use crate::host::project::Project;
use crate::lifecycle::context::{Context, Entry};
use crate::lifecycle::create::NewCage;
use crate::lifecycle::plan::Plan;
use crate::lifecycle::preflight::Preflight;
use crate::lifecycle::session::Session;
use crate::lifecycle::start::{pull, with_what_works};
use crate::lifecycle::steps::remove_all;

/// Replace the project's cage with a new one; project and home stay
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage restart                     Get a clean box with the same options
  cage restart -p 5432:5432        Add a port
  cage restart --fresh --no-ssh    Use these options and no others
  cage restart --pull never -d     Use the image that is here, in the background")]
pub struct Restart {
    #[command(flatten)]
    renew: Renew,

    #[command(flatten)]
    pull: PullFlag,
}

/// The flags of the commands that replace a cage.
#[derive(Debug, Args)]
pub struct Renew {
    /// Options in addition to those of the old cage.
    #[command(flatten)]
    options: CreateOptions,

    /// Forget the options that the cage was made with, but for --home
    #[arg(long)]
    pub fresh: bool,

    /// Bring the cage up in the background and print its name (as without a terminal)
    #[arg(short, long)]
    pub detach: bool,

    /// More arguments for the engine's own `create`, after `--`
    #[arg(last = true, value_name = "ENGINE-ARGS")]
    engine_args: Vec<String>,
}

impl Renew {
    /// Returns the options of the command line.
    ///
    /// # Errors
    /// As [`CreateOptions::resolve`].
    pub fn typed(&self, host: &Host, project: &Project) -> Result<CreateOptions> {
        let mut typed = self.options.clone();
        typed.engine_args.clone_from(&self.engine_args);
        typed.resolve(host, &project.dir())
    }

    /// Returns the options of the cage that replaces `old`.
    ///
    /// # Errors
    /// When the options of `old` are kept and can't be read, or a variable for an option has an invalid value.
    pub fn options_after(&self, host: &Host, old: &Cage, typed: &CreateOptions) -> Result<CreateOptions> {
        let made = old.options();
        // The home stays: with another one all logins and settings would seem to be lost.
        let home = match (typed.home(), &made) {
            (Some(home), _) => home,
            (None, Ok(made)) => made.home().unwrap_or(Home::Shared),
            (None, Err(_)) if old.mount_point_of(&host.home_volume).is_some() => Home::Shared,
            (None, Err(_)) => Home::Project,
        };
        let kept = if self.fresh { CreateOptions::default() } else { made?.without_defaults() };
        let options = typed.clone().over(kept).with_defaults(host)?;
        let is_as_before = options.home().unwrap_or(Home::Shared) == home;
        Ok(if is_as_before { options } else { options.with_home(home) })
    }

    /// Returns the plan that replaces `old` with the new cage.
    ///
    /// # Errors
    /// When the options of the new cage can't be decided, or the source of a mount is gone.
    pub fn replacement(
        &self,
        context: &Context,
        old: &Cage,
        new_cage: &NewCage,
        typed: &CreateOptions,
    ) -> Result<Plan> {
        let options = self.options_after(context.host, old, typed)?;
        options.check_sources()?;
        Ok(context.replace(old, new_cage, &options, &Entry::enter(context.host, self.detach)))
    }
}

impl Restart {
    /// Replaces the cage and enters the new one.
    ///
    /// # Errors
    /// When there is no cage, or a new one can't be made; then the old one is still there.
    pub fn run(self, session: &Session) -> Result<u8> {
        let project = session.project()?;
        let typed = self.renew.typed(&session.host, &project)?;
        let missing = || {
            let path = text::escape(&project.path);
            Failure::new(format!("No container for {path}. Use 'cage start' to create one."))
        };
        let (runtime, found) = session.find_all(&project)?;
        let Some(old) = &found.cage else { bail!(missing()) };
        let options = self.renew.options_after(&session.host, old, &typed)?;
        let preflight = Preflight::gather(session, &runtime, &project, &options)?;
        pull(session, &runtime, self.pull, found.image.is_some())?;
        let code = with_what_works(|features| {
            let lock = session.lock()?;
            let found = session.look(&runtime, &project)?;
            let Some(old) = &found.cage else { bail!(missing()) };
            let context = Context {
                host: &session.host,
                runtime: &runtime,
                project: &project,
                image: found.image.as_ref(),
            };
            let new_cage = NewCage::gather(session, &context, Some(old), preflight.clone(), features)?;
            let mut plan = remove_all(&runtime, found.left_over.iter());
            plan.append(self.renew.replacement(&context, old, &new_cage, &typed)?);
            session.carry_out_locked(&plan, lock)
        })?;
        session.tell_leftovers(&project, old.label(SEEN_LABEL));
        Ok(code)
    }
}
