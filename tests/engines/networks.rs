//! Shared memory, networks that a cage shares, ports that the engine chooses.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::lab::World;
use crate::common::free_port;

on_each_engine!(shared_memory_is_enough_for_a_browser, a_network_can_be_another_containers);

on_each_engine!(clients: ports_need_a_network, the_chosen_port_is_told, a_proxy_at_a_loopback_address_is_told_once);

fn shared_memory_is_enough_for_a_browser(world: &World) {
    let size = "run --pull never -- sh -c 'df -k /dev/shm | tail -n 1 | awk \"{print \\$2}\"'";
    world.cage(size).ok().prints("1048576\n");
    world.cage("restart --shm-size 200m").ok();
    world.cage(size).ok().prints("204800\n");
    // Kept, and not against arguments for the engine that leave no memory of the cage's own.
    world.cage("restart").ok();
    world.cage(size).ok().prints("204800\n");
    world.cage("restart --fresh -- --ipc=none").ok();
    // Without root, the lab's engines can't.
    if !world.engine.is_rootless() {
        world.cage("restart --fresh -- --ipc host").ok();
    }
    world.cage("start --shm-size lots").exits(2);
}

fn a_network_can_be_another_containers(world: &World) {
    let other = format!("{}-other", world.id);
    world.will_remove_container(&other);
    let network = if world.engine.is_rootless() && world.engine.is_docker() { "none" } else { "bridge" };
    world.engine(&format!("run -d -i --network {network} --hostname other --name {other} cage-lab cat")).ok();
    let output = |call: super::lab::Call| call.ok().out;
    let others = output(world.engine(&format!("exec {other} readlink /proc/self/ns/net")));
    for words in
        [format!("start --network container:{other}"), format!("restart --fresh -- --net=container:{other}")]
    {
        world.cage(&words).ok();
        world.cage("run readlink /proc/self/ns/net").ok().prints(&others);
    }
    world.cage("stop").ok();
    world.cage("start").ok();
    // Another container's file is left alone.
    let hosts = output(world.engine(&format!("exec {other} cat /etc/hosts")));
    assert!(!hosts.contains("host.docker.internal"), "{hosts}");
    world.cage("run touch new").ok();
    assert_eq!(
        fs::metadata(world.project.join("new")).unwrap().uid(),
        fs::metadata(&world.project).unwrap().uid()
    );
    world.cage("restart --fresh -- --uts host").ok();
    // The control: processes can be shared without the network.
    world.cage(&format!("restart --fresh -- --pid container:{other}")).ok();
    world.cage("run hostname").ok().prints(&format!("{}\n", world.name()));
}

fn ports_need_a_network(world: &World) {
    let port = free_port();
    for network in ["none", "host", "container:x"] {
        let error = format!("error: `-p 127.0.0.1:{port}:80` is not possible with `--network {network}`: ");
        world.cage(&format!("start -p {port}:80 --network {network}")).exits(1).says(&error);
        world.cage(&format!("start -p {port}:80")).env("CAGE_NETWORK", network).exits(1).says(&error);
        world.cage(&format!("run -p {port}:80 -- true")).env("CAGE_NETWORK", network).exits(125).says(&error);
    }
    world
        .cage("start -- --net=none -p 80:80")
        .exits(1)
        .says("error: `-p 80:80` is not possible with `--net none`");
    assert!(world.cages().is_empty());
    world.cage(&format!("start -p {port}:80")).ok();
    let id = world.container_id();
    world.cage("restart --network none").exits(1).says("--fresh").says("cage forward");
    assert_eq!(world.container_id(), id);
    // Ports of every cage are left out.
    world.write(&world.home.join(".config/cage/ports"), &format!("{port}:81\n"));
    world.cage("restart --fresh --network none").ok();
}

fn a_proxy_at_a_loopback_address_is_told_once(world: &World) {
    let proxy = "http://me:secret@127.0.0.1:3128";
    let told = "cage: warning: a proxy at this machine's loopback address can't be reached from the cage: ";
    let has = |ran: super::lab::Ran, names: &str| {
        let ran = ran.says(&format!("{told}{names}; write host.docker.internal")).says_not("secret");
        assert_eq!(ran.err.matches("loopback").count(), 1, "{ran}");
    };
    has(
        world.cage(&format!("start -e http_proxy={proxy} -e HTTPS_PROXY=localhost:1")).ok(),
        "http_proxy, HTTPS_PROXY",
    );
    world.cage("start").ok().says_not("loopback");
    world.write(
        &world.project.join(".cage.env"),
        &format!("ALL_PROXY=socks5://[::1]:1080\nno_proxy={proxy}\n"),
    );
    has(world.cage("restart --fresh").ok(), "ALL_PROXY");
    // Arguments for the engine win over both.
    world.write(&world.project.join(".cage.env"), "ALL_PROXY=proxy:1\n");
    has(world.cage("restart --fresh -- -e ALL_PROXY=socks5h://localhost:1080").ok(), "ALL_PROXY");
    let passed = world.cage("restart --fresh").env("CAGE_CREATE_ARGS", "--env=https_proxy");
    let passed = passed.env("https_proxy", proxy);
    has(passed.ok(), "https_proxy");
    // In this machine's network the address is right.
    world.cage("restart --fresh --network host").ok().says_not("loopback");

    // What the client itself passes on; the user's own value wins.
    let config = format!(r#"{{"proxies": {{"default": {{"httpProxy": "{proxy}"}}}}}}"#);
    world.write(&world.project.join(".cage.env"), "");
    world.write(&world.home.join(".docker/config.json"), &config);
    let restart = |words: &str| world.cage(&format!("restart --fresh {words}")).env("http_proxy", proxy).ok();
    let source = match world.engine.program() {
        "docker" => format!("http_proxy ({}/.docker/config.json)", world.home.display()),
        _ => "http_proxy (passed on by podman)".to_owned(),
    };
    has(restart(""), &source);
    world.cage("run -- sh -c 'echo $http_proxy'").ok().prints(&format!("{proxy}\n"));
    let own = "http://host.docker.internal:3128";
    let ran = restart(&format!("-e http_proxy={own} -e HTTP_PROXY={own}"));
    if world.engine.is_docker() {
        // docker's client gives its proxies to each shell, too.
        has(ran, &source);
    } else {
        ran.says_not("loopback");
        world.cage("run -- sh -c 'echo $http_proxy'").ok().prints(&format!("{own}\n"));
    }
}

fn the_chosen_port_is_told(world: &World) {
    let chosen = |told: &str| -> String {
        let line = told.lines().find_map(|line| line.trim_end().strip_suffix(" → 80")).expect(told);
        line.strip_prefix("cage: published 127.0.0.1:").expect(told).to_owned()
    };
    let is_in_status = |port: &str| {
        let status = world.cage("status").ok().out;
        assert!(status.contains(&format!("80/tcp -> 127.0.0.1:{port}\n")), "{port}: {status}");
    };
    is_in_status(&chosen(&world.cage("start -p 80").ok().says_not("→ 53").err));
    is_in_status(&chosen(&world.cage("restart -p 53/udp").ok().says(" → 53/udp\n").err));
    world.cage("stop").ok();
    is_in_status(&chosen(&world.cage("start").ok().err));
    world.cage("rm").ok();
    // A port of the user's own choice needs no message.
    world.cage(&format!("start -p {}:80", free_port())).ok().says_not("→");
}
