//! Repositories: what git would run or read from elsewhere when somebody uses it there.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::Found;
use super::git_files::{attributes, bytes, hook_files, show};
use super::keys;
use super::tree::{Node, Status, Tree};
use crate::host::git_config;
use crate::host::git_config::Entry;
use crate::host::worktree::GitDir;

/// How many files and directories of one repository are looked at.
const MAX_STEPS: usize = 10_000;

/// How many paths in the configuration of one repository are looked up.
const MAX_LOOKUPS: usize = 1000;

/// How many words of a command may be programs of the project.
const MAX_WORDS: usize = 8;

/// How deep directories of submodules are nested.
const MAX_MODULES: usize = 12;

/// Looks at the project's own repository, whatever shape its `.git` has.
pub fn own(project: &Path, tree: &Tree, found: &mut Found) {
    // A linked worktree's or submodule's repository, which the cage gets, too.
    if let Node::File(_) = tree.node(Path::new(".git"))
        && let GitDir::Outside(common) = GitDir::of(project)
    {
        match Tree::open(Path::new(&common), Path::new(&common), tree.limits) {
            Ok(outside) => {
                Repository::new(&outside, Some((tree, Path::new(""))), found).directory(Path::new(""));
            }
            Err(error) => tree.limits.stop(format!("{common} can't be opened: {error}")),
        }
        return;
    }
    if looks_bare(&|name| tree.has(Path::new(name))) {
        nested(tree, Path::new(""), found);
    }
    dot_git(tree, Path::new(""), found);
}

/// Does git take a directory with these names in it for a repository?
pub fn looks_bare(has: &dyn Fn(&str) -> bool) -> bool {
    has("HEAD") && (has("commondir") || (has("objects") && has("refs")))
}

/// A path in a file of git's, which takes all but line breaks at the end for part of it.
fn without_line_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|c| !matches!(c, b'\n' | b'\r')).map_or(0, |last| last + 1);
    &text[..end]
}

/// Looks at a directory that git takes for a repository without a working tree.
pub fn nested(tree: &Tree, dir: &Path, found: &mut Found) {
    if dir != Path::new("") {
        let changed = birth(tree, dir);
        found.add(&tree.shown(dir), "looks like a bare repository", IN_IT, b"", changed);
    }
    repository(tree, dir, dir, found);
}

/// Looks at a repository whose files are in `files`. A directory becomes one by its name, and what is in it stays as old as it
/// was: in a nested one whose directory has changed since, anything may be new.
fn repository(tree: &Tree, files: &Path, dir: &Path, found: &mut Found) {
    let before = found.floor;
    if let Node::Dir(status) = tree.node(dir) {
        found.floor = before.max(status.changed);
    }
    Repository::new(tree, Some((tree, files)), found).directory(dir);
    found.floor = before;
}

const KEPT: &str = "git uses the repository there";

/// What is in a repository's directory itself.
const INTERNAL: &[&str] =
    &["branches", "hooks", "info", "lfs", "logs", "modules", "objects", "refs", "worktrees"];

const IN_IT: &str = "git commands in it use its configuration and hooks";

/// When a repository became one, as far as can be told: using git in it changes its directory all the time.
fn birth(tree: &Tree, dir: &Path) -> i64 {
    for path in [dir.join("config"), dir.join("HEAD"), dir.to_owned()] {
        if let Node::File(status) | Node::Dir(status) | Node::Link(_, status) = tree.node(&path) {
            return status.changed;
        }
    }
    i64::MAX
}

/// Looks at the `.git` of a directory, if it has one.
pub fn dot_git(tree: &Tree, dir: &Path, found: &mut Found) {
    let path = dir.join(".git");
    let shown = tree.shown(&path);
    let is_own = dir == Path::new("");
    let target = match tree.node(&path) {
        Node::Nothing => return,
        Node::Special(status) => {
            return found.add(
                &shown,
                super::walk::kind(status.kind),
                "git waits for it or fails",
                b"",
                status.changed,
            );
        }
        Node::Dir(_) => {
            if !is_own {
                found.add(&shown, "nested repository", IN_IT, b"", birth(tree, &path));
            }
            return repository(tree, dir, &path, found);
        }
        Node::Link(target, status) => {
            found.add(
                &shown,
                format!("link to {}", show(&target)),
                "git uses the repository there",
                bytes(&target),
                status.changed,
            );
            target
        }
        Node::File(status) => {
            let text = tree.read(&path).unwrap_or_default();
            let Some(target) = text.strip_prefix(b"gitdir: ") else { return };
            let target = PathBuf::from(OsStr::from_bytes(without_line_end(target)));
            let what = format!("gitdir: {}", show(&target));
            found.add(&shown, what, "git uses the repository there", bytes(&target), status.changed);
            target
        }
    };
    if let Some(inside) = tree.resolve(dir, &target) {
        repository(tree, dir, &inside, found);
    }
}

/// One repository that is being looked at.
struct Repository<'a, 'b, 'f> {
    tree: &'a Tree<'b>,
    /// The tree and directory of its files, from where hooks run.
    files: Option<(&'a Tree<'b>, &'a Path)>,
    found: &'a mut Found<'f>,
    done: HashSet<PathBuf>,
    lookups: usize,
}

impl<'a, 'b, 'f> Repository<'a, 'b, 'f> {
    fn new(tree: &'a Tree<'b>, files: Option<(&'a Tree<'b>, &'a Path)>, found: &'a mut Found<'f>) -> Self {
        Self { tree, files, found, done: HashSet::new(), lookups: 0 }
    }

    /// May this be looked at, or was it already, or is it enough?
    fn first_time(&mut self, path: &Path) -> bool {
        if self.done.len() >= MAX_STEPS {
            self.tree
                .limits
                .stop(format!("too much belongs to the repository {}", self.tree.shown(path).display()));
            return false;
        }
        !self.tree.limits.is_late() && self.done.insert(path.to_owned())
    }

    fn add(
        &mut self,
        path: &Path,
        what: impl Into<String>,
        trigger: &'static str,
        content: &[u8],
        status: Status,
    ) {
        self.found.add(&self.tree.shown(path), what, trigger, content, status.changed);
    }

    /// Everything in a repository's directory, and what it leads to.
    fn directory(&mut self, first: &Path) {
        let mut todo = vec![(first.to_owned(), 0)];
        while let Some((dir, depth)) = todo.pop() {
            if !self.first_time(&dir) {
                continue;
            }
            self.config(&dir.join("config"));
            self.config(&dir.join("config.worktree"));
            self.hooks(&dir.join("hooks"));
            self.attributes(&dir.join("info/attributes"));
            self.alternates(&dir.join("objects/info/alternates"));
            for state in ["rebase-merge/git-rebase-todo", "sequencer/todo"] {
                self.todo(&dir.join(state));
            }
            for name in ["remotes", "branches"] {
                self.old_remotes(&dir.join(name));
            }
            self.lazygit(&dir.join("lazygit.yml"));
            todo.extend(self.common(&dir).map(|common| (common, depth)));
            // A linked worktree's has all that a repository has, but for what is in the common one.
            if let Some(worktrees) =
                self.through_link(&dir.join("worktrees"), "git keeps its worktrees there")
            {
                let names = self.tree.names(&worktrees);
                let dirs = names.iter().filter_map(|name| self.through_link(&worktrees.join(name), KEPT));
                todo.extend(dirs.map(|dir| (dir, depth)).collect::<Vec<_>>());
            }
            todo.extend(self.modules(&dir, depth));
        }
    }

    /// Submodules, whose names may have slashes: one may be below another one, or below what looks like one.
    fn modules(&mut self, dir: &Path, depth: usize) -> Vec<(PathBuf, usize)> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        let mut todo: Vec<_> = self
            .through_link(&dir.join("modules"), KEPT)
            .map(|dir| (dir, depth, false))
            .into_iter()
            .collect();
        while let Some((dir, depth, is_repository)) = todo.pop() {
            if depth > MAX_MODULES {
                self.tree.limits.stop(format!("{} is nested too deeply", self.tree.shown(&dir).display()));
                continue;
            }
            for name in self.tree.names(&dir) {
                if self.tree.limits.is_late() || (is_repository && INTERNAL.iter().any(|own| name == *own)) {
                    continue;
                }
                let Some(module) = self.through_link(&dir.join(&name), KEPT) else { continue };
                if !self.tree.is_dir(&module) || !seen.insert(module.clone()) || seen.len() > MAX_STEPS {
                    continue;
                }
                let is_repository = self.tree.has(&module.join("HEAD"));
                if is_repository {
                    found.push((module.clone(), depth + 1));
                }
                todo.push((module, depth + 1, is_repository));
            }
        }
        found
    }

    /// Remotes as git once kept them, and still reads.
    fn old_remotes(&mut self, dir: &Path) {
        let trigger = "git fetch, pull and push go where it says";
        let Some(dir) = self.through_link(dir, trigger) else { return };
        for name in self.tree.names(&dir) {
            let Some((path, text, status)) = self.text(&dir.join(name), trigger) else { continue };
            let first = text.split(|c| *c == b'\n').next().unwrap_or_default();
            self.add(&path, keys::shorten(&String::from_utf8_lossy(first)), trigger, &text, status);
        }
    }

    fn lazygit(&mut self, path: &Path) {
        let trigger = "lazygit runs the commands in it";
        if let Some((path, text, status)) = self.text(path, trigger) {
            self.add(&path, "file", trigger, &text, status);
        }
    }

    /// A small file; or what a link says, which git follows.
    fn text(&mut self, path: &Path, trigger: &'static str) -> Option<(PathBuf, Vec<u8>, Status)> {
        let real = self.through_link(path, trigger)?;
        if !self.first_time(&real) {
            return None;
        }
        let Node::File(status) = self.tree.node(&real) else { return None };
        Some((real.clone(), self.tree.read(&real)?, status))
    }

    /// The path itself, or, if it is a link, where that leads in the tree. Git doesn't mind links.
    fn through_link(&mut self, path: &Path, trigger: &'static str) -> Option<PathBuf> {
        match self.tree.node(path) {
            Node::File(_) | Node::Dir(_) => Some(path.to_owned()),
            Node::Link(target, status) => {
                self.add(path, format!("link to {}", show(&target)), trigger, bytes(&target), status);
                self.tree.resolve(path.parent()?, &target)
            }
            // Also where a directory above is a link.
            Node::Nothing if !self.tree.is_dir(path.parent()?) => {
                let real = self.tree.resolve(Path::new(""), path)?;
                let (Node::File(status) | Node::Dir(status)) = self.tree.node(&real) else { return None };
                let dir = path.parent()?;
                let content = bytes(&real).to_vec();
                self.add(dir, format!("leads to {}", show(real.parent()?)), trigger, &content, status);
                Some(real)
            }
            Node::Nothing | Node::Special(_) => None,
        }
    }

    /// Where a path leads that stands in a configuration.
    fn look_up(&mut self, tree: &Tree, dir: &Path, path: &[u8]) -> Option<PathBuf> {
        self.lookups += 1;
        if self.lookups > MAX_LOOKUPS {
            self.tree.limits.stop("too many paths in git's configuration");
            return None;
        }
        tree.resolve(dir, Path::new(OsStr::from_bytes(path)))
    }

    fn config(&mut self, path: &Path) {
        let mut todo = vec![path.to_owned()];
        while let Some(path) = todo.pop() {
            let Some((path, text, status)) = self.text(&path, "git reads its configuration there") else {
                continue;
            };
            for (count, entry) in git_config::entries(&text).enumerate() {
                if count.is_multiple_of(64) && self.tree.limits.is_late() {
                    return;
                }
                let Some(trigger) = keys::trigger(&entry) else { continue };
                if self.is_submodules_own(&path, &entry) {
                    continue;
                }
                let (content, changed) = self.content_of_command(&entry);
                let status = Status { changed: status.changed.max(changed), ..status };
                self.add(&path, keys::show(&entry), trigger, &content, status);
                let value = entry.value.as_deref().unwrap_or_default();
                match (entry.section.as_str(), entry.name.as_str(), self.files) {
                    ("include" | "includeif", "path", _) => {
                        todo.extend(path.parent().and_then(|dir| self.look_up(self.tree, dir, value)));
                    }
                    ("core", "hookspath", Some((tree, dir))) => {
                        if let Some(hooks) = self.look_up(tree, dir, value) {
                            hook_files(tree, &hooks, self.found);
                        }
                    }
                    ("core", "attributesfile", Some((tree, dir))) => {
                        if let Some(file) = self.look_up(tree, dir, value) {
                            attributes(tree, &file, self.found);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// Is it the working tree of a submodule, as git itself writes it?
    fn is_submodules_own(&mut self, config: &Path, entry: &Entry) -> bool {
        let (Some(dir), Some(value)) = (config.parent(), &entry.value) else { return false };
        let is_module =
            dir.parent().is_some_and(|parent| parent.components().any(|part| part.as_os_str() == "modules"));
        (entry.section == "core" && entry.name == "worktree" && entry.subsection.is_none())
            && is_module
            && self.look_up(self.tree, dir, value).is_some_and(|tree| !tree.starts_with(".git"))
    }

    /// The whole value, of which not all may be shown, and the programs of the project that are named in it; and when one of
    /// those changed last.
    fn content_of_command(&mut self, entry: &Entry) -> (Vec<u8>, i64) {
        let value = entry.value.as_deref().unwrap_or_default();
        let (mut content, mut last) = (value.to_vec(), i64::MIN);
        let Some((tree, dir)) = self.files else { return (content, last) };
        let words = value.split(|c| c.is_ascii_whitespace() || b"\"';!&|()".contains(c));
        let words = words.filter(|word| !word.is_empty() && word.len() < 512).enumerate();
        // The first one without a slash is looked for elsewhere, as in `sh tool`.
        let words = words.filter(|(at, word)| *at > 0 || word.contains(&b'/')).take(MAX_WORDS);
        for (_, word) in words {
            if let Some(file) = self.look_up(tree, dir, word)
                && let Node::File(status) = tree.node(&file)
            {
                content.extend(tree.content(&file).into_iter().flatten());
                last = last.max(status.changed);
            }
        }
        (content, last)
    }

    fn hooks(&mut self, dir: &Path) {
        if let Some(dir) = self.through_link(dir, "git takes its hooks from there") {
            hook_files(self.tree, &dir, self.found);
        }
    }

    fn attributes(&mut self, path: &Path) {
        if let Some(path) = self.through_link(path, "git takes attributes from there") {
            attributes(self.tree, &path, self.found);
        }
    }

    fn alternates(&mut self, path: &Path) {
        let trigger = "git reads objects there, too";
        if let Some((path, text, status)) = self.text(path, trigger) {
            let first = text.split(|c| *c == b'\n').next().unwrap_or_default();
            let what = format!("objects of {}", keys::shorten(&String::from_utf8_lossy(first)));
            self.add(&path, what, trigger, &text, status);
        }
    }

    /// A rebase that was begun: what it is going to run.
    fn todo(&mut self, path: &Path) {
        let trigger = "runs on git rebase --continue";
        let Some((path, text, status)) = self.text(path, trigger) else { return };
        for (count, line) in text.split(|c| *c == b'\n').enumerate() {
            if count.is_multiple_of(64) && self.tree.limits.is_late() {
                return;
            }
            let line = line.trim_ascii_start();
            let command = line.split(u8::is_ascii_whitespace).next();
            if matches!(command, Some(b"exec" | b"x")) {
                self.add(&path, keys::shorten(&String::from_utf8_lossy(line)), trigger, line, status);
            }
        }
    }

    /// Where a repository's directory says that configuration and hooks are, if it says so.
    fn common(&mut self, dir: &Path) -> Option<PathBuf> {
        let path = dir.join("commondir");
        let trigger = "git takes configuration and hooks from there";
        let (file, text, status) = self.text(&path, trigger)?;
        let target = PathBuf::from(OsStr::from_bytes(without_line_end(&text)));
        // A linked worktree's directory is kept in that of its repository; anything else is odd.
        let is_worktrees = dir.parent().is_some_and(|parent| parent.ends_with("worktrees"));
        if target != Path::new("../..") || !is_worktrees {
            self.add(&file, format!("commondir {}", show(&target)), trigger, &text, status);
        }
        self.tree.resolve(dir, &target)
    }
}
