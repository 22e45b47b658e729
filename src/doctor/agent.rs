//! The SSH agent, from one end to the other.

use super::{AgentInside, Check, Facts, Level};
use crate::cage::ssh_agent;
use crate::engine::runtime::Product;

/// What starts an agent.
const START: &str = "start an agent: `eval $(ssh-agent)`, then `ssh-add`";

/// Is there one here, and does it work inside?
pub fn agent(facts: &Facts) -> Check {
    if facts.host.variable("CAGE_SSH") == Some("off") {
        return says(Level::Ok, "CAGE_SSH=off keeps it out of new cages".to_owned());
    }
    let here = match here(facts) {
        Ok(here) => here,
        Err(check) => return check,
    };
    let Some(inside) = &facts.inside else { return says(Level::Ok, here) };
    let server = facts.server();
    let machine = server.and_then(|(_, server)| server.engine.machine);
    let endpoint = server.map(|(candidate, _)| candidate.endpoint.as_str()).unwrap_or_default();
    let advice = ssh_agent::advice(machine, endpoint);
    match &inside.trial.agent {
        AgentInside::Works(0) => says(Level::Warning, format!("{here}; it works inside, and has no keys"))
            .fix("`ssh-add` gives it your key"),
        AgentInside::Works(count) => says(Level::Ok, format!("{here}; inside {}", keys(*count))),
        AgentInside::NoTool => says(Level::Ok, format!("{here}; the image has no `ssh-add` to try it with")),
        AgentInside::Fails(words) => {
            says(Level::Warning, format!("{here}; inside it does not work: {words}"))
                .fix(advice.unwrap_or_else(|| ssh_agent::remedy(machine).to_owned()))
        }
        AgentInside::Untried(_) if machine == Some(Product::PodmanMachine) => {
            says(Level::Warning, format!("{here}; {}", advice.unwrap_or_default()))
        }
        AgentInside::Untried(why) => says(Level::Ok, format!("{here}; not tried inside: {why}")),
    }
}

/// What is known of it here, or all there is to say.
fn here(facts: &Facts) -> Result<String, Check> {
    let machine = facts.server().and_then(|(_, server)| server.engine.machine);
    match &facts.agent {
        Some(Ok(count)) => Ok(format!("here {}", keys(usize::try_from(*count).unwrap_or(usize::MAX)))),
        Some(Err(why)) => {
            let message = format!("SSH_AUTH_SOCK is set, but nobody answers there: {why}");
            Err(says(Level::Warning, message).fix(START))
        }
        // A product brings its own.
        None if machine.is_some() && !facts.host.wsl => Ok("SSH_AUTH_SOCK is not set here".to_owned()),
        None => {
            let message = "none here (SSH_AUTH_SOCK is not set): git over SSH won't work in cages";
            Err(says(Level::Warning, message.to_owned()).fix(START))
        }
    }
}

fn says(level: Level, text: String) -> Check {
    Check::new("ssh-agent", level, text)
}

fn keys(count: usize) -> String {
    match count {
        0 => "no keys".to_owned(),
        1 => "1 key".to_owned(),
        count => format!("{count} keys"),
    }
}
