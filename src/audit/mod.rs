//! What may have been left in a project that the host would run or trust: git's configuration and hooks, files of editors,
//! shells and agents, privileged files, links that lead out.
//!
//! Nothing that is found is run, and no link is followed out of the project. The cheap places ([`Scope::Near`]) are
//! compared with a label of the cage's that remembers what was there when it was created; what only a walk over the whole
//! tree finds is compared by the time of its last change, which programs can't set.

mod git;
mod git_files;
mod keys;
mod places;
mod tree;
mod walk;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use self::places::Places;
use self::tree::{Limits, Tree};

/// The longest label that engines take without ado.
const MAX_LABEL: usize = 4096;

/// The digits of the secret part of a label, and of each digest.
const SALT: usize = 16;
const DIGEST: usize = 8;

/// More than these are not remembered, and more than these are not looked through when somebody waits.
const MAX_FINDINGS: usize = 20_000;
const MAX_GLANCED: usize = 2_000;

/// How long a person who leaves a cage waits at most, with what is to be done afterwards.
const GLANCE: Duration = Duration::from_millis(30);

/// How many findings a short report names.
const SHORT: usize = 3;

/// Something that the host would run or trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where it is, relative to the project. Not escaped.
    pub path: String,
    /// What it is: `core.fsmonitor=./x`. Not escaped.
    pub what: String,
    /// When the host runs or trusts it.
    pub trigger: &'static str,
    /// All that it is, including what a program contains.
    identity: [u8; 32],
    /// Was it found by the walk alone, and if so, was it there when the cage was created?
    deep: Option<bool>,
}

/// Where to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The cheap places: the project's own repository, and well-known files at the top.
    Near,
    /// The same and the whole tree.
    Whole,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// All of it, new or not, by path.
    pub findings: Vec<Finding>,
    /// Why there may be more.
    pub stopped: Option<String>,
}

/// Looks at a project. What only the walk finds is new if it has changed `since`, in Unix seconds; all of it if that is not
/// known. [`unseen`] tells what is new.
pub fn look(project: &Path, scope: Scope, since: Option<i64>) -> Report {
    let (time, entries, bytes) = match scope {
        // What is missed here looks new later.
        Scope::Near => (Duration::from_secs(3), NEAR_ENTRIES, NEAR_BYTES),
        Scope::Whole => (Duration::from_secs(5), 300_000, 512 * 1024 * 1024),
    };
    look_within(project, scope, since, Limits::new(time, entries, bytes, MAX_FINDINGS))
}

/// Looks at what is near for the time that nobody minds, and says if that was too short.
pub fn glance(project: &Path) -> Report {
    look_within(project, Scope::Near, None, Limits::new(GLANCE, NEAR_ENTRIES, NEAR_BYTES, MAX_GLANCED))
}

const NEAR_ENTRIES: usize = 20_000;
const NEAR_BYTES: u64 = 32 * 1024 * 1024;

fn look_within(project: &Path, scope: Scope, since: Option<i64>, limits: Limits) -> Report {
    let mut found = Found {
        list: Vec::new(),
        known: HashSet::new(),
        since,
        deep: false,
        floor: i64::MIN,
        limits: &limits,
    };
    match Tree::open(project, Path::new(""), &limits) {
        Err(error) => limits.stop(format!("the project can't be opened: {error}")),
        Ok(tree) => {
            let places = Places::new();
            git::own(project, &tree, &mut found);
            walk::walk(&tree, &places, Scope::Near, &mut found);
            if scope == Scope::Whole {
                found.deep = true;
                walk::walk(&tree, &places, Scope::Whole, &mut found);
            }
        }
    }
    let mut findings = found.list;
    findings.sort_by(|a, b| (&a.path, &a.what).cmp(&(&b.path, &b.what)));
    Report { findings, stopped: limits.stopped() }
}

/// What is found, each thing once.
struct Found<'a> {
    list: Vec<Finding>,
    known: HashSet<[u8; 32]>,
    since: Option<i64>,
    deep: bool,
    /// When what is being looked at came to be where it is: a directory that was renamed has old files in it.
    floor: i64,
    limits: &'a Limits,
}

impl Found<'_> {
    /// Adds one that is in or at a file whose inode has `changed`. `content` is what makes it another one besides path and
    /// text.
    fn add(
        &mut self,
        path: &Path,
        what: impl Into<String>,
        trigger: &'static str,
        content: &[u8],
        changed: i64,
    ) {
        // What was read when the time was over may not be all.
        if self.limits.was_late() {
            return;
        }
        let changed = changed.max(self.floor);
        let what = what.into();
        let mut hash = Sha256::new();
        for part in [path.as_os_str().as_bytes(), what.as_bytes()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let shown: [u8; 32] = hash.clone().finalize().into();
        hash.update([0]);
        hash.update(content);
        let identity = hash.finalize().into();
        // The walk comes to what is near, too, and doesn't look as closely.
        if (self.deep && self.known.contains(&shown)) || self.known.contains(&identity) {
            return;
        }
        if self.list.len() >= self.limits.findings {
            self.limits.stop("there is too much to tell");
        } else {
            self.known.extend([shown, identity]);
            // What has changed in the very second of the creation may be new.
            let deep = self.deep.then(|| self.since.is_some_and(|since| changed < since));
            let path = path.to_string_lossy().into_owned();
            self.list.push(Finding { path, what, trigger, identity, deep });
        }
    }
}

impl Finding {
    /// Eight digits that tell it from others. Whoever doesn't know the salt can't make another one that has the same.
    fn digest(&self, salt: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(salt);
        hash.update(self.identity);
        hex::encode(&hash.finalize()[..DIGEST / 2])
    }
}

/// The label by which a new cage remembers what [`Scope::Near`] found: a salt that the cage can't know, and digests.
pub fn seen_label(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let mut label = format!("{:016x}", RandomState::new().build_hasher().finish());
    let mut digests: Vec<String> = findings.iter().map(|finding| finding.digest(&label)).collect();
    digests.sort_unstable();
    let room = (MAX_LABEL - SALT - 1) / DIGEST;
    label.extend(digests.iter().take(room).map(String::as_str));
    if digests.len() > room {
        label.push('+');
    }
    label
}

/// Was there more than a label can remember?
pub fn is_incomplete(label: &str) -> bool {
    label.ends_with('+')
}

/// What was not there when the cage was created. Without a label that is all that is near.
pub fn unseen(findings: Vec<Finding>, label: Option<&str>) -> Vec<Finding> {
    let is_known = label.is_some();
    let label = label.unwrap_or_default();
    let salt = label.get(..SALT).unwrap_or_default();
    let digests: HashSet<&[u8]> =
        label.as_bytes().get(SALT..).unwrap_or_default().chunks_exact(DIGEST).collect();
    let is_new = |finding: &Finding| match finding.deep {
        // Nearly every repository has one, so that it tells something only where it is known what was there before.
        _ if !is_known && finding.trigger == keys::REMOTE => false,
        None => !digests.contains(finding.digest(salt).as_bytes()),
        Some(old) => !old,
    };
    findings.into_iter().filter(is_new).collect()
}

/// A few lines about new findings for the end of a session; none if there is nothing to say. Not escaped.
pub fn short_report(new: &[Finding]) -> Vec<String> {
    let what = match new.len() {
        0 => return Vec::new(),
        1 => "there is something",
        _ => "there are things",
    };
    let mut lines = vec![format!(
        "{what} in the project that this machine would run or trust, new since the cage was made:"
    )];
    lines.extend(new.iter().take(SHORT).map(|finding| format!("  {}", finding.line())));
    let more = new.len().saturating_sub(SHORT);
    lines.push(match more {
        0 => "`cage check` looks at the whole project".to_owned(),
        more => format!("and {more} more; `cage check` shows them and looks at the whole project"),
    });
    lines
}

impl Finding {
    /// One line for people, not escaped: nothing in it breaks a line once it is.
    pub fn line(&self) -> String {
        format!("{}: {}  ({})", self.path, self.what, self.trigger)
    }
}
