//! Looking up files in the table of known names.

use std::collections::HashMap;

use super::known_names::FILES;

/// Directories of downloaded packages. People don't open a package as a project of its own, so known names in them
/// don't count.
const PACKAGES: &[&[u8]] = &[b"node_modules", b"site-packages"];

/// The largest number of names at the end of a pattern, counted from its last name without `*`.
const MAX_TAIL: usize = 3;

/// A name in a pattern, as its parts before and after `*`.
#[derive(Debug)]
struct Name {
    start: &'static [u8],
    end: Option<&'static [u8]>,
}

/// The names of a pattern, and what the host does with the file.
type Pattern = (Vec<Name>, &'static str);

/// The table of known files, ready for lookups.
#[derive(Debug, Default)]
pub struct KnownFiles {
    /// Patterns by their last name without `*`, in lower case, and the number of names after it.
    by_name: HashMap<(usize, String), Vec<Pattern>>,
    /// Patterns in which each name has a `*`.
    others: Vec<Pattern>,
}

impl KnownFiles {
    /// Reads the table.
    pub fn new() -> Self {
        let mut files = Self::default();
        for (patterns, trigger) in FILES {
            for pattern in patterns.split(' ') {
                let parts: Vec<_> = pattern.split('/').collect();
                let named = parts.iter().rev().enumerate().find(|(_, name)| !name.contains('*'));
                let list = match named {
                    Some((after, name)) => {
                        files.by_name.entry((after, name.to_ascii_lowercase())).or_default()
                    }
                    None => &mut files.others,
                };
                list.push((parts.into_iter().map(Name::new).collect(), *trigger));
            }
        }
        files
    }

    /// Returns what the host does with a file called `name` in the directories `dirs`, and how many of those make it known.
    pub fn trigger(&self, dirs: &[&[u8]], name: &[u8]) -> Option<(&'static str, usize)> {
        let fits = |pattern: &[Name]| {
            let path = dirs.iter().chain([&name]);
            dirs.len() + 1 >= pattern.len()
                && path.rev().zip(pattern.iter().rev()).all(|(name, pattern)| pattern.fits(name))
        };
        let tail = [name].into_iter().chain(dirs.iter().rev().copied()).take(MAX_TAIL).enumerate();
        let named = tail.filter_map(|(after, name)| {
            let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
            self.by_name.get(&(after, name))
        });
        let mut patterns = named.flatten().chain(&self.others);
        let (pattern, trigger) = patterns.find(|(pattern, _)| fits(pattern))?;
        (!dirs.iter().any(|name| PACKAGES.contains(name))).then_some((trigger, pattern.len() - 1))
    }

    /// Returns whether a known file may be below a directory called `name` in the directories `dirs`. With `at_top`, only
    /// patterns that begin at the top of the project count.
    pub fn may_be_below(&self, dirs: &[&[u8]], name: &[u8], at_top: bool) -> bool {
        let path: Vec<&[u8]> = dirs.iter().copied().chain([name]).collect();
        let leads_on = |pattern: &[Name]| {
            let least = if at_top { path.len() } else { 1 };
            (least..=path.len()).any(|count| {
                let end = &path[path.len() - count..];
                pattern.len() > count && end.iter().zip(pattern).all(|(name, pattern)| pattern.fits(name))
            })
        };
        let mut patterns = self.by_name.values().flatten().chain(&self.others);
        patterns.any(|(pattern, _)| leads_on(pattern))
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
