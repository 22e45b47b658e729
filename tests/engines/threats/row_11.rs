//! Row 11: what is to be mounted is gone. Engines make a directory of it, which is root's.

use std::fs;
use std::path::Path;

use crate::lab::World;
use crate::yours::Agent;

on_each_engine!(a_vanished_volume_source_makes_nothing_on_the_host);

on_each_engine!(clients: neither_does_a_vanished_project, neither_does_an_agent_that_is_gone);

/// The control: what an engine does by itself with `-v` and a source that is gone.
#[track_caller]
fn engine_makes(world: &World, source: &Path) {
    assert!(!source.exists());
    let ran = world.engine(&format!("run --rm --volume {}:/gone cage-lab true", source.display())).run();
    if world.engine.is_docker() {
        assert!(ran.code == 0 && source.exists(), "docker makes a directory: {ran}");
        // It is root's, or of whoever runs the engine.
        fs::remove_dir(source).unwrap();
    } else {
        // Immune by itself, as long as it says so.
        assert!(ran.code != 0 && ran.err.contains("no such file or directory") && !source.exists(), "{ran}");
    }
}

fn a_vanished_volume_source_makes_nothing_on_the_host(world: &World) {
    let source = world.home.join("data");
    let start = format!("start -v {}:/data", source.display());
    world.cage(&start).exits(1).says(&source.display().to_string());
    assert!(!source.exists() && world.cages().is_empty());

    world.mkdir(&source);
    world.cage(&start).ok();
    world.cage("stop").ok();
    fs::remove_dir(&source).unwrap();
    world.cage("start").exits(1).says(&source.display().to_string());
    world.cage("restart").exits(1).says(&source.display().to_string());
    assert!(!source.exists(), "the engine made it");
    world.cage("restart --fresh").ok();
    assert!(!source.exists());

    engine_makes(world, &source);
}

fn neither_does_a_vanished_project(world: &World) {
    let dir = world.home.join("gone");
    world.mkdir(&dir);
    let cage = |words: &str| world.cage(&format!("-C {} {words}", dir.display()));
    let name = cage("start -d").ok().out.trim().to_owned();
    world.cage(&format!("stop {name}")).ok();
    fs::remove_dir(&dir).unwrap();
    for command in ["start -d", "restart", "status", "stop", "rm"] {
        cage(command).exits(1).says("No such file or directory");
    }
    cage("run true").exits(125);
    // By its name it can still be looked at and removed.
    world.cage(&format!("status {name}")).ok();
    assert!(world.cage("list").ok().out.contains(&name));
    assert!(!dir.exists());

    // Not even when the engine itself is asked to start it.
    assert_ne!(world.engine(&format!("start {name}")).run().code, 0);
    assert!(!dir.exists(), "the engine made it");
    world.cage(&format!("rm {name}")).ok();
    engine_makes(world, &dir);
}

fn neither_does_an_agent_that_is_gone(world: &World) {
    let agent = Agent::start(world, "my-key");
    let (socket, key) = (agent.socket.clone(), agent.key.clone());
    agent.cage(world, "start -d").ok();
    assert!(agent.cage(world, "run -- ssh-add -l").ok().out.contains(&key), "the control");
    agent.cage(world, "stop").ok();
    drop(agent);
    let _ = fs::remove_file(&socket);
    engine_makes(world, &socket);
    for command in ["start -d", "restart", "stop", "start -d"] {
        world.cage(command).env("SSH_AUTH_SOCK", &socket).ok();
        assert!(!socket.exists(), "{command} made it");
    }
    assert_ne!(world.cage("run -- ssh-add -l").run().code, 0);
}
