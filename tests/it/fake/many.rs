//! A thousand cages: engine calls, their command lines and open files stay few.

use std::fs;

use super::machine::{Cage, Machine, Outcome, Speaks};

/// Returns a machine with `count` stopped cages of deleted projects, besides a project without one.
fn machine(count: usize) -> Machine {
    let machine = Machine::in_story(Speaks::Docker, "none");
    let place = |number: usize| machine.root().join(format!("src/gone-{number}"));
    let cage = |number| Cage { status: "exited".into(), ..Cage::of(&place(number)) };
    let cages: Vec<Cage> = (0..count).map(cage).collect();
    for cage in &cages {
        machine.engine().add(cage);
    }
    machine.engine().tell_cages(&cages);
    // As the engine's own answer, but all files with one process. The first object counts as an image.
    let fast = r#"shift 2; cd "$dir/objects"; printf '[{"Id": "x", "RootFS": {}}'; /usr/bin/sed 's/^/,/' "$@"; echo ']'; exit 0"#;
    machine.engine().act("container-inspect", fast);
    machine
}

/// Runs cage with as few open files as macOS allows.
fn cage(machine: &Machine, args: &str, env: &[(&str, &str)]) -> Outcome {
    let mut shell = machine.command("/bin/sh");
    shell
        .args(["-c", r#"ulimit -n 256 && exec "$0" "$@""#, env!("CARGO_BIN_EXE_cage")])
        .args(args.split(' '));
    let outcome = machine.run(shell.envs(env.iter().copied()));
    for call in &outcome.calls {
        let length: usize = call.iter().map(|word| word.len() + 1).sum();
        assert!(length < 100_000, "{length} bytes: {} {}", call[0], call[1]);
    }
    outcome
}

#[test]
fn a_few_calls_are_enough_for_many_cages() {
    let machine = machine(1200);
    for (args, env, lines) in [
        ("list", None, 1201),
        ("list --json", None, 1),
        ("check", None, 0),
        ("-- cage rm cage-", Some(("CAGE_COMPLETE", "fish")), 1200),
    ] {
        let outcome = cage(&machine, args, env.as_slice());
        assert_eq!((outcome.code, outcome.stdout.lines().count()), (0, lines), "{args}: {}", outcome.stderr);
        let inspects = outcome.calls.iter().filter(|call| call[..2] == ["container", "inspect"]).count();
        assert!(inspects > 0 && outcome.calls.len() <= 10, "{args}: {inspects} of {}", outcome.calls.len());
    }
}

#[test]
fn many_cages_are_removed_with_a_call_for_each() {
    let machine = machine(300);
    let outcome = cage(&machine, "prune --yes", &[]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let removed = outcome.calls.iter().filter(|call| call[0] == "rm").count();
    assert!(removed == 300 && outcome.calls.len() <= 310, "{removed} of {}", outcome.calls.len());
    let state = machine.home().join(".local/state/cage");
    let left: Vec<_> = fs::read_dir(state).into_iter().flatten().flatten().collect();
    assert!(!left.iter().any(|file| file.path().extension().is_some_and(|kind| kind == "lock")), "{left:?}");
}
