//! A container to be created, and the arguments of `create` that make it.

use super::command::Input;
use super::mount::Mount;
use super::publish::Publish;

/// A container to be created.
#[derive(Debug, Clone)]
pub struct ContainerSpec {
    /// The container's name.
    pub name: String,
    /// The hostname inside, unless that is shared.
    pub hostname: Option<String>,
    /// The directory of the first process.
    pub workdir: String,
    /// The image, which must be on this machine.
    pub image: String,
    /// Labels, in order.
    pub labels: Vec<(String, String)>,
    /// Mounts.
    pub mounts: Vec<Mount>,
    /// Published ports.
    pub publish: Vec<Publish>,
    /// The flag that maps user IDs.
    pub userns: Option<String>,
    /// The user, if not the image's default.
    pub user: Option<String>,
    /// An entry for /etc/hosts, `NAME:ADDRESS`.
    pub add_host: Option<String>,
    /// Flags for security options.
    pub security: Vec<String>,
    /// A supplementary group of the processes.
    pub group: Option<u32>,
    /// Dropped capabilities.
    pub cap_drop: Vec<&'static str>,
    /// Arguments for those options of cage that engines have, too: network, limits and devices.
    pub options: Vec<String>,
    /// Further arguments for `create`.
    pub engine_args: Vec<String>,
    /// Variables that are not secret.
    pub env: Vec<(String, String)>,
    /// Variables that may be secret, as the text of an env file.
    pub env_file: Option<Input>,
    /// Whether the engine's init is the first process; it passes signals on and reaps zombies.
    pub init: bool,
}

impl ContainerSpec {
    /// Returns the arguments of the engine's client, in a fixed order.
    pub fn create_args(&self) -> Vec<String> {
        let flags = [("--name", self.name.clone())]
            .into_iter()
            .chain(self.hostname.iter().map(|hostname| ("--hostname", hostname.clone())))
            .chain([("--workdir", self.workdir.clone())])
            .chain(self.labels.iter().map(|(label, value)| ("--label", format!("{label}={value}"))))
            .chain(self.mounts.iter().map(|mount| ("--mount", mount.to_flag())))
            .chain(self.publish.iter().map(|publish| ("--publish", publish.to_string())))
            .chain(self.env.iter().map(|(name, value)| ("--env", format!("{name}={value}"))))
            .chain(self.env_file.iter().map(|_| ("--env-file", "/dev/stdin".to_owned())))
            .chain(self.user.iter().map(|user| ("--user", user.clone())))
            .chain(self.add_host.iter().map(|name| ("--add-host", name.clone())))
            .chain(self.group.iter().map(|group| ("--group-add", group.to_string())))
            .chain(self.cap_drop.iter().map(|name| ("--cap-drop", (*name).to_owned())));
        let mut args = ["create", "--interactive", "--tty", "--pull", "never"].map(str::to_owned).to_vec();
        args.extend(flags.flat_map(|(flag, value)| [flag.to_owned(), value]));
        args.extend(self.options.iter().cloned());
        // A program's endless output would fill the disk.
        args.extend(["--log-driver", "none"].map(str::to_owned));
        // Interactive shells ignore SIGTERM, so that stopping one would take the full ten seconds; at SIGHUP they save their
        // history and exit.
        args.extend(["--stop-signal", "SIGHUP"].map(str::to_owned));
        args.extend(self.security.iter().chain(&self.userns).cloned());
        if self.init {
            args.push("--init".to_owned());
        }
        args.extend(self.engine_args.iter().cloned());
        args.push(self.image.clone());
        args
    }
}
