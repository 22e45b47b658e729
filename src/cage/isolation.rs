//! Arguments for the engine's own `create`: which of them cage can't do without, and which take its wall down.
//!
//! Engines know more of their flags than cage does, so a word may be a flag or the value of the one before it. What can't be
//! told is warned of, not refused.

use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail};

use crate::base::error::Failure;
use crate::base::{file, text};
use crate::cage::create_options::CreateOptions;
use crate::cage::options::NETWORK;
use crate::host::machine::Host;

/// Capabilities that every cage does without: making device nodes and giving files capabilities, both of which other users
/// of the host could use in the project, and writing to its audit log. Package managers, sudo, debuggers and databases work
/// without them.
pub const DROPPED: [&str; 3] = ["MKNOD", "SETFCAP", "AUDIT_WRITE"];

/// Arguments that cage itself depends on.
const OWN: [&str; 5] = ["name", "rm", "cidfile", "pull", "label-file"];

/// Flags of either engine that take no value.
const SWITCHES: &[&str] = &[
    "disable-content-trust",
    "env-host",
    "help",
    "http-proxy",
    "init",
    "interactive",
    "no-healthcheck",
    "no-hostname",
    "no-hosts",
    "oom-kill-disable",
    "passwd",
    "privileged",
    "publish-all",
    "quiet",
    "read-only",
    "read-only-tmpfs",
    "replace",
    "rm",
    "rmi",
    "rootfs",
    "sig-proxy",
    "tls-verify",
    "tty",
    "unsetenv-all",
    "use-api-socket",
];

/// Those of one letter.
const SHORT_SWITCHES: &str = "iPqt";

/// Flags of one letter that take one. They can stand behind switches: `-itv /a:/b`.
const SHORT_WITH_VALUE: &str = "acehlmpuvw";

/// Flags whose value may be any text, such as one that looks like a flag.
const WITH_VALUE: &[&str] = &[
    "add-host",
    "annotation",
    "cap-add",
    "cap-drop",
    "cpus",
    "device",
    "dns",
    "entrypoint",
    "env",
    "env-file",
    "expose",
    "gpus",
    "group-add",
    "health-cmd",
    "hostname",
    "ipc",
    "label",
    "log-driver",
    "log-opt",
    "memory",
    "mount",
    "name",
    "network",
    "net",
    "pid",
    "pids-limit",
    "publish",
    "pull",
    "restart",
    "runtime",
    "security-opt",
    "shm-size",
    "stop-signal",
    "sysctl",
    "tmpfs",
    "ulimit",
    "user",
    "userns",
    "volume",
    "volumes-from",
    "workdir",
];

/// A flag among arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flag<'a> {
    /// Its name without dashes.
    name: &'a str,
    /// Its value; what follows it, if it has none.
    value: &'a str,
    /// Is the value part of the same word?
    inline: bool,
    /// Is it a flag at all, for all that is known here?
    certain: bool,
}

impl Flag<'_> {
    /// As it could have been typed.
    fn shown(&self) -> String {
        let dashes = if self.name.chars().count() == 1 { "-" } else { "--" };
        let has_value = !self.value.is_empty() && (self.inline || !SWITCHES.contains(&self.name));
        format!(
            "{dashes}{}{}{}",
            self.name,
            if has_value { " " } else { "" },
            if has_value { self.value } else { "" }
        )
    }

    fn is_no(&self) -> bool {
        self.inline && matches!(self.value, "0" | "f" | "F" | "false" | "FALSE" | "False")
    }
}

/// What the word before is to the next one.
#[derive(PartialEq)]
enum Before {
    /// Nothing: it is complete.
    Done,
    /// The next word is its value.
    Wants,
    /// It may be.
    Unknown,
}

/// The flags among arguments.
fn flags(args: &[String]) -> Vec<Flag<'_>> {
    let mut flags = Vec::new();
    let mut before = Before::Done;
    for (at, word) in args.iter().enumerate() {
        if before == Before::Wants {
            before = Before::Done;
            continue;
        }
        let certain = before == Before::Done;
        let next = args.get(at + 1).map_or("", String::as_str);
        before = Before::Done;
        if let Some(long) = word.strip_prefix("--") {
            let (name, value, inline) = match long.split_once('=') {
                Some((name, value)) => (name, value, true),
                None => (long, next, false),
            };
            flags.push(Flag { name, value, inline, certain });
            before = match name {
                _ if inline => Before::Done,
                name if SWITCHES.contains(&name) => Before::Done,
                name if WITH_VALUE.contains(&name) => Before::Wants,
                _ => Before::Unknown,
            };
        } else if let Some(cluster) = word.strip_prefix('-') {
            before = short(cluster, next, certain, &mut flags);
        }
    }
    flags
}

/// Adds the flags of a word such as `-itv/a:/b`.
fn short<'a>(cluster: &'a str, next: &'a str, mut certain: bool, flags: &mut Vec<Flag<'a>>) -> Before {
    for (at, letter) in cluster.char_indices() {
        if letter == '=' {
            return Before::Done;
        }
        let end = at + letter.len_utf8();
        let (name, rest) = (&cluster[at..end], &cluster[end..]);
        let inline = !rest.is_empty();
        let value = if inline { rest.strip_prefix('=').unwrap_or(rest) } else { next };
        flags.push(Flag { name, value, inline, certain });
        if SHORT_WITH_VALUE.contains(letter) {
            return if inline { Before::Done } else { Before::Wants };
        }
        if !SHORT_SWITCHES.contains(letter) {
            // Whatever follows may be its value.
            if !inline {
                return Before::Unknown;
            }
            certain = false;
        }
    }
    Before::Done
}

/// Is this one that cage depends on, for a cage marked by `label`?
fn is_own(flag: &Flag, label: &str) -> bool {
    let key = flag.value.split('=').next().unwrap_or_default();
    let labels = matches!(flag.name, "l" | "label") && (key.starts_with("cage.") || key == label);
    labels || OWN.contains(&flag.name)
}

/// Checks arguments for the engine's `create`. `label` is the one that marks cages.
///
/// # Errors
/// When one would make a container that cage can't find again.
pub fn check_engine_args(args: &[String], label: &str) -> Result<()> {
    match flags(args).iter().find(|flag| flag.certain && is_own(flag, label)) {
        None => Ok(()),
        Some(flag @ Flag { name: "l" | "label", .. }) => bail!(Failure::new(format!(
            "label `{}` can't be passed on to the engine: it is cage's own",
            text::escape(flag.value)
        ))),
        Some(flag) => {
            bail!(Failure::new(format!(
                "`--{}` can't be passed on to the engine: cage depends on it",
                flag.name
            )))
        }
    }
}

/// Those of the capabilities that cages do without which are dropped where these arguments go to the engine: podman refuses
/// to drop what it is told to add.
pub fn dropped(args: &[String]) -> Vec<&'static str> {
    let flags = flags(args);
    let is_added = |name: &str| {
        flags.iter().filter(|flag| flag.name == "cap-add").any(|flag| {
            let value = flag.value.to_ascii_uppercase();
            value.split(',').any(|value| value.strip_prefix("CAP_").unwrap_or(value) == name)
        })
    };
    DROPPED.into_iter().filter(|name| !is_added(name)).collect()
}

/// What of the wall these options take down, each in a sentence. Not escaped.
pub fn weaknesses(host: &Host, options: &CreateOptions, project: &str) -> Vec<String> {
    let here = host.cwd.as_deref().unwrap_or(Path::new(project));
    let place = Place { project, here, sockets: host.engine_sockets().collect(), label: &host.label };
    let network = options.text(NETWORK);
    let network =
        network.as_deref().map(|value| Flag { name: "network", value, inline: true, certain: true });
    let passed = flags(&options.engine_args);
    let told = passed.into_iter().chain(network).filter_map(|flag| place.weakness(&flag));
    let volumes = options.mounts().filter_map(|mount| {
        let holds = place.holds_socket(Path::new(mount.source_path()?));
        holds.then(|| format!("`-v {}` {TAKES_DOWN}", mount.to_volume_option()))
    });
    volumes.chain(told).collect()
}

const TAKES_DOWN: &str = "takes the cage down: whoever has an engine's socket has this machine";

/// What makes an option weak here and not elsewhere.
struct Place<'a> {
    project: &'a str,
    here: &'a Path,
    sockets: Vec<PathBuf>,
    label: &'a str,
}

impl Place<'_> {
    fn weakness(&self, flag: &Flag) -> Option<String> {
        let value = flag.value;
        let why = match flag.name {
            _ if !flag.certain && is_own(flag, self.label) => {
                "if it is a flag, cage may not find its container any more"
            }
            "privileged" if !flag.is_no() => "root in the cage is root on this machine",
            "network" | "net" => network(value)?,
            "pid" | "ipc" | "uts" | "userns" | "cgroupns" if value == "host" => {
                "the cage shares it with this machine"
            }
            "pid" | "ipc" | "uts" | "userns" | "cgroupns" if is_others(value) => {
                "the cage shares it with others"
            }
            "pod" => "the cage shares network and more with all of that pod",
            "cap-add" => "it gives root in the cage more power over this machine",
            "security-opt" if !is_harmless(value) => "it changes a protection of the engine's",
            "device" | "device-cgroup-rule" => "the cage can use that device of this machine",
            "volumes-from" => "the cage has everything that is mounted in that container",
            "use-api-socket" if !flag.is_no() => return Some(format!("`{}` {TAKES_DOWN}", flag.shown())),
            "u" | "user" if matches!(value.split(':').next(), Some("root" | "0")) => {
                "what runs in the cage is root, also with --no-root"
            }
            "group-add" if value == "keep-groups" => "the cage may do what your groups may do",
            "annotation" if value.starts_with("run.oci.keep_original_groups") => {
                "the cage may do what your groups may do"
            }
            "pids-limit" if value.starts_with('-') || value == "0" => "there is no limit of processes",
            "cgroups" if value != "enabled" => "no limit holds",
            "env-host" if !flag.is_no() => "all your variables come into the cage",
            "e" | "env" if value.contains('*') && !value.contains('=') => {
                "all variables of yours that fit come into the cage"
            }
            "env-file" if self.is_in_project(value) => {
                "whoever is in the cage can ask the engine for any variable of yours there"
            }
            "v" | "volume" | "mount" => return self.mount(flag),
            _ => return None,
        };
        Some(format!("`{}` weakens the cage: {why}", flag.shown()))
    }

    fn mount(&self, flag: &Flag) -> Option<String> {
        let mounts = mounted(flag.name, flag.value);
        let shown = flag.shown();
        if mounts.iter().any(|mount| mount.is_path && self.holds_socket(Path::new(&mount.name))) {
            return Some(format!("`{shown}` {TAKES_DOWN}"));
        }
        let weak = |mount: &&Source| mount.is_path && mount.writable && !self.is_in_project(&mount.name);
        let mount = mounts.iter().find(weak)?;
        Some(format!("`{shown}` weakens the cage: it can change {}", mount.name))
    }

    /// Is it in the project, wherever links may lead?
    fn is_in_project(&self, path: &str) -> bool {
        let path = Path::new(path);
        let climbs = path.components().any(|part| part == Component::ParentDir);
        // The engine's client starts where cage does.
        let real = file::real(&self.here.join(path));
        !climbs && !path.starts_with("~") && real.starts_with(self.project)
    }

    /// Is there a socket of an engine, or is this one? A socket works through a read-only mount, too.
    fn holds_socket(&self, path: &Path) -> bool {
        let names = ["docker.sock", "podman.sock", "containerd.sock", "crio.sock", "buildkitd.sock"];
        let is_one = path.file_name().is_some_and(|name| names.iter().any(|socket| name == *socket));
        let real = file::real(path);
        is_one
            || self.sockets.iter().any(|socket| {
                let below = |socket: &Path| socket.starts_with(path) || socket.starts_with(&real);
                below(socket) || below(&file::real(socket))
            })
    }
}

fn network(value: &str) -> Option<&'static str> {
    let mode = |mode: &str| {
        value
            .split(',')
            .map(|field| field.trim_start_matches("name="))
            .any(|field| field.split(':').next() == Some(mode))
    };
    let loopback = ["allow_host_loopback=true", "map-gw", "map-host-loopback", "-T", "-U"];
    if mode("host") {
        Some("the cage reaches everything that listens on this machine")
    } else if is_others(value) {
        Some("the cage is in another one's network")
    } else if value.split([',', ':']).any(|option| loopback.iter().any(|risky| option.contains(risky))) {
        Some("the cage reaches what listens on this machine for itself alone")
    } else {
        None
    }
}

/// A container's, a pod's or a process's.
fn is_others(value: &str) -> bool {
    ["container:", "ns:", "pod"].iter().any(|start| value.starts_with(start))
}

/// Does this security option only add to the wall?
fn is_harmless(value: &str) -> bool {
    let is_yes = |rest: &str| matches!(rest, "" | ":true" | "=true" | ":1" | "=1");
    value.strip_prefix("no-new-privileges").is_some_and(is_yes) || value.starts_with("mask=")
}

/// Something of the host's or the engine's that an option mounts.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// A path, or a volume's name.
    pub name: String,
    is_path: bool,
    writable: bool,
}

/// What these arguments mount.
pub fn all_mounted(args: &[String]) -> Vec<Source> {
    flags(args).iter().flat_map(|flag| mounted(flag.name, flag.value)).collect()
}

fn mounted(name: &str, value: &str) -> Vec<Source> {
    match name {
        "mount" => by_mount(value),
        "v" | "volume" => by_volume(value).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn is_path(source: &str) -> bool {
    source.starts_with(['/', '.', '~'])
}

fn by_volume(value: &str) -> Option<Source> {
    let (source, rest) = value.split_once(':')?;
    let has = |names: &[&str]| rest.split([':', ',']).skip(1).any(|option| names.contains(&option));
    // These change owner or label of what is there, read-only or not.
    let writable = !has(&["ro", "readonly"]) || has(&["U", "z", "Z"]);
    Some(Source { is_path: is_path(source), name: source.to_owned(), writable })
}

/// `type=bind,source=…`, and a volume that is nothing but a directory of the host's:
/// `type=volume,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/…`.
fn by_mount(value: &str) -> Vec<Source> {
    let fields = csv(value);
    let fields: Vec<(String, &str)> = fields
        .iter()
        .map(|field| field.split_once('=').unwrap_or((field, "true")))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value))
        .collect();
    let field = |names: &[&str]| {
        fields.iter().find(|(name, _)| names.contains(&name.as_str())).map(|(_, value)| *value)
    };
    let readonly = field(&["readonly", "ro"]).is_some_and(|value| !matches!(value, "false" | "0"));
    let relabels = fields.iter().any(|(name, _)| matches!(name.as_str(), "u" | "chown" | "relabel"));
    let binds =
        field(&["type"]).is_some_and(|kind| matches!(kind.to_ascii_lowercase().as_str(), "bind" | "glob"));
    let source = field(&["source", "src"]).map(|source| (source, binds || is_path(source)));
    let devices = fields.iter().filter(|(name, _)| name == "volume-opt");
    let devices = devices.filter_map(|(_, option)| Some((option.split_once("device=")?.1, true)));
    source
        .into_iter()
        .chain(devices.filter(|(device, _)| is_path(device)))
        .map(|(source, is_path)| Source { name: source.to_owned(), is_path, writable: !readonly || relabels })
        .collect()
}

/// The fields of a line, as Go's `encoding/csv` reads it.
fn csv(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let (mut quoted, mut chars) = (false, line.chars().peekable());
    while let Some(c) = chars.next() {
        let Some(field) = fields.last_mut() else { break };
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => field.push(c),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(words: &str) -> Vec<String> {
        shell_words::split(words).unwrap()
    }

    fn weak(words: &str) -> Vec<String> {
        let options = CreateOptions { engine_args: split(words), ..CreateOptions::default() };
        let mut host = Host::sample(&[("XDG_RUNTIME_DIR", "/run/user/1000")]);
        host.cwd = Some("/p/app".into());
        weaknesses(&host, &options, "/p/app")
    }

    #[test]
    fn what_takes_the_wall_down_is_told_however_it_is_written() {
        for words in [
            "--privileged",
            "--privileged=true",
            "--privileged false",
            "--network host",
            "--net=host",
            "--network name=host,alias=x",
            "--network container:x",
            "--network ns:/proc/1/ns/net",
            "--network slirp4netns:allow_host_loopback=true",
            "--network pasta:--map-gw",
            "--pid host",
            "--pid container:x",
            "--ipc=host",
            "--userns=host",
            "--uts host",
            "--cgroupns=host",
            "--pod other",
            "--cap-add SYS_ADMIN",
            "--cap-add=ALL",
            "--security-opt seccomp=unconfined",
            "--security-opt seccomp=/my/profile.json",
            "--security-opt label=disable",
            "--security-opt=systempaths=unconfined",
            "--security-opt no-new-privileges=false",
            "--security-opt unmask=ALL",
            "--device /dev/kvm",
            "--volumes-from other",
            "--use-api-socket",
            "--user root",
            "-u0:0",
            "-itu 0",
            "--group-add keep-groups",
            "--pids-limit -1",
            "--pids-limit=0",
            "--cgroups=disabled",
            "--env-host",
            "-e 'AWS_*'",
            "--env-file .cage.env",
            "--env-file=/p/app/sub/env",
            "-v /var/run/docker.sock:/var/run/docker.sock",
            "-v/run/podman/podman.sock:/x:ro",
            "-v /run:/run:ro",
            "-v /var/run/:/x:ro",
            "-v /:/host:ro",
            "-v /run/user/1000:/x:ro",
            "-v /:/x",
            "-itv/:/x",
            "-itv /srv:/x",
            "-ti -v=/srv:/x",
            "--volume=/home/me:/x",
            "-v /home/me:/x:ro,U",
            "-v /p/app/../other:/x",
            "-v ../other:/x",
            "-v '~/x:/x'",
            "--mount type=bind,source=/home/me,target=/x",
            "--mount TYPE=bind,Source=/home/me,target=/x",
            "--mount 'type=bind,\"source=/home/a,b\",target=/x'",
            "--mount type=bind,src=/run/docker.sock,dst=/x,ro",
            "--mount type=bind,src=/run,dst=/x,readonly",
            "--mount=type=bind,target=/x,source=/home/me,readonly=false",
            "--mount type=volume,source=x,target=/x,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/home/me",
            "--mount 'type=volume,target=/x,\"volume-opt=device=/run\",ro'",
            "--mount type=volume,target=/x,volume-opt=type=ext4,volume-opt=device=/dev/sda1",
            "--what-is-this --name=x",
        ] {
            let told = weak(words);
            assert_eq!(told.len(), 1, "{words}: {told:?}");
        }
        assert_eq!(
            weak("--cap-add SYS_ADMIN --memory 1g --privileged x -itv/srv:/x").join("\n"),
            "`--cap-add SYS_ADMIN` weakens the cage: it gives root in the cage more power over this machine\n\
             `--privileged` weakens the cage: root in the cage is root on this machine\n\
             `-v /srv:/x` weakens the cage: it can change /srv"
        );
        let of = |options: CreateOptions| weaknesses(&Host::sample(&[]), &options, "/p").len();
        assert_eq!(of(CreateOptions::from_label("--network host", &[]).unwrap()), 1);
        for (volume, told) in [("/run:/x:ro", 1), ("/run/docker.sock:/s", 1), ("/srv:/x", 0), ("pg:/pg", 0)] {
            assert_eq!(of(CreateOptions::from_label(&format!("-v {volume}"), &[]).unwrap()), told);
        }
    }

    #[test]
    fn what_leaves_it_standing_is_not() {
        for words in [
            "",
            "--privileged=false",
            "--network none",
            "--network my-net",
            "--network hostile",
            "--network slirp4netns:port_handler=slirp4netns",
            "-v /home/me/data:/data:ro",
            "-v data:/data",
            "-v /p/app/sub:/sub",
            "-v ./sub:/sub",
            "-v /x",
            "--tmpfs /x:size=1g --read-only",
            "--mount type=bind,source=/home/me,target=/x,readonly",
            "--mount type=volume,target=/x",
            "--mount type=volume,source=x,target=/x,volume-opt=type=tmpfs,volume-opt=device=tmpfs",
            "--mount type=tmpfs,target=/x",
            "--memory 4g --cpus=2 --gpus all --shm-size 1g --dns 1.1.1.1 --pids-limit 100 --cgroup-parent x",
            "--cap-drop ALL --security-opt no-new-privileges --security-opt no-new-privileges:true --runtime runsc",
            "-e --privileged --label --network=host --entrypoint --pid=host",
            "-e A=* --env B -e -v/:/x",
            "-u 1000 --user vscode:root --userns auto --group-add 5",
            "--env-file /home/me/env --annotation x=y",
        ] {
            assert_eq!(weak(words), [] as [String; 0], "{words}");
        }
    }

    #[test]
    fn what_is_added_is_not_dropped() {
        let dropped = |words: &str| dropped(&split(words));
        assert_eq!(dropped("--cap-add SYS_PTRACE --init"), DROPPED);
        assert_eq!(dropped("--cap-add MKNOD --cap-add=cap_setfcap"), ["AUDIT_WRITE"]);
        assert_eq!(dropped("--cap-add mknod,SETFCAP"), ["AUDIT_WRITE"]);
    }

    #[test]
    fn arguments_that_cage_depends_on_are_refused_by_name() {
        let check =
            |words: &str| check_engine_args(&split(words), "my.project").map_err(|error| error.to_string());
        for words in [
            "--name x",
            "--name=x",
            "--memory 1g --rm",
            "--init --rm",
            "--label cage.project=/x",
            "-lcage.image=x",
            "-l=cage.x=y",
            "-tlcage.x=y",
            "-itl cage.x=y",
            "-itl=my.project=y",
            "--label my.project=/x",
            "--label=my.project",
        ] {
            assert!(check(words).is_err(), "{words}");
        }
        assert_eq!(
            check("-tlcage.x=y").unwrap_err(),
            "label `cage.x=y` can't be passed on to the engine: it is cage's own"
        );
        assert_eq!(check("--rm").unwrap_err(), "`--rm` can't be passed on to the engine: cage depends on it");
        for words in [
            "",
            "--label mine=1",
            "--label my.projects=1",
            "--memory 1g",
            "-- x",
            "-",
            "é",
            "-é=x",
            // Values of what stands before.
            "-e --rm",
            "-etlcage.x=y",
            "--env --name",
            "--label --rm=1",
            "-te -lcage.x=y",
            // Nobody here knows what that takes.
            "--what-is-this --rm",
            "-xlcage.x=y",
        ] {
            assert_eq!(check(words), Ok(()), "{words}");
        }
    }

    #[test]
    fn what_is_mounted_is_told() {
        let sources =
            |words: &str| all_mounted(&split(words)).into_iter().map(|mount| mount.name).collect::<Vec<_>>();
        assert_eq!(
            sources("-v /a:/b --mount type=bind,src=/c,dst=/d -itv/e:/f -v name:/x"),
            ["/a", "/c", "/e", "name"]
        );
    }

    proptest! {
        #[test]
        fn nothing_that_is_passed_makes_it_panic(args in prop::collection::vec("-{0,2}[a-z=:/,\"é-]{0,12}", 0..6)) {
            let options = CreateOptions { engine_args: args, ..CreateOptions::default() };
            weaknesses(&Host::sample(&[]), &options, "/p");
            let _ = check_engine_args(&options.engine_args, "cage.project");
        }
    }
}
