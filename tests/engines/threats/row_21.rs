//! Row 21: files that an agent leaves in the project and the host would run. They can't be prevented; `cage check` lists
//! them, without those that were there before.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::thread;
use std::time::Duration;

use crate::common::is_root;
use crate::lab::{Ran, World};
use crate::yours::git;

on_each_engine!(everybody: new_files_are_listed_and_earlier_ones_are_not);

on_each_engine!(a_lease_does_not_hide_a_setting);

on_each_engine!(
    clients:
    a_cage_that_replaces_another_keeps_its_record,
    accepted_findings_of_another_user_are_not_believed,
    a_link_does_not_hide_what_is_where_no_one_looks,
    a_file_that_settings_name_by_another_path_is_read,
    files_of_a_worktree_that_its_repository_leads_to_are_read,
);

/// A repository with a hook, settings of an editor and a repository in it, as people have them.
fn repository(world: &World) {
    git(world, &world.project, "init -q .");
    git(world, &world.project, "commit -q --allow-empty -m first");
    world.program(&world.project.join(".git/hooks/pre-commit"), "#!/bin/sh\n");
    world.write(&world.project.join(".vscode/tasks.json"), "{}\n");
    world.mkdir(&world.project.join("vendor/library"));
    git(world, &world.project.join("vendor/library"), "init -q .");
    // Below the top, the second of the last change tells what is new.
    thread::sleep(Duration::from_millis(1100));
}

/// Returns the paths and findings that a check prints.
fn told(ran: &Ran) -> Vec<&str> {
    ran.out.lines().map(|line| line.split("  (").next().unwrap()).collect()
}

fn new_files_are_listed_and_earlier_ones_are_not(world: &World) {
    repository(world);
    world.cage("start -d").ok();
    world
        .cage("check")
        .ok()
        .prints("")
        .says("3 were there before the cage or accepted; `cage check --all` lists them");
    let all = world.cage("check --all").exits(3);
    let hook = ".git/hooks/pre-commit: executable hook";
    assert_eq!(told(&all), [hook, ".vscode/tasks.json: file", "vendor/library/.git: nested repository"]);

    let canary = world.home.join("canary");
    let status = || {
        world.call("git", &["status".into()]).ok();
        canary.exists()
    };
    assert!(!status(), "the control: nothing runs yet");
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

    let check =
        world.cage("check").exits(3).says("9 new files or settings that this machine would run or trust");
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

    assert!(status(), "the control: the listed setting runs");
}

fn a_link_does_not_hide_what_is_where_no_one_looks(world: &World) {
    git(world, &world.project, "init -q .");
    std::os::unix::fs::symlink("shared/claude", world.project.join(".claude")).unwrap();
    world.mkdir(&world.project.join("shared/claude/skills/x"));
    thread::sleep(Duration::from_millis(1100));
    world.cage("start -d").ok();
    let canary = world.home.join("canary");
    let plant = format!(
        "git init -q .git/x && git -C .git/x config core.fsmonitor 'touch {};false' && ln -s .git/x sub &&
         mkdir -p node_modules/y shared/claude/skills/x/deep && touch node_modules/y/.envrc shared/claude/skills/x/deep/run.sh &&
         ln -s node_modules/y package",
        canary.display()
    );
    world.cage(&format!("run -- sh -c {}", shell_words::quote(&plant))).ok();
    let check = world.cage("check").exits(3);
    let expected = [
        "package: link to node_modules/y",
        "shared/claude/skills/x/deep/run.sh: file",
        "sub: link to .git/x",
    ];
    assert_eq!(told(&check), expected, "{check}");
    git(world, &world.project.join("sub"), "status");
    assert!(canary.exists(), "the control: the setting in the linked repository runs");
}

fn a_cage_that_replaces_another_keeps_its_record(world: &World) {
    repository(world);
    world.cage("start -d").ok();
    world.cage("run -- sh -c 'git config alias.x !id && git init -q deep && touch .envrc'").ok();
    let expected = [".envrc: file", ".git/config: alias.x=!id", "deep/.git: nested repository"];
    for renew in ["status", "restart", "restart --fresh", "stop"] {
        world.cage(renew).ok();
        let check = world.cage("check").exits(3);
        assert_eq!(told(&check), expected, "after {renew}");
    }
    // The record outlives the cage, also one that the engine removes, and a move of the project.
    world.cage("rm").ok();
    assert_eq!(told(&world.cage("check").exits(3).says("there is no cage here")), expected);
    world.cage("start -d").ok();
    assert_eq!(told(&world.cage("check").exits(3)), expected);
    world.engine(&format!("rm -f {}", world.name())).ok();
    let moved = world.project.with_file_name("moved");
    fs::rename(&world.project, &moved).unwrap();
    let there = |words: &str| world.cage(words).dir(&moved);
    there("start -d").ok();
    assert_eq!(told(&there("check").exits(3)), expected);
    // Code in the cage changes a file that the user looks at.
    there("run -- sh -c 'echo evil >.envrc'").ok();
    let refused = there("check --accept").exits(3).says("or changed since: .envrc; look, then accept again");
    assert_eq!(told(&refused), expected);
    assert_eq!(told(&there("check").exits(3)), expected[..1], "the control: the others are accepted");
    there("check --accept").ok();
    there("rm").ok();
    there("start -d").ok();
    there("check").ok().prints("");
    there("rm").ok();

    // The control: another directory at the same path has a record of its own.
    fs::rename(&moved, world.home.join("aside")).unwrap();
    world.mkdir(&moved);
    world.write(&moved.join(".envrc"), "");
    thread::sleep(Duration::from_millis(1100));
    there("start -d").ok();
    there("check").ok().prints("");
    there("rm").ok();
    fs::rename(world.home.join("aside"), &world.project).unwrap();
}

fn accepted_findings_of_another_user_are_not_believed(world: &World) {
    let state = world.root().join("state");
    let start = || world.cage("start -d").env("XDG_STATE_HOME", &state);
    world.mkdir(&state.join("cage"));
    start().ok();
    world.cage("rm").env("XDG_STATE_HOME", &state).ok();
    if !is_root() {
        return;
    }
    chown(state.join("cage"), Some(4321), Some(4321)).unwrap();
    fs::set_permissions(state.join("cage"), fs::Permissions::from_mode(0o777)).unwrap();
    if world.engine.is_rootless() {
        start().exits(1).says("belongs to another user").says("XDG_STATE_HOME");
        assert!(world.cages().is_empty());
    } else {
        // Root may work for that user, as under `sudo --preserve-env`.
        start().ok();
    }
}

/// Takes a write lease on a file and holds it: whoever opens the file waits, or is told to come again.
const LEASE: &str = r#"perl -e 'open(F, "+<", $ARGV[0]) && fcntl(F, 1024, 1) && print("held\n") && close(STDOUT) && sleep 100'"#;

fn a_lease_does_not_hide_a_setting(world: &World) {
    git(world, &world.project, "init -q .");
    world.write(&world.project.join(".cage.env"), "A=1\n");
    world.cage("start -d").ok();
    world.cage("run git config core.fsmonitor ./x").ok();
    // The control: without a lease it is found.
    assert_eq!(told(&world.cage("check").exits(3)), [".git/config: core.fsmonitor=./x"]);
    let hold = |file: &str| {
        let script = shell_words::quote(&format!("{LEASE} {file} >held &")).into_owned();
        world.cage(&format!("run -- sh -c {script}")).ok();
        crate::common::eventually("the lease", || super::text(&world.project.join("held")) == "held\n");
    };
    hold(".git/config");
    let check = world.cage("check").exits(3);
    check.says(
        "the list may be incomplete: .git/config can't be read while another program holds a lease on it",
    );
    hold(".cage.env");
    let restart = world.cage("restart").exits(1);
    restart
        .says("another program holds a lease on it")
        .says("hint: a program in the cage may hold it: `cage stop` ends it");
    world.cage("stop").ok();
    world.cage("restart").ok();
    assert_eq!(told(&world.cage("check").exits(3)), [".git/config: core.fsmonitor=./x"]);
}

fn a_file_that_settings_name_by_another_path_is_read(world: &World) {
    // As users write them into a repository's own settings.
    repository(world);
    let ways = world.home.join("ways");
    std::os::unix::fs::symlink(world.root(), &ways).unwrap();
    world.write(&world.project.join("own/config"), "[advice]\nstatusHints = false\n");
    world.write(&world.project.join("own/other"), "[advice]\nstatusHints = false\n");
    world.program(&world.project.join("own/hooks/pre-commit"), "#!/bin/sh\n");
    world.program(&world.project.join("own/pager"), "#!/bin/sh\ncat\n");
    let config = format!(
        "[include]\npath = ~/ways/project/own/config\npath = {ways}/project/own/other\n\
         [core]\nhooksPath = ~/ways/project/own/hooks\npager = cat | $HOME/ways/project/own/pager\n",
        ways = ways.display()
    );
    let file = world.project.join(".git/config");
    let text = fs::read_to_string(&file).unwrap();
    world.write(&file, &format!("{text}{config}"));
    world.cage("start -d").ok();
    world.cage("check").ok();
    let canary = world.home.join("canary");
    let fsmonitor = format!("printf '[core]\\nfsmonitor = touch {}\\n' >>own/config", canary.display());
    let plant = [
        &fsmonitor,
        "printf '[core]\\neditor = ./x\\n' >>own/other",
        "echo ./x >>own/hooks/pre-commit",
        "echo ./x >>own/pager",
    ];
    world.cage(&format!("run -- sh -c {}", shell_words::quote(&plant.join(" && ")))).ok();
    let check = world.cage("check").exits(3);
    assert_eq!(
        told(&check),
        [
            ".git/config: core.pager=cat | $HOME/ways/project/own/pager".to_owned(),
            format!(".git/config: include.path={}/project/own/other", ways.display()),
            ".git/config: include.path=~/ways/project/own/config".to_owned(),
            format!("own/config: core.fsmonitor=touch {}", canary.display()),
            "own/hooks/pre-commit: executable hook".to_owned(),
            "own/other: core.editor=./x".to_owned(),
        ]
    );
    // The control: git reads it, and runs what is in it.
    world.call("git", &["status".into()]).ok();
    assert!(canary.exists());
}

fn files_of_a_worktree_that_its_repository_leads_to_are_read(world: &World) {
    let (repository, _) = crate::yours::linked_worktrees(world);
    let (project, there) = (world.project.display(), repository.join(".git"));
    world.write(&world.project.join("settings"), "");
    world.program(&world.project.join("hook"), "#!/bin/sh\n");
    world.program(&there.join("fsmonitor"), "#!/bin/sh\n");
    std::os::unix::fs::symlink(world.project.join("hook"), there.join("hooks/pre-commit")).unwrap();
    git(world, &repository, &format!("config include.path {project}/settings"));
    git(world, &repository, &format!("config core.fsmonitor {}/fsmonitor", there.display()));
    world.cage("start -d").ok();
    world.cage("check").ok().prints("");

    let canary = world.home.join("canary");
    let evil = format!("echo touch {} >>{}/fsmonitor", canary.display(), there.display());
    let evil = format!("{evil} && echo >>hook && printf '[alias]\\nst = !sh\\n' >settings");
    world.cage(&format!("run -- sh -c {}", shell_words::quote(&evil))).ok();
    git(world, &world.project, "status --short");
    assert!(canary.exists(), "the control: git runs it");
    let check = world.cage("check").exits(3);
    let there = there.display();
    for finding in [
        format!("{there}/config: core.fsmonitor={there}/fsmonitor"),
        format!("{there}/hooks/pre-commit: hook, link to {project}/hook"),
        "settings: alias.st=!sh".to_owned(),
    ] {
        assert!(told(&check).contains(&finding.as_str()), "{check}");
    }
}
