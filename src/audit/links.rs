//! Where paths and links in a tree lead.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::tree::{Node, Tree};
use crate::base::file;

/// The number of directories in a resolved path, each of which is opened again for every further one.
const MAX_DEPTH: usize = 100;

/// The number of links in a path that Linux follows.
const MAX_LINKS: usize = 40;

/// The longest path that Linux takes.
const MAX_PATH: usize = 4096;

impl Tree {
    /// Follows a path from `base` as the host would. Returns a path without links, if it ends in the tree and exists.
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
                if done == self.root_of(&done) {
                    let above = self.absolute(&done).parent()?.to_owned();
                    self.enqueue(&above, &mut done, &mut todo)?;
                } else {
                    done.pop();
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

    /// Puts the components of `path` in front of those still to be followed. `None` if they lead out of the tree.
    fn enqueue(&self, path: &Path, done: &mut PathBuf, todo: &mut VecDeque<OsString>) -> Option<()> {
        let mut path = path.to_owned();
        if path.is_absolute() {
            path.extend(todo.drain(..));
            (*done, path) = self.enter(&path)?;
        }
        if path.as_os_str().len() > MAX_PATH {
            return None;
        }
        let names = path.components().filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
        });
        for name in names.rev() {
            todo.push_front(name);
        }
        Some(())
    }

    /// Returns the directory of the tree by which an absolute path comes into it, also if a link elsewhere leads there, and the rest
    /// of the path. `None` if it stays outside.
    fn enter(&self, path: &Path) -> Option<(PathBuf, PathBuf)> {
        let mut above: Vec<&Path> = path.ancestors().collect();
        above.reverse();
        for above in above.into_iter().take(MAX_DEPTH) {
            if self.limits.is_late() {
                return None;
            }
            if let Some(inside) = self.inside(&fs::canonicalize(above).ok()?) {
                return Some((inside, path.strip_prefix(above).ok()?.to_owned()));
            }
        }
        None
    }

    /// Returns whether a link to `target` in the directory `base` leads out of the tree.
    pub fn leads_out(&self, base: &Path, target: &Path) -> bool {
        let end = file::lexical(&self.absolute(base).join(target));
        // The directory before a later `..` may be a link itself.
        let names = target.components().skip_while(|part| !matches!(part, Component::Normal(_)));
        let climbs = names.skip(1).any(|part| part == Component::ParentDir);
        self.inside(&end).is_none() || (climbs && self.resolve(base, target).is_none())
    }
}
