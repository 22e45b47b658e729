//! Parts of plans that several commands use.

use super::belonging;
use super::ending;
use super::pause::Pause;
use super::plan::{Plan, Step};
use crate::cage::create_options::CreateOptions;
use crate::cage::existing::Cage;
use crate::cage::home;
use crate::engine::command::Invocation;
use crate::engine::container::State;
use crate::engine::runtime::Runtime;
use crate::host::machine::Host;

/// Adds the steps that stop containers: a hangup, and a kill after five seconds. `how` is the word that their sessions show, such
/// as `stopped`.
pub fn halt(plan: &mut Plan, host: &Host, runtime: &Runtime, containers: &[&Cage], how: &'static str) {
    let ids = |wanted: fn(State) -> bool| {
        containers
            .iter()
            .filter(move |container| wanted(container.state))
            .map(|container| container.id.as_str())
    };
    // A frozen process can't take a signal.
    let frozen: Vec<&str> = ids(|state| state == State::Paused).collect();
    if !frozen.is_empty() {
        plan.run(runtime.command(["unpause"].into_iter().chain(frozen)));
    }
    let up: Vec<&str> = ids(State::is_up).collect();
    if !up.is_empty() {
        let notes = containers.iter().filter_map(|container| ending::note(host, &container.name));
        plan.extend(notes.map(|path| Step::Note(path, how)));
        plan.run(runtime.command(["stop", "-t", "5"].into_iter().chain(up)));
    }
}

/// Returns the steps that check the sources of a container's mounts and start it, while no code in these cages runs that could
/// exchange a source with a link in between.
pub fn start_checked(
    runtime: &Runtime,
    container: &str,
    checks: impl IntoIterator<Item = Step>,
    neighbours: &[Cage],
) -> Plan {
    let start = Step::Run(runtime.command(["start", container]));
    let plan = Plan::new(checks.into_iter().chain([start]));
    if neighbours.is_empty() {
        return plan;
    }
    Plan::new([Step::WhilePaused(Box::new(Pause::new(runtime, neighbours).optional()), plan)])
}

/// Returns the step that prints the published ports, if the engine chooses one of them: it does so when a container starts.
pub fn tell_ports(runtime: &Runtime, container: &str, options: &CreateOptions) -> Option<Step> {
    options.has_port_of_choice().then(|| Step::TellPorts(runtime.command(["port", container])))
}

/// Returns the command that removes a container with its anonymous volumes.
pub fn remove(runtime: &Runtime, container: &str) -> Invocation {
    runtime.command(["rm", "--force", "--volumes", container])
}

/// Returns the steps that remove this machine's files about a cage of this engine, except those about findings.
pub fn unlink(host: &Host, runtime: &Runtime, container: &Cage) -> Plan {
    let kinds = ["agent", "modes", "ended", "terminals", "worktrees"];
    let files = kinds.into_iter().filter_map(|kind| host.state_file(&container.name, kind));
    Plan::new(files.chain(belonging::file_of(host, runtime, &container.name)).map(Step::Unlink))
}

/// Returns the steps that remove a cage's files on this machine, and the project's mount point if that is in the home.
pub fn clean_up(host: &Host, runtime: &Runtime, cage: &Cage) -> Plan {
    let mut plan = unlink(host, runtime, cage);
    let place = cage.mount_point_of(&host.home_volume);
    if let Some(rest) = place.and_then(|place| home::below(place, cage.project())) {
        plan.push(Step::Try(home::remove_room(runtime, &cage.image_id, &host.home_volume, rest)));
    }
    plan
}

/// Returns the plan that pulls an image: with the engine's progress on a terminal, quietly elsewhere. If that fails, an
/// image for which `unless` succeeds will do.
pub fn fetch(host: &Host, runtime: &Runtime, image: &str, unless: Option<Invocation>) -> Plan {
    let quiet = (!host.terminal.stderr).then_some("--quiet");
    let pull = runtime.command(["pull"].into_iter().chain(quiet).chain([image]));
    Plan::new([Step::Say(format!("Pulling {image}")), Step::Pull(pull, unless.map(Box::new))])
}

/// Returns the plan that removes these containers.
pub fn remove_all<'a>(runtime: &Runtime, cages: impl IntoIterator<Item = &'a Cage>) -> Plan {
    Plan::new(cages.into_iter().map(|cage| Step::Run(remove(runtime, &cage.id))))
}
