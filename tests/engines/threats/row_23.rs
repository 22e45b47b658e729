//! Row 23: the `.git` file of a linked worktree or a submodule points where whoever is in the cage likes.

use std::fs;
use std::path::Path;

use super::{client_that, text, the_engine_shows};
use crate::lab::{PATH, World};
use crate::yours::{git, linked_worktrees};

on_each_engine!(worktrees_side_by_side_work_and_share_what_is_said);

on_each_engine!(
    clients:
    a_git_file_that_points_elsewhere_is_not_followed,
    nor_is_one_by_way_of_the_project_itself,
    a_repository_that_code_in_a_cage_made_up_is_not_mounted,
    nor_is_another_projects_own_repository,
    a_link_that_another_cage_put_in_place_of_the_repository_is_not_mounted,
);

tests_of!(the_repositorys_cage_stands_still_while_that_of_a_worktree_starts, false, docker Docker, rootless_docker RootlessDocker,
    podman Podman);

fn the_repositorys_cage_stands_still_while_that_of_a_worktree_starts(world: &World) {
    let (repository, _) = linked_worktrees(world);
    let of_repository = |words: &str| world.cage(&format!("-C {} {words}", repository.display()));
    let name = of_repository("start -d --home project").ok().out;
    world.cage("start -d").ok();
    let count = repository.join("count");
    let script = "(i=0; while :; do i=$((i+1)); echo $i >new; mv new count; done) >/dev/null 2>&1 &";
    let script = shell_words::quote(script).into_owned();
    let dir = repository.display();
    world.engine(&format!("exec --user 0 --workdir {dir} {} sh -c {script}", name.trim())).ok();
    crate::common::eventually("it runs", || count.exists());
    // Whether it runs for a while after the beginning of `start`.
    let log = world.home.join("moved");
    let start = |words: &str, also: &str| {
        let _ = fs::remove_file(&log);
        let looks = format!(
            "case $1 in start) PATH={PATH}; cp {dir}/count {dir}/before; sleep 0.5
             cmp -s {dir}/count {dir}/before && echo still >{log} || echo moved >{log} ;; {also} esac",
            log = log.display()
        );
        let ran = world.cage(words).env("CAGE_RUNTIME", client_that(world, &looks)).ok();
        (ran, text(&log))
    };
    for words in ["restart -d", "start -d"] {
        if words == "start -d" {
            world.cage("stop").ok();
        }
        let (ran, seen) = start(words, "");
        if ran.err.contains("warning: cannot pause") {
            assert!(world.engine.is_rootless(), "this engine can pause: {ran}");
        } else {
            assert_eq!(seen, "still\n", "{ran}");
        }
        // It goes on, which is the control for the next time.
        let before = text(&count);
        crate::common::eventually("it goes on", || text(&count) != before);
    }
    // The control: without a pause.
    let (ran, seen) = start("restart -d", "pause | unpause) exit ;;");
    assert_eq!(seen, "moved\n", "{ran}");
    of_repository("rm").ok();
}

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
    world.cage("restart --allow-nested").ok().says_not("git won't work in the cage");
    world.cage("run -- git status --short").ok().prints("");
}

/// Code in two cages works together: one makes a directory look like the repository of the other.
fn a_repository_that_code_in_a_cage_made_up_is_not_mounted(world: &World) {
    let refused = "git won't work in the cage";
    // A directory where users keep projects, with one that has a cage, and one that has none.
    let (code, project) = (world.root().join("code"), world.project.display().to_string());
    let planted = code.join("worktrees/planted");
    world.write(&planted.join("private"), "private");
    world.write(&code.join("other/private"), "secret");
    let first = |words: &str| world.cage(&format!("-C {} {words}", planted.display()));
    let sh = |script: &str| format!("run -- sh -euc {}", shell_words::quote(script));
    let sees = |dir: &Path| world.cage(&sh(&format!("cat {}/private", dir.display()))).run().code == 0;
    first("start -d").ok();
    world.cage("start -d").ok();
    assert!(!sees(&planted) && !sees(&code.join("other")));
    // Not known from before its first cage, the project's repository could be anywhere.
    let baseline = || {
        let state = world.home.join(".local/state/cage");
        let kept = std::fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path());
        kept.filter(|path| path.extension().is_some_and(|kind| kind == "baseline"))
            .for_each(|path| std::fs::remove_file(path).unwrap());
    };
    let is_refused = |named: &Path, why: &str| {
        baseline();
        world.cage(&sh(&format!("rm -rf .git; echo gitdir: {} >.git", named.display()))).ok();
        world.cage("restart").ok().says(refused).says(why);
        assert!(!sees(&planted) && !sees(&code.join("other")), "{}", named.display());
    };
    // The directory above, by way of a name that git gives.
    first(&sh(&format!("echo ../.. >commondir; echo {project}/.git >gitdir"))).ok();
    is_refused(&planted, "is no repository");
    // The other project as a whole, a directory of it, and one that looks like a repository.
    let submodule = format!("printf '[core]\\nworktree = {project}\\n' >config");
    let module = planted.join("modules/x");
    first(&sh(&format!(
        "rm commondir gitdir; {submodule}; mkdir -p modules/x sub; cp config modules/x; cp config sub"
    )))
    .ok();
    is_refused(&planted, "is the repository of another project");
    is_refused(&module, "is no repository");
    first(&sh(
        "for dir in . sub modules/x; do (cd $dir; mkdir objects refs; echo ref: refs/heads/main >HEAD); done",
    ))
    .ok();
    is_refused(&planted.join("sub"), "is the repository of another project");
    is_refused(&module, "where code in another cage could make one");
    // What a former cage made is not used either.
    first("rm").ok();
    is_refused(&module, "where code in another cage could make one");
    // The control: this is what is refused.
    world.cage("restart --allow-nested").ok().says_not(refused);
    assert!(world.cage(&sh(&format!("ls {}", module.display()))).run().code == 0);
    world.cage("rm").ok();
    std::fs::remove_file(world.project.join(".git")).unwrap();

    // The same from one cage alone: a linked worktree of a repository in a directory of that name.
    let (library, bare) = (world.root().join("library"), code.join("worktrees/repo.git"));
    world.mkdir(&library);
    world.mkdir(&bare);
    git(world, &library, "init -q .");
    git(world, &library, "commit -q --allow-empty -m first");
    git(world, &library, &format!("clone -q --bare . {}", bare.display()));
    git(world, &bare, &format!("worktree add -q {project} -b new"));
    baseline();
    for command in ["start -d", "restart", "rm", "start -d"] {
        world.cage(command).ok().says_not(refused);
    }
    world.cage("run -- git status --short").ok().prints("");
    let plant = format!("cd {}; echo ../.. >commondir; echo {project}/.git >gitdir", bare.display());
    world.cage(&sh(&plant)).ok();
    is_refused(&bare, "is no repository");
}

/// Code in two cages works together: one makes the project of the other a worktree of its own.
fn nor_is_another_projects_own_repository(world: &World) {
    let (refused, project) = ("git won't work in the cage", world.project.display().to_string());
    let other = world.root().join("other");
    world.mkdir(&other);
    for dir in [&other, &world.project] {
        git(world, dir, "init -q .");
        git(world, dir, "commit -q --allow-empty -m private");
    }
    let sh = |script: &str| format!("run -- sh -euc {}", shell_words::quote(script));
    let first = |words: &str| world.cage(&format!("-C {} {words}", other.display()));
    let reads = sh(&format!("git --git-dir {}/.git log -1 --format=%s", other.display()));
    first("start -d").ok();
    world.cage("start -d").ok();
    assert_ne!(world.cage(&reads).run().code, 0);
    let named = |path: &str| {
        let file = format!("rm -rf .git; echo gitdir: {}/{path} >.git", other.display());
        world.cage(&sh(&file)).ok();
    };
    // As a submodule, and as a linked worktree.
    first(&sh(&format!("git config core.worktree {project}"))).ok();
    named(".git");
    world.cage("restart").ok().says(refused).says("is the repository of another project");
    let linked = format!(
        "mkdir -p .git/worktrees/x; cd .git/worktrees/x; echo ../.. >commondir; cp ../../HEAD .; echo {project}/.git >gitdir"
    );
    first(&sh(&linked)).ok();
    named(".git/worktrees/x");
    for gone in [false, true] {
        if gone {
            first("rm").ok();
            world.cage("rm").ok();
        }
        world
            .cage(if gone { "start -d" } else { "restart" })
            .ok()
            .says(refused)
            .says("was not its repository");
        assert_ne!(world.cage(&reads).run().code, 0);
    }
    // The control: it looks like a worktree.
    world.cage("restart --allow-nested").ok().says_not(refused);
    world.cage(&reads).ok().prints("private\n");
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
