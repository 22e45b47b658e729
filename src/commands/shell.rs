//! `cage shell`: another terminal.

use anyhow::{Result, bail};
use clap::Args;

use crate::container::{Container, SEEN_LABEL, State};
use crate::error::Failure;
use crate::host::Host;
use crate::lifecycle::{exec, replaced_while_running};
use crate::plan::Plan;
use crate::runtime::Runtime;
use crate::session::{Session, Target};

/// Becomes the user's shell: the one the image names, or the best there is.
const BEST_SHELL: &str = r#"for s in "${SHELL:-}" zsh bash; do [ -n "$s" ] && command -v "$s" >/dev/null && exec "$s" -l; done; exec /bin/sh -l"#;

/// Open another shell in the project's running cage
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage shell                       Another terminal in this directory's cage
  cage shell cage-app-0123abcd     In the one that `cage list` calls so")]
pub struct Shell {
    /// A cage that `list` shows [default: that of the current directory]
    name: Option<String>,
}

impl Shell {
    /// Does it.
    ///
    /// # Errors
    /// When the cage is not running.
    pub fn run(self, session: &Session) -> Result<u8> {
        let target = session.target(self.name)?;
        let (runtime, container) = session.find(&target)?;
        let running = container.filter(|container| matches!(container.state, State::Running | State::Paused));
        let Some(container) = running else {
            bail!(
                Failure::new(format!("Container {} is not running", target.name()))
                    .hint("`cage start` brings it up")
            );
        };
        if let Target::Project(project) = &target
            && session.has_stale_directory(&runtime, project, &container)?
        {
            bail!(replaced_while_running(&container));
        }
        let code = session.carry_out(&plan(&session.host, &runtime, &container))?;
        if let Target::Project(project) = &target {
            session.tell_leftovers(project, container.label(SEEN_LABEL));
        }
        Ok(code)
    }
}

fn plan(host: &Host, runtime: &Runtime, container: &Container) -> Plan {
    let mut plan = Plan::default();
    if container.state == State::Paused {
        plan.say(format!("Unpausing {}", container.name));
        plan.run(runtime.command(["unpause", &container.id]));
    }
    plan.say(format!("Opening shell in {}", container.name));
    let command = ["/bin/sh", "-c", BEST_SHELL].map(str::to_owned);
    plan.push(exec(host, runtime, &container.id, &command));
    plan
}
