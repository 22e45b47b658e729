//! Starting a project's cage, whatever its state, or creating it.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::cage::create_options::CreateOptions;
use crate::cage::existing::{Cage, SUCCESSOR};
use crate::cage::options::NO_ROOT;
use crate::cage::pull::PullFlag;
use crate::engine::container::State;
use crate::engine::error::{Trouble, is_trouble};
use crate::engine::image::is_local;
use crate::engine::runtime::Runtime;
use crate::host::project::Project;
use crate::lifecycle::context::{Context, Entry, Settling};
use crate::lifecycle::create::{Features, NewCage};
use crate::lifecycle::plan::{Plan, Step};
use crate::lifecycle::preflight::Preflight;
use crate::lifecycle::resume::{leave, resume};
use crate::lifecycle::session::Session;
use crate::lifecycle::steps::{Removal, fetch, remove_all};

/// The number of retries after another command created or removed the container first.
const RACES: u32 = 10;

/// Starts the project's cage from whatever state it is in, or creates it, and enters it. At the end prints what code in the cage left in
/// the project.
///
/// # Errors
/// When the cage can't be started; a half-made cage has been removed.
pub fn bring_up(
    session: &Session,
    project: &Project,
    options: &CreateOptions,
    pull: PullFlag,
    entry: &Entry,
) -> Result<u8> {
    // This error comes before any other.
    project.check(&session.host, true)?;
    let wanted = options.clone().with_defaults(&session.host)?;
    let mut races = 0;
    loop {
        match try_to_bring_up(session, project, (options, &wanted), pull, entry) {
            Err(error) if races < RACES && lost_a_race(&error) => {
                races += 1;
                thread::sleep(Duration::from_millis(100));
            }
            result => return result,
        }
    }
}

/// Returns whether another command created or removed the container between the query and the step. The lock covers cage
/// commands of one user; commands of other users or of the engine's client can still interfere.
fn lost_a_race(error: &anyhow::Error) -> bool {
    is_trouble(error, Trouble::NameTaken) || is_trouble(error, Trouble::NoSuchContainer)
}

/// Makes one attempt of [`bring_up`], which fails if another command is faster.
fn try_to_bring_up(
    session: &Session,
    project: &Project,
    (options, wanted): (&CreateOptions, &CreateOptions),
    pull: PullFlag,
    entry: &Entry,
) -> Result<u8> {
    let (runtime, found) = session.find_all(project)?;
    if let (Entry::Exec(_), None) = (entry, &found.cage)
        && let Some((above, _)) = session.above(&runtime, project)?
    {
        return try_to_bring_up(session, &above, (options, wanted), pull, entry);
    }
    if let Some(container) = found.cage.as_ref().filter(|cage| cage.state != State::Dead) {
        let context =
            Context { host: &session.host, runtime: &runtime, project, image: found.image.as_ref() };
        return resume(session, &context, container, options, entry);
    }
    let preflight = Preflight::gather(session, &runtime, project, wanted)?;
    self::pull(session, &runtime, pull, found.image.is_some())?;
    with_what_works(|features| {
        let lock = session.lock([project.name.as_str()])?;
        let found = session.look(&runtime, project)?;
        let context =
            Context { host: &session.host, runtime: &runtime, project, image: found.image.as_ref() };
        if let Some(container) = found.cage.as_ref().filter(|cage| cage.state != State::Dead) {
            // Another command created the cage first.
            drop(lock);
            return resume(session, &context, container, options, entry);
        }
        let creation = NewCage::gather(session, &context, None, preflight.clone(), features)?;
        let remains = found.cage.iter().chain(&found.left_over);
        let code = session.carry_out_locked(&context.create(remains, &creation, wanted, entry), lock)?;
        Ok(leave(session, project, entry, code, Some(creation.baseline.seen())))
    })
}

/// Pulls the image for new cages if the policy wants it. `here` tells whether the image is on this machine.
///
/// # Errors
/// When the image is not here and can't be pulled.
pub fn pull(session: &Session, runtime: &Runtime, pull: PullFlag, here: bool) -> Result<()> {
    let image = &session.host.image;
    let wanted = pull.policy(&session.host)?.wants(here);
    if is_local(image) || !wanted {
        return Ok(());
    }
    let mut plan = Plan::default();
    plan.say("Pulling latest image...");
    let have = runtime.command(["image", "inspect", image]);
    plan.push(Step::Pull { pull: fetch(&session.host, runtime), unless: Some(have) });
    session.carry_out(&plan).map(drop)
}

/// Attempts to make a container with the features that not every engine has, and again without those that turn out to be missing:
/// some engines say so only when a container is created or started.
///
/// # Errors
/// Those of `attempt`.
pub fn with_what_works<T>(mut attempt: impl FnMut(Features) -> Result<T>) -> Result<T> {
    let mut features = Features { init: true, agent: true };
    loop {
        match attempt(features) {
            Err(error) if features.init && is_trouble(&error, Trouble::NoInit) => features.init = false,
            Err(error) if features.agent && is_trouble(&error, Trouble::NoAgent) => features.agent = false,
            result => return result,
        }
    }
}

impl Context<'_> {
    /// Returns the plan that creates the cage. The container gets its final name last, so that a cage of that name is always complete.
    /// `remains` are containers that the engine could not remove, or that an earlier attempt left behind.
    pub(super) fn create<'a>(
        &self,
        remains: impl IntoIterator<Item = &'a Cage>,
        creation: &NewCage,
        options: &CreateOptions,
        entry: &Entry,
    ) -> Plan {
        let name = &self.project.name;
        let new = format!("{name}{SUCCESSOR}");
        let mut plan = remove_all(self.runtime, remains);
        let undo = Removal::All(creation.link.as_ref());
        plan.append(creation.make(self, &new, options, undo));
        plan.run(self.runtime.command(["rename", &new, name]));
        plan.push(Step::Undo(undo.plan(self.runtime, name)));
        plan.extend(creation.welcome(self.host, options).into_iter().map(Step::Say));
        plan.extend(creation.sources(self.project, options).map(Step::CheckUnlinked));
        let settling = Settling {
            machines_agent: creation.uses_machines_agent(self.host, options),
            no_root: options.has(NO_ROOT),
        };
        match entry {
            Entry::Attach => {
                let settle = self.settle(name, settling);
                plan.push(self.start_attached(name, settle));
            }
            Entry::Name | Entry::Exec(_) => {
                plan.append(self.start_new(name, settling));
                plan.append(self.enter(name, None, entry));
            }
        }
        plan
    }
}
