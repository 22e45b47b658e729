//! Row 22: services of the host and of others, which the network leads to.

use std::net::TcpListener;

use crate::engines::lab::{World, skipped};
use crate::engines::on_each_engine;

on_each_engine!(without_a_network_nothing_is_reached, a_network_of_ones_own_is_used);

/// Connects to what listens on the host.
fn connects(port: u16) -> String {
    format!("run -- bash -c 'exec 3<>/dev/tcp/host.docker.internal/{port}'")
}

fn without_a_network_nothing_is_reached(world: &World) {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // The control: by default all of this is reached.
    world.cage("start -d").ok();
    world.cage(&connects(port)).ok();

    world.cage("restart --network none").ok();
    for command in ["start -d", "restart", "stop", "start -d"] {
        world.cage(command).ok();
        assert_ne!(world.cage(&connects(port)).run().code, 0, "{command}");
    }
    for host in ["127.0.0.1", "169.254.169.254", "10.0.2.2", "172.17.0.1"] {
        let connect = format!("run -- timeout 5 bash -c 'exec 3<>/dev/tcp/{host}/{port}'");
        assert_ne!(world.cage(&connect).run().code, 0, "{host}");
    }
    // There is no other interface than its own, and no way out.
    let interfaces = "run -- sh -c \"sed -n 's/^ *\\([^ ]*\\):.*/\\1/p' /proc/net/dev | grep -cv -e '^lo$' -e tunl0 -e sit0\"";
    world.cage(interfaces).exits(1).prints("0\n");
    let status = world.cage("status").ok().out;
    assert!(status.contains("Network:   none\n"), "{status}");
    world.cage("restart --fresh").ok();
    world.cage(&connects(port)).ok();
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
