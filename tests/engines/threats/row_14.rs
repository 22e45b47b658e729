//! Row 14: more processes or memory than the machine can bear.

use crate::common::skipped;
use crate::lab::World;

on_each_engine!(a_fork_bomb_stops_at_the_limit, a_memory_hog_ends_at_the_limit);

/// A bounded one: it starts 100 processes, or as many as it can.
const STORM: &str = "n=0; while [ $n -lt 100 ]; do sleep 3 & n=$((n + 1)); done; echo all";

/// Does the engine say that it enforces this limit? Where it doesn't, cage must say so, too.
#[track_caller]
fn is_enforced(world: &World, limit: &str) -> bool {
    let status = world.cage("status").ok().out;
    let line = status.lines().find(|line| line.starts_with("Limits:")).unwrap_or_default();
    let part = line.split(", ").find(|part| part.contains(limit)).unwrap_or_default();
    let unenforced = status.lines().find(|line| line.starts_with("Unenforced: "));
    let enforced = !unenforced.is_some_and(|line| line.contains(limit));
    // podman forgets a limit that it can't enforce.
    assert!(!part.is_empty() && (!enforced || !part.contains("unlimited")), "{status}");
    enforced
}

fn a_fork_bomb_stops_at_the_limit(world: &World) {
    let storm = format!("sh -c {}", shell_words::quote(STORM));
    // The control: nothing stops it by itself. podman has a limit of its own, which is larger.
    world.engine(&format!("run --rm cage-lab {storm}")).ok().prints("all\n");

    // There is a limit by default.
    let start = world.cage("start -d").ok();
    start.says_not("can't limit");
    let enforced = is_enforced(world, "processes");
    let is_limited_to = |number: &str| {
        assert!(!enforced || world.inspect("{{.HostConfig.PidsLimit}}") == number);
        assert!(!enforced || world.cage("status").ok().out.contains(&format!("processes {number}")));
    };
    is_limited_to("4096");
    world.inside(STORM).ok().prints("all\n");

    let restart = world.cage("restart --pids-limit 60").ok();
    assert_eq!(is_enforced(world, "processes"), enforced);
    if enforced {
        restart.says_not("can't limit");
        let stopped = world.inside(STORM).run();
        assert!(stopped.code != 0 && stopped.out.is_empty() && stopped.err.contains("fork"), "{stopped}");
        // The cage can still be got rid of.
    } else {
        restart.says("this engine can't limit processes");
        // It is as cage says.
        world.inside(STORM).ok().prints("all\n");
        skipped(world.engine, "it can't limit processes on this machine, and cage says so");
    }
    world.cage("stop").ok();
    world.cage("start -d").ok();
    is_limited_to("60");
    world.cage("restart --fresh").ok();
    is_limited_to("4096");
}

fn a_memory_hog_ends_at_the_limit(world: &World) {
    // 200 MB, where 64 MB (and as much swap) are allowed.
    let hog = "perl -e '$x = q(x) x (200 << 20); print length $x'";
    world.cage("start -d").ok();
    world.cage(&format!("run {hog}")).ok().prints("209715200");
    let restart = world.cage("restart --memory 64m --cpus 0.5").ok();
    let enforced = is_enforced(world, "memory");
    let ran = world.cage(&format!("run {hog}")).run();
    if enforced {
        assert!(ran.code == 137 && ran.out.is_empty(), "{ran}");
        restart.says_not("can't limit memory");
        assert!(is_enforced(world, "processors"));
        assert_eq!(world.inspect("{{.HostConfig.NanoCpus}}"), "500000000");
    } else {
        restart.says("this engine can't limit memory").says("this engine can't limit processors");
        assert_eq!(ran.out, "209715200");
        skipped(world.engine, "it can't limit memory on this machine, and cage says so");
    }
}
