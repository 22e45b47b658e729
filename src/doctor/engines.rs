//! The installed engine clients, and whether an engine answers them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::engine::error::{EngineError, Trouble};
use crate::engine::runner::Runner;
use crate::engine::runtime::{self, Engine, Limit, Mode, Runtime, RuntimeKind};
use crate::host::machine::{Host, Os};
use crate::lifecycle::create::{endpoint, is_remote};

/// An installed docker or podman client and its engine's answer.
#[derive(Debug)]
pub struct Client {
    /// The name that the user knows it by.
    pub name: String,
    /// Whether cage tries this client.
    pub tried: bool,
    /// The client, unless it failed to name its version.
    pub runtime: Option<Runtime>,
    /// The address of the engine; empty for podman on this machine.
    pub endpoint: String,
    /// The engine's answer.
    pub server: Result<Server>,
}

/// An engine that answers.
#[derive(Debug, Clone)]
pub struct Server {
    /// The properties that every command uses.
    pub engine: Engine,
    /// The engine's version.
    pub version: String,
    /// The processor, as Go names it.
    pub architecture: String,
    /// Whether containers run with seccomp.
    pub seccomp: bool,
    /// The free space for images and containers in bytes, if they are on this machine.
    pub free_space: Option<u64>,
}

impl Client {
    /// Asks the client `name` at `path` for its engine.
    pub fn ask(host: &Host, runner: Runner, name: String, path: PathBuf, tried: bool) -> Self {
        let (runtime, server) = match Runtime::identify(runner, &name, path) {
            Ok(runtime) => {
                let server = Server::ask(host, runner, &runtime);
                (Some(runtime), server)
            }
            Err(error) => (None, Err(error)),
        };
        let endpoint = runtime.as_ref().and_then(|runtime| endpoint(host, runner, runtime).ok());
        Self { name, tried, runtime, endpoint: endpoint.unwrap_or_default(), server }
    }

    /// Returns the client's command line dialect.
    pub fn kind(&self) -> Option<RuntimeKind> {
        Some(self.runtime.as_ref()?.kind)
    }

    /// Returns whether the engine is on another machine.
    pub fn is_remote(&self) -> bool {
        is_remote(&self.endpoint)
    }

    /// Returns why the engine doesn't answer, as far as that is known.
    pub fn trouble(&self) -> Option<Trouble> {
        Some(self.server.as_ref().err()?.downcast_ref::<EngineError>()?.trouble())
    }
}

/// Returns the client that cage uses: the first whose engine answers, or one that keeps cage from trying the next.
pub fn used(clients: &[Client]) -> Option<usize> {
    let mut tried = clients.iter().take_while(|client| client.tried).enumerate();
    let used = tried.find(|(index, client)| match &client.server {
        Ok(_) => true,
        // cage itself has no time limit.
        Err(_) if client.trouble() == Some(Trouble::TimedOut) => true,
        Err(error) => *index == 0 && !runtime::is_skipped(error, client.runtime.is_some()),
    });
    used.map(|(index, _)| index)
}

/// Returns the name and path of each installed client, and whether cage tries it; those first.
pub fn installed(host: &Host, choice: Option<&str>, project: Option<&Path>) -> Vec<(String, PathBuf, bool)> {
    let mut installed: Vec<(String, PathBuf, bool)> = Vec::new();
    for name in choice.into_iter().chain(["docker", "podman"]) {
        let found = Runtime::candidates(host, Some(name), project).unwrap_or_default();
        for (name, path) in found {
            if !installed.iter().any(|(_, known, _)| *known == path) {
                let tried = choice.is_none_or(|choice| choice == name);
                installed.push((name.to_owned(), path, tried));
            }
        }
    }
    installed
}

impl Server {
    fn ask(host: &Host, runner: Runner, runtime: &Runtime) -> Result<Self> {
        match runtime.kind {
            RuntimeKind::Docker => {
                let format = "{{.Server.Version}} {{.Server.Arch}}";
                let versions = runner.run(&runtime.command(["version", "--format", format]))?;
                let info = runner.run(&runtime.info())?;
                Self::docker(host, runtime, &versions, &info)
            }
            RuntimeKind::Podman => {
                let info = runner.run(&runtime.info())?;
                Self::podman(runtime.engine(host, runner)?, host, &info)
            }
        }
    }

    /// Reads docker's answers to `version` and `info`.
    pub(super) fn docker(host: &Host, runtime: &Runtime, versions: &str, info: &str) -> Result<Self> {
        let engine = runtime.read_engine(info, host)?;
        let info = parse(info)?;
        let mut words = versions.split_whitespace().map(str::to_owned);
        let mut options = info["SecurityOptions"].as_array().into_iter().flatten().filter_map(Value::as_str);
        Ok(Self {
            version: words.next().unwrap_or_default(),
            architecture: words.next().unwrap_or_default(),
            seccomp: options.any(|option| option.contains("seccomp") && !option.contains("unconfined")),
            free_space: free_space(host, &engine, &info["DockerRootDir"]),
            engine,
        })
    }

    /// Reads podman's answer to `info`.
    pub(super) fn podman(mut engine: Engine, host: &Host, info: &str) -> Result<Self> {
        let info = parse(info)?;
        let machine = &info["host"];
        if engine.mode == Mode::Rootless && machine["cgroupVersion"] == "v2" {
            // systemd delegates only some controllers to users.
            let controllers = machine["cgroupControllers"].as_array().cloned().unwrap_or_default();
            let limits = [(Limit::Processes, "pids"), (Limit::Memory, "memory"), (Limit::Processors, "cpu")];
            let missing = limits.into_iter().filter(|(_, name)| !controllers.iter().any(|has| has == name));
            engine.unenforced = missing.map(|(limit, _)| limit).collect();
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Self {
            version: text(&info["version"]["Version"]),
            architecture: text(&machine["arch"]),
            seccomp: machine["security"]["seccompEnabled"] == true,
            free_space: free_space(host, &engine, &info["store"]["graphRoot"]),
            engine,
        })
    }
}

fn parse(info: &str) -> Result<Value> {
    serde_json::from_str(info).context("cannot read the engine's answer to `info`")
}

/// Returns the free space at `directory`, unless the engine is in a virtual machine, with other disks.
fn free_space(host: &Host, engine: &Engine, directory: &Value) -> Option<u64> {
    let directory = directory.as_str().filter(|_| engine.machine.is_none() && host.os == Os::Linux)?;
    let disk = rustix::fs::statvfs(directory).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}
