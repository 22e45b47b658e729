//! `cage doctor`.

use anyhow::Result;
use clap::Args;
use clap::builder::styling::{AnsiColor, Style};
use serde_json::{Value, json};

use crate::base::text::escape;
use crate::base::{console, text};
use crate::doctor::{Check, Facts, Level, checks, count};
use crate::engine::dialect::Dialect;
use crate::engine::info::Mode;
use crate::host::machine::{Host, Os};
use crate::lifecycle::session::Session;

/// The exit code when there is a problem.
const PROBLEMS: u8 = 1;

/// The width of the widest level and the space after it.
const LEVEL_WIDTH: usize = "problem  ".len();

/// Check engine, image, home, SSH agent and project; suggest fixes
///
/// Works without an engine, too. doctor leaves nothing behind: to see whether your SSH agent works inside, it runs
/// a short-lived container of the image, if the image is here. Exits with 1 if there is a problem, 0 otherwise.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cage doctor                    Check the engine that cage uses
  cage --runtime podman doctor   Check podman
  cage doctor --json             Print one JSON object, for a script")]
pub struct Doctor {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl Doctor {
    /// Prints the checks. `invalid_settings` are those that can't be used.
    ///
    /// # Errors
    /// When nothing can be printed.
    pub fn run(&self, session: &Session, invalid_settings: Vec<anyhow::Error>) -> Result<u8> {
        let facts = Facts::gather(session, invalid_settings);
        let checks = checks(&facts);
        if self.json {
            console::json(&to_json(&facts, &checks))?;
        } else {
            let colors = session.host.wants_colors();
            let columns = session.host.size.filter(|_| !session.global.verbose).map(|(columns, _)| columns);
            let lines = match columns {
                Some(columns) => folded(&checks, &session.host, colors, columns.into()),
                None => lines(&checks, colors, usize::MAX),
            };
            for line in lines {
                console::data(&line)?;
            }
        }
        let number = |level| checks.iter().filter(|check| check.level == level).count();
        let (problems, warnings) = (number(Level::Problem), number(Level::Warning));
        console::info(&format!("{}, {}", count(problems, "problem"), count(warnings, "warning")));
        Ok(if problems == 0 { 0 } else { PROBLEMS })
    }
}

fn to_json(facts: &Facts, checks: &[Check]) -> Value {
    let engine = facts.engine().map(|(client, info)| {
        json!({
            "name": client.name,
            "kind": client.dialect().map(Dialect::program),
            "rootless": info.engine.mode == Mode::Rootless,
            "machine": info.engine.machine.map(|product| product.to_string()),
            "version": info.version,
            "endpoint": client.endpoint,
        })
    });
    json!({
        "version": console::JSON_VERSION,
        "checks": checks,
        "cage_version": env!("CARGO_PKG_VERSION"),
        "os": match facts.host.os {
            Os::Linux => "linux",
            Os::Mac => "macos",
            Os::Other => "other",
        },
        "engine": engine,
        "image": facts.host.image,
        "project": facts.project.as_ref().ok(),
        "variables": facts.variables().0,
    })
}

/// Returns the lines for a terminal of this many columns: problems with their fixes, then the engine that is used, then the names
/// of the checks that passed.
fn folded(checks: &[Check], host: &Host, colors: bool, columns: usize) -> Vec<String> {
    let (fine, wrong): (Vec<_>, Vec<_>) = checks.iter().cloned().partition(|check| check.level == Level::Ok);
    let is_used = |check: &Check| check.name == "engine" && check.message.contains("; used");
    let (used, mut fine): (Vec<_>, Vec<_>) = fine.into_iter().partition(is_used);
    fine.dedup_by_key(|check| check.name);
    let names: Vec<&str> = fine.iter().map(|check| check.name).collect();
    let rest = Check::ok("all else", format!("{} (--verbose shows each)", names.join(", ")));
    let mut shown: Vec<Check> = wrong.into_iter().chain(used).collect();
    shown.extend((!names.is_empty()).then_some(rest));
    let home = host.home.as_ref().and_then(|home| home.to_str());
    let short = |text: &str| home.map_or(text.to_owned(), |home| text.replace(&format!("{home}/"), "~/"));
    for check in &mut shown {
        check.message = short(&check.message);
        check.fix = check.fix.as_deref().map(&short);
    }
    lines(&shown, colors, columns)
}

/// Returns the lines to show: level, name and message in columns, and the fix below.
fn lines(checks: &[Check], colors: bool, columns: usize) -> Vec<String> {
    let name_width = checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
    let indent = LEVEL_WIDTH + name_width + 2;
    let mut lines = Vec::new();
    for check in checks {
        let (level, style) = match check.level {
            Level::Ok => ("ok", AnsiColor::Green.on_default()),
            Level::Warning => ("warning", AnsiColor::Yellow.on_default().bold()),
            Level::Problem => ("problem", AnsiColor::Red.on_default().bold()),
        };
        let style = if colors { style } else { Style::new() };
        let space = " ".repeat(LEVEL_WIDTH - level.len());
        let wrapped = |text: &str| text::wrap(&escape(text), columns.saturating_sub(indent), 0);
        let message = wrapped(&check.message).join(&format!("\n{:indent$}", ""));
        lines.push(format!("{style}{level}{style:#}{space}{:name_width$}  {message}", check.name));
        let fix = check.fix.iter().flat_map(|fix| wrapped(&format!("fix: {fix}")));
        lines.extend(fix.map(|line| format!("{:indent$}{line}", "")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &'static str, level: Level, message: &str, fix: Option<&str>) -> Check {
        Check { name, level, message: message.into(), fix: fix.map(str::to_owned) }
    }

    #[test]
    fn checks_are_shown_in_columns_with_the_fix_below() {
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
        insta::assert_snapshot!(lines(&checks, false, usize::MAX).join("\n"), @r"
        ok       engine     docker: 28.2.2 answers
        warning  ssh-agent  none here: git over SSH won't work
                            fix: start an agent, then `ssh-add`
        problem  image      lab\u{1b}[2J is not here
        ");
        let coloured = lines(&checks, true, usize::MAX);
        assert_eq!(coloured[0], "\u{1b}[32mok\u{1b}[0m       engine     docker: 28.2.2 answers");
        assert_eq!(lines(&[], false, 80), [""; 0]);
    }

    #[test]
    fn numbers_have_their_noun() {
        assert_eq!(
            [0, 1, 2].map(|number| count(number, "problem")),
            ["no problems", "1 problem", "2 problems"]
        );
    }
}
