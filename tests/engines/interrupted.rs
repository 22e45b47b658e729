//! Commands that are interrupted or killed.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::lab::World;
use super::yours::links;
use crate::common::{eventually, free_port};

on_each_engine!(
    clients:
    an_interrupted_start_leaves_nothing,
    start_recovers_from_a_killed_restart,
    a_killed_start_leaves_no_incomplete_cage,
);

/// Starts `cage WORDS…` in a process group of its own, as a shell does.
fn spawn(world: &World, words: &[&str]) -> Child {
    let mut command = world.command(world.binary());
    command.args(words).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Delays after which a command is interrupted.
fn moments() -> impl Iterator<Item = Duration> {
    [50, 200, 350, 500, 700, 1000].into_iter().map(Duration::from_millis)
}

fn an_interrupted_start_leaves_nothing(world: &World) {
    let mut interrupted = 0;
    for moment in moments() {
        let mut start = spawn(world, &["start", "-d"]);
        thread::sleep(moment);
        // As Ctrl-C, which also reaches the engine's client.
        let group = Pid::from_child(&start);
        // The command may have ended already.
        let _ = kill_process_group(group, Signal::INT);
        let status = start.wait().unwrap();
        if !status.success() {
            interrupted += 1;
            assert_eq!(world.cages(), [] as [String; 0], "after {moment:?}: {status}");
            assert_eq!(links(world), [] as [PathBuf; 0], "after {moment:?}: {status}");
        }
        world.cage("start -d").ok().prints(&format!("{}\n", world.name()));
        assert_eq!((world.cages(), world.state()), (vec![world.name()], "running".into()));
        world.cage("rm").ok();
    }
    assert!(interrupted > 0, "no moment was early enough");
}

fn start_recovers_from_a_killed_restart(world: &World) {
    let port = free_port();
    world.cage(&format!("start -d -p {port}:80")).ok();
    let name = world.name();
    let mut killed = 0;
    for (moment, alone) in moments().zip([false, true].into_iter().cycle()) {
        let mut restart = spawn(world, &["restart", "-d"]);
        thread::sleep(moment);
        if alone {
            let _ = restart.kill();
        } else {
            let _ = kill_process_group(Pid::from_child(&restart), Signal::KILL);
        }
        killed += i32::from(!restart.wait().unwrap().success());
        let when = format!("{} after {moment:?}", if alone { "alone" } else { "with its client" });
        // An engine finishes what its client requested, and the container appears only at the end: so wait a little, and look
        // again if it took longer.
        eventually(&format!("one cage is left of a restart killed {when}"), || {
            world.cage("start -d").ok().prints(&format!("{name}\n"));
            thread::sleep(Duration::from_millis(500));
            world.cages() == [name.as_str()] && world.state() == "running"
        });
        let status = world.cage("status").ok().out;
        assert!(status.contains(&format!("  80/tcp -> 127.0.0.1:{port}\n")), "killed {when}: {status}");
    }
    assert!(killed > 0, "no moment was early enough");
}

fn a_killed_start_leaves_no_incomplete_cage(world: &World) {
    world.write(&world.home.join(".gitconfig"), "[user]\nname = Ada\n");
    let mut incomplete = 0;
    for round in 0..5 {
        let mut start = spawn(world, &["start", "-d"]);
        eventually("the container", || !world.cages().is_empty());
        let _ = kill_process_group(Pid::from_child(&start), Signal::KILL);
        start.wait().unwrap();
        // Any command of cage would remove it, so the engine itself is asked.
        let container = world.cages().remove(0);
        incomplete += usize::from(world.inspect_container(&container, "{{.State.Status}}") == "created");
        // An engine finishes what its client requested.
        eventually(&format!("one complete cage after killed start {round}"), || {
            world.cage("start -d").ok().prints(&format!("{}\n", world.name()));
            thread::sleep(Duration::from_millis(300));
            world.cages() == [world.name()] && world.state() == "running"
        });
        // The file is put into the container after its creation.
        world.cage("run -- git config user.name").ok().prints("Ada\n");
        world.cage("rm").ok();
    }
    assert!(incomplete > 0, "no moment was between the creation and the start");
}
