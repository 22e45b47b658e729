//! One repository: the configuration, hooks and other files in its directory, and the directories that it leads to.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::finding::{Findings, Sighting, path_bytes};
use super::tree::{Node, Status, Tree};
use super::{display, git_files, git_settings};
use crate::host::git_config;
use crate::host::git_config::Entry;

/// The number of files and directories of one repository that are read.
const MAX_STEPS: usize = 10_000;

/// The number of paths in the configuration of one repository that are followed.
const MAX_LOOKUPS: usize = 1000;

/// The number of words of a command that may be programs of the project.
const MAX_WORDS: usize = 8;

/// The number of directories of submodules inside each other.
const MAX_MODULES: usize = 12;

/// The directories that a repository has, below which no submodules are kept.
const INTERNAL: &[&str] =
    &["branches", "hooks", "info", "lfs", "logs", "modules", "objects", "refs", "worktrees"];

/// Other files by which git, or a program that reads its directory, runs commands or fetches from elsewhere. Of a
/// directory, each file in it. <https://git-scm.com/docs/gitrepository-layout>
const OTHER_FILES: &[(&str, &str)] = &[
    ("objects/info/alternates", "git reads objects from the directories in it"),
    ("remotes", OLD_REMOTE),
    ("branches", OLD_REMOTE),
    ("rebase-merge/git-rebase-todo", "git rebase --continue runs the exec lines in it"),
    ("lazygit.yml", "lazygit runs the commands in it"),
];

const OLD_REMOTE: &str = "git fetch, pull and push go to the address in it";

const KEPT: &str = "git uses the repository there";

/// The working tree of a repository, from where git starts hooks and commands.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// The tree that the working tree is in.
    pub tree: &'a Tree,
    /// The path in that tree.
    pub dir: &'a Path,
}

/// Scans the repository in the directory `git_dir` of a tree, with everything that it leads to.
pub fn scan_repository(tree: &Tree, git_dir: &Path, files: Files, findings: &mut Findings) {
    let mut repository = Repository { tree, files, findings, done: HashSet::new(), lookups: 0 };
    repository.directory(git_dir);
}

/// Returns the path in a file such as `commondir`. As for git, blanks at the end are part of it.
pub fn path_in_file(text: &[u8]) -> PathBuf {
    let end = text.iter().rposition(|c| !matches!(c, b'\n' | b'\r')).map_or(0, |last| last + 1);
    path_of(&text[..end]).to_owned()
}

/// Returns a path as git reads it: for a program in C, a NUL byte ends it.
fn path_of(text: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(text.split(|c| *c == 0).next().unwrap_or_default()))
}

/// A repository that is being scanned.
struct Repository<'a> {
    tree: &'a Tree,
    files: Files<'a>,
    findings: &'a mut Findings,
    /// The files and directories that were scanned already.
    done: HashSet<PathBuf>,
    /// The number of paths that were followed.
    lookups: usize,
}

/// A file of the repository.
struct Text {
    path: PathBuf,
    bytes: Vec<u8>,
    status: Status,
}

impl Repository<'_> {
    /// Scans a repository's directory, its common directory, those of its worktrees and submodules, and so on.
    fn directory(&mut self, first: &Path) {
        let mut todo = vec![(first.to_owned(), 0)];
        while let Some((dir, depth)) = todo.pop() {
            if !self.is_first_time(&dir) {
                continue;
            }
            self.config(&dir.join("config"));
            self.config(&dir.join("config.worktree"));
            if let Some(hooks) = self.through_link(&dir.join("hooks"), "git takes its hooks from there") {
                git_files::hooks(self.tree, &hooks, self.findings);
            }
            let attributes = dir.join("info/attributes");
            if let Some(attributes) = self.through_link(&attributes, "git takes attributes from there") {
                git_files::attributes(self.tree, &attributes, self.findings);
            }
            for (name, trigger) in OTHER_FILES {
                self.other_files(&dir.join(name), trigger);
            }
            let others = self.common(&dir).into_iter().chain(self.worktrees(&dir));
            todo.extend(others.map(|dir| (dir, depth)).collect::<Vec<_>>());
            todo.extend(self.modules(&dir, depth));
        }
    }

    /// Returns whether a path has not been scanned and may be.
    fn is_first_time(&mut self, path: &Path) -> bool {
        if self.done.len() >= MAX_STEPS {
            self.note_too_much(path);
            return false;
        }
        !self.tree.limits.is_late() && self.done.insert(path.to_owned())
    }

    fn note_too_much(&self, path: &Path) {
        let shown = self.tree.shown(path);
        self.tree.limits.note_gap(format!("{}: the repository has too many parts", shown.display()));
    }

    /// Adds a link of the repository.
    fn add_link(&mut self, path: &Path, target: &Path, trigger: &'static str, changed: i64) {
        self.findings.add(Sighting {
            path: self.tree.shown(path),
            what: display::link(target),
            trigger,
            content: path_bytes(target),
            changed,
        });
    }

    /// Adds something that is written in a file.
    fn add_text(&mut self, file: &Text, what: String, trigger: &'static str, content: &[u8]) {
        let (path, changed) = (self.tree.shown(&file.path), file.status.changed);
        self.findings.add(Sighting { path, what, trigger, content, changed });
    }

    /// Returns the path, or the path in the tree that a link at it leads to, which is added: git follows links.
    fn through_link(&mut self, path: &Path, trigger: &'static str) -> Option<PathBuf> {
        let dir = path.parent()?;
        match self.tree.node(path) {
            Node::File(_) | Node::Dir(_) => Some(path.to_owned()),
            Node::Link(target, status) => {
                self.add_link(path, &target, trigger, status.changed);
                self.tree.resolve(dir, &target)
            }
            // A directory on the way may be a link.
            Node::Absent if !self.tree.is_dir(dir) => {
                let real = self.tree.resolve(Path::new(""), path)?;
                let (Node::File(status) | Node::Dir(status)) = self.tree.node(&real) else { return None };
                self.findings.add(Sighting {
                    path: self.tree.shown(dir),
                    what: format!("leads to {}", display::path(real.parent()?)),
                    trigger,
                    content: path_bytes(&real),
                    changed: status.changed,
                });
                Some(real)
            }
            Node::Absent | Node::Special(_) => None,
        }
    }

    /// Reads a small file that was not read before; `None` if there is none.
    fn text(&mut self, path: &Path, trigger: &'static str) -> Option<Text> {
        let path = self.through_link(path, trigger)?;
        if !self.is_first_time(&path) {
            return None;
        }
        let Node::File(status) = self.tree.node(&path) else { return None };
        let bytes = self.tree.read(&path)?;
        Some(Text { path, bytes, status })
    }

    /// Follows a path that a setting names, from a directory of a tree.
    fn follow(&mut self, tree: &Tree, dir: &Path, path: &[u8]) -> Option<PathBuf> {
        self.lookups += 1;
        if self.lookups > MAX_LOOKUPS {
            self.tree.limits.note_gap("there are too many paths in git's configuration");
            return None;
        }
        tree.resolve(dir, path_of(path))
    }

    /// Scans a file with settings and those that it includes.
    fn config(&mut self, path: &Path) {
        let mut todo = vec![path.to_owned()];
        while let Some(path) = todo.pop() {
            let Some(file) = self.text(&path, "git reads its configuration there") else { continue };
            for (count, entry) in git_config::entries(&file.bytes).enumerate() {
                if count.is_multiple_of(64) && self.tree.limits.is_late() {
                    return;
                }
                todo.extend(self.setting(&file, &entry));
            }
        }
    }

    /// Adds a setting that runs a command or is trusted. Returns the file that it includes.
    fn setting(&mut self, file: &Text, entry: &Entry) -> Option<PathBuf> {
        let trigger = git_settings::trigger(entry)?;
        if self.is_own_working_tree(&file.path, entry) {
            return None;
        }
        let (content, changed) = self.command_content(entry);
        self.findings.add(Sighting {
            path: self.tree.shown(&file.path),
            what: git_settings::show(entry),
            trigger,
            content: &content,
            changed: changed.max(file.status.changed),
        });
        let value = entry.value.as_deref().unwrap_or_default();
        let Files { tree, dir } = self.files;
        match (entry.section.as_str(), entry.name.as_str()) {
            ("include" | "includeif", "path") => return self.follow(self.tree, file.path.parent()?, value),
            ("core", "hookspath") => {
                let hooks = self.follow(tree, dir, value)?;
                git_files::hooks(tree, &hooks, self.findings);
            }
            ("core", "attributesfile") => {
                let attributes = self.follow(tree, dir, value)?;
                git_files::attributes(tree, &attributes, self.findings);
            }
            _ => {}
        }
        None
    }

    /// Returns whether a setting is the working tree of a submodule, as git itself writes it.
    fn is_own_working_tree(&mut self, config: &Path, entry: &Entry) -> bool {
        let (Some(dir), Some(value)) = (config.parent(), &entry.value) else { return false };
        let is_module =
            dir.parent().is_some_and(|parent| parent.components().any(|part| part.as_os_str() == "modules"));
        (entry.section == "core" && entry.name == "worktree" && entry.subsection.is_none())
            && is_module
            && self.follow(self.tree, dir, value).is_some_and(|tree| !tree.starts_with(".git"))
    }

    /// Returns the whole value of a setting with digests of the project's programs that it names, and the time of their last
    /// change.
    fn command_content(&mut self, entry: &Entry) -> (Vec<u8>, i64) {
        let value = entry.value.as_deref().unwrap_or_default();
        let (mut content, mut last) = (value.to_vec(), i64::MIN);
        let Files { tree, dir } = self.files;
        let words = value.split(|c| c.is_ascii_whitespace() || b"\"';!&|()".contains(c));
        let words = words.filter(|word| !word.is_empty() && word.len() < 512).enumerate();
        // A shell looks for a first word without a slash in PATH, as in `sh tool`.
        let words = words.filter(|(at, word)| *at > 0 || word.contains(&b'/')).take(MAX_WORDS);
        for (_, word) in words {
            if let Some(file) = self.follow(tree, dir, word)
                && let Node::File(status) = tree.node(&file)
            {
                content.extend(tree.digest(&file));
                last = last.max(status.changed);
            }
        }
        (content, last)
    }

    /// Adds a file, or each file in a directory.
    fn other_files(&mut self, path: &Path, trigger: &'static str) {
        let Some(real) = self.through_link(path, trigger) else { return };
        let is_dir = matches!(self.tree.node(&real), Node::Dir(_));
        let names = if is_dir { self.tree.names(&real) } else { Vec::new() };
        let files = if is_dir { names.iter().map(|name| real.join(name)).collect() } else { vec![real] };
        for path in files {
            let Some(file) = self.text(&path, trigger) else { continue };
            self.add_text(&file, "file".to_owned(), trigger, &file.bytes);
        }
    }

    /// Returns the directory that `commondir` names, from which git takes configuration and hooks.
    fn common(&mut self, dir: &Path) -> Option<PathBuf> {
        let trigger = "git takes configuration and hooks from there";
        let file = self.text(&dir.join("commondir"), trigger)?;
        let target = path_in_file(&file.bytes);
        // A linked worktree's directory in that of its repository is the usual case.
        let is_worktree = dir.parent().is_some_and(|parent| parent.ends_with("worktrees"));
        if target != Path::new("../..") || !is_worktree {
            let what = format!("commondir {}", display::path(&target));
            self.add_text(&file, what, trigger, &file.bytes);
        }
        self.tree.resolve(dir, &target)
    }

    /// Returns the directories of linked worktrees, which have their own configuration, hooks and so on.
    fn worktrees(&mut self, dir: &Path) -> Vec<PathBuf> {
        let worktrees = self.through_link(&dir.join("worktrees"), "git keeps its worktrees there");
        let Some(worktrees) = worktrees else { return Vec::new() };
        let names = self.tree.names(&worktrees);
        names.iter().filter_map(|name| self.through_link(&worktrees.join(name), KEPT)).collect()
    }

    /// Returns the directories of submodules. Their names may have slashes, so one may be below another, or below a
    /// directory that only looks like one.
    fn modules(&mut self, dir: &Path, depth: usize) -> Vec<(PathBuf, usize)> {
        let mut modules = Vec::new();
        let mut seen = HashSet::new();
        let first = self.through_link(&dir.join("modules"), KEPT);
        let mut todo: Vec<_> = first.into_iter().map(|dir| (dir, depth, false)).collect();
        while let Some((dir, depth, is_repository)) = todo.pop() {
            if depth > MAX_MODULES || seen.len() > MAX_STEPS {
                self.note_too_much(&dir);
                continue;
            }
            for name in self.tree.names(&dir) {
                if self.tree.limits.is_late() || (is_repository && INTERNAL.iter().any(|own| name == *own)) {
                    continue;
                }
                let Some(module) = self.through_link(&dir.join(&name), KEPT) else { continue };
                if !self.tree.is_dir(&module) || !seen.insert(module.clone()) {
                    continue;
                }
                let is_repository = self.tree.has(&module.join("HEAD"));
                if is_repository {
                    modules.push((module.clone(), depth + 1));
                }
                todo.push((module, depth + 1, is_repository));
            }
        }
        modules
    }
}
