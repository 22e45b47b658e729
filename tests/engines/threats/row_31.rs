//! Row 31: a running cage is scanned, and code in it hides a file for as long as that takes.

use crate::lab::{PATH, World};

on_each_engine!(a_file_that_hides_from_the_scan_is_found);

on_each_engine!(clients: a_neighbours_cage_is_paused_too, code_that_watches_the_file_of_a_worktree_sees_no_scan);

/// Hides a planted file while there is a sign of a scan.
const WATCHER: &str = "while [ ! -e stop ]; do
    if [ -e sign ]; then rm -f .envrc; elif [ ! -e .envrc ]; then echo planted >.envrc; fi
done";

fn a_file_that_hides_from_the_scan_is_found(world: &World) {
    world.cage("start -d").ok();
    let project = world.project.display().to_string();
    let watch = shell_words::quote(&format!("({WATCHER}) >/dev/null 2>&1 &")).into_owned();
    world.engine(&format!("exec --workdir {project} {} sh -c {watch}", world.name())).ok();
    let engine = world.engine.program();
    // The scan begins when the engine has answered, and ends before the next call.
    let client = |pause: &str| {
        let sign = format!("touch {project}/sign; sleep 0.5; exit $code");
        super::client_that(
            world,
            &format!("case $1 in pause) {pause}; code=$?; {sign} ;; unpause) rm -f {project}/sign ;; esac"),
        )
    };
    let hidden = |client: &str| {
        crate::common::eventually("the file is there", || world.project.join(".envrc").exists());
        let check = world.cage("check").env("CAGE_RUNTIME", client).run();
        let _ = std::fs::remove_file(world.project.join("sign"));
        let incomplete = check.err.contains("the list may be incomplete: ");
        assert_eq!(check.code, if check.out.is_empty() && !incomplete { 0 } else { 3 }, "{check}");
        let is_told =
            check.err.contains(&format!("{} can't be paused and ran during the scan", world.name()));
        (!check.out.contains(".envrc: file"), is_told, incomplete)
    };
    // The control: while it isn't paused, for whatever reason, the file hides. The report doesn't pass for a complete one.
    assert_eq!(hidden(&client("false")), (true, true, true));
    // Where the engine can never pause, it says so.
    let (hides, is_told, incomplete) = hidden(&client(&format!("PATH={PATH} {engine} \"$@\"")));
    assert!(hides == is_told && !incomplete);
    assert!(!hides || world.engine.is_rootless(), "this engine can pause");
    assert_eq!(world.state(), "running");

    // One that was paused before stays so.
    if !hides {
        world.engine(&format!("pause {}", world.name())).ok();
        world.cage("check").exits(3);
        assert_eq!(world.state(), "paused");
        world.engine(&format!("unpause {}", world.name())).ok();
    }
    world.engine(&format!("exec --workdir {project} {} touch stop", world.name())).ok();
}

fn a_neighbours_cage_is_paused_too(world: &World) {
    let (repository, other) = crate::yours::linked_worktrees(world);
    let cage = |dir: &std::path::Path, words: &str| world.cage(&format!("-C {} {words}", dir.display()));
    let stranger = world.root().join("stranger");
    world.mkdir(&stranger);
    for dir in [&repository, &other, &stranger] {
        cage(dir, "start -d").ok();
    }
    world.cage("start -d").ok();
    // At the end of the scan, these are paused.
    let log = world.home.join("paused");
    let client = super::client_that(
        world,
        &format!(
            "case $1 in unpause) PATH={PATH} {} ps --filter status=paused --format '{{{{.Names}}}}' >>{} ;; esac",
            world.engine.program(),
            log.display()
        ),
    );
    let check = world.cage("check").env("CAGE_RUNTIME", &client).run();
    let (paused, can_pause) = (super::text(&log), !check.err.contains("can't be paused"));
    assert!(can_pause || world.engine.is_rootless(), "this engine can pause");
    for (name, writes_here) in [
        ("cage-project-", true),
        ("cage-repository-", true),
        ("cage-other-", true),
        ("cage-stranger-", false),
    ] {
        assert_eq!(paused.contains(name), writes_here && can_pause, "{name}: {paused}");
        let is_told = check.err.lines().any(|line| line.contains(name) && line.contains("can't be paused"));
        assert_eq!(is_told, writes_here && !can_pause, "{name}: {check}");
    }
    for dir in [&repository, &other, &stranger] {
        assert!(cage(dir, "status").ok().out.contains("State:     running\n"));
        cage(dir, "rm").ok();
    }
    assert_eq!(world.state(), "running");
}

fn code_that_watches_the_file_of_a_worktree_sees_no_scan(world: &World) {
    crate::yours::linked_worktrees(world);
    world.cage("start -d").ok();
    let there = |name: &str| world.project.join(name);
    // inotify_init, inotify_add_watch for IN_OPEN, and what the kernel then tells.
    let wait = r#"perl -e '$n = ".git"; $f = syscall(253); syscall(254, $f, $n, 32); open(R, ">ready"); close(R);
                  open(I, "<&=$f"); sysread(I, $b, 4096); unlink(".envrc"); open(S, ">seen")'"#;
    let watch = || {
        for name in ["ready", "seen"] {
            let _ = std::fs::remove_file(there(name));
        }
        world.write(&there(".envrc"), "planted");
        let script = format!("({wait}) >/dev/null 2>&1 &");
        let script = shell_words::quote(&script).into_owned();
        let exec = format!("exec --workdir {} {} sh -c {script}", world.project.display(), world.name());
        world.engine(&exec).ok();
        crate::common::eventually("it watches", || there("ready").exists());
    };
    // The control: whoever opens the file is seen.
    watch();
    super::text(&there(".git"));
    crate::common::eventually("it is seen", || there("seen").exists() && !there(".envrc").exists());
    watch();
    let check = world.cage("check").run();
    let can_pause = !check.err.contains("can't be paused");
    assert!(can_pause || world.engine.is_rootless(), "this engine can pause");
    assert!(check.out.contains(".envrc: file") || !can_pause, "{check}");
}
