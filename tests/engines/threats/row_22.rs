//! Row 22: services of the host and of others, which the network leads to.

use std::net::TcpListener;
use std::process::{self, Command};

use crate::common::{eventually, is_root, skipped};
use crate::lab::World;

on_each_engine!(without_a_network_nothing_is_reached, a_network_of_ones_own_is_used);

/// Connects from the cage.
fn reaches(world: &World, host: &str, port: u16) -> bool {
    world.cage(&format!("run -- timeout 5 bash -c 'exec 3<>/dev/tcp/{host}/{port}'")).run().code == 0
}

/// The addresses of this machine towards others.
fn own_addresses() -> Vec<String> {
    let said = Command::new("hostname").arg("-I").output().unwrap().stdout;
    let said = String::from_utf8(said).unwrap();
    said.split_whitespace().filter(|address| !address.contains(':')).map(str::to_owned).collect()
}

/// An address that stands for that of a cloud's metadata, which only this machine itself has.
struct Metadata(String);

impl Metadata {
    fn new(world: &World) -> Option<Self> {
        // Nobody else's: not the real one's, nor that of another run of the tests.
        let address = format!("169.254.{}.{}", 100 + process::id() % 100, 10 + world.engine as u8);
        let metadata = Self(address);
        metadata.ip("add").then_some(metadata)
    }

    fn ip(&self, verb: &str) -> bool {
        let address = format!("{}/32", self.0);
        is_root()
            && Command::new("ip")
                .args(["address", verb, &address, "dev", "lo"])
                .status()
                .is_ok_and(|s| s.success())
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        self.ip("delete");
    }
}

/// Answers whoever connects to port 7777.
const SERVE: &str = "use IO::Socket::INET; $s = IO::Socket::INET->new(LocalPort => 7777, Listen => 9); \
                     while ($c = $s->accept) { close $c }";

/// Another container, and its address, if the engine gives it one that others can reach.
fn another_container(world: &World) -> Option<String> {
    let name = format!("{}-other", world.id);
    world.will_remove_container(&name);
    let serve = shell_words::quote(SERVE).into_owned();
    world.engine(&format!("run --detach --name {name} cage-lab perl -e {serve}")).ok();
    let address = world.inspect_container(&name, "{{.NetworkSettings.IPAddress}}");
    eventually("it listens", || {
        world.engine(&format!("exec {name} bash -c 'exec 3<>/dev/tcp/127.0.0.1/7777'")).run().code == 0
    });
    (!address.is_empty()).then_some(address)
}

fn without_a_network_nothing_is_reached(world: &World) {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    world.cage("start -d").ok();
    // The controls: by default all of this is reached.
    assert!(reaches(world, "host.docker.internal", port));
    assert!(!reaches(world, "host.docker.internal", 1), "a port where nobody listens");
    let mut targets = vec![("host.docker.internal".to_owned(), port)];
    let others: Vec<_> =
        own_addresses().into_iter().filter(|address| reaches(world, address, port)).collect();
    assert!(!others.is_empty(), "none of {:?}", own_addresses());
    targets.extend(others.into_iter().map(|address| (address, port)));
    let metadata = Metadata::new(world);
    match &metadata {
        Some(metadata) => {
            assert!(reaches(world, &metadata.0, port), "{}", metadata.0);
            targets.push((metadata.0.clone(), port));
        }
        None => skipped(world.engine, "it takes root to give this machine another address"),
    }
    match another_container(world) {
        Some(address) => {
            assert!(reaches(world, &address, 7777), "another container, {address}");
            targets.push((address, 7777));
        }
        // Immune by itself: each container has a network of its own.
        None => assert!(world.engine.is_rootless() && !world.engine.is_docker()),
    }

    world.cage("restart --network none").ok();
    for command in ["start -d", "restart", "stop", "start -d"] {
        world.cage(command).ok();
        assert!(!reaches(world, "host.docker.internal", port), "{command}");
    }
    for host in ["127.0.0.1", "169.254.169.254", "10.0.2.2", "172.17.0.1", "10.88.0.1"] {
        targets.push((host.to_owned(), port));
    }
    for (host, port) in targets {
        assert!(!reaches(world, &host, port), "{host}");
    }
    drop(metadata);
    // There is no other interface than its own, and no way out.
    let interfaces = "run -- sh -c \"sed -n 's/^ *\\([^ ]*\\):.*/\\1/p' /proc/net/dev | grep -cv -e '^lo$' -e tunl0 -e sit0\"";
    world.cage(interfaces).exits(1).prints("0\n");
    let status = world.cage("status").ok().out;
    assert!(status.contains("Network:   none\n"), "{status}");
    world.cage("restart --fresh").ok();
    assert!(reaches(world, "host.docker.internal", port));
}

/// A network of the person's own, which this removes also after a failure.
struct Network<'a>(&'a World, String);

impl Drop for Network<'_> {
    fn drop(&mut self) {
        self.0.cage("rm").run();
        self.0.engine(&format!("network rm {}", self.1)).run();
    }
}

fn a_network_of_ones_own_is_used(world: &World) {
    let name = format!("{}-net", world.id);
    let network = Network(world, name.clone());
    let made = world.engine(&format!("network create {name}")).run();
    if made.code != 0 {
        return skipped(world.engine, &format!("it can't make a network here: {}", made.err.trim()));
    }
    let absent = format!("{}-absent", world.id);
    world.cage(&format!("start -d --network {absent}")).exits(1).says(&absent);
    assert!(world.cages().is_empty());
    let started = world.cage(&format!("start -d --network {name}")).run();
    if started.code != 0 && world.engine.is_rootless() {
        return skipped(world.engine, &format!("it can't use its network here: {}", started.err.trim()));
    }
    assert_eq!(started.code, 0, "{started}");
    let networks = "{{range $name, $_ := .NetworkSettings.Networks}}{{println $name}}{{end}}";
    for command in ["start -d", "restart"] {
        world.cage(command).ok();
        assert_eq!(world.inspect(networks), name);
        let status = world.cage("status").ok().out;
        // podman tells the kind and not the name.
        assert!(status.contains(&format!("Network:   {name}\n")) || !world.engine.is_docker(), "{status}");
    }
    world.cage("restart --fresh").ok();
    assert_ne!(world.inspect(networks), name, "the control");
    drop(network);
}
