//! Commands that delete: they ask on the terminal, need `--yes` without one, and name what they leave.

use std::fs;
use std::process::Stdio;

use rexpect::reader::Options;
use rexpect::session::spawn_with_options;
use serde_json::json;

use super::machine::{Cage, Machine, Speaks};

/// Returns a machine with a stopped cage whose directory is gone, so that each of the commands would remove something.
fn machine(speaks: Speaks) -> Machine {
    let mut machine = Machine::in_story(speaks, "none");
    machine.enter("gone");
    let cage = Cage { status: "exited".into(), ..Cage::of(&machine.project) };
    machine.engine().add(&cage);
    machine.engine().tell_cages(&[cage]);
    machine.enter("app");
    fs::remove_dir(machine.root().join("src/gone")).unwrap();
    machine
}

const DELETING: [&str; 4] = ["obliterate", "obliterate --homes", "rmconfig", "prune"];

#[test]
fn without_a_terminal_deleting_needs_yes() {
    for command in DELETING {
        for speaks in [Speaks::Docker, Speaks::Podman] {
            let machine = machine(speaks);
            let outcome = machine.cage(command);
            assert_eq!((outcome.code, outcome.changes().len()), (1, 0), "{command}: {}", outcome.stderr);
            let words = "error: cannot ask without a terminal\nhint: `--dry-run` shows ";
            assert!(outcome.stderr.contains(words), "{command}: {}", outcome.stderr);
            assert!(outcome.stderr.contains("`--yes`"), "{command}: {}", outcome.stderr);
            let outcome = machine.cage(&format!("{command} --yes"));
            assert_eq!(outcome.code, 0, "{command}: {}", outcome.stderr);
            assert!(!outcome.changes().is_empty(), "the control: {command}");
        }
    }
}

#[test]
fn the_question_comes_to_the_terminal_although_stderr_is_redirected() {
    for command in DELETING {
        for (answer, code) in [("n", 1), ("", 1), ("yes", 0)] {
            let machine = machine(Speaks::Docker);
            let log = machine.root().join("log");
            let mut shell = machine.command("/bin/sh");
            let line = format!("{} {command} >/dev/null 2>{}", env!("CARGO_BIN_EXE_cage"), log.display());
            shell.args(["-c", &format!("{line}; echo code=$?.")]).stdin(Stdio::inherit());
            let mut session = spawn_with_options(shell, Options::new().timeout_ms(Some(20_000))).unwrap();
            session.exp_string("Continue? [y/N] ").unwrap();
            session.send_line(answer).unwrap();
            session.exp_string(&format!("code={code}.")).unwrap();
            let calls = machine.engine().calls();
            let removes = |call: &Vec<String>| ["rm", "run"].contains(&call[0].as_str());
            assert_eq!(calls.iter().any(removes), code == 0, "{command}, {answer}: {calls:?}");
            assert!(!fs::read_to_string(&log).unwrap().contains("Continue?"));
        }
    }
}

#[test]
fn what_is_typed_before_the_question_is_no_answer() {
    let machine = machine(Speaks::Docker);
    fs::write(machine.engine().dir().join("slow"), "").unwrap();
    let mut shell = machine.command("/bin/sh");
    let line = format!("echo starts; {} prune; echo code=$?.", env!("CARGO_BIN_EXE_cage"));
    shell.args(["-c", &line]).stdin(Stdio::inherit());
    let mut session = spawn_with_options(shell, Options::new().timeout_ms(Some(20_000))).unwrap();
    session.exp_string("starts").unwrap();
    session.send_line("y").unwrap();
    session.exp_string("Continue? [y/N] ").unwrap();
    session.send_line("n").unwrap();
    session.exp_string("nothing was done").unwrap();
    session.exp_string("code=1.").unwrap();
    assert!(machine.engine().calls().iter().all(|call| call[0] != "rm"));
}

#[test]
fn obliterate_names_the_homes_of_single_projects_and_takes_them_on_request() {
    for speaks in [Speaks::Docker, Speaks::Podman] {
        let machine = machine(speaks);
        let project = machine.project.display().to_string();
        let own = Cage::of(&machine.project).name.replace("cage-", "cage-home-");
        let engine = machine.engine();
        engine.answer("volume-ls", 0, "", &format!("{own}\n"));
        engine.answer("volume-ls-format", 0, "", &format!("cage-home\n{own}\ncage-home-x-0123abcd\nother\n"));
        engine.answer(
            "volume-inspect-format",
            0,
            "",
            &format!("{own} {}\n", json!({"cage.project": project})),
        );
        let removes = |command: &str| {
            let outcome = machine.cage(command);
            let lines = outcome.calls.iter().filter(|call| call[..2] == ["volume", "rm"]);
            (lines.map(|call| call[2].clone()).collect::<Vec<_>>(), outcome.stderr)
        };
        let (gone, said) = removes("obliterate --yes");
        assert!(!gone.contains(&own), "{gone:?}");
        let words = format!("cage: keeping the home {own} ({project}); `--homes` removes it, too\n");
        assert!(said.contains(&words), "{said}");
        let (gone, said) = removes("obliterate --yes --homes");
        assert!(gone.contains(&own), "{gone:?}: {said}");
        assert!(!gone.contains(&"cage-home-x-0123abcd".to_owned()) && !gone.contains(&"other".to_owned()));
        assert!(said.contains("keeping the home cage-home-x-0123abcd: its project is unknown"), "{said}");
    }
}
