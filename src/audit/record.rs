//! The record of findings that a cage keeps in a label: a salt that programs in the cage can't know, and short digests.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use sha2::{Digest as _, Sha256};

use super::finding::{Age, Finding};
use super::git_settings;

/// The longest label that every engine takes.
const MAX_LABEL: usize = 4096;

/// The number of hexadecimal digits of the salt and of each digest.
pub const SALT: usize = 16;
/// See [`SALT`].
pub const DIGEST: usize = 8;

/// The last character of a label that has no room for all digests.
const CUT: char = '+';

/// Returns a label that records findings; empty for none.
pub fn to_label(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let mut label = format!("{:016x}", RandomState::new().build_hasher().finish());
    let mut digests: Vec<String> = findings.iter().map(|finding| digest(finding, &label)).collect();
    digests.sort_unstable();
    let room = (MAX_LABEL - SALT - 1) / DIGEST;
    label.extend(digests.iter().take(room).map(String::as_str));
    if digests.len() > room {
        label.push(CUT);
    }
    label
}

/// Returns whether there were more findings than the label could record.
pub fn is_cut(label: &str) -> bool {
    label.ends_with(CUT)
}

/// Returns the findings that were not there when the cage was created. Without a label, nearly every finding counts as new.
pub fn new_findings(findings: Vec<Finding>, label: Option<&str>) -> Vec<Finding> {
    let has_record = label.is_some();
    let label = label.unwrap_or_default();
    let salt = label.get(..SALT).unwrap_or_default();
    let digests: HashSet<&[u8]> =
        label.as_bytes().get(SALT..).unwrap_or_default().chunks_exact(DIGEST).collect();
    let is_new = |finding: &Finding| match finding.age {
        // Nearly every repository has a remote, which is of interest only if it wasn't there before.
        _ if !has_record && finding.trigger == git_settings::REMOTE => false,
        Age::Recorded => !digests.contains(digest(finding, salt).as_bytes()),
        Age::Older => false,
        Age::Newer => true,
    };
    findings.into_iter().filter(is_new).collect()
}

/// Returns a short digest of a finding. Without the salt, no program can make another finding with the same digest.
fn digest(finding: &Finding, salt: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(salt);
    hash.update(finding.identity);
    hex::encode(&hash.finalize()[..DIGEST / 2])
}
