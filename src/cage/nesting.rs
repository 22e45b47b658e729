//! Checks of paths that code in another cage can change: nested projects and mounts, and links in the paths of mounts.

use std::path::{Component, Path, PathBuf};

use anyhow::{Result, ensure};

use crate::base::error::Failure;
use crate::base::{file, text};
use crate::cage::create_options::CreateOptions;
use crate::cage::engine_args;
use crate::cage::existing::Cage;
use crate::cage::ssh_agent::SOCKET;
use crate::engine::container::{Mounted, State};
use crate::engine::query::Volume;
use crate::host::project::Project;
use crate::host::worktree::{self, GitDir};

/// Checks that no other cage can write a directory that contains the project, a source of its mounts, or a link in the path of one
/// of them: code in that cage could put a link there, and the engine would mount the target of the link.
///
/// # Errors
/// When another cage can.
pub fn check_nested(project: &Project, options: &CreateOptions, cages: &[Cage]) -> Result<()> {
    let links = file::links(&project.reached).into_iter().chain(options.links.iter().cloned());
    let paths: Vec<PathBuf> = [project.dir()].into_iter().chain(options.sources()).chain(links).collect();
    for cage in cages.iter().filter(|cage| cage.final_name() != project.name) {
        cage.options()?;
        if let Some((path, source)) = reached(cage, &paths) {
            let hint = if project.above().any(|above| cage.project() == above) {
                "`cage shell` here uses that cage; if you trust the code in it, --allow-nested makes a separate cage"
            } else {
                "use --allow-nested if you trust the code in that cage"
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
    Ok(())
}

/// Returns the project's git directory, or why its repository is not used: it lies where code in another cage can write, or a former
/// one could, and may have been made by that code. Repositories in a cage's `.git` are used, and so is a directory that a cage has as a
/// whole, if it looks like nothing but a repository.
pub fn check_repository(git: GitDir, others: &[Cage], reach: &[PathBuf]) -> GitDir {
    let Some(common) = git.outside() else { return git };
    let places = others.iter().flat_map(Cage::writable_sources).map(PathBuf::from);
    let is_git = |part: Component| part.as_os_str() == ".git";
    let is_made_up = |place: &PathBuf| {
        let below = Path::new(common).strip_prefix(place);
        below.is_ok_and(|below| match below.components().next() {
            Some(first) => !is_git(first),
            None => !place.components().any(is_git) && !worktree::has_only_git_files(place),
        })
    };
    match places.chain(reach.iter().cloned()).find(is_made_up) {
        None => git,
        Some(place) => GitDir::Refused(format!(
            "{} is in {}, where code in another cage could make one (--allow-nested uses it)",
            text::name(common),
            text::escape(&place.to_string_lossy())
        )),
    }
}

/// Checks that no link in the path of the project or a typed source leads out of a place that a cage can or could write: code in it
/// may have put the link there.
///
/// # Errors
/// When one does.
pub fn check_links(links: &[PathBuf], places: &[impl AsRef<Path>]) -> Result<()> {
    let leads_out = |link: &&PathBuf| {
        places.iter().any(|place| link.starts_with(place) && !file::resolved(link).starts_with(place))
    };
    let Some(link) = links.iter().find(leads_out) else { return Ok(()) };
    let shown = |path: &Path| text::name(&path.to_string_lossy());
    Err(Failure::new(format!("the link {} leads out to {}", shown(link), shown(&file::resolved(link))))
        .hint("code in a cage can put links there; if you mean that place, name it by its own path")
        .into())
}

/// Checks that a link in the project, or in what the options mount, does not lead the engine elsewhere on the way to a source that
/// it mounts as it is written.
///
/// # Errors
/// When one does.
pub fn check_written<'a>(
    sources: impl IntoIterator<Item = &'a str>,
    project: &str,
    options: &CreateOptions,
) -> Result<()> {
    // docker removes `..` as text, before it looks at links.
    let ways = sources.into_iter().flat_map(|source| [source.into(), file::lexical(Path::new(source))]);
    let links: Vec<PathBuf> = ways.flat_map(|way| file::links(&way)).collect();
    check_links(&links, &[PathBuf::from(project)].into_iter().chain(options.sources()).collect::<Vec<_>>())
}

/// Returns the first of these paths that is below a directory which the cage can write, and that directory.
fn reached<'a>(cage: &Cage, paths: &'a [PathBuf]) -> Option<(&'a PathBuf, String)> {
    cage.writable_sources().into_iter().find_map(|source| {
        let is_below = |path: &&PathBuf| path.starts_with(&source) && path.as_path() != Path::new(&source);
        Some((paths.iter().find(is_below)?, source))
    })
}

/// Returns the other running cages that can write a directory above one of these sources.
pub fn neighbours<'a>(name: &str, sources: &[PathBuf], cages: &'a [Cage]) -> impl Iterator<Item = &'a Cage> {
    cages.iter().filter(move |cage| {
        cage.final_name() != name && cage.state == State::Running && reached(cage, sources).is_some()
    })
}

/// Returns the files and directories of the host that a cage mounts, except those in arguments for the engine, which are not
/// checked, and the SSH agent's socket or link, which cage itself creates. The path in the cage identifies the link: its path on
/// the host depends on the HOME and `XDG_STATE_HOME` with which the cage was created.
pub fn mounted_sources(cage: &Cage, options: &CreateOptions) -> Vec<PathBuf> {
    let passed_on = engine_args::all_mounted(&options.engine_args);
    let as_written = |source: &str| passed_on.iter().any(|mount| mount.name == source);
    let was_asked_for = options.mounts().any(|mount| mount.target() == SOCKET);
    let checked = |mount: &&Mounted| {
        !as_written(&mount.source) && (mount.destination != SOCKET || was_asked_for) && mount.source != SOCKET
    };
    cage.bind_mounts().filter(checked).map(|mount| PathBuf::from(&mount.source)).collect()
}

/// Returns the other running cages that could exchange a source of this one with a link.
pub fn neighbours_of(cage: &Cage, cages: &[Cage]) -> Vec<Cage> {
    // In a virtual machine the engine may report other paths.
    let options = cage.options().unwrap_or_default();
    let told = cage.bind_mounts().filter(|mount| mount.destination != SOCKET);
    let told = told.map(|mount| PathBuf::from(&mount.source));
    let sources: Vec<PathBuf> =
        [PathBuf::from(cage.project())].into_iter().chain(options.sources()).chain(told).collect();
    neighbours(cage.final_name(), &sources, cages).cloned().collect()
}

/// Checks that the paths of a stopped cage's mounts have no symbolic links: code in a cage may have put a link there, and the
/// engine would follow it. Sources in arguments for the engine may have links where no cage can write.
///
/// # Errors
/// When a path has one.
pub fn check_mounts(cage: &Cage, options: &CreateOptions) -> Result<()> {
    mounted_sources(cage, options).iter().try_for_each(|source| file::check_unlinked(source))?;
    let mounts = cage.bind_mounts().filter(|mount| mount.destination != SOCKET);
    check_written(mounts.map(|mount| mount.source.as_str()), cage.project(), options)
}

/// Checks that a cage's home, if it exists, is a plain volume: a volume that was created with options can be any directory of the
/// host.
///
/// # Errors
/// When the volume isn't plain.
pub fn check_home(volume: Option<&Volume>) -> Result<()> {
    let Some(volume) = volume else { return Ok(()) };
    ensure!(
        volume.is_plain,
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::host::project::cage_name;

    #[test]
    fn the_link_to_the_ssh_agent_may_be_in_another_home_and_no_other_link_passes() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().canonicalize().unwrap().join("cage-x.agent");
        symlink("/dev/null", &link).unwrap();
        let link = link.to_str().unwrap();
        let project = Project {
            path: "/p/app".into(),
            name: cage_name("/p/app"),
            inode: 1,
            owner: crate::host::ids::Ids::ROOT,
            reached: "/p/app".into(),
        };
        let check = |target: &str, options: &str| {
            let mut cage = Cage::sample(&project, State::Stopped);
            cage.container().mounts.push(Mounted::bind(link, target));
            check_mounts(&cage, &CreateOptions::from_label(options, &[]).unwrap())
        };
        assert!(check(SOCKET, "").is_ok());
        assert!(check("/data", "").is_err(), "another mount with a link in its path");
        assert!(check(SOCKET, &format!("-v {link}:{SOCKET}")).is_err(), "the user's own mount");
    }
}
