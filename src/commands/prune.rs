//! `cage prune`: remove leftovers of deleted projects, and old images.

use std::mem;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::base::console;
use crate::base::error::Failure;
use crate::base::text::{bytes, escape};
use crate::engine::image::{Image, short_id};
use crate::engine::runtime::Runtime;
use crate::host::machine::Host;
use crate::host::project::cage_name;
use crate::lifecycle::plan::{Plan, Step};
use crate::lifecycle::session::Session;
use crate::lifecycle::steps::clean_up;
use crate::lifecycle::unused::{Lost, Object, Unused};

/// Remove cages and homes of deleted projects, and replaced images
///
/// Running cages and the home that all cages share are kept. A project's own home (`start --home project`) is removed with
/// the project. An image is removed only if it was the image for new cages, has no name now, and no container uses it.
/// Of projects that may be on a disk that is not mounted, nothing is removed unless you agree or type --yes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cage prune --dry-run            Print what would be removed, as a script
  cage prune                      Show what would be removed, and ask
  cage prune --yes                Don't ask
  cage prune --yes --json         Print what was removed as one JSON object")]
pub struct Prune {
    /// Don't ask; needed without a terminal
    #[arg(short, long)]
    yes: bool,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl Prune {
    /// Finds unused objects, asks, and removes them.
    ///
    /// # Errors
    /// When the engine is on another machine, or refuses.
    pub fn run(&self, session: &Session) -> Result<u8> {
        let (host, dry_run) = (&session.host, session.global.dry_run);
        let (runtime, cages) = session.own_cages()?;
        if let Some(address) = runtime.elsewhere(host, session.runner)? {
            bail!(
                Failure::new(format!("the engine is on another machine, {}", escape(&address)))
                    .hint("run `cage prune` there: only there it can see whether a project is gone")
            );
        }
        let mut unused = Unused::find(session, &runtime, &cages)?;
        if !self.yes && !host.can_ask() {
            unused.keep_doubtful();
        }
        for line in &unused.left {
            console::info(line);
        }
        let mut code = 0;
        if unused.is_empty() {
            console::info("nothing to prune");
        } else if session.confirm(self.yes, &question(&unused))? {
            let is_told_only = self.json && dry_run;
            // The locks are open files, of which macOS allows 256.
            let mut lost = mem::take(&mut unused.lost).into_iter();
            while !lost.as_slice().is_empty() {
                let mut part: Vec<Lost> = lost.by_ref().take(100).collect();
                let names: Vec<String> = part.iter().map(|lost| cage_name(&lost.project)).collect();
                let lock = session.lock(names.iter().map(String::as_str))?;
                // The user may have answered much later.
                part.retain(|lost| lost.is_gone(host));
                if !is_told_only {
                    session.carry_out_locked(&removal(host, &runtime, &part), lock)?;
                }
                unused.lost.append(&mut part);
            }
            if !is_told_only && !unused.images.is_empty() {
                session.carry_out(&images_removal(&runtime, &unused.images))?;
            }
        } else {
            unused = Unused::default();
            code = 1;
        }
        if self.json {
            console::json(&printed(&unused, dry_run))?;
        }
        Ok(code)
    }
}

fn lost(Lost { object, project, doubt }: &Lost) -> String {
    let logins = if matches!(object, Object::Home(_)) { ", with its logins" } else { "" };
    let doubt = doubt.as_ref().map(|doubt| format!("; {doubt}")).unwrap_or_default();
    format!("{object}{logins} ({} is gone{doubt})", escape(project))
}

fn image(old: &Image) -> String {
    let date = old.date.as_ref().map(|date| format!(", {date}")).unwrap_or_default();
    format!("the old image {}{date} (up to {})", short_id(&old.id), bytes(old.size))
}

fn question(unused: &Unused) -> String {
    let all = unused.lost.iter().map(lost).chain(unused.images.iter().map(image));
    all.map(|object| format!("this removes {object}\n")).chain(["Continue?".to_owned()]).collect()
}

/// Returns the plan that removes objects of projects. Nothing is forced: the engine refuses to remove a container that was started
/// or a volume that was used since the question.
fn removal(host: &Host, runtime: &Runtime, objects: &[Lost]) -> Plan {
    let mut plan = Plan::default();
    for object in objects {
        plan.say(format!("Removing {}", lost(object)));
        match &object.object {
            Object::Cage(cage) => {
                plan.run(runtime.command(["rm", "--volumes", &cage.id]));
                plan.append(clean_up(host, runtime, cage));
                let kinds = ["accepted", "baseline"];
                plan.extend(
                    kinds.into_iter().filter_map(|kind| host.state_file(&cage.name, kind)).map(Step::Unlink),
                );
            }
            Object::Home(volume) => plan.run(runtime.command(["volume", "rm", volume])),
        }
    }
    plan
}

fn images_removal(runtime: &Runtime, images: &[Image]) -> Plan {
    let mut plan = Plan::default();
    for old in images {
        plan.say(format!("Removing {}", image(old)));
        plan.run(runtime.command(["rmi", &old.id]));
    }
    plan
}

/// Returns the object that `--json` prints.
fn printed(unused: &Unused, dry_run: bool) -> Value {
    let (mut cages, mut homes) = (Vec::new(), Vec::new());
    for Lost { object, project, .. } in &unused.lost {
        match object {
            Object::Cage(cage) => cages.push(json!({"name": cage.name, "id": cage.id, "project": project})),
            Object::Home(volume) => homes.push(json!({"volume": volume, "project": project})),
        }
    }
    let images = unused.images.iter().map(|image| json!({"id": image.id, "size_bytes": image.size}));
    json!({
        "version": console::JSON_VERSION,
        "dry_run": dry_run,
        "cages": cages,
        "homes": homes,
        "images": images.collect::<Value>(),
        "left": unused.left,
    })
}
