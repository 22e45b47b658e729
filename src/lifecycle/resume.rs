//! Entering a cage that exists, and starting it if it is stopped.

use anyhow::{Result, ensure};

use crate::base::console;
use crate::base::error::Failure;
use crate::cage::create_options::CreateOptions;
use crate::cage::env_file::EnvFiles;
use crate::cage::existing::{Cage, ENV_LABEL, SEEN_LABEL};
use crate::cage::options::{ALLOW_NESTED, IMAGE};
use crate::cage::{isolation, nesting};
use crate::engine::container::State;
use crate::engine::image::{Image, is_local, is_same_name};
use crate::host::worktree::GitDir;
use crate::lifecycle::belonging::Record;
use crate::lifecycle::context::{Context, Entry, replaced_while_running};
use crate::lifecycle::ending;
use crate::lifecycle::exec::ExecTarget;
use crate::lifecycle::from_script::check_start;
use crate::lifecycle::mount_points;
use crate::lifecycle::plan::{Plan, Step};
use crate::lifecycle::session::Session;
use crate::lifecycle::steps::{start_checked, tell_ports};
use crate::lifecycle::worktrees;
use crate::lifecycle::worktrees::Worktrees;

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

/// Enters an existing cage, and starts it if it is stopped. Returns the exit code.
pub(super) fn resume(
    context: Context,
    container: &Cage,
    options: &CreateOptions,
    entry: &Entry,
) -> Result<u8> {
    let Context { session, runtime, project, .. } = context;
    let changes = Changes {
        directory: context.has_stale_directory(container)?,
        agent: context.link(container).is_some_and(|link| link.is_stale()),
        // An unreadable file is an error when a cage is created, not when it starts again.
        env: EnvFiles::read(&session.host, project)
            .is_ok_and(|env| container.label(ENV_LABEL).is_some_and(|made_with| made_with != env.digest())),
    };
    ensure!(!changes.directory || !matches!(entry, Entry::Exec(_)), replaced_while_running(container));
    let kept = kept_options(container, options)?;
    check_isolation(container, &kept, options)?;
    entry.check_user(&session.host, &kept)?;
    let (mut plan, neighbours) = if container.state.is_up() {
        (Plan::default(), Vec::new())
    } else {
        context.before_start(container, &kept, options)?
    };
    for warning in isolation::undeclared(&session.host, container, &kept) {
        console::warn(&warning);
    }
    let own = own_image(context, container, options, entry)?;
    let context = Context { image: own.as_ref(), ..context };
    let points =
        if container.state.is_up() { Vec::new() } else { mount_points::restore(context, container, &kept)? };
    let worktrees = worktrees::update(&session.host, runtime, container, &kept);
    let resumption =
        Resumption { context, cage: container, kept: &kept, typed: options, changes, neighbours };
    plan.append(resumption.plan(points, worktrees, entry));
    let code = session.carry_out(&plan)?;
    Ok(leave(context, entry, code, container.label(SEEN_LABEL), Worktrees::of_cage(container, &kept)))
}

/// Returns the image that the user chose, if the cage was made of another one.
fn another_image(session: &Session, container: &Cage, typed: &CreateOptions) -> Option<String> {
    let is_chosen = typed.has(IMAGE) || session.host.variable("CAGE_IMAGE").is_some();
    let wanted = typed.image_or_default(&session.host);
    (is_chosen && !is_same_name(&wanted, container.image_name())).then_some(wanted)
}

/// Returns the image to compare a cage with: the newest one of the cage's image name, or the one that is asked for if the user
/// chose another.
fn own_image(
    context: Context,
    container: &Cage,
    typed: &CreateOptions,
    entry: &Entry,
) -> Result<Option<Image>> {
    let Context { session, runtime, .. } = context;
    let name = container.image_name();
    let is_asked = typed.image_or_default(&session.host) == name;
    if is_asked || matches!(entry, Entry::Exec(_)) || another_image(session, container, typed).is_some() {
        return Ok(context.image.cloned());
    }
    Ok(runtime.images(session.runner, &[name])?.into_iter().next())
}

/// Returns the options that a cage was made with. If they can't be read, the cage can be entered only when it is running and the
/// command line has no options; otherwise this is an error.
pub(super) fn kept_options(container: &Cage, typed: &CreateOptions) -> Result<CreateOptions> {
    match container.options() {
        Err(error) if container.state.is_up() && typed.words().is_empty() => {
            console::warn(&error.to_string());
            Ok(CreateOptions::default())
        }
        result => result,
    }
}

/// Checks that an existing cage has the isolation options on the command line. Otherwise the user would enter a less isolated cage
/// than requested.
pub(super) fn check_isolation(container: &Cage, kept: &CreateOptions, options: &CreateOptions) -> Result<()> {
    let words = options.missing_from(kept).isolating().to_label();
    ensure!(
        words.is_empty(),
        Failure::new(format!("{} exists without `{words}`", container.name))
            .hint(format!("`cage restart {words}` applies it"))
    );
    Ok(())
}

/// Prints what code in the cage left in the project, unless the cage only started. Returns the exit code unchanged.
pub(super) fn leave(
    context: Context,
    entry: &Entry,
    code: u8,
    seen: Option<&str>,
    worktrees: Worktrees,
) -> u8 {
    if !matches!(entry, Entry::Name) {
        context.session.tell_leftovers(context.project, seen);
        worktrees.tell_only_inside();
    }
    code
}

/// Says which options need a new container.
pub fn tell_ignored(container: &Cage, kept: &CreateOptions, options: &CreateOptions) -> Plan {
    let mut plan = Plan::default();
    for mut words in options.missing_from(kept).words() {
        if let [flag, port] = words.as_mut_slice()
            && flag == "-p"
            && let Some(typed) = port.strip_prefix("127.0.0.1:")
        {
            // cage added the address.
            *port = typed.trim_start_matches(':').to_owned();
        }
        let mut option = shell_words::join(&words);
        if words[0] == "-e" {
            option.push_str("=…");
        }
        plan.say(format!("{} exists without `{option}`; `cage restart {option}` applies it", container.name));
    }
    plan
}

/// A cage to be entered, and what is known about it.
pub(super) struct Resumption<'a> {
    pub context: Context<'a>,
    pub cage: &'a Cage,
    /// The options that the cage was made with.
    pub kept: &'a CreateOptions,
    /// The options on the command line.
    pub typed: &'a CreateOptions,
    pub changes: Changes,
    /// The running cages that could exchange a source of this one's mounts with a link.
    pub neighbours: Vec<Cage>,
}

impl Resumption<'_> {
    /// Returns the plan that enters an existing cage, and starts it if it doesn't run. `points` are the steps before a start, for
    /// mount points, and `worktrees` those in the running cage.
    pub(super) fn plan(&self, points: Vec<Step>, worktrees: Vec<Step>, entry: &Entry) -> Plan {
        let Self { context, cage, kept, ref neighbours, .. } = *self;
        let mut plan = self.tell_changes(entry);
        if let Some(link) = context.link(cage).filter(|_| !cage.state.is_up()) {
            plan.push(Step::Link(link));
        }
        let id = &cage.id;
        match cage.state {
            State::Created | State::Stopped | State::Dead => {
                if let Some(death) = ending::death(&context.session.host, cage) {
                    plan.say(format!("{} was not stopped: {death}", cage.name));
                }
                plan.say(format!("Restarting {}", cage.name));
                let check = || Step::CheckMounts(cage.clone().into(), kept.clone().into());
                let again = !points.is_empty() || !neighbours.is_empty();
                plan.push(check());
                plan.extend(points);
                let again = again.then(check);
                let settle = context.settle(id, cage.mounts_machines_agent(), kept);
                let is_separate =
                    kept.has_port_of_choice() || !worktrees.is_empty() || !neighbours.is_empty();
                if let (Entry::Attach, false) = (entry, is_separate) {
                    plan.extend(again);
                    plan.append(context.start_attached(id, settle));
                } else {
                    plan.append(start_checked(context.runtime, id, again, neighbours));
                    plan.extend(settle.map(Step::Try));
                    plan.extend(worktrees);
                    plan.extend(tell_ports(context.runtime, id, kept));
                    plan.append(context.enter(ExecTarget::of(cage), None, entry));
                }
                return plan;
            }
            State::Paused => {
                plan.say(format!("Unpausing {}", cage.name));
                plan.run(context.runtime.command(["unpause", id]));
            }
            State::Running | State::Changing => {
                if let Entry::Attach = entry {
                    plan.say(format!("Re-attaching to {}", cage.name));
                }
            }
        }
        plan.extend(worktrees);
        plan.append(context.enter(ExecTarget::of(cage), Some(&cage.started), entry));
        plan
    }

    /// Returns the messages about what differs from the cage: options on the command line, its image, the host.
    fn tell_changes(&self, entry: &Entry) -> Plan {
        let Self { context, cage, kept, typed, changes, .. } = *self;
        let mut plan = tell_ignored(cage, kept, typed);
        if !matches!(entry, Entry::Exec(_)) {
            plan.append(context.tell_image(cage, typed));
        }
        if changes.agent && cage.state == State::Running {
            plan.say("your SSH agent has changed since the cage started; `cage stop` and `cage start` connect the new one");
        }
        if changes.env {
            plan.say("env files have changed since the cage was made; `cage restart` applies them");
        }
        if changes.directory {
            plan.push(Step::Warn(format!(
                "the directory {} was replaced while {} ran, which still has the old one; `cage restart` mounts the new one",
                context.project.path, cage.name
            )));
        }
        plan
    }
}

impl Context<'_> {
    /// Checks that a stopped cage may be started, and returns the steps before that, and the running cages that could exchange a
    /// source of its mounts with a link.
    fn before_start(
        &self,
        container: &Cage,
        kept: &CreateOptions,
        typed: &CreateOptions,
    ) -> Result<(Plan, Vec<Cage>)> {
        let Self { session, runtime, project, .. } = *self;
        let place = runtime.whereabouts(&session.host, session.runner)?;
        kept.check_sources()?;
        check_start(session, runtime, container)?;
        nesting::check_mounts(container, kept)?;
        let cages = session.cages_knowing(runtime, Some(container))?;
        if !typed.has(ALLOW_NESTED) && !kept.has(ALLOW_NESTED) {
            nesting::check_nested(project, kept, &cages)?;
        }
        self.prove_if_elsewhere(&container.image_id, &GitDir::of(&project.dir()))?;
        let shares_home = container.mount_point_of(&session.host.home_volume).is_some();
        let records = session.records(runtime, &place, container.final_name(), shares_home)?;
        Ok((Plan::new(records.iter().map(Record::write)), nesting::neighbours_of(container, &cages)))
    }

    /// Returns the messages about another or a newer image.
    pub(super) fn tell_image(&self, container: &Cage, typed: &CreateOptions) -> Plan {
        let mut plan = Plan::default();
        let made_of = container.image_name();
        if let Some(wanted) = another_image(self.session, container, typed) {
            let name = &container.name;
            // The user already got the message about a typed image, with those about the other options.
            if !typed.has(IMAGE) {
                plan.say(format!("{name} was made of {made_of}; `cage restart` makes it of {wanted}"));
            }
        } else if self.image.is_some_and(|image| image.id != container.image_id) {
            let run =
                if is_local(made_of) { "`cage restart` to use it" } else { "`cage upgrade` to upgrade" };
            plan.say(format!("A newer image is available. Run {run}."));
        }
        plan
    }
}
