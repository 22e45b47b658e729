//! Options and arguments for the engine that weaken the isolation of a cage. `cage status` shows the others, too.

use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail};

use crate::base::error::Failure;
use crate::base::{file, text};
use crate::cage::create_options::CreateOptions;
use crate::cage::existing::{Cage, MADE_BY_SCRIPT};
use crate::cage::nesting;
use crate::cage::options::{ALLOW_DANGEROUS_DIR, NETWORK};
use crate::engine::args::{Flag, flags, turns_on};
use crate::engine::container::Mounted;
use crate::engine::mount::Mount;
use crate::host::machine::Host;

/// The names of the engines' sockets.
const SOCKETS: [&str; 5] = ["docker.sock", "podman.sock", "containerd.sock", "crio.sock", "buildkitd.sock"];

const SOCKET_TOLD: &str = "gives the cage control of this machine through an engine's socket";

/// Returns how these options weaken the isolation, a sentence each, not escaped.
pub fn weaknesses(host: &Host, options: &CreateOptions, project: &str) -> Vec<String> {
    // The engine's client starts in the same directory as cage.
    let here = host.cwd.as_deref().unwrap_or(Path::new(project));
    let place = Surroundings { project, here, host };
    let volumes = options.mounts().filter_map(|mount| {
        let told = place.sockets_told(Path::new(mount.source_path()?))?;
        Some(format!("`-v {}` {told}", mount.to_volume_option()))
    });
    let network = options.text(NETWORK);
    let network = network.as_deref().map(|value| Flag { name: "network", value, is_inline: true });
    let passed = flags(&options.engine_args).into_iter().chain(network);
    let masks = options.mounts().filter_map(|mount| mask_that_can_be_moved(mount, project));
    volumes.chain(passed.filter_map(|flag| place.weakness(&flag))).chain(masks).collect()
}

/// Returns what code in the cage can do about a mount that hides a file in a directory of the project. Neither a file that is
/// mounted over nor the project itself can be renamed, but a directory between them can.
fn mask_that_can_be_moved(mount: &Mount, project: &str) -> Option<String> {
    let below = Path::new(mount.target()).strip_prefix(project).ok()?;
    let is_mask = mount.source_path().is_some_and(|source| file::is_null(Path::new(source)));
    let dir = below.parent().filter(|dir| is_mask && *dir != Path::new(""))?;
    Some(format!(
        "`-v {}` hides the file only until the next start: code in the cage can move {} aside",
        mount.to_volume_option(),
        dir.display()
    ))
}

/// Returns how a container is less isolated than its options promise, a sentence each, not escaped: another program or an older
/// cage may have made the container.
pub fn undeclared(host: &Host, cage: &Cage, options: &CreateOptions) -> Vec<String> {
    let place = Surroundings { project: cage.project(), here: Path::new("/"), host };
    let declared: Vec<PathBuf> = options.sources().collect();
    let mut told: Vec<String> = Vec::new();
    if cage.is_of_script() {
        told.push(MADE_BY_SCRIPT.to_owned());
    }
    for path in nesting::mounted_sources(cage, options).iter().filter(|path| !declared.contains(path)) {
        let shown = path.to_string_lossy();
        let is_this = |mount: &Mounted| mount.writable && *path == Path::new(&mount.source);
        if let Some(sockets) = place.sockets_told(path) {
            told.push(format!("the mounted {shown} {sockets}"));
        } else if cage.bind_mounts().any(is_this) && (path.is_file() || path.is_dir()) {
            let why = host.counts_here(path, Path::new(cage.project()));
            told.extend(why.map(|why| format!("{shown} is mounted writable: {why}")));
        }
    }
    let passed = flags(&options.engine_args);
    let is_passed = |names: &[&str]| {
        passed.iter().any(|flag| names.contains(&flag.name) && place.weakness(flag).is_some())
    };
    if cage.host_config.privileged && !turns_on(&passed, "privileged") {
        told.push("the container is privileged: root in the cage is root on this machine".to_owned());
    }
    let chose_network = options.text(NETWORK).is_some_and(|network| is_host_network(&network))
        || is_passed(&["network", "net"]);
    if is_host_network(&cage.host_config.network_mode) && !chose_network {
        told.push("the container reaches everything that listens on this machine".to_owned());
    }
    if !is_passed(&["cap-add"]) {
        let added = cage.host_config.cap_add.iter().flatten();
        told.extend(added.map(|name| format!("the container has {name}: root in the cage has more power")));
    }
    let config = &cage.host_config;
    let unconfined = |option: &String| option.ends_with("unconfined");
    let others: [(bool, &[&str], &str); 5] = [
        (is_shared(&config.pid_mode), &["pid"], "the container sees the processes of this machine"),
        (is_shared(&config.ipc_mode), &["ipc"], "the container shares memory with this machine"),
        (
            config.devices.iter().any(|devices| !devices.is_empty()),
            &["device"],
            "the container has devices of this machine",
        ),
        (
            config.security_opt.iter().flatten().any(unconfined),
            &["security-opt"],
            "the container lacks a protection of the engine's",
        ),
        (
            !matches!(config.restart_policy.name.as_str(), "" | "no"),
            &[],
            "the engine starts the container by itself, without cage's checks: make a new one with `cage restart`",
        ),
    ];
    let found = others.into_iter().filter(|(is_so, names, _)| *is_so && !is_passed(names));
    told.extend(found.map(|(_, _, what)| what.to_owned()));
    told
}

/// Returns whether a path is an engine's socket, or contains one.
pub fn holds_engine_socket(host: &Host, path: &Path) -> bool {
    Surroundings { project: "", here: Path::new("/"), host }.holds_socket(path)
}

/// Checks that no mount of a project's cage can change a file that this machine runs or trusts, nor is a directory with sockets of
/// its programs. A socket alone is mounted knowingly.
///
/// # Errors
/// When a mount can, and the user doesn't allow it.
pub fn check_mounts(host: &Host, options: &CreateOptions, project: &Path) -> Result<()> {
    if options.has(ALLOW_DANGEROUS_DIR) {
        return Ok(());
    }
    let sockets = |mount: &Mount| {
        let dir = mount.source_path().map(Path::new).filter(|path| path.is_dir())?;
        host.sockets_of_programs(dir, project)
    };
    if let Some((mount, sockets)) = options.mounts().find_map(|mount| Some((mount, sockets(mount)?))) {
        let shown = text::escape(&mount.to_volume_option());
        let sockets = text::escape(&sockets);
        let why = format!("code in the cage could control programs of this machine through {sockets}");
        bail!(Failure::new(format!("`-v {shown}` can't be mounted, not even read-only: {why}")).hint(
            "mount only the directory that you need, such as /tmp/shots; --allow-dangerous-dir if you mean it"
        ));
    }
    let mut writable = options.mounts().filter(|mount| !mount.is_readonly());
    let counts = |mount: &Mount| {
        let path = Path::new(mount.source_path()?);
        let why = "programs keep what they run and trust in hidden directories of your home";
        let hidden = || host.is_hidden(path).then(|| why.to_owned());
        host.counts_here(path, project).or_else(hidden)
    };
    let Some((mount, why)) = writable.find_map(|mount| Some((mount, counts(mount)?))) else { return Ok(()) };
    let shown = text::escape(&mount.to_volume_option());
    bail!(
        Failure::new(format!("`-v {shown}` can't be writable: {why}"))
            .hint("add `:ro`, or put a copy into ~/.config/cage/home; --allow-dangerous-dir if you mean it")
    )
}

/// The facts about this machine and the project that decide whether an option weakens the isolation.
struct Surroundings<'a> {
    project: &'a str,
    here: &'a Path,
    host: &'a Host,
}

impl Surroundings<'_> {
    fn weakness(&self, flag: &Flag) -> Option<String> {
        let &Flag { name, value, .. } = flag;
        let is_switch = matches!(name, "privileged" | "use-api-socket" | "env-host");
        let shown = if is_switch { format!("--{name}") } else { format!("--{name} {value}") };
        let why = match name {
            "privileged" if flag.is_on() => "root in the cage is root on this machine".to_owned(),
            "use-api-socket" if flag.is_on() => return Some(format!("`{shown}` {SOCKET_TOLD}")),
            "env-host" if flag.is_on() => "it has all variables of your environment".to_owned(),
            "network" | "net" if is_host_network(value) => {
                "the cage reaches everything that listens on this machine".to_owned()
            }
            "pid" | "ipc" | "uts" | "userns" | "cgroupns" | "network" | "net" if is_shared(value) => {
                "the cage shares it with this machine".to_owned()
            }
            "cap-add" => "it gives root in the cage more power over this machine".to_owned(),
            "seccomp-policy" => "it changes a protection of the engine's".to_owned(),
            "security-opt" if !hardens(value) => "it changes a protection of the engine's".to_owned(),
            "volumes-from" => "it can change what that container mounts".to_owned(),
            "device" => "the cage can use that device of this machine".to_owned(),
            "volume" | "mount" => {
                let sources = flag.sources();
                let mut paths = sources.iter().filter(|source| source.is_path());
                if let Some(told) =
                    paths.clone().find_map(|source| self.sockets_told(Path::new(&source.name)))
                {
                    return Some(format!("`{shown}` {told}"));
                }
                let weak = paths.find(|source| source.is_writable && !self.is_in_project(&source.name))?;
                format!("it can change {}", weak.name)
            }
            _ => return None,
        };
        Some(format!("`{shown}` weakens the cage: {why}"))
    }

    /// Returns whether a path, with all links resolved, is in the project.
    fn is_in_project(&self, path: &str) -> bool {
        let path = Path::new(path);
        let climbs = path.components().any(|part| part == Component::ParentDir);
        let real = file::real(&self.here.join(path));
        !climbs && !path.starts_with("~") && real.starts_with(self.project)
    }

    /// Returns whether a path is an engine's socket, or contains one. A socket works through a read-only mount, too.
    fn holds_socket(&self, path: &Path) -> bool {
        let is_socket = path.file_name().is_some_and(|name| SOCKETS.iter().any(|socket| name == *socket));
        let real = file::real(path);
        let holds = |socket: &Path| socket.starts_with(path) || socket.starts_with(&real);
        is_socket || self.host.engine_sockets().any(|socket| holds(&socket) || holds(&file::real(&socket)))
    }

    /// Returns what the cage can do with a mounted path through sockets, if it can.
    fn sockets_told(&self, path: &Path) -> Option<String> {
        if self.holds_socket(path) {
            return Some(SOCKET_TOLD.to_owned());
        }
        let sockets = self.host.sockets_of_programs(&self.here.join(path), Path::new(self.project))?;
        Some(format!("gives the cage control of programs of this machine through {sockets}"))
    }
}

/// Returns whether the mode of a namespace is that the container shares the machine's, or one of another process.
fn is_shared(mode: &str) -> bool {
    mode == "host" || mode.starts_with("ns:")
}

fn is_host_network(value: &str) -> bool {
    value.split(',').any(|field| field.trim_start_matches("name=") == "host")
}

/// Returns whether a security option only adds protection.
fn hardens(value: &str) -> bool {
    let is_yes = |rest: &str| matches!(rest, "" | ":true" | "=true" | ":1" | "=1");
    value.strip_prefix("no-new-privileges").is_some_and(is_yes) || value.starts_with("mask=")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cage::engine_args::{DROPPED, check_engine_args, dropped};

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
    fn arguments_that_weaken_the_isolation_are_told() {
        for words in [
            "--privileged",
            "--privileged=true",
            "--privileged false",
            "--network host",
            "--net=host",
            "--network name=host,alias=x",
            "--pid host",
            "--ipc=host",
            "--userns=host",
            "--uts host",
            "--cgroupns=host",
            "--cap-add SYS_ADMIN",
            "--cap-add=ALL",
            "--security-opt seccomp=unconfined",
            "--security-opt label=disable",
            "--security-opt=systempaths=unconfined",
            "--security-opt no-new-privileges=false",
            "--device /dev/kvm",
            "--use-api-socket",
            "--privileged=T",
            "--env-host",
            "--volumes-from other",
            "--network=ns:/proc/1/ns/net",
            "--pid ns:/proc/1/ns/pid",
            "--seccomp-policy image",
            "-v /var/run/docker.sock:/var/run/docker.sock",
            "-v/run/podman/podman.sock:/x:ro",
            "-v /run:/run:ro",
            "-v /var/run/:/x:ro",
            "-v /:/host:ro",
            "-v /run/user/1000:/x:ro",
            "-v /tmp:/x:ro",
            "--mount type=bind,src=/var/tmp,dst=/x,readonly",
            "-itv/:/x",
            "-itv /srv:/x",
            "-ti -v=/srv:/x",
            "--volume=/home/me:/x",
            "-v /home/me:/x:ro,U",
            "-v /p/app/../other:/x",
            "-v ../other:/x",
            "-v '~/x:/x'",
            "--mount type=bind,source=/home/me,target=/x",
            "--mount type=bind,src=/run/docker.sock,dst=/x,ro",
            "--mount type=volume,source=x,target=/x,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/home/me",
            "--mount 'type=volume,target=/x,\"volume-opt=device=/run\",ro'",
        ] {
            let told = weak(words);
            assert_eq!(told.len(), 1, "{words}: {told:?}");
        }
        assert_eq!(
            weak("--cap-add SYS_ADMIN --memory 1g --privileged x -itv/srv:/x").join("\n"),
            "`--cap-add SYS_ADMIN` weakens the cage: it gives root in the cage more power over this machine\n\
             `--privileged` weakens the cage: root in the cage is root on this machine\n\
             `--volume /srv:/x` weakens the cage: it can change /srv"
        );
        for (label, told) in [
            ("--network host", 1),
            ("-v /run:/x:ro", 1),
            ("-v /run/docker.sock:/s", 1),
            ("-v /tmp:/tmp:ro", 1),
            ("-v /tmp/cage-none:/x", 0),
            ("-v /srv:/x", 0),
            ("-v /dev/null:/p/sub/.env:ro", 1),
            ("-v /dev/null:/p/a/b/.env", 1),
            ("-v /dev/null:/p/.env:ro", 0),
            ("-v /dev/null:/other/sub/.env:ro", 0),
        ] {
            let options = CreateOptions::from_label(label, &[]).unwrap();
            assert_eq!(weaknesses(&Host::sample(&[]), &options, "/p").len(), told, "{label}");
        }
    }

    #[test]
    fn other_arguments_are_not() {
        for words in [
            "",
            "--privileged=false",
            "--privileged=F --env-host=0 --use-api-socket=f",
            "--network none",
            "--network hostile",
            "-v /home/me/data:/data:ro",
            "-v data:/data",
            "-v /p/app/sub:/sub",
            "-v ./sub:/sub",
            "-v /x",
            "--tmpfs /x:size=1g --read-only",
            "--mount type=bind,source=/home/me,target=/x,readonly",
            "--mount type=volume,target=/x",
            "--memory 4g --cpus=2 --gpus all --shm-size 1g --dns 1.1.1.1 --pids-limit 100 --cgroup-parent x",
            "--cap-drop ALL --security-opt no-new-privileges --security-opt no-new-privileges:true --runtime runsc",
            "-e --privileged --label --network=host --entrypoint --pid=host",
            "-e A=* --env B -e -v/:/x",
        ] {
            assert_eq!(weak(words), [] as [String; 0], "{words}");
        }
    }

    #[test]
    fn an_added_capability_is_not_dropped() {
        let dropped = |words: &str| dropped(&split(words));
        assert_eq!(dropped("--cap-add SYS_PTRACE --init"), DROPPED);
        assert_eq!(dropped("--cap-add=cap_setfcap"), ["MKNOD"]);
        assert_eq!(dropped("--cap-add mknod,SETFCAP"), [] as [&str; 0]);
    }

    #[test]
    fn arguments_that_cage_depends_on_are_refused() {
        let check =
            |words: &str| check_engine_args(&split(words), "my.project").map_err(|error| error.to_string());
        for words in [
            "--name x",
            "--name=x",
            "--memory 1g --rm",
            "--init --rm",
            "--what-is-this --rm",
            "--rm=true",
            "--rm=false",
            "--purge",
            "--replace=true",
            "--rootfs",
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
            "-e --rm",
            "-etlcage.x=y",
            "--env --name",
            "--label --rm=1",
            "-te -lcage.x=y",
        ] {
            assert_eq!(check(words), Ok(()), "{words}");
        }
    }

    proptest! {
        #[test]
        fn no_arguments_make_it_panic(args in prop::collection::vec("-{0,2}[a-z=:/,\"é-]{0,12}", 0..6)) {
            let options = CreateOptions { engine_args: args, ..CreateOptions::default() };
            weaknesses(&Host::sample(&[]), &options, "/p");
            let _ = check_engine_args(&options.engine_args, "cage.project");
        }
    }
}
