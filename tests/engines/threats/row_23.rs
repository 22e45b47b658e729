//! Row 23: the `.git` file of a linked worktree or a submodule points where whoever is in the cage likes.

use std::path::Path;

use super::the_engine_shows;
use crate::common::{eventually, skipped};
use crate::lab::World;
use crate::yours::{git, linked_worktrees};

on_each_engine!(
    a_git_file_that_points_elsewhere_is_not_followed,
    nor_is_one_by_way_of_the_project_itself,
    worktrees_side_by_side_work_and_share_what_is_said,
    a_link_that_another_cage_puts_while_one_starts_is_not_mounted,
);

fn a_git_file_that_points_elsewhere_is_not_followed(world: &World) {
    let refused = "git won't work in the cage";
    let (repository, other) = linked_worktrees(world);
    let look = format!("run -- ls -d {}", repository.join(".git").display());
    world.cage("start -d").ok().says_not(refused);
    world.cage(&look).ok();

    // Whoever is in the cage could write this, and wait for a restart.
    for target in [repository.join(".git"), repository.join(".git/worktrees/other"), other, "/etc".into()] {
        world.write(&world.project.join(".git"), &format!("gitdir: {}\n", target.display()));
        world.cage("restart").ok().says(refused);
        assert_ne!(world.cage(&look).run().code, 0, "{}", target.display());
        let mounts = world.inspect("{{range .Mounts}}{{println .Source}}{{end}}");
        let target = target.display().to_string();
        assert!(!mounts.lines().any(|source| Path::new(source) == Path::new(&target)), "{mounts}");
        assert!(!mounts.contains("/repository"), "{mounts}");
    }
}

fn nor_is_one_by_way_of_the_project_itself(world: &World) {
    let secret = world.root().join("secret");
    world.write(&secret.join("file"), "secret");
    let git = world.project.join(".git");
    let (kept, project) = (world.project.join("kept"), world.project.display());
    // It points back, and its objects are said to be elsewhere.
    world.write(&git, &format!("gitdir: {}\n", kept.display()));
    world.write(&kept.join("gitdir"), &format!("{project}/.git\n"));
    world.write(&kept.join("commondir"), &format!("{}\n", secret.display()));
    world.cage("start -d").ok().says("git won't work in the cage");
    let look = format!("cat {}/file", secret.display());
    assert_ne!(world.inside(&look).run().code, 0);

    // From a directory of another project's that points back: what it names for the objects is not believed.
    let other = world.root().join("other-project");
    world.write(&other.join("gitdir"), &format!("{project}/.git\n"));
    world.write(&other.join("commondir"), &format!("{}\n", secret.display()));
    world.write(&git, &format!("gitdir: {}\n", other.display()));
    world.cage("restart").ok().says("has its objects elsewhere");
    assert_ne!(world.inside(&look).run().code, 0);
    let mounts = world.inspect("{{range .Mounts}}{{println .Source}}{{end}}");
    assert!(!mounts.contains("/secret") && !mounts.contains("/other-project"), "{mounts}");

    // The controls: the engine would mount it, and what really belongs to the project is followed.
    assert_eq!(the_engine_shows(world, &secret, "file"), "secret");
    std::fs::remove_file(&git).unwrap();
    std::fs::remove_dir_all(&kept).unwrap();
    linked_worktrees(world);
    world.cage("restart").ok().says_not("git won't work in the cage");
    world.cage("run -- git status --short").ok().prints("");
}

/// The usual layout: a repository and a worktree of it beside, each with a cage.
fn worktrees_side_by_side_work_and_share_what_is_said(world: &World) {
    let (repository, _) = linked_worktrees(world);
    let first = |words: &str| world.cage(&format!("-C {} {words}", repository.display()));
    let said = format!("the repository {}/.git is in cage-repository-", repository.display());
    world.cage("start -d").ok().says_not("the repository ");
    world.cage("rm").ok();
    first("start -d").ok();
    world.cage("start -d").ok().says(&said).says("can set hooks for the other");
    for command in ["restart", "stop", "start -d"] {
        world.cage(command).ok();
        world.cage("run -- git status --short").ok().prints("");
        // The other one goes on.
        first("run -- git status --short").ok().prints("");
        assert!(first("status").ok().out.contains("State:     running\n"));
    }
    let commit = "git -c user.name=x -c user.email=x@example.com commit -q --allow-empty -m inside";
    world.cage(&format!("run -- {commit}")).ok();
    first("run -- git log -1 --format=%s project").ok().prints("inside\n");
    git(world, &repository, "log -1 --format=%s project").prints("inside\n");
    // This is what is said.
    world.cage(&format!("run -- git config -f {}/.git/config alias.x !id", repository.display())).ok();
    let check = first("check").exits(3);
    assert!(check.out.contains(".git/config: alias.x=!id"), "{check}");
    assert!(world.cage("check").exits(3).out.contains("/repository/.git/config: alias.x=!id"));
    first("rm").ok();
}

/// Puts a link where the repository is, and back, as fast as it can.
const SWAP: &str = "while :; do mv .git real && ln -s $SECRET .git; rm .git; mv real .git; done";

fn a_link_that_another_cage_puts_while_one_starts_is_not_mounted(world: &World) {
    let (repository, _) = linked_worktrees(world);
    let secret = world.root().join("secret");
    world.write(&secret.join("file"), "secret");
    let first = |words: &str| world.cage(&format!("-C {} {words}", repository.display()));
    let other = first("start -d").ok().out.trim().to_owned();
    world.cage("start -d").ok();
    world.cage("stop").ok();
    let look = format!("cat {}/.git/file", repository.display());
    let secret = secret.display();
    let start = |_: u32| {
        world.cage("stop").run();
        world.cage("start -d").run();
    };
    let swap = format!(
        "exec --detach --env SECRET={secret} --workdir {} {other} sh -c {}",
        repository.display(),
        shell_words::quote(SWAP)
    );
    world.engine(&swap).ok();
    // The control: the engine is hit, by the same container.
    eventually("the engine mounts what the link leads to", || {
        world.engine(&format!("stop --time 1 {}", world.name())).run();
        world.engine(&format!("start {}", world.name())).run();
        world.inside(&look).run().out == "secret"
    });
    if world.engine(&format!("pause {other}")).run().code != 0 {
        return skipped(world.engine, "it can't hold a cage still, so that a race of milliseconds is left");
    }
    world.engine(&format!("unpause {other}")).ok();
    let mut up = 0;
    for round in 0..12 {
        start(round);
        let ran = world.inside(&look).run();
        assert_ne!(ran.out, "secret", "round {round}");
        up += u32::from(world.state() == "running");
        if round % 3 == 0 {
            world.cage("restart --pull never").run();
            assert_ne!(world.inside(&look).run().out, "secret", "restart in round {round}");
        }
    }
    assert!(up > 0, "it was never up");
    // Nobody stands still for good.
    assert_eq!(world.inspect_container(&other, "{{.State.Status}}"), "running");
    first("rm").ok();
}
