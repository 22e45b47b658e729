//! The checks of what cages are made from: image, home and SSH agent; and of what is no longer used.

use super::facts::{Facts, Resources};
use super::probe::AgentInside;
use super::report::{Check, Level, count};
use crate::cage::ssh_agent;
use crate::cage::user::Mapping;
use crate::engine::image::is_local;
use crate::engine::query::Volume;
use crate::host::ids::Ids;

/// How to start an SSH agent.
const START_AGENT: &str = "`eval $(ssh-agent)`, then `ssh-add`";

/// Returns the checks of what cage has on the engine.
pub fn resource_checks(facts: &Facts, resources: &Resources) -> Vec<Check> {
    let mut checks = vec![image(facts, resources), home(facts, resources)];
    checks.extend(unused(resources));
    checks.extend(resources.findings.init.map(|has_init| {
        if has_init {
            Check::ok("init", "the engine has an init for containers")
        } else {
            let message = "the engine has no init: ended programs stay as zombies until the cage stops";
            Check::warning("init", message, "install `docker-init` (tini) or `catatonit`")
        }
    }));
    checks
}

fn image(facts: &Facts, resources: &Resources) -> Check {
    let name = &facts.host.image;
    let image = match (&resources.image, &resources.image_user) {
        (Some(_), Some(Err(error))) => return Check::error("image", Level::Problem, error),
        (Some(image), _) => image,
        (None, _) if is_local(name) => {
            let message =
                format!("{name} is not on this machine, and a name without a slash is never pulled");
            return Check::problem(
                "image",
                message,
                "build it, or set CAGE_IMAGE to an image that can be pulled",
            );
        }
        (None, _) => {
            return Check::ok("image", format!("{name} is not on this machine yet: `cage start` pulls it"));
        }
    };
    let text = match &resources.image_user {
        Some(Ok(user)) => format!("{name}, user {} ({})", user.name, user.ids),
        Some(Err(_)) | None => name.clone(),
    };
    let engine = facts.server().map(|(_, server)| server.info.architecture.as_str()).unwrap_or_default();
    let architecture = image.architecture.as_str();
    if engine.is_empty() || architecture.is_empty() || architecture == engine {
        return Check::ok("image", text);
    }
    let message = format!("{text}; made for {architecture}, but the engine runs on {engine}");
    Check::warning(
        "image",
        message,
        "it is slow, if it runs at all: set CAGE_IMAGE to an image for this machine",
    )
}

fn home(facts: &Facts, resources: &Resources) -> Check {
    let name = &facts.host.home_volume;
    if resources.home.is_none() {
        return Check::ok("home", format!("{name} does not exist yet: `cage start` creates it"));
    }
    if !resources.home.as_ref().is_some_and(Volume::is_plain) {
        let message = format!("{name} was created with a driver or options");
        return Check::problem("home", message, "remove the volume, or name another with CAGE_HOME_VOLUME");
    }
    match (resources.findings.home_owner, expected_owner(facts, resources)) {
        (Some(owner), Some(expected)) if owner != expected => Check::warning(
            "home",
            format!("{name} belongs to {owner} inside, but cages here act as {expected}"),
            "the next new cage of this directory takes it over; `--home project` leaves it alone",
        ),
        (Some(_), Some(_)) => Check::ok("home", format!("{name}, owned by you")),
        (Some(owner), None) => Check::ok("home", format!("{name}, owned by {owner} inside")),
        (None, _) => Check::ok("home", name),
    }
}

/// Returns the owner that the home should have, as the probe sees it. In a virtual machine that depends on the project.
fn expected_owner(facts: &Facts, resources: &Resources) -> Option<Ids> {
    let (client, server) = facts.server().filter(|(_, server)| server.info.engine.machine.is_none())?;
    let user = resources.image_user.as_ref()?.as_ref().ok()?;
    resources.findings.cage_owner.or_else(|| {
        // The short-lived container maps no users.
        Some(match Mapping::decide(client.dialect()?, &server.info.engine, user, resources.person, None) {
            Mapping::KeepId(_) => Ids::ROOT,
            mapping => mapping.inside(user),
        })
    })
}

fn unused(resources: &Resources) -> Option<Check> {
    let unused = &resources.unused;
    let things = [
        (unused.cages.len(), "cages of deleted projects"),
        (unused.homes.len(), "homes of deleted projects"),
        (unused.images.len(), "old images"),
    ];
    let things = things.into_iter().filter(|(number, _)| *number > 0);
    let message = things.map(|(number, things)| format!("{things}: {number}")).collect::<Vec<_>>().join(", ");
    (!message.is_empty()).then(|| Check::warning("unused", message, "`cage prune` removes them"))
}

/// Returns whether there is an SSH agent on this machine and whether it works inside.
pub fn agent(facts: &Facts) -> Check {
    let server = facts.server();
    let machine = server.and_then(|(_, server)| server.info.engine.machine);
    let warning = |message: String, fix: &str| Check::warning("ssh-agent", message, fix);
    let here = match &facts.agent {
        _ if facts.host.variable("CAGE_SSH") == Some("off") => {
            return Check::ok("ssh-agent", "CAGE_SSH=off keeps it out of new cages");
        }
        Some(Ok(keys)) => count(usize::try_from(*keys).unwrap_or(usize::MAX), "key"),
        Some(Err(error)) => {
            return warning(
                format!("SSH_AUTH_SOCK is set, but no agent answers there: {error}"),
                START_AGENT,
            );
        }
        // The product may bring an agent of its own.
        None if machine.is_some() && !facts.host.wsl => "no SSH_AUTH_SOCK".to_owned(),
        None => {
            return warning(
                "none (SSH_AUTH_SOCK is not set): git over SSH fails in cages".to_owned(),
                START_AGENT,
            );
        }
    };
    let here = format!("{here} on this machine");
    let Some(Ok(Resources { findings, .. })) = &facts.resources else { return Check::ok("ssh-agent", here) };
    let endpoint = server.map(|(client, _)| client.endpoint.as_str()).unwrap_or_default();
    let advice = ssh_agent::advice(machine, endpoint);
    match &findings.agent {
        AgentInside::Works(0) => {
            warning(format!("{here}; works inside, without keys"), "`ssh-add` adds your key")
        }
        AgentInside::Works(keys) => Check::ok("ssh-agent", format!("{here}, {} inside", count(*keys, "key"))),
        AgentInside::Fails(error) => {
            let fix = advice.unwrap_or_else(|| ssh_agent::remedy(machine).to_owned());
            warning(format!("{here}; does not work inside: {error}"), &fix)
        }
        AgentInside::Untried(why) => match advice {
            Some(advice) => warning(format!("{here}; does not work inside"), &advice),
            None => Check::ok("ssh-agent", format!("{here}; not tried inside: {why}")),
        },
    }
}
