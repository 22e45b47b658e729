//! Row 19: an engine's client that the project brings along.

use std::os::unix::fs::{chown, symlink};

use crate::common::is_root;
use crate::lab::{PATH, World};

on_each_engine!(a_client_in_the_project_is_not_run);

fn a_client_in_the_project_is_not_run(world: &World) {
    let canary = world.home.join("canary");
    let program = world.engine.program();
    let planted = world.project.join("bin").join(program);
    // Whichever of the two is looked for.
    for name in ["docker", "podman"] {
        let script = format!("#!/bin/sh\necho ran >>{}\nPATH={PATH} exec {name} \"$@\"\n", canary.display());
        world.program(&world.project.join("bin").join(name), &script);
        world.program(&world.project.join(name), &script);
    }
    let links = world.home.join("links");
    world.mkdir(&links);
    symlink(&planted, links.join(program)).unwrap();

    let (bin, links) = (world.project.join("bin"), links.display().to_string());
    let paths = [
        format!("{}:{PATH}", bin.display()),
        format!("bin:{PATH}"),
        format!(".:{PATH}"),
        format!(":{PATH}"),
        format!("{links}:{PATH}"),
    ];
    for path in &paths {
        // The control: a shell runs it.
        let _ = std::fs::remove_file(&canary);
        let version = ["-c".to_owned(), format!("{program} --version")];
        world.call("/bin/sh", &version).env("PATH", path).ok();
        assert!(canary.exists(), "{path}: a shell doesn't run it either");
        std::fs::remove_file(&canary).unwrap();

        // The program is looked up in one place, so that every command is tried with one of the paths.
        let every = ["start -d", "status", "list", "restart", "stop", "rm", "run true"];
        let commands = if path == &paths[0] { &every[..] } else { &["run true"] };
        for command in commands {
            world.cage(command).env("PATH", path).ok();
        }
        // Also when it is told from elsewhere which project it is about.
        world
            .cage(&format!("-C {} run true", world.project.display()))
            .dir(&world.home)
            .env("PATH", path)
            .ok();
        // Nor from below, whoever the directories above have been given to from inside.
        let sub = world.project.join("src/deep");
        world.mkdir(&sub);
        for owner in [None, Some(12345)] {
            if let (Some(owner), true) = (owner, is_root()) {
                chown(&world.project, Some(owner), Some(owner)).unwrap();
            }
            world.cage("list").dir(&sub).env("PATH", path).ok();
            world.cage("stop").dir(&sub).env("PATH", path).ok();
            assert!(!canary.exists(), "{path}");
        }
        world.give_back(&world.project);
    }

    // One that is asked for is refused, whatever the way to it.
    let ways = [
        planted.display().to_string(),
        format!("bin/{program}"),
        format!("./{program}"),
        format!("{links}/{program}"),
    ];
    for way in &ways {
        world.cage("start -d").env("CAGE_RUNTIME", way).exits(1);
        world.cage(&format!("--runtime {way} run true")).exits(125);
    }
    let elsewhere = format!("-C {} start -d", world.project.display());
    let refused = world.cage(&elsewhere).dir(&world.home).env("CAGE_RUNTIME", &planted).exits(1);
    refused.says("no container runtime to trust: ");
    assert!(!canary.exists());
    // The control: outside of the project the same script would do.
    let outside = world.home.join("bin").join(program);
    world.program(&outside, &super::text(&planted));
    world.cage("run true").env("CAGE_RUNTIME", outside.as_os_str()).ok();
    assert!(canary.exists());
}
