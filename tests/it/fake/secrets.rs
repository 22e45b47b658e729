//! Values from env files reach only the engine: no command line, which every user of the machine can see, no
//! echo, no plan, no error.

use std::fs;

use super::machine::{Machine, Outcome, Speaks};

const SECRET: &str = "hunter2-4f1c";

fn with_secrets(words: &str) -> Machine {
    let mut machine = Machine::in_story(Speaks::Docker, words);
    machine.env.push(("HOST_TOKEN", format!("{SECRET}-host").into()));
    let global = format!("GLOBAL={SECRET}-global\nHOST_TOKEN\n");
    fs::write(machine.home().join(".config/cage/env"), global).unwrap();
    fs::write(machine.project.join(".cage.env"), format!("PROJECT={SECRET}-project\n")).unwrap();
    machine
}

fn assert_secret(outcome: &Outcome) {
    for text in [&outcome.stdout, &outcome.stderr, &format!("{:?}", outcome.calls)] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn values_reach_the_engine_and_are_never_printed() {
    for (words, command) in [
        ("none", "start --verbose"),
        ("none", "run --verbose env"),
        ("running", "restart --verbose"),
        ("stopped, newer image", "upgrade --verbose"),
        ("none, create fails", "start --verbose"),
        ("none, start fails", "start --verbose"),
        ("running, start fails", "restart --verbose"),
    ] {
        let machine = with_secrets(words);
        let outcome = machine.cage(command);
        assert_secret(&outcome);
        let create = outcome.call("create");
        assert!(create.windows(2).any(|pair| pair == ["--env-file", "/dev/stdin"]), "{create:?}");
        let read = machine.engine().stdin();
        let mut lines: Vec<&str> = read.lines().collect();
        lines.sort_unstable();
        let expected =
            ["GLOBAL=hunter2-4f1c-global", "HOST_TOKEN=hunter2-4f1c-host", "PROJECT=hunter2-4f1c-project"];
        assert_eq!(lines, expected, "the control: {command}");
    }
}

#[test]
fn variables_of_run_are_read_from_a_pipe() {
    let mut machine = Machine::in_story(Speaks::Docker, "running");
    machine.env.push(("HOST_TOKEN", format!("{SECRET}-host").into()));
    let run = format!("run -e HOST_TOKEN -e TYPED='{SECRET} typed' --verbose -- env");
    let outcome = machine.cage(&run);
    assert_secret(&outcome);
    assert!(
        outcome
            .call("exec")
            .windows(2)
            .any(|pair| pair[0] == "--env-file" && pair[1].starts_with("/dev/fd/"))
    );
    let expected = format!("HOST_TOKEN={SECRET}-host\nTYPED={SECRET} typed\n");
    assert_eq!(machine.engine().stdin(), expected, "the control");
    assert_secret(&machine.cage(&format!("{run} --dry-run")));
}

#[test]
fn a_dry_run_names_env_files_without_values() {
    for (words, command) in [("none", "start --dry-run"), ("running", "restart --dry-run --verbose")] {
        let machine = with_secrets(words);
        let outcome = machine.cage(command);
        assert_secret(&outcome);
        let script = machine.anonymous(&outcome.stdout);
        assert!(script.contains("awk 1 ROOT/home/.config/cage/env; awk 1 DIR/.cage.env;"), "{script}");
        assert_eq!(machine.engine().stdin(), "");
    }
}

#[test]
fn a_malformed_file_is_reported_by_line_without_value() {
    for line in ["=hunter2", "export KEY=hunter2", "hunter2", "hunter2 hunter2=hunter2", "*"] {
        for (words, command, code) in [
            ("none", "start --verbose", 1),
            ("none", "run --verbose true", 125),
            ("running", "restart --verbose", 1),
            ("running, newer image", "upgrade --verbose", 1),
        ] {
            let machine = Machine::in_story(Speaks::Docker, words);
            fs::write(machine.project.join(".cage.env"), format!("# hunter2\n{line}\n")).unwrap();
            let outcome = machine.cage(command);
            assert_secret(&outcome);
            let expected = "error: DIR/.cage.env, line 2: ";
            assert!(machine.anonymous(&outcome.stderr).contains(expected), "{}", outcome.stderr);
            assert_eq!(outcome.code, code, "{command}, {line}");
            assert!(outcome.changes().is_empty(), "not even pulled: {:?}", outcome.changes());
        }
    }
}

#[test]
fn an_existing_cage_needs_no_env_file() {
    let machine = Machine::in_story(Speaks::Docker, "running");
    fs::write(machine.project.join(".cage.env"), "no equals sign\n").unwrap();
    for command in ["start", "shell", "status", "stop", "rm", "list"] {
        assert_eq!(machine.cage(command).code, 0, "{command}");
    }
}
