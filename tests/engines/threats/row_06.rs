//! Row 6: values of variables in a list of processes, or in the environment of the engine's client.

use std::fs;

use super::{client_that, text};
use crate::lab::World;

on_each_engine!(values_are_in_no_command_line);

on_each_engine!(clients: what_the_project_sets_does_not_reach_the_client);

const SECRET: &str = "canary-4f1c";

fn values_are_in_no_command_line(world: &World) {
    let log = world.root().join("log");
    world.write(&log, "");
    // What every user of the machine can see at the moment: each process's words.
    let look = format!(
        "{{ printf '%s\\n' \"$@\"; cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'; }} >>{}",
        log.display()
    );
    let client = client_that(world, &look);
    // The control: what an engine is given by `--env` is there for all to see.
    let secret = format!("{SECRET}-{}", world.id);
    let words = ["run", "--rm", "--env", &format!("ROW6={secret}"), "cage-lab", "true"].map(str::to_owned);
    world.call(&client, &words).ok();
    assert!(text(&log).contains(&secret), "the list of processes shows nothing");

    world.write(&world.home.join(".config/cage/env"), &format!("ROW6_GLOBAL={secret}-global\nROW6_PASSED\n"));
    world.write(&world.project.join(".cage.env"), &format!("ROW6_PROJECT={secret}-project\n"));
    let cage = |words: &str| {
        let call = world.cage(words).env("CAGE_RUNTIME", &client);
        call.env("ROW6_PASSED", format!("{secret}-passed")).env("ROW6_TYPED", format!("{secret}-typed"))
    };
    fs::write(&log, "").unwrap();
    for command in
        ["start -d -e ROW6_TYPED", "restart", "stop", "start -d", "restart -e ROW6_TYPED --verbose"]
    {
        cage(command).ok().says_not(&secret);
    }
    let expected =
        ["global", "passed", "project", "typed"].map(|which| format!("{secret}-{which}\n")).concat();
    cage("run -- printenv ROW6_GLOBAL ROW6_PASSED ROW6_PROJECT ROW6_TYPED").ok().prints(&expected);
    let seen = text(&log);
    assert!(seen.contains("--env-file\n/dev/stdin\n"), "the control: {seen}");
    assert!(!seen.contains(&secret), "{seen}");
    for said in [cage("status").ok(), cage("list").ok(), cage("restart --dry-run").ok()] {
        assert!(!said.out.contains(&secret) && !said.err.contains(&secret), "{said}");
    }
    assert!(!world.inspect("{{json .Config.Labels}}").contains(&secret));
}

fn what_the_project_sets_does_not_reach_the_client(world: &World) {
    let host = if world.engine.is_docker() { "DOCKER_HOST" } else { "CONTAINER_HOST" };
    // The control: with it the client talks to somebody else, who could say anything.
    let elsewhere = "tcp://127.0.0.1:1";
    assert_ne!(world.engine("ps").env(host, elsewhere).run().code, 0);

    let log = world.root().join("log");
    world.write(&log, "");
    let client = client_that(world, &format!("env >>{}", log.display()));
    let set = format!(
        "{host}={elsewhere}\nLD_PRELOAD=/no/row6.so\nPATH=/usr/local/bin:/usr/bin:/bin:/only/row6\nHOME=/tmp\nCAGE_IMAGE=row6\n"
    );
    world.write(&world.project.join(".cage.env"), &set);
    let cage = |words: &str| world.cage(words).env("CAGE_RUNTIME", &client);
    cage("start -d").ok();
    cage("restart").ok();
    cage("stop").ok();
    let inside = cage(&format!("run -- printenv {host} LD_PRELOAD CAGE_IMAGE")).ok();
    inside.prints(&format!("{elsewhere}\n/no/row6.so\nrow6\n"));
    let seen = text(&log);
    assert!(seen.contains("CAGE_LABEL="), "the control: {seen}");
    assert!(!seen.contains(elsewhere) && !seen.contains("row6"), "{seen}");
}
