//! The engine calls of each command, in each state, on each engine: a call takes as long as all that cage itself does, or much
//! longer.

use std::path::Path;

use super::machine::{Machine, Outcome, Speaks};
use crate::common::{absent, skipped};

/// Returns the calls of a run by their verbs, and the option of `exec` that tells what it is for.
fn calls(outcome: &Outcome) -> String {
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let verb = |call: &Vec<String>| {
        let words =
            if ["container", "context", "image", "volume"].contains(&call[0].as_str()) { 2 } else { 1 };
        call[..words].join(" ")
    };
    outcome.calls.iter().map(verb).collect::<Vec<_>>().join(", ")
}

/// Checks the calls of a command on a machine in some state that has made a cage of the image before.
#[track_caller]
fn check(words: &str, command: &str, docker: &str, podman: &str) {
    for (speaks, expected) in [(Speaks::Docker, docker), (Speaks::Podman, podman)] {
        let machine = Machine::in_story(speaks, &format!("local image, {words}"));
        // Remembers the image, and what the engine is.
        machine.cage("rm");
        machine.cage("start");
        machine.cage("restart");
        assert_eq!(calls(&machine.cage(command)), expected, "{words}: cage {command}, {speaks:?}");
    }
}

#[test]
fn a_new_cage() {
    check(
        "none, ready home",
        "start",
        "inspect, ps, volume inspect, info, create, start, exec",
        "inspect, ps, create, start, exec",
    );
    check(
        "none, ready home, seed",
        "start",
        "inspect, ps, volume inspect, info, create, run, start, exec",
        "inspect, ps, create, run, start, exec",
    );
    check(
        "none, ready home, kept seed",
        "start",
        "inspect, ps, volume inspect, info, create, start, exec",
        "inspect, ps, create, start, exec",
    );
    check(
        "none, no home",
        "start",
        "inspect, ps, volume inspect, info, create, run, start, exec",
        "inspect, ps, volume inspect, create, run, start, exec",
    );
}

#[test]
fn the_first_cage_of_an_image_asks_the_image() {
    for (speaks, expected) in [
        (Speaks::Docker, "inspect, ps, volume inspect, info, run, create, start, exec"),
        (Speaks::Podman, "inspect, ps, run, create, start, exec"),
    ] {
        let machine = Machine::in_story(speaks, "none, local image, ready home");
        assert_eq!(calls(&machine.cage("start")), expected, "{speaks:?}");
        assert!(!calls(&machine.cage("start")).contains("run"), "{speaks:?}");
    }
}

#[test]
fn a_cage_that_exists() {
    check(
        "stopped, ready home",
        "restart",
        "inspect, ps, volume inspect, info, create, start, exec, rm, rename",
        "inspect, ps, create, start, exec, rm, rename",
    );
    check("stopped", "start", "inspect, ps, start", "inspect, ps, start, exec");
    check("running", "start", "inspect", "inspect");
    check("running", "shell", "container inspect, exec", "container inspect, exec");
    check("running", "run true", "container inspect, exec", "container inspect, exec");
    check("running", "stop", "container inspect, stop", "container inspect, stop");
    check("running", "status", "container inspect", "container inspect");
    check("running", "list", "ps, container inspect", "ps, container inspect");
}

/// Returns the number of instructions, in millions, that cage itself takes for a command.
fn instructions(machine: &Machine, command: &str) -> Option<u64> {
    let mut valgrind = machine.command("/usr/bin/valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", env!("CARGO_BIN_EXE_cage")]);
    let outcome = machine.run(valgrind.args(command.split(' ')));
    let (_, counted) = outcome.stderr.split_once("Collected : ")?;
    counted.split_whitespace().next()?.parse::<u64>().ok().map(|count| count / 1_000_000)
}

#[test]
fn a_command_takes_few_instructions() {
    if !Path::new("/usr/bin/valgrind").exists() {
        // There is none for macOS on Arm.
        let missing = if cfg!(target_os = "macos") { skipped } else { absent };
        return missing("valgrind", "not installed");
    }
    // Up to half as much again as today, without optimization; with it, they are a quarter. scripts/bench has those numbers. HOME
    // is not the home that the system knows for the user, so cage looks at both.
    for (words, command, most) in [
        ("none, local image, ready home", "start", 36),
        ("stopped, local image, ready home", "restart", 50),
        ("running", "run true", 14),
        ("running", "status", 12),
        ("running", "list", 9),
        ("running", "stop", 9),
    ] {
        let count = instructions(&Machine::in_story(Speaks::Docker, words), command).unwrap();
        assert!(count <= most, "cage {command}: {count} million instructions");
    }
}
