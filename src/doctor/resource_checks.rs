//! The checks of the image, the home and the SSH agent.

use super::facts::{Facts, Resources};
use super::probe::AgentInside;
use super::report::{Check, Level, count};
use crate::cage::ssh_agent;
use crate::engine::image::is_local;
use crate::engine::info::Product;

/// How to start an SSH agent.
const START_AGENT: &str = "`eval $(ssh-agent)`, then `ssh-add`";

/// Returns whether the image for new cages is on this machine and has a user.
pub fn image(facts: &Facts, resources: &Resources) -> Check {
    let name = &facts.host.image;
    match &resources.image_user {
        Some(Ok(user)) => Check::ok("image", format!("{name}, user {} ({})", user.name, user.ids)),
        Some(Err(error)) => Check::error("image", Level::Problem, error),
        None if resources.has_image => Check::ok("image", name),
        None if is_local(name) => Check::problem(
            "image",
            format!("{name} is not on this machine, and a name without a slash is never pulled"),
            "build it, or set CAGE_IMAGE to an image that can be pulled",
        ),
        None => Check::ok("image", format!("{name} is not on this machine yet: `cage start` pulls it")),
    }
}

/// Returns whether the home volume is one that cage would create.
pub fn home(facts: &Facts, resources: &Resources) -> Check {
    let name = &facts.host.home_volume;
    match &resources.home {
        None => Check::ok("home", format!("{name} does not exist yet: `cage start` creates it")),
        Some(volume) if volume.is_plain => Check::ok("home", name),
        Some(_) => Check::problem(
            "home",
            format!("{name} was created with a driver or options"),
            "remove the volume, or name another with CAGE_HOME_VOLUME",
        ),
    }
}

/// Returns whether there is an SSH agent on this machine and whether it works inside.
pub fn agent(facts: &Facts) -> Check {
    let machine = facts.engine().and_then(|(_, info)| info.engine.machine);
    let warning = |message: String, fix: &str| Check::warning("ssh-agent", message, fix);
    if machine == Some(Product::Elsewhere) {
        return Check::ok("ssh-agent", "doesn't come along to another machine");
    }
    let here = match &facts.agent {
        _ if facts.host.variable("CAGE_SSH") == Some("off") => {
            return Check::ok("ssh-agent", "CAGE_SSH=off keeps it out of new cages");
        }
        Some(Ok(keys)) => count(usize::try_from(*keys).unwrap_or(usize::MAX), "key"),
        Some(Err(error)) => {
            let message = format!("SSH_AUTH_SOCK is set, but no agent answers there: {error}");
            return warning(message, START_AGENT);
        }
        // The product may provide an agent.
        None if machine.is_some() && !facts.host.wsl => "no SSH_AUTH_SOCK".to_owned(),
        None => {
            let message = "none (SSH_AUTH_SOCK is not set): git over SSH fails in cages".to_owned();
            return warning(message, START_AGENT);
        }
    };
    let here = format!("{here} on this machine");
    let Some(Ok(resources)) = &facts.resources else { return Check::ok("ssh-agent", here) };
    let endpoint = facts.engine().map(|(client, _)| client.endpoint.as_str()).unwrap_or_default();
    let advice = ssh_agent::advice(machine, endpoint);
    match (&resources.agent, advice) {
        (AgentInside::Works(0), _) => {
            warning(format!("{here}; works inside, without keys"), "`ssh-add` adds your key")
        }
        (AgentInside::Works(keys), _) => {
            let keys = count(*keys, "key");
            Check::ok("ssh-agent", format!("{here}, {keys} inside (`ssh-add -c` asks before each use)"))
        }
        (AgentInside::Fails(error), advice) => {
            let fix = advice.unwrap_or_else(|| ssh_agent::remedy(machine).to_owned());
            warning(format!("{here}; does not work inside: {error}"), &fix)
        }
        (AgentInside::Untried(_), Some(advice)) => warning(format!("{here}; does not work inside"), &advice),
        (AgentInside::Untried(why), None) => {
            Check::ok("ssh-agent", format!("{here}; not tried inside: {why}"))
        }
    }
}
