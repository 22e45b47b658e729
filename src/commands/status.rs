//! `cage status`.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde_json::{Value, json};

use super::complete;
use crate::base::text::escape;
use crate::base::{console, text};
use crate::cage::create_options::CreateOptions;
use crate::cage::existing::{Cage, OWNER_LABEL, USER_LABEL};
use crate::cage::isolation;
use crate::cage::options::IMAGE;
use crate::cage::ssh_agent::{NO_AGENT, SOCKET};
use crate::cage::user::ImageUser;
use crate::engine::container::{Mounted, Published, State};
use crate::engine::info::{Engine, Limit, Mode};
use crate::host::ids::Ids;
use crate::host::machine::Host;
use crate::lifecycle::choice::Fallback;
use crate::lifecycle::ending;
use crate::lifecycle::find::Target;
use crate::lifecycle::kept_modes;
use crate::lifecycle::open_terminals::{Visitor, Way};
use crate::lifecycle::session::Session;

/// Show the project's cage: state, ports, mounts and isolation
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cage status                      The cage of this directory
  cage status cage-app-0123abcd    A cage by its name in `cage list`
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
    /// When the engine doesn't answer, or there is no cage of that name.
    pub fn run(self, session: &Session) -> Result<u8> {
        let (target, runtime, cage) = session.find_nearest(self.name, Fallback::Allowed)?;
        let project = match (&target, &cage) {
            (Target::Project(project), _) => &project.path,
            (Target::Name(_), Some(cage)) => cage.project(),
            (Target::Name(_), None) => bail!(target.missing()),
        };
        let state = cage.as_ref().map_or("none", |cage| cage.state.name());
        let details = match &cage {
            Some(cage) => {
                let engine = cage.engine();
                let engine = engine.map_or_else(|| runtime.engine(&session.host, session.runner), Ok)?;
                let mut details = Details::new(&session.host, &runtime.name, engine, cage);
                let asks = kept_modes::are_of_program(&session.host, &cage.name);
                details.visitors = session.visitors(&runtime, cage, asks);
                details.address = runtime.elsewhere(&session.host, session.runner)?;
                Some(details)
            }
            None => None,
        };
        if self.json {
            let mut object = details.map(|details| details.to_json()).unwrap_or_default();
            object["version"] = json!(console::JSON_VERSION);
            object["name"] = json!(target.name());
            object["state"] = json!(state);
            object["project"] = json!(project);
            console::json(&object)?;
        } else {
            let general = [format!("Container: {}", target.name()), format!("State:     {state}")];
            let details = details.map(|details| details.lines(&session.host)).unwrap_or_default();
            let columns = session.host.size.map_or(usize::MAX, |(columns, _)| columns.into());
            for line in general.iter().chain(&details).flat_map(|line| text::wrap(line, columns, 11)) {
                console::data(&line)?;
            }
        }
        Ok(0)
    }
}

/// A cage that exists, and its options as they could be typed.
struct Details<'a> {
    cage: &'a Cage,
    runtime: &'a str,
    /// The address of an engine on another machine.
    address: Option<String>,
    engine: Engine,
    user: Option<(ImageUser, Ids)>,
    can_be_root: bool,
    mounts: Vec<&'a Mounted>,
    options: Vec<String>,
    /// The options that come from variables and files, each with the name of its variable or file.
    defaults: Vec<(String, &'static str)>,
    engine_args: Vec<String>,
    warnings: Vec<String>,
    /// Where the image's name comes from, in brackets.
    image_origin: &'static str,
    /// Who is in the cage.
    visitors: Vec<Visitor>,
    /// How the cage ended, if it failed.
    death: Option<String>,
}

impl<'a> Details<'a> {
    fn new(host: &Host, runtime: &'a str, engine: Engine, cage: &'a Cage) -> Self {
        let user = cage.label(USER_LABEL).and_then(ImageUser::from_label);
        let security = cage.host_config.security_opt.iter().flatten();
        let mut mounts: Vec<&Mounted> = cage.mounts.iter().collect();
        mounts.sort_by_key(|mount| (mount.volume(), &mount.source, &mount.destination));
        let (options, mut warnings) = match cage.options() {
            Ok(options) => (options, Vec::new()),
            Err(error) => (CreateOptions::default(), vec![error.to_string()]),
        };
        warnings.extend(isolation::weaknesses(host, &options, cage.project()));
        warnings.extend(isolation::undeclared(host, cage, &options));
        let mut chosen = options.without_defaults();
        let image_origin = match (options.has(IMAGE), chosen.has(IMAGE)) {
            (_, true) => " (--image)",
            (true, false) => " (CAGE_IMAGE)",
            (false, false) => "",
        };
        chosen.engine_args.clear();
        let defaults = options.defaults().into_iter();
        Self {
            cage,
            runtime,
            address: None,
            engine,
            user: user.zip(cage.ids(OWNER_LABEL).ok().flatten()),
            can_be_root: !security.into_iter().any(|option| option.starts_with("no-new-privileges")),
            mounts,
            options: chosen.words().iter().map(shell_words::join).collect(),
            defaults: defaults.map(|(words, name)| (shell_words::join(words), name)).collect(),
            engine_args: options.engine_args,
            image_origin,
            warnings,
            visitors: Vec::new(),
            death: ending::death(host, cage),
        }
    }

    /// Returns the limits in the engine's units; `None` is unlimited. podman forgets a limit that it can't enforce.
    fn limits(&self) -> [(Limit, Option<i64>); 3] {
        let config = &self.cage.host_config;
        [
            (Limit::Processes, config.pids_limit),
            (Limit::Memory, Some(config.memory)),
            (Limit::Processors, Some(config.nano_cpus)),
        ]
        .map(|(limit, most)| (limit, most.filter(|most| *most > 0)))
    }

    /// Returns the fields that `--json` prints of a cage that exists.
    fn to_json(&self) -> Value {
        let Self { cage, engine, .. } = self;
        let config = &cage.host_config;
        let limits = self.limits().into_iter().map(|(limit, most)| {
            let most = match limit {
                Limit::Processes | Limit::Memory => json!(most),
                Limit::Processors => json!(most.map(|most| float(most / 1_000_000) / 1000.0)),
            };
            let enforced = !engine.unenforced.contains(&limit);
            (limit.to_string(), json!({"most": most, "enforced": enforced}))
        });
        let mounts = self.mounts.iter().map(|mount| {
            json!({
                "volume": mount.volume(),
                "source": mount.source,
                "target": mount.destination,
                "writable": mount.writable,
            })
        });
        let user = self.user.as_ref().map(|(user, ids)| {
            json!({"name": user.name, "uid": ids.uid, "gid": ids.gid, "can_be_root": self.can_be_root})
        });
        let defaults = self.defaults.iter();
        let visitors = self.visitors.iter().map(|visitor| {
            let program = (visitor.way != Way::Attached).then_some(&visitor.program);
            let since = humantime::format_rfc3339_seconds(visitor.since).to_string();
            json!({"program": program, "terminal": visitor.way != Way::Streams, "since": since})
        });
        json!({
            "ports": cage.ports,
            "image": cage.image_name(),
            "image_id": cage.image_id,
            "created": cage.created,
            "engine": {
                "runtime": self.runtime,
                "rootless": engine.mode == Mode::Rootless,
                "machine": engine.machine.map(|product| product.to_string()),
                "address": self.address,
            },
            "user": user,
            "mounts": mounts.collect::<Value>(),
            "network": config.network_mode,
            "limits": limits.collect::<Value>(),
            "privileged": config.privileged,
            "capabilities_dropped": capabilities(config.cap_drop.as_ref()),
            "capabilities_added": capabilities(config.cap_add.as_ref()),
            "options": self.options,
            "defaults": defaults
                .map(|(option, name)| match file(name) {
                    Some(file) => json!({"option": option, "variable": null, "file": file}),
                    None => json!({"option": option, "variable": name, "file": null}),
                })
                .collect::<Value>(),
            "engine_args": self.engine_args,
            "warnings": self.warnings,
            "exit_code": (cage.state == State::Stopped).then_some(cage.exit_code),
            "out_of_memory": cage.out_of_memory,
            "in_use_by": visitors.collect::<Value>(),
        })
    }

    /// Returns the lines of the text output, escaped: groups with an empty line between them.
    fn lines(&self, host: &Host) -> Vec<String> {
        let Self { cage, engine, .. } = self;
        let mut lines = list("Ports:", cage.ports.iter().map(Published::to_string));
        let address = self.address.as_ref().map(|address| format!(", {address}")).unwrap_or_default();
        lines.push(line("Engine:", &format!("{}, {}{address}", self.runtime, engine.location())));
        let visitors: Vec<String> = self.visitors.iter().map(Visitor::to_string).collect();
        lines.extend((!visitors.is_empty()).then(|| line("In it:", &visitors.join(", "))));
        lines.extend(self.death.iter().map(|death| line("Ended:", death)));
        lines.push(String::new());
        lines.push(line("Image:", &format!("{}{}", cage.image_name(), self.image_origin)));
        lines.extend(self.user.as_ref().map(|(user, ids)| {
            let power = if self.can_be_root { "" } else { ", without root's power" };
            line("User:", &format!("{} ({ids}){power}", user.name))
        }));
        lines.extend(list("Mounts:", self.mounts.iter().map(|mount| describe(host, mount))));
        lines.push(line("Network:", &cage.host_config.network_mode));
        lines.push(String::new());
        lines.extend(self.isolation());
        let options = self.options();
        lines.extend((!options.is_empty()).then(String::new));
        lines.extend(options);
        lines.extend((!self.warnings.is_empty()).then(String::new));
        lines.extend(self.warnings.iter().map(|warning| line("Warning:", warning)));
        lines
    }

    /// Returns the lines about limits and capabilities.
    fn isolation(&self) -> Vec<String> {
        let Self { cage, engine, .. } = self;
        let config = &cage.host_config;
        let limits = self.limits().map(|(limit, most)| match (limit, most) {
            (_, None) => format!("{limit} unlimited"),
            (Limit::Processes, Some(most)) => format!("{limit} {most}"),
            (Limit::Memory, Some(most)) => format!("{limit} {:.1} GiB", float(most >> 20) / 1024.0),
            (Limit::Processors, Some(most)) => format!("{limit} {}", float(most / 1_000_000) / 1000.0),
        });
        let mut lines = vec![line("Limits:", &limits.join(", "))];
        if !engine.unenforced.is_empty() {
            let names: Vec<String> = engine.unenforced.iter().map(Limit::to_string).collect();
            let text = format!("{} (this engine can't limit them)", names.join(", "));
            lines.push(line("Unenforced:", &text));
        }
        if config.privileged {
            lines.push(line("Root:", "has all the power of this machine's root (--privileged)"));
        } else {
            let dropped = capabilities(config.cap_drop.as_ref()).join(" ");
            let shown = if dropped.is_empty() {
                "none".to_owned()
            } else {
                format!("{dropped}  (`-- --cap-add NAME` gives one back)")
            };
            lines.push(line("Dropped capabilities:", &shown));
            let added = capabilities(config.cap_add.as_ref()).join(" ");
            lines.extend((!added.is_empty()).then(|| line("Added capabilities:", &added)));
        }
        lines
    }

    /// Returns the lines about the options that were typed, those from variables and files, and those for the engine.
    fn options(&self) -> Vec<String> {
        let options = self.options.join(" ");
        let mut lines = Vec::new();
        lines.extend((!options.is_empty()).then(|| line("Options:", &options)));
        let defaults = self.defaults.iter();
        let defaults =
            defaults.map(|(option, name)| format!("{option} ({})", file(name).as_deref().unwrap_or(name)));
        lines.extend(defaults.map(|default| line("Default:", &default)));
        let passed = shell_words::join(&self.engine_args);
        lines.extend((!passed.is_empty()).then(|| line("Passed on:", &passed)));
        lines
    }
}

/// Returns the path of the file with this name, unless it is the name of a variable.
fn file(name: &str) -> Option<String> {
    (!name.starts_with("CAGE_")).then(|| format!("~/.config/cage/{name}"))
}

fn line(title: &str, text: &str) -> String {
    format!("{title:<10} {}", escape(text))
}

/// Returns the title with a line for each item below it.
fn list(title: &str, items: impl ExactSizeIterator<Item = String>) -> Vec<String> {
    if items.len() == 0 {
        return vec![line(title, "(none)")];
    }
    std::iter::once(title.to_owned()).chain(items.map(|item| format!("  {}", escape(&item)))).collect()
}

/// Returns a mount as text.
fn describe(host: &Host, mount: &Mounted) -> String {
    // The source is cage's link, a detail that makes the line too long.
    if mount.destination == SOCKET {
        let leads_nowhere = fs::read_link(&mount.source).is_ok_and(|target| target == Path::new(NO_AGENT));
        let agent = if leads_nowhere { "no SSH agent was there" } else { "your SSH agent" };
        return format!("{SOCKET} ({agent})");
    }
    let source =
        mount.volume().map_or_else(|| host.with_tilde(&mount.source), |name| format!("volume {name}"));
    let target =
        if mount.destination == mount.source { String::new() } else { format!(" -> {}", mount.destination) };
    let access = if mount.writable { "" } else { " (read-only)" };
    format!("{source}{target}{access}")
}

fn capabilities(names: Option<&Vec<String>>) -> Vec<&str> {
    names.into_iter().flatten().map(|name| name.trim_start_matches("CAP_")).collect()
}

/// Converts a number that is not huge, such as mebibytes or thousandths of a processor.
fn float(number: i64) -> f64 {
    f64::from(i32::try_from(number).unwrap_or(i32::MAX))
}
