//! `cage man`: the manual.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Command, CommandFactory as _, ValueHint};
use clap_mangen::roff::{Roff, bold, roman};

use crate::base::error::Failure;
use crate::base::text::quote;
use crate::base::{console, text};
use crate::cli::Cli;
use crate::lifecycle::session::Session;

/// The first line of a page, by which one is known that may be replaced.
const MARK: &str = ".\\\" Written by `cage man`.\n";

/// Write the manual: a page for each command
///
/// The directory is made if it isn't there. Pages that an earlier `cage man` wrote are replaced; if anything else has a
/// page's name, nothing is written.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage man ~/.local/share/man/man1   For `man cage` and `man cage-start`")]
pub struct Man {
    /// Where to, such as ~/.local/share/man/man1
    #[arg(value_hint = ValueHint::DirPath)]
    dir: PathBuf,
}

impl Man {
    /// Does it.
    ///
    /// # Errors
    /// When something else has a page's name, or the directory can't be written.
    pub fn run(&self, session: &Session) -> Result<u8> {
        let below = session.global.directory.iter().chain([&self.dir]);
        let dir = below.fold(session.host.cwd.clone().unwrap_or_default(), |dir, part| dir.join(part));
        if session.global.dry_run {
            console::data(&format!("cage man {}", quote(&dir.to_string_lossy())))?;
            return Ok(0);
        }
        let pages = pages()?;
        for (name, _) in &pages {
            refuse_others(&dir.join(name))?;
        }
        let shown = |path: &Path| text::escape(&path.to_string_lossy());
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", shown(&dir)))?;
        for (name, text) in &pages {
            let path = dir.join(name);
            write(&dir, name, text).with_context(|| format!("cannot write {}", shown(&path)))?;
            console::data(&shown(&path))?;
        }
        Ok(0)
    }
}

/// Refuses a path at which there is anything else than a page.
fn refuse_others(path: &Path) -> Result<()> {
    let shown = text::escape(&path.to_string_lossy());
    let is_page = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => bail!("cannot look at {shown}: {error}"),
        Ok(metadata) => {
            let mut start = [0; MARK.len()];
            metadata.is_file()
                && File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
                && start == *MARK.as_bytes()
        }
    };
    ensure!(
        is_page,
        Failure::new(format!("{shown} is there, and not a page that cage wrote"))
            .hint("move it away, or choose another directory")
    );
    Ok(())
}

/// Puts a page in its place at once, whole, and not through a link.
fn write(dir: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    let new = dir.join(format!(".{name}.{}", std::process::id()));
    let written = File::create_new(&new)
        .and_then(|mut file| file.write_all(text))
        .and_then(|()| fs::rename(&new, dir.join(name)));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

/// Every page: its file's name and its text.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    // `cage help` has its place on the first page.
    let mut cage = Cli::command().disable_help_subcommand(true);
    cage.build();
    let all = std::iter::once(&cage).chain(cage.get_subcommands());
    all.map(|command| {
        // As help has it, instead of every option once more.
        let usage = command.clone().render_usage().to_string();
        let command = command.clone().override_usage(usage.trim_start_matches("Usage: ").to_owned());
        let page = clap_mangen::Man::new(command.clone());
        let name = page.get_filename();
        let text = text(&page, name.trim_end_matches(".1"), &command)?;
        Ok((name, text))
    })
    .collect()
}

fn text(page: &clap_mangen::Man, title: &str, command: &Command) -> io::Result<Vec<u8>> {
    let mut text = MARK.as_bytes().to_vec();
    // No date, as two builds of one version are to be the same; the library would leave out that there is none.
    writeln!(text, r#".TH "{title}" "1" "" "cage {}" "cage""#, env!("CARGO_PKG_VERSION"))?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if command.has_subcommands() {
        page.render_subcommands_section(&mut text)?;
    }
    if let Some(rest) = command.get_after_long_help().or(command.get_after_help()) {
        rest_of(&rest.to_string()).to_writer(&mut text)?;
    }
    Ok(text)
}

/// What stands below the options in help: sections of lines in two columns, with a heading, and paragraphs.
fn rest_of(help: &str) -> Roff {
    let mut page = Roff::new();
    for part in help.split("\n\n") {
        let is_heading = |line: &&str| line.ends_with(':') && !line.starts_with(' ');
        let mut lines = part.lines().peekable();
        match lines.next_if(is_heading) {
            Some(heading) => page.control("SH", [heading.trim_end_matches(':').to_uppercase().as_str()]),
            None => page.control("PP", []),
        };
        for line in lines {
            match line.strip_prefix("  ").and_then(|line| line.split_once("  ")) {
                Some((what, words)) if !what.is_empty() => {
                    page.control("TP", []).text([bold(what)]).text([roman(words.trim_start())]);
                }
                // What stands below the words of the line before goes on with them.
                _ => {
                    page.text([roman(line.trim_start())]);
                }
            }
        }
    }
    page
}
