//! Locks that keep cage commands of one user from creating or removing the same thing at the same time.
//!
//! They are on files of their own in `~/.local/state/cage`, which no other user and no cage can open, and end with the process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::base::error::Failure;
use crate::base::{console, file};
use crate::engine::signals::Interrupts;

/// The ending of the name of a cage's lock.
pub const LOCK: &str = "lock";

/// The pause before the next attempt to take a lock that another command holds.
const PAUSE: Duration = Duration::from_millis(50);

/// A lock, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
    /// Whether another command held it at first.
    waited: bool,
    /// Whether the command that held it before was killed.
    inherited: bool,
    /// Whether the file stays.
    stays: bool,
}

/// The locks that are held while a container is made.
pub type Locks = Vec<Lock>;

/// Waits for a lock, until a signal comes. Returns `None` for a file that can't be made or locked: cage goes on, as the engine
/// itself refuses a second container of a name.
///
/// # Errors
/// When a signal came.
pub fn take(path: &Path, interrupts: &Interrupts) -> Result<Option<Lock>> {
    let mut waits = false;
    loop {
        let Some(file) = open(path) else { return Ok(None) };
        match file.try_lock() {
            Ok(()) if is_at(&file, path) => {
                // A command removes the file when it no longer needs the lock: only one that was killed leaves its mark.
                let inherited = file.metadata().is_ok_and(|metadata| metadata.len() > 0);
                let _ = file.set_len(1);
                return Ok(Some(Lock {
                    file,
                    path: path.to_owned(),
                    waited: waits,
                    inherited,
                    stays: false,
                }));
            }
            // The command that held it has removed the file.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                if !waits {
                    console::info("waiting for another cage command to finish");
                }
                waits = true;
                thread::sleep(PAUSE);
                ensure!(!interrupts.came(), Failure::new("interrupted"));
            }
            Err(TryLockError::Error(_)) => return Ok(None),
        }
    }
}

/// Returns whether no other command held one of these locks, so that what was found before still holds. The time since then is much
/// shorter than any command holds a lock, and an engine refuses names that are taken.
pub fn were_free(locks: &Locks) -> bool {
    !locks.is_empty() && locks.iter().all(|lock| !lock.waited)
}

/// Returns whether a command was killed that held one of these locks, so that what it made may be incomplete.
pub fn were_abandoned(locks: &Locks) -> bool {
    locks.iter().any(|lock| lock.inherited)
}

impl Lock {
    /// Keeps the file of a lock whose holder was killed: the engine may still complete what that command asked for.
    pub fn stay_abandoned(&mut self) {
        self.stays = self.inherited;
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A command that waits has the file open, and looks whether it still has its name.
        if !self.stays && is_at(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn open(path: &Path) -> Option<File> {
    file::private_dir(path.parent()?).ok()?;
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).ok()
}

fn is_at(file: &File, path: &Path) -> bool {
    let inode = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().map(inode).ok() == fs::metadata(path).map(inode).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_lock_excludes_others_until_it_is_dropped_and_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/cage/cage-x.lock");
        let interrupts = Interrupts::register(u64::MAX);
        let first = take(&path, &interrupts).unwrap().unwrap();
        assert!(!first.waited);
        assert_eq!(first.file.metadata().unwrap().mode() & 0o777, 0o600);
        assert!(
            take(&dir.path().join("state/cage/cage-y.lock"), &interrupts).unwrap().is_some(),
            "another cage"
        );
        let (send, taken) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                let second = take(&path, &interrupts).unwrap().unwrap();
                send.send(is_at(&second.file, &path) && second.waited).unwrap();
            });
            assert!(taken.recv_timeout(Duration::from_millis(300)).is_err(), "it is held");
            drop(first);
            assert!(taken.recv_timeout(Duration::from_secs(10)).unwrap());
        });
        assert!(!path.exists());
    }

    #[test]
    fn a_lock_is_inherited_only_from_a_holder_that_was_killed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cage-x.lock");
        let interrupts = Interrupts::register(u64::MAX);
        let take = || take(&path, &interrupts).unwrap().unwrap();
        let mut killed = take();
        killed.stays = true;
        drop(killed);
        assert!(take().inherited, "the file is left");
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        assert!(!take().inherited);
                    }
                });
            }
        });
        assert!(!path.exists());
    }

    #[test]
    fn a_place_that_cannot_be_written_needs_no_lock() {
        assert!(take(Path::new("/dev/null/x.lock"), &Interrupts::register(u64::MAX)).unwrap().is_none());
    }
}
