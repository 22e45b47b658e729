//! The engine's description of itself: where it runs, as which user, and which limits it enforces.

use std::fmt;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::base::error::Failure;
use crate::base::text;
use crate::host::machine::{Host, Os};

/// The rights with which an engine runs containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// root.
    Rootful,
    /// The user; in a virtual machine, that machine's ordinary user.
    Rootless,
}

/// The product that runs an engine in a virtual machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// Docker Desktop, on a Mac, on Linux, or for WSL.
    DockerDesktop,
    /// `OrbStack`.
    OrbStack,
    /// Rancher Desktop with dockerd.
    RancherDesktop,
    /// Colima.
    Colima,
    /// Lima by itself.
    Lima,
    /// `podman machine`.
    PodmanMachine,
    /// An unknown product.
    Unknown,
}

/// The properties of an engine that decide how cage uses it.
#[derive(Debug, Clone)]
pub struct Engine {
    /// Whether containers run as root or as an ordinary user.
    pub mode: Mode,
    /// The virtual machine that they run in, if any.
    pub machine: Option<Product>,
    /// Whether `SELinux` keeps containers from mounted directories.
    pub selinux: bool,
    /// Whether the engine maps all user IDs (docker's `userns-remap`).
    pub remaps: bool,
    /// The limits that the engine can't enforce.
    pub unenforced: Vec<Limit>,
}

/// A resource that can be limited for a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Processes.
    Processes,
    /// Memory.
    Memory,
    /// Processor time.
    Processors,
}

/// An engine's answer to `info`, as far as cage uses it.
#[derive(Debug, Clone)]
pub struct Info {
    /// The properties that decide how cage uses the engine.
    pub engine: Engine,
    /// The engine's version.
    pub version: String,
    /// Whether the engine filters system calls.
    pub seccomp: bool,
    /// The directory with images and containers, if it is on this machine.
    pub directory: Option<PathBuf>,
}

/// docker's answer to `info --format '{{json .}}'`:
/// <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/System/operation/SystemInfo>.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct DockerInfo {
    operating_system: String,
    name: String,
    server_version: String,
    docker_root_dir: PathBuf,
    security_options: Option<Vec<String>>,
    plugins: DockerPlugins,
    pids_limit: Option<bool>,
    memory_limit: Option<bool>,
    cpu_cfs_quota: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct DockerPlugins {
    log: Option<Vec<String>>,
}

/// podman's answer to `info --format '{{json .}}'`: <https://docs.podman.io/en/latest/markdown/podman-info.1.html>.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct PodmanInfo {
    host: PodmanHost,
    store: PodmanStore,
    version: PodmanVersion,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PodmanHost {
    cgroup_version: String,
    cgroup_controllers: Option<Vec<String>>,
    security: PodmanSecurity,
    service_is_remote: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PodmanSecurity {
    rootless: Option<bool>,
    seccomp_enabled: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PodmanStore {
    graph_root: PathBuf,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct PodmanVersion {
    version: String,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Processes => "processes",
            Self::Memory => "memory",
            Self::Processors => "processors",
        })
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DockerDesktop => "Docker Desktop",
            Self::OrbStack => "OrbStack",
            Self::RancherDesktop => "Rancher Desktop",
            Self::Colima => "Colima",
            Self::Lima => "Lima",
            Self::PodmanMachine => "podman machine",
            Self::Unknown => "a virtual machine",
        })
    }
}

impl Engine {
    /// Returns where the engine runs, and as which user.
    pub fn location(&self) -> String {
        match (self.mode, self.machine) {
            (Mode::Rootful, None) => "run by root on this machine".to_owned(),
            (Mode::Rootless, None) => "run without root on this machine".to_owned(),
            (Mode::Rootful | Mode::Rootless, Some(product)) => format!("in a virtual machine ({product})"),
        }
    }

    /// Returns the properties of a podman on this machine, which runs as the user.
    pub(super) fn local_podman(host: &Host) -> Self {
        let mode = if host.ids.uid == 0 { Mode::Rootful } else { Mode::Rootless };
        let unenforced = match mode {
            Mode::Rootless if !host.cgroup_v2 => vec![Limit::Processes, Limit::Memory, Limit::Processors],
            Mode::Rootful | Mode::Rootless => Vec::new(),
        };
        Self { mode, machine: None, selinux: host.selinux, remaps: false, unenforced }
    }
}

impl DockerInfo {
    /// Reads the answer that a client called `client` printed.
    ///
    /// # Errors
    /// When it can't be read, or comes from podman: docker's client can't map users as podman's own does, and podman's
    /// `cp` changes owners.
    pub(super) fn read(said: &str, client: &str, host: &Host) -> Result<Info> {
        let info: Self = parse(said)?;
        // docker never had this log driver: https://docs.docker.com/engine/logging/configure/#supported-logging-drivers
        let is_podman = info.plugins.log.iter().flatten().any(|driver| driver == "k8s-file");
        ensure!(
            !is_podman,
            Failure::new(format!("`{}` talks to podman here", text::escape(client)))
                .hint("`--runtime podman` or CAGE_RUNTIME=podman uses podman's own client")
        );
        let engine = info.engine(host);
        let is_here = engine.machine.is_none() && host.os == Os::Linux;
        let options = info.security_options.unwrap_or_default();
        Ok(Info {
            seccomp: options
                .iter()
                .any(|option| option.contains("seccomp") && !option.contains("unconfined")),
            version: info.server_version,
            directory: Some(info.docker_root_dir).filter(|directory| is_here && directory.is_absolute()),
            engine,
        })
    }

    fn engine(&self, host: &Host) -> Engine {
        let has = |option: &str| {
            self.security_options.iter().flatten().any(|text| text.split(',').any(|field| field == option))
        };
        let limits = [
            (Limit::Processes, self.pids_limit),
            (Limit::Memory, self.memory_limit),
            (Limit::Processors, self.cpu_cfs_quota),
        ];
        let unenforced = limits.into_iter().filter(|(_, can)| *can == Some(false));
        Engine {
            mode: if has("name=rootless") { Mode::Rootless } else { Mode::Rootful },
            machine: self.product(host),
            selinux: has("name=selinux"),
            remaps: has("name=userns"),
            unenforced: unenforced.map(|(limit, _)| limit).collect(),
        }
    }

    /// Returns the product, known by the name of its system, or of its virtual machine, which the user can change. An engine
    /// whose machine has this machine's own name is in no virtual machine, even if this machine is one.
    fn product(&self, host: &Host) -> Option<Product> {
        let here = host.os == Os::Linux && host.nodename.as_ref() == Some(&self.name);
        let named = if here { "" } else { self.name.as_str() };
        let says =
            |system: &str, name: &str| self.operating_system.starts_with(system) || named.contains(name);
        if says("Docker Desktop", "docker-desktop") {
            Some(Product::DockerDesktop)
        } else if says("OrbStack", "orbstack") {
            Some(Product::OrbStack)
        } else if says("Rancher Desktop", "rancher-desktop") {
            Some(Product::RancherDesktop)
        } else if named.starts_with("colima") {
            Some(Product::Colima)
        } else if named.starts_with("lima-") {
            Some(Product::Lima)
        } else {
            (host.os != Os::Linux).then_some(Product::Unknown)
        }
    }
}

impl PodmanInfo {
    /// Reads the answer.
    ///
    /// # Errors
    /// When it can't be read.
    pub(super) fn read(said: &str, host: &Host) -> Result<Info> {
        let Self { host: machine, store, version } = parse(said)?;
        let is_here = host.os == Os::Linux && !machine.service_is_remote;
        Ok(Info {
            engine: machine.engine(host),
            version: version.version,
            seccomp: machine.security.seccomp_enabled,
            directory: Some(store.graph_root).filter(|directory| is_here && directory.is_absolute()),
        })
    }
}

impl PodmanHost {
    fn engine(&self, host: &Host) -> Engine {
        let mut engine = Engine::local_podman(host);
        engine.machine = (host.os != Os::Linux).then_some(Product::PodmanMachine);
        if engine.machine.is_some() || self.service_is_remote {
            engine.unenforced.clear();
            engine.mode = if self.security.rootless == Some(false) { Mode::Rootful } else { Mode::Rootless };
        }
        if engine.mode == Mode::Rootless && self.cgroup_version == "v2" {
            // systemd delegates only some controllers to users.
            let has = |name: &str| self.cgroup_controllers.iter().flatten().any(|has| has == name);
            let limits = [(Limit::Processes, "pids"), (Limit::Memory, "memory"), (Limit::Processors, "cpu")];
            let missing = limits.into_iter().filter(|(_, controller)| !has(controller));
            engine.unenforced = missing.map(|(limit, _)| limit).collect();
        }
        engine
    }
}

/// Returns the errors that docker's client got instead of an answer; before version 23 its status is 0 even so.
pub(super) fn server_errors(said: &str) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Failed {
        server_errors: Vec<String>,
    }
    serde_json::from_str::<Failed>(said).ok().map(|failed| failed.server_errors.join("\n"))
}

fn parse<T: DeserializeOwned>(said: &str) -> Result<T> {
    serde_json::from_str(said).context("cannot read the engine's answer to `info`")
}

#[cfg(test)]
impl Engine {
    /// Returns the engine that answered docker's `info` with this on a host with that system.
    pub fn recorded(os: Os, info: &str) -> Self {
        let mut host = Host::sample(&[]);
        host.os = os;
        host.nodename = Some("vm".into());
        DockerInfo::read(info, "docker", &host).unwrap().engine
    }
}

#[cfg(test)]
mod tests;
