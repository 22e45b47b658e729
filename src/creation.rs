//! A new cage: what is found for it, and how it is made.

use anyhow::{Result, bail, ensure};

use crate::container::{
    Container, ContainerSpec, ENV_LABEL, IMAGE_LABEL, INODE_LABEL, Image, KEEP_ID_LABEL, OPTIONS_LABEL,
    OWNER_LABEL, USER_LABEL,
};
use crate::env_file::EnvFiles;
use crate::error::Failure;
use crate::home::{self, Preparation};
use crate::host::{Host, Os};
use crate::lifecycle::remove;
use crate::mount::Mount;
use crate::options::{CreateOptions, Home};
use crate::plan::{Plan, Step};
use crate::project::Project;
use crate::runtime::{Engine, Mode, Runtime, RuntimeKind};
use crate::session::Session;
use crate::ssh_agent::{self, Link};
use crate::ui;
use crate::user::{self, ImageUser, Mapping};
use crate::worktree::GitDir;

/// What is found on this machine for a new cage.
#[derive(Debug)]
pub struct Creation {
    /// What the engine is like.
    pub engine: Engine,
    /// The image's user.
    pub user: ImageUser,
    /// How that user acts as the person at the keyboard.
    pub mapping: Mapping,
    /// Variables of env files.
    pub env: EnvFiles,
    /// What git needs besides the project.
    pub git: GitDir,
    /// The link to the SSH agent.
    pub link: Option<Link>,
    /// What the user may want to change.
    pub advice: Option<String>,
    /// The directory with files for the home.
    pub seed: Option<String>,
    /// Use the engine's init as the first process?
    pub init: bool,
}

/// What can be said of a new cage before its image is here.
#[derive(Debug, Clone)]
pub struct Beforehand {
    env: EnvFiles,
    advice: Option<String>,
}

impl Beforehand {
    /// Reads the env files, and asks where the engine is.
    ///
    /// # Errors
    /// When an env file can't be used, or the engine is on another machine.
    pub fn gather(session: &Session, runtime: &Runtime, project: &Project) -> Result<Self> {
        project.check(&session.host)?;
        let env = EnvFiles::read(&session.host, project)?;
        let endpoint = endpoint(session, runtime)?;
        ensure!(
            !is_remote(&endpoint),
            Failure::new(format!("the engine is on another machine, {}", ui::escape(&endpoint))).hint(
                "a cage mounts the project, and another machine doesn't have it: use an engine on this one"
            )
        );
        let advice = (session.host.os == Os::Mac).then(|| ssh_agent::colima_advice(&endpoint)).flatten();
        Ok(Self { env, advice })
    }
}

impl Creation {
    /// Looks for it. The image must be here, but for `--dry-run`. What is known of its user from `old`, a cage made of the
    /// same image, is not asked again. `init`: use the engine's init?
    ///
    /// # Errors
    /// When the image can't be used, or the project can't be one with it.
    pub fn gather(
        session: &Session,
        runtime: &Runtime,
        project: &Project,
        image: Option<&Image>,
        old: Option<&Container>,
        Beforehand { env, advice }: Beforehand,
        init: bool,
    ) -> Result<Self> {
        let (host, runner) = (&session.host, session.runner);
        let engine = runtime.engine(host, runner)?;
        let same = old.filter(|old| image.is_some_and(|image| image.id == old.image_id));
        let user = match same.and_then(|old| old.label(USER_LABEL)).and_then(ImageUser::from_label) {
            Some(user) => user,
            None if session.global.dry_run && image.is_none() => {
                ui::warn(
                    "the image is not here yet: assuming that its user is vscode, as in the published one",
                );
                ImageUser::published()
            }
            None => ImageUser::probe(runtime, runner, &host.image)?,
        };
        let mapping = Mapping::decide(runtime.kind, &engine, &user, user::person(host, project)?);
        let link = Link::of(host, &project.name);
        let seed = home::seed_dir(host).and_then(|dir| dir.into_os_string().into_string().ok());
        if user.home == project.path {
            bail!(
                Failure::new(format!("the project {} is where the image has its user's home", project.path))
                    .hint("move the project into a directory of its own")
            );
        }
        Ok(Self { engine, user, mapping, env, git: GitDir::of(project), link, advice, seed, init })
    }

    /// Makes a container called `name`, complete but not started, that is gone again if a later step fails.
    pub fn make(
        &self,
        host: &Host,
        runtime: &Runtime,
        project: &Project,
        name: &str,
        options: &CreateOptions,
        undo: Unmake,
    ) -> Plan {
        let mut plan = Plan::default();
        plan.say(format!("Creating {}", project.name));
        if let Some(advice) = &self.advice {
            plan.push(Step::Warn(advice.clone()));
        }
        if let GitDir::Refused(why) = &self.git {
            plan.push(Step::Warn(format!(
                "git won't work in the cage: {}/.git points outside, and is not followed: {why}",
                project.path
            )));
        }
        if let (Some(link), Some(_)) = (&self.link, self.agent(host, options)) {
            plan.push(Step::Link(link.clone()));
            plan.push(Step::Undo(undo.without_container()));
        }
        let spec = self.spec(host, runtime.kind, project, name, options);
        plan.run(runtime.command(spec.create_args()).stdin(spec.env_file));
        plan.push(Step::Undo(undo.plan(runtime, name)));
        if let Some(seed) = &self.seed {
            plan.say(format!("Seeding home directory from {seed}"));
        }
        let preparation = Preparation {
            image: &host.image,
            volume: &home_volume(host, project, options),
            user: &self.user,
            mapping: self.mapping,
            seed: self.seed.as_deref(),
            project: &project.path,
        };
        let prepare = preparation.command(runtime);
        match (self.mapping, runtime.kind) {
            (Mapping::AsIs | Mapping::KeepId(_), _) => plan.run(prepare),
            // Left to itself, podman gives what it copies to the container's user.
            (Mapping::Renumber(_), RuntimeKind::Podman) => {
                plan.push(Step::Pipe(
                    prepare,
                    runtime.command(["cp", "-a=false", "-", &format!("{name}:/etc")]),
                ));
            }
            (Mapping::Renumber(_), RuntimeKind::Docker) => {
                plan.push(Step::Pipe(prepare, runtime.command(["cp", "-", &format!("{name}:/etc")])));
            }
        }
        plan
    }

    fn agent(&self, host: &Host, options: &CreateOptions) -> Option<Mount> {
        let wanted = !options.no_ssh && host.variable("CAGE_SSH") != Some("off");
        wanted.then(|| ssh_agent::mount(host, self.link.as_ref())).flatten()
    }

    fn spec(
        &self,
        host: &Host,
        runtime: RuntimeKind,
        project: &Project,
        name: &str,
        options: &CreateOptions,
    ) -> ContainerSpec {
        let mut mounts = vec![
            Mount::volume(home_volume(host, project, options), &self.user.home),
            Mount::path(&project.path, &project.path),
        ];
        let mut env = Vec::new();
        let mut default = |name, value: &str| {
            if !self.env.has(name) && !options.env.iter().any(|variable| variable.name == name) {
                env.push((name, value.to_owned()));
            }
        };
        // A Python project's virtual environment of the host and that of the cage would break each other.
        default("UV_PROJECT_ENVIRONMENT", ".cage-venv");
        for (name, value) in host.terminal_variables() {
            default(name, value);
        }
        if let Some(zone) = &host.time_zone {
            default("TZ", zone);
        }
        let inside = self.mapping.inside(&self.user);
        if inside.uid == 0 {
            // Without it Claude Code refuses to skip permissions as root.
            default("IS_SANDBOX", "1");
        }
        if let GitDir::Outside(dir) = &self.git {
            mounts.push(Mount::path(dir, dir));
            // The other worktrees of the repository can't be seen from inside, and look as if they were gone.
            default("GIT_CONFIG_COUNT", "1");
            default("GIT_CONFIG_KEY_0", "gc.worktreePruneExpire");
            default("GIT_CONFIG_VALUE_0", "never");
        }
        if let Some(agent) = self.agent(host, options) {
            env.push(("SSH_AUTH_SOCK", agent.target().to_owned()));
            mounts.push(agent);
        }
        mounts.extend(options.volume.iter().cloned());
        let mut labels = vec![
            (IMAGE_LABEL, host.image.clone()),
            (INODE_LABEL, project.inode.to_string()),
            (OPTIONS_LABEL, options.to_label()),
            (USER_LABEL, self.user.to_label()),
            (OWNER_LABEL, inside.to_string()),
            (ENV_LABEL, self.env.digest()),
        ];
        let keep_id = match self.mapping {
            Mapping::KeepId(ids) => ids.to_string(),
            Mapping::AsIs | Mapping::Renumber(_) => String::new(),
        };
        labels.push((KEEP_ID_LABEL, keep_id));
        ContainerSpec {
            name: name.to_owned(),
            workdir: project.path.clone(),
            image: host.image.clone(),
            project_label: host.label.clone(),
            labels,
            user: (self.mapping != Mapping::AsIs)
                .then(|| self.user.name.clone())
                .filter(|name| !name.is_empty()),
            userns: self.mapping.flag(),
            // Mounted directories are not relabelled: that would change them for good, and for the host too.
            security: self.engine.selinux.then_some("label=disable"),
            add_host: (runtime == RuntimeKind::Docker && self.engine.mode != Mode::Machine)
                .then_some("host.docker.internal:host-gateway"),
            mounts,
            publish: options.publish.clone(),
            env,
            env_file: self.env.to_stdin(&options.env),
            init: self.init,
        }
    }
}

/// What is to go if a new cage can't be completed.
#[derive(Debug, Clone, Copy)]
pub enum Unmake<'a> {
    /// The container and its link to the SSH agent.
    All(Option<&'a Link>),
    /// The container only: there is another cage of that name, whose link it is too.
    Container,
}

impl Unmake<'_> {
    /// The steps, once there is a container.
    pub fn plan(self, runtime: &Runtime, container: &str) -> Plan {
        let mut plan = Plan::default();
        plan.run(remove(runtime, container));
        plan.append(self.without_container());
        plan
    }

    fn without_container(self) -> Plan {
        match self {
            Self::All(Some(link)) => Plan::new([Step::Unlink(link.path.clone())]),
            Self::All(None) | Self::Container => Plan::default(),
        }
    }
}

/// The volume that is a cage's home.
pub fn home_volume(host: &Host, project: &Project, options: &CreateOptions) -> String {
    match options.home.unwrap_or(Home::Shared) {
        Home::Shared => host.home_volume.clone(),
        Home::Project => own_home(host, &project.name),
    }
}

/// The volume that is the home of the cage `name` alone.
pub fn own_home(host: &Host, name: &str) -> String {
    format!("{}-{}", host.home_volume, name.strip_prefix("cage-").unwrap_or(name))
}

/// The address of the engine, as far as the client tells; nothing for a podman on this machine.
fn endpoint(session: &Session, runtime: &Runtime) -> Result<String> {
    let variable = match runtime.kind {
        RuntimeKind::Docker => "DOCKER_HOST",
        RuntimeKind::Podman => "CONTAINER_HOST",
    };
    if let Some(endpoint) = session.host.variable(variable) {
        return Ok(endpoint.to_owned());
    }
    if runtime.kind == RuntimeKind::Podman {
        return Ok(String::new());
    }
    let ask = runtime.command(["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]);
    let output = session.runner.capture(&ask)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Is the engine at this address on another machine? One on a loopback port is a virtual machine's, or a tunnel's; those
/// can't be told apart, and the first is common.
fn is_remote(endpoint: &str) -> bool {
    let Some((scheme, rest)) = endpoint.split_once("://") else { return false };
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let host = host.rsplit_once(':').filter(|(_, text)| port(text)).map_or(host, |(host, _)| host);
    let loopback = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    matches!(scheme, "ssh" | "tcp" | "http" | "https") && !loopback
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_on_another_machine_is_known_by_its_address() {
        for remote in ["ssh://me@build:22", "ssh://build", "tcp://10.0.0.5:2375", "tcp://build:2376"] {
            assert!(is_remote(remote), "{remote}");
        }
        for local in [
            "",
            "unix:///var/run/docker.sock",
            "tcp://127.0.0.1:2375",
            "tcp://[::1]:2375",
            "ssh://me@localhost:2222",
        ] {
            assert!(!is_remote(local), "{local}");
        }
    }
}
