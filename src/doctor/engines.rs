//! The engines that are installed: whether they answer, and what they say of themselves.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Told;
use crate::engine::error::{EngineError, Trouble};
use crate::engine::runner::Runner;
use crate::engine::runtime::{Engine, Limit, Mode, Runtime, RuntimeKind};
use crate::host::machine::{Host, Os};
use crate::lifecycle::create::endpoint;

/// A client that is installed, and what came of asking it.
#[derive(Debug)]
pub struct Candidate {
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Is it among those that cage tries?
    pub tried: bool,
    /// The client, once it has said what it speaks.
    pub runtime: Option<Runtime>,
    /// The client's version.
    pub client: Option<String>,
    /// Where it finds its engine; empty for a podman on this machine.
    pub endpoint: String,
    /// What the engine said, or why it didn't.
    pub server: Result<Server, Silence>,
}

/// Why an engine said nothing.
#[derive(Debug)]
pub struct Silence {
    /// What kind of silence.
    pub why: Why,
    /// The words for it.
    pub told: Told,
}

/// Why an engine said nothing, as far as it matters for what cage does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It doesn't run.
    Down,
    /// The person may not use it.
    Forbidden,
    /// The client is none, as WSL has one.
    Stub,
    /// It took too long. cage waits for ever.
    Late,
    /// It said something else.
    Broken,
}

/// What an engine says of itself.
#[derive(Debug, Clone)]
pub struct Server {
    /// What cage goes by.
    pub engine: Engine,
    /// Its version.
    pub version: String,
    /// What it is part of, with a version: `Docker Desktop 4.44.3 (202357)`.
    pub platform: String,
    /// What makes its containers, and the version: `runc`, `1.2.8`.
    pub oci_runtime: Option<(String, String)>,
    /// The processor it has, as Go names it.
    pub architecture: String,
    /// Does it have an init for containers? docker says so.
    pub init: Option<bool>,
    /// Does it filter system calls?
    pub seccomp: bool,
    /// Does it use `AppArmor`?
    pub apparmor: bool,
    /// Where it keeps things, if that is on this machine.
    pub root: Option<PathBuf>,
}

impl Candidate {
    /// Does it speak podman?
    pub fn is_podman(&self) -> bool {
        self.runtime.as_ref().is_some_and(|runtime| runtime.kind == RuntimeKind::Podman)
    }

    /// Asks the client `name` at `path`, and gives up at `runner.until`.
    pub fn look(host: &Host, runner: Runner, name: &str, path: PathBuf, tried: bool) -> Self {
        let mut found = Self {
            name: name.to_owned(),
            path: path.clone(),
            tried,
            runtime: None,
            client: None,
            endpoint: String::new(),
            server: Err(Silence { why: Why::Broken, told: Told::default() }),
        };
        match Runtime::identify(runner, name, path) {
            Ok(runtime) => {
                found.endpoint = endpoint(host, runner, &runtime).unwrap_or_default();
                found.server = found.ask(host, runner, &runtime).map_err(|error| silence(&error, runner));
                found.runtime = Some(runtime);
            }
            Err(error) => {
                let mut silence = silence(&error, runner);
                if silence.why == Why::Broken && error.is::<EngineError>() {
                    silence.why = Why::Stub;
                }
                found.server = Err(silence);
            }
        }
        found
    }

    fn ask(&mut self, host: &Host, runner: Runner, runtime: &Runtime) -> Result<Server> {
        match runtime.kind {
            RuntimeKind::Docker => {
                let ask = runtime.command(["version", "--format", "{{json .}}"]);
                let output = runner.capture(&ask)?;
                // Without an engine the client still tells of itself.
                let version: Option<DockerVersion> = serde_json::from_slice(&output.stdout).ok();
                self.client =
                    version.as_ref().and_then(|version| Some(version.client.as_ref()?.version.clone()));
                if !output.status.success() {
                    return Err(EngineError::new(&ask, output.status, &output.stderr).into());
                }
                let version = version.with_context(|| format!("cannot read the answer of `{ask}`"))?;
                let info = runner.run(&runtime.info())?;
                docker_server(host, runtime, version, &info)
            }
            RuntimeKind::Podman => {
                let client = runner.run(&runtime.command(["version", "--format", "{{.Client.Version}}"]))?;
                self.client = Some(client.trim().to_owned());
                let info = runner.run(&runtime.info())?;
                Ok(podman_server(host, runtime.engine(host, runner)?, read(&info)?))
            }
        }
    }
}

/// Which of `candidates` cage uses: as `Session::ask` does, the first that answers, or that fails in a way after which it
/// doesn't go on to the next.
pub fn chosen(candidates: &[Candidate]) -> Option<usize> {
    let mut silent = false;
    for (index, candidate) in candidates.iter().enumerate().filter(|(_, candidate)| candidate.tried) {
        match &candidate.server {
            Ok(_) => return Some(index),
            Err(silence) => match silence.why {
                Why::Down | Why::Forbidden | Why::Stub => silent = true,
                Why::Late => return Some(index),
                Why::Broken if !silent => return Some(index),
                Why::Broken => {}
            },
        }
    }
    None
}

fn silence(error: &anyhow::Error, runner: Runner) -> Silence {
    let trouble = error.downcast_ref::<EngineError>().map(EngineError::trouble);
    let is_late = runner.until.is_some_and(|until| Instant::now() >= until);
    let why = match trouble {
        Some(Trouble::Unreachable) => Why::Down,
        Some(Trouble::PermissionDenied) => Why::Forbidden,
        _ if is_late => Why::Late,
        _ => Why::Broken,
    };
    let told = match why {
        Why::Late => Told::new("it does not answer in time").fix("the engine may be stuck: restart it"),
        _ => Told::of(error),
    };
    Silence { why, told }
}

fn read<T: DeserializeOwned>(said: &str) -> Result<T> {
    serde_json::from_str(said).context("cannot read what the engine says of itself")
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerVersion {
    client: Option<DockerPart>,
    server: Option<DockerPart>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct DockerPart {
    version: String,
    arch: String,
    platform: Named,
    components: Option<Vec<Named>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Named {
    name: String,
    version: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct DockerInfo {
    security_options: Option<Vec<String>>,
    docker_root_dir: String,
}

fn docker_server(host: &Host, runtime: &Runtime, version: DockerVersion, info: &str) -> Result<Server> {
    let engine = runtime.read_engine(info, host)?;
    let info: DockerInfo = read(info)?;
    let server = version.server.unwrap_or_default();
    let components = server.components.unwrap_or_default();
    let component = |name: &str| components.iter().find(|component| component.name == name);
    let options = info.security_options.unwrap_or_default();
    let here = engine.machine.is_none() && host.os == Os::Linux && !info.docker_root_dir.is_empty();
    Ok(Server {
        version: server.version,
        platform: server.platform.name,
        oci_runtime: ["runc", "crun"]
            .iter()
            .find_map(|name| component(name))
            .map(|component| (component.name.clone(), component.version.clone())),
        architecture: server.arch,
        // Podman's and other engines don't list their parts.
        init: (!components.is_empty()).then(|| component("docker-init").is_some()),
        seccomp: options.iter().any(|option| option.contains("seccomp") && !option.contains("unconfined")),
        apparmor: options.iter().any(|option| option.contains("apparmor")),
        root: here.then(|| info.docker_root_dir.into()),
        engine,
    })
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PodmanInfo {
    host: PodmanHost,
    store: PodmanStore,
    version: Named,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PodmanHost {
    arch: String,
    cgroup_version: String,
    cgroup_controllers: Vec<String>,
    oci_runtime: PodmanRuntime,
    security: PodmanSecurity,
    service_is_remote: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodmanRuntime {
    name: String,
    version: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PodmanSecurity {
    seccomp_enabled: bool,
    apparmor_enabled: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PodmanStore {
    graph_root: String,
}

fn podman_server(host: &Host, mut engine: Engine, info: PodmanInfo) -> Server {
    if engine.mode == Mode::Rootless && info.host.cgroup_version == "v2" {
        // A person's systemd hands some of them on only.
        let has = |name: &str| info.host.cgroup_controllers.iter().any(|controller| controller == name);
        let limits = [(Limit::Processes, "pids"), (Limit::Memory, "memory"), (Limit::Processors, "cpu")];
        engine.unenforced =
            limits.into_iter().filter(|(_, controller)| !has(controller)).map(|(limit, _)| limit).collect();
    }
    let runtime = info.host.oci_runtime;
    // `runc version 1.1.5+ds1`, and more lines.
    let version = runtime.version.lines().next().and_then(|line| line.split_whitespace().last());
    let here = !info.host.service_is_remote && host.os == Os::Linux && !info.store.graph_root.is_empty();
    Server {
        engine,
        version: info.version.version,
        platform: String::new(),
        oci_runtime: version.map(|version| (runtime.name.clone(), version.to_owned())),
        architecture: info.host.arch,
        init: None,
        seccomp: info.host.security.seccomp_enabled,
        apparmor: info.host.security.apparmor_enabled,
        root: here.then(|| info.store.graph_root.into()),
    }
}

/// The clients to ask: those that cage tries, and the other ones that are installed.
///
/// # Errors
/// When cage finds none to try.
pub fn installed(
    host: &Host,
    choice: Option<&str>,
    project: Option<&Path>,
) -> (Vec<(String, PathBuf, bool)>, Option<anyhow::Error>) {
    let (mut found, error) = match Runtime::candidates(host, choice, project) {
        Ok(found) => (found, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let tried = found.len();
    for name in ["docker", "podman"] {
        let others = Runtime::candidates(host, Some(name), project).unwrap_or_default();
        for (name, path) in others {
            if !found.iter().any(|(_, known)| *known == path) {
                found.push((name, path));
            }
        }
    }
    let named = found.into_iter().enumerate();
    (named.map(|(index, (name, path))| (name.to_owned(), path, index < tried)).collect(), error)
}

#[cfg(test)]
impl Server {
    /// The docker that said this of itself, to `version` and to `info`.
    pub fn recorded_docker(host: &Host, version: &str, info: &str) -> Self {
        let runtime = Runtime::sample(RuntimeKind::Docker);
        docker_server(host, &runtime, serde_json::from_str(version).unwrap(), info).unwrap()
    }

    /// The podman that said this of itself.
    pub fn recorded_podman(host: &Host, info: &str) -> Self {
        let mode = if host.ids.uid == 0 { Mode::Rootful } else { Mode::Rootless };
        let machine = (host.os != Os::Linux).then_some(crate::engine::runtime::Product::PodmanMachine);
        let engine = Engine { mode, machine, selinux: false, remaps: false, unenforced: Vec::new() };
        podman_server(host, engine, serde_json::from_str(info).unwrap())
    }
}
