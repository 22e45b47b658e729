//! `cage obliterate`: all cages and their home.

use anyhow::Result;
use clap::Args;

use super::question::{Everything, confirm};
use crate::base::text::{escape, quote};
use crate::cage::existing::Cage;
use crate::host::machine::DEFAULT_IMAGE;
use crate::lifecycle::plan::Plan;
use crate::lifecycle::session::Session;
use crate::lifecycle::steps::unlink;
use crate::lifecycle::unused::{homes_of_projects, unknown_homes};

/// Remove all cages and the home that they share
///
/// Homes of single projects (`start --home project`) stay unless you add --homes. At the end, cage prints what it left on this
/// machine: images, configuration and state.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage obliterate             Show what will be removed, and ask
  cage obliterate --homes     Remove the homes of single projects, too
  cage obliterate --dry-run   Print what would be removed, as a script")]
pub struct Obliterate {
    /// Don't ask; needed without a terminal
    #[arg(short, long)]
    yes: bool,

    /// Remove the homes of single projects, too
    #[arg(long)]
    homes: bool,
}

impl Obliterate {
    /// Asks, and removes the cages and the homes.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn run(&self, session: &Session) -> Result<u8> {
        let everything = Everything::find(session)?;
        let Everything { runtime, cages, .. } = &everything;
        let all: Vec<&Cage> = cages.iter().collect();
        let homes = homes_of_projects(session, runtime, all.iter().copied())?;
        let (gone, kept) = if self.homes { (homes.as_slice(), &[][..]) } else { (&[][..], homes.as_slice()) };
        let unknown = unknown_homes(session, runtime, &homes, cages)?;
        let remains = self::remains(session, &everything)?;
        if !confirm(session, self.yes, &everything.losses("removes", &all, gone))? {
            return Ok(1);
        }
        let mut plan = Plan::default();
        if all.is_empty() {
            plan.say("No cage containers to remove");
        } else {
            plan.say("Removing all cage containers");
            let ids = all.iter().map(|cage| cage.id.as_str());
            plan.run(runtime.command(["rm", "--force", "--volumes"].into_iter().chain(ids)));
            for cage in all {
                plan.append(unlink(&session.host, &everything.runtime, cage));
            }
        }
        everything.remove_home(&session.host, &mut plan);
        for (volume, _) in gone {
            plan.say(format!("Removing the home {volume}"));
            plan.run(runtime.command(["volume", "rm", volume]));
        }
        for (volume, project) in kept {
            plan.say(format!("keeping the home {volume} ({}); `--homes` removes it, too", escape(project)));
        }
        for line in unknown {
            plan.say(line);
        }
        if !remains.is_empty() {
            plan.say("still on this machine:");
            for line in remains {
                plan.say(format!("  {line}"));
            }
        }
        session.carry_out(&plan)
    }
}

/// Returns what stays of cage on this machine: images, configuration and state. Images that the user chose may be theirs.
fn remains(session: &Session, everything: &Everything) -> Result<Vec<String>> {
    let Everything { runtime, cages, .. } = everything;
    let mut names: Vec<&str> = cages.iter().map(|cage| cage.image_id.as_str()).collect();
    names.push(&session.host.image);
    let images = runtime.images(session.runner, &names)?.into_iter();
    let mut images: Vec<String> =
        images.map(|image| image.tags.into_iter().next().unwrap_or(image.id)).collect();
    images.sort();
    images.dedup();
    let image = |image: &String| match image.as_str() {
        DEFAULT_IMAGE => format!("the image {image}; `{} rmi {image}` removes it", quote(&runtime.name)),
        _ => format!("the image {}", escape(image)),
    };
    let dirs = [session.host.config_dir(), session.host.state_dir()];
    let dirs = dirs.into_iter().flatten().filter(|dir| dir.exists());
    let dirs = dirs.map(|dir| quote(&dir.to_string_lossy()));
    Ok(images.iter().map(image).chain(dirs.map(|dir| format!("{dir}; `rm -r {dir}` removes it"))).collect())
}
