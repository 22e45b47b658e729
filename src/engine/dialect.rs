//! Differences between docker and podman. No other file matches on the engine: a new engine is a variant here, and the
//! compiler lists every answer that is missing.

use std::iter;
use std::net::IpAddr;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::engine::info::{self, Engine, Info, Mode, Product};
use crate::engine::proxies::{self, Proxies};
use crate::engine::{containers_conf, docker_config};
use crate::host::machine::{Host, Os};

/// The command-line dialect of a container engine's client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// docker, with any engine or virtual machine behind the client.
    Docker,
    /// podman, also when it is installed as `docker`.
    Podman,
}

/// Where a client finds its engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// On this machine, at the client's usual place.
    Local,
    /// At this address.
    Address(String),
    /// At the address that this command prints.
    Ask(&'static [&'static str]),
    /// At podman's connection of this name, or at its default connection.
    Connection(Option<String>),
}

/// How to start docker's engine, by a part of its endpoint.
const START: [(&str, &str); 6] = [
    ("colima", "`colima start`"),
    (".orbstack", "start OrbStack"),
    (".rd/", "start Rancher Desktop"),
    (".lima/", "`limactl start` with the machine's name"),
    (".docker/", "start Docker Desktop"),
    ("/run/user/", "`systemctl --user start docker`"),
];

impl Dialect {
    /// Iterates over all dialects in the order in which cage tries their programs.
    pub fn in_order() -> impl Iterator<Item = Self> {
        iter::successors(Some(Self::Docker), |dialect| match dialect {
            Self::Docker => Some(Self::Podman),
            Self::Podman => None,
        })
    }

    /// Recognises a client by its program's name or by the first line of `--version`. An unknown one counts as docker's.
    ///
    /// docker prints `Docker version 28.2.2, build …`; podman prints its own program's name, so that a podman linked as
    /// `docker` prints `docker version 4.3.1`.
    pub fn of_client(says: &str) -> Self {
        let is_it = |dialect: &Self| match dialect {
            Self::Docker => says.starts_with("Docker version"),
            Self::Podman => says.contains("podman") || says.starts_with("docker version"),
        };
        Self::in_order().find(is_it).unwrap_or(Self::Docker)
    }

    /// Returns the usual name of the program.
    pub fn program(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }

    /// Returns the first other dialect.
    pub fn other(self) -> Self {
        Self::in_order().find(|dialect| *dialect != self).unwrap_or(self)
    }

    /// Returns the settings that choose the engine to which the client talks.
    pub fn chosen_by(self) -> &'static str {
        match self {
            Self::Docker => "DOCKER_HOST or `docker context use`",
            Self::Podman => "the user, CONTAINER_HOST or `podman system connection default`",
        }
    }

    /// Returns the variable with the address of the engine, which goes before contexts and connections.
    pub fn address_variable(self) -> &'static str {
        match self {
            Self::Docker => "DOCKER_HOST",
            Self::Podman => "CONTAINER_HOST",
        }
    }

    /// Returns the properties of the engine if they are known without asking it.
    ///
    /// `podman info` takes a quarter of a second, a whole second without root; a podman on this machine runs as the user.
    /// Without cgroup v2, rootless podman ignores limits: <https://docs.podman.io/en/v4.3/markdown/podman-run.1.html>.
    pub fn known_engine(self, host: &Host) -> Option<Engine> {
        match self {
            Self::Docker => None,
            Self::Podman => (self.endpoint(host) == Endpoint::Local).then(|| Engine::local_podman(host)),
        }
    }

    /// Reads the JSON that a client called `client` prints for `info`.
    ///
    /// # Errors
    /// When it can't be read, or comes from an engine that this client is not made for.
    pub fn read_info(self, said: &str, client: &str, host: &Host) -> Result<Info> {
        match self {
            Self::Docker => info::read_docker(said, client, host),
            Self::Podman => info::read_podman(said, host),
        }
    }

    /// Returns where the client finds its engine, as far as the environment and settings files tell.
    ///
    /// podman is remote if `CONTAINER_HOST` or `CONTAINER_CONNECTION` is set, even to an empty value, or if its settings may say
    /// so: any mention of `remote` counts (<https://github.com/containers/common/blob/main/docs/containers.conf.5.md>). Outside of
    /// Linux it is always remote, normally in its own virtual machine.
    pub fn endpoint(self, host: &Host) -> Endpoint {
        match self {
            Self::Docker if docker_config::uses_default_context(host) => {
                Endpoint::Address("unix:///var/run/docker.sock".to_owned())
            }
            Self::Docker => host.variable("DOCKER_HOST").map_or(
                Endpoint::Ask(&["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]),
                |address| Endpoint::Address(address.to_owned()),
            ),
            Self::Podman => {
                let set = |name| host.path_variable(name).map(|value| value.to_string_lossy().into_owned());
                if let Some(address) = set("CONTAINER_HOST") {
                    Endpoint::Address(address)
                } else if let Some(name) = set("CONTAINER_CONNECTION") {
                    Endpoint::Connection(Some(name).filter(|name| !name.is_empty()))
                } else if host.os != Os::Linux || containers_conf::mentions(host, "remote") {
                    Endpoint::Connection(None)
                } else {
                    Endpoint::Local
                }
            }
        }
    }

    /// Returns whether the client is known to use an engine on this machine, at the usual place.
    pub fn is_at_home(self, host: &Host) -> bool {
        match self {
            Self::Docker => docker_config::uses_default_context(host),
            Self::Podman => self.endpoint(host) == Endpoint::Local,
        }
    }

    /// Returns the arguments that print the TLS certificates of the client's connection, if the engine's address doesn't tell
    /// whether there are any.
    ///
    /// <https://docs.docker.com/reference/cli/docker/#environment-variables>. podman's service has no TLS:
    /// <https://docs.podman.io/en/latest/markdown/podman-system-service.1.html>.
    pub fn ask_for_tls(self, host: &Host) -> Option<&'static [&'static str]> {
        match self {
            Self::Docker if host.variable("DOCKER_HOST").is_none() => {
                Some(&["context", "inspect", "--format", "{{json .TLSMaterial}}"])
            }
            Self::Docker | Self::Podman => None,
        }
    }

    /// Returns whether variables turn TLS on.
    pub fn sets_tls(self, host: &Host) -> bool {
        match self {
            Self::Docker => {
                ["DOCKER_TLS_VERIFY", "DOCKER_TLS"].iter().any(|name| host.variable(name).is_some())
            }
            Self::Podman => false,
        }
    }

    /// Returns whether several questions are answered sooner side by side than one after the other. Each podman is an engine of its
    /// own, and they wait for each other's locks.
    pub fn answers_side_by_side(self) -> bool {
        match self {
            Self::Docker => true,
            Self::Podman => false,
        }
    }

    /// Returns whether `create --init` is known to fail because the engine's init is not installed. docker's can't be looked up:
    /// its error comes when a container starts.
    ///
    /// podman finds `catatonit` as in <https://github.com/containers/common/blob/main/docs/containers.conf.5.md>.
    pub fn lacks_init(self, host: &Host) -> bool {
        match self {
            Self::Docker => false,
            Self::Podman => {
                self.endpoint(host) == Endpoint::Local
                    && !containers_conf::may_have_helper(host, "catatonit", "init_path")
            }
        }
    }

    /// Returns the message about an engine that the client called `name` can't reach.
    pub fn unreachable(self, name: &str) -> String {
        match self {
            Self::Docker => "Docker is not running. Start Docker (or colima/podman) first.".to_owned(),
            Self::Podman => format!("{name} does not answer"),
        }
    }

    /// Returns the oldest version that cage works with, and what to do about an older one.
    ///
    /// podman has `keep-id:uid=…,gid=…` since 4.3: <https://github.com/containers/podman/releases/tag/v4.3.0>.
    pub fn oldest_version(self, mode: Mode) -> Option<((u32, u32), &'static str)> {
        match (self, mode) {
            (Self::Docker, Mode::Rootful | Mode::Rootless) => Some(((20, 10), "update docker")),
            (Self::Podman, Mode::Rootless) => Some(((4, 3), "update podman, or use it as root")),
            (Self::Podman, Mode::Rootful) => None,
        }
    }

    /// Returns whether the client itself runs containers as the user, without a daemon, so that the user needs subordinate IDs and
    /// programs for rootless containers.
    pub fn runs_as_user(self) -> bool {
        match self {
            Self::Docker => false,
            Self::Podman => true,
        }
    }

    /// Returns how to start an engine that doesn't answer at `endpoint`.
    pub fn how_to_start(self, os: Os, endpoint: &str) -> &'static str {
        match (self, os) {
            (Self::Docker, _)
                if let Some((_, start)) = START.iter().find(|(part, _)| endpoint.contains(part)) =>
            {
                start
            }
            (Self::Docker, Os::Mac) => "start Docker Desktop, OrbStack or colima",
            (Self::Docker, Os::Linux | Os::Other) => "`sudo systemctl start docker`",
            (Self::Podman, Os::Linux) => "`podman info` shows the reason",
            (Self::Podman, Os::Mac | Os::Other) => "`podman machine start`",
        }
    }

    /// Returns whether a rootless engine can map the user of the host to the image's user.
    ///
    /// `--userns=keep-id`: <https://docs.podman.io/en/latest/markdown/podman-create.1.html#userns-mode>. docker has no
    /// such mode: <https://docs.docker.com/engine/security/rootless/>.
    pub fn keeps_ids(self) -> bool {
        match self {
            Self::Docker => false,
            Self::Podman => true,
        }
    }

    /// Returns whether containers share the kernel's keyrings with the users of this machine, and may make user namespaces.
    ///
    /// podman's profile of system calls allows both, docker's neither: <https://docs.docker.com/engine/security/seccomp/>. Without
    /// root a container has the keyrings of a user namespace, and in a virtual machine those of nobody. The user may have chosen a
    /// profile in podman's settings.
    pub fn shares_keyrings(self, host: &Host, engine: &Engine) -> bool {
        match self {
            Self::Docker => false,
            Self::Podman => {
                engine.mode == Mode::Rootful
                    && engine.machine.is_none()
                    && !containers_conf::mentions(host, "seccomp_profile")
            }
        }
    }

    /// Returns whether `--volumes-from` works with a container that has an empty file system from `--mount`. docker looks for a volume
    /// without a name: <https://github.com/moby/moby/blob/v20.10.24/daemon/volumes.go>.
    pub fn shares_tmpfs(self) -> bool {
        match self {
            Self::Docker => false,
            Self::Podman => true,
        }
    }

    /// Returns whether a terminal freezes for good when a program gets more input than it reads while it draws: podman's conmon 2.1.6
    /// waits until it has written all the input, and reads no output meanwhile.
    pub fn freezes_with_long_input(self) -> bool {
        self == Self::Podman
    }

    /// Returns the arguments of `cp` that keep the owners in the archive.
    ///
    /// podman's default changes them to the container's user:
    /// <https://docs.podman.io/en/latest/markdown/podman-cp.1.html#archive-a>. docker keeps them unless `--archive` is given:
    /// <https://docs.docker.com/reference/cli/docker/container/cp/>.
    pub fn cp_flags(self) -> &'static [&'static str] {
        match self {
            Self::Docker => &[],
            Self::Podman => &["-a=false"],
        }
    }

    /// Returns the value of `--add-host` that names the host `host.docker.internal`, if containers don't get such a name otherwise.
    /// `has_name` tells that podman itself, or cage after the start, adds the name. `address` finds this machine's own address.
    ///
    /// - Docker's virtual machines define the name themselves. With an engine on another machine, the name means that machine.
    /// - `host-gateway` is the bridge's address: <https://docs.docker.com/reference/cli/docker/container/run/#add-host>. With
    ///   rootless docker the bridge is in the engine's own network, where nothing of the host listens.
    /// - podman writes `host.containers.internal` into /etc/hosts when a container starts
    ///   (<https://docs.podman.io/en/latest/markdown/podman-create.1.html#add-host-hostname-hostname-ip>); root inside
    ///   can copy that entry ([`Dialect::names_host_at_start`]).
    pub fn add_host(
        self,
        engine: &Engine,
        has_name: bool,
        address: impl FnOnce() -> Option<IpAddr>,
    ) -> Option<String> {
        let address = match (self, engine.mode, engine.machine) {
            (Self::Docker, Mode::Rootful, None | Some(Product::Elsewhere)) => "host-gateway".to_owned(),
            (Self::Docker, Mode::Rootless, None) => address()?.to_string(),
            (Self::Podman, _, None) if !has_name => address()?.to_string(),
            (Self::Podman, _, _) | (Self::Docker, _, Some(_)) => return None,
        };
        Some(format!("host.docker.internal:{address}"))
    }

    /// Returns the version since which a container gets the name `host.docker.internal` from the engine itself, if any does.
    ///
    /// Since 5.3, podman has a special address for the host. The host's ordinary address wouldn't do: inside, it is the container's
    /// own: <https://github.com/containers/podman/blob/main/RELEASE_NOTES.md#530>.
    pub fn names_host_since(self) -> Option<(u32, u32)> {
        match self {
            Self::Docker => None,
            Self::Podman => Some((5, 3)),
        }
    }

    /// Returns whether the engine adds the host to /etc/hosts when a container starts, under another name than docker's; see
    /// [`Dialect::add_host`].
    pub fn names_host_at_start(self) -> bool {
        match self {
            Self::Docker => false,
            Self::Podman => true,
        }
    }

    /// Returns the variables of proxies that the client gives to a new container; `endpoint` is the engine's address.
    pub fn proxies(self, host: &Host, endpoint: &str) -> Proxies {
        match self {
            Self::Docker => proxies::of_docker(host, endpoint),
            Self::Podman if containers_conf::mentions(host, "http_proxy") => Proxies::default(),
            Self::Podman => proxies::of_podman(host),
        }
    }

    /// Returns the arguments that give a container GPUs.
    ///
    /// docker reads the value of `--gpus` as CSV: <https://docs.docker.com/reference/cli/docker/container/run/#gpus>. podman
    /// takes each as a device with its CDI name:
    /// <https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/cdi-support.html>.
    pub fn gpu_args(self, gpus: &str) -> Vec<String> {
        match self {
            Self::Docker if gpus.contains(',') => vec!["--gpus".to_owned(), format!("\"{gpus}\"")],
            Self::Docker => vec!["--gpus".to_owned(), gpus.to_owned()],
            Self::Podman => {
                let names = gpus.strip_prefix("device=").unwrap_or(gpus).split(',');
                names.flat_map(|name| ["--device".to_owned(), format!("nvidia.com/gpu={name}")]).collect()
            }
        }
    }

    /// Returns the flag of `attach` and `start --attach` that keeps the client from passing its own signals on.
    ///
    /// podman passes SIGHUP on even with a terminal, so that closing the terminal would end the container:
    /// <https://docs.podman.io/en/latest/markdown/podman-attach.1.html#sig-proxy>. docker does so only without a terminal:
    /// <https://github.com/docker/cli/blob/master/cli/command/container/attach.go>.
    pub fn attach_flag(self) -> Option<&'static str> {
        match self {
            Self::Docker => None,
            Self::Podman => Some("--sig-proxy=false"),
        }
    }

    /// Returns the value of `--detach-keys`: one key sixteen times, which nobody types, because cage itself handles the configured
    /// keys. docker's client holds the first press back until the next key, so the key should be `own`, one that cage never passes
    /// on.
    ///
    /// An empty value turns podman's off
    /// (<https://docs.podman.io/en/latest/markdown/podman-exec.1.html#detach-keys-sequence>); with docker it means the
    /// default keys (<https://docs.docker.com/reference/cli/docker/container/exec/>).
    pub fn unused_keys(self, own: Option<&str>) -> String {
        match self {
            Self::Docker => [own.unwrap_or("ctrl-^"); 16].join(","),
            Self::Podman => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::host::detach_keys::DetachKeys;

    #[test]
    fn each_engine_is_asked_for_gpus_in_its_own_way() {
        let args = |dialect: Dialect, gpus| dialect.gpu_args(gpus).join(" ");
        assert_eq!(args(Dialect::Docker, "all"), "--gpus all");
        assert_eq!(args(Dialect::Docker, "device=0,1"), "--gpus \"device=0,1\"");
        assert_eq!(args(Dialect::Podman, "all"), "--device nvidia.com/gpu=all");
        assert_eq!(
            args(Dialect::Podman, "device=0,1"),
            "--device nvidia.com/gpu=0 --device nvidia.com/gpu=1"
        );
    }

    #[test]
    fn the_clients_detach_keys_delay_no_key_that_is_passed_on() {
        let keys = |dialect: Dialect, typed| {
            dialect
                .unused_keys(DetachKeys::parse(typed).unwrap().only_key())
                .split(',')
                .next()
                .map(str::to_owned)
        };
        for (typed, key) in
            [(r"ctrl-\", r"ctrl-\"), ("ctrl-p,ctrl-q", "ctrl-^"), ("a", "ctrl-^"), ("ctrl-[", "ctrl-^")]
        {
            assert_eq!(keys(Dialect::Docker, typed).as_deref(), Some(key));
            assert_eq!(keys(Dialect::Podman, typed).as_deref(), Some(""));
        }
    }

    #[test]
    fn podman_is_remote_by_either_variable_and_by_containers_conf() {
        let dir = tempfile::tempdir().unwrap();
        let conf = |text: &str| {
            let path = dir.path().join("containers.conf");
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let empty = conf("");
        let endpoint = |name: &str, value: &str| {
            let host = Host::sample(&[("CONTAINERS_CONF", empty.as_str()), (name, value)]);
            Dialect::Podman.endpoint(&host)
        };
        assert_eq!(endpoint("X", ""), Endpoint::Local, "the control");
        assert_eq!(endpoint("CONTAINER_HOST", "ssh://build"), Endpoint::Address("ssh://build".into()));
        assert_eq!(endpoint("CONTAINER_CONNECTION", "build"), Endpoint::Connection(Some("build".into())));
        assert_eq!(endpoint("CONTAINER_CONNECTION", ""), Endpoint::Connection(None));

        let configured = |text: &str| {
            let path = conf(text);
            Dialect::Podman.endpoint(&Host::sample(&[("CONTAINERS_CONF", &path)]))
        };
        // Recorded: podman 4.3.1 prints false for `{{.Host.ServiceIsRemote}}` with these.
        assert_eq!(configured("[engine]\nactive_service = \"build\"\n"), Endpoint::Local);
        assert_eq!(configured("[engine]\n# remote = true\n"), Endpoint::Local);
        // And tries to connect with these.
        assert_eq!(configured("[engine]\nremote = true\n"), Endpoint::Connection(None));
        assert_eq!(configured("engine.remote=true"), Endpoint::Connection(None));
        assert!(Dialect::Podman.known_engine(&Host::sample(&[("CONTAINER_CONNECTION", "x")])).is_none());
    }
}
