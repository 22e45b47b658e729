//! A terminal, with engines that don't answer and clients that don't end.

use std::fs;
use std::process::Stdio;

use rexpect::reader::Options;
use rexpect::session::{PtySession, spawn_with_options};

use super::machine::{Machine, Speaks};

/// A machine with a cage that runs, whose client prints `inside` and then acts like this script.
fn machine(speaks: Speaks, client: &str) -> Machine {
    let machine = Machine::in_story(speaks, "running");
    let engine = machine.engine();
    for verb in ["attach", "exec"] {
        engine.act(verb, &format!("/bin/stty raw -echo; echo inside; {client}"));
    }
    engine.answer("container-inspect-format", 0, "", "running 0 false \"2026-11-27T19:10:04Z\"\n");
    machine
}

/// Starts cage in a terminal, and waits until the client runs.
fn cage(machine: &Machine, args: &str) -> PtySession {
    let mut command = machine.command(env!("CARGO_BIN_EXE_cage"));
    command.args(args.split(' ')).stdin(Stdio::inherit());
    let options = Options::new().timeout_ms(Some(20_000));
    let mut session = spawn_with_options(command, options).unwrap();
    session.exp_string("inside").unwrap();
    session
}

fn exits(mut session: PtySession, words: &str, code: i32) {
    session.exp_string(words).unwrap();
    session.exp_eof().unwrap();
    let status = format!("{:?}", session.process().wait().unwrap());
    assert!(status.starts_with("Exited(") && status.ends_with(&format!(", {code})")), "{status}");
}

#[test]
fn an_engine_that_does_not_answer_is_left_all_the_same() {
    let machine = machine(Speaks::Docker, "exec /bin/sleep 60");
    machine.engine().act("container-inspect-format", "[ ! -e \"$dir/silent\" ] || exec /bin/sleep 60");
    let mut session = cage(&machine, "start");
    fs::write(machine.engine().dir().join("silent"), "").unwrap();
    session.send("\x1c").unwrap();
    session.flush().unwrap();
    exits(session, "; the engine does not answer", 0);
}

#[test]
fn a_client_that_ignores_a_hangup_is_left_all_the_same() {
    let machine = machine(Speaks::Docker, "trap '' HUP; exec /bin/sleep 60");
    let mut session = cage(&machine, "start");
    session.send("\x1c").unwrap();
    session.flush().unwrap();
    exits(session, "detached from", 0);
}
