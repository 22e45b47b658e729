//! Looking up files in the table of known names.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::base::text::is_unsafe;

use super::known_names::{FILES, IDE_STATE, PYTHON, PYTHON_MODULES, STARTUP};

/// Directories of downloaded packages. People don't open a package as a project of its own, so known names in them
/// don't count, but for the start-up files of an interpreter.
const PACKAGES: &[&[u8]] = &[b"node_modules", b"site-packages"];

/// The largest number that [`passed_over`] returns.
pub const PASSED_OVER: usize = 2;

/// Returns how much is not looked at in a directory of this name, as it is folded: known names, or repositories as well.
pub fn passed_over(name: &[u8]) -> usize {
    let has_packages = || PACKAGES.iter().any(|packages| name.eq_ignore_ascii_case(packages));
    if name.eq_ignore_ascii_case(b".git") { PASSED_OVER } else { usize::from(has_packages()) }
}

/// The largest number of names at the end of a pattern, counted from its last name without `*`.
const MAX_TAIL: usize = 3;

/// The end of a pattern for a whole directory.
const EVERYTHING: &str = "/**";

/// A name in a pattern, as its parts before and after `*`.
#[derive(Debug)]
struct Name {
    start: &'static [u8],
    end: Option<&'static [u8]>,
}

/// A line of the table.
#[derive(Debug)]
struct Pattern {
    /// The name of the file, after those of the directories that it must be in; or the names of a directory.
    path: &'static str,
    /// What the host does with the file.
    trigger: &'static str,
    /// Whether it counts also in a directory of packages.
    in_packages: bool,
}

/// The table of known files, ready for lookups.
#[derive(Debug, Default)]
pub struct KnownFiles {
    /// Patterns by their last name without `*`, in lower case, and the number of names after it.
    by_name: HashMap<(usize, Cow<'static, str>), Vec<Pattern>>,
    /// Patterns in which each name has a `*`.
    others: Vec<Pattern>,
    /// Directories in which every file counts, by their last name in lower case.
    trees: HashMap<Cow<'static, str>, Vec<Pattern>>,
}

impl KnownFiles {
    /// Reads the table.
    pub fn new() -> Self {
        let by_name = HashMap::with_capacity(FILES.len() * 4);
        let mut files = Self { by_name, ..Self::default() };
        let all = FILES.iter().map(|line| (line, false)).chain(STARTUP.iter().map(|line| (line, true)));
        for (&(line, trigger), in_packages) in all {
            for pattern in line.split(' ') {
                let tree = pattern.strip_suffix(EVERYTHING);
                let path = tree.unwrap_or(pattern);
                let has_star = |name: &str| name.bytes().any(|c| c == b'*');
                let named = path.rsplit('/').enumerate().find(|(_, name)| !has_star(name));
                let list = match (tree, named) {
                    (Some(_), Some((_, name))) => files.trees.entry(in_lower_case(name)).or_default(),
                    (None, Some((after, name))) => {
                        files.by_name.entry((after, in_lower_case(name))).or_default()
                    }
                    (_, None) => &mut files.others,
                };
                list.push(Pattern { path, trigger, in_packages });
            }
        }
        files
    }

    /// Returns what the host does with a file called `name` in the directories `dirs`, and how many of those make it known.
    pub fn trigger(&self, dirs: &[&[u8]], name: &[u8]) -> Option<(&'static str, usize)> {
        let is_ide_state = || IDE_STATE.split(' ').any(|state| name.eq_ignore_ascii_case(state.as_bytes()));
        if dirs.last().is_some_and(|dir| dir.eq_ignore_ascii_case(b".idea")) && is_ide_state() {
            return None;
        }
        let path = || dirs.iter().chain([&name]).rev();
        let tail = path().take(MAX_TAIL).enumerate();
        let named = tail.filter_map(|(after, name)| {
            let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
            self.by_name.get(&(after, name.into()))
        });
        // A directory that a pattern takes under any name may have the name of one of packages.
        let in_packages = |pattern: &Pattern| {
            let above = dirs.len() + 1 - pattern.depth();
            dirs[..above].iter().any(|name| PACKAGES.contains(name))
        };
        let fits = |pattern: &&Pattern| {
            dirs.len() + 1 >= pattern.depth()
                && path().zip(pattern.names().rev()).all(|(name, pattern)| pattern.fits(name))
                && (pattern.in_packages || !in_packages(pattern))
        };
        let known = named.flatten().chain(&self.others).find(fits);
        let known = known.map(|pattern| (pattern.trigger, pattern.depth() - 1));
        known.or_else(|| shadows_module(dirs, name).then_some((PYTHON, dirs.len())))
    }

    /// Returns what the host does with every file in the directories `dirs`, and how many of those make them known.
    pub fn tree(&self, dirs: &[&[u8]]) -> Option<(&'static str, usize)> {
        if dirs.iter().any(|name| PACKAGES.contains(name)) {
            return None;
        }
        dirs.iter().enumerate().find_map(|(at, name)| {
            let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
            let fits = |pattern: &&Pattern| ends_with(&dirs[..=at], pattern);
            let pattern = self.trees.get(&*name)?.iter().find(fits)?;
            Some((pattern.trigger, dirs.len() - at + pattern.depth() - 1))
        })
    }

    /// Returns whether a known file may be below a directory called `name` in the directories `dirs`. With `at_top`, only
    /// patterns that begin at the top of the project count.
    pub fn may_be_below(&self, dirs: &[&[u8]], name: &[u8], at_top: bool) -> bool {
        let path: Vec<&[u8]> = dirs.iter().copied().chain([name]).collect();
        let leads_on = |pattern: &Pattern| {
            let least = if at_top { path.len() } else { 1 };
            (least..=path.len()).any(|count| {
                let end = &path[path.len() - count..];
                pattern.depth() > count
                    && end.iter().zip(pattern.names()).all(|(name, pattern)| pattern.fits(name))
            })
        };
        let contains = |pattern: &Pattern| {
            let depth = pattern.depth();
            let last = if at_top { 0 } else { path.len().saturating_sub(depth) };
            (0..=last)
                .any(|start| path.get(start..start + depth).is_some_and(|dirs| ends_with(dirs, pattern)))
        };
        let mut files = self.by_name.values().flatten().chain(&self.others);
        let mut trees = self.trees.values().flatten();
        files.any(leads_on)
            || trees.any(|pattern| leads_on(pattern) || contains(pattern))
            || (path.len() == 1 && is_module(name))
    }
}

/// Returns whether a file at the top of the project is a module that python and its tools import: source, bytecode or a library.
fn shadows_module(dirs: &[&[u8]], name: &[u8]) -> bool {
    let Some(dot) = name.iter().position(|c| *c == b'.') else { return false };
    let (stem, end) = name.split_at(dot);
    let is_code = [b".py".as_slice(), b".pyc", b".so", b".pyd"].iter().any(|suffix| end.ends_with(suffix));
    match dirs {
        [] => is_code && is_module(stem),
        [package] => is_code && (stem == b"__init__" || stem == b"__main__") && is_module(package),
        _ => false,
    }
}

/// Returns whether python imports a module of this name. Next to many is one in C: `_json`.
fn is_module(name: &[u8]) -> bool {
    let public = name.strip_prefix(b"_").unwrap_or(name);
    let is = |module: &str| module.as_bytes() == name || module.as_bytes() == public;
    PYTHON_MODULES.split_ascii_whitespace().any(is) || name.starts_with(b"_sysconfigdata_")
}

/// Returns a name as a file system compares it that ignores case in all scripts and what can't be seen: there `.vſcode` is
/// `.vscode`. An ASCII name is returned as it is.
pub fn folded(name: &OsStr) -> Cow<'_, [u8]> {
    match name.to_str() {
        Some(text) if !text.is_ascii() => {
            let visible: String = text.chars().filter(|c| !is_unsafe(*c)).collect();
            visible.to_uppercase().to_lowercase().into_bytes().into()
        }
        _ => name.as_bytes().into(),
    }
}

fn in_lower_case(name: &'static str) -> Cow<'static, str> {
    if name.bytes().any(|c| c.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { name.into() }
}

fn ends_with(dirs: &[&[u8]], pattern: &Pattern) -> bool {
    dirs.len() >= pattern.depth()
        && dirs.iter().rev().zip(pattern.names().rev()).all(|(dir, name)| name.fits(dir))
}

impl Pattern {
    fn names(&self) -> impl DoubleEndedIterator<Item = Name> {
        self.path.split('/').map(Name::new)
    }

    /// Returns the number of names.
    fn depth(&self) -> usize {
        1 + self.path.bytes().filter(|c| *c == b'/').count()
    }
}

impl Name {
    /// Reads a name with at most one `*`.
    fn new(pattern: &'static str) -> Self {
        match pattern.split_once('*') {
            None => Self { start: pattern.as_bytes(), end: None },
            Some((start, end)) => Self { start: start.as_bytes(), end: Some(end.as_bytes()) },
        }
    }

    /// Returns whether a name fits, in any case: on some systems `.VSCode` is `.vscode`.
    fn fits(&self, name: &[u8]) -> bool {
        let Some(end) = self.end else { return self.start.eq_ignore_ascii_case(name) };
        let begins =
            |start: &[u8]| name.get(..start.len()).is_some_and(|part| part.eq_ignore_ascii_case(start));
        let ends = || name[name.len() - end.len()..].eq_ignore_ascii_case(end);
        name.len() >= self.start.len() + end.len() && begins(self.start) && ends()
    }
}
