//! The address of an engine, and whether that is another machine.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::engine::dialect::Endpoint;
use crate::engine::json::at;
use crate::engine::runner::Runner;
use crate::engine::runtime::Runtime;
use crate::host::machine::Host;

/// Returns the address of the engine; nothing for a podman on this machine.
///
/// # Errors
/// When the client can't be started or its answer can't be read.
pub fn endpoint(host: &Host, runner: Runner, runtime: &Runtime) -> Result<String> {
    match runtime.kind.endpoint(host) {
        Endpoint::Local => Ok(String::new()),
        Endpoint::Address(address) => Ok(address),
        Endpoint::Ask(args) => {
            let output = runner.capture(&runtime.command(args.iter().copied()))?;
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Endpoint::Connection(name) => {
            let ask = runtime.command(["system", "connection", "list", "--format", "json"]);
            let said = runner.run(&ask)?;
            connection(&said, name.as_deref()).with_context(|| format!("cannot read the answer of `{ask}`"))
        }
    }
}

/// Returns the address of a connection; without any, podman uses its socket on this machine.
fn connection(said: &str, name: Option<&str>) -> Result<String> {
    let connections: Vec<Value> = serde_json::from_str(said)?;
    let is_meant = |connection: &&Value| match name {
        Some(name) => connection["Name"] == name,
        None => connection["Default"] == true,
    };
    connections.iter().find(is_meant).map_or(Ok(String::new()), |connection| at(connection, "/URI"))
}

/// Returns whether the engine at this address is on another machine. A loopback port is a virtual machine's or a tunnel's; those
/// can't be told apart, and the first is common.
pub fn is_remote(endpoint: &str) -> bool {
    let Some((scheme, rest)) = endpoint.split_once("://") else { return false };
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let host = host.rsplit_once(':').filter(|(_, text)| port(text)).map_or(host, |(host, _)| host);
    let loopback = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    matches!(scheme, "ssh" | "tcp" | "http" | "https") && !loopback
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn podmans_connection_is_the_named_or_the_default_one() {
        // Recorded: podman 4.3.1; 5 adds more keys.
        let said = r#"[
            {"Name": "build", "URI": "ssh://me@build:22/run/podman/podman.sock", "Identity": "", "Default": false},
            {"Name": "vm", "URI": "ssh://core@127.0.0.1:5", "Identity": "", "Default": true, "IsMachine": true}
        ]"#;
        let of = |name| connection(said, name).unwrap();
        assert_eq!(of(Some("build")), "ssh://me@build:22/run/podman/podman.sock");
        assert_eq!(of(None), "ssh://core@127.0.0.1:5");
        // Recorded: podman 4.3.1 then tries the socket on this machine.
        assert_eq!(of(Some("nope")), "");
        assert_eq!(connection("[]", None).unwrap(), "");
        assert!(connection("", None).is_err());
    }

    #[test]
    fn an_engine_on_another_machine_is_known_by_its_address() {
        for remote in ["ssh://me@build:22", "ssh://build", "tcp://10.0.0.5:2375", "tcp://build:2376"] {
            assert!(is_remote(remote), "{remote}");
        }
        for local in [
            "",
            "unix:///var/run/docker.sock",
            "tcp://127.0.0.1:2375",
            "tcp://[::1]:2375",
            "ssh://me@localhost:2222",
        ] {
            assert!(!is_remote(local), "{local}");
        }
    }
}
