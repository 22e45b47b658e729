//! Containers, as the engine describes them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::SystemTime;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::time;
use crate::engine::json::{at, or_default};
use crate::engine::publish::Publish;

/// The state of a container, with the engines' names for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The first process runs.
    Running,
    /// All processes are frozen.
    Paused,
    /// The first process has ended.
    #[serde(alias = "exited")]
    Stopped,
    /// The container is changing from one state to another.
    #[serde(alias = "restarting", alias = "removing", alias = "stopping")]
    Changing,
    /// The engine could not remove all of the container.
    Dead,
    /// Created, but never started. Also podman's `configured`, `initialized` and `unknown`: the engine starts them, or says why
    /// not.
    #[serde(other)]
    Created,
}

impl State {
    /// Returns whether the container has processes.
    pub fn is_up(self) -> bool {
        match self {
            Self::Running | Self::Paused | Self::Changing => true,
            Self::Created | Self::Stopped | Self::Dead => false,
        }
    }

    /// Returns the state in a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Changing => "changing",
            Self::Dead => "dead",
        }
    }
}

/// A container that exists.
#[derive(Debug, Clone)]
pub struct Container {
    /// The first 12 digits of the ID. cage acts on IDs, because another container may get the name meanwhile.
    pub id: String,
    /// The name, without the slash that docker puts before it.
    pub name: String,
    /// Whether it has been made, runs, is paused or has ended.
    pub state: State,
    /// The ID of the image, as the engine writes it.
    pub image_id: String,
    /// The labels, including those of its image.
    pub labels: HashMap<String, String>,
    /// The time of its creation in RFC 3339, if the engine tells.
    pub created: Option<String>,
    /// The time of its last start, as the engine writes it.
    pub started: String,
    /// The time of its last end, as the engine writes it.
    pub finished: String,
    /// The exit code of the first process, once that has ended.
    pub exit_code: i64,
    /// Whether the kernel has killed a process because memory ran out.
    pub out_of_memory: bool,
    /// The published ports.
    pub ports: Vec<Published>,
    /// The ports that it was created with: without those that the engine chose since.
    pub asked_ports: Vec<Published>,
    /// The mounted files, directories and volumes.
    pub mounts: Vec<Mounted>,
    /// The limits and privileges that the container was created with.
    pub host_config: HostConfig,
    /// The environment variables, `NAME=VALUE`.
    pub environment: Vec<String>,
    /// The name of its image, as the engine writes it.
    pub image: String,
}

/// A file, directory or volume that is mounted in a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Mounted {
    /// The volume's name; none or empty for a file or directory of the host.
    name: Option<String>,
    /// The path on the engine's machine.
    pub source: String,
    /// The path inside.
    pub destination: String,
    /// Whether it can be written.
    #[serde(rename = "RW")]
    pub writable: bool,
}

impl Mounted {
    /// Returns the volume's name, if it is a volume.
    pub fn volume(&self) -> Option<&str> {
        self.name.as_deref().filter(|name| !name.is_empty())
    }
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The port inside.
    pub port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The address of the host on which the port listens.
    pub host_address: String,
    /// The port of the host; none until the engine chooses a free one.
    pub host_port: Option<u16>,
}

impl Published {
    /// Returns the value of `-p` for the port, if there is one.
    pub fn to_publish(&self) -> Option<Publish> {
        let host_port = self.host_port.map(|port| port.to_string()).unwrap_or_default();
        let Self { port, protocol, host_address, .. } = self;
        format!("[{host_address}]:{host_port}:{port}/{protocol}").parse().ok()
    }
}

/// `3000/tcp -> 127.0.0.1:3000`.
impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host_address.contains(':') { ("[", "]") } else { ("", "") };
        let host_port = self.host_port.map_or("(any)".to_owned(), |port| port.to_string());
        let Self { port, protocol, host_address, .. } = self;
        write!(f, "{port}/{protocol} -> {open}{host_address}{close}:{host_port}")
    }
}

impl Published {
    /// Returns the port as a user would type it after `-p`; only the number if it is the same on both sides.
    pub fn brief(&self) -> String {
        let Self { port, protocol, host_address, host_port } = self;
        let address =
            if host_address.contains(':') { format!("[{host_address}]") } else { host_address.clone() };
        let protocol = if protocol == "tcp" { String::new() } else { format!("/{protocol}") };
        let host_port = host_port.map(|port| port.to_string()).unwrap_or_default();
        match address.as_str() {
            "127.0.0.1" if host_port == port.to_string() => format!("{port}{protocol}"),
            "127.0.0.1" => format!("{host_port}:{port}{protocol}"),
            address => format!("{address}:{host_port}:{port}{protocol}"),
        }
    }
}

/// The limits and privileges of a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostConfig {
    /// Whether the container has all privileges.
    pub privileged: bool,
    /// The largest number of processes; none, zero or less means unlimited.
    pub pids_limit: Option<i64>,
    /// The memory limit in bytes; 0 means unlimited.
    pub memory: i64,
    /// The CPU limit in billionths of a CPU; 0 means unlimited.
    pub nano_cpus: i64,
    /// Dropped capabilities.
    pub cap_drop: Option<Vec<String>>,
    /// Added capabilities.
    pub cap_add: Option<Vec<String>>,
    /// The network's mode or name.
    pub network_mode: String,
    /// Security options.
    pub security_opt: Option<Vec<String>>,
    /// The devices of this machine in it.
    pub devices: Option<Vec<Value>>,
    /// Where its processes are: `host`, `container:ID`, `private` or empty.
    pub pid_mode: String,
    /// The same for shared memory; also `shareable`.
    pub ipc_mode: String,
    /// When the engine starts the container by itself.
    pub restart_policy: RestartPolicy,
    /// The mounts that `-v` made, `SOURCE:TARGET[:OPTIONS]`; for podman also others.
    pub binds: Option<Vec<String>>,
}

/// When an engine starts a container by itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    /// The policy; `no` or nothing means never.
    pub name: String,
}

impl HostConfig {
    /// Iterates over the mounts that `-v` made: source, target and options.
    pub fn binds(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        // `-v` can't name a path with a colon.
        self.binds.iter().flatten().filter_map(|bind| {
            let mut fields = bind.splitn(3, ':');
            Some((fields.next()?, fields.next()?, fields.next().unwrap_or_default()))
        })
    }
}

impl Container {
    /// Reads one object of the engine's answer to `container inspect`.
    pub(super) fn read(object: &Value) -> Result<Self> {
        let id: &str = at(object, "/Id")?;
        let name: &str = at(object, "/Name")?;
        // A running container has the ports that it got, any other container those that it will ask for.
        let got = published(&or_default(object, "/NetworkSettings/Ports")?);
        let asked_ports = published(&or_default(object, "/HostConfig/PortBindings")?);
        Ok(Self {
            // As many digits as the engines show.
            id: id.get(..12).unwrap_or(id).to_owned(),
            name: name.trim_start_matches('/').to_owned(),
            state: at(object, "/State/Status")?,
            image_id: at(object, "/Image")?,
            labels: or_default(object, "/Config/Labels")?,
            created: at(object, "/Created")?,
            started: or_default(object, "/State/StartedAt")?,
            finished: or_default(object, "/State/FinishedAt")?,
            exit_code: or_default(object, "/State/ExitCode")?,
            out_of_memory: or_default(object, "/State/OOMKilled")?,
            ports: if got.is_empty() { asked_ports.clone() } else { got },
            asked_ports,
            mounts: or_default(object, "/Mounts")?,
            host_config: or_default(object, "/HostConfig")?,
            environment: or_default(object, "/Config/Env")?,
            image: at(object, "/Config/Image")?,
        })
    }

    /// Returns the path at which a volume is mounted, if it is.
    pub fn mount_point_of(&self, volume: &str) -> Option<&str> {
        let mut mounts = self.mounts.iter();
        mounts.find(|mount| mount.volume() == Some(volume)).map(|mount| mount.destination.as_str())
    }

    /// Returns whether nothing ever ran in the container. After a reboot, old podmans call those that ran `configured`, too.
    pub fn is_unused(&self) -> bool {
        self.state == State::Created && (self.started.is_empty() || self.started.starts_with("0001-01-01T"))
    }

    /// Returns when the container got into its state, if that is known.
    pub fn changed(&self) -> Option<SystemTime> {
        time::parse(match self.state {
            State::Running | State::Paused => &self.started,
            State::Stopped => &self.finished,
            State::Created => self.created.as_ref()?,
            State::Changing | State::Dead => return None,
        })
    }

    /// Iterates over the mounted files and directories of the host. An empty file system has no source.
    pub fn bind_mounts(&self) -> impl Iterator<Item = &Mounted> {
        self.mounts.iter().filter(|mount| mount.volume().is_none() && !mount.source.is_empty())
    }

    /// Returns the value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }
}

type Ports = BTreeMap<String, Option<Vec<Binding>>>;

fn published(ports: &Ports) -> Vec<Published> {
    let published = |(port, bindings): (&String, &Option<Vec<Binding>>)| -> Vec<Published> {
        bindings.iter().flatten().filter_map(|binding| binding.of(port)).collect()
    };
    ports.iter().flat_map(published).collect()
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Binding {
    host_ip: String,
    host_port: String,
}

impl Binding {
    /// Returns the published port for this binding of a container's port, `3000/tcp`.
    fn of(&self, port: &str) -> Option<Published> {
        let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        Some(Published {
            port: number.parse().ok()?,
            protocol: protocol.to_owned(),
            host_address: if self.host_ip.is_empty() { "0.0.0.0".into() } else { self.host_ip.clone() },
            host_port: self.host_port.parse().ok(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Container {
        /// A container of cage's for the project at `path`, in this state.
        pub fn sample(name: &str, path: &str, state: State) -> Self {
            Self {
                started: String::new(),
                finished: String::new(),
                exit_code: 0,
                out_of_memory: false,
                id: "0123456789ab".into(),
                name: name.into(),
                state,
                image_id: "sha256:1111111111".into(),
                labels: HashMap::from([("cage.project".into(), path.into())]),
                created: Some("2026-11-23T14:56:50.18856206Z".into()),
                ports: Vec::new(),
                asked_ports: Vec::new(),
                mounts: vec![Mounted {
                    name: Some("cage-home".into()),
                    source: "/volumes/cage-home".into(),
                    destination: "/home/vscode".into(),
                    writable: true,
                }],
                host_config: HostConfig::default(),
                environment: Vec::new(),
                image: "ghcr.io/pacificsky/devcontainer-lite:latest".into(),
            }
        }
    }

    impl Mounted {
        /// A writable file or directory of the host.
        pub fn bind(source: &str, destination: &str) -> Self {
            Self { name: None, source: source.into(), destination: destination.into(), writable: true }
        }
    }
}
