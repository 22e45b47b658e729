//! Finding repositories: the project's own, nested ones and bare ones, whatever shape `.git` has.

use std::path::{Path, PathBuf};

use super::finding::{Findings, Sighting, path_bytes};
use super::repository::{path_in_file, scan_repository};
use super::tree::{Node, Tree};
use super::{display, git_files};
use crate::host::worktree::GitDir;

const IN_IT: &str = "git commands in it use its configuration and hooks";
const POINTER: &str = "git uses the repository there";

/// Scans the project's own repository. Adds one that lies outside the project to the tree, and returns its path.
pub fn scan_own(project: &Path, tree: &mut Tree, findings: &mut Findings) -> Option<PathBuf> {
    let root = Path::new("");
    // The repository of a linked worktree or a submodule, which the cage mounts as well.
    if let Node::File(status) = tree.node(Path::new(".git"))
        && let GitDir::Outside { common, own } = GitDir::of(project)
    {
        let what = format!("gitdir: {}", display::path(&own));
        let (path, content, changed) = (PathBuf::from(".git"), path_bytes(&own), status.changed);
        findings.add(Sighting { path, what, trigger: POINTER, content, changed });
        if let Err(error) = tree.add(Path::new(&common)) {
            tree.limits.note_gap(format!("{} can't be opened: {error}", display::name(Path::new(&common))));
            return None;
        }
        scan_repository(tree, Path::new(&common), root, findings);
        return Some(common.into());
    }
    if looks_bare(|name| tree.has(Path::new(name))) {
        scan_bare(tree, root, findings);
    }
    scan_dot_git(tree, root, findings);
    None
}

/// Returns whether git takes a directory with these names in it for a repository.
pub fn looks_bare(has: impl Fn(&str) -> bool) -> bool {
    has("HEAD") && (has("commondir") || (has("objects") && has("refs")))
}

/// Scans a directory that git takes for a repository without working tree.
pub fn scan_bare(tree: &Tree, dir: &Path, findings: &mut Findings) {
    if dir != Path::new("") {
        add_nested(tree, dir, "looks like a bare repository", findings);
    }
    scan_git_dir(tree, dir, dir, findings);
}

/// Scans the `.git` in a directory, if there is one.
pub fn scan_dot_git(tree: &Tree, dir: &Path, findings: &mut Findings) {
    let path = dir.join(".git");
    let (what, target, status) = match tree.node(&path) {
        Node::Absent => return,
        Node::Dir(_) => {
            if dir != Path::new("") {
                add_nested(tree, &path, "nested repository", findings);
            }
            return scan_git_dir(tree, dir, &path, findings);
        }
        Node::Special(status) => {
            let (path, what) = (path.clone(), status.kind_name().to_owned());
            let (trigger, changed) = ("git hangs or fails here", status.changed);
            return findings.add(Sighting { path, what, trigger, content: b"", changed });
        }
        Node::Link(target, status) => (display::link(&target), target, status),
        Node::File(status) => {
            let text = tree.read(&path).unwrap_or_default();
            let Some(target) = text.strip_prefix(b"gitdir:") else {
                return findings.add(git_files::refused(path.clone(), &text, status));
            };
            // Other programs than git accept it without the blank.
            let target = path_in_file(target.strip_prefix(b" ").unwrap_or(target));
            (format!("gitdir: {}", display::path(&target)), target, status)
        }
    };
    let (content, changed) = (path_bytes(&target), status.changed);
    findings.add(Sighting { path, what, trigger: POINTER, content, changed });
    if let Some(inside) = tree.resolve(dir, &target) {
        scan_git_dir(tree, dir, &inside, findings);
    }
}

/// Scans the repository in `git_dir`, whose working tree is the directory `files`.
fn scan_git_dir(tree: &Tree, files: &Path, git_dir: &Path, findings: &mut Findings) {
    let renamed = match tree.node(git_dir) {
        Node::Dir(status) => status.changed,
        _ => i64::MIN,
    };
    findings.not_before(renamed, |findings| scan_repository(tree, git_dir, files, findings));
}

fn add_nested(tree: &Tree, git_dir: &Path, what: &str, findings: &mut Findings) {
    let changed = creation_time(tree, git_dir);
    let (path, what) = (git_dir.to_owned(), what.to_owned());
    findings.add(Sighting { path, what, trigger: IN_IT, content: b"", changed });
}

/// Returns about when a repository was created. The time of its directory would be too late: git changes it all the time.
fn creation_time(tree: &Tree, git_dir: &Path) -> i64 {
    let paths: [PathBuf; 3] = [git_dir.join("config"), git_dir.join("HEAD"), git_dir.to_owned()];
    paths.iter().find_map(|path| tree.node(path).status()).map_or(i64::MAX, |status| status.changed)
}
