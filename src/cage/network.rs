//! Cages without a network, hostname or processes of their own: they share those of this machine, of another container or of
//! a pod, or have no network.

use anyhow::{Result, ensure};

use crate::base::error::Failure;
use crate::base::text;
use crate::cage::create_options::CreateOptions;
use crate::cage::options::NETWORK;
use crate::engine::args::{Flag, flags};
use crate::engine::publish::Publish;

/// What a flag of `create` shares with the cage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shared {
    /// There is no network.
    Nothing,
    /// The network of this machine.
    Machine,
    /// The network of another container or of a pod, with its hostname and `/etc/hosts`.
    Container,
    /// The hostname, of this machine or another container.
    Hostname,
    /// The `/etc/hosts` of the image.
    Hosts,
    /// The processes of this machine or another container.
    Processes,
    /// The shared memory of another container.
    Memory,
}

impl CreateOptions {
    /// Returns whether the cage has its own hostname. The engines refuse a name for one that is shared.
    pub fn has_hostname(&self) -> bool {
        !self.shares(&[Shared::Container, Shared::Hostname])
    }

    /// Returns whether the cage has its own `/etc/hosts`. The engines refuse to add to one that is shared.
    pub fn has_hosts(&self) -> bool {
        !self.shares(&[Shared::Container, Shared::Hosts])
    }

    /// Returns whether the cage's first process has PID 1 inside. The engines' init works only with PID 1.
    pub fn has_processes(&self) -> bool {
        !self.shares(&[Shared::Processes])
    }

    /// Returns whether the cage has its own network, with its own ports and loopback address.
    pub fn has_network(&self) -> bool {
        !self.shares(&[Shared::Nothing, Shared::Machine, Shared::Container])
    }

    /// Returns whether the cage is in a namespace of another container.
    pub fn joins_container(&self) -> bool {
        self.shared().iter().any(|(flag, _)| flag.contains("container:"))
    }

    /// Returns whether the engine chooses a port of the host.
    pub fn has_port_of_choice(&self) -> bool {
        self.ports().any(|publish| !publish.has_host_port())
    }

    /// Returns the published ports, with those that are passed to the engine.
    pub fn all_ports(&self) -> Vec<Publish> {
        let passed = flags(&self.engine_args).into_iter().filter(|flag| flag.name == "publish");
        self.ports().cloned().chain(passed.filter_map(|flag| Publish::passed(flag.value))).collect()
    }

    /// Checks that ports can be published in the cage's network.
    ///
    /// # Errors
    /// When they can't: the engines ignore them, or fail.
    pub fn check_ports(&self) -> Result<()> {
        let passed = flags(&self.engine_args);
        let passed = passed.iter().find(|flag| flag.name == "publish").map(|flag| flag.value.to_owned());
        let Some(port) = self.ports().map(ToString::to_string).chain(passed).next() else { return Ok(()) };
        let reason = |(flag, shared): &(String, Shared)| {
            let why = match shared {
                Shared::Nothing => "the cage has no network",
                Shared::Machine => {
                    "the cage uses this machine's network, and its ports are open here already"
                }
                Shared::Container => "the network belongs to another container, which can publish ports",
                _ => return None,
            };
            Some(format!("`-p {}` is not possible with `{flag}`: {why}", text::escape(&port)))
        };
        let reason = self.shared().iter().find_map(reason);
        ensure!(
            reason.is_none(),
            Failure::new(reason.unwrap_or_default()).hint(
                "leave one of them out (`cage restart --fresh` forgets kept ones); `cage forward` reaches ports without -p"
            )
        );
        Ok(())
    }

    fn shares(&self, any: &[Shared]) -> bool {
        self.shared().iter().any(|(_, shared)| any.contains(shared))
    }

    /// Returns the flags that share something, each as it could be typed.
    fn shared(&self) -> Vec<(String, Shared)> {
        let network = self.text(NETWORK);
        let network = network.as_deref().map(|value| Flag { name: "network", value, is_inline: true });
        let shown = |flag: &Flag| match flag.value {
            "" => format!("--{}", flag.name),
            value => format!("--{} {}", flag.name, text::escape(value)),
        };
        let all = flags(&self.engine_args).into_iter().chain(network);
        all.filter_map(|flag| Some((shown(&flag), shared(&flag)?))).collect()
    }
}

fn shared(flag: &Flag) -> Option<Shared> {
    let mode = flag.value.split(',').next().unwrap_or_default().trim_start_matches("name=");
    let is_container = mode.starts_with("container:");
    match (flag.name, mode) {
        ("network" | "net", "none") => Some(Shared::Nothing),
        ("network" | "net", "host") => Some(Shared::Machine),
        ("network" | "net", _) if is_container => Some(Shared::Container),
        ("pod" | "pod-id-file", _) => Some(Shared::Container),
        ("uts", _) if is_container || mode == "host" => Some(Shared::Hostname),
        ("pid", _) if is_container || mode == "host" => Some(Shared::Processes),
        ("ipc", _) if is_container => Some(Shared::Memory),
        ("no-hosts", _) => Some(Shared::Hosts),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(label: &str) -> CreateOptions {
        CreateOptions::from_label(label, &[]).unwrap()
    }

    #[test]
    fn what_is_shared_has_no_name_and_no_hosts_of_its_own() {
        assert!(!options("-- --pid host").has_processes() && options("-- --pid private").has_processes());
        for (label, joins) in [
            ("--network host -- --pid host", false),
            ("-- --ipc container:x", true),
            ("-- --pid=container:x", true),
        ] {
            assert_eq!(options(label).joins_container(), joins, "{label}");
        }
        for (label, hostname, hosts, loopback) in [
            ("", true, true, true),
            ("--network bridge -- --pid container:x --ipc host --uts private", true, true, true),
            ("--network none", true, true, false),
            ("-- --net=host", true, true, false),
            ("--network container:x", false, false, false),
            ("-- --network=container:x", false, false, false),
            ("-- --pod p", false, false, false),
            ("-- --uts host", false, true, true),
            ("-- --uts=container:x", false, true, true),
            ("-- --no-hosts", true, false, true),
        ] {
            let options = options(label);
            let found = (options.has_hostname(), options.has_hosts(), options.has_network());
            assert_eq!(found, (hostname, hosts, loopback), "{label}");
        }
    }

    #[test]
    fn ports_need_a_network_of_the_cages_own() {
        let error = |label: &str| options(label).check_ports().map_err(|error| error.to_string());
        for label in
            ["-p 3000", "--network host", "-p 3000 --network bridge", "-p 3000 -- --uts host --no-hosts"]
        {
            assert_eq!(error(label), Ok(()), "{label}");
        }
        assert_eq!(
            error("-p 3000:3000 --network none").unwrap_err(),
            "`-p 127.0.0.1:3000:3000` is not possible with `--network none`: the cage has no network"
        );
        for label in [
            "-p 3000 --network host",
            "-p 3000 --network container:x",
            "-p 3000 -- --net=none",
            "--network none -- -p 3000:3000",
            "-- --publish=80:80 --network name=host",
            "-p 3000 -- --pod p",
        ] {
            assert!(error(label).is_err(), "{label}");
        }
    }
}
