//! `cage check`.

use std::time::{Duration, UNIX_EPOCH};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::audit;
use crate::audit::{Finding, Record, Report, Scope};
use crate::base::{console, text};
use crate::engine::error;
use crate::host::project::Project;
use crate::lifecycle::baseline::Baseline;
use crate::lifecycle::find::Target;
use crate::lifecycle::session::Session;

/// The exit code when there are findings, or the scan is incomplete.
const FINDINGS: u8 = 3;

/// List files and settings in the project that this machine would run or trust
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage check          List what is new since the cage, and exit with 3 if any
  cage check --all    List also what was there before
  cage check --json   Print one JSON object for a program")]
pub struct Check {
    /// List also what was there before the cage
    #[arg(long)]
    all: bool,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl Check {
    /// Scans the project and prints the findings.
    ///
    /// # Errors
    /// When there is no such directory.
    pub fn run(self, session: &Session) -> Result<u8> {
        let project = session.project()?;
        // A cage may have been started here with --allow-dangerous-dir.
        project.check(&session.host, true)?;
        let (project, record) = find_record(session, project);
        let report = audit::scan(&project.dir(), Scope::Whole);
        let new = match &record {
            Some(record) => record.new_among(&report.findings),
            None => audit::without_remotes(&report.findings),
        };
        let listed = if self.all { &report.findings } else { &new };
        if self.json {
            print_json(&project, record.as_ref(), listed, &report)?;
        } else {
            for finding in listed {
                console::data(&text::escape(&finding.line()))?;
            }
        }
        if let Some(why) = &report.incomplete {
            console::warn(&format!("the project was not scanned completely: {why}"));
        }
        if record.as_ref().is_some_and(Record::is_cut) && !new.is_empty() {
            console::warn("the cage's record has no room for all earlier findings: some of these may be old");
        }
        console::info(&summary(new.len(), record.is_some()));
        if let Some(earlier) = earlier(report.findings.len() - new.len(), self.all) {
            console::info(&earlier);
        }
        Ok(if listed.is_empty() && report.incomplete.is_none() { 0 } else { FINDINGS })
    }
}

/// Returns the project of the nearest cage with that cage's record. Tells the user if there is none.
fn find_record(session: &Session, here: Project) -> (Project, Option<Record>) {
    let project = match session.find_nearest(None) {
        Ok((Target::Project(project), _, Some(container))) => {
            if let Some(record) = Baseline::recorded(&container) {
                return (project, Some(record));
            }
            console::info("the cage has no record of what was here before");
            project
        }
        Ok(_) => {
            console::info("there is no cage here");
            here
        }
        Err(error) => {
            let said = error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
            let hint = error::hint(&error).map(|hint| format!(" ({hint})")).unwrap_or_default();
            console::warn(&format!("the cage can't be found: {said}{hint}"));
            here
        }
    };
    console::info("listing all files, new or not");
    (project, None)
}

/// Returns the number of new findings in words.
fn summary(new: usize, has_record: bool) -> String {
    let age = if has_record { "new " } else { "" };
    let files = match new {
        0 => format!("no {age}files or settings"),
        1 => format!("1 {age}file or setting"),
        many => format!("{many} {age}files or settings"),
    };
    format!("{files} that this machine would run or trust")
}

/// Returns the number of findings from before the cage in words, if there are any.
fn earlier(old: usize, listed: bool) -> Option<String> {
    let were = match old {
        0 => return None,
        1 => "1 was".to_owned(),
        many => format!("{many} were"),
    };
    let hint = if listed { "" } else { "; `cage check --all` lists them" };
    Some(format!("{were} there before the cage{hint}"))
}

fn print_json(
    project: &Project,
    record: Option<&Record>,
    listed: &[Finding],
    report: &Report,
) -> std::io::Result<()> {
    console::json(&Printed {
        version: console::JSON_VERSION,
        project: &project.path,
        since: record.and_then(|record| u64::try_from(record.since).ok()).map(rfc3339),
        findings: listed,
        stopped: report.incomplete.as_deref(),
    })
}

/// The output of `--json`.
#[derive(Serialize)]
struct Printed<'a> {
    version: u32,
    project: &'a str,
    since: Option<String>,
    findings: &'a [Finding],
    stopped: Option<&'a str>,
}

fn rfc3339(seconds: u64) -> String {
    // A later time can't be written.
    let last = 253_402_300_799;
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds.min(last))).to_string()
}
