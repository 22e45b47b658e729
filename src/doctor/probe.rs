//! A look from inside: the project's running cage or a short-lived container shows whether the SSH agent works there.

use std::time::Duration;

use super::report::one_line;
use crate::base::script;
use crate::cage::existing::Cage;
use crate::cage::home::UNCONFINED;
use crate::cage::ssh_agent::{Agent, Link, SOCKET};
use crate::engine::command::Invocation;
use crate::engine::container::State;
use crate::engine::error::{Trouble, is_trouble};
use crate::engine::info::{Engine, Mode};
use crate::engine::mount::Mount;
use crate::engine::runner::Runner;
use crate::engine::runtime::Runtime;
use crate::host::ids::Ids;
use crate::host::machine::Host;

/// The script that runs inside.
const SCRIPT: &str = script::body(include_str!("probe.sh"));

/// The time limit for removing a container whose client was stopped.
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

/// The facts that decide how a short-lived container is run.
#[derive(Debug)]
pub struct Probe<'a> {
    /// This machine.
    pub host: &'a Host,
    /// The runner of engine commands.
    pub runner: Runner,
    /// The engine's client.
    pub runtime: &'a Runtime,
    /// The facts about the engine.
    pub engine: &'a Engine,
    /// The user that cages act for.
    pub person: Ids,
}

impl Probe<'_> {
    /// Tries the agent in the project's cage if that runs, else in a short-lived container of the image with the ID `image`.
    pub fn run(&self, cage: Option<&Cage>, image: Option<&str>) -> AgentInside {
        match (cage.filter(|cage| cage.state == State::Running), image) {
            (Some(cage), _) => self.run_in_cage(cage),
            (None, Some(image)) => self.run_in_new(image),
            (None, None) => AgentInside::Untried("the image is not on this machine".to_owned()),
        }
    }

    fn run_in_cage(&self, cage: &Cage) -> AgentInside {
        // Nothing can run in the project's directory if that was replaced.
        let exec = ["exec", "--workdir", "/", &cage.id, "/bin/sh", "-c", SCRIPT];
        match self.runner.run(&self.runtime.command(exec)) {
            Ok(answer) => AgentInside::parse(&answer, "this project's cage runs without your SSH agent"),
            Err(error) => AgentInside::Untried(one_line(&error.into())),
        }
    }

    fn run_in_new(&self, image: &str) -> AgentInside {
        let name = format!("cage-doctor-{}", self.host.session);
        let no_agent = "there is no agent to mount";
        let Some(socket) = self.agent_socket(&name) else {
            return AgentInside::Untried(no_agent.to_owned());
        };
        let error = match self.runner.run(&self.command(&name, image, &socket)) {
            Ok(answer) => return AgentInside::parse(&answer, no_agent),
            Err(error) => error.into(),
        };
        // A client that was stopped leaves its container.
        let remove = self.runtime.command(["rm", "--force", &name]).within(REMOVAL_LIMIT);
        let _ = self.runner.capture(&remove);
        // The socket is the only path of the host that is mounted.
        if is_trouble(&error, Trouble::NoAgent) || is_trouble(&error, Trouble::NotShared) {
            AgentInside::Fails(one_line(&error))
        } else {
            AgentInside::Untried(one_line(&error))
        }
    }

    /// Returns the command of a container that sees the agent as a new cage would.
    fn command(&self, name: &str, image: &str, socket: &Mount) -> Invocation {
        // The numbers that inside stand for the user outside.
        let is_mapped = self.engine.mode == Mode::Rootless || self.engine.machine.is_some();
        let user = if is_mapped { Ids::ROOT } else { self.person }.to_string();
        let (mount, variable) = (socket.to_flag(), format!("SSH_AUTH_SOCK={SOCKET}"));
        let mut args = vec!["run", "--rm", "--pull", "never", "--network", "none", "--workdir", "/"];
        args.extend(["--name", name, "--user", &user]);
        args.extend(self.engine.selinux.then_some(UNCONFINED));
        args.extend(self.engine.remaps.then_some("--userns=host"));
        args.extend(["--mount", &mount, "--env", &variable]);
        args.extend(["--entrypoint", "/bin/sh", image, "-c", SCRIPT]);
        self.runtime.command(args)
    }

    /// Returns the mount of the agent's socket itself, since doctor makes no link.
    fn agent_socket(&self, name: &str) -> Option<Mount> {
        if self.host.variable("CAGE_SSH") == Some("off") {
            return None;
        }
        let link = Link::of(self.host, name);
        match Agent::decide(self.engine.machine, self.host.wsl, link.as_ref())? {
            Agent::Machine => Agent::Machine.mount(),
            Agent::Link(link) if !link.has_agent() => None,
            Agent::Link(link) => Some(Mount::path(link.target.to_str()?, SOCKET)),
        }
    }
}

impl AgentInside {
    /// Reads the output of [`SCRIPT`]; `no_agent` is the reason if the script saw none.
    fn parse(output: &str, no_agent: &str) -> Self {
        let mut lines = output.lines().filter(|line| !line.is_empty());
        match lines.next() {
            None => Self::Untried(no_agent.to_owned()),
            Some("agent -") => Self::Untried("the image has no `ssh-add`".to_owned()),
            Some("agent 0") => Self::Works(lines.count()),
            Some("agent 1") if output.contains("no identities") => Self::Works(0),
            Some(_) => Self::Fails(lines.collect::<Vec<_>>().join("; ")),
        }
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
        let parse = |output: &str| AgentInside::parse(output, "x");
        assert_eq!(parse("agent 0\n256 SHA256:x a (ED25519)\n"), AgentInside::Works(1));
        assert_eq!(parse("agent 1\nThe agent has no identities.\n"), AgentInside::Works(0));
        let refused = "agent 1\nerror fetching identities: communication with agent failed\n";
        assert!(matches!(parse(refused), AgentInside::Fails(words) if words.contains("communication")));
        assert!(matches!(parse("agent 2\nError connecting to agent\n"), AgentInside::Fails(_)));
        assert!(matches!(parse("agent -\n"), AgentInside::Untried(why) if why.contains("ssh-add")));
        assert_eq!(parse(""), AgentInside::Untried("x".into()));
    }

    fn command(engine: &Engine, socket: &Mount) -> String {
        let (host, runtime) = (Host::sample(&[]), Runtime::sample(Dialect::Docker));
        let runner = Runner { verbose: false, limit: None };
        let probe = Probe { host: &host, runtime: &runtime, engine, runner, person: host.ids };
        let text = probe.command("NAME", "IMAGE", socket).to_string();
        text.replace(&quote(SCRIPT), "SCRIPT")
    }

    #[test]
    fn the_container_runs_as_the_user_without_network_or_home() {
        let native = Engine {
            mode: Mode::Rootful,
            machine: None,
            selinux: true,
            remaps: true,
            unenforced: vec![],
            copies_through_links: false,
        };
        let socket = Mount::path("/agent", SOCKET);
        insta::assert_snapshot!(command(&native, &socket), @"docker run --rm --pull never --network none --workdir / --name NAME --user 1000:1000 --security-opt=label=disable --userns=host --mount type=bind,source=/agent,target=/run/host-services/ssh-auth.sock --env SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock --entrypoint /bin/sh IMAGE -c SCRIPT");
        let desktop =
            Engine { machine: Some(Product::DockerDesktop), selinux: false, remaps: false, ..native };
        insta::assert_snapshot!(command(&desktop, &Agent::Machine.mount().unwrap()), @"docker run --rm --pull never --network none --workdir / --name NAME --user 0:0 --mount type=bind,source=/run/host-services/ssh-auth.sock,target=/run/host-services/ssh-auth.sock --env SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock --entrypoint /bin/sh IMAGE -c SCRIPT");
    }
}
