//! `cage man`: the manual.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::builder::Resettable::Reset;
use clap::{Args, Command};
use clap_complete::engine::ArgValueCompleter;
use clap_mangen::roff::{Roff, roman};

use crate::base::console;
use crate::base::error::Failure;
use crate::base::text::{escape, quote};
use crate::host::completion;
use crate::lifecycle::session::Session;

/// The first line of every page. Only files that begin with this line are replaced.
const MARK: &str = ".\\\" Written by `cage man`.\n";

/// Write the manual, a page for each command
///
/// The directory is created if it doesn't exist. Pages of an earlier `cage man` are replaced. If any other file has the name
/// of a page, nothing is written.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage man ~/.local/share/man/man1   For `man cage` and `man cage-start`")]
pub struct Man {
    /// Directory to write to, e.g. ~/.local/share/man/man1
    #[arg(add = ArgValueCompleter::new(completion::directory))]
    dir: PathBuf,
}

impl Man {
    /// Writes the pages of `cage`, the whole command line, and prints their paths.
    ///
    /// # Errors
    /// When another file has a page's name, or the directory can't be written.
    pub fn run(&self, session: &Session, cage: Command) -> Result<u8> {
        let below = session.global.directory.iter().chain([&self.dir]);
        let dir = below.fold(session.host.cwd.clone().unwrap_or_default(), |dir, part| dir.join(part));
        if session.global.dry_run {
            console::data(&format!("cage man {}", quote(&dir.to_string_lossy())))?;
            return Ok(0);
        }
        let shown = |path: &Path| escape(&path.to_string_lossy());
        let pages: Vec<_> = pages(cage)?.into_iter().map(|(name, text)| (dir.join(name), text)).collect();
        if let Some((path, _)) = pages.iter().find(|(path, _)| is_other_file(path)) {
            let message = format!("{} exists and was not written by `cage man`", shown(path));
            bail!(Failure::new(message).hint("move it away, or choose another directory"));
        }
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", shown(&dir)))?;
        for (path, text) in &pages {
            // A new file, because the page may have become a symbolic link.
            let _ = fs::remove_file(path);
            let written = File::create_new(path).and_then(|mut file| file.write_all(text));
            written.with_context(|| format!("cannot write {}", shown(path)))?;
            console::data(&shown(path))?;
        }
        Ok(0)
    }
}

/// Returns whether there is something at `path` that is not a page of an earlier `cage man`, or can't be read.
fn is_other_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| {
        !metadata.is_file() || !fs::read(path).is_ok_and(|text| text.starts_with(MARK.as_bytes()))
    })
}

/// Returns the file name and text of every page. `cage help` has none.
fn pages(cage: Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut cage = cage.disable_help_subcommand(true);
    cage.build();
    std::iter::once(&cage).chain(cage.get_subcommands()).cloned().map(page).collect()
}

fn page(mut command: Command) -> io::Result<(String, Vec<u8>)> {
    // The synopsis is short, like in help.
    let usage = command.render_usage().to_string().trim_start_matches("Usage: ").to_owned();
    let rest = command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string);
    let command = command.override_usage(usage).after_help(Reset).after_long_help(Reset);
    // The date is blank, so that two builds of one version write the same pages.
    let source = concat!("cage ", env!("CARGO_PKG_VERSION"));
    let page = clap_mangen::Man::new(command).date(" ").source(source).manual("cage");
    let mut text = MARK.as_bytes().to_vec();
    page.render(&mut text)?;
    // Examples and tables below the options keep their lines.
    for section in rest.unwrap_or_default().split_terminator("\n\n") {
        let (heading, lines) = section.split_once(":\n").unwrap_or(("NOTES", section));
        let mut roff = Roff::new();
        roff.control("SH", [heading.to_uppercase().as_str()]).control("nf", []);
        for line in lines.lines() {
            roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
        }
        roff.control("fi", []).to_writer(&mut text)?;
    }
    Ok((page.get_filename(), text))
}
