//! Mount points on this machine. An engine would create a missing one as root, and through any link; cage creates it as the user,
//! and never through a link, because code in a cage can put links into a project.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail, ensure};
use rustix::fs::{
    Access, AtFlags, FileType, Gid, Mode, OFlags, Uid, accessat, fchown, mkdirat, open, openat, statat,
};
use rustix::io::Errno;

use super::error::Failure;
use super::file::check_unlinked;
use super::text::escape;

const DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A place in a mounted directory of this machine at which something else is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPoint {
    /// The mounted directory; its path has no links.
    pub base: PathBuf,
    /// The path below it.
    pub rest: PathBuf,
    /// Whether a file is mounted there.
    pub is_file: bool,
    /// Whether the directory is mounted read-only, so that nothing is created in it.
    pub readonly: bool,
}

/// The user and group who get new files; `None` for the user who runs cage.
pub type Owner = Option<(u32, u32)>;

impl MountPoint {
    /// Checks that the mount point exists, or can be created.
    ///
    /// # Errors
    /// When it can't be used: the way to it has a link or a file, or it has another type than the thing that is mounted there.
    pub fn check(&self) -> Result<()> {
        self.walk(None)
    }

    /// Creates the mount point, with the directories above it, unless it exists.
    ///
    /// # Errors
    /// As [`MountPoint::check`], or when it can't be created.
    pub fn make(&self, owner: Owner) -> Result<()> {
        self.walk(Some(owner))
    }

    /// Returns the path.
    pub fn path(&self) -> PathBuf {
        self.base.join(&self.rest)
    }

    /// Follows the path one directory at a time, and creates what is missing for `make`.
    fn walk(&self, make: Option<Owner>) -> Result<()> {
        check_unlinked(&self.base)?;
        let mut here = self.base.clone();
        let mut dir =
            open(&here, DIR, Mode::empty()).map_err(|error| self.unusable(&here, &error.to_string()))?;
        let mut parts = self.rest.components().peekable();
        while let Some(part) = parts.next() {
            let Component::Normal(name) = part else { bail!(self.unusable(&here, "`..` leads out of it")) };
            here.push(name);
            let is_file = self.is_file && parts.peek().is_none();
            match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(found) => self.check_type(&here, FileType::from_raw_mode(found.st_mode), is_file)?,
                Err(Errno::NOENT) => {
                    ensure!(
                        !self.readonly,
                        self.unusable(&here, "it doesn't exist, and the directory is mounted read-only")
                    );
                    let Some(owner) = make else { return self.check_writable(&dir, &here) };
                    create(&dir, name, is_file, owner)
                        .map_err(|error| self.unusable(&here, &error.to_string()))?;
                }
                Err(error) => bail!(self.unusable(&here, &error.to_string())),
            }
            if !is_file {
                dir = openat(&dir, name, DIR, Mode::empty())
                    .map_err(|error| self.unusable(&here, &error.to_string()))?;
            }
        }
        Ok(())
    }

    fn check_type(&self, here: &Path, found: FileType, is_file: bool) -> Result<()> {
        let why = match (found, is_file) {
            (FileType::Symlink, _) => "it is a symbolic link, which the engine would follow",
            (FileType::Directory, true) => "it is a directory, and a file would be mounted there",
            (FileType::Directory, false) | (_, true) => return Ok(()),
            (_, false) => "it is a file, where a directory has to be",
        };
        bail!(self.unusable(here, why))
    }

    fn check_writable(&self, dir: &OwnedFd, here: &Path) -> Result<()> {
        accessat(dir, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty())
            .map_err(|error| self.unusable(here, &format!("it can't be created: {error}")).into())
    }

    fn unusable(&self, here: &Path, why: &str) -> Failure {
        let shown = |path: &Path| escape(&path.to_string_lossy());
        Failure::new(format!("cannot mount at {}: {}: {why}", shown(&self.path()), shown(here)))
            .hint("create the mount point yourself, or mount elsewhere")
    }
}

/// Creates an empty directory or file that doesn't exist. Another program may create a directory first.
fn create(dir: &OwnedFd, name: &OsStr, is_file: bool, owner: Owner) -> rustix::io::Result<()> {
    let made = if is_file {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(dir, name, flags, Mode::from_raw_mode(0o666))?
    } else {
        match mkdirat(dir, name, Mode::from_raw_mode(0o777)) {
            Err(Errno::EXIST) => return Ok(()),
            result => result?,
        }
        openat(dir, name, DIR, Mode::empty())?
    };
    let Some((uid, gid)) = owner else { return Ok(()) };
    fchown(made, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn point(base: &Path, rest: &str, is_file: bool) -> MountPoint {
        MountPoint { base: base.to_owned(), rest: rest.into(), is_file, readonly: false }
    }

    fn directory() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        (dir, real)
    }

    #[test]
    fn what_is_missing_is_created_and_the_rest_stays() {
        let (_dir, dir) = directory();
        fs::create_dir(dir.join("a")).unwrap();
        for (rest, is_file) in [("a/b/c", false), ("a/b/.env", true), ("a", false), ("a/b/.env", true)] {
            let point = point(&dir, rest, is_file);
            point.check().unwrap();
            point.make(None).unwrap();
            assert_eq!(dir.join(rest).is_file(), is_file, "{rest}");
        }
        fs::write(dir.join("a/b/.env"), "kept").unwrap();
        point(&dir, "a/b/.env", true).make(None).unwrap();
        assert_eq!(fs::read_to_string(dir.join("a/b/.env")).unwrap(), "kept");
        point(&dir, "x/y", false).check().unwrap();
        assert!(!dir.join("x").exists(), "a check creates nothing");
    }

    #[test]
    fn links_and_other_types_are_refused_at_every_part_of_the_path() {
        let (_dir, dir) = directory();
        let (base, outside) = (dir.join("base"), dir.join("outside"));
        for dir in [base.join("a/b"), outside.join("b")] {
            fs::create_dir_all(dir).unwrap();
        }
        fs::write(base.join("file"), "").unwrap();
        symlink(&outside, base.join("out")).unwrap();
        symlink("a", base.join("within")).unwrap();
        symlink(outside.join("new"), base.join("a/dangling")).unwrap();
        symlink(&base, dir.join("link")).unwrap();
        let mut refused = vec![point(&dir.join("link"), "a", false), point(&base, "../outside/x", false)];
        for rest in ["out", "out/b", "out/new", "within/b", "a/dangling", "a/dangling/x", "file/x"] {
            refused.extend([true, false].map(|is_file| point(&base, rest, is_file)));
        }
        refused.extend([point(&base, "file", false), point(&base, "a", true)]);
        refused.push(MountPoint { readonly: true, ..point(&base, "a/new", false) });
        for point in refused {
            assert!(point.check().is_err() && point.make(None).is_err(), "{point:?}");
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "nothing is created outside");
        assert_eq!(fs::read_dir(base.join("a")).unwrap().count(), 2);
        MountPoint { readonly: true, ..point(&base, "a/b", false) }.check().unwrap();
    }
}
