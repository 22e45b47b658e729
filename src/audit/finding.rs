//! Findings and their collection.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::limits::Limits;
use crate::base::text::quote;

/// A file or setting that the host would run or trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The path, relative to the project, as it is shown. Not escaped.
    pub path: String,
    /// The path, which may not be UTF-8.
    #[serde(skip)]
    pub place: PathBuf,
    /// The kind of file, or the setting: `core.fsmonitor=./x`. Not escaped.
    pub what: String,
    /// When the host runs or trusts it.
    pub trigger: &'static str,
    /// A digest of path, text and content.
    #[serde(skip)]
    pub identity: [u8; 32],
    /// The time of the last change in Unix seconds.
    #[serde(skip)]
    pub time: i64,
    /// The same, if that tells the age of the finding instead of the cage's record.
    #[serde(skip)]
    pub changed: Option<i64>,
}

impl Finding {
    /// Returns the text for people: one line once it is escaped.
    pub fn line(&self) -> String {
        format!("{}: {}  ({})", quote(&self.path), self.what, self.trigger)
    }
}

/// A file or setting to be added to the findings.
#[derive(Debug)]
pub struct Sighting<'a> {
    /// The path as it is shown.
    pub path: PathBuf,
    /// The kind of file, or the setting.
    pub what: String,
    /// When the host runs or trusts it.
    pub trigger: &'static str,
    /// Bytes that change with the content, such as a program's digest.
    pub content: &'a [u8],
    /// The time of the last change in Unix seconds.
    pub changed: i64,
}

/// The findings of a scan, without duplicates.
#[derive(Debug)]
pub struct Findings {
    list: Vec<Finding>,
    /// Digests of the findings in the list, with and without their content.
    listed: HashSet<[u8; 32]>,
    /// Whether further findings are dated by their last change instead of the cage's record.
    dates_by_change: bool,
    /// The earliest time that counts as a last change.
    not_before: i64,
    limits: Rc<Limits>,
}

impl Findings {
    /// Starts an empty collection.
    pub fn new(limits: Rc<Limits>) -> Self {
        let (list, listed) = (Vec::new(), HashSet::new());
        Self { list, listed, dates_by_change: false, not_before: i64::MIN, limits }
    }

    /// Dates further findings by their last change instead of the cage's record.
    pub fn date_by_change(&mut self) {
        self.dates_by_change = true;
    }

    /// Runs a scan of a directory that got its name at `time`: nothing in it counts as older, since renaming a directory
    /// leaves the times of its files alone.
    pub fn not_before(&mut self, time: i64, scan: impl FnOnce(&mut Self)) {
        let before = self.not_before;
        self.not_before = before.max(time);
        scan(self);
        self.not_before = before;
    }

    /// Adds a finding, unless it is listed already.
    pub fn add(&mut self, seen: Sighting) {
        // A file that was being read when the time was over may not have been read to its end.
        if self.limits.was_late() {
            return;
        }
        let mut hash = Sha256::new();
        for part in [seen.path.as_os_str().as_bytes(), seen.what.as_bytes()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let shown: [u8; 32] = hash.clone().finalize().into();
        hash.update([0]);
        hash.update(seen.content);
        let identity = hash.finalize().into();
        // The walk over the whole tree comes to recorded findings again, which may have changed meanwhile.
        if (self.dates_by_change && self.listed.contains(&shown)) || self.listed.contains(&identity) {
            return;
        }
        if self.limits.has_room_for_finding(self.list.len()) {
            self.listed.extend([shown, identity]);
            let path = seen.path.to_string_lossy().into_owned();
            let changed = self.dates_by_change.then_some(seen.changed.max(self.not_before));
            let Sighting { path: place, what, trigger, changed: time, .. } = seen;
            self.list.push(Finding { path, place, what, trigger, identity, time, changed });
        }
    }

    /// Returns the findings, sorted by path.
    pub fn into_sorted(self) -> Vec<Finding> {
        let mut list = self.list;
        list.sort_by(|a, b| (&a.path, &a.place, &a.what).cmp(&(&b.path, &b.place, &b.what)));
        list
    }
}

/// Returns the bytes of a path.
pub fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}
