//! A directory that somebody else may be changing, read without ever leaving it.
//!
//! Every path is opened component by component, none of which may be a link, and nothing but regular files and directories
//! is opened at all. How much is read in how much time is limited.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

/// The most that is read of one file that is parsed.
const MAX_FILE: u64 = 1024 * 1024;

/// The most that is read of one file to tell a change.
const MAX_CONTENT: u64 = 8 * 1024 * 1024;

/// How deep a path that is followed may lead.
const MAX_RESOLVED: usize = 100;

/// How many links are followed to find out where one leads.
const MAX_LINKS: usize = 16;

/// How many reasons for not having seen everything are told.
const MAX_REASONS: usize = 3;

/// To go through a directory takes less than to read it: whoever owns a `.git` that nobody may read can use it all the
/// same.
#[cfg(target_os = "linux")]
const THROUGH: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const THROUGH: OFlags = DIR;

/// To read a directory.
pub const DIR: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

const FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// How much is looked at, and why that was not all.
#[derive(Debug)]
pub struct Limits {
    deadline: Instant,
    late: Cell<bool>,
    /// How many findings are remembered.
    pub findings: usize,
    entries: Cell<usize>,
    bytes: Cell<u64>,
    reasons: RefCell<Vec<String>>,
}

impl Limits {
    /// So much and no more.
    pub fn new(time: Duration, entries: usize, bytes: u64, findings: usize) -> Self {
        let deadline = Instant::now() + time;
        let (entries, bytes) = (Cell::new(entries), Cell::new(bytes));
        Self { deadline, late: Cell::new(false), findings, entries, bytes, reasons: RefCell::default() }
    }

    /// Remembers why something was not looked at.
    pub fn stop(&self, why: impl Into<String>) {
        let (why, mut reasons) = (why.into(), self.reasons.borrow_mut());
        if reasons.len() < MAX_REASONS && !reasons.contains(&why) {
            reasons.push(why);
        }
    }

    /// Why not everything was looked at.
    pub fn stopped(self) -> Option<String> {
        let reasons = self.reasons.into_inner();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// May one more entry of a directory be looked at?
    pub fn take_entry(&self) -> bool {
        let left = self.entries.get();
        if left == 0 {
            if !self.is_late() {
                self.stop("there are too many files");
            }
            return false;
        }
        self.entries.set(left - 1);
        // Asking for the time costs as much as a small step.
        if left.is_multiple_of(64) && self.is_late() {
            self.entries.set(0);
            return false;
        }
        true
    }

    /// Is the time over?
    pub fn is_late(&self) -> bool {
        if !self.late.get() && Instant::now() >= self.deadline {
            self.late.set(true);
            self.stop("it took too long");
        }
        self.late.get()
    }

    /// Has anybody noticed that the time is over?
    pub fn was_late(&self) -> bool {
        self.late.get()
    }

    fn take_bytes(&self, wanted: u64) -> u64 {
        let left = self.bytes.get();
        let taken = wanted.min(left);
        self.bytes.set(left - taken);
        taken
    }
}

/// What is at a path.
#[derive(Debug)]
pub enum Node {
    /// A regular file.
    File(Status),
    /// A directory.
    Dir(Status),
    /// A symbolic link, and what it says.
    Link(PathBuf, Status),
    /// A device, FIFO or socket.
    Special(Status),
    /// Nothing, or nothing that can be told.
    Nothing,
}

/// What `stat` says.
#[derive(Debug, Clone, Copy)]
pub struct Status {
    /// The mode.
    pub mode: u32,
    /// When the inode changed last, which no program can set.
    pub changed: i64,
    /// What it is.
    pub kind: FileType,
}

/// Asks for an entry of a directory, without following it.
#[allow(clippy::useless_conversion, reason = "other systems have other types")]
pub fn status(dir: BorrowedFd, name: &OsStr) -> Result<Status, Errno> {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(Status {
        mode: stat.st_mode.into(),
        changed: stat.st_ctime.into(),
        kind: FileType::from_raw_mode(stat.st_mode),
    })
}

/// A directory and all below it.
#[derive(Debug)]
pub struct Tree<'a> {
    root: OwnedFd,
    path: PathBuf,
    shown: PathBuf,
    /// How much may be looked at.
    pub limits: &'a Limits,
}

impl<'a> Tree<'a> {
    /// The tree at a canonical path, whose files are `shown`/….
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn open(path: &Path, shown: &Path, limits: &'a Limits) -> Result<Self, Errno> {
        let mut root = rustix::fs::open("/", THROUGH, Mode::empty())?;
        for part in path.components() {
            if let Component::Normal(name) = part {
                root = rustix::fs::openat(&root, name, THROUGH, Mode::empty())?;
            }
        }
        Ok(Self { root, path: path.to_owned(), shown: shown.to_owned(), limits })
    }

    /// The path of a file of it for people.
    pub fn shown(&self, path: &Path) -> PathBuf {
        self.shown.join(path)
    }

    /// Opens a directory of it, to go through.
    fn through(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let mut dir = rustix::fs::openat(&self.root, ".", THROUGH, Mode::empty())?;
        for name in path {
            if name == ".." {
                return Err(Errno::XDEV);
            }
            dir = rustix::fs::openat(&dir, name, THROUGH, Mode::empty()).inspect_err(|error| {
                if matches!(*error, Errno::ACCESS | Errno::PERM) {
                    self.limits.stop(format!("{} can't be opened", self.shown(path).display()));
                }
            })?;
        }
        Ok(dir)
    }

    /// Opens a directory of it, to read.
    ///
    /// # Errors
    /// When there is none at this path, or it is reached by a link.
    pub fn dir(&self, path: &Path) -> Result<Dir, Errno> {
        let dir = self.through(path)?;
        rustix::fs::openat(&dir, ".", DIR, Mode::empty()).and_then(Dir::new).inspect_err(|error| {
            self.limits.stop(format!("{} can't be read: {error}", self.shown(path).display()));
        })
    }

    /// Is there such a directory, and no link on the way to it?
    pub fn is_dir(&self, path: &Path) -> bool {
        self.through(path).is_ok()
    }

    /// The names in a directory of it, sorted. Too many are cut off.
    pub fn names(&self, path: &Path) -> Vec<OsString> {
        let Ok(mut dir) = self.dir(path) else { return Vec::new() };
        let mut names = Vec::new();
        while let Some(Ok(entry)) = dir.read() {
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            if !self.limits.take_entry() {
                break;
            }
            names.push(name.to_owned());
        }
        names.sort_unstable();
        names
    }

    /// What is at a path of it.
    pub fn node(&self, path: &Path) -> Node {
        let Some(name) = path.file_name() else { return Node::Nothing };
        let Ok(dir) = self.through(path.parent().unwrap_or(Path::new(""))) else { return Node::Nothing };
        let Ok(status) = status(dir.as_fd(), name) else { return Node::Nothing };
        match status.kind {
            FileType::RegularFile => Node::File(status),
            FileType::Directory => Node::Dir(status),
            FileType::Symlink => match rustix::fs::readlinkat(&dir, name, Vec::new()) {
                Ok(target) => Node::Link(OsString::from_vec(target.into_bytes()).into(), status),
                Err(_) => Node::Nothing,
            },
            _ => Node::Special(status),
        }
    }

    /// Is anything at this path?
    pub fn has(&self, path: &Path) -> bool {
        !matches!(self.node(path), Node::Nothing)
    }

    fn file(&self, path: &Path) -> Result<(File, u64, i64), Errno> {
        let Node::File(_) = self.node(path) else { return Err(Errno::INVAL) };
        let dir = self.through(path.parent().unwrap_or(Path::new("")))?;
        let file =
            File::from(rustix::fs::openat(&dir, path.file_name().unwrap_or_default(), FILE, Mode::empty())?);
        let metadata = file.metadata().map_err(|_| Errno::IO)?;
        // It may be another one by now.
        if !metadata.is_file() {
            return Err(Errno::INVAL);
        }
        Ok((file, metadata.len(), metadata.ctime()))
    }

    /// Reads a regular file, up to a limit.
    pub fn read(&self, path: &Path) -> Option<Vec<u8>> {
        let shown = || self.shown(path).to_string_lossy().into_owned();
        let (file, size, _) = match self.file(path) {
            Ok(file) => file,
            Err(Errno::ACCESS | Errno::PERM) => {
                self.limits.stop(format!("{} can't be read", shown()));
                return None;
            }
            Err(_) => return None,
        };
        let room = self.limits.take_bytes(size.min(MAX_FILE));
        let mut bytes = Vec::new();
        file.take(room).read_to_end(&mut bytes).ok()?;
        if size > room {
            self.limits.stop(format!("{} is too large to be read to its end", shown()));
        }
        Some(bytes)
    }

    /// What tells a file's content from another one. Of a large one that is when it changed last.
    pub fn content(&self, path: &Path) -> Option<[u8; 32]> {
        let (mut file, size, changed) = self.file(path).ok()?;
        let mut hash = Sha256::new();
        if size > MAX_CONTENT || self.limits.take_bytes(size) < size {
            hash.update(format!("{size} {changed}"));
            return Some(hash.finalize().into());
        }
        let mut buffer = vec![0; 64 * 1024];
        let mut left = size;
        while left > 0 && !self.limits.is_late() {
            let count = file.read(&mut buffer).ok()?.min(usize::try_from(left).unwrap_or(usize::MAX));
            if count == 0 {
                break;
            }
            hash.update(&buffer[..count]);
            left -= count as u64;
        }
        Some(hash.finalize().into())
    }

    /// What tells all files right in a directory and in those below it from others, and when one of them changed last.
    pub fn contents(&self, dir: &Path, depth: usize) -> (Vec<u8>, i64) {
        let (mut all, mut last) = (Vec::new(), i64::MIN);
        for name in self.names(dir) {
            let path = dir.join(&name);
            let (content, changed) = match self.node(&path) {
                Node::File(status) => (self.content(&path).unwrap_or_default().to_vec(), status.changed),
                Node::Link(target, status) => (target.as_os_str().as_bytes().to_vec(), status.changed),
                Node::Dir(status) if depth > 0 => {
                    let (content, changed) = self.contents(&path, depth - 1);
                    (content, changed.max(status.changed))
                }
                Node::Dir(_) | Node::Special(_) | Node::Nothing => continue,
            };
            all.extend(name.as_bytes().iter().chain(&[0]).chain(&content));
            last = last.max(changed);
        }
        (Sha256::digest(all).to_vec(), last)
    }

    /// Where a path leads that the host would follow from `base`: the path without any link in it, if it stays in the tree
    /// and there is something.
    pub fn resolve(&self, base: &Path, path: &Path) -> Option<PathBuf> {
        let mut done = base.to_owned();
        let mut todo = VecDeque::new();
        let mut links = 0;
        self.enqueue(path, &mut done, &mut todo)?;
        while let Some(name) = todo.pop_front() {
            // Each step opens all of the way anew.
            if self.limits.is_late() || done.components().count() > MAX_RESOLVED {
                return None;
            }
            if name == ".." {
                if !done.pop() {
                    return None;
                }
                continue;
            }
            done.push(&name);
            match self.node(&done) {
                Node::Link(target, _) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return None;
                    }
                    done.pop();
                    self.enqueue(&target, &mut done, &mut todo)?;
                }
                Node::File(_) | Node::Special(_) if !todo.is_empty() => return None,
                Node::Nothing => return None,
                Node::File(_) | Node::Special(_) | Node::Dir(_) => {}
            }
        }
        Some(done)
    }

    fn enqueue(&self, path: &Path, done: &mut PathBuf, todo: &mut VecDeque<OsString>) -> Option<()> {
        let relative = if path.is_absolute() {
            *done = PathBuf::new();
            path.strip_prefix(&self.path).ok()?
        } else {
            path
        };
        if relative.as_os_str().len() > 4096 {
            return None;
        }
        let names: Vec<&OsStr> = relative
            .components()
            .filter_map(|part| match part {
                Component::Normal(name) => Some(name),
                Component::ParentDir => Some(OsStr::new("..")),
                Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
            })
            .collect();
        for name in names.into_iter().rev() {
            todo.push_front(name.to_owned());
        }
        Some(())
    }

    /// Does a link in directory `base` that says `target` lead out of the tree?
    pub fn leads_out(&self, base: &Path, target: &Path) -> bool {
        let relative = if target.is_absolute() {
            match target.strip_prefix(&self.path) {
                // `..` may come later.
                Ok(relative) => relative.to_owned(),
                Err(_) => return true,
            }
        } else {
            base.join(target)
        };
        let mut depth = 0_usize;
        for part in relative.components() {
            match part {
                Component::Normal(_) => depth += 1,
                Component::ParentDir if depth == 0 => return true,
                Component::ParentDir => depth -= 1,
                _ => {}
            }
        }
        // What `..` climbs out of may be a link itself.
        let names = target.components().skip_while(|part| !matches!(part, Component::Normal(_)));
        let climbs = names.skip(1).any(|part| part == Component::ParentDir);
        climbs && self.resolve(base, target).is_none()
    }
}
