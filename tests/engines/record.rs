//! Records what engines answer to commands that fail, for the unit tests that recognise the kinds of failures. `scripts/record`
//! runs this on every engine of the lab, old and newer.
//!
//! Answers that can't be provoked here (of Docker Desktop, of a full disk) are in the file as written
//! by hand, and stay.

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, UdpSocket};

use serde_json::{Value, json};

use crate::common::free_port;
use crate::lab::{Call, Engine, IMAGE, World, run};

/// The recorded answers, by engine and version.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded.json");

/// Hides podman's init in a mount namespace.
const WITHOUT_INIT: &str = "mount -t tmpfs none /mnt && mkdir /mnt/upper /mnt/work &&
    mount -t overlay -o lowerdir=/usr,upperdir=/mnt/upper,workdir=/mnt/work none /usr &&
    rm -f /usr/bin/catatonit /usr/libexec/podman/catatonit";

/// Shows cgroup v2 in a mount namespace. Without systemd, it has none of the controllers for limits.
pub const WITHOUT_CONTROLLERS: &str = "umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup";

/// Takes the user's directory for sockets away in a mount namespace, as for a user without a session.
pub const WITHOUT_SESSION: &str = "mount -t tmpfs none /run/user";

#[test]
#[ignore = "rewrites tests/recorded.json"]
fn answers() {
    for engine in [Engine::Docker, Engine::RootlessDocker, Engine::Podman, Engine::RootlessPodman] {
        run(engine, false, record);
    }
}

fn record(world: &World) {
    let mut answers = Answers { world, port: 0, all: Vec::new() };
    answers.of_missing_things();
    answers.of_a_container();
    answers.of_ports();
    answers.of_other_ports();
    answers.of_mounts();
    answers.of_the_system();
    let client = "{{.Client.Version}}";
    let server = if world.engine.is_docker() { "{{.Server.Version}}, client " } else { "" };
    let versions = world.engine(&format!("version --format '{server}{client}'")).ok().out;
    let short = |version: &str| version.trim().splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    let versions = versions.split(", client ").map(short).collect::<Vec<_>>().join(", client ");
    let mut file: BTreeMap<String, Vec<Value>> =
        serde_json::from_str(&fs::read_to_string(FILE).unwrap()).unwrap();
    file.insert(format!("{} {versions}", world.engine), answers.all);
    // One answer a line.
    let lines = |answers: &[Value]| answers.iter().map(Value::to_string).collect::<Vec<_>>().join(",\n");
    let engines = file.iter().map(|(engine, answers)| format!("{engine:?}: [\n{}\n]", lines(answers)));
    fs::write(FILE, format!("{{\n{}\n}}\n", engines.collect::<Vec<_>>().join(",\n"))).unwrap();
}

struct Answers<'a> {
    world: &'a World,
    port: u16,
    all: Vec<Value>,
}

impl Answers<'_> {
    /// Runs a command and records its answer if it fails: not every engine refuses the same.
    fn of(&mut self, kind: &str, command: &str) {
        self.of_call(kind, command, self.world.engine(command));
    }

    fn of_call(&mut self, kind: &str, command: &str, call: Call) {
        let ran = call.run();
        // docker's `exec` has its own words on stdout.
        let words = if ran.err.is_empty() { &ran.out } else { &ran.err };
        // Warnings have the time.
        let lines: Vec<&str> = words.lines().filter(|line| !line.starts_with("time=\"")).collect();
        let (command, words) = (self.plain(command), self.plain(lines.join("\n").trim()));
        if ran.code != 0 {
            self.all.push(json!({"kind": kind, "command": command, "words": words}));
        }
    }

    /// Removes what is different each time: names, IDs and numbers.
    fn plain(&self, text: &str) -> String {
        let (root, names) = (self.world.root().display().to_string(), format!("{}-", self.world.id));
        let port = self.port.to_string();
        let text = text.replace(&root, "/srv").replace(&names, "");
        let text = if self.port == 0 { text } else { text.replace(&port, "3000") };
        let mut plain = String::new();
        for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
            let (start, end) =
                word.split_at(word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).len());
            let is_id = start.len() >= 12 && start.chars().all(|c| c.is_ascii_hexdigit());
            plain += if is_id { "0123456789ab" } else { start };
            plain += end;
        }
        plain
    }

    fn name(&self, name: &str) -> String {
        let name = format!("{}-{name}", self.world.id);
        self.world.will_remove_container(&name);
        name
    }

    fn of_missing_things(&mut self) {
        let [x, y] = ["x", "y"].map(|name| self.name(name));
        for command in ["container inspect X", "inspect X", "start X", "stop X", "exec X true", "rename X y"]
        {
            self.of("NoSuchContainer", &command.replace('X', &x));
        }
        self.of("NoSuchImage", &format!("image inspect {x}"));
        self.of("NoSuchImage", &format!("create --pull never {x}"));
        let new = self.name("new");
        self.of("Other", &format!("create --name {new} --volumes-from {y} {IMAGE}"));
        self.of("Other", &format!("run --name {new} --network container:{y} {IMAGE}"));
    }

    fn of_a_container(&mut self) {
        let [x, y] = ["x", "y"].map(|name| self.name(name));
        let dir = self.world.root().join("app");
        self.world.mkdir(&dir);
        let mount = format!("type=bind,source={},target=/p", dir.display());
        let start = format!("run --detach --name {x} --mount {mount} --entrypoint sleep {IMAGE} 1000");
        self.world.engine(&start).ok();
        self.world.engine(&format!("create --name {y} {IMAGE}")).ok();
        self.of("NameTaken", &format!("create --name {x} {IMAGE}"));
        self.of("NameTaken", &format!("rename {y} {x}"));
        self.of("NoSuchUser", &format!("exec --user nosuch {x} true"));
        self.of("NoSuchUser", &format!("exec --user 0:nosuch {x} true"));
        let odd = "printf '\\177ELF' >/tmp/odd && chmod 755 /tmp/odd";
        self.world.engine(&format!("exec {x} sh -c {}", shell_words::quote(odd))).ok();
        self.of("OtherProcessor", &format!("exec {x} /tmp/odd"));
        fs::remove_dir(&dir).unwrap();
        self.world.mkdir(&dir);
        self.of("DirectoryGone", &format!("exec --workdir /p {x} true"));
        self.world.engine(&format!("stop --time 0 {x}")).ok();
        self.of("NotRunning", &format!("exec {x} true"));
    }

    fn of_ports(&mut self) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        for (port, first, second) in [
            (listener.local_addr().unwrap().port(), "", "by-a-program"),
            (free_port(), "first", "by-another"),
        ] {
            self.port = port;
            for name in [first, second].into_iter().filter(|name| !name.is_empty()) {
                let name = self.name(name);
                let publish = format!("--publish 127.0.0.1:{port}:80 --entrypoint sleep {IMAGE} 1000");
                self.world.engine(&format!("create --name {name} {publish}")).ok();
                self.of("PortTaken", &format!("start {name}"));
            }
        }
    }

    fn of_other_ports(&mut self) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        self.port = socket.local_addr().unwrap().port();
        // An address for documents, and a port for root.
        for (kind, publish) in [
            ("PortTaken", format!("127.0.0.1:{}:80/udp", self.port)),
            ("PortRefused", format!("192.0.2.1:{}:80", self.port)),
            ("PortRefused", "127.0.0.1:82:80".to_owned()),
        ] {
            let name = self.name("other");
            self.world.engine(&format!("create --name {name} --publish {publish} {IMAGE}")).ok();
            self.of(kind, &format!("start {name}"));
            self.world.removal(&name).ok();
        }
    }

    fn of_mounts(&mut self) {
        let new = self.name("unmounted");
        for (kind, source) in [("NotShared", "/nowhere/app"), ("NoAgent", "/run/host-services/ssh-auth.sock")]
        {
            self.of(
                kind,
                &format!("create --name {new} --mount type=bind,source={source},target=/p {IMAGE}"),
            );
        }
    }

    fn of_the_system(&mut self) {
        let world = self.world;
        let (variable, nowhere) = if world.engine.is_docker() {
            ("DOCKER_HOST", "unix:///nowhere.sock")
        } else {
            ("CONTAINER_HOST", "unix:///nowhere.sock")
        };
        self.of_call("Unreachable", "ps", world.engine("ps").env(variable, nowhere));
        if world.engine == Engine::RootlessDocker {
            let forbidden = world.engine("ps").env("DOCKER_HOST", "unix:///var/run/docker.sock");
            self.of_call("PermissionDenied", "ps", forbidden);
        }
        if world.engine == Engine::RootlessPodman {
            let data = world.home.join("data");
            let alone = world.changed(WITHOUT_SESSION, "podman ps").env("XDG_DATA_HOME", data);
            self.of_call("NoSession", "ps", alone);
        }
        if world.engine == Engine::Podman {
            let new = self.name("new");
            self.name("new-init");
            self.of("TooOld", &format!("create --name {new} --userns keep-id:uid=501,gid=20 {IMAGE}"));
            let init = format!("create --name {new}-init --init {IMAGE}");
            self.of_call("NoInit", &init, world.changed(WITHOUT_INIT, &format!("podman {init}")));
            let limit = format!("run --rm --network none --pids-limit 0 --cpus 1 {IMAGE} true");
            let limited = world.changed(WITHOUT_CONTROLLERS, &format!("podman {limit}"));
            self.of_call("NoController", &limit, limited);
        }
    }
}
