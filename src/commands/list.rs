//! `cage list`: all cages.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use crate::base::{console, text, time};
use crate::cage::existing::Cage;
use crate::engine::container::Published;
use crate::host::machine::Host;
use crate::lifecycle::session::Session;

/// List all cages
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cage list                       Show every cage, its state, ports and image
  cage list --quiet               Print only names, one per line
  cage list --json                Print one JSON object, for a script")]
pub struct List {
    /// Print only names, one per line
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl List {
    /// Prints the cages.
    ///
    /// # Errors
    /// When no engine answers.
    pub fn run(&self, session: &Session) -> Result<u8> {
        let (runtime, mut cages) = session.ask(None, |runtime| session.cages(runtime))?;
        let address = runtime.elsewhere(&session.host, session.runner)?;
        if self.json {
            let cages = cages.iter().map(to_json).collect::<Value>();
            let mut object = json!({"version": console::JSON_VERSION, "cages": cages});
            if let Some(address) = address {
                object["engine"] = json!({"runtime": runtime.name, "address": address});
            }
            console::json(&object)?;
        } else if self.quiet {
            for cage in &cages {
                console::data(&cage.name)?;
            }
        } else if cages.is_empty() {
            console::info("no cages yet: run `cage start` in a project");
        } else {
            if let Some(address) = address {
                console::info(&format!("these cages are on another machine, {address}"));
            }
            let here = session.project().ok();
            let here = here.as_ref().and_then(|project| {
                let mut paths = std::iter::once(project.path.as_str()).chain(project.above());
                paths.find(|path| cages.iter().any(|cage| cage.project() == *path))
            });
            cages.sort_by_key(|cage| (!cage.state.is_up(), cage.project().to_owned()));
            let host = &session.host;
            let rows = cages.iter().map(|cage| row(cage, host, here == Some(cage.project())));
            for line in table(rows.collect(), host.size.map(|(columns, _)| columns.into())) {
                console::data(&line)?;
            }
        }
        Ok(0)
    }
}

fn to_json(cage: &Cage) -> Value {
    json!({
        "name": cage.name,
        "id": cage.id,
        "state": cage.state.name(),
        "project": cage.project(),
        "directory_exists": Path::new(cage.project()).is_dir(),
        "image": cage.image_name(),
        "image_id": cage.image_id,
        "created": cage.created,
        "ports": cage.ports,
    })
}

/// The columns, each with the width below which it is not shortened.
const COLUMNS: [(&str, usize); 5] =
    [("  PROJECT", 20), ("STATE", 12), ("PORTS", 9), ("IMAGE", 16), ("NAME", 22)];

/// The column of the image, which is left out on narrow terminals.
const IMAGE: usize = 3;

/// The width in columns from which a terminal has room for the image.
const WIDE: usize = 100;

/// The space between two columns.
const GAP: usize = 2;

type Row = [String; 5];

/// Returns the cells of a cage; `is_here` marks the cage of the current directory.
fn row(cage: &Cage, host: &Host, is_here: bool) -> Row {
    let project = cage.project();
    let mark = if is_here { "* " } else { "  " };
    let gone = if Path::new(project).is_dir() { "" } else { " (directory gone)" };
    let (is_up, age) = (cage.state.is_up(), cage.changed().map(time::age));
    let ports = cage.ports.iter().filter(|_| is_up).map(Published::brief);
    [
        format!("{mark}{}{gone}", text::escape(&host.with_tilde(project))),
        format!("{} {}", cage.state.name(), age.unwrap_or_default()).trim_end().to_owned(),
        text::escape(&ports.collect::<Vec<_>>().join(" ")),
        text::escape(cage.image_name()),
        cage.name.clone(),
    ]
}

/// Formats rows in columns as wide as their content. For a terminal of this `width`, cells are shortened so that no line is
/// wrapped.
fn table(rows: Vec<Row>, width: Option<usize>) -> Vec<String> {
    let header = COLUMNS.map(|(title, _)| title.to_owned());
    let rows: Vec<Row> = std::iter::once(header).chain(rows).collect();
    let is_narrow = width.is_some_and(|width| width < WIDE);
    let shown: Vec<usize> = (0..COLUMNS.len()).filter(|column| *column != IMAGE || !is_narrow).collect();
    let widest = |column: usize| rows.iter().map(|row: &Row| row[column].width()).max().unwrap_or_default();
    let mut widths: Vec<usize> = shown.iter().map(|column| widest(*column)).collect();
    let room = width.unwrap_or(usize::MAX).saturating_sub(GAP * (shown.len() - 1));
    while widths.iter().sum::<usize>() > room {
        let spare = |at: &usize| widths[*at].saturating_sub(COLUMNS[shown[*at]].1);
        // The longest name keeps its end, which tells cages apart; the path of a project can be guessed from less.
        let Some(at) = (0..shown.len()).max_by_key(spare).filter(|at| spare(at) > 0) else { break };
        widths[at] -= 1;
    }
    rows.iter()
        .map(|row| {
            let cells = shown.iter().zip(&widths).map(|(column, width)| {
                let cell = text::keep_ends(&row[*column], *width);
                let space = " ".repeat(width - cell.width() + GAP);
                cell + &space
            });
            let line: String = cells.collect();
            text::keep_ends(line.trim_end(), width.unwrap_or(usize::MAX))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let row = |project: &str, state: &str, ports: &str, name: &str| {
            [project, state, ports, "ghcr.io/pacificsky/devcontainer-lite:latest", name].map(str::to_owned)
        };
        vec![
            row("* ~/src/docs", "running 3m", "3000 8080:80", "cage-docs-0123abcd"),
            row("  ~/src/customers/a-company/frontend", "stopped 2h", "", "cage-frontend-89abcdef"),
            row("  /srv/日本語日本語日本語日本語/app (directory gone)", "created", "", "cage-app-01234567"),
        ]
    }

    #[test]
    fn columns_fit_their_content() {
        insta::assert_snapshot!(table(rows(), None).join("\n"), @"
          PROJECT                                             STATE       PORTS         IMAGE                                        NAME
        * ~/src/docs                                          running 3m  3000 8080:80  ghcr.io/pacificsky/devcontainer-lite:latest  cage-docs-0123abcd
          ~/src/customers/a-company/frontend                  stopped 2h                ghcr.io/pacificsky/devcontainer-lite:latest  cage-frontend-89abcdef
          /srv/日本語日本語日本語日本語/app (directory gone)  created                   ghcr.io/pacificsky/devcontainer-lite:latest  cage-app-01234567
        ");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        insta::assert_snapshot!(table(rows(), Some(80)).join("\n"), @"
          PROJECT                       STATE       PORTS         NAME
        * ~/src/docs                    running 3m  3000 8080:80  cage-docs-0123abcd
          ~/src/c…s/a-company/frontend  stopped 2h                cage-frontend-89abcdef
          /srv/日…app (directory gone)  created                   cage-app-01234567
        ");
        insta::assert_snapshot!(table(rows(), Some(120)).join("\n"), @"
          PROJECT                             STATE       PORTS         IMAGE                             NAME
        * ~/src/docs                          running 3m  3000 8080:80  ghcr.io/pa…container-lite:latest  cage-docs-0123abcd
          ~/src/customers/a-company/frontend  stopped 2h                ghcr.io/pa…container-lite:latest  cage-frontend-89abcdef
          /srv/日本…語/app (directory gone)   created                   ghcr.io/pa…container-lite:latest  cage-app-01234567
        ");
        for width in 1..200 {
            assert!(table(rows(), Some(width)).iter().all(|line| line.width() <= width), "{width}");
        }
    }
}
