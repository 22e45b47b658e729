//! A container: what the engine says about one, and the description of one to be created.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::error::Failure;
use crate::cage::create_options::CreateOptions;
use crate::cage::ssh_agent::SOCKET;
use crate::engine::command::Secret;
use crate::engine::mount::Mount;
use crate::engine::publish::Publish;
use crate::host::ids::Ids;
use crate::host::project::{Project, cage_name};

/// Keeps the options that a cage was created with.
pub const OPTIONS_LABEL: &str = "cage.options";
/// Keeps the names of the variables from which some of the options come.
pub const DEFAULTS_LABEL: &str = "cage.defaults";
/// Keeps the image's name as it was asked for; podman changes it.
pub const IMAGE_LABEL: &str = "cage.image";
/// Keeps the inode number of the project directory.
pub const INODE_LABEL: &str = "cage.inode";
/// Keeps what is known of the image's user.
pub const USER_LABEL: &str = "cage.user";
/// Keeps the numbers of the user inside.
pub const OWNER_LABEL: &str = "cage.owner";
/// Keeps a digest of the env files.
pub const ENV_LABEL: &str = "cage.env";
/// Keeps what was in the project, that the host would run or trust, before the first cage in this row.
pub const SEEN_LABEL: &str = "cage.seen";
/// Keeps when that was, in Unix seconds.
pub const SINCE_LABEL: &str = "cage.since";
/// Keeps the numbers that the engine maps to the person, if it does. An image may have labels of these names too, so every
/// one of them is always written, and none is taken for more than it says.
pub const KEEP_ID_LABEL: &str = "cage.keep-id";
/// Ends the name of a container that is to replace another, until it does.
pub const SUCCESSOR: &str = ".new";

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Made, never started.
    Created,
    /// Its first process runs.
    Running,
    /// Frozen.
    Paused,
    /// Its first process has ended.
    Stopped,
    /// On the way from one state to another.
    Changing,
    /// The engine could not remove all of it.
    Dead,
}

impl State {
    /// Both engines' names; podman has some of its own.
    fn parse(status: &str) -> Self {
        match status {
            "running" => Self::Running,
            "paused" => Self::Paused,
            "exited" | "stopped" => Self::Stopped,
            "dead" => Self::Dead,
            "restarting" | "removing" | "stopping" => Self::Changing,
            // podman's `configured`, `initialized` and `unknown` included: it can be started, or the engine says why not.
            _ => Self::Created,
        }
    }

    /// Are there processes in it?
    pub fn is_up(self) -> bool {
        match self {
            Self::Running | Self::Paused | Self::Changing => true,
            Self::Created | Self::Stopped | Self::Dead => false,
        }
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Changing => "changing",
            Self::Dead => "dead",
        }
    }
}

/// A container that exists.
#[derive(Debug, Clone)]
pub struct Container {
    /// The engine's ID. Everything is done by ID, so that a name which changes hands is not followed.
    pub id: String,
    /// Its name, without the slash that docker puts before it.
    pub name: String,
    /// What it is doing.
    pub state: State,
    /// The ID of the image that it was made of, as the engine writes it.
    pub image_id: String,
    /// Its labels.
    pub labels: HashMap<String, String>,
    /// When it was made, as RFC 3339 has it, if the engine says.
    pub created: Option<String>,
    /// Its published ports.
    pub ports: Vec<Published>,
    /// What is mounted.
    pub mounts: Vec<Mounted>,
    /// What keeps it in.
    pub wall: Wall,
    environment: Vec<String>,
    image: String,
}

/// Something that is mounted in a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Mounted {
    /// The volume's name; nothing or empty for a file or directory of the host.
    name: Option<String>,
    /// Where it comes from on the engine's machine.
    pub source: String,
    /// Where it is inside.
    pub destination: String,
    /// Can it be written?
    #[serde(rename = "RW")]
    pub writable: bool,
}

impl Mounted {
    /// The volume's name, if it is one.
    pub fn volume(&self) -> Option<&str> {
        self.name.as_deref().filter(|name| !name.is_empty())
    }
}

/// A published port, as people see it and, in JSON, as programs do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The port inside.
    pub port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The address of the host where it can be reached.
    pub host_address: String,
    /// The port there; none while that is any free one.
    pub host_port: Option<u16>,
}

/// `3000/tcp -> 127.0.0.1:3000`.
impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} -> ", self.port, self.protocol)?;
        if self.host_address.contains(':') {
            write!(f, "[{}]:", self.host_address)?;
        } else {
            write!(f, "{}:", self.host_address)?;
        }
        match self.host_port {
            Some(port) => write!(f, "{port}"),
            None => f.write_str("(any)"),
        }
    }
}

/// What keeps a container in, as far as the engine was told.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Wall {
    /// No wall at all.
    pub privileged: bool,
    /// The most processes; nothing, 0 or less for any number.
    pub pids_limit: Option<i64>,
    /// The most memory in bytes; 0 for any.
    pub memory: i64,
    /// Billionths of a processor; 0 for any.
    pub nano_cpus: i64,
    /// Capabilities taken away.
    pub cap_drop: Option<Vec<String>>,
    /// Capabilities given.
    pub cap_add: Option<Vec<String>>,
    /// The kind or name of the network.
    pub network_mode: String,
    /// Security options.
    pub security_opt: Option<Vec<String>>,
}

impl Container {
    /// The name of the image that it was made of, as it was asked for.
    pub fn image(&self) -> &str {
        self.labels.get(IMAGE_LABEL).unwrap_or(&self.image)
    }

    /// Returns the options that the container was created with; none if it has no label of options.
    ///
    /// # Errors
    /// When the labels can't be read: with fewer options than the user chose, the cage would be more open.
    pub fn options(&self) -> Result<CreateOptions> {
        let Some(kept) = self.label(OPTIONS_LABEL) else { return Ok(CreateOptions::default()) };
        let defaults = self.label(DEFAULTS_LABEL).unwrap_or_default();
        let Some(options) = CreateOptions::from_labels(kept, defaults, &self.environment) else {
            bail!(
                Failure::new(format!("cannot read the options of {}", self.name)).hint(
                    "a newer cage made it: update cage, or forget the options with `cage restart --fresh`"
                )
            )
        };
        Ok(options)
    }

    /// Returns the numbers of a user and a group that a label keeps; `None` without the label, or if it is empty.
    ///
    /// # Errors
    /// When the label can't be read.
    pub fn ids(&self, label: &str) -> Result<Option<Ids>> {
        let Some(text) = self.label(label).filter(|text| !text.is_empty()) else { return Ok(None) };
        let unreadable = || {
            Failure::new(format!("cannot read the label {label} of {}", self.name))
                .hint("a newer cage made it: update cage, or remove it with `cage rm`")
        };
        Ok(Some(text.parse().map_err(|()| unreadable())?))
    }

    /// The project's path, if this container is a cage: `label` says so and its name agrees, so that neither an
    /// image's labels nor a name alone makes one.
    pub fn project<'a>(&'a self, label: &str) -> Option<&'a str> {
        let path = self.labels.get(label)?;
        (cage_name(path) == self.cage_name()).then_some(path)
    }

    /// Where it has `volume`, if it uses that.
    pub fn place_of(&self, volume: &str) -> Option<&str> {
        let mut mounts = self.mounts.iter();
        mounts.find(|mount| mount.volume() == Some(volume)).map(|mount| mount.destination.as_str())
    }

    /// The name of the cage that it is, or is to become.
    pub fn cage_name(&self) -> &str {
        self.name.strip_suffix(SUCCESSOR).unwrap_or(&self.name)
    }

    /// Returns the files and directories of the host that the container can write: those that were asked for, if the options
    /// can be read, and those that the engine tells, which in a virtual machine may have other names. `label` has the
    /// project's path.
    pub fn writable_sources(&self, label: &str) -> Vec<String> {
        let mounts = self.binds().filter(|mount| mount.writable);
        let options = self.options().unwrap_or_default();
        let asked =
            options.mounts().filter(|mount| !mount.is_readonly()).filter_map(|mount| mount.source_path());
        let sources = self.project(label).into_iter().chain(asked).map(str::to_owned);
        sources.chain(mounts.map(|mount| mount.source.clone())).collect()
    }

    /// What of the host it mounts.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.binds().map(|mount| mount.source.as_str())
    }

    fn binds(&self) -> impl Iterator<Item = &Mounted> {
        self.mounts.iter().filter(|mount| mount.volume().is_none())
    }

    /// Is a link to the SSH agent mounted? Known by where it is inside: Docker Desktop has names of its own for what it
    /// mounts from WSL.
    pub fn mounts_link(&self) -> bool {
        self.mounts.iter().any(|mount| mount.destination == SOCKET && mount.source != SOCKET)
    }

    /// Is the SSH agent's socket of a virtual machine's product mounted?
    pub fn mounts_machines_agent(&self) -> bool {
        self.mounts.iter().any(|mount| mount.source == SOCKET)
    }

    /// A label's value.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    /// Was the directory at the project's path another one when this container was made?
    pub fn has_another_directory(&self, project: &Project) -> bool {
        let made_with = self.labels.get(INODE_LABEL).filter(|inode| !inode.is_empty());
        made_with.is_some_and(|inode| *inode != project.inode.to_string())
    }
}

/// An image that is on this machine.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its ID, as the engine writes it.
    pub id: String,
    /// The day it was made, `YYYY-MM-DD`, if it says.
    pub date: Option<String>,
    /// The names that it has.
    pub tags: Vec<String>,
    /// The repositories that it came from, `REPOSITORY@sha256:…`.
    pub digests: Vec<String>,
    /// The names that it had; only podman keeps them.
    pub former_names: Vec<String>,
    /// In bytes; it may share some of them with others.
    pub size: u64,
    /// The processor that it is for, as Go names it (`amd64`).
    pub architecture: String,
    /// Its user, as it was written; nothing for root.
    pub user: String,
}

/// The first eight digits of an image's ID.
pub fn short_id(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..8).unwrap_or(digits)
}

/// What an engine's `inspect` found.
#[derive(Debug, Clone, Default)]
pub struct Inspected {
    /// The containers among it.
    pub containers: Vec<Container>,
    /// The images among it.
    pub images: Vec<Image>,
}

impl Inspected {
    /// Reads the JSON of `inspect`, docker's and podman's.
    ///
    /// # Errors
    /// When it isn't such JSON.
    pub fn parse(json: &[u8]) -> Result<Self> {
        let mut found = Self::default();
        for object in serde_json::from_slice::<Vec<Value>>(json)? {
            // Volumes, networks and pods of that name may be among them.
            if object.get("State").is_some() && object.get("Image").is_some() {
                found.containers.push(serde_json::from_value::<RawContainer>(object)?.into());
            } else if object.get("RootFS").is_some() {
                found.images.push(serde_json::from_value::<RawImage>(object)?.into());
            }
        }
        Ok(found)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawContainer {
    id: String,
    name: String,
    image: String,
    #[serde(default)]
    created: Option<String>,
    state: RawState,
    config: RawConfig,
    #[serde(default)]
    host_config: RawHostConfig,
    #[serde(default)]
    network_settings: RawNetwork,
    #[serde(default)]
    mounts: Option<Vec<Mounted>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawState {
    status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawConfig {
    image: String,
    labels: Option<HashMap<String, String>>,
    #[serde(default)]
    env: Option<Vec<String>>,
}

type Ports = BTreeMap<String, Option<Vec<Binding>>>;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawHostConfig {
    port_bindings: Option<Ports>,
    #[serde(flatten)]
    wall: Wall,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawNetwork {
    ports: Option<Ports>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Binding {
    host_ip: String,
    host_port: String,
}

impl Binding {
    /// This place on the host for a port of the container, `3000/tcp`.
    fn of(&self, port: &str) -> Option<Published> {
        let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        Some(Published {
            port: number.parse().ok()?,
            protocol: protocol.to_owned(),
            host_address: if self.host_ip.is_empty() { "0.0.0.0".into() } else { self.host_ip.clone() },
            host_port: self.host_port.parse().ok(),
        })
    }
}

impl From<RawContainer> for Container {
    fn from(raw: RawContainer) -> Self {
        // The ports of a running container are those it got; of another one, those it will ask for.
        let got = raw.network_settings.ports.unwrap_or_default();
        let bindings = if got.is_empty() { raw.host_config.port_bindings.unwrap_or_default() } else { got };
        let ports = bindings
            .iter()
            .flat_map(|(port, bindings)| bindings.iter().flatten().filter_map(|binding| binding.of(port)));
        Self {
            name: raw.name.trim_start_matches('/').to_owned(),
            state: State::parse(&raw.state.status),
            image_id: raw.image,
            labels: raw.config.labels.unwrap_or_default(),
            created: raw.created,
            ports: ports.collect(),
            environment: raw.config.env.unwrap_or_default(),
            mounts: raw.mounts.unwrap_or_default(),
            wall: raw.host_config.wall,
            image: raw.config.image,
            // As much of it as the engines themselves show; enough to be unique.
            id: raw.id.get(..12).unwrap_or(&raw.id).to_owned(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawImage {
    id: String,
    #[serde(default)]
    created: Option<String>,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    repo_digests: Option<Vec<String>>,
    #[serde(default)]
    names_history: Option<Vec<String>>,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    config: Option<RawImageConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawImageConfig {
    #[serde(default)]
    user: String,
}

impl From<RawImage> for Image {
    fn from(raw: RawImage) -> Self {
        // Reproducible images say the year 1 or nothing.
        let created = raw.created.filter(|time| !time.starts_with("0001"));
        Self {
            date: created.as_deref().and_then(|time| time.get(..10)).map(str::to_owned),
            id: raw.id,
            tags: raw.repo_tags.unwrap_or_default(),
            digests: raw.repo_digests.unwrap_or_default(),
            former_names: raw.names_history.unwrap_or_default(),
            size: raw.size,
            architecture: raw.architecture,
            user: raw.config.map(|config| config.user).unwrap_or_default(),
        }
    }
}

/// A container to be created.
#[derive(Debug, Clone)]
pub struct ContainerSpec {
    /// Its name; a cage's hostname is the name without [`SUCCESSOR`].
    pub name: String,
    /// Where its first process starts: the project.
    pub workdir: String,
    /// The image to make it of, which must be on this machine.
    pub image: String,
    /// Labels, in order.
    pub labels: Vec<(&'static str, String)>,
    /// The label whose value is the project's path.
    pub project_label: String,
    /// Everything mounted.
    pub mounts: Vec<Mount>,
    /// Everything published.
    pub publish: Vec<Publish>,
    /// The flag that maps users.
    pub userns: Option<String>,
    /// The user, where the image's own choice doesn't hold.
    pub user: Option<String>,
    /// A name for the host.
    pub add_host: Option<String>,
    /// Flags that set security options.
    pub security: Vec<String>,
    /// A group that its processes are in besides their user's.
    pub group: Option<u32>,
    /// Capabilities that it does without.
    pub cap_drop: Vec<&'static str>,
    /// The arguments for the options that the engine has, too: network, limits and devices.
    pub options: Vec<String>,
    /// Further arguments for `create`.
    pub engine_args: Vec<String>,
    /// Variables that are not secret.
    pub env: Vec<(String, String)>,
    /// Variables from env files, which may be secret, as the text of an env file.
    pub env_file: Option<Secret>,
    /// Run the engine's init as the first process, which passes signals on and reaps the dead?
    pub init: bool,
}

impl ContainerSpec {
    /// The arguments that create it, in one fixed order.
    pub fn create_args(&self) -> Vec<String> {
        let mut args: Vec<String> =
            ["create", "--interactive", "--tty", "--pull", "never"].map(Into::into).into();
        let mut option = |name: &str, value: &str| args.extend([name.to_owned(), value.to_owned()]);
        option("--name", &self.name);
        option("--hostname", self.name.strip_suffix(SUCCESSOR).unwrap_or(&self.name));
        option("--workdir", &self.workdir);
        option("--label", &format!("{}={}", self.project_label, self.workdir));
        for (label, value) in &self.labels {
            option("--label", &format!("{label}={value}"));
        }
        for mount in &self.mounts {
            option("--mount", &mount.to_flag());
        }
        for publish in &self.publish {
            option("--publish", &publish.to_string());
        }
        for (name, value) in &self.env {
            option("--env", &format!("{name}={value}"));
        }
        if self.env_file.is_some() {
            option("--env-file", "/dev/stdin");
        }
        if let Some(user) = &self.user {
            option("--user", user);
        }
        if let Some(name) = &self.add_host {
            option("--add-host", name);
        }
        if let Some(group) = self.group {
            option("--group-add", &group.to_string());
        }
        for capability in &self.cap_drop {
            option("--cap-drop", capability);
        }
        args.extend(self.options.iter().cloned());
        let mut option = |name: &str, value: &str| args.extend([name.to_owned(), value.to_owned()]);
        // What a program prints without end would fill the disk.
        option("--log-driver", "none");
        // Interactive shells ignore SIGTERM, so that stopping one took the full ten seconds; a hangup they take, and
        // save their history.
        option("--stop-signal", "SIGHUP");
        args.extend(self.security.iter().chain(&self.userns).cloned());
        if self.init {
            args.push("--init".to_owned());
        }
        args.extend(self.engine_args.iter().cloned());
        args.push(self.image.clone());
        args
    }
}

#[cfg(test)]
impl Image {
    /// An image of which little is known.
    pub fn sample(id: &str) -> Self {
        Self {
            id: id.into(),
            date: None,
            tags: Vec::new(),
            digests: Vec::new(),
            former_names: Vec::new(),
            size: 0,
            architecture: "amd64".into(),
            user: "vscode".into(),
        }
    }
}

#[cfg(test)]
impl Container {
    /// A cage for `project` in this state.
    pub fn sample(project: &Project, state: State) -> Self {
        Self {
            id: "0123456789ab".into(),
            name: project.name.clone(),
            state,
            image_id: "sha256:1111111111".into(),
            labels: HashMap::from([("cage.project".into(), project.path.clone())]),
            created: Some("2026-11-23T14:56:50.18856206Z".into()),
            ports: Vec::new(),
            mounts: vec![Mounted {
                name: Some("cage-home".into()),
                source: "/volumes/cage-home".into(),
                destination: "/home/vscode".into(),
                writable: true,
            }],
            wall: Wall::default(),
            environment: Vec::new(),
            image: crate::host::machine::DEFAULT_IMAGE.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCKER: &str = r#"[{
        "Id": "6a39", "Name": "/cage-app-1", "Image": "sha256:84961777dbfb0467",
        "State": {"Status": "running", "Running": true, "ExitCode": 0},
        "Config": {"Image": "ghcr.io/x/y:1", "Labels": {"cage.project": "/p/app"}, "StopSignal": "SIGHUP", "Entrypoint": null},
        "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}},
        "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "3999"}], "90/tcp": null}},
        "Mounts": [{"Type": "bind", "Source": "/p/app"}, {"Type": "volume", "Name": "cage-home", "Destination": "/home/vscode"}]
    }, {"Id": "sha256:8496", "RepoTags": ["x"], "Created": "2026-11-23T06:55:43.1Z", "RootFS": {}}]"#;

    const PODMAN: &str = r#"[{
        "Id": "6a39", "Name": "cage-app-1", "Image": "84961777dbfb0467", "ImageName": "localhost/x:latest",
        "State": {"Status": "exited", "Running": false, "ExitCode": 7},
        "Config": {"Image": "localhost/x:latest", "Labels": null, "StopSignal": 15, "Entrypoint": ""},
        "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "3999"}]}},
        "NetworkSettings": {"Ports": {}}, "Mounts": []
    }]"#;

    #[test]
    fn both_engines_answers_are_read() {
        let found = Inspected::parse(DOCKER.as_bytes()).unwrap();
        let container = &found.containers[0];
        assert_eq!((container.name.as_str(), container.state), ("cage-app-1", State::Running));
        assert_eq!(container.ports[0].to_string(), "80/tcp -> 127.0.0.1:3999");
        assert_eq!(container.place_of("cage-home"), Some("/home/vscode"));
        assert_eq!(container.place_of("other"), None);
        assert_eq!(short_id(&container.image_id), "84961777");
        assert_eq!(found.images[0].date.as_deref(), Some("2026-11-23"));

        let container = &Inspected::parse(PODMAN.as_bytes()).unwrap().containers[0];
        assert_eq!((container.name.as_str(), container.state), ("cage-app-1", State::Stopped));
        assert_eq!(container.ports[0].to_string(), "80/tcp -> 0.0.0.0:3999");
        assert_eq!(short_id(&container.image_id), "84961777");
    }

    #[test]
    fn a_cage_is_one_by_label_and_by_name() {
        let project = Project {
            path: "/p/app".into(),
            name: cage_name("/p/app"),
            inode: 1,
            gid: 0,
            reached: "/p/app".into(),
        };
        let mut container = Container::sample(&project, State::Running);
        assert_eq!(container.project("cage.project"), Some("/p/app"));
        assert_eq!(container.project("other"), None);
        container.name += SUCCESSOR;
        assert_eq!(container.project("cage.project"), Some("/p/app"));
        container.name = "database".into();
        assert_eq!(container.project("cage.project"), None);
    }

    #[test]
    fn rubbish_is_an_error_not_a_panic() {
        for text in ["", "{}", "[1", "[{\"State\": 1, \"Image\": 2}]", "\u{0}"] {
            assert!(Inspected::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Inspected::parse(b"[{}, 1, null]").unwrap().containers.is_empty());
    }
}
