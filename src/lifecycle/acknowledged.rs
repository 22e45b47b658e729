//! Findings in a project that the user has accepted, and those that were reported last.

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
pub struct Acknowledged {
    #[serde(skip)]
    path: Option<PathBuf>,
    /// Accepted findings by identity, with the time of their last change if that tells their age.
    accepted: BTreeMap<String, Option<i64>>,
    /// The identities of the findings that a session ended with last.
    reported: Vec<String>,
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

    /// Accepts findings as they are now.
    ///
    /// # Errors
    /// When that can't be kept.
    pub fn accept<'a>(&mut self, findings: impl IntoIterator<Item = &'a Finding>) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let last = i64::try_from(now.as_secs()).unwrap_or(i64::MAX) - 1;
        // A file that changed in this second may change in it once more.
        let accepted = |finding: &Finding| (key(finding), finding.changed.map(|changed| changed.min(last)));
        self.accepted.extend(findings.into_iter().map(accepted));
        self.keep()
    }

    /// Returns whether these findings differ from those that were reported last, and remembers them if they are `complete`.
    pub fn are_news(&mut self, findings: &[Finding], complete: bool) -> bool {
        let reported: Vec<String> = findings.iter().map(key).collect();
        if reported == self.reported {
            return false;
        }
        if complete {
            self.reported = reported;
            // If that fails, they are reported again.
            let _ = self.keep();
        }
        true
    }

    fn keep(&self) -> io::Result<()> {
        let path = self.path.as_deref().ok_or(io::ErrorKind::NotFound)?;
        file::write_private(path, &serde_json::to_string(self)?)
    }
}

fn key(finding: &Finding) -> String {
    hex::encode(&finding.identity[..16])
}
