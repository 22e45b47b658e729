//! `cage doctor` on engines that answer: what it says is so, and nothing stays of it.

use std::fs;

use serde_json::Value;

use super::lab::{Engine, World};
use super::yours::Agent;

on_each_engine!(everybody: it_says_what_there_is_and_leaves_nothing, the_agent_is_tried_from_inside);
on_each_engine!(the_home_is_known_by_its_owner);

/// What it prints for scripts; nothing of it is a problem.
fn doctor(world: &World) -> Value {
    serde_json::from_str(&world.cage("doctor --json").ok().out).unwrap()
}

/// What it says of a thing: level and message.
fn says(printed: &Value, name: &str) -> (String, String) {
    let checks = printed["checks"].as_array().unwrap();
    let check =
        checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {printed}"));
    (check["level"].as_str().unwrap().into(), check["message"].as_str().unwrap().into())
}

fn it_says_what_there_is_and_leaves_nothing(world: &World) {
    let volumes = || world.engine("volume ls --quiet").ok().out;
    let printed = doctor(world);
    assert_eq!(printed["engine"]["kind"], world.engine.program());
    assert_eq!(printed["engine"]["rootless"], world.engine.is_rootless());
    let version = world.engine("version --format '{{.Client.Version}}'").ok().out;
    assert_eq!(printed["engine"]["client_version"], version.trim());
    assert_eq!((&printed["image"]["present"], &printed["image"]["user"]), (&true.into(), &"vscode".into()));
    assert_eq!(printed["home"]["present"], false);
    assert_eq!(printed["project"], world.project.to_str().unwrap());
    assert_eq!(printed["cages"]["total"], 0);
    assert!(printed["disk_bytes"]["free"].as_u64().is_some_and(|free| free > 0), "{printed}");
    assert_eq!(says(&printed, "init").0, "ok", "the lab has one");
    assert!(!volumes().contains(&world.volume()));
    let session = world.engine("ps --all --format '{{.Names}}'").ok().out;
    assert!(!session.contains("cage-doctor-"), "{session}");
    // podman itself makes its store when somebody first asks it anything.
    assert!(!world.home.join(".local/state").exists() && !world.home.join(".config/cage").exists());
    assert_eq!(fs::read_dir(&world.project).unwrap().count(), 0);

    // Nor does it change what is there.
    world.cage("start -d").ok();
    let (id, started) = (world.container_id(), world.inspect("{{.State.StartedAt}}"));
    let printed = doctor(world);
    assert_eq!((&printed["cages"]["total"], &printed["cages"]["up"]), (&1.into(), &1.into()));
    assert!(says(&printed, "project").1.ends_with("; its cage is running"));
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
        (level, format!("{message} ({why})"), printed["ssh_agent"].clone())
    };
    let works = |why: &str| {
        let (level, message, facts) = told(why);
        assert_eq!((level.as_str(), facts["keys_inside"].as_u64()), ("ok", Some(1)), "{message}");
    };
    works("in a container of its own");
    world.cage("start -d").env("SSH_AUTH_SOCK", agent.socket.to_str().unwrap()).ok();
    works("in the cage that runs");
    // The control: what it says is what there is.
    assert!(world.inside("ssh-add -l").ok().out.contains(&agent.key));
    world.cage("restart --no-ssh").env("SSH_AUTH_SOCK", agent.socket.to_str().unwrap()).ok();
    let (_, message, facts) = told("kept out");
    assert!(message.contains("its cage runs without your SSH agent"), "{message}");
    assert_eq!(facts["works_inside"], Value::Null);

    // An agent that answers here and to nobody inside: a cage whose agent has gone meanwhile.
    let gone = Agent::start(world, "other-key");
    world.cage("restart --fresh").env("SSH_AUTH_SOCK", gone.socket.to_str().unwrap()).ok();
    drop(gone);
    let (level, message, facts) = told("the cage has an agent that is gone");
    assert_eq!((level.as_str(), &facts["works_inside"]), ("warning", &false.into()), "{message}");
}

fn the_home_is_known_by_its_owner(world: &World) {
    world.cage("start -d").ok();
    let yours = |why: &str| {
        let (level, message) = says(&doctor(world), "home");
        assert!(level == "ok" && message.ends_with(", yours"), "{why}: {message}");
    };
    yours("in the cage that runs");
    world.cage("stop").ok();
    yours("in a container of its own");
    let volume = world.volume();
    let give = format!("run --rm --user 0 --volume {volume}:/h cage-lab chown 12345:12345 /h");
    world.engine(&give).ok();
    let (level, message) = says(&doctor(world), "home");
    assert_eq!(level, "warning", "{message}");
    assert!(message.contains("belongs to 12345:12345 inside"), "{message}");
    // What was said of the next new cage is so.
    world.cage("restart").ok();
    yours("it was taken over");
    if world.engine == Engine::Docker {
        world.cage("rm").ok();
        world.engine(&format!("volume rm {volume}")).ok();
        let options = format!(
            "volume create --opt type=none --opt o=bind --opt device={} {volume}",
            world.home.display()
        );
        world.engine(&options).ok();
        let ran = world.cage("doctor").exits(1);
        assert!(ran.out.contains("was made with a driver or options"), "{ran}");
    }
}
