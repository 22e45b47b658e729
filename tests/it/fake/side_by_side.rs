//! Starting a cage while code in another one could exchange a source of its mounts with a link.

use std::fs;

use super::copying::calls;
use super::machine::{Cage, Machine, Speaks};

/// Returns a machine with the project's cage in this state, and running ones of the directory above it and of another one.
fn machine(speaks: Speaks, state: &str) -> Machine {
    let machine = Machine::in_story(speaks, state);
    let stranger = machine.root().join("stranger");
    fs::create_dir(&stranger).unwrap();
    let mut cages = vec![Cage::of(&machine.project)];
    cages[0].status = if state == "stopped" { "exited".into() } else { state.into() };
    cages[0].options = "--allow-nested";
    for project in [machine.project.parent().unwrap(), &stranger] {
        cages.push(Cage { status: "running".into(), ..Cage::of(project) });
    }
    for cage in &cages {
        machine.engine().add(cage);
    }
    machine.engine().tell_cages(&cages);
    machine
}

#[test]
fn cages_that_can_exchange_a_source_are_paused_during_the_start() {
    for speaks in [Speaks::Docker, Speaks::Podman] {
        let paused = ["pause src", "start", "unpause src"];
        let stopped = machine(speaks, "stopped");
        let outcome = stopped.cage("start -d");
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        assert_eq!(calls(&stopped, &outcome), paused, "{}", outcome.stderr);

        let running = machine(speaks, "running");
        let outcome = running.cage("restart -d");
        let of_restart = calls(&running, &outcome);
        let at = of_restart.iter().position(|call| call == "stop").unwrap();
        assert_eq!(of_restart[at..], [&["stop"], &paused[..], &["rm"]].concat(), "{}", outcome.stderr);

        // The control: the link is found when nothing moves any more.
        let data = running.root().join("src/data");
        fs::create_dir(&data).unwrap();
        let link = format!("/bin/rmdir {0}; /bin/ln -s /etc {0}", data.display());
        running.engine().act("pause", &link);
        let outcome = running.cage(&format!("restart -d -v {}:/data", data.display()));
        assert_eq!(outcome.code, 1, "{}", outcome.stderr);
        assert!(outcome.stderr.contains("now leads to /etc"), "{}", outcome.stderr);
        assert!(!calls(&running, &outcome)[..at + 3].contains(&"start".to_owned()), "{}", outcome.stderr);
    }
}

#[test]
fn an_engine_that_cannot_pause_gets_one_warning() {
    let machine = machine(Speaks::Podman, "stopped");
    machine.engine().answer("pause", 1, "cgroups not configured", "");
    machine.engine().answer("unpause", 1, "is not paused", "");
    let outcome = machine.cage("start -d");
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(outcome.stderr.matches("warning: cannot pause cage-src-").count(), 1, "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("may still be"), "{}", outcome.stderr);
}

#[test]
fn a_cage_without_such_neighbours_starts_as_ever() {
    let machine = machine(Speaks::Docker, "stopped");
    let strangers = [Cage::of(&machine.project), Cage::of(&machine.root().join("stranger"))];
    machine.engine().tell_cages(&strangers);
    let outcome = machine.cage("start -d");
    assert_eq!(calls(&machine, &outcome), ["start"], "{}", outcome.stderr);
}
