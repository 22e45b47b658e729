//! Repositories: what git would run or read from elsewhere when somebody uses it there.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::Found;
use super::git_files::{attributes, bytes, hook_files, show};
use super::keys;
use super::tree::{Node, Status, Tree};
use crate::git_config::{self, Entry};
use crate::project::Project;
use crate::worktree::GitDir;

/// How many files and directories of one repository are looked at.
const MAX_STEPS: usize = 10_000;

/// How many paths in the configuration of one repository are looked up.
const MAX_LOOKUPS: usize = 500;

/// How deep directories of submodules are nested.
const MAX_MODULES: usize = 12;

/// Looks at the project's own repository, whatever shape its `.git` has.
pub fn own(project: &Path, tree: &Tree, found: &mut Found) {
    let as_project = Project {
        path: project.to_string_lossy().into_owned(),
        name: String::new(),
        inode: 0,
        reached: project.to_owned(),
    };
    // A linked worktree's or submodule's repository, which the cage gets, too.
    if let Node::File(_) = tree.node(Path::new(".git"))
        && let GitDir::Outside(common) = GitDir::of(&as_project)
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

/// Looks at a directory that git takes for a repository without a working tree.
pub fn nested(tree: &Tree, dir: &Path, found: &mut Found) {
    if dir != Path::new("") {
        let changed = birth(tree, dir);
        found.add(&tree.shown(dir), "looks like a bare repository", IN_IT, b"", changed);
    }
    Repository::new(tree, Some((tree, dir)), found).directory(dir);
}

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
            return Repository::new(tree, Some((tree, dir)), found).directory(&path);
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
            let target = PathBuf::from(OsStr::from_bytes(target.trim_ascii_end()));
            let what = format!("gitdir: {}", show(&target));
            found.add(&shown, what, "git uses the repository there", bytes(&target), status.changed);
            target
        }
    };
    if let Some(inside) = tree.resolve(dir, &target) {
        Repository::new(tree, Some((tree, dir)), found).directory(&inside);
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
            todo.extend(self.common(&dir).map(|common| (common, depth)));
            for worktree in self.tree.names(&dir.join("worktrees")) {
                let worktree = dir.join("worktrees").join(worktree);
                self.config(&worktree.join("config.worktree"));
                self.worktree(&worktree);
            }
            todo.extend(self.modules(&dir, depth));
        }
    }

    /// Submodules, whose names may have slashes.
    fn modules(&mut self, dir: &Path, depth: usize) -> Vec<(PathBuf, usize)> {
        let mut found = Vec::new();
        let mut todo = vec![(dir.join("modules"), depth)];
        while let Some((dir, depth)) = todo.pop() {
            if depth > MAX_MODULES {
                self.tree.limits.stop(format!("{} is nested too deeply", self.tree.shown(&dir).display()));
                continue;
            }
            for name in self.tree.names(&dir) {
                let module = dir.join(name);
                let Node::Dir(_) = self.tree.node(&module) else { continue };
                if self.tree.has(&module.join("HEAD")) {
                    found.push((module, depth + 1));
                } else if self.first_time(&module) {
                    todo.push((module, depth + 1));
                }
            }
        }
        found
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
            for entry in git_config::entries(&text) {
                let Some(trigger) = keys::trigger(&entry) else { continue };
                if self.is_submodules_own(&path, &entry) {
                    continue;
                }
                let content = self.content_of_command(&entry);
                self.add(&path, keys::show(&entry), trigger, &content, status);
                if self.tree.limits.is_late() {
                    return;
                }
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

    /// The whole value, of which not all may be shown, and the programs of the project that are named in it.
    fn content_of_command(&mut self, entry: &Entry) -> Vec<u8> {
        let value = entry.value.as_deref().unwrap_or_default();
        let mut content = value.to_vec();
        if let Some((tree, dir)) = self.files {
            let words = value.split(|c| c.is_ascii_whitespace() || matches!(c, b'"' | b'\'' | b';' | b'!'));
            let words = words.filter(|word| word.contains(&b'/') && word.len() < 512);
            for word in words.take(4) {
                let file = self.look_up(tree, dir, word);
                content.extend(file.and_then(|file| tree.content(&file)).into_iter().flatten());
            }
        }
        content
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
        for line in text.split(|c| *c == b'\n') {
            let line = line.trim_ascii_start();
            if line.starts_with(b"exec ") || line.starts_with(b"x ") {
                self.add(&path, keys::shorten(&String::from_utf8_lossy(line)), trigger, line, status);
            }
        }
    }

    /// Where a repository's directory says that configuration and hooks are, if it says so.
    fn common(&mut self, dir: &Path) -> Option<PathBuf> {
        let path = dir.join("commondir");
        let trigger = "git takes configuration and hooks from there";
        let (file, text, status) = self.text(&path, trigger)?;
        let target = PathBuf::from(OsStr::from_bytes(text.trim_ascii_end()));
        self.add(&file, format!("commondir {}", show(&target)), trigger, &text, status);
        self.tree.resolve(dir, &target)
    }

    /// A linked worktree's directory, which belongs to this one: anything else is odd.
    fn worktree(&mut self, dir: &Path) {
        if let Node::File(_) = self.tree.node(&dir.join("commondir"))
            && self.tree.read(&dir.join("commondir")).is_some_and(|text| text.trim_ascii_end() == b"../..")
        {
            return;
        }
        if let Some(common) = self.common(dir)
            && common != dir
        {
            self.config(&common.join("config"));
            self.hooks(&common.join("hooks"));
        }
    }
}
