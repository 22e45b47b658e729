//! A look from inside: a short-lived container of the image, or the cage that runs already, tells whether the SSH agent
//! works there, and whose the home is.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::Told;
use crate::cage::home::UNCONFINED;
use crate::cage::ssh_agent::{Agent, Link, SOCKET};
use crate::engine::command::Invocation;
use crate::engine::container::{Container, Image, OWNER_LABEL, State};
use crate::engine::error::{Trouble, is_trouble};
use crate::engine::mount::Mount;
use crate::engine::runner::Runner;
use crate::engine::runtime::{Engine, Mode, Runtime};
use crate::host::ids::Ids;
use crate::host::machine::Host;

/// How long a container that was given up may take to go away.
const CLEAN_UP: Duration = Duration::from_secs(3);

/// Where the home is in a container that only looks at it: nowhere where an image has anything, which an engine would copy.
const HOME: &str = "/cage-home";

/// Tells whose $1 is, if that is given, and what `ssh-add -l` exits with and says, if there is an agent to be asked.
const LOOK: &str = r#"PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
if [ -n "$1" ]; then (set -- $(ls -ldn "$1") && echo "home $3:$4"); fi
if [ -n "${SSH_AUTH_SOCK:-}" ]; then
    if command -v ssh-add >/dev/null; then
        said=$(ssh-add -l 2>&1)
        echo "agent $?"
        echo "$said"
    else
        echo "agent -"
    fi
fi"#;

/// What came of the agent inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentInside {
    /// Nobody looked, for this reason.
    Untried(String),
    /// The image has no `ssh-add`.
    NoTool,
    /// It has so many keys.
    Works(usize),
    /// It doesn't work; what was said.
    Fails(String),
}

/// What was seen from inside.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The agent.
    pub agent: AgentInside,
    /// Whose the home is, as the numbers are in there.
    pub owner: Option<Ids>,
    /// Whose it should be, as far as that is known without the image's user.
    pub expected: Option<Ids>,
    /// Does the engine have an init?
    pub init: Option<bool>,
    /// Why nothing could be seen.
    pub error: Option<Told>,
}

/// What a trial is made from.
#[derive(Debug)]
pub struct Setting<'a> {
    /// This machine.
    pub host: &'a Host,
    /// The engine's client.
    pub runtime: &'a Runtime,
    /// The engine.
    pub engine: &'a Engine,
    /// Asks it.
    pub runner: Runner,
    /// The project's cage.
    pub cage: Option<&'a Container>,
    /// The image for new cages, if it is here.
    pub image: Option<&'a Image>,
    /// The home, if it is there.
    pub home: Option<&'a str>,
    /// For whom cages act.
    pub person: Ids,
}

impl Setting<'_> {
    /// Looks, in the project's cage if it runs.
    pub fn look(&self) -> Trial {
        if let Some(cage) = self.cage.filter(|cage| cage.state == State::Running) {
            return self.look_in_cage(cage);
        }
        match self.image {
            Some(image) => self.look_in_new(image),
            None => Trial::untried("the image is not here"),
        }
    }

    fn look_in_cage(&self, cage: &Container) -> Trial {
        let place = self.home.and_then(|home| cage.place_of(home)).unwrap_or_default();
        // Its directory may be another one by now, and nothing could be run there.
        let exec = ["exec", "--workdir", "/", &cage.id, "/bin/sh", "-c", LOOK, "sh", place];
        let mut trial = Trial::untried("its cage runs without your SSH agent");
        match self.runner.run(&self.runtime.command(exec)) {
            Ok(said) => trial.read(&said),
            Err(error) => trial.error = Some(Told::of(&error.into())),
        }
        trial.expected = cage.ids(OWNER_LABEL).ok().flatten();
        trial
    }

    /// Tries with everything, and without what the engine doesn't have, as a new cage is made.
    fn look_in_new(&self, image: &Image) -> Trial {
        let name = format!("cage-doctor-{}", self.host.session);
        let (mut init, mut agent, mut trouble) = (true, true, None);
        let mut trial = Trial::untried("there is none here");
        loop {
            match self.try_new(&name, image, init, agent) {
                Ok(said) => {
                    trial.read(&said);
                    trial.init = Some(init);
                    break;
                }
                Err(error) if init && is_trouble(&error, Trouble::NoInit) => init = false,
                Err(error) if agent && is_agents(&error) => {
                    agent = false;
                    trouble = Some(Told::of(&error).message);
                }
                Err(error) => {
                    let is_late = self.runner.until.is_some_and(|until| Instant::now() >= until);
                    trial.error =
                        Some(if is_late { Told::new("it took too long") } else { Told::of(&error) });
                    break;
                }
            }
        }
        if trial.error.is_some() {
            // A client that was ended leaves what it asked for.
            let runner = Runner { until: Some(Instant::now() + CLEAN_UP), ..self.runner };
            let _ = runner.capture(&self.runtime.command(["rm", "--force", &name]));
        }
        if let Some(words) = trouble {
            trial.agent = AgentInside::Fails(words);
        }
        trial
    }

    fn try_new(&self, name: &str, image: &Image, init: bool, agent: bool) -> Result<String> {
        Ok(self.runner.run(&self.command(name, image, init, agent))?)
    }

    /// A container that sees what a cage of this project would, and ends at once. The home is read-only in it.
    fn command(&self, name: &str, image: &Image, init: bool, agent: bool) -> Invocation {
        let user = self.user(image);
        let mut args = vec!["run", "--rm", "--pull", "never", "--network", "none", "--workdir", "/"];
        args.extend(["--name", name, "--user", &user]);
        if init {
            args.push("--init");
        }
        if self.engine.selinux {
            args.push(UNCONFINED);
        }
        if self.engine.remaps {
            args.push("--userns=host");
        }
        let link = Link::of(self.host, name);
        let variable = format!("SSH_AUTH_SOCK={SOCKET}");
        let socket = self.agent(link.as_ref()).filter(|_| agent).map(|mount| mount.to_flag());
        if let Some(socket) = &socket {
            args.extend(["--mount", socket, "--env", &variable]);
        }
        let home = self.home.map(|home| Mount::volume(home, HOME).readonly().to_flag());
        args.extend(home.iter().flat_map(|home| ["--mount", home]));
        let place = if home.is_some() { HOME } else { "" };
        args.extend(["--entrypoint", "/bin/sh", &image.id, "-c", LOOK, "sh", place]);
        self.runtime.command(args)
    }

    /// The numbers inside that are the person's outside.
    fn user(&self, image: &Image) -> String {
        let is_root = matches!(image.user.split(':').next(), None | Some("" | "root" | "0"));
        if self.engine.mode == Mode::Rootless || self.engine.machine.is_some() || is_root {
            "0:0".to_owned()
        } else {
            self.person.to_string()
        }
    }

    /// The agent's socket, where a cage's link would lead.
    fn agent(&self, link: Option<&Link>) -> Option<Mount> {
        if self.host.variable("CAGE_SSH") == Some("off") {
            return None;
        }
        match Agent::decide(self.engine.machine, self.host.wsl, link)? {
            Agent::Machine => Agent::Machine.mount(),
            Agent::Link(link) if link.leads_nowhere() => None,
            Agent::Link(link) => Some(Mount::path(link.target.to_str()?, SOCKET)),
        }
    }
}

/// Is the failure about the socket? It is mounted by its own path here, which cage's own words for it don't know.
fn is_agents(error: &anyhow::Error) -> bool {
    is_trouble(error, Trouble::NoAgent) || is_trouble(error, Trouble::NotShared)
}

impl Trial {
    /// It could not even be tried.
    pub fn failed() -> Self {
        Self { error: Some(Told::new("it could not be tried")), ..Self::untried("it could not be tried") }
    }

    fn untried(why: &str) -> Self {
        Self {
            agent: AgentInside::Untried(why.to_owned()),
            owner: None,
            expected: None,
            init: None,
            error: None,
        }
    }

    /// Reads what [`LOOK`] printed.
    fn read(&mut self, said: &str) {
        let mut lines = said.lines();
        while let Some(line) = lines.next() {
            if let Some(owner) = line.strip_prefix("home ") {
                self.owner = owner.parse().ok();
            } else if let Some(code) = line.strip_prefix("agent ") {
                let words: Vec<&str> = lines.by_ref().filter(|line| !line.is_empty()).collect();
                self.agent = match code {
                    "0" => AgentInside::Works(words.len()),
                    "-" => AgentInside::NoTool,
                    "1" if words.iter().any(|line| line.contains("no identities")) => AgentInside::Works(0),
                    _ => AgentInside::Fails(words.join("; ")),
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::text::quote;
    use crate::engine::runtime::{Product, RuntimeKind};

    #[test]
    fn what_was_seen_is_read() {
        let read = |said: &str| {
            let mut trial = Trial::untried("x");
            trial.read(said);
            (trial.owner.map(|owner| owner.to_string()), trial.agent)
        };
        let owner = Some("501:20".to_owned());
        assert_eq!(read("home 501:20\nagent 0\n256 SHA256:x a (ED25519)\n"), (owner, AgentInside::Works(1)));
        let none = "agent 1\nThe agent has no identities.\n";
        assert_eq!(read(none), (None, AgentInside::Works(0)));
        let refused = "agent 1\nerror fetching identities: communication with agent failed\n";
        assert!(matches!(read(refused).1, AgentInside::Fails(words) if words.contains("communication")));
        assert!(matches!(read("agent 2\nError connecting to agent\n").1, AgentInside::Fails(_)));
        assert_eq!(read("agent -\n").1, AgentInside::NoTool);
        assert_eq!(read("").1, AgentInside::Untried("x".into()));
    }

    fn command(engine: &Engine, home: Option<&str>, agent: bool) -> String {
        let (host, runtime) = (Host::sample(&[]), Runtime::sample(RuntimeKind::Docker));
        let setting = Setting {
            host: &host,
            runtime: &runtime,
            engine,
            runner: Runner { verbose: false, until: None },
            cage: None,
            image: None,
            home,
            person: host.ids,
        };
        let text = setting.command("NAME", &Image::sample("IMAGE"), true, agent).to_string();
        text.replace(&quote(LOOK), "LOOK")
    }

    #[test]
    fn it_looks_as_the_person_and_changes_nothing() {
        let native =
            Engine { mode: Mode::Rootful, machine: None, selinux: true, remaps: true, unenforced: vec![] };
        insta::assert_snapshot!(command(&native, Some("cage-home"), true), @"docker run --rm --pull never --network none --workdir / --name NAME --user 1000:1000 --init --security-opt=label=disable --userns=host --mount type=volume,source=cage-home,target=/cage-home,ro --entrypoint /bin/sh IMAGE -c LOOK sh /cage-home");
        let desktop =
            Engine { machine: Some(Product::DockerDesktop), selinux: false, remaps: false, ..native };
        insta::assert_snapshot!(command(&desktop, None, true), @"docker run --rm --pull never --network none --workdir / --name NAME --user 0:0 --init --mount type=bind,source=/run/host-services/ssh-auth.sock,target=/run/host-services/ssh-auth.sock --env SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock --entrypoint /bin/sh IMAGE -c LOOK sh ''");
    }
}
