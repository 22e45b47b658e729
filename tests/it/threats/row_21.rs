//! Row 21: what an agent leaves in the project that the host would run. It can't be prevented; `cage check` tells it, and
//! nothing that was there before.

use std::thread;
use std::time::Duration;

use crate::engines::lab::{Ran, World};
use crate::engines::on_each_engine;
use crate::engines::yours::git;

on_each_engine!(
    everybody: what_an_agent_leaves_is_told_and_what_was_there_is_not,
    a_new_cage_in_the_place_of_another_forgives_nothing,
);

/// A repository with a hook, settings of an editor and a repository in it, as people have them.
fn repository(world: &World) {
    git(world, &world.project, "init -q .");
    git(world, &world.project, "commit -q --allow-empty -m first");
    world.program(&world.project.join(".git/hooks/pre-commit"), "#!/bin/sh\n");
    world.write(&world.project.join(".vscode/tasks.json"), "{}\n");
    world.mkdir(&world.project.join("vendor/library"));
    git(world, &world.project.join("vendor/library"), "init -q .");
    // What is deep in the tree is told by the second of its last change.
    thread::sleep(Duration::from_millis(1100));
}

/// The paths and findings that a check prints.
fn told(ran: &Ran) -> Vec<&str> {
    ran.out.lines().map(|line| line.split("  (").next().unwrap()).collect()
}

fn what_an_agent_leaves_is_told_and_what_was_there_is_not(world: &World) {
    repository(world);
    world.cage("start -d").ok();
    world.cage("check").ok().prints("").says("3 things were there before; `--all` shows them");
    let all = world.cage("check --all").exits(3);
    let hook = ".git/hooks/pre-commit: executable hook";
    assert_eq!(told(&all), [hook, ".vscode/tasks.json: file", "vendor/library/.git: nested repository"]);

    let canary = world.home.join("canary");
    let status = || {
        world.call("git", &["status".into()]).ok();
        canary.exists()
    };
    assert!(!status(), "the control: nothing makes it by itself");
    let fsmonitor = format!("printf '#!/bin/sh\\ntouch {}\\n' >x && chmod +x x", canary.display());
    let plant = [
        &fsmonitor,
        "git config core.fsmonitor ./x",
        "cp x .git/hooks/post-checkout && echo >>.git/hooks/pre-commit",
        "git init -q deep/er && git -C deep/er config core.pager ./y",
        "echo 'export A=1' >.envrc && ln -s /etc/passwd link && mkfifo fifo",
        "sudo install -m 4755 /bin/sh su",
        "printf 'just text' >README",
    ];
    world.cage(&format!("run -- sh -c {}", shell_words::quote(&plant.join(" && ")))).ok();

    let check = world.cage("check").exits(3).says("9 things that this machine would run or trust are new");
    assert_eq!(
        told(&check),
        [
            ".envrc: file",
            ".git/config: core.fsmonitor=./x",
            ".git/hooks/post-checkout: executable hook",
            hook,
            "deep/er/.git: nested repository",
            "deep/er/.git/config: core.pager=./y",
            "fifo: FIFO",
            "link: link to /etc/passwd",
            "su: setuid program",
        ],
        "{check}"
    );
    let json = world.cage("check --json").exits(3);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["findings"].as_array().unwrap().len(), 9);
    assert_eq!(json["findings"][1]["trigger"], "runs on every git status");

    assert!(status(), "the control: what was told is what runs");
}

fn a_new_cage_in_the_place_of_another_forgives_nothing(world: &World) {
    repository(world);
    world.cage("start -d").ok();
    world.cage("run -- sh -c 'git config alias.x !id && git init -q deep && touch .envrc'").ok();
    let expected = [".envrc: file", ".git/config: alias.x=!id", "deep/.git: nested repository"];
    for renew in ["status", "restart", "restart --fresh", "stop"] {
        world.cage(renew).ok();
        let check = world.cage("check").exits(3);
        assert_eq!(told(&check), expected, "after {renew}");
    }
    // One that is gone remembers nothing, and a new one takes what is there as it is.
    world.cage("rm").ok();
    let check = world.cage("check").exits(3).says("there is no cage here");
    assert_eq!(told(&check).len(), 6);
    thread::sleep(Duration::from_millis(1100));
    world.cage("start -d").ok();
    world.cage("check").ok().prints("");
}
