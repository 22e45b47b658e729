//! A look from inside: the project's running cage or a short-lived container shows whether the SSH agent works there and
//! who owns the home.

use std::time::Duration;

use anyhow::Result;

use super::report::one_line;
use crate::base::script;
use crate::cage::existing::{Cage, OWNER_LABEL};
use crate::cage::home::UNCONFINED;
use crate::cage::ssh_agent::{Agent, Link, SOCKET};
use crate::engine::command::Invocation;
use crate::engine::container::State;
use crate::engine::error::{Trouble, is_trouble};
use crate::engine::image::Image;
use crate::engine::info::{Engine, Mode};
use crate::engine::mount::Mount;
use crate::engine::runner::Runner;
use crate::engine::runtime::Runtime;
use crate::host::ids::Ids;
use crate::host::machine::Host;

/// The script that runs inside.
const SCRIPT: &str = script::body(include_str!("probe.sh"));

/// Where the home is mounted in the short-lived container: no image has this path, whose files an engine would copy.
const HOME: &str = "/cage-home";

/// How long removing a container may take whose client was stopped.
const REMOVAL_LIMIT: Duration = Duration::from_secs(3);

/// The SSH agent as it is inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentInside {
    /// The agent was not tried, for this reason.
    Untried(String),
    /// The agent works and has this many keys.
    Works(usize),
    /// The agent does not work, with this error.
    Fails(String),
}

/// What was seen from inside.
#[derive(Debug, Clone)]
pub struct Findings {
    /// The SSH agent.
    pub agent: AgentInside,
    /// The home's owner, in the numbers used inside.
    pub home_owner: Option<Ids>,
    /// The user that the running cage acts as.
    pub cage_owner: Option<Ids>,
    /// Whether the engine has an init for containers.
    pub init: Option<bool>,
}

/// A container to look from.
#[derive(Debug)]
pub struct Probe<'a> {
    /// This machine.
    pub host: &'a Host,
    /// The runner of engine commands.
    pub runner: Runner,
    /// The engine's client.
    pub runtime: &'a Runtime,
    /// The engine.
    pub engine: &'a Engine,
    /// The home volume, if it exists.
    pub home: Option<&'a str>,
    /// The user that cages act for.
    pub person: Ids,
}

impl Probe<'_> {
    /// Looks from the project's cage if it runs, else from a short-lived container of `image`.
    pub fn run(&self, cage: Option<&Cage>, image: Option<&Image>) -> Findings {
        match (cage.filter(|cage| cage.state == State::Running), image) {
            (Some(cage), _) => self.run_in_cage(cage),
            (None, Some(image)) => self.run_in_new(image),
            (None, None) => Findings::untried("the image is not on this machine"),
        }
    }

    fn run_in_cage(&self, cage: &Cage) -> Findings {
        let home = self.home.and_then(|home| cage.mount_point_of(home)).unwrap_or_default();
        // Nothing can run in the project's directory if that was replaced.
        let exec = ["exec", "--workdir", "/", &cage.id, "/bin/sh", "-c", SCRIPT, "sh", home];
        let mut findings = match self.runner.run(&self.runtime.command(exec)) {
            Ok(answer) => Findings::parse(&answer, "this project's cage runs without your SSH agent"),
            Err(error) => Findings::untried(&one_line(&error.into())),
        };
        findings.cage_owner = cage.ids(OWNER_LABEL).ok().flatten();
        findings
    }

    /// Tries everything first, then without what the engine can't do, as for a new cage.
    fn run_in_new(&self, image: &Image) -> Findings {
        let name = format!("cage-doctor-{}", self.host.session);
        let (mut init, mut agent, mut agent_error) = (true, true, None);
        let mut findings = loop {
            match self.try_new(&name, image, init, agent) {
                Ok(answer) => {
                    let findings = Findings::parse(&answer, "there is no agent to mount");
                    break Findings { init: Some(init), ..findings };
                }
                Err(error) if init && is_trouble(&error, Trouble::NoInit) => init = false,
                Err(error) if agent && is_about_agent(&error) => {
                    agent = false;
                    agent_error = Some(one_line(&error));
                }
                Err(error) => {
                    // A client that was stopped leaves its container.
                    let remove = self.runtime.command(["rm", "--force", &name]).within(REMOVAL_LIMIT);
                    let _ = self.runner.capture(&remove);
                    break Findings::untried(&one_line(&error));
                }
            }
        };
        if let Some(error) = agent_error {
            findings.agent = AgentInside::Fails(error);
        }
        findings
    }

    fn try_new(&self, name: &str, image: &Image, init: bool, agent: bool) -> Result<String> {
        Ok(self.runner.run(&self.command(name, image, init, agent))?)
    }

    /// Returns the command of a container that sees what a new cage would, and that can't change the home.
    fn command(&self, name: &str, image: &Image, init: bool, agent: bool) -> Invocation {
        let user = self.user(image);
        let mut args = vec!["run", "--rm", "--pull", "never", "--network", "none", "--workdir", "/"];
        args.extend(["--name", name, "--user", &user]);
        args.extend(init.then_some("--init"));
        args.extend(self.engine.selinux.then_some(UNCONFINED));
        args.extend(self.engine.remaps.then_some("--userns=host"));
        let variable = format!("SSH_AUTH_SOCK={SOCKET}");
        let socket = self.agent_socket(name).filter(|_| agent).map(|mount| mount.to_flag());
        if let Some(socket) = &socket {
            args.extend(["--mount", socket, "--env", &variable]);
        }
        let home = self.home.map(|home| Mount::volume(home, HOME).readonly().to_flag());
        args.extend(home.iter().flat_map(|home| ["--mount", home]));
        let home = if home.is_some() { HOME } else { "" };
        args.extend(["--entrypoint", "/bin/sh", &image.id, "-c", SCRIPT, "sh", home]);
        self.runtime.command(args)
    }

    /// Returns the numbers that inside stand for the person outside.
    fn user(&self, image: &Image) -> String {
        let is_root = matches!(image.user.split(':').next(), None | Some("" | "root" | "0"));
        if self.engine.mode == Mode::Rootless || self.engine.machine.is_some() || is_root {
            Ids::ROOT.to_string()
        } else {
            self.person.to_string()
        }
    }

    /// Returns the mount of the agent's socket itself, since doctor makes no link.
    fn agent_socket(&self, name: &str) -> Option<Mount> {
        if self.host.variable("CAGE_SSH") == Some("off") {
            return None;
        }
        let link = Link::of(self.host, name);
        match Agent::decide(self.engine.machine, self.host.wsl, link.as_ref())? {
            Agent::Machine => Agent::Machine.mount(),
            Agent::Link(link) if link.leads_nowhere() => None,
            Agent::Link(link) => Some(Mount::path(link.target.to_str()?, SOCKET)),
        }
    }
}

/// Returns whether the socket, the only path of the host that is mounted, can't be.
fn is_about_agent(error: &anyhow::Error) -> bool {
    is_trouble(error, Trouble::NoAgent) || is_trouble(error, Trouble::NotShared)
}

impl Findings {
    /// Returns findings of nothing, for the reason `why`.
    pub fn untried(why: &str) -> Self {
        Self { agent: AgentInside::Untried(why.to_owned()), home_owner: None, cage_owner: None, init: None }
    }

    /// Reads the output of [`SCRIPT`]; `no_agent` is the reason if the script saw none.
    fn parse(output: &str, no_agent: &str) -> Self {
        let mut findings = Self::untried(no_agent);
        let mut lines = output.lines();
        while let Some(line) = lines.next() {
            if let Some(owner) = line.strip_prefix("home ") {
                findings.home_owner = owner.parse().ok();
            } else if let Some(status) = line.strip_prefix("agent ") {
                let answer: Vec<&str> = lines.by_ref().filter(|line| !line.is_empty()).collect();
                findings.agent = match status {
                    "0" => AgentInside::Works(answer.len()),
                    "-" => AgentInside::Untried("the image has no `ssh-add`".to_owned()),
                    "1" if answer.iter().any(|line| line.contains("no identities")) => AgentInside::Works(0),
                    _ => AgentInside::Fails(answer.join("; ")),
                };
            }
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::text::quote;
    use crate::engine::dialect::Dialect;
    use crate::engine::info::Product;

    #[test]
    fn the_script_output_is_parsed() {
        let parse = |output: &str| {
            let findings = Findings::parse(output, "x");
            (findings.home_owner.map(|owner| owner.to_string()), findings.agent)
        };
        let owner = Some("501:20".to_owned());
        assert_eq!(parse("home 501:20\nagent 0\n256 SHA256:x a (ED25519)\n"), (owner, AgentInside::Works(1)));
        let none = "agent 1\nThe agent has no identities.\n";
        assert_eq!(parse(none), (None, AgentInside::Works(0)));
        let refused = "agent 1\nerror fetching identities: communication with agent failed\n";
        assert!(matches!(parse(refused).1, AgentInside::Fails(words) if words.contains("communication")));
        assert!(matches!(parse("agent 2\nError connecting to agent\n").1, AgentInside::Fails(_)));
        assert!(matches!(parse("agent -\n").1, AgentInside::Untried(why) if why.contains("ssh-add")));
        assert_eq!(parse("").1, AgentInside::Untried("x".into()));
    }

    fn command(engine: &Engine, home: Option<&str>, agent: bool) -> String {
        let (host, runtime) = (Host::sample(&[]), Runtime::sample(Dialect::Docker));
        let probe = Probe {
            host: &host,
            runtime: &runtime,
            engine,
            runner: Runner { verbose: false, limit: None },
            home,
            person: host.ids,
        };
        let text = probe.command("NAME", &Image::sample("IMAGE"), true, agent).to_string();
        text.replace(&quote(SCRIPT), "SCRIPT")
    }

    #[test]
    fn a_container_acts_as_the_user_and_changes_nothing() {
        let native =
            Engine { mode: Mode::Rootful, machine: None, selinux: true, remaps: true, unenforced: vec![] };
        insta::assert_snapshot!(command(&native, Some("cage-home"), true), @"docker run --rm --pull never --network none --workdir / --name NAME --user 1000:1000 --init --security-opt=label=disable --userns=host --mount type=volume,source=cage-home,target=/cage-home,ro --entrypoint /bin/sh IMAGE -c SCRIPT sh /cage-home");
        let desktop =
            Engine { machine: Some(Product::DockerDesktop), selinux: false, remaps: false, ..native };
        insta::assert_snapshot!(command(&desktop, None, true), @"docker run --rm --pull never --network none --workdir / --name NAME --user 0:0 --init --mount type=bind,source=/run/host-services/ssh-auth.sock,target=/run/host-services/ssh-auth.sock --env SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock --entrypoint /bin/sh IMAGE -c SCRIPT sh ''");
    }
}
