//! Files that git runs, or reads for what to run: hooks, attributes, `.gitmodules`.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::Found;
use super::keys;
use super::tree::{Node, Tree};
use crate::host::git_config;

const HOOKS: &[(&str, &str)] = &[
    ("pre-commit", "runs on git commit"),
    ("prepare-commit-msg", "runs on git commit"),
    ("commit-msg", "runs on git commit"),
    ("post-commit", "runs on git commit"),
    ("pre-merge-commit", "runs on git merge and pull"),
    ("post-merge", "runs on git merge and pull"),
    ("post-checkout", "runs on git checkout, switch and worktree add"),
    ("post-rewrite", "runs on git rebase and commit --amend"),
    ("pre-rebase", "runs on git rebase"),
    ("pre-push", "runs on git push"),
    ("post-index-change", "runs on git status and add"),
    ("reference-transaction", "runs on git commit, fetch and whatever else changes a branch"),
    ("pre-auto-gc", "runs on git gc, and so on pull and fetch"),
    ("applypatch-msg", "runs on git am"),
    ("pre-applypatch", "runs on git am"),
    ("post-applypatch", "runs on git am"),
    ("sendemail-validate", "runs on git send-email"),
    ("pre-receive", "runs when somebody pushes here"),
    ("update", "runs when somebody pushes here"),
    ("proc-receive", "runs when somebody pushes here"),
    ("post-receive", "runs when somebody pushes here"),
    ("post-update", "runs when somebody pushes here"),
    ("push-to-checkout", "runs when somebody pushes here"),
];

/// How deep directories are looked through that a link leads to.
const BEHIND: usize = 2;

/// Drivers that git has itself.
const MERGE_DRIVERS: &[&[u8]] = &[b"text", b"binary", b"union"];
const DIFF_DRIVERS: &[&[u8]] = &[
    b"ada",
    b"bash",
    b"bibtex",
    b"cpp",
    b"csharp",
    b"css",
    b"dts",
    b"elixir",
    b"fortran",
    b"fountain",
    b"golang",
    b"html",
    b"ini",
    b"java",
    b"kotlin",
    b"markdown",
    b"matlab",
    b"objc",
    b"pascal",
    b"perl",
    b"php",
    b"python",
    b"ruby",
    b"rust",
    b"scheme",
    b"tex",
];

/// The hooks in a directory.
pub fn hook_files(tree: &Tree, dir: &Path, found: &mut Found) {
    for name in tree.names(dir) {
        if tree.limits.is_late() {
            return;
        }
        let path = dir.join(&name);
        if name.as_bytes().ends_with(b".sample") {
            continue;
        }
        let known = HOOKS.iter().find(|(hook, _)| name == *hook).map(|(_, trigger)| *trigger);
        let trigger = known.unwrap_or("runs if one of the hooks runs it");
        match tree.node(&path) {
            Node::File(status) if status.mode & 0o111 != 0 => {
                let content = tree.content(&path).unwrap_or_default();
                found.add(&tree.shown(&path), "executable hook", trigger, &content, status.changed);
            }
            Node::Link(target, status) => {
                let (content, changed) = behind(tree, dir, &target, status.changed);
                let what = format!("hook, link to {}", show(&target));
                found.add(&tree.shown(&path), what, trigger, &content, changed);
            }
            _ => {}
        }
    }
}

/// What tells what is behind a link in `dir` from anything else, and when link or file changed last.
pub fn behind(tree: &Tree, dir: &Path, target: &Path, changed: i64) -> (Vec<u8>, i64) {
    let mut content = bytes(target).to_vec();
    let Some(real) = tree.resolve(dir, target) else { return (content, changed) };
    match tree.node(&real) {
        Node::File(status) => {
            content.extend(tree.content(&real).into_iter().flatten());
            (content, changed.max(status.changed))
        }
        Node::Dir(status) => {
            let (below, last) = tree.contents(&real, BEHIND);
            content.extend(below);
            (content, changed.max(status.changed).max(last))
        }
        _ => (content, changed),
    }
}

/// What attributes name that a configuration may have a command for.
pub fn attributes(tree: &Tree, path: &Path, found: &mut Found) {
    let Node::File(status) = tree.node(path) else { return };
    if tree.limits.is_late() {
        return;
    }
    let Some(text) = tree.read(path) else { return };
    let mut named = HashSet::new();
    for (count, line) in text.split(|c| *c == b'\n').enumerate() {
        if count.is_multiple_of(256) && tree.limits.is_late() {
            return;
        }
        let line = line.trim_ascii_start();
        if line.starts_with(b"#") {
            continue;
        }
        for word in line.split(u8::is_ascii_whitespace).skip(1) {
            let Some(equals) = word.iter().position(|c| *c == b'=') else { continue };
            let driver = &word[equals + 1..];
            let own: &[&[u8]] = match &word[..equals] {
                b"filter" => &[],
                b"diff" => DIFF_DRIVERS,
                b"merge" => MERGE_DRIVERS,
                _ => continue,
            };
            if !own.contains(&driver) && named.len() < 100 && named.insert(word) {
                let what = keys::shorten(&String::from_utf8_lossy(word));
                let trigger = "git runs the command that your configuration has for it, if any";
                found.add(&tree.shown(path), what, trigger, word, status.changed);
            }
        }
    }
}

/// What `.gitmodules` makes git do.
pub fn gitmodules(tree: &Tree, path: &Path, found: &mut Found) {
    let Node::File(status) = tree.node(path) else { return };
    let Some(text) = tree.read(path) else { return };
    for entry in git_config::entries(&text).filter(|entry| entry.section == "submodule") {
        if let Some(trigger) = keys::trigger(&entry) {
            let value = entry.value.as_deref().unwrap_or_default();
            found.add(&tree.shown(path), keys::show(&entry), trigger, value, status.changed);
        }
    }
}

/// A path for people.
pub fn show(path: &Path) -> String {
    keys::shorten(&path.to_string_lossy())
}

/// A path as it is.
pub fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}
