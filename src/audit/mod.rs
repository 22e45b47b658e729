//! Finds files in a project that the host would run or trust: git configuration and hooks, files of editors, shells and
//! agents, privileged programs, links that lead out.
//!
//! Nothing is run, and no link is followed out of the project and its repository. Findings at the top are compared with a
//! record that the cage keeps in a label; findings below are new if they changed after the cage was created. A file that
//! can't be read makes the report incomplete. Printing findings, and containers and their labels, do not belong here.

mod display;
mod finding;
mod git_dir;
mod git_files;
mod git_index;
mod git_settings;
mod known_files;
mod known_names;
mod limits;
mod links;
mod outside;
mod record;
mod repository;
mod tree;
mod walk;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

pub use self::finding::Finding;
use self::finding::Findings;
use self::known_files::KnownFiles;
use self::limits::Limits;
pub use self::outside::Outside;
pub use self::record::{Record, without_remotes};
use self::tree::Tree;
pub use self::walk::Scope;
use crate::base::text;

const MAX_FINDINGS: usize = 20_000;

const TOP_ENTRIES: usize = 20_000;
const TOP_BYTES: u64 = 160 * 1024 * 1024;

/// The time and the number of findings for a quick scan.
const QUICK: Duration = Duration::from_millis(30);
const QUICK_FINDINGS: usize = 2_000;

/// The result of a scan.
#[derive(Debug, Default)]
pub struct Report {
    /// All findings, new or not, sorted by path.
    pub findings: Vec<Finding>,
    /// The reason why the list may be incomplete.
    pub incomplete: Option<String>,
}

impl Report {
    /// Adds a reason why the list may be incomplete.
    #[must_use]
    pub fn also_incomplete(self, why: String) -> Self {
        let incomplete = Some(self.incomplete.into_iter().chain([why]).collect::<Vec<_>>().join("; "));
        Self { incomplete, ..self }
    }
}

/// Scans a project. [`Record::new_among`] returns the findings that are new.
pub fn scan(project: &Path, outside: Outside, scope: Scope) -> Report {
    let limits = match scope {
        Scope::Top => Limits::new(Duration::from_secs(3), TOP_ENTRIES, TOP_BYTES, MAX_FINDINGS),
        Scope::Whole => Limits::new(Duration::from_secs(5), 300_000, 512 * 1024 * 1024, MAX_FINDINGS),
    };
    scan_within(project, outside, scope, limits)
}

/// Scans the top of a project in a time that a user doesn't notice.
pub fn quick_scan(project: &Path, outside: Outside) -> Report {
    let limits = Limits::new(QUICK, TOP_ENTRIES, TOP_BYTES, QUICK_FINDINGS).quick();
    scan_within(project, outside, Scope::Top, limits)
}

fn scan_within(project: &Path, outside: Outside, scope: Scope, limits: Limits) -> Report {
    let limits = Rc::new(limits);
    let mut findings = Findings::new(Rc::clone(&limits));
    match Tree::open(project, outside, Rc::clone(&limits)) {
        Err(error) => limits.note_gap(format!("the project can't be opened: {error}")),
        Ok(mut tree) => {
            let known = KnownFiles::new();
            let repository = git_dir::scan_own(project, &mut tree, &mut findings);
            walk::walk(&tree, &known, Scope::Top, &mut findings);
            if scope == Scope::Whole {
                findings.date_by_change();
                walk::walk(&tree, &known, Scope::Whole, &mut findings);
                if let Some(repository) = repository {
                    walk::walk_repository(&tree, repository, &known, &mut findings);
                }
            }
        }
    }
    Report { findings: findings.into_sorted(), incomplete: limits.gaps() }
}

/// Returns a line about new findings for the end of a session; `None` without findings.
pub fn short_report(new: &[Finding]) -> Option<String> {
    let mut files: Vec<&str> = new.iter().map(|finding| finding.path.as_str()).collect();
    files.dedup();
    let (count, s) = (files.len(), if files.len() == 1 { "" } else { "s" });
    let named = text::names(&files);
    (count > 0).then(|| format!("{count} new file{s} your machine would run ({named}): `cage check`"))
}
