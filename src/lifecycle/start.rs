//! How a cage comes up, what goes on in it, and how it goes away: the plans that the commands share.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::base::error::Failure;
use crate::base::{console, script};
use crate::cage::create_options::CreateOptions;
use crate::cage::env_file::EnvFiles;
use crate::cage::existing::{Cage, ENV_LABEL, SEEN_LABEL, SUCCESSOR};
use crate::cage::nesting;
use crate::cage::options::{ALLOW_NESTED, NO_ROOT};
use crate::cage::pull::PullFlag;
use crate::cage::ssh_agent::{Link, SOCKET};
use crate::engine::command::{Invocation, PATIENCE};
use crate::engine::container::State;
use crate::engine::error::{Trouble, is_trouble};
use crate::engine::image::{Image, is_local};
use crate::engine::runtime::Runtime;
use crate::host::machine::Host;
use crate::host::project::Project;
use crate::lifecycle::attach::{Attach, STATE_FORMAT};
use crate::lifecycle::create::{Features, NewCage, Preflight, Removal};
use crate::lifecycle::exec::ExecCommand;
use crate::lifecycle::plan::{Plan, Step};
use crate::lifecycle::session::Session;
use crate::lifecycle::steps::{fetch, halt, remove};

/// How often to look again when another command was quicker.
const RACES: u32 = 10;

/// What the command does with a cage that runs.
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
}

/// Completes what the engine leaves undone when a cage starts.
const SETTLE: &str = script::body(include_str!("settle.sh"));

/// The project that a command is about, on this machine and in the engine that has its cage.
#[derive(Debug)]
pub struct Context<'a> {
    /// This machine.
    pub host: &'a Host,
    /// The runtime that answered.
    pub runtime: &'a Runtime,
    /// The project of the cage.
    pub project: &'a Project,
    /// The image for new cages, if it is on this machine.
    pub image: Option<&'a Image>,
}

/// Starts the project's cage from whatever state it is in, or creates it, and enters it. At the end prints what code in the cage left in
/// the project.
///
/// # Errors
/// When the cage can't be started; a half-made cage has been removed.
pub fn bring_up(
    session: &Session,
    project: &Project,
    options: &CreateOptions,
    pull: PullFlag,
    entry: &Entry,
) -> Result<u8> {
    // This error comes before any other.
    project.check(&session.host, true)?;
    let wanted = options.clone().with_defaults(&session.host)?;
    let mut races = 0;
    loop {
        match try_to_bring_up(session, project, (options, &wanted), pull, entry) {
            Err(error) if races < RACES && lost_a_race(&error) => {
                races += 1;
                thread::sleep(Duration::from_millis(100));
            }
            result => return result,
        }
    }
}

/// Returns whether another command created or removed the container between the query and the step. The lock keeps apart the commands
/// of one user, but not those of two, nor those of the engine's client.
fn lost_a_race(error: &anyhow::Error) -> bool {
    is_trouble(error, Trouble::NameTaken) || is_trouble(error, Trouble::NoSuchContainer)
}

fn try_to_bring_up(
    session: &Session,
    project: &Project,
    (options, wanted): (&CreateOptions, &CreateOptions),
    pull: PullFlag,
    entry: &Entry,
) -> Result<u8> {
    let (runtime, found) = session.find_all(project)?;
    if let (Entry::Exec(_), None) = (entry, &found.cage)
        && let Some((above, _)) = session.above(&runtime, project)?
    {
        return try_to_bring_up(session, &above, (options, wanted), pull, entry);
    }
    if let Some(container) = found.cage.as_ref().filter(|cage| cage.state != State::Dead) {
        let context =
            Context { host: &session.host, runtime: &runtime, project, image: found.image.as_ref() };
        return resume(session, &context, container, options, entry);
    }
    let preflight = Preflight::gather(session, &runtime, project, wanted)?;
    self::pull(session, &runtime, pull, found.image.is_some())?;
    with_what_works(|features| {
        let lock = session.lock()?;
        let found = session.look(&runtime, project)?;
        let context =
            Context { host: &session.host, runtime: &runtime, project, image: found.image.as_ref() };
        if let Some(container) = found.cage.as_ref().filter(|cage| cage.state != State::Dead) {
            // Another command was quicker.
            drop(lock);
            return resume(session, &context, container, options, entry);
        }
        let creation = NewCage::gather(
            session,
            &runtime,
            project,
            found.image.as_ref(),
            None,
            preflight.clone(),
            features,
        )?;
        let remains = found.cage.iter().chain(&found.left_over);
        let code = session.carry_out_locked(&context.create(remains, &creation, wanted, entry), lock)?;
        Ok(leave(session, project, entry, code, Some(creation.baseline.seen())))
    })
}

fn resume(
    session: &Session,
    context: &Context,
    container: &Cage,
    options: &CreateOptions,
    entry: &Entry,
) -> Result<u8> {
    let changes = Changes {
        directory: session.has_stale_directory(context.runtime, context.project, container)?,
        agent: context.link(container).is_some_and(|link| link.is_stale()),
        // An unreadable file is an error when a cage is created, not when it starts again.
        env: EnvFiles::read(&session.host, context.project)
            .is_ok_and(|env| container.label(ENV_LABEL).is_some_and(|made_with| made_with != env.digest())),
    };
    ensure!(!changes.directory || !matches!(entry, Entry::Exec(_)), replaced_while_running(container));
    let kept = kept_options(container, options)?;
    check_isolation(container, &kept, options)?;
    if !container.state.is_up() {
        kept.check_sources()?;
        nesting::check_mounts(container, &kept)?;
        if !options.has(ALLOW_NESTED) && !kept.has(ALLOW_NESTED) {
            let cages = session.cages(context.runtime)?;
            nesting::check_nested(context.project, &kept, &cages)?;
        }
    }
    let plan = context.resume_plan((container, &kept), options, changes, entry);
    let code = session.carry_out(&plan)?;
    Ok(leave(session, context.project, entry, code, container.label(SEEN_LABEL)))
}

/// Returns the options that a cage was made with. If they can't be read, only a cage that is up can be entered, and only if none
/// were typed: to start it, or to tell whether it has an option, they are needed.
fn kept_options(container: &Cage, typed: &CreateOptions) -> Result<CreateOptions> {
    match container.options() {
        Err(error) if container.state.is_up() && typed.words().is_empty() => {
            console::warn(&error.to_string());
            Ok(CreateOptions::default())
        }
        result => result,
    }
}

/// Checks that a cage is as isolated as the user asks for now: entering a less isolated one, with only a message, would be a trap.
fn check_isolation(container: &Cage, kept: &CreateOptions, options: &CreateOptions) -> Result<()> {
    let words = options.missing_from(kept).isolating().to_label();
    ensure!(
        words.is_empty(),
        Failure::new(format!("{} exists without `{words}`", container.name))
            .hint(format!("`cage restart {words}` applies it"))
    );
    Ok(())
}

/// Prints what code in the cage left in the project, unless the cage only started. Returns the exit code unchanged.
fn leave(session: &Session, project: &Project, entry: &Entry, code: u8, seen: Option<&str>) -> u8 {
    if !matches!(entry, Entry::Name) {
        session.tell_leftovers(project, seen);
    }
    code
}

/// Pulls the image for new cages if the policy wants it. `here` tells whether the image is on this machine.
///
/// # Errors
/// When the image is not here and can't be pulled.
pub fn pull(session: &Session, runtime: &Runtime, pull: PullFlag, here: bool) -> Result<()> {
    let image = &session.host.image;
    let wanted = pull.policy(&session.host)?.wants(here);
    if is_local(image) || !wanted {
        return Ok(());
    }
    let mut plan = Plan::default();
    plan.say("Pulling latest image...");
    let have = runtime.command(["image", "inspect", image]);
    plan.push(Step::Pull { pull: fetch(&session.host, runtime), unless: Some(have) });
    session.carry_out(&plan).map(drop)
}

/// Attempts to make a container with the features that not every engine has, and again without those that turn out to be missing:
/// some engines say so only when a container is created or started.
///
/// # Errors
/// Those of `attempt`.
pub fn with_what_works<T>(mut attempt: impl FnMut(Features) -> Result<T>) -> Result<T> {
    let mut features = Features { init: true, agent: true };
    loop {
        match attempt(features) {
            Err(error) if features.init && is_trouble(&error, Trouble::NoInit) => features.init = false,
            Err(error) if features.agent && is_trouble(&error, Trouble::NoAgent) => features.agent = false,
            result => return result,
        }
    }
}

/// What has to be done in a container once it has started.
#[derive(Clone, Copy)]
struct Settling {
    /// Whether the SSH agent's socket of a virtual machine is mounted.
    machines_agent: bool,
    /// Whether the cage has no root.
    no_root: bool,
}

/// What has changed on the host since a cage was created or started.
#[derive(Debug, Clone, Copy, Default)]
pub struct Changes {
    /// Whether the project directory was replaced.
    directory: bool,
    /// Whether the SSH agent is another one.
    agent: bool,
    /// Whether the env files differ.
    env: bool,
}

impl Context<'_> {
    /// Returns the link to the SSH agent, if the cage mounts it.
    fn link(&self, container: &Cage) -> Option<Link> {
        Link::of(self.host, &self.project.name).filter(|_| container.mounts_link())
    }

    /// Returns the plan that creates the cage. The container gets its final name last, so that a cage of that name is always complete.
    /// `remains` are containers that the engine could not remove, or that an earlier attempt left behind.
    fn create<'a>(
        &self,
        remains: impl IntoIterator<Item = &'a Cage>,
        creation: &NewCage,
        options: &CreateOptions,
        entry: &Entry,
    ) -> Plan {
        let name = &self.project.name;
        let new = format!("{name}{SUCCESSOR}");
        let mut plan = Plan::default();
        for container in remains {
            plan.run(remove(self.runtime, &container.id));
        }
        let undo = Removal::All(creation.link.as_ref());
        plan.append(creation.make(self.host, self.runtime, self.project, &new, options, undo));
        plan.run(self.runtime.command(["rename", &new, name]));
        plan.push(Step::Undo(undo.plan(self.runtime, name)));
        plan.extend(creation.welcome(self.host, options).into_iter().map(Step::Say));
        plan.extend(creation.sources(self.project, options).map(Step::CheckUnlinked));
        let settling = Settling {
            machines_agent: creation.uses_machines_agent(self.host, options),
            no_root: options.has(NO_ROOT),
        };
        match entry {
            Entry::Attach => {
                let settle = self.settle(name, settling);
                plan.push(self.start_attached(name, settle));
            }
            Entry::Name | Entry::Exec(_) => {
                plan.append(self.start_new(name, settling));
                plan.append(self.enter(name, entry));
            }
        }
        plan
    }

    /// Returns the plan that enters an existing cage, and starts it if it doesn't run.
    fn resume_plan(
        &self,
        (container, kept): (&Cage, &CreateOptions),
        options: &CreateOptions,
        changes: Changes,
        entry: &Entry,
    ) -> Plan {
        let mut plan = tell_ignored(container, kept, options);
        if !matches!(entry, Entry::Exec(_)) {
            plan.append(self.tell_image(container));
        }
        if changes.agent && container.state == State::Running {
            plan.say("your SSH agent has changed since the cage started; `cage stop` and `cage start` connect the new one");
        }
        if changes.env {
            plan.say("env files have changed since the cage was made; `cage restart` applies them");
        }
        if changes.directory {
            plan.push(Step::Warn(format!(
                "the directory {} was replaced while {} ran, which still has the old one; `cage restart` mounts the new one",
                self.project.path, container.name
            )));
        }
        if let Some(link) = self.link(container).filter(|_| !container.state.is_up()) {
            plan.push(Step::Link(link));
        }
        let no_root = kept.has(NO_ROOT);
        let settling = Settling { machines_agent: container.mounts_machines_agent(), no_root };
        let settle = self.settle(&container.id, settling);
        let sources = nesting::mounted_sources(container, kept);
        match (container.state, entry) {
            (State::Created | State::Stopped | State::Dead, Entry::Attach) => {
                plan.say(format!("Restarting {}", container.name));
                plan.extend(sources.into_iter().map(Step::CheckUnlinked));
                plan.push(self.start_attached(&container.id, settle));
            }
            (State::Created | State::Stopped | State::Dead, _) => {
                plan.say(format!("Restarting {}", container.name));
                plan.extend(sources.into_iter().map(Step::CheckUnlinked));
                plan.run(self.runtime.command(["start", &container.id]));
                plan.extend(settle.map(Step::Try));
                plan.append(self.enter(&container.id, entry));
            }
            (State::Paused, _) => {
                plan.say(format!("Unpausing {}", container.name));
                plan.run(self.runtime.command(["unpause", &container.id]));
                plan.append(self.enter(&container.id, entry));
            }
            (State::Running | State::Changing, _) => {
                if matches!(entry, Entry::Attach) {
                    plan.say(format!("Re-attaching to {}", container.name));
                }
                plan.append(self.enter(&container.id, entry));
            }
        }
        plan
    }

    /// Returns the plan that replaces `old` with a new container; `old` is removed only when the new container runs. `left_over` is the new
    /// container of an earlier attempt that was interrupted.
    pub fn replace(
        &self,
        old: &Cage,
        left_over: Option<&Cage>,
        creation: &NewCage,
        options: &CreateOptions,
        entry: &Entry,
    ) -> Plan {
        let mut plan = Plan::default();
        let name = &self.project.name;
        let new = format!("{name}{SUCCESSOR}");
        if let Some(left_over) = left_over {
            plan.run(remove(self.runtime, &left_over.id));
        }
        plan.append(creation.make(self.host, self.runtime, self.project, &new, options, Removal::Cage));
        if old.state.is_up() {
            // Both can't listen on the same ports.
            halt(&mut plan, self.runtime, &[old]);
            // Code in the old cage could write until now, and may have put a link in the path of a mount of either container.
            plan.push(Step::Undo(Plan::new([
                Step::Run(remove(self.runtime, &new)),
                Step::Say(format!("{name} is still the old one, and is stopped")),
            ])));
            plan.extend(creation.sources(self.project, options).map(Step::CheckUnlinked));
            plan.push(Step::Undo(self.restore(old, &new)));
        } else {
            plan.extend(creation.sources(self.project, options).map(Step::CheckUnlinked));
        }
        let settling = Settling {
            machines_agent: creation.uses_machines_agent(self.host, options),
            no_root: options.has(NO_ROOT),
        };
        plan.append(self.start_new(&new, settling));
        plan.run(remove(self.runtime, &old.id));
        plan.run(self.runtime.command(["rename", &new, name]));
        plan.append(self.enter(name, entry));
        plan
    }

    /// Returns the plan that removes the new container, and starts `old` again if it ran.
    fn restore(&self, old: &Cage, new: &str) -> Plan {
        let mut plan = Plan::default();
        plan.run(remove(self.runtime, new));
        if old.state.is_up() {
            plan.run(self.runtime.command(["start", &old.id]));
            plan.say(format!("{} is the old one again; its programs have ended", self.project.name));
        }
        plan
    }

    /// Returns the messages about another or a newer image.
    fn tell_image(&self, container: &Cage) -> Plan {
        let mut plan = Plan::default();
        let wanted = &self.host.image;
        if container.image_name() != wanted {
            let made_of = container.image_name();
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

    /// Returns the plan that starts a new container and checks that it keeps running: with the engine's init as the first process, an image
    /// whose command can't run starts, and then stops at once.
    fn start_new(&self, container: &str, settling: Settling) -> Plan {
        let look = || self.runtime.command(["exec", container, "/bin/sh", "-c", ":"]).within(PATIENCE);
        let mut plan = Plan::default();
        plan.run(self.runtime.command(["start", container]));
        plan.run(self.settle(container, settling).unwrap_or_else(look));
        plan.push(Step::Keep);
        plan
    }

    /// Returns the command to run in a container each time it has started, if any; it fails only if the container doesn't run.
    ///
    /// The command runs as root with the container's variables, such as `LD_PRELOAD` from the project's env file. So with `--no-root` it
    /// would give code of the project root; only in a virtual machine is that not the host's root.
    fn settle(&self, container: &str, settling: Settling) -> Option<Invocation> {
        let Settling { machines_agent, no_root } = settling;
        let socket = if machines_agent { SOCKET } else { "" };
        (machines_agent || (self.runtime.kind.names_host_at_start() && !no_root)).then(|| {
            let settle = ["exec", "--user", "0", container, "/bin/sh", "-c", SETTLE, "sh", socket];
            self.runtime.command(settle).within(PATIENCE)
        })
    }

    fn enter(&self, container: &str, entry: &Entry) -> Plan {
        let step = match entry {
            Entry::Name => Step::Print(self.project.name.clone()),
            Entry::Exec(inside) => inside.step(self.host, self.runtime, container, &self.project.name),
            Entry::Attach => {
                let mut args = vec!["attach", "--detach-keys", &self.host.detach_keys];
                args.extend(self.runtime.kind.attach_flag());
                args.push(container);
                let mut attach = self.attach(container, self.runtime.command(args));
                attach.once_attached = self.unsettle_size(container);
                Step::Attach(attach)
            }
        };
        Plan::new([step])
    }

    fn start_attached(&self, container: &str, settle: Option<Invocation>) -> Step {
        let mut args = vec!["start", "--attach", "--interactive", "--detach-keys", &self.host.detach_keys];
        args.extend(self.runtime.kind.attach_flag());
        args.push(container);
        let mut attach = self.attach(container, self.runtime.command(args));
        attach.once_attached = settle;
        Step::Attach(attach)
    }

    fn attach(&self, container: &str, client: Invocation) -> Attach {
        let state = self.runtime.command(["container", "inspect", "--format", STATE_FORMAT, container]);
        Attach { name: self.project.name.clone(), client, once_attached: None, state }
    }

    /// Returns the command that makes a program inside redraw the screen after podman's client has attached; docker's client changes the
    /// terminal's size there and back for that. It can't run before the client: podman sets the size before it connects, so that the
    /// redrawn screen may be lost.
    fn unsettle_size(&self, container: &str) -> Option<Invocation> {
        let (_, rows) = self.host.size.filter(|_| !self.runtime.kind.redraws_on_attach())?;
        let rows = rows.checked_sub(1).filter(|rows| *rows > 0)?.to_string();
        let stty = ["exec", container, "/bin/stty", "-F", "/dev/console", "rows", &rows];
        Some(self.runtime.command(stty).within(PATIENCE))
    }
}

/// Nothing can be run in a cage whose directory is gone: the engines take it for an attempt to break out.
pub fn replaced_while_running(container: &Cage) -> Failure {
    Failure::new(format!("the project directory was replaced while {} ran", container.name))
        .hint("`cage restart` mounts the new one")
}

/// Tells which options would need a new container.
pub fn tell_ignored(container: &Cage, kept: &CreateOptions, options: &CreateOptions) -> Plan {
    let mut plan = Plan::default();
    for words in options.missing_from(kept).words() {
        let mut option = shell_words::join(&words);
        if words[0] == "-e" {
            option.push_str("=…");
        }
        plan.say(format!("{} exists without `{option}`; `cage restart {option}` applies it", container.name));
    }
    plan
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::base::text::quote;
    use crate::cage::existing::IMAGE_LABEL;
    use crate::cage::home::PREPARE;
    use crate::cage::user::{ImageUser, Mapping};
    use crate::engine::dialect::Dialect;
    use crate::engine::info::{Engine, Mode, Product};
    use crate::host::ids::Ids;
    use crate::host::machine::Os;
    use crate::host::project::cage_name;
    use crate::host::worktree::GitDir;
    use crate::lifecycle::baseline::Baseline;
    use crate::lifecycle::exec::BECOME;

    /// Who runs the containers, and in which virtual machine.
    type Where = (Mode, Option<Product>);
    const ROOTFUL: Where = (Mode::Rootful, None);
    const ROOTLESS: Where = (Mode::Rootless, None);
    const MACHINE: Where = (Mode::Rootful, Some(Product::Colima));

    const NEWER: &str = "sha256:2222222222";

    fn project(path: &str) -> Project {
        Project { path: path.into(), name: cage_name(path), inode: 7, gid: 0, reached: path.into() }
    }

    fn creation(context: &Context, (mode, machine): Where) -> NewCage {
        let engine = Engine { mode, machine, selinux: false, remaps: false, unenforced: Vec::new() };
        let ids = Ids { uid: 501, gid: 20 };
        let user = ImageUser { name: "vscode".into(), ids, home: "/home/vscode".into() };
        let mapping = Mapping::decide(context.runtime.kind, &engine, &user, context.host.ids, None);
        let link = Link::of(context.host, &context.project.name);
        let add_host =
            context.runtime.kind.add_host(&engine, false, || Some(Ipv4Addr::new(10, 1, 2, 3).into()));
        NewCage {
            engine,
            user,
            mapping,
            git: GitDir::None,
            env: EnvFiles::default(),
            link,
            advice: None,
            seed: None,
            features: Features { init: true, agent: true },
            baseline: Baseline::default(),
            others: Vec::new(),
            is_first: false,
            add_host,
        }
    }

    fn options(label: &str) -> CreateOptions {
        CreateOptions::from_label(label, &[]).unwrap()
    }

    /// The script of a plan, made on a machine with this runtime.
    fn script(
        kind: Dialect,
        variables: &[(&str, &str)],
        path: &str,
        plan: impl Fn(&Context) -> Plan,
    ) -> String {
        let host = Host::sample(variables);
        let (runtime, project) = (Runtime::sample(kind), project(path));
        let image = Image::sample(NEWER);
        plan(&Context { host: &host, runtime: &runtime, project: &project, image: Some(&image) })
            .script_with_undo()
    }

    fn create(kind: Dialect, place: Where, path: &str, entry: &Entry) -> String {
        let text = script(kind, &[("CAGE_IMAGE", "local")], path, |context| {
            context.create(None, &creation(context, place), &options("-p 3000:3000 -v pg:/pg:ro"), entry)
        });
        text.replace(&quote(PREPARE), "PREPARE").replace(&quote(SETTLE), "SETTLE")
    }

    fn come_back(kind: Dialect, state: State, typed: &str, entry: &Entry) -> String {
        script(kind, &[], "/p/app", |context| {
            let mut container = Cage::sample(context.project, state);
            container.container().image_id = NEWER.into();
            context.resume_plan(
                (&container, &container.options().unwrap()),
                &options(typed),
                Changes::default(),
                entry,
            )
        })
        .replace(&quote(SETTLE), "SETTLE")
        .replace(&quote(BECOME), "BECOME")
    }

    fn replace(kind: Dialect, state: State, entry: &Entry) -> String {
        script(kind, &[("CAGE_IMAGE", "local")], "/p/app", |context| {
            let container = Cage::sample(context.project, state);
            let podman_machine = (Mode::Rootless, Some(Product::PodmanMachine));
            let place = if kind.keeps_ids() { podman_machine } else { MACHINE };
            let creation = creation(context, place);
            context.replace(&container, None, &creation, &options("-p 3000:3000"), entry)
        })
        .replace(&quote(PREPARE), "PREPARE")
        .replace(&quote(SETTLE), "SETTLE")
    }

    #[test]
    fn a_new_cage_in_every_mode() {
        use Dialect::{Docker, Podman};
        insta::assert_snapshot!(create(Docker, ROOTFUL, "/p/app", &Entry::Attach), @r#"
        printf '%s\n' 'cage: Creating cage-app-f6965073' >&2
        mkdir -p /home/me/.local/state/cage && ln -sfn /dev/null /home/me/.local/state/cage/cage-app-f6965073.agent
        # undo: rm -f /home/me/.local/state/cage/cage-app-f6965073.agent
        docker create --interactive --tty --pull never --name cage-app-f6965073.new --hostname cage-app-f6965073 --workdir /p/app --label cage.project=/p/app --label cage.image=local --label cage.inode=7 --label 'cage.options=-p 127.0.0.1:3000:3000 -v pg:/pg:ro' --label cage.defaults= --label cage.user=vscode:501:20:/home/vscode --label cage.owner=1000:1000 --label cage.env=e3b0 --label cage.keep-id= --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/p/app,target=/p/app --mount type=bind,source=/home/me/.local/state/cage/cage-app-f6965073.agent,target=/run/host-services/ssh-auth.sock --mount type=volume,source=pg,target=/pg,ro --publish 127.0.0.1:3000:3000 --env UV_PROJECT_ENVIRONMENT=.cage-venv --env TZ=Europe/Berlin --env SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock --user vscode --add-host host.docker.internal:host-gateway --cap-drop MKNOD --cap-drop SETFCAP --cap-drop AUDIT_WRITE --pids-limit 4096 --log-driver none --stop-signal SIGHUP --init local >/dev/null
        # undo: docker rm --force --volumes cage-app-f6965073.new >/dev/null; rm -f /home/me/.local/state/cage/cage-app-f6965073.agent
        docker run --rm --pull never --network none --workdir / --user 0 --mount type=volume,source=cage-home,target=/home/vscode --entrypoint /bin/sh local -c PREPARE sh /home/vscode 1000:1000 '' vscode | docker cp - cage-app-f6965073.new:/etc >/dev/null
        docker rename cage-app-f6965073.new cage-app-f6965073 >/dev/null
        # undo: docker rm --force --volumes cage-app-f6965073 >/dev/null; rm -f /home/me/.local/state/cage/cage-app-f6965073.agent
        [ "$(realpath /p/app)" = /p/app ]
        exec docker start --attach --interactive --detach-keys 'ctrl-\' cage-app-f6965073
        "#);
        insta::assert_snapshot!(create(Podman, ROOTFUL, "/p/app", &Entry::Name), @r#"
        printf '%s\n' 'cage: Creating cage-app-f6965073' >&2
        mkdir -p /home/me/.local/state/cage && ln -sfn /dev/null /home/me/.local/state/cage/cage-app-f6965073.agent
        # undo: rm -f /home/me/.local/state/cage/cage-app-f6965073.agent
        podman create --interactive --tty --pull never --name cage-app-f6965073.new --hostname cage-app-f6965073 --workdir /p/app --label cage.project=/p/app --label cage.image=local --label cage.inode=7 --label 'cage.options=-p 127.0.0.1:3000:3000 -v pg:/pg:ro' --label cage.defaults= --label cage.user=vscode:501:20:/home/vscode --label cage.owner=1000:1000 --label cage.env=e3b0 --label cage.keep-id= --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/p/app,target=/p/app --mount type=bind,source=/home/me/.local/state/cage/cage-app-f6965073.agent,target=/run/host-services/ssh-auth.sock --mount type=volume,source=pg,target=/pg,ro --publish 127.0.0.1:3000:3000 --env UV_PROJECT_ENVIRONMENT=.cage-venv --env TZ=Europe/Berlin --env SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock --user vscode --cap-drop MKNOD --cap-drop SETFCAP --cap-drop AUDIT_WRITE --pids-limit 4096 --log-driver none --stop-signal SIGHUP --init local >/dev/null
        # undo: podman rm --force --volumes cage-app-f6965073.new >/dev/null; rm -f /home/me/.local/state/cage/cage-app-f6965073.agent
        podman run --rm --pull never --network none --workdir / --user 0 --mount type=volume,source=cage-home,target=/home/vscode --entrypoint /bin/sh local -c PREPARE sh /home/vscode 1000:1000 '' vscode | podman cp -a=false - cage-app-f6965073.new:/etc >/dev/null
        podman rename cage-app-f6965073.new cage-app-f6965073 >/dev/null
        # undo: podman rm --force --volumes cage-app-f6965073 >/dev/null; rm -f /home/me/.local/state/cage/cage-app-f6965073.agent
        [ "$(realpath /p/app)" = /p/app ]
        podman start cage-app-f6965073 >/dev/null
        podman exec --user 0 cage-app-f6965073 /bin/sh -c SETTLE sh '' >/dev/null
        # keep
        printf '%s\n' cage-app-f6965073
        "#);
        insta::assert_snapshot!(create(Podman, ROOTLESS, "/p/app", &Entry::Name), @r#"
        printf '%s\n' 'cage: Creating cage-app-f6965073' >&2
        mkdir -p /home/me/.local/state/cage && ln -sfn /dev/null /home/me/.local/state/cage/cage-app-f6965073.agent
        # undo: rm -f /home/me/.local/state/cage/cage-app-f6965073.agent
        podman create --interactive --tty --pull never --name cage-app-f6965073.new --hostname cage-app-f6965073 --workdir /p/app --label cage.project=/p/app --label cage.image=local --label cage.inode=7 --label 'cage.options=-p 127.0.0.1:3000:3000 -v pg:/pg:ro' --label cage.defaults= --label cage.user=vscode:501:20:/home/vscode --label cage.owner=501:20 --label cage.env=e3b0 --label cage.keep-id=501:20 --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/p/app,target=/p/app --mount type=bind,source=/home/me/.local/state/cage/cage-app-f6965073.agent,target=/run/host-services/ssh-auth.sock --mount type=volume,source=pg,target=/pg,ro --publish 127.0.0.1:3000:3000 --env UV_PROJECT_ENVIRONMENT=.cage-venv --env TZ=Europe/Berlin --env SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock --user vscode --cap-drop MKNOD --cap-drop SETFCAP --cap-drop AUDIT_WRITE --pids-limit 4096 --log-driver none --stop-signal SIGHUP --userns=keep-id:uid=501,gid=20 --init local >/dev/null
        # undo: podman rm --force --volumes cage-app-f6965073.new >/dev/null; rm -f /home/me/.local/state/cage/cage-app-f6965073.agent
        podman run --rm --pull never --network none --workdir / --user 0 --userns=keep-id:uid=501,gid=20 --mount type=volume,source=cage-home,target=/home/vscode --entrypoint /bin/sh local -c PREPARE sh /home/vscode 501:20 '' '' >/dev/null
        podman rename cage-app-f6965073.new cage-app-f6965073 >/dev/null
        # undo: podman rm --force --volumes cage-app-f6965073 >/dev/null; rm -f /home/me/.local/state/cage/cage-app-f6965073.agent
        [ "$(realpath /p/app)" = /p/app ]
        podman start cage-app-f6965073 >/dev/null
        podman exec --user 0 cage-app-f6965073 /bin/sh -c SETTLE sh '' >/dev/null
        # keep
        printf '%s\n' cage-app-f6965073
        "#);
        insta::assert_snapshot!(create(Docker, ROOTLESS, "/p/app", &Entry::Name), @r#"
        printf '%s\n' 'cage: Creating cage-app-f6965073' >&2
        mkdir -p /home/me/.local/state/cage && ln -sfn /dev/null /home/me/.local/state/cage/cage-app-f6965073.agent
        # undo: rm -f /home/me/.local/state/cage/cage-app-f6965073.agent
        docker create --interactive --tty --pull never --name cage-app-f6965073.new --hostname cage-app-f6965073 --workdir /p/app --label cage.project=/p/app --label cage.image=local --label cage.inode=7 --label 'cage.options=-p 127.0.0.1:3000:3000 -v pg:/pg:ro' --label cage.defaults= --label cage.user=vscode:501:20:/home/vscode --label cage.owner=0:0 --label cage.env=e3b0 --label cage.keep-id= --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/p/app,target=/p/app --mount type=bind,source=/home/me/.local/state/cage/cage-app-f6965073.agent,target=/run/host-services/ssh-auth.sock --mount type=volume,source=pg,target=/pg,ro --publish 127.0.0.1:3000:3000 --env UV_PROJECT_ENVIRONMENT=.cage-venv --env TZ=Europe/Berlin --env IS_SANDBOX=1 --env SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock --user vscode --add-host host.docker.internal:10.1.2.3 --cap-drop MKNOD --cap-drop SETFCAP --cap-drop AUDIT_WRITE --pids-limit 4096 --log-driver none --stop-signal SIGHUP --init local >/dev/null
        # undo: docker rm --force --volumes cage-app-f6965073.new >/dev/null; rm -f /home/me/.local/state/cage/cage-app-f6965073.agent
        docker run --rm --pull never --network none --workdir / --user 0 --mount type=volume,source=cage-home,target=/home/vscode --entrypoint /bin/sh local -c PREPARE sh /home/vscode 0:0 '' vscode | docker cp - cage-app-f6965073.new:/etc >/dev/null
        docker rename cage-app-f6965073.new cage-app-f6965073 >/dev/null
        # undo: docker rm --force --volumes cage-app-f6965073 >/dev/null; rm -f /home/me/.local/state/cage/cage-app-f6965073.agent
        [ "$(realpath /p/app)" = /p/app ]
        docker start cage-app-f6965073 >/dev/null
        docker exec cage-app-f6965073 /bin/sh -c : >/dev/null
        # keep
        printf '%s\n' cage-app-f6965073
        "#);
        insta::assert_snapshot!(create(Docker, MACHINE, "/p/app", &Entry::Name), @r#"
        printf '%s\n' 'cage: Creating cage-app-f6965073' >&2
        docker create --interactive --tty --pull never --name cage-app-f6965073.new --hostname cage-app-f6965073 --workdir /p/app --label cage.project=/p/app --label cage.image=local --label cage.inode= --label 'cage.options=-p 127.0.0.1:3000:3000 -v pg:/pg:ro' --label cage.defaults= --label cage.user=vscode:501:20:/home/vscode --label cage.owner=501:20 --label cage.env=e3b0 --label cage.keep-id= --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/p/app,target=/p/app --mount type=bind,source=/run/host-services/ssh-auth.sock,target=/run/host-services/ssh-auth.sock --mount type=volume,source=pg,target=/pg,ro --publish 127.0.0.1:3000:3000 --env UV_PROJECT_ENVIRONMENT=.cage-venv --env TZ=Europe/Berlin --env SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock --cap-drop MKNOD --cap-drop SETFCAP --cap-drop AUDIT_WRITE --pids-limit 4096 --log-driver none --stop-signal SIGHUP --init local >/dev/null
        # undo: docker rm --force --volumes cage-app-f6965073.new >/dev/null; rm -f /home/me/.local/state/cage/cage-app-f6965073.agent
        docker run --rm --pull never --network none --workdir / --user 0 --mount type=volume,source=cage-home,target=/home/vscode --entrypoint /bin/sh local -c PREPARE sh /home/vscode 501:20 '' '' >/dev/null
        docker rename cage-app-f6965073.new cage-app-f6965073 >/dev/null
        # undo: docker rm --force --volumes cage-app-f6965073 >/dev/null; rm -f /home/me/.local/state/cage/cage-app-f6965073.agent
        [ "$(realpath /p/app)" = /p/app ]
        docker start cage-app-f6965073 >/dev/null
        docker exec --user 0 cage-app-f6965073 /bin/sh -c SETTLE sh /run/host-services/ssh-auth.sock >/dev/null
        # keep
        printf '%s\n' cage-app-f6965073
        "#);
    }

    #[test]
    fn a_project_below_the_home_gets_a_directory_there() {
        let path = "/home/vscode/src/app";
        insta::assert_snapshot!(create(Dialect::Docker, ROOTFUL, path, &Entry::Name), @r#"
        printf '%s\n' 'cage: Creating cage-app-4fe250cd' >&2
        mkdir -p /home/me/.local/state/cage && ln -sfn /dev/null /home/me/.local/state/cage/cage-app-4fe250cd.agent
        # undo: rm -f /home/me/.local/state/cage/cage-app-4fe250cd.agent
        docker create --interactive --tty --pull never --name cage-app-4fe250cd.new --hostname cage-app-4fe250cd --workdir /home/vscode/src/app --label cage.project=/home/vscode/src/app --label cage.image=local --label cage.inode=7 --label 'cage.options=-p 127.0.0.1:3000:3000 -v pg:/pg:ro' --label cage.defaults= --label cage.user=vscode:501:20:/home/vscode --label cage.owner=1000:1000 --label cage.env=e3b0 --label cage.keep-id= --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/home/vscode/src/app,target=/home/vscode/src/app --mount type=bind,source=/home/me/.local/state/cage/cage-app-4fe250cd.agent,target=/run/host-services/ssh-auth.sock --mount type=volume,source=pg,target=/pg,ro --publish 127.0.0.1:3000:3000 --env UV_PROJECT_ENVIRONMENT=.cage-venv --env TZ=Europe/Berlin --env SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock --user vscode --add-host host.docker.internal:host-gateway --cap-drop MKNOD --cap-drop SETFCAP --cap-drop AUDIT_WRITE --pids-limit 4096 --log-driver none --stop-signal SIGHUP --init local >/dev/null
        # undo: docker rm --force --volumes cage-app-4fe250cd.new >/dev/null; rm -f /home/me/.local/state/cage/cage-app-4fe250cd.agent
        docker run --rm --pull never --network none --workdir / --user 0 --mount type=volume,source=cage-home,target=/home/vscode --entrypoint /bin/sh local -c PREPARE sh /home/vscode 1000:1000 src/app vscode | docker cp - cage-app-4fe250cd.new:/etc >/dev/null
        docker rename cage-app-4fe250cd.new cage-app-4fe250cd >/dev/null
        # undo: docker rm --force --volumes cage-app-4fe250cd >/dev/null; rm -f /home/me/.local/state/cage/cage-app-4fe250cd.agent
        [ "$(realpath /home/vscode/src/app)" = /home/vscode/src/app ]
        docker start cage-app-4fe250cd >/dev/null
        docker exec cage-app-4fe250cd /bin/sh -c : >/dev/null
        # keep
        printf '%s\n' cage-app-4fe250cd
        "#);
    }

    #[test]
    fn seeds_and_an_agent_come_along() {
        let text = script(Dialect::Docker, &[("CAGE_IMAGE", "local")], "/p/it's", |context| {
            let creation = NewCage {
                seed: Some("/home/me/.config/cage/home".into()),
                advice: Some("advice".into()),
                engine: Engine {
                    mode: Mode::Rootful,
                    machine: None,
                    selinux: true,
                    remaps: false,
                    unenforced: Vec::new(),
                },
                features: Features { init: false, agent: true },
                ..creation(context, ROOTFUL)
            };
            context.create(None, &creation, &CreateOptions::default(), &Entry::Name)
        });
        insta::assert_snapshot!(text.replace(&quote(PREPARE), "PREPARE").replace(&quote(SETTLE), "SETTLE"), @r#"
        printf '%s\n' 'cage: Creating cage-it-s-86c97e5b' >&2
        printf '%s\n' 'cage: warning: advice' >&2
        mkdir -p /home/me/.local/state/cage && ln -sfn /dev/null /home/me/.local/state/cage/cage-it-s-86c97e5b.agent
        # undo: rm -f /home/me/.local/state/cage/cage-it-s-86c97e5b.agent
        docker create --interactive --tty --pull never --name cage-it-s-86c97e5b.new --hostname cage-it-s-86c97e5b --workdir '/p/it'\''s' --label 'cage.project=/p/it'\''s' --label cage.image=local --label cage.inode=7 --label cage.options= --label cage.defaults= --label cage.user=vscode:501:20:/home/vscode --label cage.owner=1000:1000 --label cage.env=e3b0 --label cage.keep-id= --mount type=volume,source=cage-home,target=/home/vscode --mount 'type=bind,source=/p/it'\''s,target=/p/it'\''s' --mount type=bind,source=/home/me/.local/state/cage/cage-it-s-86c97e5b.agent,target=/run/host-services/ssh-auth.sock --env UV_PROJECT_ENVIRONMENT=.cage-venv --env TZ=Europe/Berlin --env SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock --user vscode --add-host host.docker.internal:host-gateway --cap-drop MKNOD --cap-drop SETFCAP --cap-drop AUDIT_WRITE --pids-limit 4096 --log-driver none --stop-signal SIGHUP --security-opt=label=disable local >/dev/null
        # undo: docker rm --force --volumes cage-it-s-86c97e5b.new >/dev/null; rm -f /home/me/.local/state/cage/cage-it-s-86c97e5b.agent
        printf '%s\n' 'cage: Seeding home directory from /home/me/.config/cage/home' >&2
        docker run --rm --pull never --network none --workdir / --user 0 --security-opt=label=disable --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/home/me/.config/cage/home,target=/cage-seed,readonly --entrypoint /bin/sh local -c PREPARE sh /home/vscode 1000:1000 '' vscode | docker cp - cage-it-s-86c97e5b.new:/etc >/dev/null
        docker rename cage-it-s-86c97e5b.new cage-it-s-86c97e5b >/dev/null
        # undo: docker rm --force --volumes cage-it-s-86c97e5b >/dev/null; rm -f /home/me/.local/state/cage/cage-it-s-86c97e5b.agent
        [ "$(realpath '/p/it'\''s')" = '/p/it'\''s' ]
        docker start cage-it-s-86c97e5b >/dev/null
        docker exec cage-it-s-86c97e5b /bin/sh -c : >/dev/null
        # keep
        printf '%s\n' cage-it-s-86c97e5b
        "#);
    }

    #[test]
    fn coming_back_to_a_running_cage() {
        insta::assert_snapshot!(come_back(Dialect::Docker, State::Running, "", &Entry::Attach), @r"
        printf '%s\n' 'cage: Re-attaching to cage-app-f6965073' >&2
        exec docker attach --detach-keys 'ctrl-\' 0123456789ab
        ");
        insta::assert_snapshot!(come_back(Dialect::Podman, State::Running, "", &Entry::Attach), @r"
        printf '%s\n' 'cage: Re-attaching to cage-app-f6965073' >&2
        (sleep 1; podman exec 0123456789ab /bin/stty -F /dev/console rows 29) >/dev/null 2>&1 &
        exec podman attach --detach-keys 'ctrl-\' --sig-proxy=false 0123456789ab
        ");
        insta::assert_snapshot!(come_back(Dialect::Docker, State::Running, "", &Entry::Name), @r"printf '%s\n' cage-app-f6965073");
        let command = Entry::Exec(ExecCommand {
            command: ["npm", "test"].map(str::to_owned).to_vec(),
            ..ExecCommand::default()
        });
        insta::assert_snapshot!(come_back(Dialect::Docker, State::Running, "", &command), @"exec docker exec --interactive --env CAGE_SESSION=1-1 --tty --detach-keys ctrl-^,ctrl-^,ctrl-^,ctrl-^ 0123456789ab /bin/sh -c BECOME sh '' npm test");
    }

    /// What is particular to a cage on an engine that said `info`, where the image's user can't write the project, which looks
    /// to belong to `looks`.
    fn particulars(os: Os, wsl: bool, info: &str, looks: Option<(u32, u32)>) -> String {
        let mut host = Host::sample(&[("CAGE_IMAGE", "local")]);
        (host.os, host.wsl) = (os, wsl);
        let (runtime, project) = (Runtime::sample(Dialect::Docker), project("/p/app"));
        let context = Context { host: &host, runtime: &runtime, project: &project, image: None };
        let engine = Engine::recorded(os, info);
        let mut creation = creation(&context, (engine.mode, engine.machine));
        let looks = looks.map(|(uid, gid)| Ids { uid, gid });
        creation.mapping =
            Mapping::decide(runtime.kind, &engine, &creation.user, Ids { uid: 501, gid: 20 }, looks);
        creation.engine = engine;
        let script = context.create(None, &creation, &options(""), &Entry::Name).script();
        let words =
            shell_words::split(script.lines().find(|line| line.starts_with("docker create")).unwrap())
                .unwrap();
        let value = |flag: &str, part: &str| {
            let mut pairs = words.windows(2).filter(|pair| pair[0] == flag && pair[1].contains(part));
            pairs.next().map_or("-", |pair| pair[1].as_str()).to_owned()
        };
        let agent = value("--mount", SOCKET).replace(",target=/run/host-services/ssh-auth.sock", "");
        let owner = value("--label", "cage.owner=");
        let settles = if script.contains(&quote(SETTLE)) { ", opened to the user" } else { "" };
        format!(
            "{owner} user={} agent={agent}{settles} host={}",
            value("--user", ""),
            value("--add-host", "")
        )
    }

    #[test]
    fn every_product_has_its_way() {
        let desktop = r#"{"OperatingSystem": "Docker Desktop", "Name": "docker-desktop", "KernelVersion": "5.10.104-linuxkit"}"#;
        let colima = r#"{"OperatingSystem": "Ubuntu 24.04 LTS", "Name": "colima", "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"]}"#;
        let orbstack = r#"{"OperatingSystem": "OrbStack", "Name": "orbstack"}"#;
        let rancher = r#"{"OperatingSystem": "Alpine Linux v3.20", "Name": "lima-rancher-desktop"}"#;
        let lima = r#"{"OperatingSystem": "Ubuntu 24.04 LTS", "Name": "lima-docker", "SecurityOptions": ["name=seccomp,profile=default", "name=rootless"]}"#;
        let rows = [
            ("Docker Desktop, Mac", particulars(Os::Mac, false, desktop, None)),
            ("Docker Desktop, Linux", particulars(Os::Linux, false, desktop, Some((0, 0)))),
            ("Docker Desktop, WSL", particulars(Os::Linux, true, desktop, Some((1000, 1000)))),
            ("OrbStack", particulars(Os::Mac, false, orbstack, None)),
            ("Colima", particulars(Os::Mac, false, colima, None)),
            ("Colima, the Mac's second user", particulars(Os::Mac, false, colima, Some((502, 20)))),
            ("Rancher Desktop", particulars(Os::Mac, false, rancher, Some((0, 0)))),
            ("Lima", particulars(Os::Mac, false, lima, Some((0, 0)))),
        ];
        let table = rows.map(|(product, particulars)| format!("{product}: {particulars}")).join("\n");
        insta::assert_snapshot!(table, @"
        Docker Desktop, Mac: cage.owner=501:20 user=- agent=type=bind,source=/run/host-services/ssh-auth.sock, opened to the user host=-
        Docker Desktop, Linux: cage.owner=0:0 user=vscode agent=type=bind,source=/run/host-services/ssh-auth.sock, opened to the user host=-
        Docker Desktop, WSL: cage.owner=1000:1000 user=vscode agent=type=bind,source=/home/me/.local/state/cage/cage-app-f6965073.agent host=-
        OrbStack: cage.owner=501:20 user=- agent=type=bind,source=/run/host-services/ssh-auth.sock, opened to the user host=-
        Colima: cage.owner=501:20 user=- agent=type=bind,source=/run/host-services/ssh-auth.sock, opened to the user host=-
        Colima, the Mac's second user: cage.owner=502:20 user=vscode agent=type=bind,source=/run/host-services/ssh-auth.sock, opened to the user host=-
        Rancher Desktop: cage.owner=0:0 user=vscode agent=type=bind,source=/run/host-services/ssh-auth.sock, opened to the user host=-
        Lima: cage.owner=0:0 user=vscode agent=type=bind,source=/run/host-services/ssh-auth.sock, opened to the user host=-
        ");
    }

    #[test]
    fn coming_back_to_a_stopped_or_frozen_cage() {
        insta::assert_snapshot!(come_back(Dialect::Podman, State::Stopped, "", &Entry::Attach), @r"
        printf '%s\n' 'cage: Restarting cage-app-f6965073' >&2
        (sleep 1; podman exec --user 0 0123456789ab /bin/sh -c SETTLE sh '') >/dev/null 2>&1 &
        exec podman start --attach --interactive --detach-keys 'ctrl-\' --sig-proxy=false 0123456789ab
        ");
        insta::assert_snapshot!(come_back(Dialect::Docker, State::Created, "", &Entry::Name), @r"
        printf '%s\n' 'cage: Restarting cage-app-f6965073' >&2
        docker start 0123456789ab >/dev/null
        printf '%s\n' cage-app-f6965073
        ");
        insta::assert_snapshot!(come_back(Dialect::Docker, State::Paused, "", &Entry::Name), @r"
        printf '%s\n' 'cage: Unpausing cage-app-f6965073' >&2
        docker unpause 0123456789ab >/dev/null
        printf '%s\n' cage-app-f6965073
        ");
    }

    #[test]
    fn options_that_would_need_a_new_cage_are_told_one_by_one() {
        let typed = "-p 3000:3000 -v '/a b:/t'";
        insta::assert_snapshot!(come_back(Dialect::Docker, State::Running, typed, &Entry::Name), @r"
        printf '%s\n' 'cage: cage-app-f6965073 exists without `-p 127.0.0.1:3000:3000`; `cage restart -p 127.0.0.1:3000:3000` applies it' >&2
        printf '%s\n' 'cage: cage-app-f6965073 exists without `-v '\''/a b:/t'\''`; `cage restart -v '\''/a b:/t'\''` applies it' >&2
        printf '%s\n' cage-app-f6965073
        ");
    }

    #[test]
    fn another_image_and_a_newer_one_are_told_apart() {
        let told = |image: &str, made_of: &str| {
            script(Dialect::Docker, &[("CAGE_IMAGE", image)], "/p/app", |context| {
                let mut container = Cage::sample(context.project, State::Running);
                container.container().labels.insert(IMAGE_LABEL.into(), made_of.into());
                context.tell_image(&container)
            })
        };
        insta::assert_snapshot!(told("r/x:1", "r/x:1"), @r"printf '%s\n' 'cage: A newer image is available. Run `cage upgrade` to upgrade.' >&2");
        insta::assert_snapshot!(told("local", "local"), @r"printf '%s\n' 'cage: A newer image is available. Run `cage restart` to use it.' >&2");
        insta::assert_snapshot!(told("r/x:2", "r/x:1"), @r"printf '%s\n' 'cage: cage-app-f6965073 was made of r/x:1; `cage restart` makes it of r/x:2' >&2");
    }

    #[test]
    fn a_new_cage_runs_before_the_old_one_goes() {
        insta::assert_snapshot!(replace(Dialect::Docker, State::Running, &Entry::Name), @r#"
        printf '%s\n' 'cage: Creating cage-app-f6965073' >&2
        docker create --interactive --tty --pull never --name cage-app-f6965073.new --hostname cage-app-f6965073 --workdir /p/app --label cage.project=/p/app --label cage.image=local --label cage.inode= --label 'cage.options=-p 127.0.0.1:3000:3000' --label cage.defaults= --label cage.user=vscode:501:20:/home/vscode --label cage.owner=501:20 --label cage.env=e3b0 --label cage.keep-id= --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/p/app,target=/p/app --mount type=bind,source=/run/host-services/ssh-auth.sock,target=/run/host-services/ssh-auth.sock --publish 127.0.0.1:3000:3000 --env UV_PROJECT_ENVIRONMENT=.cage-venv --env TZ=Europe/Berlin --env SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock --cap-drop MKNOD --cap-drop SETFCAP --cap-drop AUDIT_WRITE --pids-limit 4096 --log-driver none --stop-signal SIGHUP --init local >/dev/null
        # undo: docker rm --force --volumes cage-app-f6965073.new >/dev/null
        docker run --rm --pull never --network none --workdir / --user 0 --mount type=volume,source=cage-home,target=/home/vscode --entrypoint /bin/sh local -c PREPARE sh /home/vscode 501:20 '' '' >/dev/null
        docker stop -t 5 0123456789ab >/dev/null
        # undo: docker rm --force --volumes cage-app-f6965073.new >/dev/null; printf '%s\n' 'cage: cage-app-f6965073 is still the old one, and is stopped' >&2
        [ "$(realpath /p/app)" = /p/app ]
        # undo: docker rm --force --volumes cage-app-f6965073.new >/dev/null; docker start 0123456789ab >/dev/null; printf '%s\n' 'cage: cage-app-f6965073 is the old one again; its programs have ended' >&2
        docker start cage-app-f6965073.new >/dev/null
        docker exec --user 0 cage-app-f6965073.new /bin/sh -c SETTLE sh /run/host-services/ssh-auth.sock >/dev/null
        # keep
        docker rm --force --volumes 0123456789ab >/dev/null
        docker rename cage-app-f6965073.new cage-app-f6965073 >/dev/null
        printf '%s\n' cage-app-f6965073
        "#);
        insta::assert_snapshot!(replace(Dialect::Podman, State::Stopped, &Entry::Attach), @r#"
        printf '%s\n' 'cage: Creating cage-app-f6965073' >&2
        podman create --interactive --tty --pull never --name cage-app-f6965073.new --hostname cage-app-f6965073 --workdir /p/app --label cage.project=/p/app --label cage.image=local --label cage.inode= --label 'cage.options=-p 127.0.0.1:3000:3000' --label cage.defaults= --label cage.user=vscode:501:20:/home/vscode --label cage.owner=501:20 --label cage.env=e3b0 --label cage.keep-id=501:20 --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/p/app,target=/p/app --publish 127.0.0.1:3000:3000 --env UV_PROJECT_ENVIRONMENT=.cage-venv --env TZ=Europe/Berlin --user vscode --cap-drop MKNOD --cap-drop SETFCAP --cap-drop AUDIT_WRITE --pids-limit 4096 --log-driver none --stop-signal SIGHUP --userns=keep-id:uid=501,gid=20 --init local >/dev/null
        # undo: podman rm --force --volumes cage-app-f6965073.new >/dev/null
        podman run --rm --pull never --network none --workdir / --user 0 --userns=keep-id:uid=501,gid=20 --mount type=volume,source=cage-home,target=/home/vscode --entrypoint /bin/sh local -c PREPARE sh /home/vscode 501:20 '' '' >/dev/null
        [ "$(realpath /p/app)" = /p/app ]
        podman start cage-app-f6965073.new >/dev/null
        podman exec --user 0 cage-app-f6965073.new /bin/sh -c SETTLE sh '' >/dev/null
        # keep
        podman rm --force --volumes 0123456789ab >/dev/null
        podman rename cage-app-f6965073.new cage-app-f6965073 >/dev/null
        (sleep 1; podman exec cage-app-f6965073 /bin/stty -F /dev/console rows 29) >/dev/null 2>&1 &
        exec podman attach --detach-keys 'ctrl-\' --sig-proxy=false cage-app-f6965073
        "#);
    }
}
