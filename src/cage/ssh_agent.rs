//! The SSH agent's socket, outside and inside the cage.
//!
//! On Linux a cage mounts a link, `~/.local/state/cage/NAME.agent`, which leads to the agent's socket. cage updates the link before
//! it starts the container, and engines follow the link at each start: so the cage uses the agent of the current login. Without an
//! agent the link leads to `/dev/null`, because a container can't start with a dangling link.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::base::{file, text};
use crate::engine::info::Product;
use crate::engine::mount::Mount;
use crate::host::machine::Host;

/// The path of the agent's socket in the cage. Docker Desktop, `OrbStack` and Colima have the socket at the same path in their
/// virtual machines, and Docker Desktop requires the same path in the container.
pub const SOCKET: &str = "/run/host-services/ssh-auth.sock";

/// The file with a Colima profile's settings. It is beside the profile's socket, in `~/.colima`, `~/.config/colima` or
/// `$COLIMA_HOME`.
const COLIMA_CONFIG: &str = "colima.yaml";

/// The time limit for an agent's answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The target of a link when there is no agent.
pub const NO_AGENT: &str = "/dev/null";

/// The link of a cage to the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The path of the link.
    pub path: PathBuf,
    /// The path that the link leads to.
    pub target: PathBuf,
}

impl Link {
    /// Returns the link for the cage `name`; `None` without a directory for cage's files.
    pub fn of(host: &Host, name: &str) -> Option<Self> {
        let agent = host.path_variable("SSH_AUTH_SOCK").filter(|path| file::is_socket(path));
        let target = agent.map_or_else(|| PathBuf::from(NO_AGENT), Path::to_owned);
        Some(Self { path: host.state_file(name, "agent")?, target })
    }

    /// Returns whether the link leads to an agent.
    pub fn has_agent(&self) -> bool {
        self.target != Path::new(NO_AGENT)
    }

    /// Creates or replaces the link.
    ///
    /// # Errors
    /// When the link can't be created.
    pub fn set(&self) -> Result<()> {
        let place = || format!("cannot set {}", text::escape(&self.path.to_string_lossy()));
        let new = self.path.with_extension(format!("{}", std::process::id()));
        if let Some(dir) = self.path.parent() {
            file::private_dir(dir).with_context(place)?;
        }
        // A link can't be changed, so a new one replaces it in one step.
        symlink(&self.target, &new).and_then(|()| fs::rename(&new, &self.path)).with_context(place)
    }

    /// Returns whether the agent has changed since the cage started: the path is different, or the socket is newer than the
    /// link.
    pub fn is_stale(&self) -> bool {
        let Ok(target) = fs::read_link(&self.path) else { return false };
        let changed = |metadata: io::Result<fs::Metadata>| metadata.and_then(|metadata| metadata.modified());
        let (link, socket) = (changed(fs::symlink_metadata(&self.path)), changed(fs::metadata(&self.target)));
        let is_younger = link.is_ok_and(|link| socket.is_ok_and(|socket| socket > link));
        self.has_agent() && (target != self.target || is_younger)
    }
}

/// Returns the number of keys of the agent at `socket`, with the request that `ssh-add -l` sends
/// (<https://datatracker.ietf.org/doc/html/draft-ietf-sshm-ssh-agent>, requesting a list of keys).
///
/// # Errors
/// When no agent answers.
pub fn keys(socket: &Path) -> io::Result<u32> {
    const REQUEST_IDENTITIES: [u8; 5] = [0, 0, 0, 1, 11];
    const IDENTITIES_ANSWER: u8 = 12;
    const LONGEST_ANSWER: u32 = 256 * 1024;
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&REQUEST_IDENTITIES)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    // Reads the whole answer: agents log clients that disconnect early.
    let mut answer = Vec::new();
    stream.take(u32::from_be_bytes(length).min(LONGEST_ANSWER).into()).read_to_end(&mut answer)?;
    match answer[..] {
        [IDENTITIES_ANSWER, a, b, c, d, ..] => Ok(u32::from_be_bytes([a, b, c, d])),
        _ => Err(io::Error::other("it does not tell its keys")),
    }
}

/// The mount that brings an agent into a cage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent<'a> {
    /// A link to the agent's socket.
    Link(&'a Link),
    /// The socket that the engine's virtual machine provides.
    Machine,
}

impl<'a> Agent<'a> {
    /// Chooses the mount for an engine in this virtual machine, if it runs in one; `None` if the engine can't mount an agent.
    pub fn decide(machine: Option<Product>, wsl: bool, link: Option<&'a Link>) -> Option<Self> {
        match machine {
            // https://github.com/containers/podman/issues/23785
            Some(Product::PodmanMachine | Product::Elsewhere) => None,
            // The host's own sockets don't work in a virtual machine, except those of WSL.
            Some(_) if !wsl => Some(Self::Machine),
            Some(_) | None => link.map(Self::Link),
        }
    }

    /// Returns the mount of the agent's socket.
    pub fn mount(self) -> Option<Mount> {
        match self {
            Self::Link(link) => Some(Mount::path(link.path.to_str()?, SOCKET)),
            Self::Machine => Some(Mount::path(SOCKET, SOCKET)),
        }
    }
}

/// Returns advice for the user if the engine at `endpoint` is known not to forward the agent.
pub fn advice(machine: Option<Product>, endpoint: &str) -> Option<String> {
    match machine? {
        Product::Colima => colima_advice(endpoint),
        Product::PodmanMachine => Some(
            "podman machine can't bring your SSH agent into a container, so your keys are not available in the cage"
                .to_owned(),
        ),
        _ => None,
    }
}

/// Returns advice for the user after the agent could not be mounted.
pub fn remedy(machine: Option<Product>) -> &'static str {
    match machine {
        Some(Product::Colima) => "is its agent forwarding on (`colima start --ssh-agent`)?",
        Some(Product::RancherDesktop) => {
            "Rancher Desktop forwards it with `ssh: {forwardAgent: true}` in its lima/_config/override.yaml"
        }
        Some(Product::Lima) => "Lima forwards it with `ssh: {forwardAgent: true}` in the machine's lima.yaml",
        _ => "did an agent run when the engine started?",
    }
}

/// Returns advice for the user if Colima, at `endpoint` (`unix:///…/docker.sock`), doesn't forward the agent.
fn colima_advice(endpoint: &str) -> Option<String> {
    let socket = Path::new(endpoint.strip_prefix("unix://")?);
    // /var/run/docker.sock may be a link to Colima's socket.
    let mut profile_dir = file::real(socket).parent()?.to_owned();
    // Early versions of Colima have the socket of the default profile at BASE/docker.sock.
    if !profile_dir.join(COLIMA_CONFIG).exists() && profile_dir.join("default").join(COLIMA_CONFIG).exists() {
        profile_dir.push("default");
    }
    let config = fs::read_to_string(profile_dir.join(COLIMA_CONFIG)).ok()?;
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
    fn on_linux_a_link_leads_to_the_agent_or_to_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent");
        let host = Host::sample(&[("SSH_AUTH_SOCK", socket.to_str().unwrap())]);
        let target = || Link::of(&host, "cage-x").unwrap().target;
        assert_eq!(target(), Path::new("/dev/null"));
        fs::write(&socket, "").unwrap();
        assert_eq!(target(), Path::new("/dev/null"));
        fs::remove_file(&socket).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        assert_eq!(target(), socket);
        let link = Link::of(&host, "cage-x").unwrap();
        assert_eq!(link.path, Path::new("/home/me/.local/state/cage/cage-x.agent"));
        let mount = Agent::decide(None, false, Some(&link)).unwrap().mount();
        assert_eq!(mount, Some(Mount::path("/home/me/.local/state/cage/cage-x.agent", SOCKET)));
        assert_eq!(Agent::decide(None, false, None), None, "without a home there is no place for a link");
        let elsewhere = Host::sample(&[("XDG_STATE_HOME", "/state")]);
        assert_eq!(Link::of(&elsewhere, "cage-x").unwrap().path, Path::new("/state/cage/cage-x.agent"));
    }

    #[test]
    fn an_agent_tells_how_many_keys_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent");
        assert!(keys(&socket).is_err());
        let listener = UnixListener::bind(&socket).unwrap();
        let answer = |bytes: &'static [u8]| {
            let agent = std::thread::spawn({
                let listener = listener.try_clone().unwrap();
                move || {
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut request = [0; 5];
                    stream.read_exact(&mut request).unwrap();
                    stream.write_all(bytes).unwrap();
                    request
                }
            });
            let keys = keys(&socket);
            assert_eq!(agent.join().unwrap(), [0, 0, 0, 1, 11]);
            keys.map_err(|error| error.kind())
        };
        assert_eq!(answer(&[0, 0, 0, 5, 12, 0, 0, 0, 2]), Ok(2));
        assert_eq!(answer(&[0, 0, 0, 1, 5]), Err(io::ErrorKind::Other));
        assert_eq!(answer(&[0, 0, 0, 5, 12, 0]), Err(io::ErrorKind::Other));
        assert_eq!(answer(&[]), Err(io::ErrorKind::UnexpectedEof));
    }

    #[test]
    fn from_a_virtual_machine_its_own_socket_is_mounted() {
        let link = Link::of(&Host::sample(&[]), "cage-x").unwrap();
        let decide = |product, wsl| Agent::decide(Some(product), wsl, Some(&link));
        assert_eq!(Agent::Machine.mount(), Some(Mount::path(SOCKET, SOCKET)));
        for product in [Product::DockerDesktop, Product::OrbStack, Product::Colima, Product::Unknown] {
            assert_eq!(decide(product, false), Some(Agent::Machine));
        }
        assert_eq!(decide(Product::PodmanMachine, false), None);
        assert!(advice(Some(Product::PodmanMachine), "").is_some());
        // Docker Desktop shows the sockets of the WSL distribution that cage runs in.
        assert_eq!(decide(Product::DockerDesktop, true), Some(Agent::Link(&link)));
    }

    #[test]
    fn a_link_is_stale_when_the_agent_is_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new, path) = (dir.path().join("old"), dir.path().join("new"), dir.path().join("link"));
        let link = |target: &Path| Link { path: path.clone(), target: target.to_owned() };
        let listener = UnixListener::bind(&old).unwrap();
        assert!(!link(&old).is_stale(), "no link: a cage without one can't be stale");
        symlink(&old, &path).unwrap();
        assert!(!link(&old).is_stale());
        assert!(!link(Path::new(NO_AGENT)).is_stale(), "no agent now: nothing better to offer");
        let _new = UnixListener::bind(&new).unwrap();
        assert!(link(&new).is_stale());
        drop(listener);
        fs::remove_file(&old).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        let _again = UnixListener::bind(&old).unwrap();
        assert!(link(&old).is_stale(), "the same path, another socket");
    }

    #[test]
    fn colima_without_forwarding_is_told_how() {
        let dir = tempfile::tempdir().unwrap();
        // Not `.colima`: $COLIMA_HOME may be anywhere.
        let base = dir.path().join("colima-home");
        fs::create_dir_all(base.join("default")).unwrap();
        fs::create_dir_all(base.join("work")).unwrap();
        fs::create_dir_all(base.join("other")).unwrap();
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
        fs::write(base.join("work/docker.sock"), "").unwrap();
        symlink(base.join("work/docker.sock"), base.join("linked.sock")).unwrap();
        assert!(advice("linked.sock").unwrap().contains("-p work"));
        assert_eq!(advice("other/docker.sock"), None, "not Colima's");
        assert_eq!(colima_advice("unix:///var/run/docker.sock"), None);
        assert_eq!(colima_advice("tcp://10.0.0.1:2375"), None);
    }
}
