//! `cage check`.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::audit;
use crate::audit::{Finding, Scope};
use crate::base::{console, error};
use crate::engine::container::{Container, SEEN_LABEL, SINCE_LABEL};
use crate::host::project::Project;
use crate::lifecycle::session::{Session, Target};

/// The exit code when there is something to look at.
const FINDINGS: u8 = 3;

/// List what an agent may have left in the project that this machine would run or trust
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage check          What is new since the cage was made; exits 3 if any
  cage check --all    And what was there before
  cage check --json   One object for a program")]
pub struct Check {
    /// Also what was there before the cage
    #[arg(long)]
    all: bool,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl Check {
    /// Does it.
    ///
    /// # Errors
    /// When there is no such directory.
    pub fn run(self, session: &Session) -> Result<u8> {
        let project = session.project()?;
        // It may have been allowed.
        project.check(&session.host, true)?;
        let (project, before) = Before::find(session, project);
        let (seen, since) =
            before.as_ref().map_or((None, None), |before| (Some(before.seen.as_str()), Some(before.since)));

        let report = audit::look(&project.dir(), Scope::Whole, since);
        let total = report.findings.len();
        let new = audit::unseen(report.findings.clone(), seen);
        let old = total - new.len();
        let shown = if self.all { &report.findings } else { &new };

        if self.json {
            let since = since.and_then(|since| u64::try_from(since).ok()).map(rfc3339);
            let findings = shown.iter().map(PrintedFinding::from).collect();
            let stopped = report.stopped.as_deref();
            console::json(&Printed {
                version: console::JSON_VERSION,
                project: &project.path,
                since,
                findings,
                stopped,
            })?;
        } else {
            for finding in shown {
                console::data(&console::escape(&finding.line()))?;
            }
        }
        if let Some(why) = &report.stopped {
            console::warn(&format!("not everything was looked at: {why}"));
        }
        if seen.is_some_and(audit::is_incomplete) && !new.is_empty() {
            console::warn("there was too much to remember when the cage was made: some of this may be older");
        }
        console::info(&summary(&new, old, self.all, before.is_some()));
        // What was not looked at may be anything.
        Ok(if shown.is_empty() && report.stopped.is_none() { 0 } else { FINDINGS })
    }
}

/// What is known of the project before its cage.
struct Before {
    seen: String,
    since: i64,
}

impl Before {
    /// The project that the nearest cage is of, and what that remembers. If nothing does, says so.
    fn find(session: &Session, here: Project) -> (Project, Option<Self>) {
        let all = "so this is all there is, new or not";
        let (project, container) = match session.find_nearest(None) {
            Ok((Target::Project(project), _, Some(container))) => (project, container),
            Ok(_) => {
                console::info(&format!("there is no cage here, {all}"));
                return (here, None);
            }
            Err(error) => {
                let said = error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
                let hint = error::hint(&error).map(|hint| format!(" ({hint})")).unwrap_or_default();
                console::warn(&format!("the cage can't be asked, {all}: {said}{hint}"));
                return (here, None);
            }
        };
        let before = Self::of(&container);
        if before.is_none() {
            console::info(&format!("the cage doesn't remember what was here before, {all}"));
        }
        (project, before)
    }

    fn of(container: &Container) -> Option<Self> {
        let since = container.label(SINCE_LABEL)?.parse().ok()?;
        Some(Self { seen: container.label(SEEN_LABEL)?.to_owned(), since })
    }
}

fn summary(new: &[Finding], old: usize, all: bool, known: bool) -> String {
    let count = |count: usize| if count == 1 { "1 thing".to_owned() } else { format!("{count} things") };
    let mut text = match new.len() {
        0 => "nothing that this machine would run or trust".to_owned(),
        some => format!("{} that this machine would run or trust", count(some)),
    };
    if known {
        text.push_str(" is new since the cage was made");
        if new.len() > 1 {
            text = text.replace(" is new", " are new");
        }
    }
    if old > 0 {
        let how = if all { "" } else { "; `--all` shows them" };
        let _ = write!(text, "; {} {} there before{how}", count(old), if old == 1 { "was" } else { "were" });
    }
    text
}

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    version: u32,
    project: &'a str,
    since: Option<String>,
    findings: Vec<PrintedFinding<'a>>,
    stopped: Option<&'a str>,
}

#[derive(Serialize)]
struct PrintedFinding<'a> {
    path: &'a str,
    what: &'a str,
    trigger: &'a str,
}

impl<'a> From<&'a Finding> for PrintedFinding<'a> {
    fn from(Finding { path, what, trigger, .. }: &'a Finding) -> Self {
        Self { path, what, trigger }
    }
}

fn rfc3339(seconds: u64) -> String {
    // Later than it can be written is as good as the last time that can.
    let last = 253_402_300_799;
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds.min(last))).to_string()
}
