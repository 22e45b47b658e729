//! `cage list`: all cages.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use crate::base::{console, text};
use crate::cage::existing::Cage;
use crate::engine::image::short_id;
use crate::lifecycle::session::Session;

/// List all cages
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cage list                       Show every cage, its state, image and project
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
        let (runtime, cages) = session.ask(None, |runtime| session.cages_with_status(runtime))?;
        if self.json {
            let cages = cages.iter().map(|(cage, _)| to_json(cage)).collect::<Value>();
            console::json(&json!({"version": console::JSON_VERSION, "cages": cages}))?;
        } else if self.quiet {
            for (cage, _) in &cages {
                console::data(&cage.name)?;
            }
        } else {
            let mut image_ids: Vec<&str> = cages.iter().map(|(cage, _)| cage.image_id.as_str()).collect();
            image_ids.sort_unstable();
            image_ids.dedup();
            let images = runtime.images(session.runner, &image_ids)?;
            let dates = images.into_iter().filter_map(|image| Some((image.id, image.date?))).collect();
            let rows: Vec<Row> = cages.iter().map(|(cage, status)| row(cage, status, &dates)).collect();
            for line in table(&rows, session.host.size.map(|(columns, _)| columns.into())) {
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

type Row = [String; 4];

fn row(cage: &Cage, status: &str, dates: &HashMap<String, String>) -> Row {
    let project = cage.project();
    let gone = if Path::new(project).is_dir() { "" } else { " (directory gone)" };
    let image = image(cage.image_name(), &cage.image_id, dates.get(&cage.image_id).map(String::as_str));
    [cage.name.clone(), text::escape(status), image, format!("{}{gone}", text::escape(project))]
}

/// Returns `TAG (ID, DATE)` without the parts that are unknown.
fn image(name: &str, id: &str, date: Option<&str>) -> String {
    // A colon before the last slash belongs to a registry's port.
    let last = name.rsplit('/').next().unwrap_or(name);
    let tag = last.split_once(':').filter(|(base, _)| *base != "sha256").map(|(_, tag)| tag);
    let id = short_id(id);
    let text = match (tag, date) {
        _ if id.is_empty() => name.to_owned(),
        (Some(tag), Some(date)) => format!("{tag} ({id}, {date})"),
        (Some(tag), None) => format!("{tag} ({id})"),
        (None, Some(date)) => format!("{id} ({date})"),
        (None, None) => id.to_owned(),
    };
    text::escape(&text)
}

/// Formats rows in columns as wide as their content. The last column is cut so that a row fits `width`.
fn table(rows: &[Row], width: Option<usize>) -> Vec<String> {
    let header = ["NAMES", "STATUS", "IMAGE", "PROJECT"].map(str::to_owned);
    let all: Vec<&Row> = std::iter::once(&header).chain(rows).collect();
    let widths = [0, 1, 2].map(|column| all.iter().map(|row| row[column].width()).max().unwrap_or_default());
    let room = width.map(|width| width.saturating_sub(widths.iter().sum::<usize>() + 6).max(12));
    all.into_iter()
        .map(|row| {
            let cells = row.iter().zip(widths);
            let mut line: String = cells.map(|(cell, width)| pad(cell, width + 2)).collect();
            line.push_str(&keep_end(&row[3], room.unwrap_or(usize::MAX)));
            line
        })
        .collect()
}

/// Adds spaces up to `width` columns; formatting would count characters.
fn pad(cell: &str, width: usize) -> String {
    cell.to_owned() + &" ".repeat(width - cell.width())
}

/// Cuts text to `room` columns and keeps its end: the end of a path is more specific than its beginning.
fn keep_end(text: &str, room: usize) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let starts = text.char_indices().rev().map(|(start, _)| &text[start..]);
    format!("…{}", starts.take_while(|end| end.width() < room).last().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_tag_id_and_date_as_far_as_known() {
        let id = "sha256:84961777dbfb0467";
        assert_eq!(image("ghcr.io/x/y:latest", id, Some("2026-11-23")), "latest (84961777, 2026-11-23)");
        assert_eq!(image("localhost:5000/y", id, Some("2026-11-23")), "84961777 (2026-11-23)");
        assert_eq!(image("localhost:5000/y:1", id, None), "1 (84961777)");
        assert_eq!(image("y", id, None), "84961777");
        assert_eq!(image("y:1", "", None), "y:1");
        assert_eq!(image("sha256:84961777dbfb", id, None), "84961777");
    }

    #[test]
    fn columns_fit_their_content_and_the_terminal() {
        let rows = [
            ["cage-a-1", "Up 5 minutes", "latest (84961777)", "/home/me/a"].map(str::to_owned),
            ["cage-longer-2", "Exited (0)", "1 (11111111)", "/home/me/日本語日本語 (directory gone)"]
                .map(str::to_owned),
        ];
        insta::assert_snapshot!(table(&rows, None).join("\n"), @"
        NAMES          STATUS        IMAGE              PROJECT
        cage-a-1       Up 5 minutes  latest (84961777)  /home/me/a
        cage-longer-2  Exited (0)    1 (11111111)       /home/me/日本語日本語 (directory gone)
        ");
        insta::assert_snapshot!(table(&rows, Some(72)).join("\n"), @"
        NAMES          STATUS        IMAGE              PROJECT
        cage-a-1       Up 5 minutes  latest (84961777)  /home/me/a
        cage-longer-2  Exited (0)    1 (11111111)       …日本語 (directory gone)
        ");
        assert!(table(&rows, Some(72)).iter().all(|line| line.width() <= 72));
        assert_eq!(table(&[], Some(5)).len(), 1);
    }
}
