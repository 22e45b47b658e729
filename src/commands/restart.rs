//! `cage restart`, and the replacement of a cage that it shares with `cage upgrade`.

use std::cell::Cell;

use anyhow::{Result, bail, ensure};
use clap::Args;

use crate::base::error::Failure;
use crate::base::text;
use crate::cage::create_options::CreateOptions;
use crate::cage::existing::{Cage, SEEN_LABEL};
use crate::cage::from_script::TakenOver;
use crate::cage::home::home_volume;
use crate::cage::options::Home;
use crate::cage::pull::PullFlag;
use crate::engine::image::{Image, is_same_name};
use crate::engine::query::Wanted;
use crate::engine::runtime::Runtime;
use crate::host::machine::Host;
use crate::host::project::Project;
use crate::lifecycle::choice::Fallback;
use crate::lifecycle::context::{Context, Entry};
use crate::lifecycle::find::{Existing, by_link, known_or};
use crate::lifecycle::from_script::agree_on_home;
use crate::lifecycle::new_cage::NewCage;
use crate::lifecycle::plan::{Plan, Step};
use crate::lifecycle::preflight::Preflight;
use crate::lifecycle::session::{Session, may_end};
use crate::lifecycle::start::{pull, with_what_works};
use crate::lifecycle::steps::remove_all;
use crate::lifecycle::worktrees::{self, Worktrees};

/// Replace the project's cage with a new one; project and home stay
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage restart                     Get a clean box with the same options
  cage restart -p 5432:5432        Add a port
  cage restart --fresh --no-ssh    Use these options and no others
  cage restart --pull never -d     Use the local image, start in the background")]
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

    /// Forget the options of the old cage, except --home
    #[arg(long)]
    fresh: bool,

    /// Start the cage in the background and print its name (default without a terminal)
    #[arg(short, long)]
    detach: bool,

    /// Don't ask when others are at work in the cage
    #[arg(short, long)]
    pub yes: bool,

    /// More arguments for the engine's own `create`, after `--`
    #[arg(last = true, value_name = "ENGINE-ARGS")]
    engine_args: Vec<String>,
}

impl Restart {
    /// Replaces the cage and enters the new one.
    ///
    /// # Errors
    /// When there is no cage, or a new one can't be made; then the old one is still there.
    pub fn run(self, session: &Session) -> Result<u8> {
        let renewal = self.renew.find(session)?;
        let Some(old) = &renewal.found.cage else {
            let advice = renewal.advice_above("restart")?;
            bail!(advice.into_iter().fold(renewal.missing(), Failure::hint))
        };
        let runtime = &renewal.runtime;
        let pull = |image: &str| {
            let is_here = if image == self.renew.image(&session.host) {
                renewal.found.image.is_some()
            } else {
                !runtime.images(session.runner, &[image])?.is_empty()
            };
            let is_pulled = self.pull.wants(&session.host, image, is_here)?;
            if !is_here && !is_pulled && !session.global.dry_run {
                session.runner.run(&runtime.command(["image", "inspect", image]))?;
            }
            renewal.check(old)?;
            let visitors = session.at_work(runtime, old, self.renew.yes);
            if !may_end(&visitors)? {
                return Ok(Before::Refused);
            }
            let is_pulled = pull(session, runtime, self.pull, image, is_here)?;
            Ok(if is_pulled || !visitors.is_empty() { Before::Changed } else { Before::AsFound })
        };
        renewal.replace(old, pull, |_, _, _| Ok(Some(Plan::default())))
    }
}

/// What came of pulling the image and asking the user.
#[derive(PartialEq, Eq)]
pub enum Before {
    /// The user wants to keep the old cage.
    Refused,
    /// Cage and image are as they were found.
    AsFound,
    /// The image may be a newer one, or another command may have been at work while the user was asked.
    Changed,
}

/// The replacement of a project's cage.
pub struct Renewal<'a> {
    session: &'a Session,
    flags: &'a Renew,
    project: Project,
    /// The options of the command line.
    pub typed: CreateOptions,
    /// The runtime that has the cage.
    pub runtime: Runtime,
    /// The cage and the image for new ones, as far as they exist.
    pub found: Existing,
}

impl Renew {
    /// Returns the image that the user chooses for the new cage, or the default.
    pub fn image(&self, host: &Host) -> String {
        self.options.image_or_default(host)
    }

    /// Finds the cage to replace.
    ///
    /// # Errors
    /// When an option is invalid, or the engine doesn't answer.
    pub fn find<'a>(&'a self, session: &'a Session) -> Result<Renewal<'a>> {
        let project = session.project()?;
        let mut typed = self.options.clone();
        typed.engine_args.clone_from(&self.engine_args);
        let typed = typed.resolve(&session.host, &project.dir())?;
        let image = typed.image_or_default(&session.host);
        let home = home_volume(&session.host, &project, &typed);
        let wanted = Some(Wanted { image: &image, volume: &home });
        let (runtime, mut found) = session.find_all(&project, wanted, &[], Fallback::Never)?;
        if found.cage.is_none() {
            let linked = by_link(session, &session.cages(&runtime)?, &project, false)?;
            found.cage = linked.map(|(_, cage)| cage);
        }
        Ok(Renewal { session, flags: self, project, typed, runtime, found })
    }
}

impl Renewal<'_> {
    /// Replaces `old` by a new cage and enters that. `pull` fetches the image and asks the user, who may refuse.
    /// `first` returns the first steps, or `None` to keep `old`.
    ///
    /// # Errors
    /// When the image can't be pulled, the options of the new cage can't be decided, or it can't be made.
    pub fn replace(
        &self,
        old: &Cage,
        pull: impl FnOnce(&str) -> Result<Before>,
        first: impl Fn(&Cage, &str, Option<&Image>) -> Result<Option<Plan>>,
    ) -> Result<u8> {
        let Self { session, project, runtime, found, .. } = self;
        let (options, _) = self.options_after(old)?;
        let image_name = options.image();
        let mut preflight = Preflight::gather(session, runtime, project, &options, found)?;
        preflight.prove(Context { session, runtime, project, image: None }, Some(&old.image_id))?;
        let before = pull(&image_name)?;
        if before == Before::Refused {
            return Ok(1);
        }
        let is_known = before == Before::AsFound && image_name == self.flags.image(&session.host);
        let home = home_volume(&session.host, project, &options);
        let wanted = Wanted { image: &image_name, volume: &home };
        let mut known = Some(found).filter(|_| is_known);
        let has_asked = Cell::new(false);
        let code = with_what_works(|features| {
            let lock = session.lock([project.name.as_str()])?;
            let found = known_or(known.take(), &lock, || session.look(runtime, project, Some(wanted)))?;
            let by_link = Some(old).filter(|old| old.name != project.name);
            let Some(old) = found.cage.as_ref().or(by_link) else { bail!(self.missing()) };
            let image = found.image.as_ref();
            let Some(mut plan) = first(old, &image_name, image)? else { return Ok(0) };
            let context = Context { session, runtime, project, image };
            let (options, told) = self.options_after(old)?;
            ensure!(
                options.image() == image_name,
                Failure::new(format!("{} was replaced meanwhile", old.name)).hint("try again")
            );
            if !has_asked.replace(true) {
                agree_on_home(context, &options, &preflight, Some(old))?;
            }
            if !is_same_name(old.image_name(), &image_name) {
                plan.say(format!("image: {} → {image_name}", old.image_name()));
            }
            let new = NewCage::gather(context, Some(old), options, &preflight, features)?;
            plan.extend(told);
            let lost = Worktrees::of_cage(old, &old.options().unwrap_or_default()).only_inside();
            plan.extend((!lost.is_empty()).then(|| {
                let are = worktrees::are(&lost);
                Step::Warn(format!("{are} only in the old cage: what is not committed is lost"))
            }));
            plan.append(remove_all(runtime, found.left_over.iter()));
            new.options.check_sources()?;
            plan.append(new.replace(old, &Entry::enter(&session.host, self.flags.detach))?);
            let code = session.carry_out_locked(&plan, lock)?;
            new.worktrees.tell_only_inside();
            Ok(code)
        })?;
        session.tell_leftovers(project, old.label(SEEN_LABEL));
        Ok(code)
    }

    /// Checks what would make a new cage fail only after `old` has ended: a port that is taken, a mounted directory that is gone.
    ///
    /// # Errors
    /// When there is such a thing.
    pub fn check(&self, old: &Cage) -> Result<()> {
        let Self { session, project, runtime, found, .. } = self;
        let (options, _) = self.options_after(old)?;
        options.check_sources()?;
        let context = Context { session, runtime, project, image: None };
        context.check_new_ports(old, found.left_over.as_ref(), &options)
    }

    /// Returns the options of the cage that replaces `old`, and steps that tell what is taken over from a cage of the script.
    ///
    /// # Errors
    /// When the options of `old` are kept and can't be read, or a variable or file for an option has an invalid value.
    fn options_after(&self, old: &Cage) -> Result<(CreateOptions, Vec<Step>)> {
        let host = &self.session.host;
        let made = old.options();
        // The home stays: with another one all logins and settings would seem to be lost.
        let home = match (self.typed.home(), &made) {
            (Some(home), _) => home,
            (None, Ok(made)) => made.home().unwrap_or(Home::Shared),
            (None, Err(_)) if old.mount_point_of(&host.home_volume).is_some() => Home::Shared,
            (None, Err(_)) => Home::Project,
        };
        let kept = match made {
            _ if self.flags.fresh => TakenOver::default(),
            Ok(made) if old.is_of_script() => {
                let taken = old.taken_over(host, &self.typed)?;
                TakenOver { options: taken.options.over(made.kept(host)), ..taken }
            }
            made => TakenOver { options: made?.kept(host), ..TakenOver::default() },
        };
        let options = self.typed.clone().over(kept.options).with_defaults(host, &self.project.path)?;
        let is_as_before = options.home().unwrap_or(Home::Shared) == home;
        let told = kept.said.into_iter().map(Step::Say).chain(kept.warned.into_iter().map(Step::Warn));
        Ok((if is_as_before { options } else { options.with_home(home) }, told.collect()))
    }

    /// Returns how to name the cage of a parent directory, if there is one.
    ///
    /// # Errors
    /// When the engine doesn't answer.
    pub fn advice_above(&self, command: &str) -> Result<Option<String>> {
        self.session.advice_above(&self.runtime, &self.project, command)
    }

    fn missing(&self) -> Failure {
        let path = text::escape(&self.project.path);
        Failure::new(format!("No container for {path}. Use 'cage start' to create one."))
    }
}
