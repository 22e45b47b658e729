//! Cages that the script made, with a fake engine.

use std::process::Stdio;

use rexpect::reader::Options;
use rexpect::session::spawn_with_options;

use super::machine::{Cage, Machine, Speaks};

/// Returns a machine on which the script's cage of another project runs, and that cage's name. Its home belongs to `owner`.
fn machine(speaks: Speaks, owner: &str) -> (Machine, String) {
    let mut machine = Machine::in_story(speaks, "none");
    machine.enter("old");
    let old = Cage { status: "running".into(), of_script: true, ..Cage::of(&machine.project) };
    machine.engine().add(&old);
    machine.engine().tell_cages(std::slice::from_ref(&old));
    let look =
        format!("case $* in *'/bin/ls -ldn'*) echo drwxr-xr-x 2 {owner} 4096 /home/vscode; exit 0 ;; esac");
    machine.engine().act("exec", &look);
    machine.enter("app");
    (machine, old.name)
}

#[test]
fn a_home_is_taken_from_a_running_cage_only_after_a_question() {
    for speaks in [Speaks::Docker, Speaks::Podman] {
        for (answer, code) in [("n", 1), ("", 1), ("y", 0)] {
            let (machine, name) = machine(speaks, "7 7");
            let mut command = machine.command(env!("CARGO_BIN_EXE_cage"));
            command.arg("start").stdin(Stdio::inherit());
            let mut session = spawn_with_options(command, Options::new().timeout_ms(Some(20_000))).unwrap();
            session.exp_string(&format!("{name} of the script is running in the home cage-home")).unwrap();
            session.exp_string("Continue? [y/N] ").unwrap();
            session.send_line(answer).unwrap();
            let words = if code == 0 { "Creating cage-app-" } else { "nothing was done" };
            session.exp_string(words).unwrap();
            session.exp_eof().unwrap();
            let created = machine.engine().calls().iter().any(|call| call[0] == "create");
            assert_eq!(created, code == 0, "{answer}");
        }
        // Without a terminal there is no question, only the warning.
        let (machine, name) = machine(speaks, "7 7");
        let outcome = machine.cage("start");
        assert!(outcome.code == 0 && outcome.stderr.contains(&name), "{}", outcome.stderr);
    }
}

#[test]
fn a_home_that_stays_the_same_is_no_question() {
    let user = rustix::process::getuid().as_raw();
    let group = rustix::process::getgid().as_raw();
    let (machine, name) = machine(Speaks::Docker, &format!("{user} {group}"));
    let outcome = machine.cage("start");
    assert!(outcome.code == 0 && !outcome.stderr.contains(&name), "{}", outcome.stderr);
    // One that doesn't say is taken for one that loses.
    let (machine, name) = self::machine(Speaks::Docker, "");
    assert!(machine.cage("start").stderr.contains(&name));
    let outcome = machine.cage("start --home project");
    assert!(!outcome.stderr.contains(&name), "{}", outcome.stderr);
}
