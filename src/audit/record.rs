//! The record that a cage keeps in labels of the findings that were in its project before: a salt that programs in the
//! cage can't know, short digests, and the time.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use sha2::{Digest as _, Sha256};

use super::finding::Finding;
use super::git_settings;

/// The longest label that every engine takes.
const MAX_LABEL: usize = 4096;

/// The number of hexadecimal digits of the salt and of each digest.
pub const SALT: usize = 16;
/// See [`SALT`].
pub const DIGEST: usize = 8;

/// The last character of a label that has no room for all digests.
const CUT: char = '+';

/// The findings that were in a project before its cage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The salt and the digests; empty without findings.
    pub label: String,
    /// When the cage was created, in Unix seconds.
    pub since: i64,
}

impl Record {
    /// Records findings.
    pub fn new(findings: &[Finding], since: i64) -> Self {
        if findings.is_empty() {
            return Self { label: String::new(), since };
        }
        let mut label = format!("{:016x}", RandomState::new().build_hasher().finish());
        let mut digests: Vec<String> = findings.iter().map(|finding| digest(finding, &label)).collect();
        digests.sort_unstable();
        let room = (MAX_LABEL - SALT - 1) / DIGEST;
        label.extend(digests.iter().take(room).map(String::as_str));
        if digests.len() > room {
            label.push(CUT);
        }
        Self { label, since }
    }

    /// Returns whether there were more findings than a label has room for.
    pub fn is_cut(&self) -> bool {
        self.label.ends_with(CUT)
    }

    /// Returns the findings that are new.
    pub fn new_among(&self, findings: &[Finding]) -> Vec<Finding> {
        let salt = self.label.get(..SALT).unwrap_or_default();
        let digests = self.label.as_bytes().get(SALT..).unwrap_or_default();
        let digests: HashSet<&[u8]> = digests.chunks_exact(DIGEST).collect();
        let is_new = |finding: &&Finding| match finding.changed {
            None => !digests.contains(digest(finding, salt).as_bytes()),
            // A change in the very second of the creation may have come after it.
            Some(changed) => changed >= self.since,
        };
        findings.iter().filter(is_new).cloned().collect()
    }
}

/// Returns the findings that count as new without a record: all but remotes, which nearly every repository has.
pub fn without_remotes(findings: &[Finding]) -> Vec<Finding> {
    findings.iter().filter(|finding| finding.trigger != git_settings::REMOTE).cloned().collect()
}

/// Returns a short digest of a finding. Without the salt, no program can make another finding with the same digest.
fn digest(finding: &Finding, salt: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(salt);
    hash.update(finding.identity);
    hex::encode(&hash.finalize()[..DIGEST / 2])
}
