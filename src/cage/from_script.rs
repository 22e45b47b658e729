//! Cages that the bash script of the same name made: recognising them, and the options that a new cage takes over from them.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use crate::base::error::Failure;
use crate::base::text::quote;
use crate::base::{file, text};
use crate::cage::create_options::{Choice, CreateOptions, resolve};
use crate::cage::existing::Cage;
use crate::cage::isolation;
use crate::cage::options::{TABLE, Value};
use crate::cage::ssh_agent::SOCKET;
use crate::engine::mount::Mount;
use crate::engine::publish::Publish;
use crate::host::machine::Host;

/// The labels of later scripts: ports with blanks between, and a mount on each line, as they were typed.
const PORTS_LABEL: &str = "cage.ports";
const VOLUMES_LABEL: &str = "cage.volumes";

/// The path of the SSH agent's socket in the script's cages on Linux.
const SCRIPTS_SOCKET: &str = "/tmp/ssh-agent.sock";

/// The options that a new cage takes over from one of the script, and messages about them.
#[derive(Debug, Default)]
pub struct TakenOver {
    /// The ports and mounts.
    pub options: CreateOptions,
    /// Messages about what is taken over, not escaped.
    pub said: Vec<String>,
    /// Messages about what is left out, not escaped.
    pub warned: Vec<String>,
}

impl Cage {
    /// Returns the ports and mounts of a cage of the script, without those that `typed` replaces: those of the container, and of
    /// them only those in the labels of later scripts, if there are any. An image can have such labels, too, so they can't add
    /// anything.
    ///
    /// # Errors
    /// When a label can't be read, or a mount can't be resolved.
    pub fn taken_over(&self, host: &Host, typed: &CreateOptions) -> Result<TakenOver> {
        let mut all = TakenOver::default();
        let mut are_open = false;
        for (publish, was_open) in self.scripts_ports(&mut all)? {
            if all.add(typed, Value::Port(publish)) {
                are_open |= was_open;
            }
        }
        for mount in self.scripts_mounts(host, &mut all)? {
            if let Some(why) = self.unusable(host, &mount) {
                all.leave_out(&format!("-v {}", mount.to_volume_option()), why);
            } else if !typed.replaces(&choice(Value::Mount(mount.clone()))) {
                let base = Path::new(self.project());
                let mount = resolve(mount, base, &mut all.options.links)?;
                all.add(typed, Value::Mount(mount));
            }
        }
        let words = all.options.words().concat();
        if !words.is_empty() {
            let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
            all.said.push(format!("taken over from the script's cage: {}", words.join(" ")));
        }
        if are_open {
            all.said.push(
                "its ports were open to the network; now they are on 127.0.0.1 (`-p 0.0.0.0:HOST:PORT` opens one)"
                    .to_owned(),
            );
        }
        Ok(all)
    }

    /// Returns the ports, each with whether it was open to the network. A label has them as they were typed, without a port of the
    /// host that the engine chose.
    fn scripts_ports(&self, all: &mut TakenOver) -> Result<Vec<(Publish, bool)>> {
        let asked = self.asked_ports.iter().map(|port| {
            let publish = port.to_publish().ok_or_else(|| self.unreadable("ports", &port.to_string()))?;
            Ok((publish.on_localhost(), publish.is_open()))
        });
        let asked: Vec<(Publish, bool)> = asked.collect::<Result<_>>()?;
        let Some(label) = self.label(PORTS_LABEL) else { return Ok(asked) };
        let mut ports = Vec::new();
        for word in label.split_whitespace() {
            let typed: Publish = word.parse().map_err(|_| self.unreadable(PORTS_LABEL, word))?;
            match asked.iter().find(|(asked, _)| typed.reaches(asked)) {
                Some((asked, was_open)) => ports.push((typed.at_address_of(asked), *was_open)),
                None => all.leave_out(&format!("-p {word}"), "the container doesn't have it"),
            }
        }
        Ok(ports)
    }

    /// Returns the mounts, without those that every cage has. A label chooses some of those that the container has.
    fn scripts_mounts(&self, host: &Host, all: &mut TakenOver) -> Result<Vec<Mount>> {
        let agent = self.environment.iter().find_map(|variable| variable.strip_prefix("SSH_AUTH_SOCK="));
        let own_targets = [Some(self.project()), Some(SOCKET), Some(SCRIPTS_SOCKET), agent];
        let mut chosen = self.label(VOLUMES_LABEL).map(|label| self.targets(host, label)).transpose()?;
        let mut mounts = Vec::new();
        for (source, target, options) in self.host_config.binds() {
            // A volume without a name, whose content goes with the container.
            let is_anonymous = source.len() == 64 && source.bytes().all(|byte| byte.is_ascii_hexdigit());
            let is_own = source == host.home_volume || own_targets.contains(&Some(target));
            let is_chosen = chosen.as_mut().is_none_or(|chosen| chosen.remove(target.trim_end_matches('/')));
            if is_anonymous || is_own || !is_chosen {
                continue;
            }
            let readonly = if options.split(',').any(|option| option == "ro") { ":ro" } else { "" };
            let option = format!("{source}:{target}{readonly}");
            match option.parse::<Mount>() {
                Ok(mount) => mounts.push(mount),
                Err(why) => all.leave_out(&format!("-v {option}"), &why),
            }
        }
        for target in chosen.into_iter().flatten() {
            all.leave_out(&format!("-v …:{target}"), "the container doesn't have it");
        }
        Ok(mounts)
    }

    /// Returns the paths in the container of the mounts in a label: `SOURCE:TARGET[:OPTIONS]`, `PATH` or `PATH::ro`.
    fn targets(&self, host: &Host, label: &str) -> Result<BTreeSet<String>> {
        let lines = label.lines().map(str::trim).filter(|line| !line.is_empty());
        let target = |line: &str| {
            let mut fields = line.splitn(3, ':');
            let source = fields.next().unwrap_or_default();
            let target = fields.next().filter(|target| !target.is_empty()).unwrap_or(source);
            let home = host.home.as_ref().and_then(|home| home.to_str());
            let target = match (target.strip_prefix("~/"), home) {
                (Some(below), Some(home)) => format!("{home}/{below}"),
                _ => target.to_owned(),
            };
            let target = target.trim_end_matches('/').to_owned();
            Ok(Some(target)
                .filter(|target| target.starts_with('/'))
                .ok_or_else(|| self.unreadable(VOLUMES_LABEL, line))?)
        };
        lines.map(target).collect()
    }

    /// Returns why a mount is not taken over, if it isn't.
    fn unusable(&self, host: &Host, mount: &Mount) -> Option<&'static str> {
        let path = Path::new(self.project()).join(mount.source_path()?);
        if isolation::holds_engine_socket(host, &path) {
            Some("an engine's socket gives the cage control of this machine; type it if you mean that")
        } else if file::is_gone(&path) {
            Some("its source is gone")
        } else {
            None
        }
    }

    fn unreadable(&self, what: &str, text: &str) -> Failure {
        let text: String = text.chars().take(80).collect();
        Failure::new(format!("cannot read `{}` in the {what} of {}", text::escape(&text), self.name)).hint(
            "`cage restart --fresh` forgets what the script's cage had; add -p and -v to have them again",
        )
    }
}

fn choice(value: Value) -> Choice {
    let flag = if matches!(value, Value::Port(_)) { "--publish" } else { "--volume" };
    let option = TABLE.iter().find(|option| option.flag == flag).unwrap_or(&TABLE[0]);
    Choice::typed(option, value)
}

impl TakenOver {
    /// Adds an option unless one that was typed replaces it. Returns whether it was added.
    fn add(&mut self, typed: &CreateOptions, value: Value) -> bool {
        let new = choice(value);
        let is_new = !typed.replaces(&new) && !self.options.replaces(&new);
        self.options.chosen.extend(is_new.then_some(new));
        is_new
    }

    fn leave_out(&mut self, option: &str, why: &str) {
        self.warned.push(format!("not taken over: `{option}`: {why}"));
    }
}
