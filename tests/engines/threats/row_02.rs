//! Row 2: what cage mounts of its own accord, because the project says so, is a link. That is the repository of a linked
//! worktree; see row 23 for where its `.git` may point.

use std::fs;
use std::os::unix::fs::symlink;

use super::the_engine_shows;
use crate::lab::World;
use crate::yours::linked_worktrees;

on_each_engine!(a_repository_that_became_a_link_is_not_mounted);

on_each_engine!(clients: a_git_file_that_is_a_link_is_not_followed);

fn a_git_file_that_is_a_link_is_not_followed(world: &World) {
    let (repository, _) = linked_worktrees(world);
    let look = format!("run -- ls -d {}", repository.join(".git").display());
    world.cage("start -d").ok();
    world.cage(&look).ok();

    // The control: what it says is followed if it is a file, and the link leads to the same.
    let (file, moved) = (world.project.join(".git"), world.root().join("moved"));
    fs::rename(&file, &moved).unwrap();
    symlink(&moved, &file).unwrap();
    assert!(fs::read_to_string(&file).unwrap().starts_with("gitdir: "));
    world.cage("restart").ok();
    assert_ne!(world.cage(&look).run().code, 0);
    let mounts = world.inspect("{{range .Mounts}}{{println .Source}}{{end}}");
    assert!(!mounts.contains("/repository") && !mounts.contains("/moved"), "{mounts}");

    // Nor is one that says what is not a path at all, or is no file.
    fs::remove_file(&file).unwrap();
    symlink("/dev/zero", &file).unwrap();
    world.cage("restart").ok();
    fs::remove_file(&file).unwrap();
    world.call("mkfifo", &[file.display().to_string()]).ok();
    world.cage("restart").ok();
}

fn a_repository_that_became_a_link_is_not_mounted(world: &World) {
    let (repository, _) = linked_worktrees(world);
    let (git, moved, secret) =
        (repository.join(".git"), world.root().join("moved"), world.root().join("secret"));
    world.write(&secret.join("file"), "secret");
    let look = format!("cat {}/file", git.display());
    world.cage("start -d").ok();
    world.cage("stop").ok();
    let id = world.container_id();
    // A cage of the repository itself could have done this.
    fs::rename(&git, &moved).unwrap();
    symlink(&secret, &git).unwrap();
    let said = format!("{} in the cage now leads to {}", git.display(), secret.display());
    world.cage("start -d").exits(1).says(&said);
    world.cage(&format!("run {look}")).exits(125).says(&said).prints("");
    assert_eq!((world.container_id(), world.state()), (id, "exited".into()));
    assert_eq!(the_engine_shows(world, &git, "file"), "secret");

    // The control: the engine follows it.
    world.engine(&format!("start {}", world.name())).ok();
    world.inside(&look).ok().prints("secret");
    world.cage("stop").ok();

    // A new cage does without.
    world.cage("restart").ok().says("git won't work in the cage");
    assert_ne!(world.inside(&look).run().code, 0);
    world.cage("stop").ok();
    fs::remove_file(&git).unwrap();
    fs::rename(&moved, &git).unwrap();
    world.cage("restart").ok();
    world.cage("stop").ok();
    world.cage("run -- git status --short").ok().prints("");
}
