//! Row 31: a running cage is scanned, and code in it hides a file for as long as that takes.

use crate::lab::{PATH, World};

on_each_engine!(a_file_that_hides_from_the_scan_is_found);

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
        (
            !check.out.contains(".envrc: file"),
            check.err.contains("the cage can't be paused and ran during the scan"),
        )
    };
    // The control: where the engine can't pause, the file hides, and the report says so.
    assert_eq!(hidden(&client("false")), (true, true));
    let (hides, is_told) = hidden(&client(&format!("PATH={PATH} {engine} \"$@\"")));
    assert_eq!(hides, is_told);
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
