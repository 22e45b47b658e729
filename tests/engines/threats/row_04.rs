//! Row 4: a name without a value in the project's env file. Engines take the value from their client's environment.

use super::{client_that, text};
use crate::lab::{Engine, World};

on_each_engine!(nothing_of_the_host_comes_in_unasked, nor_by_a_file_that_the_engine_reads_itself);

on_each_engine!(
    clients:
    a_bare_name_in_the_projects_file_is_an_error,
    the_persons_own_file_passes_names_on_and_no_patterns,
);

const SECRET: &str = "canary-4f1c";

fn a_bare_name_in_the_projects_file_is_an_error(world: &World) {
    let file = world.project.join(".cage.env");
    world.write(&file, "FINE=1\nROW4_TOKEN\n");
    // The control: the engine's own reading of that file.
    let read = format!("run --rm --env-file {} cage-lab env", file.display());
    let leaked = world.engine(&read).env("ROW4_TOKEN", SECRET).ok().out;
    assert!(leaked.contains(SECRET), "the engine passes no host's value on: {leaked}");
    if !world.engine.is_docker() {
        world.write(&file, "ROW4*\n");
        let leaked = world.engine(&read).env("ROW4_TOKEN", SECRET).ok().out;
        assert!(leaked.contains(SECRET), "podman knows no patterns: {leaked}");
    }

    for line in ["ROW4_TOKEN", " ROW4_TOKEN ", "ROW4*", "*", "export ROW4_TOKEN"] {
        world.write(&file, &format!("FINE=1\n{line}\n"));
        for (command, code) in [("start -d", 1), ("run env", 125)] {
            let ran = world.cage(command).env("ROW4_TOKEN", SECRET).exits(code).prints("");
            ran.says(&format!("{}, line 2: ", file.display())).says_not(SECRET);
        }
    }
    assert!(world.cages().is_empty() && !world.has_volume());

    // And the cage that is there stays as it is.
    world.write(&file, "FINE=1\n");
    world.cage("start -d").ok();
    let id = world.container_id();
    world.write(&file, "ROW4_TOKEN\n");
    world.cage("restart").env("ROW4_TOKEN", SECRET).exits(1).says(".cage.env, line 1: ");
    world.cage("stop").ok();
    let inside = world.cage("run env").env("ROW4_TOKEN", SECRET).ok().out;
    assert!(inside.contains("FINE=1") && !inside.contains(SECRET), "{inside}");
    assert_eq!(world.container_id(), id);
}

fn nothing_of_the_host_comes_in_unasked(world: &World) {
    let all = [("ROW4_TOKEN", SECRET), ("AWS_SECRET_ACCESS_KEY", SECRET), ("GH_TOKEN", SECRET)];
    let with = |words: &str| all.iter().fold(world.cage(words), |call, (name, value)| call.env(name, value));
    world.write(
        &world.project.join(".cage.env"),
        "ROW4_OTHER=$ROW4_TOKEN ${ROW4_TOKEN} `printenv ROW4_TOKEN`\n",
    );
    with("start -d").ok();
    let inside = with("run env").ok().out;
    assert!(inside.contains("ROW4_OTHER=$ROW4_TOKEN ${ROW4_TOKEN} `printenv ROW4_TOKEN`\n"), "{inside}");
    assert!(!inside.contains(SECRET), "{inside}");
    // The control: what is asked for by name comes in.
    with("restart -e ROW4_TOKEN").ok();
    assert!(with("run env").ok().out.contains(SECRET));
}

fn nor_by_a_file_that_the_engine_reads_itself(world: &World) {
    let (env, outside) = (world.project.join("my.env"), world.root().join("my.env"));
    world.write(&env, "FINE=1\n");
    world.write(&outside, "FINE=2\n");
    world.write(&world.root().join("private"), "PRIVATE=private-7\n");
    world.write(&world.project.join("seccomp.json"), r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#);
    world.cage("start -d").ok();
    // The control: code in a cage changes the file, which the engine reads again for the next one.
    world.inside("echo ROW4_TOKEN >>my.env && ln -s ../private link").ok();
    let read = format!("run --rm --env-file {} --env-file ./link cage-lab env", env.display());
    let leaked = world.engine(&read).env("ROW4_TOKEN", SECRET).ok().out;
    assert!(leaked.contains(SECRET) && leaked.contains("private-7"), "{leaked}");

    if world.engine == Engine::RootlessPodman {
        // The control: podman runs the program, outside of any container.
        let (program, canary) = (world.project.join("runc"), world.home.join("canary"));
        world.program(&program, &format!("#!/bin/sh\necho ran >{}\nexit 1\n", canary.display()));
        world.engine(&format!("run --rm --runtime {} cage-lab true", program.display())).run();
        assert_eq!(text(&canary), "ran\n");
    }

    let relative = "../project/deep/../my.env";
    world.mkdir(&world.project.join("deep"));
    for args in [
        "--env-file ./my.env",
        "--env-file my.env",
        &format!("--env-file={}", env.display()),
        &format!("--env-file {relative}"),
        "--env-file link",
        "--env-file gone",
        "--security-opt seccomp=seccomp.json",
        "--security-opt=seccomp=./seccomp.json",
        "--pidfile ./pid",
        "--log-driver k8s-file --log-opt path=./log",
        // Programs that podman runs on this machine, and files of both engines that cage knows no more of.
        "--runtime ./runc",
        &format!("--runtime={}", world.project.join("runc").display()),
        "--conmon ./conmon",
        "--hooks-dir ./hooks",
        "--storage-opt overlay.mount_program=./fuse",
        "--device ./link:/dev/x",
        "--future-flag ./file",
    ] {
        let refused = world.cage(&format!("restart -- {args}")).env("ROW4_TOKEN", SECRET).exits(1);
        refused.says(&format!("names a file in {}, where code in a cage can write", world.project.display()));
    }
    // The control: a file elsewhere is read.
    world.cage(&format!("restart -- --env-file {}", outside.display())).ok();
    assert!(world.cage("run env").ok().out.contains("FINE=2\n"));
    let inside = world.project.display();
    world.cage(&format!("restart --fresh -- --security-opt seccomp=unconfined --workdir {inside} --env A={inside}/x --tmpfs {inside}/tmp --expose 80/tcp")).ok();
}

fn the_persons_own_file_passes_names_on_and_no_patterns(world: &World) {
    let file = world.home.join(".config/cage/env");
    world.write(&file, "ROW4_TOKEN\nROW4_UNSET\n");
    let log = world.root().join("log");
    let client = client_that(world, &format!("printf '%s\\n' \"$@\" >>{}", log.display()));
    let cage = |words: &str| world.cage(words).env("CAGE_RUNTIME", &client).env("ROW4_TOKEN", SECRET);
    cage("start -d").ok();
    cage("run -- sh -c 'echo $ROW4_TOKEN ${ROW4_UNSET-unset}'").ok().prints(&format!("{SECRET} unset\n"));
    assert!(!text(&log).contains(SECRET));
    for line in ["ROW4*", "*"] {
        world.write(&file, &format!("{line}\n"));
        cage("restart").exits(1).says("config/cage/env, line 1: ");
    }
}
