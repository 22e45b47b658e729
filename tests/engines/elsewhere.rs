//! An engine that is reached over a network: it gets a cage if it has the project, proved by a file that is put there.
//!
//! The engines are those of this machine behind an address of their own. One that lacks the project sees another directory at its
//! path, because cage itself runs with another one mounted there.

use std::fs;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use super::choice::leave;
use super::lab::{Call, Engine, World};
use super::yours::{Agent, owner};
use crate::common::{eventually, free_port, is_root};

on_each_engine!(a_cage_is_made_where_the_project_is, contexts_and_connections_lead_there);
on_each_engine!(clients: an_engine_without_the_project_is_refused);

/// An engine at an address that is not this machine's.
struct Far {
    address: String,
    service: Option<Child>,
}

impl Far {
    fn new(world: &World) -> Self {
        // A loopback address, so that nobody else reaches it, but not the usual one.
        if !world.engine.is_docker() {
            let address = format!("tcp://127.0.0.2:{}", free_port());
            let mut command = world.command("podman");
            let service = command.args(["system", "service", "--time", "0", &address]);
            let service = service.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let at = address.strip_prefix("tcp://").unwrap().to_owned();
            eventually("podman's service listens", || TcpStream::connect(&at).is_ok());
            return Self { address, service: Some(service) };
        }
        let socket = if world.engine.is_rootless() {
            PathBuf::from(format!("/run/user/{}/docker.sock", owner(&world.home).0))
        } else {
            PathBuf::from("/var/run/docker.sock")
        };
        let listener = TcpListener::bind("127.0.0.2:0").unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        thread::spawn(move || listener.incoming().flatten().for_each(|client| relay(client, &socket)));
        Self { address, service: None }
    }

    fn variable(world: &World) -> &'static str {
        if world.engine.is_docker() { "DOCKER_HOST" } else { "CONTAINER_HOST" }
    }

    fn cage(&self, world: &World, words: &str) -> Call {
        world.cage(words).env(Self::variable(world), &self.address)
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        if let Some(service) = &mut self.service {
            let _ = service.kill();
            let _ = service.wait();
        }
    }
}

fn relay(client: TcpStream, socket: &Path) {
    let engine = UnixStream::connect(socket).unwrap();
    let (mut from, mut to) = (client.try_clone().unwrap(), engine.try_clone().unwrap());
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (engine, client);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}

/// Returns the files that prove something and are still in a directory.
fn proofs(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".cage-proof")).collect()
}

fn a_cage_is_made_where_the_project_is(world: &World) {
    let far = Far::new(world);
    let agent = Agent::start(world, "my-key");
    let cage = |words: &str| far.cage(world, words).env("SSH_AUTH_SOCK", &agent.socket);
    world.write(&world.home.join(".config/cage/home/seed"), "");
    world.write(&world.project.join(".cage.env"), "TOKEN=here\n");
    let data = world.root().join("data");
    world.mkdir(&data);
    // The lab's rootless docker has no network to publish ports in.
    let port = if world.engine == Engine::RootlessDocker { "" } else { "-p 127.0.0.1::80" };
    let ran = cage(&format!("start -d {port} -v {}:/data:ro", data.display())).ok();
    let ran =
        ran.says(&format!("the cage is on another machine, {}, which has this directory\n", far.address));
    assert_eq!(ran.err.matches("your SSH agent doesn't come along\n").count(), 1, "{ran}");
    assert_eq!(ran.err.contains("ports are published there, not here;"), !port.is_empty(), "{ran}");
    let ran =
        ran.says("`-v` mounts that machine's files\n").says("the files in ~/.config/cage/home stay here\n");
    ran.says(&format!("warning: {} is not protected: anyone in the network can use", far.address));

    let inside =
        "test ! -e /run/host-services && test ! -e ~/seed && test $TOKEN = here && touch made && touch ~/x";
    let ran = cage(&format!("--verbose run -- sh -c '{inside}'")).ok();
    assert!(!ran.err.contains("cage-proof"), "not for every command: {ran}");
    assert_eq!(owner(&world.project.join("made")), owner(&world.project));
    cage("list").ok().says(&format!("these cages are on another machine, {}\n", far.address));
    assert!(cage("list --json").ok().out.contains(&format!(r#""address":"{}""#, far.address)));
    assert!(cage("status").ok().out.contains(&format!("on another machine, {}", far.address)));
    let doctor = cage("doctor").ok();
    assert!(doctor.out.contains(&format!("on another machine, {}", far.address)), "{doctor}");
    cage("prune --yes").exits(1).says("the engine is on another machine");

    for command in ["--verbose restart -d", "stop", "--verbose start -d", "stop", "rm"] {
        let ran = cage(command).ok();
        assert_eq!(ran.err.contains("/cage-proof-0/.cage-proof-"), command.starts_with("--verbose"), "{ran}");
    }
    assert_eq!(proofs(&world.project), [""; 0]);
    // The control: at its usual address it is no other machine.
    let words =
        if world.engine.is_docker() { "--runtime docker start -d" } else { "--runtime podman start -d" };
    world.cage(words).ok().says_not("machine").says_not("doesn't come along");
}

fn contexts_and_connections_lead_there(world: &World) {
    let far = Far::new(world);
    let (words, variable) = if world.engine.is_docker() {
        (format!("context create far --docker host={}", far.address), "DOCKER_CONTEXT")
    } else {
        (format!("system connection add far {}", far.address), "CONTAINER_CONNECTION")
    };
    world.engine(&words).env("DOCKER_HOST", "").ok();
    let there = |words: &str| world.cage(words).env("DOCKER_HOST", "").env(variable, "far");
    there("start -d").ok().says(&format!("the cage is on another machine, {},", far.address));
    there("run true").ok();
    there("list").ok().says(&far.address);
    there("rm").ok();
}

fn an_engine_without_the_project_is_refused(world: &World) {
    if !is_root() {
        return;
    }
    let far = Far::new(world);
    let other = world.root().join("other");
    world.mkdir(&other);
    // cage with `other` at the project's path, as on a machine that has other files there.
    let program = |words: &str| {
        let mut command = Command::new("unshare");
        let script = "mount --bind \"$1\" \"$2\" && cd \"$2\" && shift 2 && exec \"$@\"";
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(&other).arg(&world.project);
        leave(world, &mut command).arg(world.binary()).args(words.split(' '));
        command.env(Far::variable(world), &far.address).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let refused = |words: &str| {
        let output = program(words).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        let place = format!(
            "error: the engine is on another machine, {}, where {}",
            far.address,
            world.project.display()
        );
        assert!(
            said.contains(&format!("{place} is another directory\nhint: make the directory available")),
            "{said}"
        );
        assert_eq!((proofs(&other), proofs(&world.project)), (vec![], vec![]));
    };
    refused("start -d");
    assert_eq!(world.cages(), [""; 0]);
    let left = fs::read_dir(world.home.join(".local/state/cage")).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| !name.starts_with("writable.")).count(), 0);

    // It has no such directory at all.
    let gone = world.root().join("gone");
    world.mkdir(&gone);
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs none \"$1\" && mkdir \"$1/app\" && chmod 777 \"$1/app\" && cd \"$1/app\" && shift && exec \"$@\"";
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(&gone);
    leave(world, &mut command).arg(world.binary()).args(["start", "-d"]);
    let output = command.env(Far::variable(world), &far.address).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!(", which doesn't have {}/app\n", gone.display())), "{said}");

    // Ctrl-C while cage waits for the file.
    let start = program("start -d").spawn().unwrap();
    eventually("a file is there", || !proofs(&other).is_empty());
    kill_process(Pid::from_child(&start), Signal::INT).unwrap();
    let output = start.wait_with_output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("error: interrupted"));
    assert_eq!((proofs(&other), output.status.code()), (vec![], Some(1)));

    // The tree may have gone since a cage was made.
    far.cage(world, "start -d").ok();
    far.cage(world, "stop").ok();
    for command in ["start -d", "restart -d"] {
        refused(command);
    }
    assert_eq!(world.state(), "exited");
}
