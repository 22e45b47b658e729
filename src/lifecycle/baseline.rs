//! The record of what was in a project before its first cage, so that `cage check` can tell what is new.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::audit;
use crate::audit::{Record, Scope};
use crate::cage::existing::{Cage, SEEN_LABEL, SINCE_LABEL};

/// The record for a new cage; the default is none.
#[derive(Debug, Clone, Default)]
pub struct Baseline(Option<Record>);

impl Baseline {
    /// Returns the record of the cage that a new one replaces, so that a replacement doesn't hide findings. Without one,
    /// scans the project.
    pub fn of(project: &Path, old: Option<&Cage>) -> Self {
        let scan = || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            // A finding that this scan misses counts as new later.
            let findings = audit::scan(project, Scope::Top).findings;
            Record::new(&findings, i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
        };
        Self(Some(old.and_then(Self::recorded).unwrap_or_else(scan)))
    }

    /// Returns the record in the labels of a cage.
    pub fn recorded(cage: &Cage) -> Option<Record> {
        // Without a time that can be read, anything may be new.
        let since = cage.label(SINCE_LABEL)?.parse().unwrap_or(0);
        Some(Record { label: cage.label(SEEN_LABEL)?.to_owned(), since })
    }

    /// Returns the label with the digests of the findings.
    pub fn seen(&self) -> &str {
        self.0.as_ref().map_or("", |record| &record.label)
    }

    /// Returns the labels that keep the record.
    pub fn labels(&self) -> Vec<(&'static str, String)> {
        let Some(Record { label, since }) = &self.0 else { return Vec::new() };
        vec![(SEEN_LABEL, label.clone()), (SINCE_LABEL, since.to_string())]
    }
}
