//! `cage status`.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde::Serialize;

use super::complete;
use crate::base::{console, text};
use crate::cage::create_options::CreateOptions;
use crate::cage::existing::{Cage, OWNER_LABEL, USER_LABEL};
use crate::cage::isolation;
use crate::cage::ssh_agent::SOCKET;
use crate::cage::user::ImageUser;
use crate::engine::container::{HostConfig, Mounted, Published};
use crate::engine::info::{Engine, Limit, Mode};
use crate::engine::runtime::Runtime;
use crate::host::ids::Ids;
use crate::host::machine::{DEFAULT_IMAGE, Host};
use crate::lifecycle::find::Target;
use crate::lifecycle::plan::Plan;
use crate::lifecycle::session::Session;

/// Show the project's cage: name, state, ports, and what keeps it in
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage status                      The cage of this directory
  cage status cage-app-0123abcd    The one that `cage list` calls so
  cage status --json               For a script")]
pub struct Status {
    /// A cage that `list` shows [default: that of the current directory]
    #[arg(add = ArgValueCandidates::new(complete::cages))]
    name: Option<String>,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl Status {
    /// Prints the status.
    ///
    /// # Errors
    /// When the engine doesn't answer.
    pub fn run(self, session: &Session) -> Result<u8> {
        let (target, runtime, container) = session.find_nearest(self.name)?;
        ensure!(container.is_some() || matches!(target, Target::Project(_)), target.missing());
        let details = match &container {
            None => None,
            Some(container) => {
                let engine = runtime.engine(&session.host, session.runner)?;
                Some(Details::new(&session.host, &runtime, &engine, container))
            }
        };
        let project = match (&target, &container) {
            (Target::Project(project), _) => Some(project.path.as_str()),
            (Target::Name(_), container) => container.as_ref().map(Cage::project),
        };
        let state = container.as_ref().map_or("none", |container| container.state.name());
        let report = Report {
            version: console::JSON_VERSION,
            name: target.name(),
            state,
            project,
            cage: details.as_ref(),
        };
        if self.json {
            console::json(&report)?;
            return Ok(0);
        }
        let mut plan = Plan::default();
        plan.print(report.lines());
        session.carry_out(&plan)
    }
}

/// All that is known of a cage: what `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    name: &'a str,
    state: &'a str,
    project: Option<&'a str>,
    #[serde(flatten)]
    cage: Option<&'a Details<'a>>,
}

/// The parts of a cage: image, mounts, limits and isolation.
#[derive(Serialize)]
struct Details<'a> {
    ports: &'a [Published],
    image: &'a str,
    image_id: &'a str,
    created: Option<&'a str>,
    engine: PrintedEngine<'a>,
    user: Option<User>,
    mounts: Vec<Mount<'a>>,
    network: &'a str,
    limits: Limits,
    privileged: bool,
    capabilities_dropped: Vec<&'a str>,
    capabilities_added: Vec<&'a str>,
    /// As they could be typed.
    options: Vec<String>,
    defaults: Vec<Default>,
    engine_args: Vec<String>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct PrintedEngine<'a> {
    runtime: &'a str,
    rootless: bool,
    machine: Option<String>,
    #[serde(skip)]
    shown: String,
}

#[derive(Serialize)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
    can_be_root: bool,
}

#[derive(Serialize)]
struct Mount<'a> {
    volume: Option<&'a str>,
    source: &'a str,
    target: &'a str,
    writable: bool,
}

#[derive(Serialize)]
struct Limits {
    processes: Limited<i64>,
    /// In bytes.
    memory: Limited<i64>,
    processors: Limited<f64>,
}

#[derive(Serialize)]
struct Limited<T> {
    /// Nothing for any amount.
    most: Option<T>,
    enforced: bool,
}

#[derive(Serialize)]
struct Default {
    option: String,
    variable: &'static str,
}

impl<'a> Details<'a> {
    fn new(host: &Host, runtime: &'a Runtime, engine: &Engine, container: &'a Cage) -> Self {
        let config = &container.host_config;
        let no_root =
            config.security_opt.iter().flatten().any(|option| option.starts_with("no-new-privileges"));
        let user = container.label(USER_LABEL).and_then(ImageUser::from_label);
        let owner = container.ids(OWNER_LABEL).ok().flatten();
        let user = user.zip(owner).map(|(user, Ids { uid, gid })| User {
            name: user.name,
            uid,
            gid,
            can_be_root: !no_root,
        });
        let mut mounts: Vec<Mount> = container.mounts.iter().map(Mount::from).collect();
        mounts.sort_by(|a, b| (a.volume, a.source, a.target).cmp(&(b.volume, b.source, b.target)));
        let (options, mut warnings) = match container.options() {
            Ok(options) => (options, Vec::new()),
            Err(error) => (CreateOptions::default(), vec![error.to_string()]),
        };
        warnings.extend(isolation::weaknesses(host, &options, container.project()));
        let mut chosen = options.without_defaults();
        chosen.engine_args.clear();
        let defaults = options.by_variable().into_iter();
        Self {
            ports: &container.ports,
            image: container.image_name(),
            image_id: &container.image_id,
            created: container.created.as_deref(),
            engine: PrintedEngine {
                runtime: &runtime.name,
                rootless: engine.mode == Mode::Rootless,
                machine: engine.machine.map(|product| product.to_string()),
                shown: engine.location(),
            },
            user,
            mounts,
            network: &config.network_mode,
            limits: Limits::new(config, engine),
            privileged: config.privileged,
            capabilities_dropped: names(config.cap_drop.as_ref()),
            capabilities_added: names(config.cap_add.as_ref()),
            options: chosen.words().iter().map(shell_words::join).collect(),
            defaults: defaults
                .map(|(words, variable)| Default { option: shell_words::join(words), variable })
                .collect(),
            warnings,
            engine_args: options.engine_args,
        }
    }
}

impl<'a> From<&'a Mounted> for Mount<'a> {
    fn from(mount: &'a Mounted) -> Self {
        Self {
            volume: mount.volume(),
            source: &mount.source,
            target: &mount.destination,
            writable: mount.writable,
        }
    }
}

fn names(capabilities: Option<&Vec<String>>) -> Vec<&str> {
    capabilities.into_iter().flatten().map(|name| name.trim_start_matches("CAP_")).collect()
}

impl Limits {
    fn new(config: &HostConfig, engine: &Engine) -> Self {
        let enforced = |limit| !engine.unenforced.contains(&limit);
        // podman forgets what it can't enforce.
        let some = |most: i64| Some(most).filter(|most| *most > 0);
        Self {
            processes: Limited {
                most: config.pids_limit.and_then(some),
                enforced: enforced(Limit::Processes),
            },
            memory: Limited { most: some(config.memory), enforced: enforced(Limit::Memory) },
            processors: Limited {
                most: some(config.nano_cpus).map(|nano| precise(nano) / 1e9),
                enforced: enforced(Limit::Processors),
            },
        }
    }

    fn line(&self) -> String {
        let gibibytes = |bytes: i64| format!("{:.1} GiB", precise(bytes) / f64::from(1 << 30));
        let limits = [
            ("processes", self.processes.most.map(|most| most.to_string()), self.processes.enforced),
            ("memory", self.memory.most.map(gibibytes), self.memory.enforced),
            ("CPUs", self.processors.most.map(|most| most.to_string()), self.processors.enforced),
        ];
        let limits = limits.map(|(name, most, is_enforced)| {
            let note = if is_enforced { "" } else { " (not enforced by this engine)" };
            format!("{name} {}{note}", most.as_deref().unwrap_or("unlimited"))
        });
        limits.join(", ")
    }
}

#[expect(clippy::cast_precision_loss, reason = "a float has 53 bits, enough for eight petabytes")]
fn precise(number: i64) -> f64 {
    number as f64
}

impl Report<'_> {
    /// The same for people, escaped.
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("Container: {}", self.name), format!("State:     {}", self.state)];
        if let Some(details) = self.cage {
            let list = |lines: &mut Vec<String>, title: &str, items: Vec<String>| {
                if items.is_empty() {
                    lines.push(format!("{title:<11}(none)"));
                } else {
                    lines.push(title.to_owned());
                    lines.extend(items.into_iter().map(|item| format!("  {item}")));
                }
            };
            list(&mut lines, "Ports:", details.ports.iter().map(Published::to_string).collect());
            lines.extend(details.lines_of_origin());
            list(&mut lines, "Mounts:", details.mounts.iter().map(Mount::line).collect());
            lines.extend(details.lines_of_isolation());
        }
        lines
    }
}

impl Details<'_> {
    fn lines_of_origin(&self) -> Vec<String> {
        let chosen = if self.image == DEFAULT_IMAGE { "" } else { " (CAGE_IMAGE)" };
        let mut lines = vec![
            format!("Engine:    {}, {}", text::escape(self.engine.runtime), self.engine.shown),
            format!("Image:     {}{chosen}", text::escape(self.image)),
        ];
        lines.extend(self.user.as_ref().map(|user| {
            let power = if user.can_be_root { "" } else { ", without root's power" };
            format!("User:      {} ({}:{}){power}", text::escape(&user.name), user.uid, user.gid)
        }));
        lines
    }

    fn lines_of_isolation(&self) -> Vec<String> {
        let mut lines = vec![format!("Network:   {}", text::escape(self.network))];
        lines.push(format!("Limits:    {}", self.limits.line()));
        if self.privileged {
            lines.push("Root:      has all the power of this machine's root (--privileged)".to_owned());
        } else {
            lines.push(format!(
                "Dropped capabilities: {}",
                text::escape(&self.capabilities_dropped.join(" "))
            ));
            if !self.capabilities_added.is_empty() {
                lines.push(format!(
                    "Added capabilities: {}",
                    text::escape(&self.capabilities_added.join(" "))
                ));
            }
        }
        if !self.options.is_empty() {
            lines.push(format!("Options:   {}", text::escape(&self.options.join(" "))));
        }
        for Default { option, variable } in &self.defaults {
            lines.push(format!("Default:   {} ({variable})", text::escape(option)));
        }
        if !self.engine_args.is_empty() {
            lines.push(format!("Passed on: {}", text::escape(&shell_words::join(&self.engine_args))));
        }
        lines.extend(self.warnings.iter().map(|weakness| format!("Warning:   {}", text::escape(weakness))));
        lines
    }
}

impl Mount<'_> {
    fn line(&self) -> String {
        let mut text = match self.volume {
            Some(name) => format!("volume {}", text::escape(name)),
            None => text::escape(self.source),
        };
        if self.target != self.source {
            let _ = write!(text, " -> {}", text::escape(self.target));
        }
        if self.target == SOCKET {
            text.push_str(" (your SSH agent)");
        } else if !self.writable {
            text.push_str(" (read-only)");
        }
        text
    }
}
