//! Other worktrees of the project's repository. In a cage they are not there, and `git worktree prune` would delete the records of
//! them in the repository, with their index and staged changes. An empty placeholder at the path of each one's `.git` file, in the
//! container's own layer, keeps git from that.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::OFlags;

use crate::base::{console, file, script, text, time};
use crate::cage::create_options::CreateOptions;
use crate::cage::engine_args;
use crate::cage::existing::Cage;
use crate::cage::options::NO_ROOT;
use crate::engine::runtime::Runtime;
use crate::host::git_dirs::{self, Worktree};
use crate::host::machine::Host;
use crate::host::worktree::GitDir;
use crate::lifecycle::plan::Step;

/// Creates placeholders in a running cage.
const PLACEHOLDERS: &str = script::body(include_str!("placeholders.sh"));

/// The worktrees of a project, and its cage.
#[derive(Debug)]
pub struct Worktrees {
    project: PathBuf,
    found: Vec<Worktree>,
    /// The paths at which the cage mounts something.
    mounts: Vec<String>,
    /// The time at which the cage was created; `None` if the engine doesn't tell.
    since: Option<SystemTime>,
}

impl Worktrees {
    /// Finds the worktrees of the project at this path for a cage with these mounts that was created at `since`.
    pub(super) fn of(project: PathBuf, mounts: Vec<String>, since: Option<SystemTime>) -> Self {
        let found = git_dirs::worktrees(&project, &git_dirs::of(&project, &GitDir::of(&project)));
        Self { project, found, mounts, since }
    }

    /// Finds the worktrees of a cage's project.
    pub fn of_cage(cage: &Cage, kept: &CreateOptions) -> Self {
        let passed_on = engine_args::places(&kept.engine_args).into_iter().map(|place| place.target);
        let mounted = cage.mounts.iter().map(|mount| mount.destination.clone());
        let since = cage.created.as_deref().and_then(time::parse);
        Self::of(cage.project().into(), mounted.chain(passed_on).collect(), since)
    }

    /// Returns whether a path is in a mount, or where the kernel's file systems are.
    fn is_mounted(&self, path: &Path) -> bool {
        let kernels = ["/proc", "/sys", "/dev"].into_iter();
        let mut mounts = kernels.chain(self.mounts.iter().map(String::as_str));
        mounts.any(|mount| path.starts_with(mount))
    }

    /// Returns the paths of the placeholders that the cage needs.
    pub(super) fn placeholders(&self) -> BTreeSet<String> {
        let here = self.found.iter().filter_map(|worktree| match worktree {
            Worktree::Here(file) => Some(file),
            Worktree::Gone(..) => None,
        });
        let needed = here.filter(|file| !self.is_mounted(file));
        needed.filter_map(|file| file.to_str()).map(str::to_owned).collect()
    }

    /// Returns the worktrees that only the cage has: they were registered since it was created, are not on this machine and in no
    /// mount.
    pub fn only_inside(&self) -> Vec<String> {
        let inside = self.found.iter().filter_map(|worktree| match worktree {
            Worktree::Gone(path, at) if self.since.is_some_and(|since| *at >= since) => Some(path),
            Worktree::Gone(..) | Worktree::Here(_) => None,
        });
        inside.filter(|path| !self.is_mounted(path)).map(|path| path.to_string_lossy().into_owned()).collect()
    }

    /// Returns the stores of objects from which the project's repositories borrow and which no mount brings into the cage.
    pub(super) fn borrowed(&self) -> Vec<String> {
        let git_dirs = git_dirs::of(&self.project, &GitDir::of(&self.project));
        let stores = git_dirs::alternates(&git_dirs).into_iter();
        let missing = stores.filter(|store| !store.starts_with(&self.project) && !self.is_mounted(store));
        missing.filter_map(|store| store.to_str().map(str::to_owned)).collect()
    }

    /// Looks again, and warns a user who leaves the cage about worktrees that only the cage has.
    pub fn tell_only_inside(self) {
        let inside = Self::of(self.project, self.mounts, self.since).only_inside();
        if !inside.is_empty() {
            console::warn(&format!(
                "{} only in the cage, and lost when that is replaced or removed: commit what is in it, and make worktrees \
                 below the project",
                are(&inside)
            ));
        }
    }
}

/// Returns the subject and the verb of a sentence about these worktrees.
pub fn are(paths: &[impl AsRef<str>]) -> String {
    let (s, are) = if paths.len() == 1 { ("", "is") } else { ("s", "are") };
    format!("the worktree{s} {} {are}", text::names(paths))
}

/// Returns the step that records the placeholders of a cage.
pub(super) fn record(host: &Host, name: &str, placeholders: &BTreeSet<String>) -> Option<Step> {
    let path = host.state_file(name, "worktrees")?;
    if placeholders.is_empty() {
        return path.exists().then_some(Step::Unlink(path));
    }
    let lines: Vec<&str> = placeholders.iter().map(String::as_str).collect();
    Some(Step::Write(path, lines.join("\n")))
}

/// Returns the steps that create the placeholders that a running cage lacks, and remove those of worktrees that are gone. Without
/// root that is impossible.
pub fn update(host: &Host, runtime: &Runtime, cage: &Cage, kept: &CreateOptions) -> Vec<Step> {
    let needed = Worktrees::of_cage(cage, kept).placeholders();
    let known = recorded(host, cage.final_name());
    if needed == known {
        return Vec::new();
    }
    if kept.has(NO_ROOT) {
        let new: Vec<&str> = needed.difference(&known).map(|file| file.trim_end_matches("/.git")).collect();
        let warn = || {
            Step::Warn(format!(
                "{} newer than the cage, where `git worktree prune` would delete git's record; `cage restart` prevents that",
                are(&new)
            ))
        };
        return (!new.is_empty()).then(warn).into_iter().collect();
    }
    let mut args = vec!["exec", "--workdir", "/", "--user", "0"];
    args.extend(script::NO_LIBRARIES);
    args.extend([&cage.id, "/bin/sh", "-c", PLACEHOLDERS, "sh"]);
    args.extend(needed.difference(&known).map(String::as_str));
    args.push("--");
    args.extend(known.difference(&needed).map(String::as_str));
    let change = Step::Try(runtime.command(args));
    [change].into_iter().chain(record(host, cage.final_name(), &needed)).collect()
}

/// Returns the placeholders that a cage has.
fn recorded(host: &Host, name: &str) -> BTreeSet<String> {
    let read = |path: PathBuf| file::read_small("file", &path, OFlags::empty()).ok().flatten();
    let text = host.state_file(name, "worktrees").and_then(read).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}
