//! The project and engine that a command is about, and the steps that start and enter a container.

use anyhow::{Result, ensure};

use crate::base::error::Failure;
use crate::base::{script, text};
use crate::cage::create_options::CreateOptions;
use crate::cage::existing::Cage;
use crate::cage::options::NO_ROOT;
use crate::cage::ssh_agent::{Link, SOCKET};
use crate::engine::command::Invocation;
use crate::engine::container::State;
use crate::engine::image::Image;
use crate::engine::runtime::Runtime;
use crate::host::machine::{Host, Os};
use crate::host::project::Project;
use crate::lifecycle::attach::Attach;
use crate::lifecycle::ending::Ending;
use crate::lifecycle::exec::{ExecCommand, ExecTarget};
use crate::lifecycle::kept_modes::KeptModes;
use crate::lifecycle::plan::{Plan, Step};
use crate::lifecycle::session::Session;

/// Completes what the engine leaves undone when a cage starts.
pub(super) const SETTLE: &str = script::body(include_str!("settle.sh"));

/// The way a command enters a running cage.
#[derive(Debug)]
pub enum Entry {
    /// Connect the terminal with the first process.
    Attach,
    /// Print the name.
    Name,
    /// Run a command in it.
    Exec(ExecCommand),
}

impl Entry {
    /// Attaches if there is a terminal and `detach` is not wanted.
    pub fn enter(host: &Host, detach: bool) -> Self {
        if detach || !host.is_interactive() { Self::Name } else { Self::Attach }
    }

    /// Checks that a command in a cage made with `options` doesn't run as root, if the cage is to have none. A name may stand for
    /// root in the image, and a user without a group gets root's.
    ///
    /// # Errors
    /// When it could be root.
    pub(super) fn check_user(&self, host: &Host, options: &CreateOptions) -> Result<()> {
        let Self::Exec(ExecCommand { user: Some(user), .. }) = self else { return Ok(()) };
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number != 0);
        let numbers = user.split_once(':').and_then(|(uid, gid)| number(uid).zip(number(gid)));
        let is_ordinary = numbers.is_some_and(|(_, gid)| !host.powerful_groups.contains(&gid));
        ensure!(
            is_ordinary || !options.has(NO_ROOT),
            Failure::new(format!("the cage has --no-root: `-u {}` may be root", text::escape(user)))
                .hint("give numbers without power, as in `-u 1000:1000`; `cage restart --fresh` makes a cage with root")
        );
        Ok(())
    }
}

/// The project that a command is about, and the engine that has its cage.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The session of the command.
    pub session: &'a Session,
    /// The runtime that answered.
    pub runtime: &'a Runtime,
    /// The project of the cage.
    pub project: &'a Project,
    /// The image for new cages, if it is on this machine.
    pub image: Option<&'a Image>,
}

/// Returns the error for a cage whose project directory was replaced. The engines refuse to run anything in it, because they take
/// it for an attempt to break out.
pub fn replaced_while_running(container: &Cage) -> Failure {
    Failure::new(format!("the project directory was replaced while {} ran", container.name))
        .hint("`cage restart` mounts the new one")
}

impl Context<'_> {
    /// Returns whether the project directory was replaced while the cage ran, for example deleted and cloned again; the cage
    /// then still has the old one mounted. The container is asked only if the inode number differs from the label's, because
    /// a restart may have mounted the new directory since. A virtual machine has inode numbers of its own: there the answer is no.
    ///
    /// # Errors
    /// When the engine can't be started.
    pub fn has_stale_directory(&self, container: &Cage) -> Result<bool> {
        let Self { session, runtime, project, .. } = *self;
        if session.host.os != Os::Linux
            || container.state != State::Running
            || !container.has_another_directory(project)
        {
            return Ok(false);
        }
        let look = ["exec", "--workdir", "/", &container.id, "/bin/ls", "-di", &project.path];
        let output = session.runner.capture(&runtime.command(look))?;
        let inode = String::from_utf8_lossy(&output.stdout).split_whitespace().next().map(str::to_owned);
        Ok(inode != Some(project.inode.to_string()))
    }

    /// Returns the link to the SSH agent, if the cage mounts it.
    pub(super) fn link(&self, container: &Cage) -> Option<Link> {
        Link::of(&self.session.host, &self.project.name).filter(|_| container.mounts_link())
    }

    /// Returns the command to run in a container each time it has started, if any. The command fails only if the container
    /// is not running.
    ///
    /// It runs as root with the container's variables, so `LD_PRELOAD` from the project's env file would let project code run as
    /// root. With `--no-root` it is therefore run only for the SSH agent's socket of a virtual machine (`machines_agent`), where
    /// root is not the host's root.
    pub(super) fn settle(
        &self,
        container: &str,
        machines_agent: bool,
        options: &CreateOptions,
    ) -> Option<Invocation> {
        let socket = if machines_agent { SOCKET } else { "" };
        let names_host =
            self.runtime.kind.names_host_at_start() && !options.has(NO_ROOT) && options.has_hosts();
        (machines_agent || names_host).then(|| {
            let mut settle = vec!["exec", "--workdir", "/", "--user", "0"];
            settle.extend(script::NO_LIBRARIES);
            settle.extend([container, "/bin/sh", "-c", SETTLE, "sh", socket]);
            self.runtime.command(settle)
        })
    }

    /// Returns the plan that enters a container that runs. `since` is the time of its start if it was running before.
    pub(super) fn enter(&self, container: ExecTarget, since: Option<&str>, entry: &Entry) -> Plan {
        let mut plan = Plan::default();
        let step = match entry {
            Entry::Name => {
                plan.extend(self.ends_at_logout().map(Step::Warn));
                Step::Print(self.project.name.clone())
            }
            Entry::Exec(inside) => {
                if let Some(user) = &inside.user {
                    // Clients fail with codes that a command may have, too: docker 126, podman 255.
                    let look = ["exec", "--workdir", "/", "--user", user, container.id, "/bin/sh", "-c", ":"];
                    plan.run(self.runtime.command(look));
                }
                let workdir = self.project.inside(&inside.workdir);
                let inside = ExecCommand { workdir, ..inside.clone() };
                inside.step(&self.session.host, self.runtime, container, &self.project.name)
            }
            Entry::Attach => {
                let mut attach = self.attach(container.id, &["attach"]);
                attach.redraws = true;
                attach.modes.since = since.map(str::to_owned);
                return Self::attached(attach);
            }
        };
        plan.push(step);
        plan
    }

    /// Returns the warning that logging out ends the cage, if it does.
    fn ends_at_logout(&self) -> Option<String> {
        let Session { host, runner, .. } = self.session;
        let is_users =
            || self.runtime.whereabouts(host, *runner).is_ok_and(|place| place.is_rootless_of(host.ids.uid));
        let message = "logging out ends this cage; `loginctl enable-linger` keeps it";
        (host.systemd().ends_at_logout && is_users()).then(|| message.to_owned())
    }

    /// Returns the step that starts a container with the terminal attached, and runs `settle` once attached.
    pub(super) fn start_attached(&self, container: &str, settle: Option<Invocation>) -> Plan {
        let mut attach = self.attach(container, &["start", "--attach", "--interactive"]);
        attach.once_attached = settle;
        Self::attached(attach)
    }

    /// Returns the plan of an attachment.
    fn attached(attach: Attach) -> Plan {
        let warning = attach.at_logout.clone().map(Step::Warn);
        Plan::new(warning.into_iter().chain([Step::Attach(Box::new(attach))]))
    }

    /// Returns an attachment by the client's `verb`, `attach` or `start`.
    fn attach(&self, container: &str, verb: &[&str]) -> Attach {
        let keys = &self.session.host.detach_keys;
        let client = |keys: &str| {
            let flag = self.runtime.kind.attach_flag();
            let end = ["--detach-keys", keys].into_iter().chain(flag).chain([container]);
            self.runtime.command(verb.iter().copied().chain(end))
        };
        Attach {
            client: client(&self.runtime.kind.unused_keys(keys.only_key())),
            script: client(&keys.to_string()),
            keys: keys.clone(),
            once_attached: None,
            redraws: false,
            at_logout: self.ends_at_logout(),
            ending: Ending::of(&self.session.host, self.runtime, container, &self.project.name),
            modes: KeptModes::of(&self.session.host, self.runtime, container, &self.project.name),
        }
    }
}
