//! Completion of the names of cages.

use std::time::Duration;

use anyhow::Result;
use clap_complete::engine::CompletionCandidate;

use crate::base::{name, text};
use crate::engine::runner::Runner;
use crate::engine::signals::Interrupts;
use crate::host::completion::Line;
use crate::host::machine::{Host, ignored_signals};
use crate::lifecycle::session::{Global, Session};

/// The limit for the engine, as the user waits.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Returns all cages with their state and project, or none after an error.
pub fn cages() -> Vec<CompletionCandidate> {
    find().unwrap_or_default()
}

/// The names are safe to insert into a command line: a container is a cage only if its name is made from its project's path,
/// and such a name consists of letters, digits and `_.-`.
fn find() -> Result<Vec<CompletionCandidate>> {
    let (host, _) = Host::gather()?;
    let Line { directory, runtime } = Line::current();
    let global = Global { directory, runtime, verbose: false, dry_run: false };
    let runner = Runner { verbose: false, limit: Some(PATIENCE) };
    let interrupts = Interrupts::register(ignored_signals());
    let session = Session { host, global, runner, interrupts };
    // Known to the session, so that no runtime inside the project is run.
    let project = session.project().ok();
    let (_, mut cages) = session.ask(project.as_ref(), |runtime| session.cages(runtime))?;
    cages.retain(|cage| name::is_engine_name(&cage.name));
    cages.sort_by(|one, other| one.name.cmp(&other.name));
    let candidates = cages.iter().map(|cage| {
        let project = text::escape(cage.project());
        let about = format!("{}, {project}", cage.state.name());
        CompletionCandidate::new(&cage.name).help(Some(about.into()))
    });
    Ok(candidates.collect())
}
