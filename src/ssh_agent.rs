//! The SSH agent's socket, on either side of the cage's wall.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use crate::host::{Host, Os};
use crate::mount::Mount;

/// Where the agent's socket is inside. In the virtual machines of Docker Desktop, `OrbStack` and Colima the products put
/// it at this very path, and Docker Desktop wants the same path inside.
pub const SOCKET: &str = "/run/host-services/ssh-auth.sock";

/// The mount that brings the agent in, if there is one.
pub fn mount(host: &Host) -> Option<Mount> {
    match host.os {
        // The host's own sockets can't cross into the virtual machine; its product proxies the agent.
        Os::Mac => Some(Mount::path(SOCKET, SOCKET)),
        Os::Linux | Os::Other => {
            let socket = host.variable("SSH_AUTH_SOCK")?;
            let is_socket = fs::metadata(socket).is_ok_and(|metadata| metadata.file_type().is_socket());
            is_socket.then(|| Mount::path(socket, SOCKET))
        }
    }
}

/// What to do when `endpoint` (`unix:///…/docker.sock`) is Colima's and its agent forwarding is off.
pub fn colima_advice(endpoint: &str) -> Option<String> {
    let socket = Path::new(endpoint.strip_prefix("unix://")?);
    let mut profile_dir = socket.parent()?.to_owned();
    let is_colima = |name: &std::ffi::OsStr| name == ".colima" || name == "colima";
    // The default profile's socket is also at BASE/docker.sock, from Colima's early days.
    if profile_dir.file_name().is_some_and(is_colima) {
        profile_dir.push("default");
    }
    if !profile_dir.parent()?.file_name().is_some_and(is_colima) {
        return None;
    }
    let config = fs::read_to_string(profile_dir.join("colima.yaml")).unwrap_or_default();
    let on = |line: &str| {
        line.trim().strip_prefix("forwardAgent:").is_some_and(|value| value.trim().starts_with("true"))
    };
    if config.lines().any(on) {
        return None;
    }
    let profile = match profile_dir.file_name()?.to_string_lossy() {
        name if name == "default" => String::new(),
        name => format!(" -p {name}"),
    };
    Some(format!(
        "Colima does not forward your SSH agent, so your keys are not available in the cage; \
         `colima{profile} stop && colima{profile} start --ssh-agent` turns it on"
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn on_linux_a_socket_is_mounted_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent");
        let host = Host::sample(&[("SSH_AUTH_SOCK", socket.to_str().unwrap())]);
        assert_eq!(mount(&Host::sample(&[])), None);
        assert_eq!(mount(&host), None);
        fs::write(&socket, "").unwrap();
        assert_eq!(mount(&host), None);
        fs::remove_file(&socket).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        assert_eq!(mount(&host), Some(Mount::path(socket.to_str().unwrap(), SOCKET)));
    }

    #[test]
    fn on_macos_the_virtual_machines_socket_is_mounted() {
        let mut host = Host::sample(&[]);
        host.os = Os::Mac;
        assert_eq!(mount(&host), Some(Mount::path(SOCKET, SOCKET)));
    }

    #[test]
    fn colima_without_forwarding_is_told_how() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join(".colima");
        fs::create_dir_all(base.join("default")).unwrap();
        fs::create_dir_all(base.join("work")).unwrap();
        fs::write(base.join("default/colima.yaml"), "ssh:\n  forwardAgent: true # on\n").unwrap();
        fs::write(base.join("work/colima.yaml"), "forwardAgent: false\n").unwrap();
        let advice = |path: &str| colima_advice(&format!("unix://{}", base.join(path).display()));
        assert_eq!(advice("default/docker.sock"), None);
        assert_eq!(advice("docker.sock"), None);
        assert!(
            advice("work/docker.sock")
                .unwrap()
                .contains("`colima -p work stop && colima -p work start --ssh-agent`")
        );
        assert!(advice("other/docker.sock").is_some());
        assert_eq!(colima_advice("unix:///var/run/docker.sock"), None);
        assert_eq!(colima_advice("tcp://10.0.0.1:2375"), None);
    }
}
