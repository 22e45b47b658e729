//! The system below the engines: systemd's sessions, cgroup v2, a daemon that restarts. The lab's machines have no systemd and
//! cgroup v1, so a mount namespace shows cage and the engine what they would find elsewhere.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rexpect::reader::Options;
use rexpect::session::{PtySession, spawn_with_options};

use crate::common::{eventually, is_root, skipped};
use crate::lab::{BUSYBOX_IMAGE, Call, Engine, PATH, World, run};
use crate::record::{WITHOUT_CONTROLLERS, WITHOUT_SESSION};

/// Returns whether mounts can be changed; if not, the test is skipped.
fn can_mount(world: &World) -> bool {
    if !is_root() {
        skipped(world.engine, "needs root, for a mount namespace");
    }
    is_root()
}

/// Nobody can log out here: without systemd as process 1, `loginctl` says "System has not been booted with systemd as init system
/// (PID 1). Can't operate." So logind's files are made, and the engine that runs the cage is a real one.
#[test]
fn logging_out_is_warned_of_where_it_ends_the_cage() {
    for engine in [Engine::RootlessDocker, Engine::RootlessPodman] {
        run(engine, false, |world| {
            if !can_mount(world) {
                return;
            }
            let uid = world.engine_user();
            let logged_in = |lingers: &str| {
                format!(
                    "mkdir -p /run/systemd && mount -t tmpfs none /run/systemd && mkdir -p /run/systemd/users /var/lib/systemd && \
                     echo NAME=somebody >/run/systemd/users/{uid} && mount -t tmpfs none /var/lib/systemd && \
                     mkdir /var/lib/systemd/linger && {lingers}"
                )
            };
            let cage =
                |lingers: &str, words: &str| world.changed(&logged_in(lingers), &world.cage_command(words));
            // podman's process that keeps its namespaces must not be in this test's.
            world.engine("ps").ok();
            let warning = "logging out ends this cage; `loginctl enable-linger` keeps it";
            cage(":", "start -d").ok().says(warning);
            assert!(cage(":", "doctor").run().out.contains("logging out ends your cages"));
            // The controls: a user who lingers, and one who isn't logged in.
            let lingers = "touch /var/lib/systemd/linger/somebody";
            cage(lingers, "start -d").ok().says_not(warning);
            assert!(!cage(lingers, "doctor").run().out.contains("logging out"));
            world.cage("start -d").ok().says_not(warning);
        });
    }
}

/// podman 4.3 and 5.4 do without the directory if they aren't told of it. The words that podman 5.4 has for it in a session made by
/// `su` (`default OCI runtime "crun" not found`) need systemd.
#[test]
fn a_missing_session_is_named() {
    run(Engine::RootlessPodman, false, |world| {
        if !can_mount(world) {
            return;
        }
        // With the lab's own store, podman would believe that the machine was restarted.
        let data = world.home.join("data");
        let without = |words: &str| world.changed(WITHOUT_SESSION, words).env("XDG_DATA_HOME", &data);
        if without("podman ps").run().code == 0 {
            return skipped(world.engine, "this podman does without /run/user");
        }
        let missing = format!("/run/user/{} is missing: you have no login session", world.engine_user());
        for words in ["start", "list", "run true"] {
            let ran = without(&world.cage_command(words)).run();
            assert_ne!(ran.code, 0, "{ran}");
            ran.says(&missing).says("hint: log in as this user, by ssh or `machinectl shell`, not by `su`");
        }
        let doctor = without(&world.cage_command("doctor")).exits(1);
        assert!(doctor.out.contains(&missing), "{doctor}");
    });
}

/// All controllers of the lab's kernel belong to cgroup v1; its version 2 can be mounted beside it, and has none of those for
/// limits.
#[test]
fn limits_that_cgroup_v2_has_no_controller_for_are_left_out() {
    run(Engine::Podman, false, |world| {
        if !can_mount(world) {
            return;
        }
        // A store of this test, so that the lab's podman never has a container of another mount namespace. podman's own limit of
        // processes fails, too. Ulimits as in tests/lab/up.
        let dir = world.root().display().to_string();
        let [conf, storage] = ["containers.conf", "storage.conf"].map(|name| world.home.join(name));
        let settings = format!(
            "[containers]\npids_limit = 0\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n\
             [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\ntmp_dir = \"{dir}/tmp\"\n"
        );
        world.write(&conf, &settings);
        let settings =
            format!("[storage]\ndriver = \"vfs\"\ngraphroot = \"{dir}/graph\"\nrunroot = \"{dir}/run\"\n");
        world.write(&storage, &settings);
        let archive = world.root().join("image.tar");
        let save = format!("save --output {} {BUSYBOX_IMAGE}", archive.display());
        world.engine(&save).ok();
        let changed = |words: &str| {
            let call = world.changed(WITHOUT_CONTROLLERS, words).env("CAGE_IMAGE", BUSYBOX_IMAGE);
            call.env("CONTAINERS_CONF", &conf).env("CONTAINERS_STORAGE_CONF", &storage)
        };
        if changed("cat /sys/fs/cgroup/cgroup.controllers").ok().out.contains("cpu ") {
            return skipped(world.engine, "the kernel's cgroup v2 has the controllers");
        }
        changed(&format!("podman load --input {}", archive.display())).ok();
        changed(&format!("podman run --rm --network none {BUSYBOX_IMAGE} true")).ok();
        let ran = changed(&format!("podman run --rm --network none --cpus 1 {BUSYBOX_IMAGE} true")).run();
        assert!(ran.code != 0 && ran.err.contains("/sys/fs/cgroup/"), "the control: {ran}");

        let cage = |words: &str| changed(&world.cage_command(words));
        let start = cage("start -d --network none --cpus 1").run();
        let doctor = cage("doctor").run();
        let status = cage("status").run();
        let remove = cage("rm").run();
        changed("podman rm --all --force --time 0").ok();
        assert_eq!(remove.code, 0, "{remove}");
        assert_eq!(start.code, 0, "{start}");
        start.says("this engine can't limit processors: the cage may use any amount");
        assert!(doctor.out.contains("the engine can't limit processes, memory, processors"), "{doctor}");
        assert!(status.out.contains("processors"), "{status}");
    });
}

/// A dockerd of this test, in its own network namespace: in the machine's, it would change the networks of the machine's dockerd.
struct Daemon<'a> {
    world: &'a World,
    dockerd: Child,
}

impl<'a> Daemon<'a> {
    fn dir(world: &World) -> PathBuf {
        world.root().join("d")
    }

    fn address(world: &World) -> String {
        format!("unix://{}/docker.sock", Self::dir(world).display())
    }

    fn new(world: &'a World) -> Self {
        Self { world, dockerd: Self::start(world) }
    }

    fn start(world: &World) -> Child {
        let dir = Self::dir(world);
        fs::create_dir_all(&dir).unwrap();
        let [data, exec, pid] = ["data", "exec", "pid"].map(|name| dir.join(name).display().to_string());
        let mut command = Command::new("unshare");
        command.args(["--net", "dockerd", "--iptables=false", "--ip6tables=false", "--storage-driver=vfs"]);
        command.args(["--host", &Self::address(world), "--data-root", &data, "--exec-root", &exec]);
        command.args(["--pidfile", &pid]).env_clear().env("PATH", PATH);
        let log = fs::File::create(dir.join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut dockerd = command.spawn().unwrap();
        eventually("dockerd answers", || {
            let ended = dockerd.try_wait().unwrap();
            assert!(ended.is_none(), "{}", fs::read_to_string(dir.join("log")).unwrap());
            Self::docker(world, "version").run().code == 0
        });
        dockerd
    }

    fn docker(world: &World, words: &str) -> Call {
        world.engine(words).env("DOCKER_HOST", Self::address(world))
    }

    fn stop(&mut self) {
        if self.dockerd.try_wait().unwrap().is_none() {
            let pid = self.dockerd.id().to_string();
            assert!(Command::new("kill").arg(pid).status().unwrap().success());
            self.dockerd.wait().unwrap();
        }
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let ids = Self::docker(self.world, "ps --all --quiet").run().out.replace('\n', " ");
        Self::docker(self.world, &format!("rm --force --volumes {ids}")).run();
        self.stop();
    }
}

/// A daemon that is stopped ends its containers first. One that is killed leaves processes behind, so that is not tried here.
#[test]
fn an_engine_that_restarts_is_told_with_the_way_back() {
    run(Engine::Docker, false, |world| {
        if !can_mount(world) {
            return;
        }
        let mut daemon = Daemon::new(world);
        let (address, image) = (Daemon::address(world), BUSYBOX_IMAGE);
        let load = format!("docker save {image} | docker --host {address} load");
        world.call("sh", &["-c".into(), load]).ok();
        for verb in ["start", "shell"] {
            let cage = |words: &str| world.cage(words).env("DOCKER_HOST", &address).env("CAGE_IMAGE", image);
            cage("start -d").ok();
            let mut command = world.command(world.binary());
            command.arg(verb).env("DOCKER_HOST", &address).env("CAGE_IMAGE", image).env("TERM", "xterm");
            let options = Options::new().timeout_ms(Some(60_000)).strip_ansi_escape_codes(true);
            let mut session: PtySession = spawn_with_options(command, options).unwrap();
            session.send_line("echo the-$((6 * 7))-answer").unwrap();
            session.exp_string("the-42-answer").unwrap();
            daemon.stop();
            let said = session.exp_eof().unwrap();
            daemon.dockerd = Daemon::start(world);
            let context = format!("{verb}: {said}");
            for raw in ["No such exec", "Cannot connect", "Error response", "EOF"] {
                assert!(!said.contains(raw), "{context}");
            }
            assert!(said.contains("error: the engine went away while you were in"), "{context}");
            assert!(said.contains("hint: when it is back, `cage start` starts the cage again"), "{context}");
            // The way back.
            cage("run -- true").ok();
        }
    });
}
