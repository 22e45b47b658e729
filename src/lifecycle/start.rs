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
use crate::lifecycle::create::{Beforehand, Creation, Parts, Unmake};
use crate::lifecycle::exec::Inside;
use crate::lifecycle::plan::{Plan, Step};
use crate::lifecycle::session::Session;
use crate::lifecycle::steps::{fetch, halt, remove};

/// How often to look again when another command was quicker.
const RACES: u32 = 10;

/// What to do in a cage that is up.
#[derive(Debug)]
pub enum Then {
    /// Sit down in its first process.
    Attach,
    /// Print its name.
    Name,
    /// Run a command in it.
    Exec(Inside),
}

impl Then {
    /// Sit down if there is a terminal and nothing else is wanted.
    pub fn enter(host: &Host, detach: bool) -> Self {
        if detach || !host.is_interactive() { Self::Name } else { Self::Attach }
    }
}

/// Completes what the engine leaves undone when a cage starts.
const SETTLE: &str = script::body(include_str!("settle.sh"));

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

/// Brings the project's cage up, whatever state it is in, and goes on in it. Whoever leaves it is told what an agent left.
///
/// # Errors
/// When the cage can't be brought up; one that was half made is gone.
pub fn bring_up(
    session: &Session,
    project: &Project,
    options: &CreateOptions,
    pull: PullFlag,
    then: &Then,
) -> Result<u8> {
    // Before anything else is wrong with it.
    project.check(&session.host, true)?;
    let wanted = options.clone().with_defaults(&session.host)?;
    let mut races = 0;
    loop {
        match try_to_bring_up(session, project, (options, &wanted), pull, then) {
            Err(error) if races < RACES && lost_a_race(&error) => {
                races += 1;
                thread::sleep(Duration::from_millis(100));
            }
            result => return result,
        }
    }
}

/// Did another command make or remove the container between our look and our step? Our own lock keeps one person's
/// commands apart, but not those of two, nor those of the engine's client.
fn lost_a_race(error: &anyhow::Error) -> bool {
    is_trouble(error, Trouble::NameTaken) || is_trouble(error, Trouble::NoSuchContainer)
}

fn try_to_bring_up(
    session: &Session,
    project: &Project,
    (options, wanted): (&CreateOptions, &CreateOptions),
    pull: PullFlag,
    then: &Then,
) -> Result<u8> {
    let (runtime, found) = session.find_all(project)?;
    if let (Then::Exec(_), None) = (then, &found.cage)
        && let Some((above, _)) = session.above(&runtime, project)?
    {
        return try_to_bring_up(session, &above, (options, wanted), pull, then);
    }
    if let Some(container) = found.cage.as_ref().filter(|cage| cage.state != State::Dead) {
        let facts = Facts { host: &session.host, runtime: &runtime, project, image: found.image.as_ref() };
        return come_back(session, &facts, container, options, then);
    }
    let beforehand = Beforehand::gather(session, &runtime, project, wanted)?;
    self::pull(session, &runtime, pull, found.image.is_some())?;
    with_what_works(|parts| {
        let lock = session.lock()?;
        let found = session.look(&runtime, project)?;
        let facts = Facts { host: &session.host, runtime: &runtime, project, image: found.image.as_ref() };
        if let Some(container) = found.cage.as_ref().filter(|cage| cage.state != State::Dead) {
            // Another one was quicker.
            drop(lock);
            return come_back(session, &facts, container, options, then);
        }
        let creation = Creation::gather(
            session,
            &runtime,
            project,
            found.image.as_ref(),
            None,
            beforehand.clone(),
            parts,
        )?;
        let remains = found.cage.iter().chain(&found.left_over);
        let code = session.carry_out_locked(&facts.create(remains, &creation, wanted, then), lock)?;
        Ok(leave(session, project, then, code, Some(creation.baseline.seen())))
    })
}

fn come_back(
    session: &Session,
    facts: &Facts,
    container: &Cage,
    options: &CreateOptions,
    then: &Then,
) -> Result<u8> {
    let stale = Stale {
        directory: session.has_stale_directory(facts.runtime, facts.project, container)?,
        agent: facts.link(container).is_some_and(|link| link.is_stale()),
        // A file that can't be read is an error when a cage is made of it, not when one comes back.
        env: EnvFiles::read(&session.host, facts.project)
            .is_ok_and(|env| container.label(ENV_LABEL).is_some_and(|made_with| made_with != env.digest())),
    };
    ensure!(!stale.directory || !matches!(then, Then::Exec(_)), replaced_while_running(container));
    let kept = kept_options(container, options)?;
    check_wall(container, &kept, options)?;
    if !container.state.is_up() {
        kept.check_sources()?;
        nesting::check_mounts(container, &kept)?;
        if !options.has(ALLOW_NESTED) && !kept.has(ALLOW_NESTED) {
            let cages = session.cages(facts.runtime)?;
            nesting::check_nested(facts.project, &kept, &cages)?;
        }
    }
    let plan = facts.come_back((container, &kept), options, stale, then);
    let code = session.carry_out(&plan)?;
    Ok(leave(session, facts.project, then, code, container.label(SEEN_LABEL)))
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

/// Checks that a cage is closed as it is wanted: to sit down in one that is more open, only told so, would be a trap.
fn check_wall(container: &Cage, kept: &CreateOptions, options: &CreateOptions) -> Result<()> {
    let words = options.missing_from(kept).isolating().to_label();
    ensure!(
        words.is_empty(),
        Failure::new(format!("{} exists without `{words}`", container.name))
            .hint(format!("`cage restart {words}` applies it"))
    );
    Ok(())
}

/// Somebody has left a cage, if there was anybody in it: tells what was left. The exit code is what it was.
fn leave(session: &Session, project: &Project, then: &Then, code: u8, seen: Option<&str>) -> u8 {
    if !matches!(then, Then::Name) {
        session.tell_leftovers(project, seen);
    }
    code
}

/// Fetches the image for new cages, if it is to be. `here`: is there one already?
///
/// # Errors
/// When there is none here and none can be had.
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

/// Makes a container with everything that not every engine has, and then without what this one doesn't have. Engines only
/// say so when it is needed.
///
/// # Errors
/// Those of `attempt`.
pub fn with_what_works<T>(mut attempt: impl FnMut(Parts) -> Result<T>) -> Result<T> {
    let mut parts = Parts { init: true, agent: true };
    loop {
        match attempt(parts) {
            Err(error) if parts.init && is_trouble(&error, Trouble::NoInit) => parts.init = false,
            Err(error) if parts.agent && is_trouble(&error, Trouble::NoAgent) => parts.agent = false,
            result => return result,
        }
    }
}

/// What a container may need once it has started.
#[derive(Clone, Copy)]
struct Settling {
    /// It has the SSH agent's socket of a virtual machine's product.
    machines_agent: bool,
    /// Nobody in it is to be root.
    no_root: bool,
}

/// What of the host a running cage has that is no longer there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stale {
    /// The project's directory was replaced.
    directory: bool,
    /// The SSH agent is another one.
    agent: bool,
    /// The env files say something else.
    env: bool,
}

impl Facts<'_> {
    /// The link to the SSH agent that a cage mounts, if it does.
    fn link(&self, container: &Cage) -> Option<Link> {
        Link::of(self.host, &self.project.name).filter(|_| container.mounts_link())
    }

    /// No cage yet: makes one. It gets its name last, so that whoever finds a cage of that name finds a complete one.
    /// `remains` are what an engine could not remove, and what an earlier attempt left behind.
    fn create<'a>(
        &self,
        remains: impl IntoIterator<Item = &'a Cage>,
        creation: &Creation,
        options: &CreateOptions,
        then: &Then,
    ) -> Plan {
        let name = &self.project.name;
        let new = format!("{name}{SUCCESSOR}");
        let mut plan = Plan::default();
        for container in remains {
            plan.run(remove(self.runtime, &container.id));
        }
        let undo = Unmake::All(creation.link.as_ref());
        plan.append(creation.make(self.host, self.runtime, self.project, &new, options, undo));
        plan.run(self.runtime.command(["rename", &new, name]));
        plan.push(Step::Undo(undo.plan(self.runtime, name)));
        plan.extend(creation.welcome(self.host, options).into_iter().map(Step::Say));
        plan.extend(creation.sources(self.project, options).map(Step::CheckUnlinked));
        let settling = Settling {
            machines_agent: creation.uses_machines_agent(self.host, options),
            no_root: options.has(NO_ROOT),
        };
        match then {
            Then::Attach => {
                let settle = self.settle(name, settling);
                plan.push(self.start_attached(name, settle));
            }
            Then::Name | Then::Exec(_) => {
                plan.append(self.start_new(name, settling));
                plan.append(self.go_on(name, then));
            }
        }
        plan
    }

    /// There is a cage: starts it if it doesn't run.
    fn come_back(
        &self,
        (container, kept): (&Cage, &CreateOptions),
        options: &CreateOptions,
        stale: Stale,
        then: &Then,
    ) -> Plan {
        let mut plan = tell_ignored(container, kept, options);
        if !matches!(then, Then::Exec(_)) {
            plan.append(self.tell_image(container));
        }
        if stale.agent && container.state == State::Running {
            plan.say("your SSH agent has changed since the cage started; `cage stop` and `cage start` connect the new one");
        }
        if stale.env {
            plan.say("env files have changed since the cage was made; `cage restart` applies them");
        }
        if stale.directory {
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
        match (container.state, then) {
            (State::Created | State::Stopped | State::Dead, Then::Attach) => {
                plan.say(format!("Restarting {}", container.name));
                plan.extend(sources.into_iter().map(Step::CheckUnlinked));
                plan.push(self.start_attached(&container.id, settle));
            }
            (State::Created | State::Stopped | State::Dead, _) => {
                plan.say(format!("Restarting {}", container.name));
                plan.extend(sources.into_iter().map(Step::CheckUnlinked));
                plan.run(self.runtime.command(["start", &container.id]));
                plan.extend(settle.map(Step::Try));
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
        old: &Cage,
        left_over: Option<&Cage>,
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
        plan.append(creation.make(self.host, self.runtime, self.project, &new, options, Unmake::Cage));
        if old.state.is_up() {
            // The two can't listen on the same ports.
            halt(&mut plan, self.runtime, &[old]);
            // What ran in it could write up to now, and have put a link where something is mounted: in the old one, too.
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
        plan.append(self.go_on(name, then));
        plan
    }

    /// Takes away what was to replace `old`, which is started again if it ran.
    fn restore(&self, old: &Cage, new: &str) -> Plan {
        let mut plan = Plan::default();
        plan.run(remove(self.runtime, new));
        if old.state.is_up() {
            plan.run(self.runtime.command(["start", &old.id]));
            plan.say(format!("{} is the old one again; its programs have ended", self.project.name));
        }
        plan
    }

    /// Tells if a new cage would be made of another image.
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

    /// Starts a new container and sees that it goes on running: with the engine's init as the first process, an image whose
    /// own command can't run starts, and then stops at once.
    fn start_new(&self, container: &str, settling: Settling) -> Plan {
        let look = || self.runtime.command(["exec", container, "/bin/sh", "-c", ":"]).within(PATIENCE);
        let mut plan = Plan::default();
        plan.run(self.runtime.command(["start", container]));
        plan.run(self.settle(container, settling).unwrap_or_else(look));
        plan.push(Step::Keep);
        plan
    }

    /// What is to be done in a container each time it has started, if anything; it fails only if the container doesn't run.
    ///
    /// It is done as root and with the container's own variables, such as `LD_PRELOAD` from the project's env file: where nobody
    /// is to be root, that would make somebody root. In a virtual machine that is nobody's root.
    fn settle(&self, container: &str, settling: Settling) -> Option<Invocation> {
        let Settling { machines_agent, no_root } = settling;
        let socket = if machines_agent { SOCKET } else { "" };
        (machines_agent || (self.runtime.kind.names_host_at_start() && !no_root)).then(|| {
            let settle = ["exec", "--user", "0", container, "/bin/sh", "-c", SETTLE, "sh", socket];
            self.runtime.command(settle).within(PATIENCE)
        })
    }

    fn go_on(&self, container: &str, then: &Then) -> Plan {
        let step = match then {
            Then::Name => Step::Print(self.project.name.clone()),
            Then::Exec(inside) => inside.step(self.host, self.runtime, container, &self.project.name),
            Then::Attach => {
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

    /// podman's client doesn't make what runs inside draw itself when it attaches, as docker's does by changing the size of
    /// the terminal there and back. Doing it before the client is no help: podman sets the size before it connects, so that
    /// what is drawn then may be lost.
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

    fn creation(facts: &Facts, (mode, machine): Where) -> Creation {
        let engine = Engine { mode, machine, selinux: false, remaps: false, unenforced: Vec::new() };
        let ids = Ids { uid: 501, gid: 20 };
        let user = ImageUser { name: "vscode".into(), ids, home: "/home/vscode".into() };
        let mapping = Mapping::decide(facts.runtime.kind, &engine, &user, facts.host.ids, None);
        let link = Link::of(facts.host, &facts.project.name);
        let add_host =
            facts.runtime.kind.add_host(&engine, false, || Some(Ipv4Addr::new(10, 1, 2, 3).into()));
        Creation {
            engine,
            user,
            mapping,
            git: GitDir::None,
            env: EnvFiles::default(),
            link,
            advice: None,
            seed: None,
            parts: Parts { init: true, agent: true },
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
        plan: impl Fn(&Facts) -> Plan,
    ) -> String {
        let host = Host::sample(variables);
        let (runtime, project) = (Runtime::sample(kind), project(path));
        let image = Image::sample(NEWER);
        plan(&Facts { host: &host, runtime: &runtime, project: &project, image: Some(&image) })
            .script_with_undo()
    }

    fn create(kind: Dialect, place: Where, path: &str, then: &Then) -> String {
        let text = script(kind, &[("CAGE_IMAGE", "local")], path, |facts| {
            facts.create(None, &creation(facts, place), &options("-p 3000:3000 -v pg:/pg:ro"), then)
        });
        text.replace(&quote(PREPARE), "PREPARE").replace(&quote(SETTLE), "SETTLE")
    }

    fn come_back(kind: Dialect, state: State, typed: &str, then: &Then) -> String {
        script(kind, &[], "/p/app", |facts| {
            let mut container = Cage::sample(facts.project, state);
            container.container().image_id = NEWER.into();
            facts.come_back(
                (&container, &container.options().unwrap()),
                &options(typed),
                Stale::default(),
                then,
            )
        })
        .replace(&quote(SETTLE), "SETTLE")
        .replace(&quote(BECOME), "BECOME")
    }

    fn replace(kind: Dialect, state: State, then: &Then) -> String {
        script(kind, &[("CAGE_IMAGE", "local")], "/p/app", |facts| {
            let container = Cage::sample(facts.project, state);
            let podman_machine = (Mode::Rootless, Some(Product::PodmanMachine));
            let place = if kind.keeps_ids() { podman_machine } else { MACHINE };
            let creation = creation(facts, place);
            facts.replace(&container, None, &creation, &options("-p 3000:3000"), then)
        })
        .replace(&quote(PREPARE), "PREPARE")
        .replace(&quote(SETTLE), "SETTLE")
    }

    #[test]
    fn a_new_cage_in_every_mode() {
        use Dialect::{Docker, Podman};
        insta::assert_snapshot!(create(Docker, ROOTFUL, "/p/app", &Then::Attach), @r#"
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
        insta::assert_snapshot!(create(Podman, ROOTFUL, "/p/app", &Then::Name), @r#"
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
        insta::assert_snapshot!(create(Podman, ROOTLESS, "/p/app", &Then::Name), @r#"
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
        insta::assert_snapshot!(create(Docker, ROOTLESS, "/p/app", &Then::Name), @r#"
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
        insta::assert_snapshot!(create(Docker, MACHINE, "/p/app", &Then::Name), @r#"
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
        insta::assert_snapshot!(create(Dialect::Docker, ROOTFUL, path, &Then::Name), @r#"
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
        let text = script(Dialect::Docker, &[("CAGE_IMAGE", "local")], "/p/it's", |facts| {
            let creation = Creation {
                seed: Some("/home/me/.config/cage/home".into()),
                advice: Some("advice".into()),
                engine: Engine {
                    mode: Mode::Rootful,
                    machine: None,
                    selinux: true,
                    remaps: false,
                    unenforced: Vec::new(),
                },
                parts: Parts { init: false, agent: true },
                ..creation(facts, ROOTFUL)
            };
            facts.create(None, &creation, &CreateOptions::default(), &Then::Name)
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
        insta::assert_snapshot!(come_back(Dialect::Docker, State::Running, "", &Then::Attach), @r"
        printf '%s\n' 'cage: Re-attaching to cage-app-f6965073' >&2
        exec docker attach --detach-keys 'ctrl-\' 0123456789ab
        ");
        insta::assert_snapshot!(come_back(Dialect::Podman, State::Running, "", &Then::Attach), @r"
        printf '%s\n' 'cage: Re-attaching to cage-app-f6965073' >&2
        (sleep 1; podman exec 0123456789ab /bin/stty -F /dev/console rows 29) >/dev/null 2>&1 &
        exec podman attach --detach-keys 'ctrl-\' --sig-proxy=false 0123456789ab
        ");
        insta::assert_snapshot!(come_back(Dialect::Docker, State::Running, "", &Then::Name), @r"printf '%s\n' cage-app-f6965073");
        let command =
            Then::Exec(Inside { command: ["npm", "test"].map(str::to_owned).to_vec(), ..Inside::default() });
        insta::assert_snapshot!(come_back(Dialect::Docker, State::Running, "", &command), @"exec docker exec --interactive --env CAGE_SESSION=1-1 --tty --detach-keys ctrl-^,ctrl-^,ctrl-^,ctrl-^ 0123456789ab /bin/sh -c BECOME sh '' npm test");
    }

    /// What is particular to a cage on an engine that said `info`, where the image's user can't write the project, which looks
    /// to belong to `looks`.
    fn particulars(os: Os, wsl: bool, info: &str, looks: Option<(u32, u32)>) -> String {
        let mut host = Host::sample(&[("CAGE_IMAGE", "local")]);
        (host.os, host.wsl) = (os, wsl);
        let (runtime, project) = (Runtime::sample(Dialect::Docker), project("/p/app"));
        let facts = Facts { host: &host, runtime: &runtime, project: &project, image: None };
        let engine = Engine::recorded(os, info);
        let mut creation = creation(&facts, (engine.mode, engine.machine));
        let looks = looks.map(|(uid, gid)| Ids { uid, gid });
        creation.mapping =
            Mapping::decide(runtime.kind, &engine, &creation.user, Ids { uid: 501, gid: 20 }, looks);
        creation.engine = engine;
        let script = facts.create(None, &creation, &options(""), &Then::Name).script();
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
        insta::assert_snapshot!(come_back(Dialect::Podman, State::Stopped, "", &Then::Attach), @r"
        printf '%s\n' 'cage: Restarting cage-app-f6965073' >&2
        (sleep 1; podman exec --user 0 0123456789ab /bin/sh -c SETTLE sh '') >/dev/null 2>&1 &
        exec podman start --attach --interactive --detach-keys 'ctrl-\' --sig-proxy=false 0123456789ab
        ");
        insta::assert_snapshot!(come_back(Dialect::Docker, State::Created, "", &Then::Name), @r"
        printf '%s\n' 'cage: Restarting cage-app-f6965073' >&2
        docker start 0123456789ab >/dev/null
        printf '%s\n' cage-app-f6965073
        ");
        insta::assert_snapshot!(come_back(Dialect::Docker, State::Paused, "", &Then::Name), @r"
        printf '%s\n' 'cage: Unpausing cage-app-f6965073' >&2
        docker unpause 0123456789ab >/dev/null
        printf '%s\n' cage-app-f6965073
        ");
    }

    #[test]
    fn options_that_would_need_a_new_cage_are_told_one_by_one() {
        let typed = "-p 3000:3000 -v '/a b:/t'";
        insta::assert_snapshot!(come_back(Dialect::Docker, State::Running, typed, &Then::Name), @r"
        printf '%s\n' 'cage: cage-app-f6965073 exists without `-p 127.0.0.1:3000:3000`; `cage restart -p 127.0.0.1:3000:3000` applies it' >&2
        printf '%s\n' 'cage: cage-app-f6965073 exists without `-v '\''/a b:/t'\''`; `cage restart -v '\''/a b:/t'\''` applies it' >&2
        printf '%s\n' cage-app-f6965073
        ");
    }

    #[test]
    fn another_image_and_a_newer_one_are_told_apart() {
        let told = |image: &str, made_of: &str| {
            script(Dialect::Docker, &[("CAGE_IMAGE", image)], "/p/app", |facts| {
                let mut container = Cage::sample(facts.project, State::Running);
                container.container().labels.insert(IMAGE_LABEL.into(), made_of.into());
                facts.tell_image(&container)
            })
        };
        insta::assert_snapshot!(told("r/x:1", "r/x:1"), @r"printf '%s\n' 'cage: A newer image is available. Run `cage upgrade` to upgrade.' >&2");
        insta::assert_snapshot!(told("local", "local"), @r"printf '%s\n' 'cage: A newer image is available. Run `cage restart` to use it.' >&2");
        insta::assert_snapshot!(told("r/x:2", "r/x:1"), @r"printf '%s\n' 'cage: cage-app-f6965073 was made of r/x:1; `cage restart` makes it of r/x:2' >&2");
    }

    #[test]
    fn a_new_cage_runs_before_the_old_one_goes() {
        insta::assert_snapshot!(replace(Dialect::Docker, State::Running, &Then::Name), @r#"
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
        insta::assert_snapshot!(replace(Dialect::Podman, State::Stopped, &Then::Attach), @r#"
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
