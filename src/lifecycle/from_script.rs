//! Care for the cages made by the bash script that cage replaces: never letting the engine make a directory for a mount that is gone,
//! and warning before a new cage takes the shared home from a running one.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::base::error::Failure;
use crate::base::text::{escape, quote};
use crate::base::{console, file};
use crate::cage::create_options::CreateOptions;
use crate::cage::existing::Cage;
use crate::cage::home::home_volume;
use crate::cage::user::Mapping;
use crate::engine::query::is_remote;
use crate::engine::runtime::Runtime;
use crate::host::ids::Ids;
use crate::lifecycle::context::Context;
use crate::lifecycle::new_cage::{Features, NewCage};
use crate::lifecycle::preflight::Preflight;
use crate::lifecycle::session::Session;

/// Checks that a cage can start: that the sources of its `-v` mounts exist, because docker would make directories,
/// and that the script didn't name it after a path with links, which code in another cage may have changed.
///
/// # Errors
/// When one of these checks fails.
pub fn check_start(session: &Session, runtime: &Runtime, cage: &Cage) -> Result<()> {
    let host = &session.host;
    let gone = |machine| cage.sources_of_v(host, machine).find(|source| file::is_gone(source));
    if gone(None).is_some()
        && !is_remote(&runtime.endpoint(host, session.runner)?)
        && let Some(source) = gone(runtime.engine(host, session.runner)?.machine)
    {
        let source = escape(&source.to_string_lossy());
        let remedy = if cage.is_of_script() {
            "`cage restart` makes a cage without it, and with the SSH agent of your present login"
        } else {
            "create it, or do without: `cage restart --fresh` forgets the options the cage was made with"
        };
        return Err(Failure::new(format!("{} mounts {source}, which is gone", cage.name))
            .hint(remedy)
            .into());
    }
    let real = file::real(Path::new(cage.project()));
    ensure!(
        !cage.is_of_script() || real == Path::new(cage.project()),
        Failure::new(format!(
            "the script made {} for {}, a path with a link",
            cage.name,
            escape(cage.project())
        ))
        .hint("`cage restart` replaces it by a cage for the directory that the link leads to")
    );
    Ok(())
}

/// Warns if the new cage takes the home from running cages of the script, and asks at a terminal: their user keeps its number, and
/// the files get another owner. Returns whether the user was asked. `old` is the cage that the new one replaces.
///
/// # Errors
/// When the user doesn't agree.
pub fn agree_on_home(
    context: Context,
    options: &CreateOptions,
    preflight: &Preflight,
    old: Option<&Cage>,
) -> Result<bool> {
    let Context { session, runtime, project, .. } = context;
    let volume = home_volume(&session.host, project, options);
    let is_other = |cage: &&Cage| old.is_none_or(|old| old.id != cage.id);
    let running = preflight.others.iter().filter(|cage| cage.is_of_script() && cage.state.is_up());
    let running = running.filter(is_other).filter_map(|cage| Some((cage, cage.mount_point_of(&volume)?)));
    let running: Vec<(&Cage, &str)> = running.collect();
    if running.is_empty() {
        return Ok(false);
    }
    let new =
        NewCage::gather(context, old, options.clone(), preflight, Features { init: true, agent: true })?;
    // In a cage of the script, the user to whom the engine would map the files is root.
    let owner = if let Mapping::KeepId(_) = new.mapping { Ids::ROOT } else { new.mapping.inside(&new.user) };
    let mut losing = 0;
    for (cage, home) in running {
        if seen_owner(session, runtime, cage, home)? != Some(owner) {
            losing += 1;
            console::warn(&format!(
                "{} of the script is running in the home {volume}, which gets another owner now: programs in it can no \
                 longer write there",
                cage.name
            ));
            let there = quote(cage.project());
            console::info(&format!(
                "end its work, then `cage restart -C {there}`; or use `--home project` here"
            ));
        }
    }
    let asks = losing > 0 && session.host.can_ask() && !session.global.dry_run;
    ensure!(
        !asks || console::confirm("Continue?")?,
        Failure::new("nothing was done: the script's cages keep their home")
    );
    Ok(asks)
}

/// Returns the owner of the home as a container sees it; `None` if it can't tell.
fn seen_owner(session: &Session, runtime: &Runtime, cage: &Cage, home: &str) -> Result<Option<Ids>> {
    let look = ["exec", "--workdir", "/", &cage.id, "/bin/ls", "-ldn", home];
    let output = session.runner.capture(&runtime.command(look))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let mut fields = said.split_whitespace().skip(2);
    let owner = fields.next().zip(fields.next());
    Ok(owner.and_then(|(uid, gid)| format!("{uid}:{gid}").parse().ok()))
}
