//! `cage doctor`.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use crate::base::{console, text};
use crate::doctor::{AgentInside, Candidate, Check, Facts, Inside, Level, Server, checks};
use crate::engine::runtime::{Mode, RuntimeKind};
use crate::host::machine::Os;
use crate::lifecycle::session::Session;

/// The exit code when something doesn't work.
const PROBLEMS: u8 = 1;

/// What stands before a fix.
const FIX: &str = "fix: ";

/// Look at everything that cage needs, and say what is wrong and how to mend it
///
/// Works also when the engine doesn't, for that is when it is needed. Makes nothing that stays, and asks nothing; to see
/// whether your SSH agent works inside, it runs a short-lived container of the image if that is here. Exits 1 if there is
/// a problem, 0 otherwise.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cage doctor                    Will it work here, and if not, what helps
  cage --runtime podman doctor   The same, with podman as the engine
  cage doctor --json             One JSON object, for a script or a bug report")]
pub struct Doctor {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl Doctor {
    /// Does it. `wrong`: what was wrong with settings.
    ///
    /// # Errors
    /// When nothing can be printed.
    pub fn run(&self, session: &Session, wrong: &[anyhow::Error]) -> Result<u8> {
        let facts = Facts::gather(session, wrong);
        let checks = checks(&facts);
        let count = |level| checks.iter().filter(|check| check.level == level).count();
        let (problems, warnings) = (count(Level::Problem), count(Level::Warning));
        if self.json {
            console::json(&Printed::of(&facts, &checks))?;
        } else {
            let host = &session.host;
            let width =
                host.terminal.stdout.then_some(host.size).flatten().map(|(columns, _)| columns.into());
            for line in lines(&checks, width, host.wants_colors()) {
                console::data(&line)?;
            }
        }
        console::info(&summary(problems, warnings));
        Ok(if problems == 0 { 0 } else { PROBLEMS })
    }
}

fn summary(problems: usize, warnings: usize) -> String {
    let count = |number: usize, what: &str| match number {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    };
    format!("{}, {}", count(problems, "problem"), count(warnings, "warning"))
}

/// The lines for people: level, name and message in columns, and the fix below.
fn lines(checks: &[Check], width: Option<usize>, colors: bool) -> Vec<String> {
    let names = checks.iter().map(|check| check.name.width()).max().unwrap_or_default();
    let indent = "problem  ".len() + names + 2;
    // A message needs some room, whatever the terminal.
    let room = width.map(|width| width.saturating_sub(indent).max(30));
    let mut lines = Vec::new();
    for check in checks {
        let (word, style) = match check.level {
            Level::Ok => ("ok", AnsiColor::Green.on_default()),
            Level::Warning => ("warning", AnsiColor::Yellow.on_default().bold()),
            Level::Problem => ("problem", AnsiColor::Red.on_default().bold()),
        };
        let style = if colors { style } else { Style::new() };
        let mut head = format!("{style}{word}{style:#}{}{:names$}  ", " ".repeat(9 - word.len()), check.name);
        let fix = check.fix.as_ref().map(|fix| format!("{FIX}{fix}"));
        for text in [Some(&check.message), fix.as_ref()].into_iter().flatten() {
            for part in wrapped(&text::escape(text), room) {
                lines.push(format!("{head}{part}"));
                head = " ".repeat(indent);
            }
        }
    }
    lines
}

/// Text in lines of at most `room` columns, broken at spaces; a longer word has a line of its own.
fn wrapped(text: &str, room: Option<usize>) -> Vec<String> {
    let Some(room) = room else { return vec![text.to_owned()] };
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if line.width() + 1 + word.width() <= room {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    version: u32,
    checks: &'a [Check],
    cage_version: &'static str,
    os: &'static str,
    engine: Option<PrintedEngine<'a>>,
    engines: Vec<PrintedCandidate<'a>>,
    error: Option<&'a str>,
    image: PrintedImage<'a>,
    home: PrintedHome<'a>,
    ssh_agent: PrintedAgent,
    cages: Option<PrintedCages>,
    disk_bytes: Option<PrintedDisk>,
    project: Option<&'a str>,
    variables: Vec<&'a str>,
    unknown_variables: BTreeMap<&'a str, Option<&'static str>>,
}

#[derive(Serialize)]
struct PrintedEngine<'a> {
    name: &'a str,
    kind: &'static str,
    rootless: bool,
    machine: Option<String>,
    endpoint: &'a str,
    client_version: Option<&'a str>,
    server_version: &'a str,
    platform: &'a str,
    architecture: &'a str,
    oci_runtime: Option<&'a str>,
    oci_runtime_version: Option<&'a str>,
    not_enforced: Vec<String>,
}

#[derive(Serialize)]
struct PrintedCandidate<'a> {
    name: &'a str,
    path: String,
    answers: bool,
    used: bool,
}

#[derive(Serialize)]
struct PrintedImage<'a> {
    name: &'a str,
    present: Option<bool>,
    id: Option<&'a str>,
    created: Option<&'a str>,
    architecture: Option<&'a str>,
    user: Option<&'a str>,
    size_bytes: Option<u64>,
}

#[derive(Serialize)]
struct PrintedHome<'a> {
    volume: &'a str,
    present: Option<bool>,
    size_bytes: Option<u64>,
}

#[derive(Serialize)]
struct PrintedAgent {
    keys_here: Option<u32>,
    keys_inside: Option<usize>,
    works_inside: Option<bool>,
}

#[derive(Serialize)]
struct PrintedCages {
    total: usize,
    up: usize,
    directory_gone: usize,
}

#[derive(Serialize)]
struct PrintedDisk {
    cages: Option<u64>,
    shared_home: Option<u64>,
    other_homes: Option<u64>,
    old_images: u64,
    free: Option<u64>,
}

impl<'a> Printed<'a> {
    fn of(facts: &'a Facts, checks: &'a [Check]) -> Self {
        let host = &facts.host;
        let inside = facts.inside.as_ref();
        let store = inside.and_then(|inside| inside.store.as_ref().ok());
        let image = store.and_then(|store| store.image.as_ref());
        let user = inside.and_then(|inside| inside.user.as_ref()?.as_ref().ok());
        let (variables, unknown_variables) = facts.variables();
        Self {
            version: console::JSON_VERSION,
            checks,
            cage_version: env!("CARGO_PKG_VERSION"),
            os: match host.os {
                Os::Linux => "linux",
                Os::Mac => "macos",
                Os::Other => "other",
            },
            engine: facts.server().map(|(candidate, server)| PrintedEngine::of(candidate, server)),
            engines: facts
                .candidates
                .iter()
                .enumerate()
                .map(|(index, found)| PrintedCandidate {
                    name: &found.name,
                    path: found.path.to_string_lossy().into_owned(),
                    answers: found.server.is_ok(),
                    used: facts.chosen == Some(index) && found.server.is_ok(),
                })
                .collect(),
            error: facts.silence().map(|told| told.message.as_str()),
            image: PrintedImage {
                name: &host.image,
                present: store.map(|store| store.image.is_some()),
                id: image.map(|image| image.id.as_str()),
                created: image.and_then(|image| image.created.as_deref()),
                architecture: image.map(|image| image.architecture.as_str()),
                user: user.map(|user| user.name.as_str()),
                size_bytes: image.map(|image| image.size),
            },
            home: PrintedHome {
                volume: &host.home_volume,
                present: store.map(|store| store.home.is_some()),
                size_bytes: inside.and_then(|inside| inside.disk.home),
            },
            ssh_agent: PrintedAgent::of(facts),
            cages: store.map(|store| PrintedCages {
                total: store.cages.len(),
                up: store.cages.iter().filter(|cage| cage.state.is_up()).count(),
                directory_gone: inside.map_or(0, |inside| inside.unused.cages.len()),
            }),
            disk_bytes: inside.map(PrintedDisk::of),
            project: facts.project.as_ref().ok().map(|project| project.path.as_str()),
            variables,
            unknown_variables,
        }
    }
}

impl<'a> PrintedEngine<'a> {
    fn of(candidate: &'a Candidate, server: &'a Server) -> Self {
        let oci = server.oci_runtime.as_ref();
        Self {
            name: &candidate.name,
            kind: match candidate.runtime.as_ref().map(|runtime| runtime.kind) {
                Some(RuntimeKind::Podman) => "podman",
                _ => "docker",
            },
            rootless: server.engine.mode == Mode::Rootless,
            machine: server.engine.machine.map(|product| product.to_string()),
            endpoint: &candidate.endpoint,
            client_version: candidate.client.as_deref(),
            server_version: &server.version,
            platform: &server.platform,
            architecture: &server.architecture,
            oci_runtime: oci.map(|(name, _)| name.as_str()),
            oci_runtime_version: oci.map(|(_, version)| version.as_str()),
            not_enforced: server.engine.unenforced.iter().map(ToString::to_string).collect(),
        }
    }
}

impl PrintedAgent {
    fn of(facts: &Facts) -> Self {
        let inside = facts.inside.as_ref().map(|inside| &inside.trial.agent);
        let (keys_inside, works_inside) = match inside {
            Some(AgentInside::Works(count)) => (Some(*count), Some(true)),
            Some(AgentInside::Fails(_)) => (None, Some(false)),
            Some(AgentInside::NoTool | AgentInside::Untried(_)) | None => (None, None),
        };
        let keys_here = facts.agent.as_ref().and_then(|agent| agent.as_ref().ok().copied());
        Self { keys_here, keys_inside, works_inside }
    }
}

impl PrintedDisk {
    fn of(inside: &Inside) -> Self {
        Self {
            cages: inside.disk.cages,
            shared_home: inside.disk.home,
            other_homes: inside.disk.own_homes,
            old_images: inside.unused.images.iter().map(|image| image.size).sum(),
            free: inside.disk.free,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &'static str, level: Level, message: &str, fix: Option<&str>) -> Check {
        Check { name, level, message: message.into(), fix: fix.map(str::to_owned) }
    }

    #[test]
    fn people_see_columns_with_fixes_below() {
        let checks = [
            check("engine", Level::Ok, "docker: 28.2.2 answers", None),
            check(
                "ssh-agent",
                Level::Warning,
                "none here: git over SSH won't work",
                Some("start an agent, then `ssh-add`"),
            ),
            check("image", Level::Problem, "lab\u{1b}[2J is not here", None),
        ];
        insta::assert_snapshot!(lines(&checks, None, false).join("\n"), @r"
        ok       engine     docker: 28.2.2 answers
        warning  ssh-agent  none here: git over SSH won't work
                            fix: start an agent, then `ssh-add`
        problem  image      lab\u{1b}[2J is not here
        ");
        insta::assert_snapshot!(lines(&checks, Some(50), false).join("\n"), @r"
        ok       engine     docker: 28.2.2 answers
        warning  ssh-agent  none here: git over SSH won't
                            work
                            fix: start an agent, then
                            `ssh-add`
        problem  image      lab\u{1b}[2J is not here
        ");
        let coloured = lines(&checks, None, true);
        assert_eq!(coloured[0], "\u{1b}[32mok\u{1b}[0m       engine     docker: 28.2.2 answers");
        assert!(lines(&checks, Some(5), false).iter().all(|line| !line.contains('\u{1b}')));
        assert_eq!(lines(&[], None, false), [""; 0]);
    }

    #[test]
    fn the_summary_counts() {
        assert_eq!(summary(0, 0), "no problems, no warnings");
        assert_eq!(summary(1, 2), "1 problem, 2 warnings");
    }
}
