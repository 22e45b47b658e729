//! The walk over a tree: well-known files, nested repositories, files with privileges, devices, links that lead out.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, Mode};
use rustix::io::Errno;

use super::places::Places;
use super::tree::{DIR, Node, Tree, status};
use super::{Found, Scope, git, git_files, keys};

/// How deep. Each level is a descriptor that is open, and systems have as few as 256 for a process.
const MAX_DEPTH: usize = 100;

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const EXECUTABLE: u32 = 0o111;

const LINKED: &str = "tools look there for what they run";

/// A directory that is being walked.
struct Frame {
    dir: Dir,
    subdirs: Vec<OsString>,
}

struct Walk<'a, 'b, 'f> {
    tree: &'a Tree<'b>,
    places: &'a Places,
    scope: Scope,
    found: &'a mut Found<'f>,
    /// The directory of the last frame.
    path: PathBuf,
}

/// Walks over the tree, or over the few directories that well-known files are in.
pub fn walk(tree: &Tree, places: &Places, scope: Scope, found: &mut Found) {
    let mut walk = Walk { tree, places, scope, found, path: PathBuf::new() };
    let mut stack: Vec<Frame> = Vec::new();
    stack.extend(tree.dir(Path::new("")).ok().and_then(|dir| walk.enter(dir)));
    while let Some(frame) = stack.last_mut() {
        let Some(name) = frame.subdirs.pop() else {
            stack.pop();
            walk.path.pop();
            continue;
        };
        let opened = frame
            .dir
            .fd()
            .and_then(|parent| rustix::fs::openat(parent, &name, DIR, Mode::empty()))
            .and_then(Dir::new);
        walk.path.push(&name);
        let entered = match opened {
            _ if stack.len() >= MAX_DEPTH => {
                tree.limits.stop(format!("something is more than {MAX_DEPTH} directories deep"));
                None
            }
            Ok(dir) => walk.enter(dir),
            // It is gone, or another one by now.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => None,
            Err(error) => {
                tree.limits.stop(format!("{} can't be opened: {error}", walk.path.display()));
                None
            }
        };
        match entered {
            Some(frame) => stack.push(frame),
            None => drop(walk.path.pop()),
        }
    }
}

impl Walk<'_, '_, '_> {
    /// Looks at all entries of the directory at `self.path`.
    fn enter(&mut self, mut dir: Dir) -> Option<Frame> {
        let mut entries = Vec::new();
        loop {
            match dir.read() {
                None => break,
                Some(Err(error)) => {
                    self.tree.limits.stop(format!("{} can't be read: {error}", self.path.display()));
                    break;
                }
                Some(Ok(entry)) => {
                    let name = entry.file_name().to_bytes();
                    if name == b"." || name == b".." {
                        continue;
                    }
                    if !self.tree.limits.take_entry() {
                        break;
                    }
                    entries.push((OsStr::from_bytes(name).to_owned(), entry.file_type()));
                }
            }
        }
        let path = self.path.clone();
        let names: Vec<&[u8]> = path.iter().map(OsStr::as_bytes).collect();
        let in_git = names.iter().any(|name| is_dot_git(name));
        let is_repository = self.scope == Scope::Whole
            && !in_git
            && git::looks_bare(&|name| entries.iter().any(|(entry, _)| entry == name));
        if is_repository && !names.is_empty() {
            git::nested(self.tree, &path, self.found);
        }
        let mut subdirs = Vec::new();
        let fd = dir.fd().ok()?;
        for (count, (name, mut kind)) in entries.into_iter().enumerate() {
            if count.is_multiple_of(64) && self.tree.limits.is_late() {
                break;
            }
            if kind == FileType::Unknown {
                let Ok(status) = status(fd, &name) else { continue };
                kind = status.kind;
            }
            if is_dot_git(name.as_bytes()) && !in_git && !names.is_empty() && self.scope == Scope::Whole {
                git::dot_git(self.tree, &path, self.found);
            }
            if kind == FileType::Directory {
                if self.goes_into(&names, &name) {
                    subdirs.push(name);
                }
                continue;
            }
            if !in_git {
                self.well_known(&names, &name, kind);
            }
            if self.scope == Scope::Whole {
                self.special(fd, &name, kind);
            }
        }
        Some(Frame { dir, subdirs })
    }

    fn goes_into(&self, names: &[&[u8]], name: &OsStr) -> bool {
        self.scope == Scope::Whole || self.places.leads_on(names, name.as_bytes(), true)
    }

    /// Files that something runs or trusts because of their name.
    fn well_known(&mut self, names: &[&[u8]], name: &OsStr, kind: FileType) {
        let is_link = kind == FileType::Symlink;
        if kind != FileType::RegularFile && !is_link {
            return;
        }
        let file = || self.path.join(name);
        match name.as_bytes() {
            b".gitattributes" => return git_files::attributes(self.tree, &file(), self.found),
            b".gitmodules" => return git_files::gitmodules(self.tree, &file(), self.found),
            _ => {}
        }
        let trigger = self.places.trigger(names, name.as_bytes());
        // A directory's place may be taken by a link, too.
        let leads_on = || is_link && self.places.leads_on(names, name.as_bytes(), self.scope == Scope::Near);
        let Some((trigger, dirs)) = trigger.or_else(|| leads_on().then_some((LINKED, 0))) else { return };
        let file = file();
        let (what, content, changed) = match self.tree.node(&file) {
            Node::File(status) => {
                // Deep in the tree it is the time that counts.
                let content = if self.found.deep { None } else { self.tree.content(&file) };
                ("file".to_owned(), content.map(Vec::from).unwrap_or_default(), status.changed)
            }
            Node::Link(target, _) if is_pythons(&self.path, name, &target) => return,
            Node::Link(target, status) => {
                let (content, changed) = git_files::behind(self.tree, &self.path, &target, status.changed);
                (format!("link to {}", keys::shorten(&target.to_string_lossy())), content, changed)
            }
            _ => return,
        };
        // A file may have come to its place by a new name of the directory that it is in.
        let above = self.path.ancestors().take(dirs).map(|dir| match self.tree.node(dir) {
            Node::Dir(status) => status.changed,
            _ => i64::MIN,
        });
        let changed = above.fold(changed, i64::max);
        self.found.add(&self.tree.shown(&file), what, trigger, &content, changed);
    }

    /// What is dangerous whatever its name.
    fn special(&mut self, dir: BorrowedFd, name: &OsStr, kind: FileType) {
        let shown = || self.tree.shown(&self.path.join(name));
        match kind {
            FileType::RegularFile => {
                let Ok(status) = status(dir, name) else { return };
                let mut add =
                    |what: &str, trigger| self.found.add(&shown(), what, trigger, b"", status.changed);
                if status.kind != FileType::RegularFile || status.mode & EXECUTABLE == 0 {
                    return;
                }
                if status.mode & SETUID != 0 {
                    add("setuid program", "whoever runs it acts as its owner");
                } else if status.mode & SETGID != 0 {
                    add("setgid program", "whoever runs it acts as its group");
                }
                if has_capabilities(dir, name) {
                    add("program with capabilities", "whoever runs it has privileges");
                }
            }
            FileType::Symlink => {
                let Ok(target) = rustix::fs::readlinkat(dir, name, Vec::new()) else { return };
                let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                if !self.tree.leads_out(&self.path, &target) || is_pythons(&self.path, name, &target) {
                    return;
                }
                let Ok(status) = status(dir, name) else { return };
                let what = format!("link to {}", keys::shorten(&target.to_string_lossy()));
                let trigger = "leads out of the project whatever reads or writes it";
                self.found.add(&shown(), what, trigger, target.as_os_str().as_bytes(), status.changed);
            }
            FileType::Fifo | FileType::Socket | FileType::BlockDevice | FileType::CharacterDevice => {
                let Ok(status) = status(dir, name) else { return };
                let trigger = match kind {
                    FileType::Fifo => "whatever reads it waits",
                    FileType::Socket => "whatever connects to it talks to who listens there",
                    _ => "whatever opens it uses the device",
                };
                self.found.add(&shown(), self::kind(kind), trigger, b"", status.changed);
            }
            _ => {}
        }
    }
}

/// Words for what is neither file nor directory.
pub fn kind(kind: FileType) -> &'static str {
    match kind {
        FileType::Fifo => "FIFO",
        FileType::Socket => "socket",
        FileType::BlockDevice | FileType::CharacterDevice => "device",
        _ => "neither file nor directory",
    }
}

/// The file systems of a Mac have it under other names, too.
fn is_dot_git(name: &[u8]) -> bool {
    name == b".git" || (cfg!(target_os = "macos") && name.eq_ignore_ascii_case(b".git"))
}

/// Every virtual environment has `bin/python`, which leads to the python that it was made with.
fn is_pythons(dir: &Path, name: &OsStr, target: &Path) -> bool {
    let is_python = |name: &OsStr| name.as_bytes().starts_with(b"python");
    dir.ends_with("bin") && is_python(name) && target.file_name().is_some_and(is_python)
}

#[cfg(target_os = "linux")]
fn has_capabilities(dir: BorrowedFd, name: &OsStr) -> bool {
    // There is no call that takes a directory and a name; this link of the kernel's stands for the directory.
    let path = Path::new("/proc/self/fd").join(dir.as_fd().as_raw_fd().to_string()).join(name);
    let mut buffer = [0_u8; 64];
    rustix::fs::lgetxattr(&path, "security.capability", &mut buffer[..]).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn has_capabilities(_: BorrowedFd, _: &OsStr) -> bool {
    false
}
