//! From what is known to what is told.

use std::fmt::Write as _;

use super::engines::Why;
use super::{Candidate, Check, Facts, Level, Told, agent, stock, wall};
use crate::engine::runtime::RuntimeKind;
use crate::host::machine::Os;
use crate::lifecycle::create::is_remote;

/// What is found among `facts`, in the order in which a person would look.
pub fn checks(facts: &Facts) -> Vec<Check> {
    let mut checks = settings(facts);
    checks.extend(engines(facts));
    let podman = facts.candidates.iter().find(|found| found.is_podman());
    if let (Some(kernel), Some(podman)) = (&facts.kernel, podman)
        && facts.server().is_none_or(|(candidate, _)| candidate.path == podman.path)
    {
        checks.extend(kernel.checks(podman.server.is_ok()));
    }
    if let Some((candidate, server)) = facts.server() {
        checks.extend(wall::server_checks(&facts.host, candidate, server));
    }
    if let Some(inside) = &facts.inside {
        match &inside.store {
            Err(told) => checks.push(Check::told("store", Level::Problem, told)),
            Ok(store) => {
                checks.push(stock::image(facts, inside, store));
                checks.push(stock::home(facts, inside, store));
                checks.extend(stock::room(inside, store));
            }
        }
        checks.extend(wall::init(facts, inside));
    }
    checks.push(agent::agent(facts));
    checks.extend(files(facts));
    checks.push(project(facts));
    checks
}

fn settings(facts: &Facts) -> Vec<Check> {
    let mut checks: Vec<Check> =
        facts.wrong.iter().map(|told| Check::told("settings", Level::Problem, told)).collect();
    let (set, unknown) = facts.variables();
    for (name, meant) in unknown {
        let check = Check::new("settings", Level::Warning, format!("{name} means nothing to cage"));
        checks.push(match meant {
            Some(meant) => check.fix(format!("is {meant} meant?")),
            None => check.fix("`cage help` lists the variables that do something"),
        });
    }
    if !set.is_empty() {
        checks.push(Check::new("settings", Level::Ok, format!("set: {}", set.join(", "))));
    }
    checks
}

fn engines(facts: &Facts) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(told) = &facts.none_found {
        checks.push(Check::told("engine", Level::Problem, told));
    }
    for (index, candidate) in facts.candidates.iter().enumerate() {
        checks.push(engine(facts, candidate, facts.chosen == Some(index)));
    }
    checks
}

/// Does it answer, and does cage use it?
fn engine(facts: &Facts, candidate: &Candidate, is_chosen: bool) -> Check {
    let name = &candidate.name;
    let says = |level, text: String| Check::new("engine", level, format!("{name}: {text}"));
    match &candidate.server {
        Ok(server) => {
            let mut text = format!("{} answers", &server.version);
            if let Some(client) = candidate.client.as_ref().filter(|client| **client != server.version) {
                let _ = write!(text, " to the client {client}");
            }
            if !candidate.endpoint.is_empty() {
                let _ = write!(text, " at {}", &candidate.endpoint);
            }
            text.push_str(match (is_chosen, facts.choice) {
                (true, Some("--runtime")) => "; cage uses it, as --runtime says",
                (true, Some(_)) => "; cage uses it, as CAGE_RUNTIME says",
                (true, None) if name == "docker" => "; cage uses it: docker comes first",
                (true, None) => "; cage uses it",
                (false, _) => ", too",
            });
            says(Level::Ok, text)
        }
        Err(silence) => {
            // Only what cage tries matters, and what it goes on from is no problem.
            let level = match (is_chosen || facts.chosen.is_none(), candidate.tried) {
                (true, true) => Level::Problem,
                (false, true) => Level::Warning,
                (_, false) => Level::Ok,
            };
            let mut text = silence.told.message.clone();
            if silence.why == Why::Down && candidate.endpoint.is_empty() {
                "it does not answer".clone_into(&mut text);
            } else if silence.why == Why::Down {
                text = format!("nothing answers at {}", &candidate.endpoint);
            }
            if is_chosen && silence.why == Why::Late {
                text.push_str("; cage waits for it");
            } else if facts.server().is_some() {
                text.push_str(if candidate.tried { "; cage uses another" } else { "; cage doesn't need it" });
            }
            let mut fix = match silence.why {
                Why::Down => Some(how_to_start(facts.host.os, candidate)),
                Why::Late if is_remote(&candidate.endpoint) => Some(how_to_start(facts.host.os, candidate)),
                _ => silence.told.fix.clone(),
            };
            let other = facts.candidates.iter().find(|other| other.server.is_ok());
            if let (Level::Problem, Some(fix), Some(other)) = (level, &mut fix, other) {
                let _ = write!(fix, "; or use what answers: `--runtime {0}`, CAGE_RUNTIME={0}", other.name);
            }
            Check { fix, ..says(level, text) }
        }
    }
}

/// What starts the engine that nobody answers for.
fn how_to_start(os: Os, candidate: &Candidate) -> String {
    let endpoint = candidate.endpoint.as_str();
    let kind = candidate.runtime.as_ref().map(|runtime| runtime.kind);
    let at = |part: &str| endpoint.contains(part);
    if kind == Some(RuntimeKind::Podman) {
        return if os == Os::Linux { "`podman info` says why" } else { "`podman machine start`" }.to_owned();
    }
    let start = if at("colima") {
        match endpoint.rsplit('/').nth(1) {
            Some(profile) if !matches!(profile, "default" | ".colima" | "colima") => {
                return format!("`colima -p {profile} start`");
            }
            _ => "`colima start`",
        }
    } else if at(".orbstack") {
        "start OrbStack"
    } else if at(".rd/") {
        "start Rancher Desktop"
    } else if at(".lima/") {
        "`limactl start` and the machine's name"
    } else if at(".docker/") || (os == Os::Mac && !at("://")) {
        "start Docker Desktop"
    } else if at("/run/user/") {
        "`systemctl --user start docker`"
    } else if is_remote(endpoint) {
        "cage needs an engine on this machine: unset DOCKER_HOST, or `docker context use default`"
    } else if os == Os::Mac {
        "start Docker Desktop, OrbStack or colima"
    } else {
        "`sudo systemctl start docker`"
    };
    start.to_owned()
}

/// Files of the person's that cages are made with.
fn files(facts: &Facts) -> Vec<Check> {
    let mut checks = Vec::new();
    checks.extend(facts.env.as_ref().map(|env| match env {
        Ok(0) => Check::new("env-files", Level::Ok, "none, or nothing in them"),
        Ok(count) => Check::new("env-files", Level::Ok, format!("variables: {count}")),
        Err(told) => Check::told("env-files", Level::Problem, told),
    }));
    checks.push(match &facts.seed {
        Ok(None) => Check::new("seed", Level::Ok, "nothing in ~/.config/cage/home"),
        Ok(Some(dir)) => Check::new("seed", Level::Ok, dir),
        Err(told) => Check::told("seed", Level::Problem, told),
    });
    checks
}

/// Where the person stands is often no project yet, which is nothing that is wrong with cage.
fn project(facts: &Facts) -> Check {
    let nested = facts.inside.as_ref().and_then(|inside| inside.nested.as_ref());
    match (&facts.project, facts.not_here.as_ref().or(nested)) {
        (Err(told), _) | (_, Some(told)) => Check::told("project", Level::Warning, told),
        (Ok(project), None) => {
            let inside = facts.inside.as_ref().and_then(|inside| inside.store.as_ref().ok());
            let cage = inside.and_then(|store| store.cage_of(project));
            let cage = cage.map(|cage| format!("; its cage is {}", cage.state.name())).unwrap_or_default();
            Check::new("project", Level::Ok, format!("{}{cage}", &project.path))
        }
    }
}

impl Facts {
    /// Why the engine could not be used, for those who look at one value only.
    pub fn silence(&self) -> Option<&Told> {
        let silent = self.candidates.iter().find_map(|candidate| candidate.server.as_ref().err());
        self.none_found.as_ref().or(silent.map(|silence| &silence.told)).filter(|_| self.server().is_none())
    }
}
