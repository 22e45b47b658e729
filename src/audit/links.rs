//! Where paths and links in a tree lead.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::tree::{Node, Tree};

/// The number of directories in a resolved path, each of which is opened again for every further one.
const MAX_DEPTH: usize = 100;

/// The number of links in a path that Linux follows.
const MAX_LINKS: usize = 40;

/// The longest path that Linux takes.
const MAX_PATH: usize = 4096;

impl Tree {
    /// Follows a path from `base` as the host would. Returns a path without links, if it stays in the tree and exists.
    pub fn resolve(&self, base: &Path, path: &Path) -> Option<PathBuf> {
        let mut done = base.to_owned();
        let mut todo = VecDeque::new();
        let mut links = 0;
        self.enqueue(path, &mut done, &mut todo)?;
        while let Some(name) = todo.pop_front() {
            if self.limits.is_late() {
                return None;
            }
            if name == ".." {
                if !done.pop() {
                    return None;
                }
                continue;
            }
            done.push(&name);
            if done.components().count() > MAX_DEPTH {
                self.limits
                    .note_gap(format!("a link or setting leads more than {MAX_DEPTH} directories deep"));
                return None;
            }
            match self.node(&done) {
                Node::Link(target, _) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return None;
                    }
                    done.pop();
                    self.enqueue(&target, &mut done, &mut todo)?;
                }
                Node::File(_) | Node::Special(_) if !todo.is_empty() => return None,
                Node::Absent => return None,
                Node::File(_) | Node::Special(_) | Node::Dir(_) => {}
            }
        }
        Some(done)
    }

    /// Puts the components of `path` in front of those still to be followed. `None` if it leads out of the tree.
    fn enqueue(&self, path: &Path, done: &mut PathBuf, todo: &mut VecDeque<OsString>) -> Option<()> {
        let relative = if path.is_absolute() {
            *done = PathBuf::new();
            self.below(path)?
        } else {
            path.to_owned()
        };
        if relative.as_os_str().len() > MAX_PATH {
            return None;
        }
        let names: Vec<&OsStr> = relative
            .components()
            .filter_map(|part| match part {
                Component::Normal(name) => Some(name),
                Component::ParentDir => Some(OsStr::new("..")),
                Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
            })
            .collect();
        for name in names.into_iter().rev() {
            todo.push_front(name.to_owned());
        }
        Some(())
    }

    /// Returns an absolute path as seen from the root of the tree, also if a link elsewhere leads there. `None` if it leads out.
    fn below(&self, path: &Path) -> Option<PathBuf> {
        if let Ok(below) = path.strip_prefix(&self.path) {
            return Some(below.to_owned());
        }
        let mut above: Vec<&Path> = path.ancestors().take(MAX_DEPTH).collect();
        above.reverse();
        for above in above {
            let real = fs::canonicalize(above).ok()?;
            if let (Ok(inside), Ok(rest)) = (real.strip_prefix(&self.path), path.strip_prefix(above)) {
                return Some(inside.join(rest));
            }
        }
        None
    }

    /// Returns whether a link to `target` in the directory `base` leads out of the tree.
    pub fn leads_out(&self, base: &Path, target: &Path) -> bool {
        let relative = if target.is_absolute() {
            match target.strip_prefix(&self.path) {
                // A `..` may follow.
                Ok(relative) => relative.to_owned(),
                Err(_) => return true,
            }
        } else {
            base.join(target)
        };
        let mut depth = 0_usize;
        for part in relative.components() {
            match part {
                Component::Normal(_) => depth += 1,
                Component::ParentDir if depth == 0 => return true,
                Component::ParentDir => depth -= 1,
                _ => {}
            }
        }
        // The directory before a later `..` may be a link itself.
        let names = target.components().skip_while(|part| !matches!(part, Component::Normal(_)));
        let climbs = names.skip(1).any(|part| part == Component::ParentDir);
        climbs && self.resolve(base, target).is_none()
    }
}
