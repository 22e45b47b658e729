//! The record of what was in a project before its first cage, so that `cage check` can tell what is new.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::audit;
use crate::audit::Scope;
use crate::engine::container::{Container, SEEN_LABEL, SINCE_LABEL};

/// The findings that were in a project before its first cage. A cage that replaces another one keeps the record.
#[derive(Debug, Clone, Default)]
pub struct Baseline {
    seen: String,
    since: String,
}

impl Baseline {
    /// Returns the record of the cage that a new one replaces, so that a replacement doesn't hide findings. Without a
    /// recorded one, scans the project.
    pub fn of(project: &Path, old: Option<&Container>) -> Self {
        let kept = old.and_then(|old| Some((old.label(SEEN_LABEL)?, old.label(SINCE_LABEL)?)));
        if let Some((seen, since)) = kept {
            // Without a time that can be read, anything may be new.
            let since = if since.parse::<i64>().is_ok() { since } else { "0" };
            return Self { seen: seen.to_owned(), since: since.to_owned() };
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // A finding that this scan misses counts as new later.
        let seen = audit::to_label(&audit::scan(project, Scope::Top, None).findings);
        Self { seen, since: now.as_secs().to_string() }
    }

    /// Returns the label with the digests of the findings.
    pub fn seen(&self) -> &str {
        &self.seen
    }

    /// Returns the labels that keep the record; none without a project.
    pub fn labels(&self) -> Vec<(&'static str, String)> {
        if self.since.is_empty() {
            return Vec::new();
        }
        vec![(SEEN_LABEL, self.seen.clone()), (SINCE_LABEL, self.since.clone())]
    }
}
