//! The wall of a cage: what it is by default, and what takes it down.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::base::error::Failure;
use crate::base::{file, text};
use crate::cage::create_options::CreateOptions;
use crate::cage::isolation;
use crate::cage::ssh_agent::{Link, SOCKET};
use crate::engine::container::{Container, State};
use crate::engine::query::Volume;
use crate::host::project::Project;

/// Checks that no other cage can write where the project or a source of its mounts is, nor where a link is by which the
/// project was reached: it could put another link there, and the engine would mount what that leads to.
///
/// # Errors
/// When one can.
pub fn check_nested(
    project: &Project,
    options: &CreateOptions,
    cages: &[Container],
    label: &str,
) -> Result<()> {
    let paths: Vec<PathBuf> =
        [project.dir()].into_iter().chain(options.sources()).chain(file::links(&project.reached)).collect();
    for cage in cages.iter().filter(|cage| cage.cage_name() != project.name) {
        cage.options()?;
        for source in cage.writable_sources(label) {
            let below = |path: &&PathBuf| path.starts_with(&source) && path.as_path() != Path::new(&source);
            if let Some(path) = paths.iter().find(below) {
                let its_own = cage.project(label);
                let hint = if project.above().any(|above| its_own == Some(above)) {
                    "`cage shell` here uses that cage; --allow-nested, if you trust what runs in it, makes one of its own"
                } else {
                    "--allow-nested, if you trust what runs in that cage"
                };
                return Err(Failure::new(format!(
                    "{} is in {}, where {} can write",
                    text::escape(&path.to_string_lossy()),
                    text::escape(&source),
                    cage.name
                ))
                .hint(hint)
                .into());
            }
        }
    }
    Ok(())
}

/// Returns the other running cages that can write a directory above one of these sources.
pub fn neighbours<'a>(
    name: &str,
    sources: &[PathBuf],
    cages: &'a [Container],
    label: &str,
) -> Vec<&'a Container> {
    let can_swap = |cage: &&Container| {
        let writable = cage.writable_sources(label);
        let below =
            |path: &PathBuf, source: &str| path.starts_with(source) && path.as_path() != Path::new(source);
        sources.iter().any(|path| writable.iter().any(|source| below(path, source)))
    };
    cages
        .iter()
        .filter(|cage| cage.cage_name() != name && cage.state == State::Running)
        .filter(can_swap)
        .collect()
}

/// What of the host a container mounts, but for what was passed on to the engine, which is taken as it was written, and the
/// SSH agent's socket or `link`, which are cage's own.
pub fn mounted_sources(container: &Container, options: &CreateOptions, link: Option<&Link>) -> Vec<PathBuf> {
    let passed_on = isolation::all_mounted(&options.engine_args);
    let as_written = |source: &str| passed_on.iter().any(|mount| mount.name == source);
    let is_agents =
        |source: &str| source == SOCKET || link.is_some_and(|link| link.path == Path::new(source));
    let sources = container.sources().filter(|source| !as_written(source) && !is_agents(source));
    sources.map(PathBuf::from).collect()
}

/// Checks that what a stopped cage mounts is where it was: whoever was in a cage that can write there may have put a link
/// in the path, such as in that of the repository of a worktree, and the engine would follow it. `link` is cage's own.
///
/// # Errors
/// When there is one.
pub fn check_mounts(container: &Container, options: &CreateOptions, link: Option<&Link>) -> Result<()> {
    mounted_sources(container, options, link).iter().try_for_each(|source| file::check_unlinked(source))
}

/// Checks that a cage's home, if there is one already, is a plain volume: one made with options can be any directory of
/// the host.
///
/// # Errors
/// When it isn't.
pub fn check_home(volume: Option<Volume>) -> Result<()> {
    let Some(volume) = volume else { return Ok(()) };
    ensure!(
        volume.is_plain(),
        Failure::new(format!(
            "the volume {} is not a plain one: it was made with a driver or options",
            volume.name
        ))
        .hint(
            "cage's home must be a volume of its own: remove that one, or name another with CAGE_HOME_VOLUME"
        )
    );
    Ok(())
}
