//! Cages that can write where another cage's project or mounts are, and mounts that lead elsewhere by now.

use std::path::{Path, PathBuf};

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

/// Checks that no other cage can write the directory that the project, a source of its mounts, or a link on the way to one
/// of them is in: code in that cage could put a link there, and the engine would mount what the link leads to.
///
/// # Errors
/// When one can.
pub fn check_nested(project: &Project, options: &CreateOptions, cages: &[Cage]) -> Result<()> {
    let links = file::links(&project.reached).into_iter().chain(options.links.iter().cloned());
    let paths: Vec<PathBuf> = [project.dir()].into_iter().chain(options.sources()).chain(links).collect();
    for cage in cages.iter().filter(|cage| cage.final_name() != project.name) {
        cage.options()?;
        for source in cage.writable_sources() {
            let below = |path: &&PathBuf| path.starts_with(&source) && path.as_path() != Path::new(&source);
            if let Some(path) = paths.iter().find(below) {
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
    }
    Ok(())
}

/// Returns the other running cages that can write a directory above one of these sources.
pub fn neighbours<'a>(name: &str, sources: &[PathBuf], cages: &'a [Cage]) -> Vec<&'a Cage> {
    let can_swap = |cage: &&Cage| {
        let writable = cage.writable_sources();
        let below =
            |path: &PathBuf, source: &str| path.starts_with(source) && path.as_path() != Path::new(source);
        sources.iter().any(|path| writable.iter().any(|source| below(path, source)))
    };
    cages
        .iter()
        .filter(|cage| cage.final_name() != name && cage.state == State::Running)
        .filter(can_swap)
        .collect()
}

/// Returns the files and directories of the host that a cage mounts, without those in arguments for the engine, which are not
/// checked, and without the SSH agent's socket or link, which cage itself keeps. Where that link is depends on the HOME and
/// `XDG_STATE_HOME` with which the cage was made, so the path inside tells.
pub fn mounted_sources(cage: &Cage, options: &CreateOptions) -> Vec<PathBuf> {
    let passed_on = engine_args::all_mounted(&options.engine_args);
    let as_written = |source: &str| passed_on.iter().any(|mount| mount.name == source);
    let was_asked_for = options.mounts().any(|mount| mount.target() == SOCKET);
    let checked = |mount: &&Mounted| {
        !as_written(&mount.source) && (mount.destination != SOCKET || was_asked_for) && mount.source != SOCKET
    };
    cage.bind_mounts().filter(checked).map(|mount| PathBuf::from(&mount.source)).collect()
}

/// Checks that there is no symbolic link in the path of anything that a stopped cage mounts: code in a cage that can write
/// there may have put it, and the engine would follow it.
///
/// # Errors
/// When there is one.
pub fn check_mounts(cage: &Cage, options: &CreateOptions) -> Result<()> {
    mounted_sources(cage, options).iter().try_for_each(|source| file::check_unlinked(source))
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
            gid: 0,
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
