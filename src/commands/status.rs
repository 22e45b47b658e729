//! `cage status`.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;

use crate::boundary;
use crate::container::{Container, Mounted, OWNER_LABEL, USER_LABEL, Wall};
use crate::host::Host;
use crate::plan::Plan;
use crate::runtime::{Engine, Limit, Mode, Runtime};
use crate::session::Session;
use crate::ssh_agent::SOCKET;
use crate::ui;
use crate::user::ImageUser;

/// Show the project's cage: name, state, ports, and what keeps it in
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
        let (runtime, container) = session.find(&target)?;
        let mut lines = summary(target.name(), container.as_ref());
        if let Some(container) = &container {
            let engine = runtime.engine(&session.host, session.runner)?;
            lines.extend(wall(&session.host, &runtime, &engine, container));
        }
        let mut plan = Plan::default();
        plan.print(lines);
        session.carry_out(&plan)
    }
}

fn summary(name: &str, container: Option<&Container>) -> Vec<String> {
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
    lines
}

/// What keeps a cage in, and what it has of the host.
fn wall(host: &Host, runtime: &Runtime, engine: &Engine, container: &Container) -> Vec<String> {
    let Wall { privileged, cap_drop, cap_add, network_mode, security_opt, .. } = &container.wall;
    let mut lines = vec![format!("Engine:    {}, {}", ui::escape(&runtime.name), place(engine))];
    let user = container.label(USER_LABEL).and_then(ImageUser::from_label);
    if let (Some(user), Some(owner)) = (user, container.label(OWNER_LABEL)) {
        let no_root = security_opt.iter().flatten().any(|option| option.starts_with("no-new-privileges"));
        let power = if no_root { ", without root's power" } else { "" };
        lines.push(format!("User:      {} ({}){power}", ui::escape(&user.name), ui::escape(owner)));
    }
    lines.push("Mounts:".to_owned());
    let mut mounts: Vec<String> =
        container.mounts.iter().map(|mount| format!("  {}", shown(mount))).collect();
    mounts.sort();
    lines.extend(mounts);
    lines.push(format!("Network:   {}", ui::escape(network_mode)));
    lines.push(format!("Limits:    {}", limits(&container.wall, engine)));
    let capabilities = |names: &Option<Vec<String>>| {
        let names = names.iter().flatten().map(|name| ui::escape(name.trim_start_matches("CAP_")));
        names.collect::<Vec<_>>().join(" ")
    };
    if *privileged {
        lines.push("Root:      has all the power of this machine's root (--privileged)".to_owned());
    } else {
        lines.push(format!("Without:   {}", capabilities(cap_drop)));
        let added = capabilities(cap_add);
        if !added.is_empty() {
            lines.push(format!("With:      {added}"));
        }
    }
    let options = container.options();
    if !options.engine_args.is_empty() {
        lines.push(format!("Passed on: {}", ui::escape(&shell_words::join(&options.engine_args))));
    }
    let project = container.project(&host.label).unwrap_or_default();
    for weakness in boundary::weaknesses(host, &options, project) {
        lines.push(format!("Warning:   {}", ui::escape(&weakness)));
    }
    lines
}

fn place(engine: &Engine) -> String {
    match (engine.mode, engine.machine) {
        (Mode::Rootful, None) => "run by root on this machine".to_owned(),
        (Mode::Rootless, None) => "run without root on this machine".to_owned(),
        (_, Some(product)) => format!("in a virtual machine ({product})"),
    }
}

fn shown(mount: &Mounted) -> String {
    let mut text = match mount.volume() {
        Some(name) => format!("volume {}", ui::escape(name)),
        None => ui::escape(&mount.source),
    };
    if mount.destination != mount.source {
        let _ = write!(text, " -> {}", ui::escape(&mount.destination));
    }
    if mount.destination == SOCKET {
        text.push_str(" (your SSH agent)");
    } else if !mount.writable {
        text.push_str(" (read-only)");
    }
    text
}

fn limits(wall: &Wall, engine: &Engine) -> String {
    let limit = |which: Limit, amount: Option<String>| {
        // podman forgets what it can't enforce.
        let amount = amount.unwrap_or_else(|| "any".to_owned());
        let note = if engine.unenforced.contains(&which) { " (not enforced by this engine)" } else { "" };
        format!("{amount} {which}{note}")
    };
    let gibibytes = |bytes: i64| format!("{:.1} GiB", precise(bytes) / precise(1 << 30));
    let parts = [
        limit(Limit::Processes, wall.pids_limit.filter(|limit| *limit > 0).map(|limit| limit.to_string())),
        limit(Limit::Memory, Some(wall.memory).filter(|limit| *limit > 0).map(gibibytes)),
        limit(
            Limit::Processors,
            Some(wall.nano_cpus).filter(|limit| *limit > 0).map(|nano| (precise(nano) / 1e9).to_string()),
        ),
    ];
    parts.join(", ")
}

#[expect(clippy::cast_precision_loss, reason = "it is shown to a person, in few digits")]
fn precise(number: i64) -> f64 {
    number as f64
}
