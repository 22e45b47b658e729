//! `cage start`, and what every command that brings a cage up shares.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::{Session, named, remove};
use crate::container::{
    Container, ContainerSpec, IMAGE_LABEL, INODE_LABEL, Image, OPTIONS_LABEL, SUCCESSOR, State,
};
use crate::env_file::EnvFiles;
use crate::home;
use crate::host::{Host, Os};
use crate::invocation::{Invocation, Trouble};
use crate::mount::Mount;
use crate::options::CreateOptions;
use crate::plan::{Attach, Plan, STATE_FORMAT, Step, is_trouble};
use crate::project::Project;
use crate::runtime::{Runtime, RuntimeKind};
use crate::ssh_agent;

/// How often to look again when another cage command was quicker.
const RACES: u32 = 10;

/// Create the project's cage, or come back to it
#[derive(Debug, Args)]
pub struct Start {
    #[command(flatten)]
    options: CreateOptions,

    /// Bring the cage up in the background and print its name (as without a terminal)
    #[arg(short, long)]
    detach: bool,
}

impl Start {
    /// Does it.
    ///
    /// # Errors
    /// When the cage can't be brought up; one that was half made is gone.
    pub fn run(self, session: &Session) -> Result<u8> {
        let then = Then::enter(&session.host, self.detach);
        bring_up(session, &session.project()?, self.options, &then)
    }
}

/// What to do in a cage that is up.
#[derive(Debug)]
pub enum Then {
    /// Sit down in its first process.
    Attach,
    /// Print its name.
    Name,
    /// Run a command in it.
    Exec(Vec<String>),
}

impl Then {
    /// Sit down if there is a terminal and nothing else is wanted.
    pub fn enter(host: &Host, detach: bool) -> Self {
        if detach || !host.is_interactive() { Self::Name } else { Self::Attach }
    }
}

/// What the plans of this file and its siblings are made from.
#[derive(Debug)]
pub struct Facts<'a> {
    /// This machine.
    pub host: &'a Host,
    /// The runtime that answers.
    pub runtime: &'a Runtime,
    /// The project.
    pub project: &'a Project,
    /// The image for new cages, if it is on this machine.
    pub image: Option<&'a Image>,
}

/// Brings the project's cage up, whatever state it is in, and goes on in it.
///
/// # Errors
/// As [`Start::run`].
pub fn bring_up(session: &Session, project: &Project, options: CreateOptions, then: &Then) -> Result<u8> {
    let options = options.resolve(&project.dir())?;
    let mut races = 0;
    with_or_without_init(|init| {
        loop {
            let (runtime, containers, image) = session.find_all(project, &[&project.name])?;
            let facts = Facts { host: &session.host, runtime: &runtime, project, image: image.as_ref() };
            let plan = match named(&containers, &project.name) {
                Some(container) if container.state != State::Dead => {
                    let stale = session.has_stale_directory(&runtime, project, container)?;
                    facts.come_back(container, &options, stale, then)
                }
                dead => {
                    let creation = Creation::gather(session, &runtime, project, init)?;
                    facts.create(dead, &creation, &options, then)
                }
            };
            match session.carry_out(&plan) {
                Err(error) if races < RACES && lost_a_race(&error) => {
                    races += 1;
                    thread::sleep(Duration::from_millis(100));
                }
                result => return result,
            }
        }
    })
}

/// Makes a container with the engine's init, or without where the engine has none; it only says so when it is needed.
///
/// # Errors
/// Those of `attempt`.
pub fn with_or_without_init(mut attempt: impl FnMut(bool) -> Result<u8>) -> Result<u8> {
    match attempt(true) {
        Err(error) if is_trouble(&error, Trouble::NoInit) => attempt(false),
        result => result,
    }
}

/// Did another command make or remove the container between our look and our step?
fn lost_a_race(error: &anyhow::Error) -> bool {
    is_trouble(error, Trouble::NameTaken) || is_trouble(error, Trouble::NoSuchContainer)
}

/// What is found on this machine for a new cage.
#[derive(Debug, Default)]
pub struct Creation {
    env: EnvFiles,
    agent: Option<Mount>,
    advice: Option<String>,
    seed: Option<String>,
    init: bool,
}

impl Creation {
    /// Looks for it. `init`: use the engine's init?
    ///
    /// # Errors
    /// When an env file can't be used.
    pub fn gather(session: &Session, runtime: &Runtime, project: &Project, init: bool) -> Result<Self> {
        let host = &session.host;
        let advice = match (host.os, runtime.kind) {
            (Os::Mac, RuntimeKind::Docker) => ssh_agent::colima_advice(&endpoint(session, runtime)?),
            _ => None,
        };
        Ok(Self {
            env: EnvFiles::read(host, project)?,
            agent: ssh_agent::mount(host),
            advice,
            seed: home::seed_dir(host).and_then(|dir| dir.into_os_string().into_string().ok()),
            init,
        })
    }
}

/// The address of the engine that docker's client talks to.
fn endpoint(session: &Session, runtime: &Runtime) -> Result<String> {
    if let Some(endpoint) = session.host.variable("DOCKER_HOST") {
        return Ok(endpoint.to_owned());
    }
    let ask = runtime.command(["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]);
    let output = session.runner.capture(&ask)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Is `image` a local one, which is never pulled?
pub fn is_local(image: &str) -> bool {
    !image.contains('/')
}

impl Facts<'_> {
    /// No cage yet: makes one.
    fn create(
        &self,
        dead: Option<&Container>,
        creation: &Creation,
        options: &CreateOptions,
        then: &Then,
    ) -> Plan {
        let name = &self.project.name;
        let mut plan = self.pull();
        if let Some(dead) = dead {
            plan.run(remove(self.runtime, &dead.id));
        }
        plan.append(self.make(name, creation, options));
        match then {
            Then::Attach => plan.push(self.start_attached(name, Some(remove(self.runtime, name)))),
            Then::Name | Then::Exec(_) => {
                plan.run(self.runtime.command(["start", name]));
                plan.push(Step::Keep);
                plan.append(self.go_on(name, then));
            }
        }
        plan
    }

    /// There is a cage: starts it if it doesn't run.
    fn come_back(&self, container: &Container, options: &CreateOptions, stale: bool, then: &Then) -> Plan {
        let mut plan = tell_ignored(container, options);
        if !matches!(then, Then::Exec(_)) {
            plan.append(self.tell_image(container));
        }
        if stale {
            plan.push(Step::Warn(format!(
                "the directory {} was replaced while {} ran, which still has the old one; `cage restart` mounts the new one",
                self.project.path, container.name
            )));
        }
        let start = ["start", &container.id];
        match (container.state, then) {
            (State::Created | State::Stopped | State::Dead, Then::Attach) => {
                plan.say(format!("Restarting {}", container.name));
                plan.push(self.start_attached(&container.id, None));
            }
            (State::Created | State::Stopped | State::Dead, _) => {
                plan.say(format!("Restarting {}", container.name));
                plan.run(self.runtime.command(start));
                plan.append(self.go_on(&container.id, then));
            }
            (State::Paused, _) => {
                plan.say(format!("Unpausing {}", container.name));
                plan.run(self.runtime.command(["unpause", &container.id]));
                plan.append(self.go_on(&container.id, then));
            }
            (State::Running | State::Changing, _) => {
                if matches!(then, Then::Attach) {
                    plan.say(format!("Re-attaching to {}", container.name));
                }
                plan.append(self.go_on(&container.id, then));
            }
        }
        plan
    }

    /// Puts a new container in the place of `old`, which goes only when the new one runs. `left_over` is a new one of
    /// an earlier attempt that was cut short.
    pub fn replace(
        &self,
        old: &Container,
        left_over: Option<&Container>,
        creation: &Creation,
        options: &CreateOptions,
        then: &Then,
    ) -> Plan {
        let mut plan = Plan::default();
        let name = &self.project.name;
        let new = format!("{name}{SUCCESSOR}");
        if let Some(left_over) = left_over {
            plan.run(remove(self.runtime, &left_over.id));
        }
        plan.append(self.make(&new, creation, options));
        if old.state.is_up() {
            // The two can't listen on the same ports.
            super::halt(&mut plan, self.runtime, &[old]);
            let note = format!("{name} is as it was, but stopped; `cage start` brings it back");
            plan.push(Step::Undo(remove(self.runtime, &new), Some(note)));
        }
        plan.run(self.runtime.command(["start", &new]));
        plan.push(Step::Keep);
        plan.run(remove(self.runtime, &old.id));
        plan.run(self.runtime.command(["rename", &new, name]));
        plan.append(self.go_on(name, then));
        plan
    }

    /// Fetches the newest image; one that is here will do.
    pub fn pull(&self) -> Plan {
        let mut plan = Plan::default();
        if !is_local(&self.host.image) {
            plan.say("Pulling latest image...");
            let have = self.runtime.command(["image", "inspect", &self.host.image]);
            plan.push(Step::Fetch { fetch: fetch(self.host, self.runtime), unless: Some(have) });
        }
        plan
    }

    /// Makes a container, not started, that is gone again if a later step fails.
    fn make(&self, name: &str, creation: &Creation, options: &CreateOptions) -> Plan {
        let mut plan = Plan::default();
        let (image, volume) = (&self.host.image, &self.host.home_volume);
        plan.say(format!("Creating {}", self.project.name));
        if let Some(advice) = &creation.advice {
            plan.push(Step::Warn(advice.clone()));
        }
        if let Some(seed) = &creation.seed {
            plan.say(format!("Seeding home directory from {seed}"));
            plan.run(home::fill(self.runtime, image, volume, seed));
        }
        if let Some(rest) = home::below(&self.project.path) {
            plan.run(home::make_room(self.runtime, image, volume, rest));
        }
        let spec = self.spec(name, creation, options);
        plan.run(self.runtime.command(spec.create_args()).stdin(spec.env_file));
        plan.push(Step::Undo(remove(self.runtime, name), None));
        plan
    }

    fn spec(&self, name: &str, creation: &Creation, options: &CreateOptions) -> ContainerSpec {
        let project = self.project;
        let mut mounts = vec![
            Mount::volume(&self.host.home_volume, home::HOME),
            Mount::path(&project.path, &project.path),
        ];
        let mut env = Vec::new();
        // A Python project's virtual environment of the host and that of the cage would break each other.
        if !creation.env.has("UV_PROJECT_ENVIRONMENT") {
            env.push(("UV_PROJECT_ENVIRONMENT", ".cage-venv".to_owned()));
        }
        if let Some(agent) = &creation.agent {
            mounts.push(agent.clone());
            env.push(("SSH_AUTH_SOCK", agent.target().to_owned()));
        }
        mounts.extend(options.volume.iter().cloned());
        ContainerSpec {
            name: name.to_owned(),
            workdir: project.path.clone(),
            image: self.host.image.clone(),
            project_label: self.host.label.clone(),
            labels: vec![
                (IMAGE_LABEL, self.host.image.clone()),
                (INODE_LABEL, project.inode.to_string()),
                (OPTIONS_LABEL, options.to_label()),
            ],
            mounts,
            publish: options.publish.clone(),
            env,
            env_file: creation.env.to_stdin(),
            init: creation.init,
        }
    }

    /// Tells if a new cage would be made of another image.
    fn tell_image(&self, container: &Container) -> Plan {
        let mut plan = Plan::default();
        let wanted = &self.host.image;
        if container.image() != wanted {
            let made_of = container.image();
            plan.say(format!(
                "{} was made of {made_of}; `cage restart` makes it of {wanted}",
                container.name
            ));
        } else if self.image.is_some_and(|image| image.id != container.image_id) {
            let run = if is_local(wanted) { "`cage restart` to use it" } else { "`cage upgrade` to upgrade" };
            plan.say(format!("A newer image is available. Run {run}."));
        }
        plan
    }

    fn go_on(&self, container: &str, then: &Then) -> Plan {
        let mut plan = Plan::default();
        plan.push(match then {
            Then::Name => Step::Print(self.project.name.clone()),
            Then::Exec(command) => Step::Become(exec(self.host, self.runtime, container, command)),
            Then::Attach => {
                let mut args = vec!["attach", "--detach-keys", &self.host.detach_keys];
                args.extend(self.keep_alive());
                args.push(container);
                self.attached(container, self.runtime.command(args), None)
            }
        });
        plan
    }

    fn start_attached(&self, container: &str, undo: Option<Invocation>) -> Step {
        let mut args = vec!["start", "--attach", "--interactive", "--detach-keys", &self.host.detach_keys];
        args.extend(self.keep_alive());
        args.push(container);
        self.attached(container, self.runtime.command(args), undo)
    }

    fn attached(&self, container: &str, client: Invocation, undo: Option<Invocation>) -> Step {
        let state = self.runtime.command(["container", "inspect", "--format", STATE_FORMAT, container]);
        Step::Attach(Attach { name: self.project.name.clone(), client, state, undo })
    }

    /// podman's client hands its own hangup on to the container, so that closing the terminal would end the cage;
    /// docker's does so only without a terminal.
    fn keep_alive(&self) -> Option<&'static str> {
        match self.runtime.kind {
            RuntimeKind::Podman => Some("--sig-proxy=false"),
            RuntimeKind::Docker => None,
        }
    }
}

/// Fetches the image for new cages: with the engine's own progress on a terminal, quietly elsewhere.
pub fn fetch(host: &Host, runtime: &Runtime) -> Invocation {
    let mut args = vec!["pull"];
    if !host.terminal.stderr {
        args.push("--quiet");
    }
    args.push(&host.image);
    runtime.command(args)
}

/// Runs a command in a container, with a terminal if there is one here.
pub fn exec(host: &Host, runtime: &Runtime, container: &str, command: &[String]) -> Invocation {
    let mut args = vec!["exec", "--interactive"];
    if host.is_interactive() {
        args.extend(["--tty", "--detach-keys", &host.detach_keys]);
    }
    args.push(container);
    args.extend(command.iter().map(String::as_str));
    runtime.command(args)
}

/// Tells which options would need a new container.
pub fn tell_ignored(container: &Container, options: &CreateOptions) -> Plan {
    let mut plan = Plan::default();
    for words in options.missing_from(&container.options()).words() {
        let option = shell_words::join(words);
        plan.say(format!("{} exists without `{option}`; `cage restart {option}` applies it", container.name));
    }
    plan
}
