//! What a user sees while an engine takes its time.

use std::io::Read as _;
use std::process::Stdio;
use std::thread;

use rexpect::process::PtyProcess;

use super::machine::{Machine, Speaks};

/// Runs a command on a terminal with an engine whose calls take 600 ms. Returns what appeared, and what is left on the screen.
fn wait(state: &str, args: &str) -> (String, String) {
    let machine = Machine::in_story(Speaks::Docker, state);
    std::fs::write(machine.engine().dir().join("slow"), "").unwrap();
    let mut shell = machine.command("/bin/sh");
    let line = format!("/bin/stty rows 24 cols 80; exec {} {args}", env!("CARGO_BIN_EXE_cage"));
    shell.args(["-c", &line]).env("TERM", "xterm").stdin(Stdio::inherit());
    let process = PtyProcess::new(shell).unwrap();
    let mut terminal = process.get_file_handle().unwrap();
    let mut parser = vt100::Parser::new(24.try_into().unwrap(), 80.try_into().unwrap(), 0);
    let mut shown = Vec::new();
    // The end of a terminal is an error.
    let _ = terminal.read_to_end(&mut shown);
    parser.process(&shown);
    (String::from_utf8_lossy(&shown).into_owned(), parser.screen().contents())
}

#[test]
fn every_command_shows_that_it_waits_and_leaves_no_trace_of_it() {
    let commands = [
        ("running", "status"),
        ("running", "list"),
        ("running", "start -d"),
        ("stopped", "start -d"),
        ("none", "start -d"),
        ("running", "run -- true"),
        ("running", "shell -- true"),
        ("running", "stop"),
        ("running", "restart -d"),
        ("running, newer image", "upgrade -d"),
        ("running", "update"),
        ("running", "rm"),
        ("running", "check"),
        ("running", "doctor"),
        ("running", "prune --yes"),
        ("none", "rmconfig --yes"),
        ("running", "obliterate --yes"),
        ("running", "forward 0:3000"),
    ];
    thread::scope(|scope| {
        for (state, args) in commands {
            scope.spawn(move || {
                let (shown, left) = wait(state, args);
                assert!(shown.contains("..."), "{state}, {args}: {shown}");
                assert!(!left.contains("..."), "{state}, {args}: {left}");
            });
        }
    });
}
