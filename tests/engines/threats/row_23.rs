//! Row 23: the `.git` file of a linked worktree or a submodule points where whoever is in the cage likes.

use std::path::Path;

use super::the_engine_shows;
use crate::lab::World;
use crate::yours::{git, linked_worktrees};

on_each_engine!(worktrees_side_by_side_work_and_share_what_is_said);

on_each_engine!(
    clients:
    a_git_file_that_points_elsewhere_is_not_followed,
    nor_is_one_by_way_of_the_project_itself,
    a_link_that_another_cage_put_in_place_of_the_repository_is_not_mounted,
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

fn a_link_that_another_cage_put_in_place_of_the_repository_is_not_mounted(world: &World) {
    let (repository, _) = linked_worktrees(world);
    let secret = world.root().join("secret");
    world.write(&secret.join("file"), "secret");
    let first = |words: &str| world.cage(&format!("-C {} {words}", repository.display()));
    first("start -d").ok();
    world.cage("start -d").ok();
    world.cage("stop").ok();
    let swap = format!("run -- sh -c 'mv .git real && ln -s {} .git'", secret.display());
    first(&swap).ok();

    world.cage("start -d").exits(1).says(&format!("now leads to {}", secret.display()));
    assert_eq!(world.state(), "exited");
    // The control: the engine mounts what the link leads to, in the same container.
    world.engine(&format!("start {}", world.name())).ok();
    world.inside(&format!("cat {}/.git/file", repository.display())).ok().prints("secret");
    first("rm").ok();
}
