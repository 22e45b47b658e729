//! Reading a directory tree that another program may be changing, without ever leaving it.
//!
//! Every path is opened component by component, without following links, and only regular files and directories are
//! opened. A path that can't be read is recorded in [`Limits`], never taken for one that doesn't exist.

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::display;
use super::limits::{Limits, is_absent};
use super::outside::Outside;

/// The size up to which a file is read to its end, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Flags for passing through a directory. On Linux that needs no permission to read it: the owner of an unreadable `.git`
/// can still use it.
#[cfg(target_os = "linux")]
const THROUGH: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const THROUGH: OFlags = DIR;

/// Flags for reading a directory.
const DIR: OFlags = FILE.union(OFlags::DIRECTORY);

const FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// The entry at a path.
#[derive(Debug)]
pub enum Node {
    /// A regular file.
    File(Status),
    /// A directory.
    Dir(Status),
    /// A symbolic link and its target.
    Link(PathBuf, Status),
    /// A device, FIFO or socket.
    Special(Status),
    /// Nothing; or something unreadable, which [`Limits`] has a note of.
    Absent,
}

impl Node {
    /// Returns the status of the entry, if there is one.
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::File(status) | Self::Dir(status) | Self::Link(_, status) | Self::Special(status) => {
                Some(*status)
            }
            Self::Absent => None,
        }
    }
}

/// The part of `stat` that a scan needs.
#[derive(Debug, Clone, Copy)]
pub struct Status {
    /// The permission and type bits, as in `st_mode`.
    pub mode: u32,
    /// The time of the inode's last change in Unix seconds, which no program can set.
    pub changed: i64,
    /// Whether it is a file, a directory or something else.
    pub kind: FileType,
    /// The numbers of the user and group that own it.
    pub owner: (u32, u32),
    size: u64,
    inode: u64,
}

impl Status {
    #[allow(clippy::useless_conversion, reason = "these types differ between systems")]
    fn new(stat: &Stat) -> Self {
        Self {
            mode: stat.st_mode.into(),
            changed: stat.st_ctime.into(),
            kind: FileType::from_raw_mode(stat.st_mode),
            owner: (stat.st_uid, stat.st_gid),
            inode: stat.st_ino.into(),
            size: u64::try_from(stat.st_size).unwrap_or_default(),
        }
    }

    /// Returns the name of a type that is neither file nor directory.
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            FileType::Fifo => "FIFO",
            FileType::Socket => "socket",
            FileType::BlockDevice | FileType::CharacterDevice => "device",
            _ => "neither file nor directory",
        }
    }
}

/// The content of a file, cut off if it is large.
struct Contents {
    bytes: Vec<u8>,
    status: Status,
}

impl Contents {
    fn is_cut(&self) -> bool {
        self.status.size > self.bytes.len() as u64
    }
}

/// A directory from which paths begin.
#[derive(Debug)]
struct Root {
    path: PathBuf,
    dir: Rc<OwnedFd>,
    /// The directories that were passed through last, each in the one before. The next path often begins with the same ones.
    way: RefCell<Vec<(OsString, Rc<OwnedFd>)>>,
}

impl Root {
    /// Opens the directory at a canonical path.
    fn open(path: &Path) -> Result<Self, Errno> {
        let mut dir = rustix::fs::open("/", THROUGH, Mode::empty())?;
        for part in path.components() {
            if let Component::Normal(name) = part {
                dir = rustix::fs::openat(&dir, name, THROUGH, Mode::empty())?;
            }
        }
        Ok(Self { path: path.to_owned(), dir: Rc::new(dir), way: RefCell::default() })
    }

    /// Opens a directory to pass through.
    fn through(&self, path: &Path) -> Result<Rc<OwnedFd>, Errno> {
        let mut way = self.way.borrow_mut();
        let known = way.iter().zip(path).take_while(|((name, _), part)| name == part).count();
        way.truncate(known);
        for part in path.components().skip(known) {
            let Component::Normal(name) = part else { return Err(Errno::XDEV) };
            let dir = rustix::fs::openat(
                &**way.last().map_or(&self.dir, |(_, dir)| dir),
                name,
                THROUGH,
                Mode::empty(),
            )?;
            way.push((name.to_owned(), Rc::new(dir)));
        }
        Ok(Rc::clone(way.last().map_or(&self.dir, |(_, dir)| dir)))
    }
}

/// The project and everything below it, and other directories that are scanned with it.
///
/// Paths are relative to the project. Those in another directory are absolute, so that each path leads to the same entry
/// whichever directory it was found in.
#[derive(Debug)]
pub struct Tree {
    project: Root,
    others: Vec<Root>,
    /// Facts about what is outside.
    pub outside: Outside,
    /// The budget for reading.
    pub limits: Rc<Limits>,
}

impl Tree {
    /// Opens the project at a canonical path.
    ///
    /// # Errors
    /// When the directory can't be opened.
    pub fn open(project: &Path, outside: Outside, limits: Rc<Limits>) -> Result<Self, Errno> {
        Ok(Self { project: Root::open(project)?, others: Vec::new(), outside, limits })
    }

    /// Adds another directory, at a canonical path outside of the project.
    ///
    /// # Errors
    /// When the directory can't be opened.
    pub fn add(&mut self, path: &Path) -> Result<(), Errno> {
        self.others.push(Root::open(path)?);
        Ok(())
    }

    /// Returns the directory beside the project that a path begins with, and the rest of the path.
    fn other<'a>(&self, path: &'a Path) -> Option<(&Root, &'a Path)> {
        self.others.iter().find_map(|root| Some((root, path.strip_prefix(&root.path).ok()?)))
    }

    /// Returns the path of the root that a path begins with: an empty one for the project.
    pub fn root_of(&self, path: &Path) -> &Path {
        self.other(path).map_or(Path::new(""), |(root, _)| &root.path)
    }

    /// Returns a canonical path as it is in this tree; `None` if it isn't in it.
    pub fn inside(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.project.path).ok();
        below.or_else(|| self.other(path).map(|_| path)).map(Path::to_owned)
    }

    /// Returns the absolute path of an entry.
    pub fn absolute(&self, path: &Path) -> PathBuf {
        self.project.path.join(path)
    }

    /// Records that a path in the tree could not be read, unless it doesn't exist.
    pub fn note_error(&self, path: &Path, error: Errno) {
        self.limits.note_error(path, error);
    }

    /// Opens a directory to pass through.
    fn through(&self, path: &Path) -> Result<Rc<OwnedFd>, Errno> {
        let (root, path) = self.other(path).unwrap_or((&self.project, path));
        root.through(path)
    }

    fn parent(&self, path: &Path) -> Result<Rc<OwnedFd>, Errno> {
        self.through(path.parent().unwrap_or(Path::new("")))
    }

    /// Opens a directory to read, if there is one and no link leads to it.
    pub fn dir(&self, path: &Path) -> Option<Dir> {
        let open = |dir: Rc<OwnedFd>| rustix::fs::openat(&*dir, ".", DIR, Mode::empty()).and_then(Dir::new);
        self.through(path).and_then(open).map_err(|error| self.note_error(path, error)).ok()
    }

    /// Returns whether there is a directory at a path that no link leads to.
    pub fn is_dir(&self, path: &Path) -> bool {
        self.through(path).map_err(|error| self.note_error(path, error)).is_ok()
    }

    /// Reads the entries of an open directory, as many as the limits allow.
    pub fn entries(&self, dir: &mut Dir, path: &Path) -> Vec<(OsString, FileType)> {
        let mut entries = Vec::new();
        while let Some(entry) = dir.read() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.limits
                        .note_gap(format!("{} can't be read to its end: {error}", display::name(path)));
                    break;
                }
            };
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if !self.limits.take_entry() {
                break;
            }
            entries.push((OsStr::from_bytes(name).to_owned(), entry.file_type()));
        }
        entries
    }

    /// Returns the names in a directory, sorted.
    pub fn names(&self, path: &Path) -> Vec<OsString> {
        let Some(mut dir) = self.dir(path) else { return Vec::new() };
        let mut names: Vec<_> = self.entries(&mut dir, path).into_iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names
    }

    /// Returns the status of an entry of an open directory, without following links; `None` if it can't be read or is gone.
    pub fn status(&self, dir: BorrowedFd, path: &Path) -> Option<Status> {
        status(dir, path.file_name()?).map_err(|error| self.note_error(path, error)).ok()
    }

    /// Returns the target of a link in an open directory; `None` if it can't be read or is gone.
    pub fn link_target(&self, dir: BorrowedFd, path: &Path) -> Option<PathBuf> {
        read_link(dir, path.file_name()?).map_err(|error| self.note_error(path, error)).ok()
    }

    /// Returns the entry at a path that no link leads to.
    pub fn node(&self, path: &Path) -> Node {
        self.try_node(path).unwrap_or_else(|error| {
            self.note_error(path, error);
            Node::Absent
        })
    }

    fn try_node(&self, path: &Path) -> Result<Node, Errno> {
        let name = path.file_name().filter(|_| path != self.root_of(path));
        let Some(name) = name else { return Ok(Node::Absent) };
        let dir = self.parent(path)?;
        let status = status(dir.as_fd(), name)?;
        Ok(match status.kind {
            FileType::RegularFile => Node::File(status),
            FileType::Directory => Node::Dir(status),
            FileType::Symlink => Node::Link(read_link(dir.as_fd(), name)?, status),
            _ => Node::Special(status),
        })
    }

    /// Returns whether anything is at a path.
    pub fn has(&self, path: &Path) -> bool {
        !matches!(self.node(path), Node::Absent)
    }

    /// Reads a regular file of at most 1 MiB; `None` if it can't be read.
    pub fn read(&self, path: &Path) -> Option<Vec<u8>> {
        self.read_up_to(path, MAX_FILE)
    }

    /// Reads a regular file of at most `max` bytes; `None` if it can't be read.
    pub fn read_up_to(&self, path: &Path, max: u64) -> Option<Vec<u8>> {
        let file = self.contents(path, max)?;
        if file.is_cut() {
            self.limits.note_gap(format!("{} is too large to be read to its end", display::name(path)));
        }
        Some(file.bytes)
    }

    /// Returns a digest of a regular file's content; of a large file, of its beginning, its size and the time of its last change.
    /// A file that can't be read has an empty digest.
    ///
    /// The time alone would not do: writes through a mapping don't change it while the page is dirty, and renaming a directory
    /// leaves the times of its files alone.
    pub fn digest(&self, path: &Path) -> Vec<u8> {
        let Some(file) = self.contents(path, MAX_FILE) else { return Vec::new() };
        let mut hash = Sha256::new_with_prefix(&file.bytes);
        if file.is_cut() {
            hash.update(format!("{} {} {}", file.status.size, file.status.changed, file.status.inode));
        }
        hash.finalize().to_vec()
    }

    /// Reads a file that was a regular one a moment ago.
    fn contents(&self, path: &Path, max: u64) -> Option<Contents> {
        match self.try_contents(path, max) {
            Ok(Some(contents)) => return Some(contents),
            Err(error) if !is_absent(error) => self.note_error(path, error),
            Ok(None) | Err(_) => self.note_unread(path, &"it was replaced at that moment"),
        }
        None
    }

    /// Reads a regular file; `None` if it is none.
    fn try_contents(&self, path: &Path, max: u64) -> Result<Option<Contents>, Errno> {
        let dir = self.parent(path)?;
        let name = path.file_name().unwrap_or_default();
        // Opening a device can change its state, so the type is checked before.
        if status(dir.as_fd(), name)?.kind != FileType::RegularFile {
            return Ok(None);
        }
        let file = rustix::fs::openat(&*dir, name, FILE, Mode::empty())?;
        let status = Status::new(&rustix::fs::fstat(&file)?);
        if status.kind != FileType::RegularFile {
            return Ok(None);
        }
        let room = self.limits.take_bytes(status.size.min(max));
        let mut bytes = Vec::new();
        let read = File::from(file).take(room).read_to_end(&mut bytes);
        read.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        Ok(Some(Contents { bytes, status }))
    }

    fn note_unread(&self, path: &Path, why: &dyn std::fmt::Display) {
        self.limits.note_gap(format!("{} can't be read: {why}", display::name(path)));
    }
}

/// Returns the status of an entry of an open directory, without following links.
fn status(dir: BorrowedFd, name: &OsStr) -> Result<Status, Errno> {
    rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| Status::new(&stat))
}

fn read_link(dir: BorrowedFd, name: &OsStr) -> Result<PathBuf, Errno> {
    let target = rustix::fs::readlinkat(dir, name, Vec::new())?;
    Ok(OsString::from_vec(target.into_bytes()).into())
}
