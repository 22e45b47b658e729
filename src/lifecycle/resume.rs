//! Entering a cage that exists, and starting it if it is stopped.

use anyhow::{Result, ensure};

use crate::base::console;
use crate::base::error::Failure;
use crate::cage::create_options::CreateOptions;
use crate::cage::env_file::EnvFiles;
use crate::cage::existing::{Cage, ENV_LABEL, SEEN_LABEL};
use crate::cage::nesting;
use crate::cage::options::{ALLOW_NESTED, NO_ROOT};
use crate::engine::container::State;
use crate::engine::image::is_local;
use crate::host::project::Project;
use crate::lifecycle::context::{Context, Entry, Settling, replaced_while_running};
use crate::lifecycle::plan::{Plan, Step};
use crate::lifecycle::session::Session;

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
pub(super) fn leave(session: &Session, project: &Project, entry: &Entry, code: u8, seen: Option<&str>) -> u8 {
    if !matches!(entry, Entry::Name) {
        session.tell_leftovers(project, seen);
    }
    code
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

impl Context<'_> {
    /// Returns the plan that enters an existing cage, and starts it if it doesn't run.
    pub(super) fn resume_plan(
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
                plan.append(self.enter(&container.id, None, entry));
            }
            (State::Paused, _) => {
                plan.say(format!("Unpausing {}", container.name));
                plan.run(self.runtime.command(["unpause", &container.id]));
                plan.append(self.enter(&container.id, Some(&container.started), entry));
            }
            (State::Running | State::Changing, _) => {
                if matches!(entry, Entry::Attach) {
                    plan.say(format!("Re-attaching to {}", container.name));
                }
                plan.append(self.enter(&container.id, Some(&container.started), entry));
            }
        }
        plan
    }

    /// Returns the messages about another or a newer image.
    pub(super) fn tell_image(&self, container: &Cage) -> Plan {
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
}
