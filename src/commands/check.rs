//! `cage check`.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::json;

use crate::audit;
use crate::audit::{Finding, Record, Report, Scope};
use crate::base::error::{Failure, chain};
use crate::base::{console, file, text};
use crate::cage::existing::Cage;
use crate::engine::command::PATIENCE;
use crate::engine::container::State;
use crate::engine::error;
use crate::engine::runtime::Runtime;
use crate::host::project::Project;
use crate::lifecycle::acknowledged::Acknowledged;
use crate::lifecycle::find::Target;
use crate::lifecycle::session::Session;

/// The exit code when there are findings, or the scan is incomplete.
const FINDINGS: u8 = 3;

/// List files in the project that this machine would run or trust
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage check                   List findings since the cage; exit with 3 if any
  cage check --all             List also earlier and accepted findings
  cage check --accept          Take all findings as seen
  cage check --accept .vscode  Take the findings in a file or directory as seen
  cage check --json            Print one JSON object for a program")]
pub struct Check {
    /// List also findings from before the cage and accepted ones
    #[arg(long)]
    all: bool,

    /// Accept the new findings, or those in PATH, until they change
    #[arg(long, value_name = "PATH", num_args = 0.., conflicts_with = "all")]
    accept: Option<Vec<PathBuf>>,

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
        let here = project.dir();
        let Found { project, record, cage } = find(session, project);
        let report = scan(session, &project, cage.as_ref())?;
        let mut acknowledged = Acknowledged::of(&session.host, &project.name);
        let mut new = match &record {
            Some(record) => acknowledged.others(record.new_among(&report.findings)),
            None => audit::without_remotes(&report.findings),
        };
        if let Some(paths) = &self.accept {
            ensure!(record.is_some(), Failure::new("there is no cage here whose findings could be accepted"));
            new = within(new, &project, &here, paths)?;
        }
        let listed = if self.all { &report.findings } else { &new };
        if self.json {
            let since = record.as_ref().and_then(|record| u64::try_from(record.since).ok());
            console::json(&json!({
                "version": console::JSON_VERSION,
                "project": project.path,
                "since": since.map(rfc3339),
                "findings": listed,
                "stopped": report.incomplete,
            }))?;
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
        if self.accept.is_some() {
            acknowledged.accept(&new).context("can't keep what is accepted")?;
            console::info(&format!("{}: accepted until they change", summary(new.len(), true)));
            return Ok(if report.incomplete.is_none() { 0 } else { FINDINGS });
        }
        console::info(&summary(new.len(), record.is_some()));
        let old = report.findings.len() - new.len();
        if old > 0 {
            let were = if old == 1 { "was" } else { "were" };
            let hint = if self.all { "" } else { "; `cage check --all` lists them" };
            console::info(&format!("{old} {were} there before the cage or accepted{hint}"));
        }
        Ok(if listed.is_empty() && report.incomplete.is_none() { 0 } else { FINDINGS })
    }
}

/// Returns the findings that are at one of these paths or below, seen from `here`; all of them without paths.
fn within(findings: Vec<Finding>, project: &Project, here: &Path, paths: &[PathBuf]) -> Result<Vec<Finding>> {
    if paths.is_empty() {
        return Ok(findings);
    }
    let is_in = |finding: &Finding, path: &Path| {
        project.dir().join(&finding.place).starts_with(file::lexical(&here.join(path)))
    };
    for path in paths {
        ensure!(
            findings.iter().any(|finding| is_in(finding, path)),
            Failure::new(format!("there is no new finding at {}", text::escape(&path.to_string_lossy())))
        );
    }
    Ok(findings.into_iter().filter(|finding| paths.iter().any(|path| is_in(finding, path))).collect())
}

/// The project to scan, and its cage.
struct Found {
    project: Project,
    record: Option<Record>,
    cage: Option<(Runtime, Cage)>,
}

/// Scans the project while its cage is paused, if it runs: code in it could swap files around the scan.
///
/// # Errors
/// When the cage can't be continued.
fn scan(session: &Session, project: &Project, cage: Option<&(Runtime, Cage)>) -> Result<Report> {
    let scan = || audit::scan(&project.dir(), Scope::Whole);
    let running = cage.filter(|(_, cage)| cage.state == State::Running && !session.global.dry_run);
    let Some((runtime, cage)) = running else { return Ok(scan()) };
    session.interrupts.hold(|| {
        let pause = session.runner.capture(&runtime.command(["pause", &cage.id]).within(PATIENCE))?;
        let report = scan();
        if pause.status.success() {
            session.runner.run(&runtime.command(["unpause", &cage.id]))?;
        } else {
            console::info(
                "the cage can't be paused and ran during the scan: to be sure, `cage stop`, then check",
            );
        }
        Ok(report)
    })
}

/// Finds the project of the nearest cage, with that cage and its record. Tells the user if there is none.
fn find(session: &Session, here: Project) -> Found {
    let (project, cage) = match session.find_nearest(None) {
        Ok((Target::Project(project), runtime, Some(cage))) => {
            let record = cage.record();
            if record.is_some() {
                return Found { project, record, cage: Some((runtime, cage)) };
            }
            console::info("the cage has no record of what was here before");
            (project, Some((runtime, cage)))
        }
        Ok(_) => {
            console::info("there is no cage here");
            (here, None)
        }
        Err(error) => {
            let said = chain(&error, str::to_owned);
            let hint = error::hint(&error).map(|hint| format!(" ({hint})")).unwrap_or_default();
            console::warn(&format!("the cage can't be found: {said}{hint}"));
            (here, None)
        }
    };
    console::info("listing all files, new or not");
    Found { project, record: None, cage }
}

/// Returns the number of new findings in words.
fn summary(new: usize, has_record: bool) -> String {
    let number = if new == 0 { "no".to_owned() } else { new.to_string() };
    let age = if has_record { " new" } else { "" };
    let things = if new == 1 { "file or setting" } else { "files or settings" };
    format!("{number}{age} {things} that this machine would run or trust")
}

fn rfc3339(seconds: u64) -> String {
    // A later time can't be written.
    let last = 253_402_300_799;
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds.min(last))).to_string()
}
