//! The place of an engine: which one a client talks to, as far as that is known without asking the engine.

use std::fmt;
use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::base::{file, text};
use crate::engine::dialect::Dialect;
use crate::engine::query::is_remote;
use crate::engine::runner::Runner;
use crate::engine::runtime::Runtime;
use crate::host::machine::{Host, Os};

/// Which engine a client talks to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The client's dialect.
    pub kind: Dialect,
    /// The address, a socket's with its links resolved; empty for a podman without a service.
    pub address: String,
    /// The user as whom a podman without a service runs.
    user: Option<u32>,
}

impl Place {
    /// Returns the place of the engine at `endpoint`, an address as the client has it.
    pub fn new(kind: Dialect, endpoint: &str, host: &Host) -> Self {
        let address = endpoint.strip_prefix("unix://").map_or_else(
            || endpoint.to_owned(),
            // Products of virtual machines make /var/run/docker.sock a link to their own socket.
            |socket| format!("unix://{}", file::resolved(Path::new(socket)).to_string_lossy()),
        );
        let user = (kind.runs_as_user() && address.is_empty()).then_some(host.ids.uid);
        Self { kind, address, user }
    }

    /// Returns whether the engine runs without root as this user, by the directory of its socket.
    pub fn is_rootless_of(&self, uid: u32) -> bool {
        uid != 0 && (self.user == Some(uid) || self.address.starts_with(&format!("unix:///run/user/{uid}/")))
    }
}

/// Returns how to start an engine that doesn't answer at `endpoint`.
pub fn how_to_start(kind: Dialect, os: Os, endpoint: &str) -> &'static str {
    if is_remote(endpoint) {
        return "on that machine, or check the address: DOCKER_HOST, CONTAINER_HOST, `docker context ls`";
    }
    kind.how_to_start(os, endpoint)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.program())?;
        match self.user {
            Some(0) => f.write_str(" run by root"),
            Some(user) => write!(f, " run by user {user}"),
            None if self.address.is_empty() => Ok(()),
            None => write!(f, " at {}", text::escape(&self.address)),
        }
    }
}

impl Runtime {
    /// Returns which engine the client talks to.
    ///
    /// # Errors
    /// As [`Runtime::endpoint`].
    pub fn whereabouts(&self, host: &Host, runner: Runner) -> Result<Place> {
        Ok(Place::new(self.kind, &self.endpoint(host, runner)?, host))
    }

    /// Returns this client for the engine at another place; `None` if the client can't be sent there.
    pub fn at(&self, place: &Place) -> Option<Self> {
        let is_possible = self.kind == place.kind && !place.address.is_empty();
        let variable = (self.kind.address_variable().into(), place.address.clone().into());
        let variables = self.variables.iter().cloned().chain([variable]).collect();
        is_possible.then(|| Self { variables, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_known_by_its_socket_or_its_user() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| format!("unix://{}/{name}", dir.path().canonicalize().unwrap().display());
        std::fs::write(dir.path().join("real"), "").unwrap();
        std::os::unix::fs::symlink("real", dir.path().join("link")).unwrap();
        let host = Host::sample(&[]);
        let of = |kind, endpoint: &str| Place::new(kind, endpoint, &host);
        let docker = of(Dialect::Docker, &at("link"));
        assert_eq!(docker, of(Dialect::Docker, &at("real")));
        assert_ne!(docker, of(Dialect::Docker, &at("other")));
        assert_ne!(docker, of(Dialect::Podman, &at("real")));
        assert_eq!(docker.to_string(), format!("docker at {}", at("real")));
        let podman = of(Dialect::Podman, "");
        assert_eq!(podman.to_string(), "podman run by user 1000");
        let mut root = host.clone();
        root.ids.uid = 0;
        assert_ne!(podman, Place::new(Dialect::Podman, "", &root));
        let kept = serde_json::to_string(&podman).unwrap();
        assert_eq!(kept, r#"{"kind":"podman","address":"","user":1000}"#);
        assert_eq!(serde_json::from_str::<Place>(&kept).unwrap(), podman);
        assert!(Runtime::sample(Dialect::Podman).at(&podman).is_none(), "another user's");
        assert!(podman.is_rootless_of(1000) && !podman.is_rootless_of(1001) && !docker.is_rootless_of(1000));
        assert!(of(Dialect::Docker, "unix:///run/user/1000/docker.sock").is_rootless_of(1000));
        assert!(Runtime::sample(Dialect::Docker).at(&docker).is_some());
    }
}
