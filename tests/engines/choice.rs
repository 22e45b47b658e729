//! A cage and a home belong to an engine: none takes the place of one that is out of reach.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::process::Command;

use super::lab::{Call, Engine, IMAGE, PATH, World, run};
use crate::common::is_root;

/// The commands that would stop, remove or replace something in another engine.
const DESTROYING: [&str; 6] = ["stop", "rm", "restart", "prune --yes", "rmconfig --yes", "obliterate --yes"];

/// docker's socket through a link, as products of virtual machines have it, so that it can go away.
struct Link<'a> {
    world: &'a World,
    address: String,
}

impl<'a> Link<'a> {
    fn new(world: &'a World) -> Self {
        let link = Self { world, address: format!("unix://{}/docker.sock", world.root().display()) };
        link.set("/var/run/docker.sock");
        link
    }

    fn path(&self) -> &Path {
        Path::new(self.address.strip_prefix("unix://").unwrap())
    }

    fn set(&self, socket: &str) {
        symlink(socket, self.path()).unwrap();
    }

    fn remove(&self) {
        fs::remove_file(self.path()).unwrap();
    }

    /// Returns a command of a user who names no engine.
    fn cage(&self, words: &str) -> Call {
        self.world.cage(words).env("CAGE_RUNTIME", "").env("DOCKER_HOST", &self.address)
    }
}

/// Removes this world's objects from podman.
fn leave_podman(world: &World) {
    let podman = |words: &str| world.call("podman", &shell_words::split(words).unwrap()).run().out;
    let ids = podman(&format!("ps --all --quiet --filter label={}", world.label()));
    podman(&format!("rm --force --time 0 --volumes {}", ids.replace('\n', " ")));
    podman(&format!("volume rm {}", world.volume()));
}

#[test]
fn docker_that_is_down_is_not_replaced_by_podman() {
    run(Engine::Docker, false, |world| {
        let docker = Link::new(world);
        docker.cage("start -d").ok();
        let name = world.name();
        let id = world.container_id();
        docker.remove();
        let podman_has = |what: &str| {
            let args = shell_words::split(what).unwrap();
            world.call("podman", &args).ok().out.contains(&world.id)
        };
        for command in DESTROYING.iter().chain(&["start -d", "run true", "shell", "status", "list"]) {
            let ran = docker.cage(command).run();
            assert!(ran.code == 1 || ran.code == 125, "{ran}");
            ran.says(" is in docker at unix:///run/docker.sock: docker does not answer")
                .says("`--runtime podman`");
        }
        // The first cage of another project would have an empty home.
        let other = world.root().join("other");
        world.mkdir(&other);
        docker.cage("start -d").dir(&other).exits(1).says(&format!("error: {} is in docker", world.volume()));
        assert!(!podman_has("ps --all --format {{.Labels}}") && !podman_has("volume ls --quiet"));

        // Both ways out: podman by name, after which it is remembered, and docker again.
        if is_root() {
            docker.cage("--runtime podman start -d").ok();
            docker.cage("status").ok().begins("Container: ");
            assert!(podman_has("volume ls --quiet"), "the control");
            docker.cage("rm").ok();
            leave_podman(world);
        }
        docker.set("/var/run/docker.sock");
        docker.cage("--runtime docker start -d").ok().prints(&format!("{name}\n"));
        assert_eq!(world.container_id(), id, "nothing has happened to it");

        // What docker's own client removed locks nobody out.
        world.removal(&name).ok();
        docker.cage("start -d").ok();
        docker.cage("obliterate --yes").ok();
        let left = fs::read_dir(world.home.join(".local/state/cage")).unwrap();
        let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(left.filter(|name| name.ends_with(".engine")).count(), 0);
    });
}

#[test]
fn another_context_is_another_engine() {
    run(Engine::GroupDocker, false, |world| {
        let user = fs::metadata(&world.home).unwrap().uid();
        let socket = format!("unix:///run/user/{user}/docker.sock");
        world.engine(&format!("context create rootless --docker host={socket}")).ok();
        let away = |call: Call| call.env("CAGE_RUNTIME", "").env("DOCKER_CONTEXT", "rootless");
        let created = || away(world.engine("ps --all --format {{.Labels}}")).ok().out.contains(&world.id);

        world.cage("start -d").env("CAGE_RUNTIME", "").ok();
        let id = world.container_id();
        for command in DESTROYING.iter().chain(&["start -d", "run true", "shell", "status"]) {
            let ran = away(world.cage(command)).run();
            assert!(ran.code == 1 || ran.code == 125, "{ran}");
            ran.says(" is in docker at unix:///run/docker.sock, and this is docker at unix:///run/user/")
                .says("hint: DOCKER_HOST or `docker context use` leads there; or name this engine");
        }
        assert!(world.container_id() == id && !created());

        // By name, or when the first engine says that it has the cage no more.
        away(world.cage("--runtime docker start -d")).ok();
        assert!(created(), "the control");
        away(world.cage("rm")).ok();
        world.cage("start -d").env("CAGE_RUNTIME", "").ok();
        world.removal(&world.name()).ok();
        away(world.cage("start -d")).ok();
        away(world.cage("--runtime docker obliterate --yes")).ok();
        assert!(!created());
    });
}

#[test]
fn a_podman_of_another_user_is_another_engine_and_needs_no_login() {
    run(Engine::RootlessPodman, false, |world| {
        // As in a cron job, or after `su`.
        let user = fs::metadata(&world.home).unwrap().uid();
        let podman = world.home.join("bin/podman");
        let log = world.home.join("log");
        let script = "#!/bin/sh\nexport XDG_RUNTIME_DIR\necho \"$XDG_RUNTIME_DIR\" >>$HOME/log\nexec /usr/bin/podman \"$@\"\n";
        world.program(&podman, script);
        for dir in ["", "/nonexistent", "/run"] {
            world.write(&log, "");
            world.cage("status").env("CAGE_RUNTIME", &podman).env("XDG_RUNTIME_DIR", dir).ok();
            let said = fs::read_to_string(&log).unwrap();
            assert!(!said.is_empty() && said.lines().all(|dir| dir == format!("/run/user/{user}")), "{said}");
        }
        let own = world.home.join("runtime");
        world.mkdir(&own);
        world.cage("status").env("CAGE_RUNTIME", &podman).env("XDG_RUNTIME_DIR", &own).run();
        assert!(fs::read_to_string(&log).unwrap().ends_with(&format!("{}\n", own.display())), "the control");

        world.cage("--runtime podman start -d").env("CAGE_RUNTIME", "").ok();
        let id = world.container_id();
        if is_root() {
            for command in DESTROYING.iter().chain(&["start -d", "run true"]) {
                let words = shell_words::split(command).unwrap();
                let mut root = Command::new(world.binary());
                root.args(words)
                    .env_clear()
                    .env("PATH", PATH)
                    .env("HOME", &world.home)
                    .current_dir(&world.project);
                root.env("CAGE_IMAGE", IMAGE)
                    .env("CAGE_LABEL", world.label())
                    .env("CAGE_HOME_VOLUME", world.volume());
                let said = String::from_utf8(root.output().unwrap().stderr).unwrap();
                let where_it_is =
                    format!(" is in podman run by user {user}, and this is podman run by root\n");
                assert!(said.contains(&where_it_is), "{command}: {said}");
            }
        }
        assert_eq!(world.container_id(), id);
    });
}

/// Makes a command that root starts one of the world's user, with its environment.
pub fn leave<'a>(world: &World, command: &'a mut Command) -> &'a mut Command {
    let user = fs::metadata(&world.home).unwrap();
    let own = world.command("true");
    command.env_clear();
    for (name, value) in own.get_envs() {
        value.map(|value| command.env(name, value));
    }
    command.args([
        "setpriv",
        &format!("--reuid={}", user.uid()),
        &format!("--regid={}", user.gid()),
        "--clear-groups",
    ])
}
