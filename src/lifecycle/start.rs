//! Starting a project's cage, whatever its state, or creating it.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::cage::create_options::CreateOptions;
use crate::cage::existing::Cage;
use crate::cage::home::home_volume;
use crate::cage::pull::PullFlag;
use crate::engine::error::{Trouble, is_trouble};
use crate::engine::query::Wanted;
use crate::engine::runtime::Runtime;
use crate::host::project::Project;
use crate::lifecycle::choice::Fallback;
use crate::lifecycle::context::{Context, Entry};
use crate::lifecycle::find::{by_link, known_or, names_above};
use crate::lifecycle::from_script::agree_on_home;
use crate::lifecycle::lock;
use crate::lifecycle::new_cage::{Features, NewCage};
use crate::lifecycle::preflight::Preflight;
use crate::lifecycle::resume::{leave, resume};
use crate::lifecycle::session::Session;
use crate::lifecycle::steps::fetch;

/// The number of retries after another command created or removed the container first.
const RACES: u32 = 10;

/// Starts the project's cage from whatever state it is in, or creates it, and enters it. At the end prints what code in the cage
/// left in the project.
///
/// # Errors
/// When the cage can't be started; a half-made cage has been removed.
pub fn bring_up(
    session: &Session,
    project: &Project,
    typed: &CreateOptions,
    pull: PullFlag,
    entry: &Entry,
) -> Result<u8> {
    // This error comes before any other.
    project.check(&session.host, true)?;
    let mut races = 0;
    loop {
        match try_to_bring_up(session, project, typed, pull, entry) {
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
    typed: &CreateOptions,
    pull: PullFlag,
    entry: &Entry,
) -> Result<u8> {
    let options = typed.clone().with_defaults(&session.host, &project.path)?;
    let image = options.image();
    // A command in a cage that exists doesn't depend on the image.
    let is_command = matches!(entry, Entry::Exec(_));
    let above = if is_command { names_above(project) } else { Vec::new() };
    let home = home_volume(&session.host, project, &options);
    let wanted = Some(Wanted { image: &image, volume: &home });
    let asked = wanted.filter(|_| !is_command);
    let (runtime, mut found) = session.find_all(project, asked, &above, Fallback::Allowed)?;
    if is_command
        && found.cage.is_none()
        && let Some((above, _)) = session.above(&runtime, project)?
    {
        return try_to_bring_up(session, &above, typed, pull, entry);
    }
    if let Some(cage) = found.usable() {
        let context = Context { session, runtime: &runtime, project, image: found.image.as_ref() };
        return resume(context, cage, typed, entry);
    }
    entry.check_user(&session.host, &options)?;
    if is_command {
        found = session.look(&runtime, project, wanted)?;
    }
    let context = Context { session, runtime: &runtime, project, image: found.image.as_ref() };
    let mut preflight = Preflight::gather(session, &runtime, project, &options, &found)?;
    if let Some((project, cage)) = by_link(session, &preflight.others, project, is_command)? {
        return resume(Context { project: &project, ..context }, &cage, typed, entry);
    }
    preflight.prove(context, found.image.as_ref().map(|_| image.as_str()))?;
    let is_pulled = self::pull(session, &runtime, pull, &image, found.image.is_some())?;
    let has_asked = agree_on_home(context, &options, &preflight, None)?;
    // Another command may have been at work while the image was pulled or the user was asked.
    let mut known = Some(&found).filter(|_| !is_pulled && !has_asked);
    with_what_works(|features| {
        let locks = session.lock([project.name.as_str()])?;
        let found = known_or(known.take(), &locks, || session.look(&runtime, project, wanted))?;
        let context = Context { image: found.image.as_ref(), ..context };
        // A command that was killed while this one waited leaves an incomplete cage.
        let is_complete = |cage: &&Cage| !(cage.is_unused() && lock::were_abandoned(&locks));
        if let Some(cage) = found.usable().filter(is_complete) {
            // Another command created the cage first.
            drop(locks);
            return resume(context, cage, typed, entry);
        }
        let new = NewCage::gather(context, None, options.clone(), &preflight, features)?;
        let remains = found.cage.iter().chain(&found.left_over);
        let code = session.carry_out_locked(&new.create(remains, entry)?, locks)?;
        Ok(leave(context, entry, code, Some(&new.record.label), new.worktrees))
    })
}

/// Pulls an image if the policy wants it, and returns whether it does. `is_here` tells whether the image is on this machine.
///
/// # Errors
/// When the image is not here and can't be pulled.
pub fn pull(
    session: &Session,
    runtime: &Runtime,
    pull: PullFlag,
    image: &str,
    is_here: bool,
) -> Result<bool> {
    if !pull.wants(&session.host, image, is_here)? {
        return Ok(false);
    }
    let have = runtime.command(["image", "inspect", image]);
    session.carry_out(&fetch(&session.host, runtime, image, Some(have))).map(|_| true)
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
