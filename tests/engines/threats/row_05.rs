//! Row 5: the project's env file is not what it seems, or not for long.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use super::client_that;
use crate::lab::World;

on_each_engine!(what_was_checked_is_what_is_passed);

on_each_engine!(
    clients:
    a_link_to_another_file_is_refused,
    what_would_hang_the_client_is_refused_at_once,
    a_file_too_large_to_start_with_is_refused,
);

fn a_link_to_another_file_is_refused(world: &World) {
    let (file, other) = (world.project.join(".cage.env"), world.home.join("credentials"));
    world.write(&other, "ROW5_TOKEN=canary-4f1c\n");
    // The cage could have done this.
    symlink(&other, &file).unwrap();
    let read = format!("run --rm --env-file {} cage-lab printenv ROW5_TOKEN", file.display());
    world.engine(&read).ok().prints("canary-4f1c\n");

    for target in [other.as_path(), "credentials".as_ref(), "/dev/zero".as_ref(), "/no/where".as_ref()] {
        fs::remove_file(&file).unwrap();
        symlink(target, &file).unwrap();
        let refused = world.cage("start -d").exits(1);
        refused.says(&format!("env file {}: it is a symbolic link", file.display())).says_not("canary");
        world.cage("run env").exits(125).prints("");
    }
    assert!(world.cages().is_empty());
    fs::remove_file(&file).unwrap();
    world.write(&file, "ROW5_TOKEN=mine\n");
    world.cage("run printenv ROW5_TOKEN").ok().prints("mine\n");
}

fn what_would_hang_the_client_is_refused_at_once(world: &World) {
    let file = world.project.join(".cage.env");
    world.call("mkfifo", &[file.display().to_string()]).ok();
    // The control: the engine waits for somebody to write.
    let program = world.engine.program();
    // It doesn't even take a signal then.
    let read = ["--signal=KILL", "2", program, "run", "--rm", "--env-file", ".cage.env", "cage-lab", "true"]
        .map(str::to_owned);
    let start = Instant::now();
    let waited = world.call("timeout", &read).run();
    // Nothing but the signal of `timeout` ends it.
    let killed = matches!(waited.code, -1 | 137);
    assert!(killed && start.elapsed() >= Duration::from_secs(2), "{waited}");
    // With somebody who writes, what comes is taken for variables.
    let feed = format!(
        "echo ROW5_FED=canary-4f1c >.cage.env & {program} run --rm --env-file .cage.env cage-lab printenv ROW5_FED"
    );
    world.call("sh", &["-c".to_owned(), feed]).ok().prints("canary-4f1c\n");

    // A cage that waited would be ended by a signal.
    world.cage("start -d").exits(1).says("it is not a regular file");
    world.cage("run true").exits(125).says("it is not a regular file");
    fs::remove_file(&file).unwrap();
    world.mkdir(&file);
    world.cage("start -d").exits(1).says("it is not a regular file");
    assert!(world.cages().is_empty());

    // One that came later keeps nobody from a cage that is there.
    fs::remove_dir(&file).unwrap();
    world.cage("start -d").ok();
    world.call("mkfifo", &[file.display().to_string()]).ok();
    world.cage("stop").ok();
    world.cage("run true").ok();
    world.cage("restart").exits(1).says("it is not a regular file");
    world.cage("run true").ok();
}

fn a_file_too_large_to_start_with_is_refused(world: &World) {
    let file = world.project.join(".cage.env");
    let large = (0..100).fold(String::new(), |text, n| text + &format!("ROW5_{n}={}\n", "x".repeat(50_000)));
    world.write(&file, &large);
    // The control: the kernel takes no more than some megabytes, so nothing starts in a container that has this.
    let read = format!("run --rm --env-file {} cage-lab true", file.display());
    let ran = world.engine(&read).run();
    assert!(ran.code != 0 && ran.err.contains("argument list too long"), "{ran}");
    world.write(&file, &large[..50_000]);
    world.engine(&read).ok();
    world.write(&file, &large);

    world.cage("start -d").exits(1).says("it is larger than 64 KiB");
    assert!(world.cages().is_empty());
    world.write(&file, &format!("ROW5_LARGE={}\n", "x".repeat(60 * 1024)));
    let count = "run -- sh -c 'printenv ROW5_LARGE | wc -c'";
    world.cage(count).ok().prints(&format!("{}\n", 60 * 1024 + 1));
}

fn what_was_checked_is_what_is_passed(world: &World) {
    let (file, other) = (world.project.join(".cage.env"), world.home.join("credentials"));
    world.write(&other, "ROW5_TOKEN=canary-4f1c\n");
    // Somebody is quick: as soon as the engine is asked for anything, the file is another one.
    let swap = format!("ln -sf {} {}", other.display(), file.display());
    let client = client_that(world, &swap);
    let checked = || {
        let _ = fs::remove_file(&file);
        world.write(&file, "ROW5_TOKEN=checked\n");
    };
    checked();
    // The control: to the engine's client it is the other one by then.
    let read = ["run", "--rm", "--env-file", ".cage.env", "cage-lab", "printenv", "ROW5_TOKEN"];
    world.call(&client, &read.map(str::to_owned)).ok().prints("canary-4f1c\n");

    // Only once a container is made, since cage asks for other things before it reads the file.
    client_that(world, &format!("case $1 in create) {swap} ;; esac"));
    checked();
    world.cage("start -d").env("CAGE_RUNTIME", &client).ok();
    assert!(file.is_symlink());
    world.cage("run printenv ROW5_TOKEN").ok().prints("checked\n");
    // Before that it is noticed.
    client_that(world, &swap);
    checked();
    world.cage("restart").env("CAGE_RUNTIME", &client).exits(1).says("it is a symbolic link");
}
