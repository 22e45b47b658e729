//! Row 20: the SSH agent signs for whoever can reach it.

use std::path::PathBuf;

use crate::lab::World;
use crate::yours::{Agent, links};

on_each_engine!(an_agent_can_be_kept_out);

on_each_engine!(clients: without_it_no_socket_is_mounted, another_socket_does_not_come_in_by_a_planted_link);

fn an_agent_can_be_kept_out(world: &World) {
    let agent = Agent::start(world, "my-key");
    let keyless = "run -- sh -c 'test -z \"$SSH_AUTH_SOCK\" && ! ssh-add -l'";
    agent.cage(world, "start -d --no-ssh").ok();
    agent.cage(world, keyless).ok();
    // It stays out until told otherwise.
    agent.cage(world, "restart").ok();
    agent.cage(world, keyless).ok();
    agent.cage(world, "restart --fresh").ok();
    agent.cage(world, "run -- ssh-add -l").ok();
    agent.cage(world, "restart --no-ssh").ok();
    agent.cage(world, keyless).ok();
    agent.cage(world, "rm").ok();
    assert_eq!(links(world), [] as [PathBuf; 0]);

    agent.cage(world, "start -d").env("CAGE_SSH", "off").ok();
    agent.cage(world, keyless).ok();
}

fn without_it_no_socket_is_mounted(world: &World) {
    let agent = Agent::start(world, "my-key");
    let look = "run -- sh -c 'find /run /tmp -type s 2>/dev/null; env' ";
    let has_it = |ran: &str| ran.contains("ssh-auth.sock") || ran.contains("SSH_AUTH_SOCK");
    agent.cage(world, "start -d").ok();
    // The control: by default it is there, and it empties the person's own agent.
    assert!(has_it(&agent.cage(world, look).ok().out));
    let status = world.cage("status").ok().out;
    assert!(status.contains("(your SSH agent)"), "{status}");
    agent.cage(world, "run -- ssh-add -D").ok();
    let list = ["-l".to_owned()];
    world
        .call("ssh-add", &list)
        .env("SSH_AUTH_SOCK", &agent.socket)
        .exits(1)
        .begins("The agent has no identities");

    agent.cage(world, "restart --no-ssh").ok();
    for command in ["start -d", "stop", "start -d", "restart"] {
        agent.cage(world, command).ok();
        let inside = agent.cage(world, look).ok().out;
        assert!(!has_it(&inside), "{command}: {inside}");
        assert!(!world.cage("status").ok().out.contains("SSH agent"));
    }
    // The name that it has inside doesn't bring it back, nor does the project.
    world.write(&world.project.join(".cage.env"), "CAGE_SSH=on\n");
    agent.cage(world, "restart").ok();
    assert!(!world.inspect("{{json .Mounts}}").contains("ssh-auth.sock"));
}

fn another_socket_does_not_come_in_by_a_planted_link(world: &World) {
    let (agent, other) = (Agent::start(world, "my-key"), Agent::start(world, "other-key"));
    let (shared, elsewhere) = (world.root().join("shared"), world.root().join("elsewhere"));
    world.mkdir(&shared);
    world.mkdir(&elsewhere);
    world.cage(&format!("start -d --no-ssh -v {}:/shared", shared.display())).ok();
    let socket = shared.join("agent");
    let in_shared =
        |words: &str| world.cage(words).dir(&elsewhere).env("SSH_AUTH_SOCK", socket.display().to_string());
    let plant = |target: &std::path::Path| {
        world.cage(&format!("run -- ln -sfn {} /shared/agent", target.display())).ok();
    };
    for target in [&agent.socket, &other.socket] {
        plant(target);
        in_shared("start -d")
            .exits(1)
            .says(&format!("SSH_AUTH_SOCK leads into {}, which code in a cage can write", shared.display()));
        in_shared("run true").exits(125);
    }
    // The control: the socket itself is given.
    agent.cage(world, "start -d").dir(&elsewhere).ok();
    let keys = agent.cage(world, "run -- ssh-add -l").dir(&elsewhere).ok();
    assert!(keys.out.contains("my-key"), "{keys}");
    world.cage("rm").dir(&elsewhere).ok();
}
