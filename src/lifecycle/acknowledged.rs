//! Findings in a project that the user has accepted, and those that were listed last.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::audit::Finding;
use crate::base::file;
use crate::host::machine::Host;

/// The file of a cage, `~/.local/state/cage/NAME.accepted`. No cage can write there.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Acknowledged {
    #[serde(skip)]
    path: Option<PathBuf>,
    /// Accepted findings by identity, with the time of their last change if that tells their age.
    accepted: BTreeMap<String, Option<i64>>,
    /// The findings that `cage check` or the end of a session listed last, by identity, with the time of their last change: code that
    /// runs could show the user other content meanwhile.
    listed: BTreeMap<String, i64>,
}

impl Acknowledged {
    /// Reads the file of the cage `name`. Without one that can be read, nothing is accepted.
    pub fn of(host: &Host, name: &str) -> Self {
        // Another user could accept findings for this one.
        let path = host.state_dir().filter(|dir| !file::is_foreign(dir));
        let path = path.and_then(|_| host.state_file(name, "accepted"));
        let read = |path: &PathBuf| serde_json::from_str(&fs::read_to_string(path).ok()?).ok();
        Self { path: path.clone(), ..path.as_ref().and_then(read).unwrap_or_default() }
    }

    /// Returns the findings that are not accepted, or that changed after they were.
    pub fn others(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        findings.retain(|finding| match self.accepted.get(&key(finding)) {
            None => true,
            Some(accepted) => finding.changed > *accepted,
        });
        findings
    }

    /// Accepts those of these findings that are as they were listed. Returns the others, which are listed now.
    ///
    /// # Errors
    /// When that can't be kept.
    pub fn accept<'a>(&mut self, findings: &'a [Finding]) -> io::Result<Vec<&'a Finding>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let last = i64::try_from(now.as_secs()).unwrap_or(i64::MAX) - 1;
        // A file that changed in this second may change in it once more.
        let accepted = |finding: &&Finding| (key(finding), finding.changed.map(|changed| changed.min(last)));
        let is_listed = |finding: &&Finding| self.listed.get(&key(finding)) == Some(&finding.time);
        let (same, others): (Vec<_>, Vec<_>) = findings.iter().partition(is_listed);
        self.accepted.extend(same.iter().map(accepted));
        self.listed.extend(others.iter().map(|finding| (key(finding), finding.time)));
        self.keep()?;
        Ok(others)
    }

    /// Remembers that these findings were listed. If that fails, they have to be listed again before they can be accepted.
    pub fn list(&mut self, findings: &[Finding]) {
        self.listed = findings.iter().map(|finding| (key(finding), finding.time)).collect();
        let _ = self.keep();
    }

    /// Returns whether some of these findings were not listed last.
    pub fn are_news(&self, findings: &[Finding]) -> bool {
        findings.iter().any(|finding| !self.listed.contains_key(&key(finding)))
    }

    fn keep(&self) -> io::Result<()> {
        let path = self.path.as_deref().ok_or(io::ErrorKind::NotFound)?;
        file::write_private(path, &serde_json::to_string(self)?)
    }
}

fn key(finding: &Finding) -> String {
    hex::encode(&finding.identity[..16])
}
