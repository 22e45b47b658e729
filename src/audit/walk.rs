//! The walk over a tree: known files, nested repositories, privileged programs, devices, links that lead out.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Dir, FileType};
use rustix::io::Errno;

use super::finding::{Findings, Sighting, path_bytes};
use super::known_files::{KnownFiles, PASSED_OVER, folded, passed_over};
use super::known_names::PREFERRED;
use super::tree::{Node, Tree};
use super::{display, git_dir, git_files};

/// The number of levels to descend. Each directory is opened from the top.
const MAX_DEPTH: usize = 100;

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const EXECUTABLE: u32 = 0o111;

/// The part of a project to scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The project's own repository, and known files at the top.
    Top,
    /// The whole tree.
    Whole,
}

/// What the host does with a file, and how many of the directories above make it known.
type Known = (&'static str, usize);

/// A walk in progress.
struct Walk<'a> {
    tree: &'a Tree,
    known: &'a KnownFiles,
    scope: Scope,
    findings: &'a mut Findings,
    /// Whether the tree is a repository without working tree, in which names of files mean nothing.
    is_repository: bool,
    /// The directory that is being scanned.
    path: PathBuf,
    /// Links to directories that were followed, so that cycles end.
    followed: HashSet<PathBuf>,
}

/// A directory to scan.
struct Todo {
    path: PathBuf,
    /// The path by which programs look for known files in it, if that leads through a link.
    linked_as: Option<PathBuf>,
}

impl Todo {
    /// Returns the path by which programs find the directory.
    fn name(&self) -> &Path {
        self.linked_as.as_ref().unwrap_or(&self.path)
    }

    /// Returns a directory in this one.
    fn below(&self, name: &OsStr) -> Self {
        let linked_as = self.linked_as.as_ref().map(|path| path.join(name));
        Self { path: self.path.join(name), linked_as }
    }
}

/// Walks over the project or, in the scope [`Scope::Top`], over the few directories that known files are in.
pub fn walk(tree: &Tree, known: &KnownFiles, scope: Scope, findings: &mut Findings) {
    let (path, followed) = (PathBuf::new(), HashSet::new());
    Walk { tree, known, scope, findings, is_repository: false, path, followed }.run();
}

/// Walks over the whole repository at a path outside the project, after its own files have been scanned.
pub fn walk_repository(tree: &Tree, path: PathBuf, known: &KnownFiles, findings: &mut Findings) {
    let (followed, scope) = (HashSet::new(), Scope::Whole);
    Walk { tree, known, scope, findings, is_repository: true, path, followed }.run();
}

impl Walk<'_> {
    fn run(&mut self) {
        let mut todo = vec![Todo { path: self.path.clone(), linked_as: None }];
        while let Some(next) = todo.pop() {
            if next.path.components().count() >= MAX_DEPTH {
                self.tree.limits.note_gap(format!("a directory is more than {MAX_DEPTH} levels deep"));
            } else if let Some(dir) = self.tree.dir(&next.path) {
                todo.extend(self.directory(dir, &next));
            }
        }
    }

    /// Scans the entries of a directory. Returns the directories in it, and those that links in it lead to, as far as they are to
    /// be scanned.
    fn directory(&mut self, mut dir: Dir, here: &Todo) -> Vec<Todo> {
        let path = &here.path;
        path.clone_into(&mut self.path);
        let entries = self.tree.entries(&mut dir, path);
        let in_git = self.is_repository || here.name().iter().any(|name| name == ".git");
        let root = self.tree.root_of(here.name());
        let parts: Vec<_> = here.name().strip_prefix(root).unwrap_or(path).iter().map(folded).collect();
        let names: Vec<&[u8]> = parts.iter().map(|name| &**name).collect();
        // What counts under any name is found where the directory itself is.
        let scope = if here.linked_as.is_none() { self.scope } else { Scope::Top };
        // The project's own repository is scanned before the walk.
        let finds_nested = scope == Scope::Whole && !in_git && !names.is_empty();
        let has = |wanted: &str| {
            let is_it = |name: &OsStr| folded(name).eq_ignore_ascii_case(wanted.as_bytes());
            entries.iter().any(|(name, _)| is_it(name))
        };
        if finds_nested && git_dir::looks_bare(has) {
            git_dir::scan_bare(self.tree, path, self.findings);
        }
        self.preferred(&entries);
        let tree = self.known.tree(&names);
        let mut todo = Vec::new();
        let fd = dir.fd().inspect_err(|error| self.tree.note_error(path, *error));
        let Ok(fd) = fd else { return todo };
        // Asked for by name: the file system may find it under another, such as `.GIT`.
        if finds_nested && self.tree.status(fd, &path.join(".git")).is_some() {
            git_dir::scan_dot_git(self.tree, path, self.findings);
        }
        for (count, (name, mut kind)) in entries.into_iter().enumerate() {
            if count.is_multiple_of(64) && self.tree.limits.is_late() {
                break;
            }
            if kind == FileType::Unknown {
                let Some(status) = self.tree.status(fd, &path.join(&name)) else { continue };
                kind = status.kind;
            }
            let (known, is_top) = (self.known, self.scope == Scope::Top);
            let may_be_below = || known.may_be_below(&names, &folded(&name), is_top);
            if kind == FileType::Directory {
                if let (Some((trigger, _)), 1) = (tree, passed_over(&folded(&name))) {
                    self.crowded(fd, &path.join(&name), trigger);
                }
                if scope == Scope::Whole || may_be_below() {
                    todo.push(here.below(&name));
                }
                continue;
            }
            let is_known = kind == FileType::Symlink && (tree.is_some() || may_be_below());
            if !in_git {
                todo.extend(is_known.then(|| self.linked(here, &name)).flatten());
                self.known_file(&names, &name, kind, tree);
            }
            if scope == Scope::Whole {
                self.other_file(fd, &path.join(&name), kind);
            }
        }
        todo
    }

    /// Returns the directory that a link leads to, the first time. Programs look for known files there.
    fn linked(&mut self, here: &Todo, name: &OsStr) -> Option<Todo> {
        let link = self.path.join(name);
        let Node::Link(target, _) = self.tree.node(&link) else { return None };
        let path = self.tree.resolve(&self.path, &target).filter(|path| self.tree.is_dir(path))?;
        let linked_as = Some(here.name().join(name));
        self.followed.insert(link).then_some(Todo { path, linked_as })
    }

    /// Adds a directory whose files are too many to be listed.
    fn crowded(&mut self, parent: BorrowedFd, dir: &Path, trigger: &'static str) {
        let changed = self.tree.status(parent, dir).map_or(i64::MAX, |dir| dir.changed);
        self.add(dir, "directory", trigger, changed);
    }

    fn add(&mut self, file: &Path, what: &str, trigger: &'static str, changed: i64) {
        let (path, what) = (file.to_owned(), what.to_owned());
        self.findings.add(Sighting { path, what, trigger, content: b"", changed });
    }

    /// Adds files that a tool reads instead of the one that people know.
    fn preferred(&mut self, entries: &[(OsString, FileType)]) {
        if self.is_repository || self.path.iter().any(|name| passed_over(&folded(name)) > 0) {
            return;
        }
        let has = |wanted: &str| entries.iter().any(|(name, _)| name == wanted);
        let is_preferred = |(name, usual, _): &&(&str, &str, _)| has(name) && usual.split(' ').any(has);
        for (name, _, trigger) in PREFERRED.iter().filter(is_preferred) {
            self.named_file(OsStr::new(name), trigger, 0);
        }
    }

    /// Adds a file that some program runs or trusts because of its name, or because of the directory `tree` that it is in.
    fn known_file(&mut self, names: &[&[u8]], name: &OsStr, kind: FileType, tree: Option<Known>) {
        let (is_link, bytes) = (kind == FileType::Symlink, folded(name));
        let file = || self.path.join(name);
        if bytes.eq_ignore_ascii_case(b".gitattributes") {
            return git_files::attributes(self.tree, &file(), self.findings);
        } else if bytes.eq_ignore_ascii_case(b".gitmodules") {
            return git_files::gitmodules(self.tree, &file(), self.findings);
        }
        let known = self.known.trigger(names, &bytes).or(tree);
        // A link may stand for a directory with known files.
        let stands_for_directory =
            || is_link && self.known.may_be_below(names, &bytes, self.scope == Scope::Top);
        let linked = || stands_for_directory().then_some(("tools look there for files that they run", 0));
        if let Some((trigger, parents)) = known.or_else(linked) {
            self.named_file(name, trigger, parents);
        }
    }

    /// Adds a file that is known by its name and those of so many `parents`.
    fn named_file(&mut self, name: &OsStr, trigger: &'static str, parents: usize) {
        let file = self.path.join(name);
        let (what, content, changed) = match self.tree.node(&file) {
            Node::File(status) => ("file".to_owned(), self.tree.digest(&file), status.changed),
            Node::Link(target, _) if is_systems_python(self.tree, &self.path, name, &target) => return,
            Node::Link(target, status) => {
                let (content, changed) =
                    git_files::digest_of_link(self.tree, &self.path, &target, status.changed);
                (display::link(&target), content, changed)
            }
            // A program may answer each read differently.
            Node::Special(status) => (status.kind_name().to_owned(), Vec::new(), status.changed),
            Node::Dir(_) | Node::Absent => return,
        };
        // A renamed directory can make an old file a known one.
        let parents = self.path.ancestors().take(parents).filter_map(|dir| self.tree.node(dir).status());
        let changed = parents.fold(changed, |last, status| last.max(status.changed));
        self.findings.add(Sighting { path: file, what, trigger, content: &content, changed });
    }

    /// Adds a file that is dangerous whatever its name.
    fn other_file(&mut self, dir: BorrowedFd, file: &Path, kind: FileType) {
        match kind {
            FileType::RegularFile => self.privileged_program(dir, file),
            FileType::Symlink => self.outward_link(dir, file),
            FileType::Fifo | FileType::Socket | FileType::BlockDevice | FileType::CharacterDevice => {
                let Some(status) = self.tree.status(dir, file) else { return };
                let trigger = match kind {
                    FileType::Fifo => "a program that reads it hangs",
                    FileType::Socket => {
                        "a program that connects to it talks to the process that listens there"
                    }
                    _ => "a program that opens it uses the device",
                };
                self.add(file, status.kind_name(), trigger, status.changed);
            }
            _ => {}
        }
    }

    fn privileged_program(&mut self, dir: BorrowedFd, file: &Path) {
        let Some(status) = self.tree.status(dir, file) else { return };
        if status.kind != FileType::RegularFile || status.mode & EXECUTABLE == 0 {
            return;
        }
        let capabilities = capabilities(dir, file).unwrap_or_else(|error| {
            self.tree.note_error(file, error);
            Vec::new()
        });
        let kinds = [
            (status.mode & SETUID != 0, "setuid program", "runs with the rights of its owner"),
            (
                status.mode & (SETUID | SETGID) == SETGID,
                "setgid program",
                "runs with the rights of its group",
            ),
            (!capabilities.is_empty(), "program with capabilities", "runs with some of root's rights"),
        ];
        for (_, what, trigger) in kinds.into_iter().filter(|(is_so, ..)| *is_so) {
            // Another file with the same content may have more rights.
            let rights = format!("{:?} {:o} {capabilities:?} ", status.owner, status.mode);
            let content = &[rights.into_bytes(), self.tree.digest(file)].concat();
            let (path, what) = (file.to_owned(), what.to_owned());
            self.findings.add(Sighting { path, what, trigger, content, changed: status.changed });
        }
    }

    /// Adds a link that leads out of what is scanned.
    fn outward_link(&mut self, dir: BorrowedFd, file: &Path) {
        let Some(target) = self.tree.link_target(dir, file) else { return };
        let name = file.file_name().unwrap_or_default();
        let (trigger, changed) = if self.tree.leads_out(&self.path, &target) {
            if is_systems_python(self.tree, &self.path, name, &target) {
                return;
            }
            ("a program that reads or writes it leaves the project", i64::MIN)
        } else {
            let Some(changed) = self.change_of_passed_over(&target) else { return };
            ("git and editors find settings there that `cage check` doesn't look at", changed)
        };
        let Some(status) = self.tree.status(dir, file) else { return };
        let (path, what, content) = (file.to_owned(), display::link(&target), path_bytes(&target));
        self.findings.add(Sighting { path, what, trigger, content, changed: changed.max(status.changed) });
    }

    /// Returns the time of the last change of a directory that a link leads to, if it is one in which less is looked at than here.
    fn change_of_passed_over(&self, target: &Path) -> Option<i64> {
        let by_name = |path: &Path| path.iter().map(|name| passed_over(&folded(name))).max().unwrap_or(0);
        // In a repository outside the project, names of files mean nothing.
        let passed_over = |path: &Path| if path.is_absolute() { PASSED_OVER } else { by_name(path) };
        let here = passed_over(&self.path);
        let real = (here < PASSED_OVER).then(|| self.tree.resolve(&self.path, target)).flatten()?;
        if passed_over(&real) <= here {
            return None;
        }
        let Node::Dir(status) = self.tree.node(&real) else { return None };
        Some(status.changed)
    }
}

/// Returns whether a link is the `bin/python` of a virtual environment that leads to an installed interpreter, which no cage
/// can write, or to the link beside it, which is looked at as well.
fn is_systems_python(tree: &Tree, dir: &Path, name: &OsStr, target: &Path) -> bool {
    let is_python = |name: &OsStr| name.as_bytes().starts_with(b"python");
    let is_beside = target.components().count() == 1;
    dir.ends_with("bin")
        && is_python(name)
        && target.file_name().is_some_and(is_python)
        && (is_beside
            || is_installed(target)
                && tree.inside(target).is_none()
                && tree.outside.writable.place_of(target).is_none())
}

/// Returns whether a path is where a system or a manager of interpreters installs programs.
fn is_installed(target: &Path) -> bool {
    let climbs = target.components().any(|part| part == Component::ParentDir);
    let homes = ["/home", "/Users", "/var/home"];
    let users = homes.iter().filter_map(|homes| {
        let mut below = target.strip_prefix(homes).ok()?.components();
        below.next().map(|_user| below.as_path())
    });
    let mut in_home = users.chain(target.strip_prefix("/root"));
    !climbs
        && (SYSTEM.iter().any(|dir| target.starts_with(dir))
            || in_home.any(|path| STORES.iter().any(|store| path.starts_with(store))))
}

/// Directories in which systems install interpreters.
const SYSTEM: &[&str] =
    &["/usr", "/bin", "/opt", "/nix/store", "/gnu/store", "/Library", "/System", "/Applications"];

/// Directories in a home in which managers of interpreters install them: uv, pyenv, asdf, mise, rye, conda.
const STORES: &[&str] = &[
    ".local/share/uv/python",
    "Library/Application Support/uv/python",
    ".pyenv/versions",
    ".asdf/installs/python",
    ".local/share/mise/installs/python",
    ".rye/py",
    "miniconda3",
    "anaconda3",
    "miniforge3",
    ".conda/envs",
];

/// Returns the capabilities that a program has by its file, as the kernel keeps them.
#[cfg(target_os = "linux")]
fn capabilities(dir: BorrowedFd, file: &Path) -> Result<Vec<u8>, Errno> {
    // No system call takes a directory and a name, so a link in /proc stands for the directory.
    let dir = Path::new("/proc/self/fd").join(dir.as_fd().as_raw_fd().to_string());
    let mut buffer = [0_u8; 64];
    match rustix::fs::lgetxattr(
        dir.join(file.file_name().unwrap_or_default()),
        "security.capability",
        &mut buffer[..],
    ) {
        Ok(size) => Ok(buffer[..size].to_vec()),
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(not(target_os = "linux"))]
fn capabilities(_: BorrowedFd, _: &Path) -> Result<Vec<u8>, Errno> {
    Ok(Vec::new())
}
