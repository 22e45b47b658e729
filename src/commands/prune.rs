//! `cage prune`: what nobody will miss.

use anyhow::{Result, ensure};
use clap::Args;
use serde::Serialize;

use crate::base::error::Failure;
use crate::base::{console, text};
use crate::cage::home;
use crate::engine::container::short_id;
use crate::engine::endpoint::{endpoint, is_remote};
use crate::engine::runtime::Runtime;
use crate::host::machine::Host;
use crate::lifecycle::plan::{Plan, Step};
use crate::lifecycle::session::Session;
use crate::lifecycle::start::unlink;
use crate::lifecycle::unused::Unused;

/// Remove cages whose directory is gone, their homes, and images that newer ones have replaced
///
/// A cage that runs stays, and so does the home that all cages share. A project's own home (`start --home project`) goes
/// with the project. Of images only those go that were the one for new cages, have no name any more, and are used by no
/// container. Without a terminal, what may only be on a disk that is not mounted stays, too.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cage prune --dry-run            Print what would be removed, as a script
  cage prune                      Show what would go, ask, and remove it
  cage prune --yes                Remove it without a question
  cage prune --yes --json         The same, and what went as one JSON object")]
pub struct Prune {
    /// Don't ask (without a terminal it is done unasked)
    #[arg(short, long)]
    yes: bool,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl Prune {
    /// Does it.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn run(&self, session: &Session) -> Result<u8> {
        let host = &session.host;
        let (runtime, cages) = session.ask(None, |runtime| session.cages(runtime))?;
        let endpoint = endpoint(host, session.runner, &runtime)?;
        ensure!(
            !is_remote(&endpoint),
            Failure::new(format!("the engine is on another machine, {}", text::escape(&endpoint)))
                .hint("whether a project is gone can be seen there only")
        );
        let mut unused = Unused::find(host, &runtime, session.runner, &cages)?;
        ensure!(
            self.yes || host.can_ask() || !host.terminal.stdin || session.global.dry_run,
            Failure::new("somebody is here, but can't be asked: stderr is not a terminal")
                .hint("`cage prune --dry-run` shows what would go, `--yes` removes it without a question")
        );
        if !self.yes && !host.can_ask() {
            unused.leave_doubtful();
        }
        for line in &unused.left {
            console::info(line);
        }
        if unused.is_empty() {
            console::info("nothing to prune");
        } else if !session.confirm(self.yes, &question(&unused))? {
            if self.json {
                console::json(&Printed::of(&Unused::default(), session.global.dry_run))?;
            }
            return Ok(1);
        } else {
            let lock = session.lock()?;
            unused.look_again(host);
            let plan = plan(host, &runtime, &unused);
            if !(self.json && session.global.dry_run) {
                session.carry_out_locked(&plan, lock)?;
            }
        }
        if self.json {
            console::json(&Printed::of(&unused, session.global.dry_run))?;
        }
        Ok(0)
    }
}

/// What goes, line by line; with what is in doubt about it, if somebody is asked.
fn lines(unused: &Unused, asked: bool) -> Vec<String> {
    let place = |project: &str, doubt: Option<&String>| {
        let doubt = doubt.filter(|_| asked);
        let doubt = doubt.map(|doubt| format!("; {doubt}")).unwrap_or_default();
        format!("{} is gone{doubt}", text::escape(project))
    };
    let cages = unused
        .cages
        .iter()
        .map(|lost| format!("{} ({})", lost.container.name, place(&lost.project, lost.doubt.as_ref())));
    let homes = unused.homes.iter().map(|lost| {
        format!("the home {}, with its logins ({})", lost.volume, place(&lost.project, lost.doubt.as_ref()))
    });
    let images = unused.images.iter().map(|image| {
        let date = image.date.as_ref().map(|date| format!(", {date}")).unwrap_or_default();
        format!("the old image {}{date} (up to {})", short_id(&image.id), text::bytes(image.size))
    });
    cages.chain(homes).chain(images).collect()
}

fn question(unused: &Unused) -> String {
    let lines: Vec<String> =
        lines(unused, true).into_iter().map(|line| format!("this removes {line}")).collect();
    format!("{}\nContinue?", lines.join("\n"))
}

/// Nothing is forced: an engine refuses to remove what has come to run, or to be used, in the meantime.
fn plan(host: &Host, runtime: &Runtime, unused: &Unused) -> Plan {
    let mut plan = Plan::default();
    let mut lines = lines(unused, false).into_iter().map(|line| format!("Removing {line}"));
    for lost in &unused.cages {
        let cage = &lost.container;
        lines.next().into_iter().for_each(|line| plan.say(line));
        plan.run(runtime.command(["rm", "--volumes", &cage.id]));
        plan.append(unlink(host, cage));
        let place = cage.place_of(&host.home_volume);
        if let Some(rest) = place.and_then(|place| home::below(place, &lost.project)) {
            plan.push(Step::Try(home::remove_room(runtime, &cage.image_id, &host.home_volume, rest)));
        }
    }
    for lost in &unused.homes {
        lines.next().into_iter().for_each(|line| plan.say(line));
        plan.run(runtime.command(["volume", "rm", &lost.volume]));
    }
    for image in &unused.images {
        lines.next().into_iter().for_each(|line| plan.say(line));
        plan.run(runtime.command(["rmi", &image.id]));
    }
    plan
}

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    version: u32,
    dry_run: bool,
    cages: Vec<PrintedCage<'a>>,
    homes: Vec<PrintedHome<'a>>,
    images: Vec<PrintedImage<'a>>,
    left: &'a [String],
}

#[derive(Serialize)]
struct PrintedCage<'a> {
    name: &'a str,
    id: &'a str,
    project: &'a str,
}

#[derive(Serialize)]
struct PrintedHome<'a> {
    volume: &'a str,
    project: &'a str,
}

#[derive(Serialize)]
struct PrintedImage<'a> {
    id: &'a str,
    size_bytes: u64,
}

impl<'a> Printed<'a> {
    fn of(unused: &'a Unused, dry_run: bool) -> Self {
        let cages = unused.cages.iter().map(|lost| PrintedCage {
            name: &lost.container.name,
            id: &lost.container.id,
            project: &lost.project,
        });
        let homes =
            unused.homes.iter().map(|lost| PrintedHome { volume: &lost.volume, project: &lost.project });
        let images = unused.images.iter().map(|image| PrintedImage { id: &image.id, size_bytes: image.size });
        Self {
            version: console::JSON_VERSION,
            dry_run,
            cages: cages.collect(),
            homes: homes.collect(),
            images: images.collect(),
            left: &unused.left,
        }
    }
}
