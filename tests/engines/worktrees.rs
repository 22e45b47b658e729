//! Other worktrees of the project's repository, and repositories that borrow objects.

use std::fs;
use std::path::Path;

use super::lab::World;
use super::yours::{git, linked_worktrees};
use crate::common::is_root;

on_each_engine!(
    clients:
    pruning_inside_keeps_the_worktrees_of_this_machine,
    pruning_in_a_linked_worktree_keeps_its_siblings,
    a_worktree_that_only_the_cage_has_is_told,
    borrowed_objects_are_told_and_found_in_a_mount,
    links_in_a_repository_tell_nothing_of_others,
);

/// Makes the project a repository.
fn repository(world: &World) {
    git(world, &world.project, "init -q .");
    git(world, &world.project, "commit -q --allow-empty -m first");
}

/// Adds a worktree of the project's repository, as the user, and returns its administration.
fn add(world: &World, tree: &Path) -> std::path::PathBuf {
    world.mkdir(tree);
    git(world, &world.project, &format!("worktree add -q {}", tree.display()));
    world.project.join(".git/worktrees").join(tree.file_name().unwrap())
}

const PRUNE: &str = "git worktree prune --verbose --expire now";

fn pruning_inside_keeps_the_worktrees_of_this_machine(world: &World) {
    repository(world);
    let root = world.root();
    let tree = |name: &str| root.join("trees of mine").join(name);
    let (other, gone, relative) = (tree("other"), tree("gone"), tree("relative"));
    let [of_other, of_gone, of_relative] = [&other, &gone, &relative].map(|tree| {
        let words = format!("worktree add -q '{}'", tree.display());
        world.mkdir(tree);
        git(world, &world.project, &words);
        world.project.join(".git/worktrees").join(tree.file_name().unwrap())
    });
    fs::remove_dir_all(&gone).unwrap();
    // As git 2.48 writes it with worktree.useRelativePaths.
    let from_there = "../../../../trees of mine/relative/.git\n";
    world.write(&of_relative.join("gitdir"), from_there);
    world.write(&other.join("staged"), "work");
    git(world, &other, "add staged");

    let is_kept = || {
        git(world, &other, "status --short").prints("A  staged\n");
    };
    // The image's git can't read a relative path.
    world.cage(&format!("run -- test -f '{}/.git'", relative.display())).ok();
    world.cage(&format!("run -- {PRUNE}")).ok();
    is_kept();
    assert!(!of_gone.exists(), "what is gone on this machine can be pruned");

    // Later ones: in a running cage, in a shell, and in one that starts again.
    let of_later = add(world, &root.join("later"));
    world.cage(&format!("run -- {PRUNE}")).ok();
    assert!(of_later.exists());
    let of_shells = add(world, &root.join("shells"));
    world.cage(&format!("shell -- {PRUNE}")).ok();
    assert!(of_shells.exists());
    world.cage("stop").ok();
    let of_last = add(world, &root.join("last"));
    world.cage("start -d").ok();
    let prune = format!("cd {} && {PRUNE}", world.project.display());
    world.inside(&prune).ok();
    assert!(of_last.exists());
    is_kept();
    // Nothing is asked of the engine when nothing has changed.
    let calls = world.cage("--verbose run true").ok();
    assert!(!calls.err.contains("/last/.git"), "{calls}");
    fs::remove_dir_all(root.join("last")).unwrap();
    world.cage(&format!("run -- {PRUNE}")).ok();
    assert!(!of_last.exists() && of_later.exists());

    // Never by way of a link: here into the project and the home.
    let planted = add(world, &root.join("planted"));
    let homes = add(world, &root.join("homes"));
    let plant = format!(
        "ln -s {} {root}/planted && ln -s ~ {root}/homes",
        world.project.join("sub").display(),
        root = root.display()
    );
    world.mkdir(&world.project.join("sub"));
    world.inside(&format!("sudo sh -euc {}", shell_words::quote(&plant))).ok();
    world.cage("run -- test ! -e /home/vscode/.git").ok();
    assert!(!world.project.join("sub/.git").exists() && planted.exists() && homes.exists());

    // The control: without its placeholder a worktree's administration is deleted.
    world.inside(&format!("sudo rm '{}/.git'", other.display())).ok();
    world.inside(&prune).ok();
    assert!(!of_other.exists() && of_later.exists());
    world.cage("restart").ok();
    world.inside(&prune).ok();
    assert!(of_later.exists() && of_shells.exists());
}

fn pruning_in_a_linked_worktree_keeps_its_siblings(world: &World) {
    let (repository, other) = linked_worktrees(world);
    let bare = world.root().join("bare.git");
    world.mkdir(&bare);
    git(world, &repository, "clone -q --bare . ../bare.git");
    for command in [PRUNE, "env -u GIT_CONFIG_COUNT git gc --quiet"] {
        world.cage(&format!("run -- {command}")).ok();
        git(world, &other, "status --short").prints("");
        git(world, &repository, "status --short").prints("");
    }
    // Without root, those that are there when the cage is made are kept, and later ones are told. root's own project needs root.
    let no_root = if world.engine.is_rootless() || !is_root() { " --no-root" } else { "" };
    world.cage(&format!("restart{no_root}")).ok();
    world.cage(&format!("run -- {PRUNE}")).ok();
    git(world, &other, "status --short").prints("");
    world.mkdir(&world.root().join("later"));
    git(world, &repository, "worktree add -q ../later");
    let told = format!("the worktree {}/later is newer than the cage", world.root().display());
    let ran = world.cage("run true").ok();
    assert_eq!(ran.err.contains(&told), !no_root.is_empty(), "{ran}");
    world.cage("restart").ok().says_not(&told);
    world.cage(&format!("run -- {PRUNE}")).ok();
    git(world, &world.root().join("later"), "status --short").prints("");
    world.cage("rm").ok();

    // A bare repository.
    world.mkdir(&world.root().join("of-bare"));
    git(world, &bare, "worktree add -q ../of-bare -b new");
    let cage = |words: &str| world.cage(words).dir(&bare);
    cage(&format!("run -- {PRUNE}")).ok();
    git(world, &world.root().join("of-bare"), "status --short").prints("");
    cage("rm").ok();
}

fn a_worktree_that_only_the_cage_has_is_told(world: &World) {
    repository(world);
    let tree = world.root().join("feature");
    let told = format!("the worktree {} is only in the", tree.display());
    world.cage("run true").ok().says_not("worktree");
    let add = format!(
        "git worktree add -q {0} && git worktree add -q inside && git worktree add -q ~/home",
        tree.display()
    );
    let add = format!("sudo mkdir -m 777 {} && {add}", tree.display());
    world
        .cage(&format!("run -- sh -euc {}", shell_words::quote(&add)))
        .ok()
        .says(&told)
        .says_not("inside is");
    world.cage("shell -- true").ok().says(&told).says_not("/home/vscode");
    // Code in the cage chooses the names.
    for n in 0..5 {
        let dir = world.project.join(format!(".git/worktrees/named-{n}"));
        world.mkdir(&dir);
        world.write(
            &dir.join("gitdir"),
            &format!("/{n} is damaged: run `x`, because {}y/.git\n", "y/".repeat(500)),
        );
    }
    let ran = world.cage("run true").ok().says("the worktrees ");
    let quoted = ran.err.matches(", '/").count() + ran.err.matches("worktrees '/").count();
    assert_eq!(quoted, ran.err.matches(" is damaged: run `x`").count(), "{ran}");
    assert!(quoted > 1 && ran.err.lines().count() == 1 && ran.err.len() < 1000, "{ran}");
    for n in 0..5 {
        fs::remove_dir_all(world.project.join(format!(".git/worktrees/named-{n}"))).unwrap();
    }
    world.cage("stop").ok();
    world.cage("run true").ok().says(&told);
    let ran = world.cage("restart").ok().says(&told).says_not("/home/vscode");
    assert!(ran.err.contains("only in the old cage"), "{ran}");
    // Once it is lost, nothing is said, and it can be pruned.
    world.cage("run true").ok().says_not("worktree");
    world.cage(&format!("run -- {PRUNE}")).ok();
    assert!(!world.project.join(".git/worktrees/feature").exists());
}

fn borrowed_objects_are_told_and_found_in_a_mount(world: &World) {
    let lender = world.root().join("lender");
    world.mkdir(&lender);
    git(world, &lender, "init -q .");
    git(world, &lender, "commit -q --allow-empty -m first");
    git(world, &world.project, &format!("clone -q --shared {} .", lender.display()));
    let store = lender.join(".git/objects").display().to_string();
    let mount = format!("-v {store}:{store}:ro");
    let told = format!("git borrows objects from {store}, which is not in the cage: add `{mount}`");
    world.cage("start -d").ok().says(&told);
    assert_ne!(world.cage("run -- git log -1").run().code, 0, "the control");
    world.cage(&format!("restart {mount}")).ok().says_not("borrows");
    world.cage("run -- git log -1 --format=%s").ok().prints("first\n");
    // What is no store is not suggested.
    world.write(&world.project.join(".git/objects/info/alternates"), "/etc\n");
    world.cage("restart --fresh").ok().says_not("borrows");
}

fn links_in_a_repository_tell_nothing_of_others(world: &World) {
    repository(world);
    let theirs = world.root().join("theirs");
    let (secret, tree) = (theirs.join("secret"), theirs.join("of-secret"));
    for dir in [&secret, &tree] {
        world.mkdir(dir);
    }
    git(world, &secret, "init -q .");
    git(world, &secret, "commit -q --allow-empty -m first");
    git(world, &secret, &format!("worktree add -q {}", tree.display()));
    git(world, &secret, "remote add origin git@secret.example:x");
    world.write(
        &world.home.join(".ssh/known_hosts"),
        "secret.example ssh-ed25519 AAAA\nown.example ssh-ed25519 BBBB\n",
    );
    git(world, &world.project, "remote add origin git@own.example:x");
    world.cage("start -d").ok();
    let inside = || {
        let look = format!(
            "test -e {}/.git && echo a worktree; cat /etc/ssh/ssh_known_hosts 2>/dev/null",
            tree.display()
        );
        world.cage(&format!("run -- sh -c {}", shell_words::quote(&look))).run().out.trim().to_owned()
    };
    assert_eq!(inside(), "own.example ssh-ed25519 BBBB", "the control");
    for (link, target, known) in [
        (".git/modules", theirs.clone(), "own.example ssh-ed25519 BBBB"),
        (".git/worktrees", secret.join(".git/worktrees"), "own.example ssh-ed25519 BBBB"),
        (".git", secret.join(".git"), ""),
    ] {
        let plant = format!("rm -rf {link}; ln -s {} {link}", target.display());
        world.cage(&format!("run -- sh -c {}", shell_words::quote(&plant))).ok();
        world.cage("restart -d").ok();
        assert_eq!(inside(), known, "{link}");
        world.cage(&format!("run -- rm {link}")).ok();
    }
}
