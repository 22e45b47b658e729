//! A container to be created, and the arguments of `create` that make it.

use super::command::Secret;
use super::mount::Mount;
use super::publish::Publish;

/// A container to be created.
#[derive(Debug, Clone)]
pub struct ContainerSpec {
    /// The name to create the container with.
    pub name: String,
    /// The hostname inside.
    pub hostname: String,
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
    /// The arguments for the options that the engine has, too: network, limits and devices.
    pub options: Vec<String>,
    /// Further arguments for `create`.
    pub engine_args: Vec<String>,
    /// Variables that are not secret.
    pub env: Vec<(String, String)>,
    /// Variables that may be secret, as the text of an env file.
    pub env_file: Option<Secret>,
    /// Whether the engine's init is the first process; it passes signals on and reaps zombies.
    pub init: bool,
}

impl ContainerSpec {
    /// Returns the arguments of the engine's client, in a fixed order.
    pub fn create_args(&self) -> Vec<String> {
        let mut args: Vec<String> =
            ["create", "--interactive", "--tty", "--pull", "never"].map(Into::into).into();
        let mut option = |name: &str, value: &str| args.extend([name.to_owned(), value.to_owned()]);
        option("--name", &self.name);
        option("--hostname", &self.hostname);
        option("--workdir", &self.workdir);
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
        // A program's endless output would fill the disk.
        option("--log-driver", "none");
        // Interactive shells ignore SIGTERM, so that stopping one would take the full ten seconds; at SIGHUP they save their
        // history and exit.
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
