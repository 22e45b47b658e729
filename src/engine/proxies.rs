//! The proxy variables that the engines' clients themselves give to new containers.

use crate::engine::docker_config;
use crate::host::machine::Host;

/// The variables of proxies that a client gives to containers.
#[derive(Debug, Default)]
pub struct Proxies {
    /// Names and values.
    pub variables: Vec<(String, String)>,
    /// The place that they come from.
    pub source: String,
    /// Whether the commands of `exec` get them, too, whatever the container's own variables are.
    pub is_in_exec: bool,
}

/// Returns docker's, from its settings file: <https://docs.docker.com/engine/cli/proxy/>. If it can't be read, docker itself
/// warns about it.
pub fn of_docker(host: &Host, endpoint: &str) -> Proxies {
    let file = docker_config::path(host);
    let all = docker_config::read(host).unwrap_or_default();
    let proxies = &all["proxies"];
    let proxies = proxies.get(endpoint).unwrap_or(&proxies["default"]);
    let keys = ["httpProxy", "httpsProxy", "ftpProxy", "allProxy"];
    let set = keys.iter().filter_map(|key| Some((key.replace("Proxy", "_proxy"), proxies[key].as_str()?)));
    let set = set.flat_map(|(name, value)| [name.to_uppercase(), name].map(|name| (name, value.to_owned())));
    Proxies { variables: set.collect(), source: file.to_string_lossy().into_owned(), is_in_exec: true }
}

/// Returns podman's, from the environment: <https://docs.podman.io/en/latest/markdown/podman-create.1.html#http-proxy>.
pub fn of_podman(host: &Host) -> Proxies {
    let names = ["http_proxy", "https_proxy", "ftp_proxy", "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY"];
    let set = names.iter().filter_map(|name| Some(((*name).to_owned(), host.variable(name)?.to_owned())));
    Proxies { variables: set.collect(), source: "passed on by podman".to_owned(), is_in_exec: false }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn dockers_proxies_are_those_of_the_daemon_or_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::sample(&[("DOCKER_CONFIG", dir.path().to_str().unwrap())]);
        let proxies = |endpoint: &str| {
            of_docker(&host, endpoint)
                .variables
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(proxies(""), "");
        let text = r#"{"proxies": {"default": {"httpProxy": "a", "noProxy": "x"}, "tcp://h:1": {"httpsProxy": "b"}}}"#;
        fs::write(dir.path().join("config.json"), text).unwrap();
        assert_eq!(proxies("unix:///var/run/docker.sock"), "HTTP_PROXY=a http_proxy=a");
        assert_eq!(proxies("tcp://h:1"), "HTTPS_PROXY=b https_proxy=b");
        for text in ["", "{", "[]", r#"{"proxies": 1}"#, r#"{"proxies": {"default": {"httpProxy": 1}}}"#] {
            fs::write(dir.path().join("config.json"), text).unwrap();
            assert_eq!(proxies(""), "", "{text}");
        }
    }
}
