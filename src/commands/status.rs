//! `cage status`.

use anyhow::Result;
use clap::Args;

use crate::container::Container;
use crate::plan::Plan;
use crate::session::Session;

/// Show the project's cage: name, state and ports
#[derive(Debug, Args)]
pub struct Status {
    /// A cage that `list` shows [default: that of the current directory]
    name: Option<String>,
}

impl Status {
    /// Does it.
    ///
    /// # Errors
    /// When the engine doesn't answer.
    pub fn run(self, session: &Session) -> Result<u8> {
        let target = session.target(self.name)?;
        let (_, container) = session.find(&target)?;
        session.carry_out(&plan(target.name(), container.as_ref()))
    }
}

fn plan(name: &str, container: Option<&Container>) -> Plan {
    let state = container.map_or("none", |container| container.state.name());
    let mut lines = vec![format!("Container: {name}"), format!("State:     {state}")];
    match container {
        None => {}
        Some(container) if container.ports.is_empty() => lines.push("Ports:     (none)".to_owned()),
        Some(container) => {
            lines.push("Ports:".to_owned());
            lines.extend(container.ports.iter().map(|port| format!("  {port}")));
        }
    }
    let mut plan = Plan::default();
    plan.print(lines);
    plan
}
