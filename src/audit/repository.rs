//! A repository: the configuration, hooks and other files in its directory, and the directories that it leads to.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::finding::{Findings, Sighting, path_bytes};
use super::tree::{Node, Status, Tree};
use super::{display, git_files, git_index, git_settings};
use crate::host::git_config;
use crate::host::git_config::Entry;

/// The number of files and directories of one repository that are read.
const MAX_STEPS: usize = 10_000;

/// The number of paths in the configuration of one repository that are followed.
const MAX_LOOKUPS: usize = 1000;

/// The number of words of a command that may be programs of the project.
const MAX_WORDS: usize = 8;

/// The number of directories in the path of a part of a repository.
const MAX_DEPTH: usize = 100;

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
    ("sl/config", "sl runs the hooks and commands in it"),
    ("arc/config", "arc loads the libraries that it names"),
    ("svn/.metadata", "git svn goes to the address in it"),
    ("fsmonitor--daemon.ipc", "git status and diff may ask the process there which files have changed"),
    ("info/sparse-checkout", "git status and diff may not show changes of files that it leaves out"),
    ("info/grafts", REPLACES),
    ("shallow", "git log doesn't show the commits before those in it"),
    ("refs/replace", REPLACES),
];

const REPLACES: &str = "git log, show and diff show another commit or file instead of one";

const ATTRIBUTES: &str = "git status and diff may not show changes in files that it names";

const EXCLUDES: &str = "git status doesn't list new files that it names";

const OLD_REMOTE: &str = "git fetch, pull and push go to the address in it";

/// <https://github.com/thoughtbot/dotfiles>
const SAFE: &str = "a shell with .git/safe/../../bin in its PATH runs the programs in bin";

const KEPT: &str = "git uses the repository there";

/// Scans the repository in the directory `git_dir`, whose working tree is the directory `files`, with everything that it
/// leads to.
pub fn scan_repository(tree: &Tree, git_dir: &Path, files: &Path, findings: &mut Findings) {
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
    /// The working tree, from where git starts hooks and commands.
    files: &'a Path,
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
        let mut todo = vec![(first.to_owned(), false)];
        while let Some((dir, is_module)) = todo.pop() {
            if !self.is_first_time(&dir) {
                continue;
            }
            // The name of a submodule may have slashes, so its directory may be below one that is not a repository.
            let is_repository = !is_module || self.tree.has(&dir.join("HEAD"));
            if is_repository {
                self.parts(&dir);
                let others = self.common(&dir).into_iter().chain(self.below(&dir, "worktrees", &[]));
                todo.extend(others.map(|dir| (dir, false)).collect::<Vec<_>>());
                todo.extend(self.below(&dir, "modules", &[]).into_iter().map(|dir| (dir, true)));
            }
            // It may also be below a directory that only looks like a repository.
            if is_module {
                let not = if is_repository { INTERNAL } else { &[] };
                todo.extend(self.below(&dir, "", not).into_iter().map(|dir| (dir, true)));
            }
        }
    }

    /// Scans the files in a repository's directory.
    fn parts(&mut self, dir: &Path) {
        self.config(dir, "config");
        self.config(dir, "config.worktree");
        if let Some(hooks) = self.follow_links(dir, "hooks", "git takes its hooks from there") {
            git_files::hooks(self.tree, &hooks, self.findings);
        }
        let attributes = self.follow_links(dir, "info/attributes", "git takes attributes from there");
        if let Some(attributes) = attributes {
            git_files::attributes(self.tree, &attributes, self.findings);
        }
        for (name, trigger) in OTHER_FILES {
            self.other_files(dir, name, trigger);
        }
        let safe = dir.join("safe");
        if let Node::Dir(status) = self.tree.node(&safe) {
            let (path, what, changed) = (safe, "directory".to_owned(), status.changed);
            self.findings.add(Sighting { path, what, trigger: SAFE, content: b"", changed });
        }
        // `git init` creates a file with nothing but comments.
        self.lines(dir, "info/exclude", EXCLUDES, |line| !line.is_empty() && !line.starts_with(b"#"));
        // git never makes this one. `git diff` shows a change of `.gitattributes`, but none of this file.
        self.lines(dir, "info/attributes", ATTRIBUTES, |line| !line.is_empty() && !line.starts_with(b"#"));
        let is_replacement = |line: &[u8]| line.windows(14).any(|part| part == b" refs/replace/");
        self.lines(dir, "packed-refs", REPLACES, is_replacement);
        self.index(dir);
    }

    /// Returns the directories in a directory, but for those called `not`.
    fn below(&mut self, dir: &Path, name: &str, not: &[&str]) -> Vec<PathBuf> {
        let mut dirs = Vec::new();
        let Some(dir) = self.follow_links(dir, name, KEPT) else { return dirs };
        for name in self.tree.names(&dir) {
            if self.tree.limits.is_late() {
                break;
            }
            if !not.iter().any(|not| name == *not) {
                dirs.extend(self.follow_links(&dir, &name, KEPT).filter(|path| self.tree.is_dir(path)));
            }
        }
        dirs
    }

    /// Returns whether a path has not been scanned and may be.
    fn is_first_time(&mut self, path: &Path) -> bool {
        if self.done.len() >= MAX_STEPS || path.components().count() > MAX_DEPTH {
            self.tree.limits.note_gap(format!("{}: the repository has too many parts", display::name(path)));
            return false;
        }
        !self.tree.limits.is_late() && self.done.insert(path.to_owned())
    }

    /// Adds a part of a file.
    fn add_text(&mut self, file: &Text, what: String, trigger: &'static str, content: &[u8]) {
        let (path, changed) = (file.path.clone(), file.status.changed);
        self.findings.add(Sighting { path, what, trigger, content, changed });
    }

    /// Returns where a path in a directory leads in the tree: git follows links. Adds each link on the way.
    fn follow_links(&mut self, dir: &Path, path: impl AsRef<Path>, trigger: &'static str) -> Option<PathBuf> {
        let mut real = dir.to_owned();
        for name in path.as_ref() {
            let entry = real.join(name);
            real = match self.tree.node(&entry) {
                Node::File(_) | Node::Dir(_) => entry,
                Node::Link(target, status) => {
                    let (path, what) = (entry.clone(), display::link(&target));
                    let (content, changed) = (path_bytes(&target), status.changed);
                    self.findings.add(Sighting { path, what, trigger, content, changed });
                    self.tree.resolve(&real, &target)?
                }
                Node::Absent => return None,
                // A program may answer each read differently.
                Node::Special(status) => {
                    let (path, what) = (entry.clone(), status.kind_name().to_owned());
                    self.findings.add(Sighting {
                        path,
                        what,
                        trigger,
                        content: b"",
                        changed: status.changed,
                    });
                    return None;
                }
            };
        }
        Some(real)
    }

    /// Reads a small file that was not read before; `None` if there is none.
    fn text(&mut self, path: PathBuf) -> Option<Text> {
        if !self.is_first_time(&path) {
            return None;
        }
        let Node::File(status) = self.tree.node(&path) else { return None };
        let bytes = self.tree.read(&path)?;
        Some(Text { path, bytes, status })
    }

    /// Follows a path that a setting names, from a directory.
    fn follow(&mut self, dir: &Path, path: &[u8]) -> Option<PathBuf> {
        self.lookups += 1;
        if self.lookups > MAX_LOOKUPS {
            self.tree.limits.note_gap("there are too many paths in git's configuration");
            return None;
        }
        let path = path_of(path);
        let in_home = ["~", "$HOME"].iter().find_map(|home| path.strip_prefix(home).ok());
        match (in_home, &self.tree.outside.home) {
            (Some(below), Some(home)) => self.tree.resolve(dir, &home.join(below)),
            _ => self.tree.resolve(dir, path),
        }
    }

    /// Scans a file with settings and those that it includes.
    fn config(&mut self, dir: &Path, name: &str) {
        let path = self.follow_links(dir, name, "git reads its configuration there");
        let mut todo: Vec<_> = path.into_iter().collect();
        while let Some(path) = todo.pop() {
            let Some(file) = self.text(path) else { continue };
            if git_config::all_entries(&file.bytes).is_none() {
                self.findings.add(git_files::refused(file.path.clone(), &file.bytes, file.status));
            }
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
        if self.is_own_working_tree(&file.path, entry) || self.ignores_case(&file.path, entry) {
            return None;
        }
        let (content, changed) = self.command_content(entry);
        let (path, what) = (file.path.clone(), git_settings::show(entry));
        let changed = changed.max(file.status.changed);
        self.findings.add(Sighting { path, what, trigger, content: &content, changed });
        let value = entry.value.as_deref().unwrap_or_default();
        match (entry.section.as_str(), entry.name.as_str()) {
            ("include" | "includeif", "path") => return self.follow(file.path.parent()?, value),
            ("core", "hookspath") => {
                let hooks = self.follow(self.files, value)?;
                git_files::hooks(self.tree, &hooks, self.findings);
            }
            ("core", "attributesfile") => {
                let attributes = self.follow(self.files, value)?;
                git_files::attributes(self.tree, &attributes, self.findings);
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
            && self.follow(dir, value).is_some_and(|files| files.is_relative() && !files.starts_with(".git"))
    }

    /// Returns whether a setting says truly that the file system ignores case, as git finds out when it makes a repository.
    fn ignores_case(&self, config: &Path, entry: &Entry) -> bool {
        let probe = config.with_file_name("CoNfIg");
        let dir = config.parent().unwrap_or(Path::new(""));
        entry.section == "core"
            && entry.name == "ignorecase"
            && self.tree.has(&probe)
            && !self.tree.names(dir).iter().any(|name| name == "CoNfIg")
    }

    /// Returns the whole value of a setting with digests of the project's programs that it names, and the time of their last
    /// change.
    fn command_content(&mut self, entry: &Entry) -> (Vec<u8>, i64) {
        let value = entry.value.as_deref().unwrap_or_default();
        let (mut content, mut last) = (value.to_vec(), i64::MIN);
        let words = value.split(|c| c.is_ascii_whitespace() || b"\"';!&|()".contains(c));
        let words = words.filter(|word| !word.is_empty() && word.len() < 512).enumerate();
        // A shell looks for a first word without a slash in PATH, as in `sh tool`.
        let words = words.filter(|(at, word)| *at > 0 || word.contains(&b'/')).take(MAX_WORDS);
        for (_, word) in words {
            if let Some(file) = self.follow(self.files, word)
                && let Node::File(status) = self.tree.node(&file)
            {
                content.extend(self.tree.digest(&file));
                last = last.max(status.changed);
            }
        }
        (content, last)
    }

    /// Adds a file, or each file in a directory.
    fn other_files(&mut self, dir: &Path, path: &str, trigger: &'static str) {
        let Some(real) = self.follow_links(dir, path, trigger) else { return };
        let files = if let Node::Dir(_) = self.tree.node(&real) {
            let names = self.tree.names(&real);
            names.iter().filter_map(|name| self.follow_links(&real, name, trigger)).collect()
        } else {
            vec![real]
        };
        for path in files {
            let Some(file) = self.text(path) else { continue };
            self.add_text(&file, "file".to_owned(), trigger, &file.bytes);
        }
    }

    /// Adds a file of which some lines matter.
    fn lines(&mut self, dir: &Path, path: &str, trigger: &'static str, matters: impl Fn(&[u8]) -> bool) {
        let Some(file) = self.follow_links(dir, path, trigger).and_then(|path| self.text(path)) else {
            return;
        };
        let lines: Vec<&[u8]> =
            file.bytes.split(|c| *c == b'\n').map(<[u8]>::trim_ascii).filter(|line| matters(line)).collect();
        if let Some(what) = display::first_of(&lines) {
            self.add_text(&file, what, trigger, &lines.join(&b'\n'));
        }
    }

    /// Adds what the index hides from `git status` and `git diff`.
    fn index(&mut self, dir: &Path) {
        // That of a large repository takes longer than a user waits.
        if self.tree.limits.is_quick() {
            return;
        }
        let shared =
            self.tree.names(dir).into_iter().filter(|name| name.as_bytes().starts_with(b"sharedindex."));
        for name in shared.chain(["index".into()]).collect::<Vec<_>>() {
            let path = self.follow_links(dir, &name, "git reads its index there");
            let Some(path) = path.filter(|path| self.is_first_time(path)) else { continue };
            let Node::File(status) = self.tree.node(&path) else { continue };
            let Some(bytes) = self.tree.read_up_to(&path, git_index::MAX_SIZE) else { continue };
            let Some(hidden) = git_index::hidden(&bytes) else {
                self.tree
                    .limits
                    .note_gap(format!("{} is not an index that cage can read", display::name(&path)));
                continue;
            };
            for (kind, files) in hidden {
                let what = display::first_of(&files).map(|first| format!("{kind}: {first}"));
                let (path, what) = (path.clone(), what.unwrap_or_else(|| kind.to_owned()));
                let (content, changed) = (files.join(&0), status.changed);
                let trigger = "git status and diff may not show that files have changed";
                self.findings.add(Sighting { path, what, trigger, content: &content, changed });
            }
        }
    }

    /// Returns the directory that `commondir` names, from which git takes configuration and hooks.
    fn common(&mut self, dir: &Path) -> Option<PathBuf> {
        let trigger = "git takes configuration and hooks from there";
        let path = self.follow_links(dir, "commondir", trigger)?;
        let file = self.text(path)?;
        let target = path_in_file(&file.bytes);
        // A linked worktree's directory in that of its repository is the usual case.
        let is_worktree = dir.parent().is_some_and(|parent| parent.ends_with("worktrees"));
        if target != Path::new("../..") || !is_worktree {
            let what = format!("commondir {}", display::path(&target));
            self.add_text(&file, what, trigger, &file.bytes);
        }
        self.tree.resolve(dir, &target)
    }
}
