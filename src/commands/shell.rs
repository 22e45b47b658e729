//! `cage shell`: another terminal.

use anyhow::{Result, ensure};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::complete;
use crate::cage::existing::SEEN_LABEL;
use crate::engine::container::State;
use crate::lifecycle::choice::Fallback;
use crate::lifecycle::context::{Context, replaced_while_running};
use crate::lifecycle::exec::{ExecCommand, ExecTarget};
use crate::lifecycle::find::Target;
use crate::lifecycle::plan::Plan;
use crate::lifecycle::session::Session;
use crate::lifecycle::worktrees;
use crate::lifecycle::worktrees::Worktrees;

/// Open another shell in the project's running cage
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage shell                       Open a shell in this directory's cage
  cage shell cage-app-0123abcd     Open a shell in a cage by its name
  cage shell -- claude --continue  Run a command instead of a shell")]
pub struct Shell {
    /// A cage that `list` shows [default: that of the current directory]
    #[arg(add = ArgValueCandidates::new(complete::cages))]
    name: Option<String>,

    /// Run this command instead of a shell, after `--`
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

impl Shell {
    /// Opens a shell, or runs the command.
    ///
    /// # Errors
    /// When the cage is not running.
    pub fn run(self, session: &Session) -> Result<u8> {
        let (target, runtime, found) = session.find_nearest(self.name, Fallback::Allowed)?;
        let container = target.running(found.as_ref(), session.project().ok().as_ref())?;
        let workdir = container.project().to_owned();
        let mut inside = ExecCommand { command: self.command, workdir, ..ExecCommand::default() };
        if let Target::Project(project) = &target {
            let context = Context { session, runtime: &runtime, project, image: None };
            ensure!(!context.has_stale_directory(container)?, replaced_while_running(container));
            inside.workdir = project.inside(&session.project()?.path);
        }
        let mut plan = Plan::default();
        if container.state == State::Paused {
            plan.say(format!("Unpausing {}", container.name));
            plan.run(runtime.command(["unpause", &container.id]));
        }
        let kept = container.options().unwrap_or_default();
        plan.extend(worktrees::update(&session.host, &runtime, container, &kept));
        if inside.command.is_empty() {
            plan.say(format!("Opening shell in {}", container.name));
        }
        plan.push(inside.step(&session.host, &runtime, ExecTarget::of(container), &container.name));
        let code = session.carry_out(&plan)?;
        if let Target::Project(project) = &target {
            session.tell_leftovers(project, container.label(SEEN_LABEL));
            Worktrees::of_cage(container, &kept).tell_only_inside();
        }
        Ok(code)
    }
}
