//! `cage check`.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::json;

use crate::audit::{self, Finding, Outside, Record, Report, Scope};
use crate::base::error::{Failure, chain};
use crate::base::{console, file, text};
use crate::cage::existing::Cage;
use crate::engine::command::PATIENCE;
use crate::engine::container::State;
use crate::engine::error::{self, Trouble};
use crate::engine::runtime::Runtime;
use crate::host::project::Project;
use crate::host::worktree::{self, GitDir};
use crate::lifecycle::acknowledged::Acknowledged;
use crate::lifecycle::baseline::Baseline;
use crate::lifecycle::choice::Fallback;
use crate::lifecycle::find::Target;
use crate::lifecycle::session::Session;

/// The exit code when there are findings, or the scan is incomplete.
const FINDINGS: u8 = 3;

/// List files in the project that this machine would run or trust
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage check                   List findings since the cage; exit with 3 if any
  cage check --all             List also earlier and accepted findings
  cage check --accept          Take the findings that were listed as seen
  cage check --accept .vscode  Take those in a file or directory as seen
  cage check --json            Print one JSON object for a program")]
pub struct Check {
    /// Also list accepted findings, and those from before the cage
    #[arg(long)]
    all: bool,

    /// Accept the findings that were listed, or those of them in PATH, until they change
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
        let Found { project, record, runtime } = find(session, project);
        let report = scan(session, &project, runtime.as_ref())?;
        let mut acknowledged = Acknowledged::of(&session.host, &project.name);
        let mut new = match &record {
            Some(record) => acknowledged.others(record.new_among(&report.findings)),
            None => audit::without_remotes(&report.findings),
        };
        if let Some(paths) = &self.accept {
            ensure!(
                record.is_some(),
                Failure::new("there is and was no cage here whose findings could be accepted")
            );
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
            console::warn(&format!("the list may be incomplete: {why}"));
        }
        if record.as_ref().is_some_and(Record::is_cut) && !new.is_empty() {
            console::warn("the cage's record has no room for all earlier findings: some of these may be old");
        }
        if self.accept.is_some() {
            let all = accept(&mut acknowledged, &new)?;
            return Ok(if all && report.incomplete.is_none() { 0 } else { FINDINGS });
        }
        if record.is_some() && !session.global.dry_run {
            acknowledged.list(&new);
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

/// Accepts those of the findings that are as they were listed, and names the others. Returns whether there are no others.
fn accept(acknowledged: &mut Acknowledged, findings: &[Finding]) -> Result<bool> {
    let others = acknowledged.accept(findings).context("can't keep what is accepted")?;
    if others.len() < findings.len() || findings.is_empty() {
        let accepted = summary(findings.len() - others.len(), true);
        console::info(&format!("{accepted}: accepted until they change"));
    }
    if !others.is_empty() {
        let paths: Vec<&str> = others.iter().map(|finding| finding.path.as_str()).collect();
        console::warn(&format!(
            "not accepted, because they were not listed before, or changed since: {}; look, then accept again",
            text::names(&paths)
        ));
    }
    Ok(others.is_empty())
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

/// The project to scan, and its record.
struct Found {
    project: Project,
    record: Option<Record>,
    /// The engine, if it answers.
    runtime: Option<Runtime>,
}

/// Scans the project while the cages that can write there are paused: code in them could swap files around the scan.
///
/// # Errors
/// When a cage can't be continued.
fn scan(session: &Session, project: &Project, runtime: Option<&Runtime>) -> Result<Report> {
    // The script may have named it after a path with links.
    let dir = file::real(&project.dir());
    let scan = || audit::scan(&dir, Outside::of(&session.host), Scope::Whole);
    let Some(runtime) = runtime.filter(|_| !session.global.dry_run) else { return Ok(scan()) };
    let cages = match session.cages(runtime) {
        Ok(cages) => cages,
        Err(error) => {
            let why = format!("cages that can write here are not paused: {}", chain(&error, str::to_owned));
            return Ok(scan().also_incomplete(why));
        }
    };
    let mut cages: Vec<Cage> = cages.into_iter().filter(|cage| cage.state == State::Running).collect();
    session.interrupts.hold(|| {
        let (mut paused, mut running) = (Vec::new(), Vec::new());
        // Code that sees one of these files opened could hide others, so each is opened when those who see it are paused.
        let dir = || Some(project.dir());
        let named = || worktree::named(&project.dir());
        let repository = || GitDir::of(&project.dir()).outside().map(PathBuf::from);
        for place in [&dir as &dyn Fn() -> Option<PathBuf>, &named, &repository] {
            let Some(place) = place() else { continue };
            for cage in cages.extract_if(.., |cage| cage.can_write(&place)) {
                match session.runner.run(&runtime.command(["pause", &cage.id]).within(PATIENCE)) {
                    Ok(_) => paused.push(cage),
                    Err(error) => running.push((cage, error.trouble)),
                }
            }
        }
        let mut report = scan();
        let continued =
            paused.iter().map(|cage| session.runner.run(&runtime.command(["unpause", &cage.id])).map(drop));
        // Each is tried before an error is returned.
        continued.collect::<Vec<_>>().into_iter().collect::<Result<(), _>>()?;
        for (cage, trouble) in running {
            let name = &cage.name;
            let why = format!(
                "{name} can't be paused and ran during the scan: to be sure, `cage stop {name}`, then check"
            );
            if trouble == Trouble::NoFreezer {
                console::info(&why);
            } else {
                report = report.also_incomplete(why);
            }
        }
        Ok(report)
    })
}

/// Finds the nearest cage's project, its record or that of a former cage, and the engine. Says so if there is no record.
fn find(session: &Session, here: Project) -> Found {
    let (project, runtime) = match session.find_nearest(None, Fallback::Allowed) {
        Ok((Target::Project(project), runtime, Some(cage))) => {
            let record = cage.record();
            if record.is_some() {
                return Found { project, record, runtime: Some(runtime) };
            }
            console::info("the cage has no record of what was here before");
            (project, Some(runtime))
        }
        Ok((_, runtime, _)) => {
            console::info("there is no cage here");
            (here, Some(runtime))
        }
        Err(error) => {
            let said = chain(&error, str::to_owned);
            let hint = error::hint(&error).map(|hint| format!("; {hint}")).unwrap_or_default();
            console::warn(&format!("the cage can't be found: {said}{hint}"));
            (here, None)
        }
    };
    let kept = Baseline::kept(&session.host, &project).unwrap_or_else(|error| {
        console::warn(&chain(&error, str::to_owned));
        None
    });
    if kept.is_none() {
        console::info("listing all files, new or not");
    }
    Found { project, record: kept.map(|kept| kept.record()), runtime }
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
