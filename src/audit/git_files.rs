//! Files of a repository that make git run commands: hooks, attributes, `.gitmodules`.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::finding::{Findings, Sighting, path_bytes};
use super::tree::{Node, Status, Tree};
use super::{display, git_settings};
use crate::base::text::shorten;
use crate::host::git_config;

/// The names of hooks, and when git runs them.
const HOOKS: &[(&str, &str)] = &[
    ("pre-commit prepare-commit-msg commit-msg post-commit", "runs on git commit"),
    ("pre-merge-commit post-merge", "runs on git merge and pull"),
    ("post-checkout", "runs on git checkout, switch and worktree add"),
    ("post-rewrite", "runs on git rebase and commit --amend"),
    ("pre-rebase", "runs on git rebase"),
    ("pre-push", "runs on git push"),
    ("post-index-change", "runs on git status and add"),
    ("reference-transaction", "runs on git commands that change a branch, such as commit and fetch"),
    ("pre-auto-gc", "runs on git gc, and so on pull and fetch"),
    ("applypatch-msg pre-applypatch post-applypatch", "runs on git am"),
    ("sendemail-validate", "runs on git send-email"),
    ("pre-receive update proc-receive post-receive post-update push-to-checkout", ON_PUSH_HERE),
];

const ON_PUSH_HERE: &str = "runs on a git push to this repository";

/// Drivers that git has built in.
const MERGE_DRIVERS: &str = "text binary union";
const DIFF_DRIVERS: &str = "ada bash bibtex cpp csharp css dts elixir fortran fountain golang html ini java kotlin \
                            markdown matlab objc pascal perl php python ruby rust scheme tex";

/// The number of drivers that one file with attributes may name.
const MAX_DRIVERS: usize = 100;

/// Adds the hooks in a directory.
pub fn hooks(tree: &Tree, dir: &Path, findings: &mut Findings) {
    for name in tree.names(dir) {
        if tree.limits.is_late() {
            return;
        }
        if name.as_bytes().ends_with(b".sample") {
            continue;
        }
        let path = dir.join(&name);
        let known = HOOKS.iter().find(|(hooks, _)| hooks.split(' ').any(|hook| name == hook));
        let (what, (content, changed)) = match tree.node(&path) {
            Node::File(status) if status.mode & 0o111 != 0 => {
                ("executable hook".to_owned(), (tree.digest(&path), status.changed))
            }
            Node::Link(target, status) => {
                let what = format!("hook, {}", display::link(&target));
                (what, digest_of_link(tree, dir, &target, status.changed))
            }
            _ => continue,
        };
        let (path, trigger) = (path.clone(), known.map_or("runs if a hook calls it", |(_, trigger)| trigger));
        findings.add(Sighting { path, what, trigger, content: &content, changed });
    }
}

/// Returns a digest of a link in `dir`, changed at `changed`, together with the file that it leads to; and the time of the last
/// change of either.
pub fn digest_of_link(tree: &Tree, dir: &Path, target: &Path, changed: i64) -> (Vec<u8>, i64) {
    let mut content = path_bytes(target).to_vec();
    let Some(real) = tree.resolve(dir, target) else { return (content, changed) };
    match tree.node(&real) {
        Node::File(status) => {
            content.extend(tree.digest(&real));
            (content, changed.max(status.changed))
        }
        _ => (content, changed),
    }
}

/// Adds the drivers that a file with attributes names, for which the user's configuration may have commands.
pub fn attributes(tree: &Tree, path: &Path, findings: &mut Findings) {
    let Node::File(status) = tree.node(path) else { return };
    let Some(text) = tree.read(path) else { return };
    let mut drivers = HashSet::new();
    for (count, line) in text.split(|c| *c == b'\n').enumerate() {
        if count.is_multiple_of(256) && tree.limits.is_late() {
            return;
        }
        let line = line.trim_ascii_start();
        if line.starts_with(b"#") {
            continue;
        }
        drivers.extend(line.split(u8::is_ascii_whitespace).skip(1).filter(|word| names_driver(word)));
        if drivers.len() > MAX_DRIVERS {
            tree.limits.note_gap(format!("{} names too many drivers", display::name(path)));
            break;
        }
    }
    for driver in drivers {
        let (path, what) = (path.to_owned(), shorten(&String::from_utf8_lossy(driver)));
        let trigger = "git runs the command that your configuration has for it, if any";
        findings.add(Sighting { path, what, trigger, content: driver, changed: status.changed });
    }
}

/// Returns whether an attribute names a driver that git doesn't have built in.
fn names_driver(attribute: &[u8]) -> bool {
    let Some(equals) = attribute.iter().position(|c| *c == b'=') else { return false };
    let (name, driver) = (&attribute[..equals], &attribute[equals + 1..]);
    let is_in = |drivers: &str| drivers.split(' ').any(|known| known.as_bytes() == driver);
    match name {
        b"filter" => true,
        b"diff" => !is_in(DIFF_DRIVERS),
        b"merge" => !is_in(MERGE_DRIVERS),
        _ => false,
    }
}

/// Returns the finding about a file that git doesn't read to its end.
pub fn refused(path: PathBuf, text: &[u8], status: Status) -> Sighting<'_> {
    let (what, trigger) =
        ("file with an error".to_owned(), "git refuses it; other programs may read and act on the rest");
    Sighting { path, what, trigger, content: text, changed: status.changed }
}

/// Adds the settings in `.gitmodules` that git acts on.
pub fn gitmodules(tree: &Tree, path: &Path, findings: &mut Findings) {
    let Node::File(status) = tree.node(path) else { return };
    let Some(text) = tree.read(path) else { return };
    if git_config::all_entries(&text).is_none() {
        findings.add(refused(path.to_owned(), &text, status));
    }
    for entry in git_config::entries(&text).filter(|entry| entry.section == "submodule") {
        // git reads few settings of this file, other programs keep theirs in it.
        if let Some(trigger) = git_settings::trigger(&entry).filter(|it| *it != git_settings::UNKNOWN) {
            let (path, what) = (path.to_owned(), git_settings::show(&entry));
            let content = entry.value.as_deref().unwrap_or_default();
            findings.add(Sighting { path, what, trigger, content, changed: status.changed });
        }
    }
}
