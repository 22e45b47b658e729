//! Who is in a cage, and how one ended that nobody was in.

use std::fs::{self, File};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use rexpect::reader::Options;
use rexpect::session::{PtySession, spawn_with_options};
use serde_json::{Value, json};

use super::machine::{Cage, Machine, Speaks};
use super::screens::screen;

/// Makes the cage have a visitor since some minutes, as a cage process that is alive does: it holds the lock on its file.
fn visit(machine: &Machine, pid: u32, content: &str, minutes: u64) -> File {
    let name = Cage::of(&machine.project).name;
    let dir = machine.home().join(".local/state/cage").join(format!("{name}.terminals"));
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(pid.to_string()), content).unwrap();
    let file = File::options().write(true).open(dir.join(pid.to_string())).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(minutes * 60)).unwrap();
    file.lock().unwrap();
    file
}

fn start(machine: &Machine, args: &str) -> PtySession {
    let mut shell = machine.command("/bin/sh");
    let line = format!("/bin/stty cols 80; {} {args}; echo code=$?.", env!("CARGO_BIN_EXE_cage"));
    shell.args(["-c", &line]).stdin(Stdio::inherit());
    spawn_with_options(shell, Options::new().timeout_ms(Some(20_000))).unwrap()
}

const COMMANDS: [&str; 4] = ["stop", "rm", "restart -d", "upgrade -d"];

/// Returns whether the engine was told to end the cage.
fn ended(machine: &Machine) -> bool {
    machine.engine().calls().iter().any(|call| ["stop", "rm"].contains(&call[0].as_str()))
}

#[test]
fn commands_that_end_programs_of_others_ask_at_a_terminal() {
    for command in COMMANDS {
        for (answer, code) in [("n", 1), ("", 1), ("y", 0)] {
            let machine = Machine::in_story(Speaks::Docker, "running, newer image");
            let _files = (visit(&machine, 1, "terminal claude", 12), visit(&machine, 2, "streams npm", 3));
            let mut session = start(&machine, command);
            session
                .exp_string("2 commands are running in it: claude (12m), npm (3m)\r\nContinue? [y/N] ")
                .unwrap();
            session.send_line(answer).unwrap();
            session.exp_string(&format!("code={code}.")).unwrap();
            assert_eq!(ended(&machine), code == 0, "{command}, {answer}");
        }
    }
}

#[test]
fn there_is_no_question_without_a_terminal_with_yes_or_when_nobody_is_there() {
    for command in COMMANDS {
        let machine = Machine::in_story(Speaks::Docker, "running, newer image");
        let file = visit(&machine, 1, "terminal claude", 12);
        let outcome = machine.cage(command);
        assert_eq!((outcome.code, ended(&machine)), (0, true), "{command}: {}", outcome.stderr);
        assert!(!outcome.stderr.contains("Continue?"), "{}", outcome.stderr);

        let acts = |machine: &Machine, command: &str| {
            let mut session = start(machine, command);
            let shown = session.exp_string("code=0.").unwrap();
            assert!(!shown.contains("Continue?") && ended(machine), "{command}: {shown}");
        };
        let machine = Machine::in_story(Speaks::Docker, "running, newer image");
        drop(file);
        let file = visit(&machine, 1, "attached ", 12);
        acts(&machine, &format!("{command} --yes"));
        // That of a client that was killed.
        let machine = Machine::in_story(Speaks::Docker, "running, newer image");
        drop(file);
        drop(visit(&machine, std::process::id(), "terminal claude", 12));
        acts(&machine, command);
    }
    // Nothing is replaced, so nothing ends.
    let machine = Machine::in_story(Speaks::Docker, "running");
    let _file = visit(&machine, 1, "terminal claude", 12);
    let shown = start(&machine, "upgrade").exp_string("code=0.").unwrap();
    assert!(!shown.contains("Continue?") && shown.contains("already on the latest image"), "{shown}");
}

#[test]
fn status_shows_who_is_in_the_cage() {
    let machine = Machine::in_story(Speaks::Docker, "running, published");
    let _files = [
        visit(&machine, 1, "attached ", 90),
        visit(&machine, 2, "terminal claude", 12),
        visit(&machine, 3, "terminal a\u{1b}[2J", 0),
    ];
    drop(visit(&machine, 4, "terminal zsh", 3));
    let said = machine.cage("status").stdout;
    assert!(
        said.contains("\nIn it:     attached terminal (1h), claude (12m), $'a\\033[2J' (0s)\n"),
        "{said}"
    );
    let printed: Value = serde_json::from_str(&machine.cage("status --json").stdout).unwrap();
    let programs: Vec<&Value> =
        printed["in_use_by"].as_array().unwrap().iter().map(|visitor| &visitor["program"]).collect();
    assert_eq!(programs, [&json!(null), &json!("claude"), &json!("a\u{1b}[2J")]);
    let machine = Machine::in_story(Speaks::Docker, "running");
    assert!(!machine.cage("status").stdout.contains("In it:"), "the control");
}

#[test]
fn status_shows_a_program_from_which_the_user_has_detached() {
    for (foreground, is_shown) in [(json!("7 812"), true), (json!(null), false)] {
        let machine = Machine::in_story(Speaks::Docker, "running");
        machine.engine().answer("exec", 0, "", "7 812\n65 claude\n");
        let keyboard = json!({"bottom": 0, "stack": []});
        let modes = json!({
            "private": [], "alternate_screen": null, "keyboards": [keyboard, keyboard], "modify_other_keys": 0,
            "cursor_shape": 0, "scroll_region": null, "titles": [],
        });
        let kept = json!({"since": "", "foreground": foreground, "modes": modes});
        let dir = machine.home().join(".local/state/cage");
        fs::create_dir_all(&dir).unwrap();
        let name = Cage::of(&machine.project).name;
        fs::write(dir.join(format!("{name}.modes")), kept.to_string()).unwrap();
        let said = machine.cage("status").stdout;
        assert_eq!(said.contains("\nIn it:     claude (1m)\n"), is_shown, "{said}");
        assert_eq!(machine.engine().calls().iter().any(|call| call[0] == "exec"), is_shown);
    }
}

#[test]
fn a_command_is_a_visitor_while_it_runs() {
    for command in ["run -- /usr/bin/claude TOKEN=secret", "run -- claude </dev/null | /bin/cat"] {
        let machine = Machine::in_story(Speaks::Docker, "running");
        let cage = env!("CARGO_BIN_EXE_cage");
        let look = format!(
            "case $* in */proc/*) ;; *claude*) {cage} -C {} status >\"$dir/seen\" ;; esac",
            machine.project.display()
        );
        machine.engine().act("exec", &look);
        let mut session = start(&machine, command);
        session.exp_string("code=0.").unwrap();
        let seen = fs::read_to_string(machine.engine().dir().join("seen")).unwrap();
        assert!(seen.contains("In it:     claude (0s)\n") && !seen.contains("secret"), "{command}: {seen}");
        assert!(!machine.cage("status").stdout.contains("In it:"), "it has ended");
    }
}

#[test]
fn a_cage_that_died_says_how() {
    for (code, out_of_memory, words) in [
        (137, true, "killed 5m ago: out of memory; `cage restart --memory SIZE` gives it more"),
        (137, false, "killed 5m ago (code 137), not for want of memory"),
        (7, false, "ended 5m ago with code 7"),
        (0, false, ""),
        (129, false, ""),
    ] {
        for speaks in [Speaks::Docker, Speaks::Podman] {
            let machine = Machine::in_story(speaks, "none");
            let mut cage = Cage { status: "exited".into(), ..Cage::of(&machine.project) };
            (cage.exit_code, cage.out_of_memory) = (code, out_of_memory);
            machine.engine().add(&cage);
            machine.engine().tell_cages(std::slice::from_ref(&cage));
            let said = machine.cage("status").stdout;
            assert_eq!(said.contains("Ended: "), !words.is_empty(), "{said}");
            assert!(said.contains(words), "{said}");
            let said = machine.cage("start").stderr;
            let line = format!("cage: {} was not stopped: {words}\n", cage.name);
            assert_eq!(said.contains(&line), !words.is_empty(), "{said}");
            // A user or `cage stop` ended it.
            let note = machine.home().join(".local/state/cage").join(format!("{}.ended", cage.name));
            fs::create_dir_all(note.parent().unwrap()).unwrap();
            fs::write(note, "left").unwrap();
            assert!(!machine.cage("status").stdout.contains("Ended: "));
            assert!(!machine.cage("start").stderr.contains("was not stopped"));
        }
    }
}

#[test]
fn status_is_one_screen() {
    let machine = Machine::in_story(Speaks::Docker, "running, published");
    let _file = visit(&machine, 2, "terminal claude", 12);
    let shown = screen(&machine, 80, "status");
    insta::assert_snapshot!(machine.anonymous(&shown), @"
    Container: NAME
    State:     running
    Ports:
      3000/tcp -> 127.0.0.1:3000
    Engine:    docker, run by root on this machine
    In it:     claude (12m)

    Image:     IMAGE
    Mounts:
      volume cage-home -> /home/vscode (read-only)
    Network:

    Limits:    processes unlimited, memory unlimited, processors unlimited
    Dropped capabilities: none

    Options:   -p 127.0.0.1:3000:3000
    ");
}
