//! Facts about this machine, its user and their terminal. The only reader of the environment.
#![expect(clippy::disallowed_methods, reason = "this is the one module that reads the environment")]

use std::collections::{HashMap, HashSet};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};

use crate::base::console::Terminal;
use crate::base::error::Failure;
use crate::base::{console, file, name, text};
use crate::host::detach_keys::DetachKeys;
use crate::host::ids::Ids;
use crate::host::systemd::Systemd;
use crate::host::users;

/// The published image, used unless `CAGE_IMAGE` names another.
pub const DEFAULT_IMAGE: &str = "ghcr.io/pacificsky/devcontainer-lite:latest";

/// The variables with settings that are read here; the default options have variables of their own.
pub const SETTINGS: [&str; 6] =
    ["CAGE_IMAGE", "CAGE_RUNTIME", "CAGE_DETACH_KEYS", "CAGE_CREATE_ARGS", "CAGE_HOME_VOLUME", "CAGE_LABEL"];

/// Variables of the same kind of name that are no settings: cage itself sets them for what it starts.
const OWN_VARIABLES: [&str; 2] = ["CAGE_SESSION", "CAGE_COMPLETE"];

/// The operating system that cage runs on: a value, so that every system's rules are tested on any machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Os {
    /// Engines run natively, sockets can be mounted.
    Linux,
    /// Engines run in a virtual machine.
    Mac,
    /// Anything else that Rust builds for.
    Other,
}

/// Facts about this machine, its user and the terminal, gathered once.
#[derive(Debug, Clone)]
pub struct Host {
    /// The operating system.
    pub os: Os,
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// The other homes of the person who runs cage: with another HOME, or as root. Files that programs run or trust are there, too.
    pub other_homes: Vec<PathBuf>,
    /// The directory cage was started in; `None` when it has been deleted.
    pub cwd: Option<PathBuf>,
    /// Which standard streams are terminals.
    pub terminal: Terminal,
    /// The size of the terminal, columns and rows.
    pub size: Option<(u16, u16)>,
    /// The time zone's name, such as `Europe/Berlin`.
    pub time_zone: Option<String>,
    /// An identifier of this run of cage.
    pub session: String,
    /// The user and group that cage runs as.
    pub ids: Ids,
    /// Whether `SELinux` is active.
    pub selinux: bool,
    /// The name of this machine.
    pub nodename: Option<String>,
    /// The groups that the user is in.
    pub groups: Vec<u32>,
    /// The groups whose members have some of root's power on this machine.
    pub powerful_groups: Vec<u32>,
    /// The user who runs cage by sudo.
    pub sudo_user: Option<Ids>,
    /// Whether this is the Windows Subsystem for Linux (WSL).
    pub wsl: bool,
    /// The image for new cages: `CAGE_IMAGE`.
    pub image: String,
    /// The volume that is every cage's home: `CAGE_HOME_VOLUME`.
    pub home_volume: String,
    /// The label whose value is the project's path: `CAGE_LABEL`.
    pub label: String,
    /// The keys that detach from a cage: `CAGE_DETACH_KEYS`.
    pub detach_keys: DetachKeys,
    /// Arguments for the engine's `create`: `CAGE_CREATE_ARGS`.
    pub create_args: Vec<String>,
    systemd: OnceLock<Systemd>,
    environment: HashMap<OsString, OsString>,
}

impl Host {
    /// Gathers the facts. Returns also an error for each `CAGE_…` variable whose value no engine accepts; the facts are without
    /// these variables.
    ///
    /// # Errors
    /// When settings contradict each other.
    pub fn gather() -> Result<(Self, Vec<anyhow::Error>)> {
        let os = match env::consts::OS {
            "linux" => Os::Linux,
            "macos" => Os::Mac,
            _ => Os::Other,
        };
        let mut wrong = Vec::new();
        let environment = env::vars_os().filter(|(name, value)| {
            let alone = SETTINGS.iter().any(|setting| name == setting).then(|| (name.clone(), value.clone()));
            Self::new(os, alone).map_err(|error| wrong.push(error)).is_ok()
        });
        let environment: Vec<_> = environment.collect();
        let mut host = Self::new(os, environment)?;
        let home = dirs::home_dir().filter(|home| home.is_absolute());
        host.home = home.map(|home| home.components().collect());
        host.cwd = env::current_dir().ok();
        host.terminal = console::terminal();
        host.size = console::size();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        host.session = format!("{}-{}", std::process::id(), now.as_nanos());
        host.time_zone = host.variable("TZ").map(str::to_owned).or_else(|| {
            let link = fs::read_link("/etc/localtime").ok()?;
            Some(link.to_str()?.split_once("zoneinfo/")?.1.to_owned())
        });
        host.ids = Ids { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
        host.selinux = Path::new("/sys/fs/selinux/enforce").exists();
        host.nodename =
            fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned());
        host.groups = rustix::process::getgroups()
            .map(|groups| groups.into_iter().map(rustix::process::Gid::as_raw).collect())
            .unwrap_or_default();
        host.powerful_groups.extend(powerful_groups(&fs::read_to_string("/etc/group").unwrap_or_default()));
        host.sudo_user = host.sudo_user();
        host.other_homes = host.other_homes();
        host.wsl = fs::read_to_string("/proc/sys/kernel/osrelease")
            .is_ok_and(|release| release.to_lowercase().contains("microsoft"));
        Ok((host, wrong))
    }

    /// A host on `os` with this environment and nothing else, without a terminal.
    fn new(os: Os, environment: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self> {
        let mut host = Self {
            os,
            home: None,
            other_homes: Vec::new(),
            cwd: None,
            terminal: Terminal::default(),
            size: None,
            session: "1-1".to_owned(),
            time_zone: None,
            ids: Ids { uid: 0, gid: 0 },
            selinux: false,
            nodename: None,
            groups: Vec::new(),
            powerful_groups: vec![0],
            sudo_user: None,
            wsl: false,
            image: String::new(),
            home_volume: String::new(),
            label: String::new(),
            detach_keys: DetachKeys::default(),
            create_args: Vec::new(),
            systemd: OnceLock::new(),
            environment: environment.into_iter().collect(),
        };
        host.image = host.setting("CAGE_IMAGE", DEFAULT_IMAGE);
        host.home_volume = host.setting("CAGE_HOME_VOLUME", "cage-home");
        host.label = host.setting("CAGE_LABEL", "cage.project");
        if let Some(keys) = host.variable("CAGE_DETACH_KEYS") {
            host.detach_keys = DetachKeys::parse(keys).ok_or_else(|| {
                Failure::new(format!("CAGE_DETACH_KEYS `{}` is not a sequence of keys", text::escape(keys)))
                    .hint("keys are letters or `Ctrl-` and one of a to z @ [ \\ ] ^ _, with commas between")
            })?;
        }
        host.create_args = shell_words::split(host.variable("CAGE_CREATE_ARGS").unwrap_or_default())
            .map_err(|_| Failure::new("CAGE_CREATE_ARGS has a quote that is not closed"))?;
        // A leading dash would be read as an option by the engine, `=` and `,` have a meaning in its filters.
        ensure!(
            name::is_image_name(&host.image),
            Failure::new(format!("CAGE_IMAGE `{}` is not an image name", host.image))
        );
        ensure!(
            name::is_engine_name(&host.home_volume),
            Failure::new(format!("CAGE_HOME_VOLUME `{}` is not a volume name", host.home_volume))
                .hint("use letters, digits, `_`, `.` and `-`, starting with a letter or digit")
        );
        ensure!(
            name::is_engine_name(&host.label),
            Failure::new(format!("CAGE_LABEL `{}` is not a label name", host.label))
        );
        Ok(host)
    }

    /// Returns whether a user can work in a cage here: stdin and stdout are terminals.
    pub fn is_interactive(&self) -> bool {
        self.terminal.stdin && self.terminal.stdout
    }

    /// Returns what systemd gives the user, from files that are read when it is first needed.
    pub fn systemd(&self) -> &Systemd {
        self.systemd.get_or_init(|| Systemd::read(Path::new("/"), self.ids.uid))
    }

    /// Returns whether cage can ask a question: the answer comes from a terminal.
    pub fn can_ask(&self) -> bool {
        self.terminal.stdin
    }

    /// Returns the value of an environment variable that is set, not empty, and UTF-8.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(&OsString::from(name))?.to_str().filter(|value| !value.is_empty())
    }

    /// Returns the value of an environment variable that is set and UTF-8, possibly empty.
    pub fn any_variable(&self, name: &str) -> Option<&str> {
        self.environment.get(&OsString::from(name))?.to_str()
    }

    /// Iterates over all environment variables.
    pub fn variables(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.environment.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// Returns the names of all variables that begin with `CAGE_`, sorted.
    pub fn cage_variables(&self) -> Vec<&str> {
        let names = self.environment.keys().filter_map(|name| name.to_str());
        let is_own = |name: &&str| name.starts_with("CAGE_") && !OWN_VARIABLES.contains(name);
        let mut names: Vec<&str> = names.filter(is_own).collect();
        names.sort_unstable();
        names
    }

    /// Returns whether data may be coloured: on a terminal, unless the user disables colours (<https://no-color.org>).
    pub fn wants_colors(&self) -> bool {
        self.terminal.stdout
            && self.variable("NO_COLOR").is_none()
            && self.variable("TERM").is_some_and(|term| term != "dumb")
    }

    /// Returns a path from an environment variable that is set.
    pub fn path_variable(&self, name: &str) -> Option<&Path> {
        self.environment.get(&OsString::from(name)).map(Path::new)
    }

    /// Returns a path as users write it: with `~` for their home.
    pub fn with_tilde(&self, path: &str) -> String {
        let home = self.home.as_ref().and_then(|home| home.to_str());
        let rest = home.and_then(|home| path.strip_prefix(home.trim_end_matches('/')));
        match rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
            Some(rest) => format!("~{rest}"),
            None => path.to_owned(),
        }
    }

    /// Returns the directory of the user's settings for cage: `~/.config/cage`, on every system.
    pub fn config_dir(&self) -> Option<PathBuf> {
        Some(self.home.as_ref()?.join(".config/cage"))
    }

    /// Returns the directory for files that cage keeps between runs.
    pub fn state_dir(&self) -> Option<PathBuf> {
        let state = self.path_variable("XDG_STATE_HOME").filter(|path| path.is_absolute());
        let state = state.map(|path| path.components().collect());
        let state: PathBuf = state.or_else(|| Some(self.home.as_ref()?.join(".local/state")))?;
        Some(state.join("cage"))
    }

    /// Returns the directories for such files in all homes, that of [`Host::state_dir`] first.
    pub fn state_dirs(&self) -> Vec<PathBuf> {
        let own = self.state_dir();
        let usual = self.homes().map(|home| home.join(".local/state/cage"));
        own.iter().cloned().chain(usual.filter(|dir| own.as_ref() != Some(dir))).collect()
    }

    /// Iterates over the homes of the person who runs cage.
    pub fn homes(&self) -> impl Iterator<Item = &Path> + Clone {
        self.home.iter().chain(&self.other_homes).map(PathBuf::as_path)
    }

    /// Returns the host as for programs with this home, which may have none of these variables.
    pub fn of_home(&self, home: &Path) -> Self {
        let home = Some(home.to_owned());
        Self { home, other_homes: Vec::new(), environment: HashMap::new(), ..self.clone() }
    }

    /// Returns the path of the file of this kind that cage keeps about the cage `name`; `None` without a directory for such files.
    pub fn state_file(&self, name: &str, kind: &str) -> Option<PathBuf> {
        Some(self.state_dir()?.join(format!("{name}.{kind}")))
    }

    /// Returns the user's runtime directory, `/run/user/UID`, if the variable for it names no directory of the user's, as after
    /// `su` and in cron jobs. Without it podman may look for its containers elsewhere.
    pub fn missing_runtime_dir(&self) -> Option<PathBuf> {
        let is_private = |dir: &Path| {
            fs::symlink_metadata(dir)
                .is_ok_and(|dir| dir.is_dir() && dir.uid() == self.ids.uid && dir.mode() & 0o7777 == 0o700)
        };
        let is_own = |dir: &Path| fs::metadata(dir).is_ok_and(|dir| dir.uid() == self.ids.uid);
        let dir = PathBuf::from(format!("/run/user/{}", self.ids.uid));
        let is_set = self.path_variable("XDG_RUNTIME_DIR").is_some_and(is_own);
        (!is_set && is_private(&dir)).then_some(dir)
    }

    fn sudo_user(&self) -> Option<Ids> {
        let number = |name| self.variable(name)?.parse().ok();
        let user = Ids { uid: number("SUDO_UID")?, gid: number("SUDO_GID")? };
        (self.ids.uid == 0 && user.uid != 0).then_some(user)
    }

    /// Returns the homes besides HOME of the user, and of the person who has become this user with sudo, doas, pkexec or su.
    fn other_homes(&self) -> Vec<PathBuf> {
        let number = |name| self.variable(name)?.parse().ok();
        // `su` sets no variable.
        let login = || fs::read_to_string("/proc/self/loginuid").ok()?.trim().parse().ok();
        let login = if self.ids.uid == 0 { login() } else { None };
        let uids = [Some(self.ids.uid), number("SUDO_UID"), number("PKEXEC_UID"), login];
        let names = || ["SUDO_USER", "DOAS_USER"].into_iter().filter_map(|name| self.variable(name));
        let usual = names().flat_map(|name| ["/home", "/Users"].map(|dir| Path::new(dir).join(name)));
        let homes = uids.into_iter().flatten().filter_map(users::home_of_uid);
        let homes = homes.chain(names().filter_map(|name| users::home_of(name.as_bytes()))).chain(usual);
        let homes = homes.chain(self.path_variable("SUDO_HOME").map(Path::to_owned));
        let mut seen: HashSet<_> = self.home.iter().cloned().collect();
        let homes = homes.filter(|home| home.is_absolute()).map(|home| home.components().collect());
        homes.filter(|home: &PathBuf| seen.insert(home.clone()) && home.is_dir()).collect()
    }

    fn setting(&self, name: &str, default: &str) -> String {
        self.variable(name).unwrap_or(default).to_owned()
    }
}

/// The variable in which the script of `cage completions` names the shell that asks for completions.
pub const COMPLETE: &str = "CAGE_COMPLETE";

/// Returns the name of the shell that asks for completions, if one does.
pub fn asking_shell() -> Option<String> {
    env::var(COMPLETE).ok()
}

/// Returns this machine's address as others see it. Nothing is sent: a datagram socket only chooses a route, to an address for
/// documentation (RFC 5737).
pub fn address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Returns the different programs of this name in PATH, those first that a shell finds first.
pub fn programs(host: &Host, name: &str) -> Vec<PathBuf> {
    let found = which::which_in_global(name, host.path_variable("PATH")).into_iter().flatten();
    let mut seen = HashSet::new();
    found.filter(|path| seen.insert(file::real(path))).collect()
}

/// Returns whether a program of this name is in PATH.
pub fn is_installed(host: &Host, name: &str) -> bool {
    which::which_in_global(name, host.path_variable("PATH")).is_ok_and(|mut found| found.next().is_some())
}

/// Returns the numbers of groups with some of root's power, from the text of `/etc/group`.
fn powerful_groups(text: &str) -> impl Iterator<Item = u32> {
    let names = "root docker podman disk kmem mem shadow sudo wheel admin adm lxd incus incus-admin libvirt libvirt-qemu kvm \
                 systemd-journal systemd-network netdev";
    text.lines().filter_map(move |line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        // On Debian this one may write programs in /usr/local; on a Mac everyone is in it, and its number is another.
        let is_powerful = names.split_ascii_whitespace().any(|powerful| powerful == name);
        let gid = fields.nth(1)?.parse().ok()?;
        (is_powerful || (name == "staff" && gid == 50)).then_some(gid)
    })
}

/// Returns the mask of ignored signals on Linux; elsewhere it is unknown, and 0.
pub fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

#[cfg(test)]
impl Host {
    /// A Linux host with a terminal and these variables.
    pub fn sample(variables: &[(&str, &str)]) -> Self {
        let mut host = Self::new(Os::Linux, variables.iter().map(|(k, v)| (k.into(), v.into()))).unwrap();
        host.home = Some("/home/me".into());
        host.size = Some((100, 30));
        host.time_zone = Some("Europe/Berlin".into());
        host.ids = Ids { uid: 1000, gid: 1000 };
        host.cwd = Some("/home/me/app".into());
        host.terminal = Terminal { stdin: true, stdout: true, stderr: true };
        host.set_systemd(Systemd::default());
        host
    }

    /// Changes what systemd gives the user.
    pub fn set_systemd(&mut self, systemd: Systemd) {
        self.systemd = systemd.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, value: &str) -> String {
        Host::new(Os::Linux, [(name.into(), value.into())]).unwrap_err().to_string()
    }

    #[test]
    fn settings_that_no_engine_could_take_are_refused_by_name() {
        assert_eq!(refused("CAGE_IMAGE", "--privileged"), "CAGE_IMAGE `--privileged` is not an image name");
        assert_eq!(refused("CAGE_HOME_VOLUME", "/etc"), "CAGE_HOME_VOLUME `/etc` is not a volume name");
        assert_eq!(refused("CAGE_LABEL", "a=b"), "CAGE_LABEL `a=b` is not a label name");
        assert_eq!(refused("CAGE_DETACH_KEYS", "foo"), "CAGE_DETACH_KEYS `foo` is not a sequence of keys");
    }

    #[test]
    fn groups_with_power_are_known_by_name() {
        let text =
            "root:x:0:\nusers:x:100:me\nsudo:x:27:me\ndocker:x:998:\nstaff:x:50:\nbroken\nlxd:x:many:\n";
        assert_eq!(powerful_groups(text).collect::<Vec<_>>(), [0, 27, 998, 50]);
        assert_eq!(powerful_groups("staff:*:20:root\n").count(), 0, "on a Mac");
    }

    #[test]
    fn who_runs_cage_by_sudo_is_known() {
        let user = |ids: Ids, variables: &[(&str, &str)]| {
            let mut host = Host::sample(variables);
            host.ids = ids;
            host.sudo_user()
        };
        let sudo = [("SUDO_UID", "1000"), ("SUDO_GID", "100")];
        assert_eq!(user(Ids::ROOT, &sudo), Some(Ids { uid: 1000, gid: 100 }));
        assert_eq!(user(Ids { uid: 7, gid: 7 }, &sudo), None, "root alone is somebody else");
        assert_eq!(user(Ids::ROOT, &[("SUDO_UID", "0"), ("SUDO_GID", "0")]), None);
        assert_eq!(user(Ids::ROOT, &[("SUDO_UID", "x")]), None);
    }

    #[test]
    fn the_homes_of_a_user_who_became_root_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        fs::create_dir(path("person")).unwrap();
        let homes = |home: &str, sudo_home: &str| {
            // No system has this user.
            let sudo = [("SUDO_UID", "4000000000"), ("SUDO_USER", "no.one"), ("SUDO_HOME", sudo_home)];
            let mut host = Host::sample(&sudo);
            (host.ids.uid, host.home) = (4_000_000_001, Some(path(home).into()));
            host.other_homes()
        };
        assert_eq!(homes("root", &path("person/")), [PathBuf::from(path("person"))]);
        for none in [path("gone"), String::new(), "person".into()] {
            assert_eq!(homes("root", &none), [] as [PathBuf; 0], "{none}");
        }
        assert_eq!(homes("person", &path("person")), [] as [PathBuf; 0], "HOME itself");
    }

    #[test]
    fn an_empty_variable_is_an_unset_one() {
        assert_eq!(Host::sample(&[("CAGE_IMAGE", "")]).image, DEFAULT_IMAGE);
    }
}
