//! The engine's description of itself: where it runs, as which user, and which limits it enforces.

use std::fmt;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::base::error::Failure;
use crate::base::text;
use crate::engine::json::{at, or_default};
use crate::host::machine::{Host, Os};

/// The rights with which an engine runs containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// As root.
    Rootful,
    /// As the user, or as the ordinary user of a virtual machine.
    Rootless,
}

/// Where an engine runs, if not directly on this machine: mostly the product that runs it in a virtual machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    /// No product: the engine is on another machine, which sees the user's directories over NFS or the like, if at all.
    Elsewhere,
}

/// The properties of an engine that decide how cage uses it.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// Whether `cp` may follow a link that code in another container puts on the way to a mount point meanwhile.
    #[serde(skip)]
    pub copies_through_links: bool,
}

/// The version of docker whose `cp` doesn't follow links while it mounts what the container mounts. At first it mounted in the
/// engine's own mount namespace, for good where a link led (<https://github.com/moby/moby/pull/44210>), and until 29.5.1 it created
/// mount points there (<https://github.com/moby/moby/security/advisories/GHSA-vp62-88p7-qqf5>). Without root, too: the engine runs
/// programs of the user in its namespace.
const FOLLOWS_NO_LINKS: (u32, u32) = (29, 6);

/// A resource that can be limited for a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// Processes.
    Processes,
    /// Memory.
    Memory,
    /// Processor time.
    Processors,
}

/// The parts of an engine's answer to `info` that cage uses.
#[derive(Debug, Clone)]
pub struct Info {
    /// The properties that decide how cage uses the engine.
    pub engine: Engine,
    /// The engine's version.
    pub version: String,
    /// Whether the engine filters system calls.
    pub seccomp: bool,
    /// The directory with images and containers if it is on this machine.
    pub directory: Option<PathBuf>,
}

impl Limit {
    /// Returns the limits that can't be enforced with only these controllers of cgroup v2.
    fn without<T: AsRef<str>>(controllers: &[T]) -> Vec<Self> {
        let limits = [(Self::Processes, "pids"), (Self::Memory, "memory"), (Self::Processors, "cpu")];
        let is_missing = |name: &str| controllers.iter().all(|controller| controller.as_ref() != name);
        limits.into_iter().filter(|(_, name)| is_missing(name)).map(|(limit, _)| limit).collect()
    }
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
            Self::Elsewhere => "another machine",
        })
    }
}

impl Engine {
    /// Returns where the engine runs, and as which user.
    pub fn location(&self) -> String {
        match (self.mode, self.machine) {
            (Mode::Rootful, None) => "run by root on this machine".to_owned(),
            (Mode::Rootless, None) => "run without root on this machine".to_owned(),
            (Mode::Rootful, Some(Product::Elsewhere)) => "run by root on another machine".to_owned(),
            (Mode::Rootless, Some(Product::Elsewhere)) => "run without root on another machine".to_owned(),
            (Mode::Rootful | Mode::Rootless, Some(product)) => format!("in a virtual machine ({product})"),
        }
    }

    /// Returns the properties of a podman on this machine, which runs as the user.
    pub(super) fn local_podman(host: &Host) -> Self {
        let mode = if host.ids.uid == 0 { Mode::Rootful } else { Mode::Rootless };
        let unenforced = match (mode, &host.systemd().controllers) {
            (_, Some(controllers)) => Limit::without(controllers),
            (Mode::Rootless, None) => Limit::without::<&str>(&[]),
            (Mode::Rootful, None) => Vec::new(),
        };
        let selinux = host.selinux;
        Self { mode, machine: None, selinux, remaps: false, unenforced, copies_through_links: false }
    }
}

/// Reads docker's answer to `info --format '{{json .}}'`, which a client called `client` printed:
/// <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/System/operation/SystemInfo>.
///
/// # Errors
/// When the answer can't be read, or comes from podman: docker's client can't map users as podman's own client does, and
/// podman's `cp` changes owners.
pub(super) fn read_docker(said: &str, client: &str, host: &Host) -> Result<Info> {
    let info = parse(said)?;
    // docker has never had this log driver: https://docs.docker.com/engine/logging/configure/#supported-logging-drivers
    let is_podman = or_default::<Vec<&str>>(&info, "/Plugins/Log")?.contains(&"k8s-file");
    ensure!(
        !is_podman,
        Failure::new(format!("`{}` talks to podman here", text::escape(client)))
            .hint("`--runtime podman` or CAGE_RUNTIME=podman uses podman's own client")
    );
    let options: Vec<&str> = or_default(&info, "/SecurityOptions")?;
    let has = |option| options.iter().any(|text| text.split(',').any(|field| field == option));
    let limits = [
        (Limit::Processes, at::<Option<bool>>(&info, "/PidsLimit")?),
        (Limit::Memory, at(&info, "/MemoryLimit")?),
        (Limit::Processors, at(&info, "/CpuCfsQuota")?),
    ];
    let unenforced = limits.into_iter().filter(|(_, can)| *can == Some(false));
    let machine = product(or_default(&info, "/OperatingSystem")?, or_default(&info, "/Name")?, host);
    let version: String = or_default(&info, "/ServerVersion")?;
    Ok(Info {
        seccomp: options.iter().any(|option| option.contains("seccomp") && !option.contains("unconfined")),
        directory: directory(or_default(&info, "/DockerRootDir")?, machine.is_none(), host),
        engine: Engine {
            mode: if has("name=rootless") { Mode::Rootless } else { Mode::Rootful },
            machine,
            selinux: has("name=selinux"),
            remaps: has("name=userns"),
            unenforced: unenforced.map(|(limit, _)| limit).collect(),
            copies_through_links: version_numbers(&version).is_none_or(|version| version < FOLLOWS_NO_LINKS),
        },
        version,
    })
}

/// Recognises the product by its system, or by the name of its virtual machine, which the user can change. If the engine reports
/// this machine's own name, it is here, even inside a virtual machine.
fn product(system: &str, name: &str, host: &Host) -> Option<Product> {
    let is_here = host.os == Os::Linux && host.nodename.as_deref() == Some(name);
    let name = if is_here { "" } else { name };
    let says = |start: &str, part: &str| system.starts_with(start) || name.contains(part);
    let known = [
        (Product::DockerDesktop, says("Docker Desktop", "docker-desktop")),
        (Product::OrbStack, says("OrbStack", "orbstack")),
        (Product::RancherDesktop, says("Rancher Desktop", "rancher-desktop")),
        (Product::Colima, name.starts_with("colima")),
        (Product::Lima, name.starts_with("lima-")),
        (Product::Unknown, host.os != Os::Linux),
    ];
    known.into_iter().find(|(_, is_it)| *is_it).map(|(product, _)| product)
}

/// Reads podman's answer to `info --format '{{json .}}'`: <https://docs.podman.io/en/latest/markdown/podman-info.1.html>.
///
/// # Errors
/// When it can't be read.
pub(super) fn read_podman(said: &str, host: &Host) -> Result<Info> {
    let info = parse(said)?;
    let is_remote = or_default(&info, "/host/serviceIsRemote")?;
    let mut engine = Engine::local_podman(host);
    engine.machine = (host.os != Os::Linux).then_some(Product::PodmanMachine);
    if engine.machine.is_some() || is_remote {
        engine.unenforced.clear();
        let is_rootful = at::<Option<bool>>(&info, "/host/security/rootless")? == Some(false);
        engine.mode = if is_rootful { Mode::Rootful } else { Mode::Rootless };
        engine.selinux = or_default(&info, "/host/security/selinuxEnabled")?;
    }
    if engine.mode == Mode::Rootless && or_default::<&str>(&info, "/host/cgroupVersion")? == "v2" {
        // systemd delegates only some controllers to users.
        let controllers: Vec<&str> = or_default(&info, "/host/cgroupControllers")?;
        engine.unenforced = Limit::without(&controllers);
    }
    Ok(Info {
        engine,
        version: or_default(&info, "/version/Version")?,
        seccomp: or_default(&info, "/host/security/seccompEnabled")?,
        directory: directory(or_default(&info, "/store/graphRoot")?, !is_remote, host),
    })
}

/// Returns the two numbers that a version begins with.
pub fn version_numbers(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim_start_matches('v').split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next().and_then(Result::ok).unwrap_or_default()))
}

/// Returns the directory with images and containers if it is on this machine.
fn directory(path: PathBuf, is_here: bool, host: &Host) -> Option<PathBuf> {
    Some(path).filter(|path| is_here && host.os == Os::Linux && path.is_absolute())
}

/// Returns the errors that docker's client prints instead of an answer. Before version 23, its exit status is 0 even then.
pub(super) fn server_errors(said: &str) -> Option<String> {
    let answer: Value = serde_json::from_str(said).ok()?;
    Some(at::<Vec<String>>(&answer, "/ServerErrors").ok()?.join("\n"))
}

fn parse(said: &str) -> Result<Value> {
    let object: Map<String, Value> =
        serde_json::from_str(said).context("cannot read the engine's answer to `info`")?;
    Ok(object.into())
}

#[cfg(test)]
mod tests;
