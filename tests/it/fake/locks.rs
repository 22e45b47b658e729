//! Commands that wait for each other.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::machine::{Cage, Machine, Speaks};

/// Holds the lock of this name.
fn lock(machine: &Machine, name: &str) -> File {
    let state = machine.home().join(".local/state/cage");
    fs::create_dir_all(&state).unwrap();
    let file = File::create(state.join(format!("{name}.lock"))).unwrap();
    file.lock().unwrap();
    file.set_len(1).unwrap();
    file
}

#[test]
fn a_command_for_another_cage_or_a_lock_on_the_home_is_not_waited_for() {
    let machine = Machine::in_story(Speaks::Docker, "none");
    // Any user who may open the home can hold this one.
    let home = File::open(machine.home()).unwrap();
    home.lock().unwrap();
    // A command that waits for it says so, and ends.
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(30));
        drop(home);
    });
    let _other = lock(&machine, "cage-other-01234567");
    let started = machine.cage("start");
    assert_eq!(started.code, 0, "{}", started.stderr);
    assert!(!started.stderr.contains("waiting"), "{}", started.stderr);
    assert!(machine.state_files().iter().all(|file| !file.ends_with("cage-home.home.lock")));
}

#[test]
fn waiting_for_the_same_cage_or_home_is_said_and_ends_with_a_signal() {
    for (of_home, signal) in [(false, "INT"), (true, "TERM")] {
        let machine = Machine::in_story(Speaks::Docker, "none");
        let name = Cage::of(&machine.project).name;
        let _held = lock(&machine, if of_home { "cage-home.home" } else { &name });
        let mut command = machine.command(env!("CARGO_BIN_EXE_cage"));
        let mut cage = command.arg("start").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(cage.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "cage: waiting for another cage command to finish"));
        let kill = Command::new("kill").args(["-s", signal, &cage.id().to_string()]).status().unwrap();
        assert!(kill.success() && !cage.wait().unwrap().success());
        let calls = machine.engine().calls();
        assert!(calls.iter().all(|call| call[0] != "start"), "{calls:?}");
        // What was created is removed.
        assert_eq!(calls.iter().any(|call| call[0] == "create"), of_home);
        assert_eq!(calls.iter().any(|call| call[0] == "rm"), of_home);
    }
}

#[test]
fn what_a_killed_command_was_making_is_removed() {
    // A lock without a holder: the command that held it was killed. Without it, a container that never ran is complete.
    for (command, is_killed, first) in [
        ("start", true, Some("rm")),
        ("start", false, Some("start")),
        ("run true", true, Some("rm")),
        ("restart", true, Some("rm")),
        ("status", true, Some("rm")),
        ("status", false, None),
    ] {
        let machine = Machine::in_story(Speaks::Docker, "created");
        if is_killed {
            drop(lock(&machine, &Cage::of(&machine.project).name));
        }
        let outcome = machine.cage(command);
        let changes = outcome.changes();
        let made = changes.first().map(|call| call[0].as_str());
        assert_eq!(made, first, "{command}, {is_killed}: {}", outcome.stderr);
        assert!(machine.state_files().iter().all(|file| !file.ends_with(".lock")));
    }
}

#[test]
fn what_another_command_was_making_when_it_was_killed_is_removed() {
    let machine = Machine::in_story(Speaks::Docker, "none");
    let mut incomplete = Cage::of(&machine.project);
    let held = lock(&machine, &incomplete.name);
    let mut command = machine.command(env!("CARGO_BIN_EXE_cage"));
    let mut cage = command.arg("start").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(cage.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "cage: waiting for another cage command to finish"));
    incomplete.status = "created".into();
    machine.engine().add(&incomplete);
    // The end of the other command, whose file stays.
    drop(held);
    lines.for_each(drop);
    cage.wait().unwrap();
    let calls = machine.engine().calls();
    let changes =
        calls.iter().map(|call| call[0].as_str()).filter(|word| ["rm", "create", "start"].contains(word));
    assert_eq!(changes.take(2).collect::<Vec<_>>(), ["rm", "create"], "{calls:?}");
}

#[test]
fn what_ran_before_is_kept_whatever_the_engine_calls_it() {
    // Some podmans call containers that ran before a reboot `configured`.
    let machine = Machine::in_story(Speaks::Podman, "none");
    let cage = Cage::of(&machine.project);
    machine.engine().add(&Cage { status: "configured".into(), ..cage });
    drop(lock(&machine, &Cage::of(&machine.project).name));
    assert_eq!(machine.cage("start").changes()[0][0], "start");
}
