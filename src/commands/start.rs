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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::cage_name;

    const NEWER: &str = "sha256:2222222222";

    fn project(path: &str) -> Project {
        Project { path: path.into(), name: cage_name(path), inode: 7 }
    }

    fn creation(host: &Host) -> Creation {
        Creation {
            env: EnvFiles::default(),
            agent: ssh_agent::mount(host),
            advice: None,
            seed: None,
            init: true,
        }
    }

    fn options(label: &str) -> CreateOptions {
        CreateOptions::from_label(label).unwrap()
    }

    /// The script of a plan, made on a machine with this runtime.
    fn script(
        kind: RuntimeKind,
        variables: &[(&str, &str)],
        path: &str,
        plan: impl Fn(&Facts) -> Plan,
    ) -> String {
        let host = Host::sample(variables);
        let (runtime, project) = (Runtime::sample(kind), project(path));
        let image = Image { id: NEWER.into(), date: None };
        plan(&Facts { host: &host, runtime: &runtime, project: &project, image: Some(&image) }).script()
    }

    fn create(kind: RuntimeKind, variables: &[(&str, &str)], path: &str, then: &Then) -> String {
        script(kind, variables, path, |facts| {
            facts.create(None, &creation(facts.host), &options("-p 3000:3000 -v pg:/pg:ro"), then)
        })
    }

    fn come_back(kind: RuntimeKind, state: State, typed: &str, then: &Then) -> String {
        script(kind, &[], "/p/app", |facts| {
            let mut container = Container::sample(facts.project, state);
            container.image_id = NEWER.into();
            facts.come_back(&container, &options(typed), false, then)
        })
    }

    fn replace(kind: RuntimeKind, state: State, then: &Then) -> String {
        script(kind, &[("CAGE_IMAGE", "local")], "/p/app", |facts| {
            let container = Container::sample(facts.project, state);
            facts.replace(&container, None, &creation(facts.host), &options("-p 3000:3000"), then)
        })
    }

    #[test]
    fn a_new_cage_on_docker() {
        insta::assert_snapshot!(create(RuntimeKind::Docker, &[], "/p/app", &Then::Attach), @r#"
        set -e
        echo 'cage: Pulling latest image...' >&2
        docker pull ghcr.io/pacificsky/devcontainer-lite:latest >&2 || docker image inspect ghcr.io/pacificsky/devcontainer-lite:latest >/dev/null
        echo 'cage: Creating cage-app-f6965073' >&2
        docker create --interactive --tty --pull never --name cage-app-f6965073 --hostname cage-app-f6965073 --workdir /p/app --label cage.project=/p/app --label cage.image=ghcr.io/pacificsky/devcontainer-lite:latest --label cage.inode=7 --label 'cage.options=-p 127.0.0.1:3000:3000 -v pg:/pg:ro' --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/p/app,target=/p/app --mount type=volume,source=pg,target=/pg,readonly --publish 127.0.0.1:3000:3000 --env UV_PROJECT_ENVIRONMENT=.cage-venv --stop-signal SIGHUP --init ghcr.io/pacificsky/devcontainer-lite:latest >/dev/null
        trap 'docker rm --force --volumes cage-app-f6965073 >/dev/null' EXIT
        trap - EXIT
        code=0
        docker start --attach --interactive --detach-keys 'ctrl-\,ctrl-\' cage-app-f6965073 || code=$?
        state=$(docker container inspect --format '{{.State.Status}} {{.State.ExitCode}}' cage-app-f6965073 2>/dev/null) || exit $code
        case $state in
          'running '* | 'paused '*) exit 0 ;;
          'created '*) docker rm --force --volumes cage-app-f6965073 >/dev/null; exit 1 ;;
          *) exit "${state#* }" ;;
        esac
        "#);
    }

    #[test]
    fn a_new_cage_on_podman_in_the_background() {
        let local = [("CAGE_IMAGE", "local")];
        insta::assert_snapshot!(create(RuntimeKind::Podman, &local, "/p/app", &Then::Name), @r"
        set -e
        echo 'cage: Creating cage-app-f6965073' >&2
        podman create --interactive --tty --pull never --name cage-app-f6965073 --hostname cage-app-f6965073 --workdir /p/app --label cage.project=/p/app --label cage.image=local --label cage.inode=7 --label 'cage.options=-p 127.0.0.1:3000:3000 -v pg:/pg:ro' --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/p/app,target=/p/app --mount type=volume,source=pg,target=/pg,readonly --publish 127.0.0.1:3000:3000 --env UV_PROJECT_ENVIRONMENT=.cage-venv --stop-signal SIGHUP --init local >/dev/null
        trap 'podman rm --force --volumes cage-app-f6965073 >/dev/null' EXIT
        podman start cage-app-f6965073 >/dev/null
        trap - EXIT
        printf '%s\n' cage-app-f6965073
        ");
    }

    #[test]
    fn a_project_below_the_home_gets_a_directory_there() {
        let local = [("CAGE_IMAGE", "local")];
        insta::assert_snapshot!(create(RuntimeKind::Docker, &local, "/home/vscode/src/app", &Then::Name), @r#"
        set -e
        echo 'cage: Creating cage-app-4fe250cd' >&2
        docker run --rm --pull never --network none --workdir / --mount type=volume,source=cage-home,target=/home/vscode --entrypoint /bin/sh local -c 'cd /home/vscode && mkdir -p -- "$1"' sh src/app >/dev/null
        docker create --interactive --tty --pull never --name cage-app-4fe250cd --hostname cage-app-4fe250cd --workdir /home/vscode/src/app --label cage.project=/home/vscode/src/app --label cage.image=local --label cage.inode=7 --label 'cage.options=-p 127.0.0.1:3000:3000 -v pg:/pg:ro' --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/home/vscode/src/app,target=/home/vscode/src/app --mount type=volume,source=pg,target=/pg,readonly --publish 127.0.0.1:3000:3000 --env UV_PROJECT_ENVIRONMENT=.cage-venv --stop-signal SIGHUP --init local >/dev/null
        trap 'docker rm --force --volumes cage-app-4fe250cd >/dev/null' EXIT
        docker start cage-app-4fe250cd >/dev/null
        trap - EXIT
        printf '%s\n' cage-app-4fe250cd
        "#);
    }

    #[test]
    fn seeds_an_agent_and_env_files_come_along() {
        let text = script(RuntimeKind::Docker, &[("CAGE_IMAGE", "local")], "/p/it's", |facts| {
            let creation = Creation {
                agent: Some(Mount::path("/tmp/agent", ssh_agent::SOCKET)),
                seed: Some("/home/me/.config/cage/home".into()),
                advice: Some("advice".into()),
                init: false,
                ..creation(facts.host)
            };
            facts.create(None, &creation, &CreateOptions::default(), &Then::Name)
        });
        insta::assert_snapshot!(text.replace(home::SEED, "SEED\n"), @r#"
        set -e
        echo 'cage: Creating cage-it-s-86c97e5b' >&2
        echo 'cage: warning: advice' >&2
        echo 'cage: Seeding home directory from /home/me/.config/cage/home' >&2
        docker run --rm --pull never --network none --workdir / --user 0 --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/home/me/.config/cage/home,target=/cage-seed,readonly --entrypoint /bin/sh local -c $'set -eu\012home=/home/vscode\012owner=$(set -- $(ls -ldn "$home"); echo "$3:$4")\012fill() {\012    for from in "$1"/* "$1"/.[!.]* "$1"/..?*; do\012        [ -e "$from" ] || [ -L "$from" ] || continue\012        to=$2/${from##*/}\012        if [ ! -e "$to" ] && [ ! -L "$to" ]; then\012            cp -RPp "$from" "$to"\012            chown -hR "$owner" "$to"\012        elif [ -d "$from" ] && [ ! -L "$from" ] && [ -d "$to" ] && [ ! -L "$to" ]; then\012            (fill "$from" "$to")\012        fi\012    done\012}\012fill /cage-seed "$home"\012' >/dev/null
        docker create --interactive --tty --pull never --name cage-it-s-86c97e5b --hostname cage-it-s-86c97e5b --workdir '/p/it'\''s' --label 'cage.project=/p/it'\''s' --label cage.image=local --label cage.inode=7 --label cage.options= --mount type=volume,source=cage-home,target=/home/vscode --mount 'type=bind,source=/p/it'\''s,target=/p/it'\''s' --mount type=bind,source=/tmp/agent,target=/run/host-services/ssh-auth.sock --env UV_PROJECT_ENVIRONMENT=.cage-venv --env SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock --stop-signal SIGHUP local >/dev/null
        trap 'docker rm --force --volumes cage-it-s-86c97e5b >/dev/null' EXIT
        docker start cage-it-s-86c97e5b >/dev/null
        trap - EXIT
        printf '%s\n' cage-it-s-86c97e5b
        "#);
    }

    #[test]
    fn coming_back_to_a_running_cage() {
        insta::assert_snapshot!(come_back(RuntimeKind::Docker, State::Running, "", &Then::Attach), @r#"
        set -e
        echo 'cage: Re-attaching to cage-app-f6965073' >&2
        code=0
        docker attach --detach-keys 'ctrl-\,ctrl-\' 0123456789ab || code=$?
        state=$(docker container inspect --format '{{.State.Status}} {{.State.ExitCode}}' 0123456789ab 2>/dev/null) || exit $code
        case $state in
          'running '* | 'paused '*) exit 0 ;;
          *) exit "${state#* }" ;;
        esac
        "#);
        insta::assert_snapshot!(come_back(RuntimeKind::Podman, State::Running, "", &Then::Attach), @r#"
        set -e
        echo 'cage: Re-attaching to cage-app-f6965073' >&2
        code=0
        podman attach --detach-keys 'ctrl-\,ctrl-\' --sig-proxy=false 0123456789ab || code=$?
        state=$(podman container inspect --format '{{.State.Status}} {{.State.ExitCode}}' 0123456789ab 2>/dev/null) || exit $code
        case $state in
          'running '* | 'paused '*) exit 0 ;;
          *) exit "${state#* }" ;;
        esac
        "#);
        insta::assert_snapshot!(come_back(RuntimeKind::Docker, State::Running, "", &Then::Name), @r"
        set -e
        printf '%s\n' cage-app-f6965073
        ");
        let command = Then::Exec(["npm", "test"].map(str::to_owned).to_vec());
        insta::assert_snapshot!(come_back(RuntimeKind::Docker, State::Running, "", &command), @r"
        set -e
        exec docker exec --interactive --tty --detach-keys 'ctrl-\,ctrl-\' 0123456789ab npm test
        ");
    }

    #[test]
    fn coming_back_to_a_stopped_or_frozen_cage() {
        insta::assert_snapshot!(come_back(RuntimeKind::Podman, State::Stopped, "", &Then::Attach), @r#"
        set -e
        echo 'cage: Restarting cage-app-f6965073' >&2
        code=0
        podman start --attach --interactive --detach-keys 'ctrl-\,ctrl-\' --sig-proxy=false 0123456789ab || code=$?
        state=$(podman container inspect --format '{{.State.Status}} {{.State.ExitCode}}' 0123456789ab 2>/dev/null) || exit $code
        case $state in
          'running '* | 'paused '*) exit 0 ;;
          *) exit "${state#* }" ;;
        esac
        "#);
        insta::assert_snapshot!(come_back(RuntimeKind::Docker, State::Created, "", &Then::Name), @r"
        set -e
        echo 'cage: Restarting cage-app-f6965073' >&2
        docker start 0123456789ab >/dev/null
        printf '%s\n' cage-app-f6965073
        ");
        insta::assert_snapshot!(come_back(RuntimeKind::Docker, State::Paused, "", &Then::Name), @r"
        set -e
        echo 'cage: Unpausing cage-app-f6965073' >&2
        docker unpause 0123456789ab >/dev/null
        printf '%s\n' cage-app-f6965073
        ");
    }

    #[test]
    fn options_that_would_need_a_new_cage_are_told_one_by_one() {
        let typed = "-p 3000:3000 -v '/a b:/t'";
        insta::assert_snapshot!(come_back(RuntimeKind::Docker, State::Running, typed, &Then::Name), @r"
        set -e
        echo 'cage: cage-app-f6965073 exists without `-p 127.0.0.1:3000:3000`; `cage restart -p 127.0.0.1:3000:3000` applies it' >&2
        echo 'cage: cage-app-f6965073 exists without `-v '\''/a b:/t'\''`; `cage restart -v '\''/a b:/t'\''` applies it' >&2
        printf '%s\n' cage-app-f6965073
        ");
    }

    #[test]
    fn another_image_and_a_newer_one_are_told_apart() {
        let told = |image: &str, made_of: &str| {
            script(RuntimeKind::Docker, &[("CAGE_IMAGE", image)], "/p/app", |facts| {
                let mut container = Container::sample(facts.project, State::Running);
                container.labels.insert(IMAGE_LABEL.into(), made_of.into());
                facts.tell_image(&container)
            })
        };
        insta::assert_snapshot!(told("r/x:1", "r/x:1"), @"
        set -e
        echo 'cage: A newer image is available. Run `cage upgrade` to upgrade.' >&2
        ");
        insta::assert_snapshot!(told("local", "local"), @"
        set -e
        echo 'cage: A newer image is available. Run `cage restart` to use it.' >&2
        ");
        insta::assert_snapshot!(told("r/x:2", "r/x:1"), @"
        set -e
        echo 'cage: cage-app-f6965073 was made of r/x:1; `cage restart` makes it of r/x:2' >&2
        ");
    }

    #[test]
    fn a_new_cage_runs_before_the_old_one_goes() {
        insta::assert_snapshot!(replace(RuntimeKind::Docker, State::Running, &Then::Name), @r"
        set -e
        echo 'cage: Creating cage-app-f6965073' >&2
        docker create --interactive --tty --pull never --name cage-app-f6965073.new --hostname cage-app-f6965073 --workdir /p/app --label cage.project=/p/app --label cage.image=local --label cage.inode=7 --label 'cage.options=-p 127.0.0.1:3000:3000' --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/p/app,target=/p/app --publish 127.0.0.1:3000:3000 --env UV_PROJECT_ENVIRONMENT=.cage-venv --stop-signal SIGHUP --init local >/dev/null
        trap 'docker rm --force --volumes cage-app-f6965073.new >/dev/null' EXIT
        docker stop -t 5 0123456789ab >/dev/null
        trap 'docker rm --force --volumes cage-app-f6965073.new >/dev/null' EXIT
        docker start cage-app-f6965073.new >/dev/null
        trap - EXIT
        docker rm --force --volumes 0123456789ab >/dev/null
        docker rename cage-app-f6965073.new cage-app-f6965073 >/dev/null
        printf '%s\n' cage-app-f6965073
        ");
        insta::assert_snapshot!(replace(RuntimeKind::Podman, State::Stopped, &Then::Attach), @r#"
        set -e
        echo 'cage: Creating cage-app-f6965073' >&2
        podman create --interactive --tty --pull never --name cage-app-f6965073.new --hostname cage-app-f6965073 --workdir /p/app --label cage.project=/p/app --label cage.image=local --label cage.inode=7 --label 'cage.options=-p 127.0.0.1:3000:3000' --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/p/app,target=/p/app --publish 127.0.0.1:3000:3000 --env UV_PROJECT_ENVIRONMENT=.cage-venv --stop-signal SIGHUP --init local >/dev/null
        trap 'podman rm --force --volumes cage-app-f6965073.new >/dev/null' EXIT
        podman start cage-app-f6965073.new >/dev/null
        trap - EXIT
        podman rm --force --volumes 0123456789ab >/dev/null
        podman rename cage-app-f6965073.new cage-app-f6965073 >/dev/null
        code=0
        podman attach --detach-keys 'ctrl-\,ctrl-\' --sig-proxy=false cage-app-f6965073 || code=$?
        state=$(podman container inspect --format '{{.State.Status}} {{.State.ExitCode}}' cage-app-f6965073 2>/dev/null) || exit $code
        case $state in
          'running '* | 'paused '*) exit 0 ;;
          *) exit "${state#* }" ;;
        esac
        "#);
    }
}
