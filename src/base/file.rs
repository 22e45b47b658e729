//! Reading files and checking paths that code in a cage may be changing at the same time.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail, ensure};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::base::error::Failure;
use crate::base::text;

/// The largest file that [`read_small`] reads, in bytes. An env file ends up in the container's configuration and in the
/// memory of each of its processes.
const MAX_SIZE: u64 = 64 * 1024;

/// The number of links that the system follows on the way to a file (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// Reads a small regular file, or returns `None` if there is none. `kind` names the file in errors (`env file`).
///
/// # Errors
/// When the file exists and can't be read, is not a regular file, is larger than 64 KiB, or is not UTF-8.
pub fn read_small(kind: &str, path: &Path, flags: OFlags) -> Result<Option<String>> {
    let Some(bytes) = read_up_to(MAX_SIZE, kind, path, flags)? else { return Ok(None) };
    let text = String::from_utf8(bytes).map_err(|_| unusable(kind, path, "it is not valid UTF-8"))?;
    Ok(Some(text))
}

/// Reads a regular file of at most `max` bytes, or returns `None` if there is none. The file is opened once, without waiting (a
/// FIFO would block), so that the file that was checked is the file that is read.
///
/// # Errors
/// When the file exists and can't be read, is not a regular file, or is larger.
pub fn read_up_to(max: u64, kind: &str, path: &Path, flags: OFlags) -> Result<Option<Vec<u8>>> {
    let refuse = |why: &str| unusable(kind, path, why);
    let file = match rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | flags,
        Mode::empty(),
    ) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(Errno::LOOP) => return Err(refuse("it is a symbolic link").hint("make it a file").into()),
        Err(Errno::AGAIN) => {
            let hint = "a program in the cage may hold it: `cage stop` ends it";
            return Err(refuse("another program holds a lease on it").hint(hint).into());
        }
        Err(error) => return Err(refuse(&error.to_string()).into()),
    };
    let metadata = file.metadata().map_err(|error| refuse(&error.to_string()))?;
    ensure!(metadata.is_file(), refuse("it is not a regular file"));
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes).map_err(|error| refuse(&error.to_string()))?;
    ensure!(bytes.len() as u64 <= max, refuse(&format!("it is larger than {} KiB", max.div_ceil(1024))));
    Ok(Some(bytes))
}

/// Returns whether a path leads to a socket.
pub fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

/// Returns whether a path leads to the file that is always empty, by which users say that there is nothing.
pub fn is_null(path: &Path) -> bool {
    real(path) == Path::new("/dev/null")
}

fn unusable(kind: &str, path: &Path, why: &str) -> Failure {
    Failure::new(format!("{kind} {}: {why}", text::escape(&path.to_string_lossy())))
}

/// Creates a directory that only this user can open, or closes one to others.
///
/// # Errors
/// When it can't be created or closed, as one that belongs to another user.
pub fn private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let metadata = fs::metadata(dir)?;
    if is_foreign(dir) {
        return Err(io::Error::new(ErrorKind::PermissionDenied, "it belongs to another user"));
    }
    let mode = metadata.mode() & 0o7777;
    let private = mode & 0o700;
    if mode == private { Ok(()) } else { fs::set_permissions(dir, Permissions::from_mode(private)) }
}

/// Returns whether a file or directory belongs to another user. Root may use those of the user for whom it works.
pub fn is_foreign(path: &Path) -> bool {
    let user = rustix::process::geteuid().as_raw();
    user != 0 && fs::metadata(path).is_ok_and(|metadata| metadata.uid() != user)
}

/// Writes a file that only its owner can read, or replaces it in one step. Creates the directory.
///
/// # Errors
/// When it can't be written; nothing is left behind.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        private_dir(dir)?;
    }
    // Hidden, as others read the files of a directory by how their names begin or end.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&new, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })
}

/// Returns the path with all links resolved, or the path unchanged where that fails.
pub fn real(path: &Path) -> PathBuf {
    // Many paths that cage looks at don't exist, which this call tells sooner.
    let found = fs::symlink_metadata(path).and_then(|_| fs::canonicalize(path));
    found.unwrap_or_else(|_| path.to_owned())
}

/// Returns whether a path is this directory or in it. Neither may have `.` or `//`: that makes it much quicker than
/// [`Path::starts_with`].
pub fn is_in(path: &Path, dir: &Path) -> bool {
    let rest = path.as_os_str().as_bytes().strip_prefix(dir.as_os_str().as_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/' || dir == Path::new("/"))
}

/// Returns an absolute path without `.` and `..`, as it is written: links are not looked at.
pub fn lexical(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// Returns the path with all links resolved in the part of it that exists.
pub fn resolved(path: &Path) -> PathBuf {
    let found = path.ancestors().find_map(|above| Some((above, fs::canonicalize(above).ok()?)));
    let Some((above, real)) = found else { return path.to_owned() };
    path.strip_prefix(above)
        .map_or(real.clone(), |rest| if rest == Path::new("") { real } else { real.join(rest) })
}

/// Returns whether there is no such file, also if a link leads to none.
pub fn is_gone(path: &Path) -> bool {
    let kind = fs::metadata(path).map_err(|error| error.kind());
    matches!(kind, Err(ErrorKind::NotFound | ErrorKind::NotADirectory))
}

/// Checks that no component of a path that is about to be mounted is a symbolic link, because the engine would follow it.
/// A component that doesn't exist passes: the engine refuses it, or finds it under another path in its virtual machine.
///
/// # Errors
/// When a component is a link, or can't be examined (an engine that runs as root could).
pub fn check_unlinked(path: &Path) -> Result<()> {
    let mut here = PathBuf::new();
    for part in path.components() {
        here.push(part);
        let shown = || text::escape(&here.to_string_lossy());
        match fs::symlink_metadata(&here) {
            Ok(metadata) if metadata.is_symlink() => {
                let leads = fs::read_link(&here).unwrap_or_default();
                return Err(Failure::new(format!(
                    "{} in the cage now leads to {}",
                    shown(),
                    text::name(&leads.to_string_lossy())
                ))
                .hint("restore what was there, or run `cage restart` without that mount")
                .into());
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => bail!(Failure::new(format!("cannot look at {}: {error}", shown()))),
        }
    }
    Ok(())
}

/// Returns the symbolic links on the way to `path`, each by its real path, also those that another link leads to.
pub fn links(path: &Path) -> Vec<PathBuf> {
    let parts =
        |path: &Path| path.components().rev().map(|part| part.as_os_str().to_owned()).collect::<Vec<_>>();
    let mut links = Vec::new();
    let mut here = PathBuf::from("/");
    let mut rest = parts(path);
    while let Some(part) = rest.pop() {
        // `/` at the beginning of a link's target replaces the path so far.
        let next = here.join(&part);
        match fs::symlink_metadata(&next) {
            _ if part == ".." => drop(here.pop()),
            Ok(metadata) if metadata.is_symlink() && links.len() < MOST_LINKS => {
                let Ok(target) = fs::read_link(&next) else { return links };
                rest.extend(parts(&target));
                links.push(next);
            }
            Ok(metadata) if !metadata.is_symlink() => here = next,
            Ok(_) | Err(_) => return links,
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_in_itself_and_in_the_directories_above() {
        for (path, dir, expected) in [
            ("/a/b", "/a/b", true),
            ("/a/b/c", "/a/b", true),
            ("/a/b", "/", true),
            ("/", "/", true),
            ("/a/bc", "/a/b", false),
            ("/a", "/a/b", false),
        ] {
            assert_eq!(is_in(Path::new(path), Path::new(dir)), expected, "{path} in {dir}");
            assert_eq!(Path::new(path).starts_with(dir), expected, "{path} in {dir}");
        }
    }

    #[test]
    fn a_directory_for_private_files_is_closed_to_others() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("state/cage");
        let mode = |dir: &Path| fs::metadata(dir).unwrap().mode() & 0o777;
        write_private(&dir.join("new"), "x").unwrap();
        assert_eq!((mode(&dir), mode(&dir.join("new"))), (0o700, 0o600));
        for open in [0o755, 0o777, 0o750] {
            fs::set_permissions(&dir, Permissions::from_mode(open)).unwrap();
            write_private(&dir.join("again"), "x").unwrap();
            assert_eq!(mode(&dir), 0o700, "{open:o}");
        }
        if rustix::process::geteuid().as_raw() != 0 {
            assert!(is_foreign(Path::new("/")) && private_dir(Path::new("/")).is_err());
        }
        assert!(!is_foreign(&dir));
    }

    #[test]
    fn a_file_is_whole_for_those_who_find_it_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("writable.docker");
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| (0..500).for_each(|_| write_private(&path, "[]").unwrap()));
            while !writer.is_finished() {
                for entry in fs::read_dir(dir.path()).unwrap().flatten() {
                    if entry.file_name().to_string_lossy().starts_with("writable.") {
                        assert_eq!(fs::read_to_string(entry.path()).unwrap(), "[]");
                    }
                }
            }
        });
    }
}
