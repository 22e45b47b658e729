//! The installed engine clients, and whether an engine answers them.

use std::path::Path;

use anyhow::Result;

use crate::engine::dialect::Dialect;
use crate::engine::error::{EngineError, Trouble};
use crate::engine::info::Info;
use crate::engine::runner::Runner;
use crate::engine::runtime;
use crate::engine::runtime::{Candidate, Runtime};
use crate::host::machine::Host;

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
    /// Whether everybody in the network can read and change what goes there.
    pub is_unprotected: bool,
    /// The engine's answer.
    pub info: Result<Info>,
    /// The free space for images and containers in bytes, if they are on this machine.
    pub free_space: Option<u64>,
}

impl Client {
    /// Asks the client `name` at `path` for its engine.
    pub fn ask(host: &Host, runner: Runner, candidate: Candidate, tried: bool) -> Self {
        let name = candidate.name.to_owned();
        let (runtime, info) = match Runtime::identify(runner, candidate) {
            Ok(runtime) => {
                let info = runtime.ask_info(host, runner);
                (Some(runtime), info)
            }
            Err(error) => (None, Err(error)),
        };
        let endpoint = runtime.as_ref().and_then(|runtime| runtime.endpoint(host, runner).ok());
        let endpoint = endpoint.unwrap_or_default();
        let is_unprotected =
            |runtime: &Runtime| runtime.is_unprotected(host, runner, &endpoint).unwrap_or(true);
        let is_unprotected = runtime.as_ref().is_some_and(is_unprotected);
        let directory = info.as_ref().ok().and_then(|info| info.directory.as_deref());
        let free_space = directory.and_then(free_space);
        Self { name, tried, runtime, endpoint, is_unprotected, info, free_space }
    }

    /// Returns the client's command line dialect.
    pub fn dialect(&self) -> Option<Dialect> {
        Some(self.runtime.as_ref()?.kind)
    }

    /// Returns why the engine doesn't answer, as far as that is known.
    pub fn trouble(&self) -> Option<Trouble> {
        Some(self.info.as_ref().err()?.downcast_ref::<EngineError>()?.trouble)
    }
}

/// Returns the client that cage uses: the first whose engine answers, or one that keeps cage from trying the next.
pub fn used(clients: &[Client]) -> Option<usize> {
    let mut tried = clients.iter().take_while(|client| client.tried).enumerate();
    let used = tried.find(|(index, client)| match &client.info {
        Ok(_) => true,
        // cage itself has no time limit.
        Err(_) if client.trouble() == Some(Trouble::TimedOut) => true,
        Err(error) => *index == 0 && !runtime::is_skipped(error, client.runtime.is_some()),
    });
    used.map(|(index, _)| index)
}

/// Asks every installed client for its engine. cage tries the first ones: `choice`, or all.
pub fn ask_all(host: &Host, runner: Runner, choice: Option<&str>, project: Option<&Path>) -> Vec<Client> {
    let names: Vec<&str> = Dialect::in_order().map(Dialect::program).collect();
    let mut clients = Vec::new();
    let mut known = Vec::new();
    for wanted in choice.into_iter().chain(names) {
        for candidate in Runtime::candidates(host, Some(wanted), project).unwrap_or_default() {
            if !known.contains(&candidate.program) {
                known.push(candidate.program.clone());
                let tried = choice.is_none_or(|choice| choice == candidate.name);
                clients.push(Client::ask(host, runner, candidate, tried));
            }
        }
    }
    clients
}

/// Returns the free space at `directory` in bytes.
fn free_space(directory: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(directory).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}
