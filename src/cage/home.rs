//! The home of a cage, a volume: preparing it, removing mount points from it and resetting it. A volume can be reached only from
//! inside a container, so short-lived containers do this.

use std::fs;
use std::io;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Result, bail};

use crate::base::error::Failure;
use crate::base::{script, text};
use crate::cage::create_options::CreateOptions;
use crate::cage::existing::{Cage, KEEP_ID_LABEL, OWNER_LABEL};
use crate::cage::mount_points::MountPoints;
use crate::cage::options::Home;
use crate::cage::user::Mapping;
use crate::engine::command::Invocation;
use crate::engine::mount::Mount;
use crate::engine::runtime::Runtime;
use crate::host::ids::Ids;
use crate::host::machine::Host;
use crate::host::project::Project;

/// The script that prepares a home volume for a cage.
pub const PREPARE: &str = script::body(include_str!("prepare_home.sh"));

/// The script that gives new volumes to the user of a cage.
const GIVE_VOLUMES: &str = script::body(include_str!("give_volumes.sh"));

/// The script that resets a home volume to the image's home directory.
const RESET: &str = script::body(include_str!("reset_home.sh"));

/// The number of levels of a home whose directories the helper gives to the user.
const DEPTH: usize = 3;

/// The number of entries on these levels beyond which the helper looks at them.
const MANY: usize = 20_000;

/// The flag that keeps `SELinux` from confining a container.
pub const UNCONFINED: &str = "--security-opt=label=disable";

/// Returns the directory with the files for new homes, `~/.config/cage/home`, unless it is empty or missing.
///
/// # Errors
/// When the directory can't be read or mounted.
pub fn seed_dir(host: &Host) -> Result<Option<String>> {
    let Some(dir) = host.config_dir().map(|dir| dir.join("home")) else { return Ok(None) };
    let unusable =
        |why: &str| Failure::new(format!("cannot use {}: {why}", text::escape(&dir.to_string_lossy())));
    let is_empty = match fs::read_dir(&dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) => bail!(unusable(&error.to_string())),
    };
    if is_empty {
        return Ok(None);
    }
    let real = fs::canonicalize(&dir).map_err(|error| unusable(&error.to_string()))?;
    match real.into_os_string().into_string() {
        Ok(real) => Ok(Some(real)),
        Err(_) => bail!(unusable("its path is not valid UTF-8")),
    }
}

/// Returns whether a home at this directory of this machine has nothing that the helper would change: it is filled, and belongs to
/// `owner` with all directories and empty files down to the helper's depth. The helper handles homes that can't be
/// read or have very many files.
///
/// This looks at the same owners as the helper, so that nothing is taken on trust. Code in a cage that changes names meanwhile can
/// only make the home look other than it is.
pub fn is_ready(directory: &Path, owner: Ids) -> bool {
    let look = || {
        let metadata = fs::symlink_metadata(directory)?;
        if (metadata.uid(), metadata.gid()) != (owner.uid, owner.gid) {
            return Ok(false);
        }
        let (mut level, mut entries) = (vec![directory.to_owned()], 0);
        for _ in 0..DEPTH {
            let mut below = Vec::new();
            for dir in level {
                for entry in fs::read_dir(dir)? {
                    let entry = entry?;
                    entries += 1;
                    if entries > MANY {
                        return Ok(false);
                    }
                    let metadata = entry.metadata()?;
                    let is_made_by_engines = metadata.is_dir() || (metadata.is_file() && metadata.len() == 0);
                    if is_made_by_engines && metadata.uid() != owner.uid {
                        return Ok(false);
                    }
                    // Two links are its name and its `.`: there is no directory in it.
                    if metadata.is_dir() && metadata.nlink() != 2 {
                        below.push(entry.path());
                    }
                }
            }
            level = below;
        }
        Ok::<_, io::Error>(entries > 0)
    };
    look().unwrap_or(false)
}

/// Returns whether a home at this directory of this machine has all files of the seed, by the rules of the helper.
///
/// # Errors
/// When either can't be read.
pub fn has_seed(directory: &Path, seed: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(seed)? {
        let entry = entry?;
        let there = directory.join(entry.file_name());
        let found = match fs::symlink_metadata(&there) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            found => found?,
        };
        if entry.file_type()?.is_dir() && found.is_dir() && !has_seed(&there, &entry.path())? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the command that runs `script` as root in a container of `image` without a network, and removes the container.
pub fn helper(
    runtime: &Runtime,
    image: &str,
    flags: &[String],
    mounts: &[Mount],
    command: &[&str],
) -> Invocation {
    let mut args =
        vec!["run", "--rm", "--pull", "never", "--network", "none", "--workdir", "/", "--user", "0"];
    args.extend(script::NO_LIBRARIES);
    // The capabilities to copy files and to change their owner.
    args.extend(["--cap-drop", "ALL"]);
    args.extend(["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID"].iter().flat_map(|name| ["--cap-add", name]));
    args.extend(["--security-opt", "no-new-privileges"]);
    args.extend(flags.iter().map(String::as_str));
    let mounts: Vec<String> = mounts.iter().map(Mount::to_flag).collect();
    args.extend(mounts.iter().flat_map(|mount| ["--mount", mount]));
    args.extend(["--entrypoint", "/bin/sh", image, "-c"]);
    args.extend(command);
    runtime.command(args)
}

/// Returns the part of a path below the home, or `None` for a path elsewhere. A mount below the home needs a directory in the
/// volume.
pub fn below<'a>(home: &str, path: &'a str) -> Option<&'a str> {
    path.strip_prefix(home)?.strip_prefix('/').filter(|rest| !rest.is_empty())
}

/// Returns the command that removes the empty directories of a project's mount point.
pub fn remove_room(runtime: &Runtime, image: &str, volume: &str, rest: &str) -> Invocation {
    let script = [r#"cd /cage-home && rmdir -p -- "$1""#, "sh", rest];
    helper(runtime, image, &[], &[Mount::volume(volume, "/cage-home")], &script)
}

/// Returns the words of a shell that gives the new volumes of a cage to `owner`, and the directories on the way to mounts in them.
/// `old` is the user's ID in the image.
pub fn give_volumes(owner: &str, old: u32, points: &MountPoints) -> Vec<String> {
    let mut command = [GIVE_VOLUMES, "sh", owner, &old.to_string()].map(str::to_owned).to_vec();
    let new = |name: &str| if name.is_empty() { "new:" } else { "" };
    command.extend(points.volumes.iter().map(|(name, path)| format!("{}{path}", new(name))));
    command.push("--".to_owned());
    command.extend(points.in_volumes.iter().flat_map(|(volume, rest)| [volume, rest]).cloned());
    command
}

/// Returns the command that empties a home and copies the image's home directory into it, as the engine did when the volume was
/// new. `cage` has the volume mounted at `home`.
///
/// # Errors
/// When the labels of the cage can't be read.
pub fn reset(runtime: &Runtime, cage: &Cage, volume: &str, home: &str) -> Result<Invocation> {
    let (flags, owner) = ids_of(cage)?;
    let script = [RESET, "sh", home, &owner];
    Ok(helper(runtime, &cage.image_id, &flags, &[Mount::volume(volume, "/cage-home")], &script))
}

/// Returns the command that creates mount points in the home of a stopped cage, which code in other cages may have removed.
///
/// # Errors
/// When the labels of the cage can't be read.
pub fn make_mount_points(
    runtime: &Runtime,
    cage: &Cage,
    volume: &str,
    home: &str,
    points: &MountPoints,
) -> Result<Invocation> {
    let (flags, owner) = ids_of(cage)?;
    let words = points.words_for_home();
    let script: Vec<&str> =
        [PREPARE, "sh", home, &owner].into_iter().chain(words.iter().map(String::as_str)).collect();
    Ok(helper(runtime, &cage.image_id, &flags, &[Mount::volume(volume, home)], &script))
}

/// Returns the flags with which a helper has the users of a cage, and the IDs of the cage's user.
fn ids_of(cage: &Cage) -> Result<(Vec<String>, String)> {
    let flag = cage.ids(KEEP_ID_LABEL)?.and_then(|ids| Mapping::KeepId(ids).flag());
    let owner = cage.ids(OWNER_LABEL)?.map(|ids| ids.to_string()).unwrap_or_default();
    Ok((flag.into_iter().collect(), owner))
}

/// Returns the name of the volume that is a cage's home.
pub fn home_volume(host: &Host, project: &Project, options: &CreateOptions) -> String {
    match options.home().unwrap_or(Home::Shared) {
        Home::Shared => host.home_volume.clone(),
        Home::Project => own_home(host, &project.name),
    }
}

/// Returns the name of the volume that only one cage has as its home.
pub fn own_home(host: &Host, name: &str) -> String {
    format!("{}-{}", host.home_volume, name.strip_prefix("cage-").unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_ready_when_the_helper_would_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let me = fs::metadata(dir.path()).unwrap();
        let me = Ids { uid: me.uid(), gid: me.gid() };
        assert!(!is_ready(dir.path(), me), "an empty volume is filled by the engine");
        fs::create_dir_all(dir.path().join("a/b/c/d")).unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(is_ready(dir.path(), me));
        assert!(!is_ready(dir.path(), Ids { uid: me.uid + 1, ..me }));
        assert!(!is_ready(dir.path(), Ids { gid: me.gid + 1, ..me }));
        assert!(!is_ready(&dir.path().join("file"), me));
        assert!(!is_ready(&dir.path().join("none"), me));
        std::os::unix::fs::symlink("/etc", dir.path().join("link")).unwrap();
        assert!(is_ready(dir.path(), me), "a link is not followed");
        if me.uid == 0 {
            for (path, is_seen) in [("a/b/c/d", false), ("a/b/c", true)] {
                std::os::unix::fs::chown(dir.path().join(path), Some(7), None).unwrap();
                assert_eq!(is_ready(dir.path(), me), !is_seen, "{path}");
            }
        }
    }

    #[test]
    fn a_home_has_the_seed_when_the_helper_would_copy_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (home, seed) = (dir.path().join("home"), dir.path().join("seed"));
        fs::create_dir_all(seed.join("a/b")).unwrap();
        fs::write(seed.join("a/b/file"), "new").unwrap();
        std::os::unix::fs::symlink("nowhere", seed.join("link")).unwrap();
        assert!(has_seed(&home, &seed).is_ok_and(|has| !has), "no home");
        fs::create_dir_all(home.join("a/b")).unwrap();
        fs::write(home.join("link"), "a file, not a link").unwrap();
        assert!(!has_seed(&home, &seed).unwrap(), "a file is missing");
        fs::write(home.join("a/b/file"), "old").unwrap();
        assert!(has_seed(&home, &seed).unwrap(), "existing files are left alone");
        fs::remove_dir_all(home.join("a")).unwrap();
        std::os::unix::fs::symlink("/etc", home.join("a")).unwrap();
        assert!(has_seed(&home, &seed).unwrap(), "a link is left alone and not followed");
        fs::remove_file(home.join("link")).unwrap();
        assert!(!has_seed(&home, &seed).unwrap());
        assert!(has_seed(&home, &dir.path().join("none")).is_err());
    }

    #[test]
    fn a_home_with_very_many_files_is_ready_unless_they_are_among_directories() {
        let dir = tempfile::tempdir().unwrap();
        let me = fs::metadata(dir.path()).unwrap();
        let me = Ids { uid: me.uid(), gid: me.gid() };
        let cache = dir.path().join("cache/files");
        fs::create_dir_all(&cache).unwrap();
        (0..=MANY).for_each(|number| drop(fs::File::create(cache.join(number.to_string())).unwrap()));
        // Not every file system counts the links of a directory.
        assert_eq!(is_ready(dir.path(), me), fs::metadata(&cache).unwrap().nlink() == 2);
        fs::create_dir(cache.join("dir")).unwrap();
        assert!(!is_ready(dir.path(), me));
    }

    #[test]
    fn only_paths_below_the_home_need_room() {
        let below = |path| below("/home/vscode", path);
        assert_eq!(below("/home/vscode/src/app"), Some("src/app"));
        for path in ["/home/vscode", "/home/vscode2/app", "/home/me/app", "/"] {
            assert_eq!(below(path), None, "{path}");
        }
    }
}
