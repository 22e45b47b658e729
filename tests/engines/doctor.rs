//! `cage doctor` on engines that answer: its output is true, and nothing is left behind.

use std::fs;

use serde_json::Value;

use super::lab::World;
use super::yours::Agent;

on_each_engine!(everybody: checks_match_the_engine_and_nothing_is_left, the_agent_is_tried_from_inside);
on_each_engine!(clients: a_home_volume_with_options_is_a_problem);

/// Returns its JSON output; there must be no problem.
fn doctor(world: &World) -> Value {
    serde_json::from_str(&world.cage("doctor --json").ok().out).unwrap()
}

/// Returns level and message of a check.
fn says(printed: &Value, name: &str) -> (String, String) {
    let checks = printed["checks"].as_array().unwrap();
    let check =
        checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {printed}"));
    (check["level"].as_str().unwrap().into(), check["message"].as_str().unwrap().into())
}

fn checks_match_the_engine_and_nothing_is_left(world: &World) {
    let volumes = || world.engine("volume ls --quiet").ok().out;
    let printed = doctor(world);
    assert_eq!(printed["engine"]["kind"], world.engine.program());
    assert_eq!(printed["engine"]["rootless"], world.engine.is_rootless());
    let info = if world.engine.program() == "docker" { ".ServerVersion" } else { ".Version.Version" };
    let version = world.engine(&format!("info --format '{{{{{info}}}}}'")).ok().out;
    assert_eq!(printed["engine"]["version"], version.trim());
    assert!(says(&printed, "image").1.contains(", user vscode ("), "{printed}");
    assert!(says(&printed, "home").1.contains("does not exist yet"), "{printed}");
    assert_eq!(printed["project"], world.project.to_str().unwrap());
    assert!(says(&printed, "disk").1.ends_with(" free for images and cages"), "{printed}");
    assert!(!volumes().contains(&world.volume()));
    let session = world.engine("ps --all --format '{{.Names}}'").ok().out;
    assert!(!session.contains("cage-doctor-"), "{session}");
    // podman creates its store at its first command.
    assert!(!world.home.join(".local/state").exists() && !world.home.join(".config/cage").exists());
    assert_eq!(fs::read_dir(&world.project).unwrap().count(), 0);

    // doctor doesn't change an existing cage.
    world.cage("start -d").ok();
    let (id, started) = (world.container_id(), world.inspect("{{.State.StartedAt}}"));
    let printed = doctor(world);
    assert!(says(&printed, "image").1.contains(", user vscode ("), "{printed}");
    assert_eq!((world.container_id(), world.inspect("{{.State.StartedAt}}")), (id, started));
    world.cage("doctor").env("CAGE_IMAGE", "no-such-image").exits(1);
}

fn the_agent_is_tried_from_inside(world: &World) {
    let agent = Agent::start(world, "my-key");
    let told = |why: &str| {
        let socket = agent.socket.to_str().unwrap();
        let ran = world.cage("doctor --json").env("SSH_AUTH_SOCK", socket).ok();
        let printed: Value = serde_json::from_str(&ran.out).unwrap();
        let (level, message) = says(&printed, "ssh-agent");
        (level, format!("{message} ({why})"))
    };
    let works = |why: &str| {
        let (level, message) = told(why);
        assert!(level == "ok" && message.contains("on this machine, 1 key inside"), "{message}");
    };
    works("in a container of its own");
    world.cage("start -d").env("SSH_AUTH_SOCK", agent.socket.to_str().unwrap()).ok();
    works("in the cage that runs");
    // The control: the agent really works inside.
    assert!(world.inside("ssh-add -l").ok().out.contains(&agent.key));
    world.cage("restart --no-ssh").env("SSH_AUTH_SOCK", agent.socket.to_str().unwrap()).ok();
    let (level, message) = told("kept out");
    assert!(level == "ok" && message.contains("cage runs without your SSH agent"), "{message}");

    // An agent that answers outside and not inside: the cage's agent has ended meanwhile.
    let gone = Agent::start(world, "other-key");
    world.cage("restart --fresh").env("SSH_AUTH_SOCK", gone.socket.to_str().unwrap()).ok();
    drop(gone);
    let (level, message) = told("the cage has an agent that is gone");
    assert!(level == "warning" && message.contains("does not work inside: "), "{message}");
}

fn a_home_volume_with_options_is_a_problem(world: &World) {
    let volume = world.volume();
    world.engine(&format!("volume create {volume}")).ok();
    assert_eq!(says(&doctor(world), "home"), ("ok".into(), volume.clone()), "the control");
    world.engine(&format!("volume rm {volume}")).ok();
    let device = world.home.display();
    let options = format!("volume create --opt type=none --opt o=bind --opt device={device} {volume}");
    world.engine(&options).ok();
    let ran = world.cage("doctor").exits(1);
    assert!(ran.out.contains("was created with a driver or options"), "{ran}");
}
