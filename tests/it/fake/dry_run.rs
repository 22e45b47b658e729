//! `--dry-run` prints a script that a shell accepts and that does what the command does; `--verbose` echoes what runs.

use std::fmt::Write as _;
use std::fs;

use super::machine::{Machine, Outcome, Speaks};

const CASES: &[(&str, &str)] = &[
    ("none", "start"),
    ("none", "start -p 3000:3000 -v /etc:/x:ro -v pg:/pg"),
    ("none, seed", "start"),
    ("none, offline", "start"),
    ("none, offline, image missing", "start"),
    ("none, image missing", "start"),
    ("none, local image", "start"),
    ("created", "start"),
    ("stopped", "start"),
    ("stopped, newer image", "start -p 1:1"),
    ("paused", "start"),
    ("running", "start"),
    ("dead", "start"),
    ("none", "run -- sh -c 'echo \"$HOME\" | cat'"),
    ("stopped", "run true"),
    ("running", "run true"),
    ("stopped", "stop"),
    ("running", "stop"),
    ("paused", "stop"),
    ("stopped", "rm"),
    ("running", "rm"),
    ("paused", "rm"),
    ("stopped", "restart"),
    ("running, published", "restart"),
    ("paused, published", "restart --fresh -p 4000:4000"),
    ("stopped, offline", "restart"),
    ("running", "shell"),
    ("paused", "shell"),
    ("none", "update"),
    ("none, offline", "update"),
    ("none", "upgrade"),
    ("running", "upgrade"),
    ("running, newer image", "upgrade"),
    ("stopped, newer image", "upgrade"),
    ("running, offline", "upgrade"),
    ("none", "rmconfig --yes"),
    ("none, no home", "rmconfig --yes"),
    ("stopped", "rmconfig --yes"),
    ("running", "rmconfig --yes"),
    ("paused", "rmconfig --yes"),
    ("none", "obliterate --yes"),
    ("none, no home", "obliterate --yes"),
    ("running", "obliterate --yes"),
];

/// Returns the effect of a run: the calls that change something, what the engine read, the data, cage's files, and
/// whether it succeeded.
fn effect(machine: &Machine, outcome: &Outcome, has_image: bool) -> (Vec<String>, Vec<String>, String, bool) {
    let mut read: Vec<String> = machine.engine().stdin().lines().map(str::to_owned).collect();
    read.sort_unstable();
    let mut changes = outcome.changes();
    // A script that was made without the image lacks the image's files.
    changes.retain(|call| call[0] != "cp" || has_image);
    let changes = changes.iter().map(|call| machine.anonymous(&format!("{call:?}"))).collect();
    let data = format!("{}{:?}", outcome.stdout, machine.state_files());
    (changes, read, machine.anonymous(&data), outcome.code == 0)
}

/// Returns what is wrong with the script for a case, if anything.
fn complaint(speaks: Speaks, words: &str, command: &str) -> Option<String> {
    let new = || {
        let machine = Machine::in_story(speaks, words);
        fs::write(machine.home().join(".config/cage/env"), "GLOBAL=1").unwrap();
        fs::write(machine.project.join(".cage.env"), "PROJECT=it's $HOME\n").unwrap();
        machine
    };
    let has_image = !words.contains("image missing");
    let mut machine = new();
    let plan = machine.cage(&format!("--dry-run {command}"));
    if plan.code != 0 || !plan.changes().is_empty() || !machine.state_files().is_empty() {
        return Some(format!("exits {}, changes {:?}: {}", plan.code, plan.changes(), plan.stderr));
    }
    let script = plan.stdout;
    let check = machine.run(machine.command("/bin/bash").args(["-n", "-c", &script]));
    if check.code != 0 || !check.stderr.is_empty() {
        return Some(format!("bash does not take it: {}\n{script}", check.stderr));
    }
    // The script uses awk.
    let path = format!("{}:/usr/bin:/bin", machine.root().join("bin").display());
    machine.env.push(("PATH", path.into()));
    let run = machine.run(machine.command("/bin/bash").args(["-c", &script]));
    let of_script = effect(&machine, &run, has_image);
    let machine = new();
    let done = machine.cage(command);
    let of_command = effect(&machine, &done, has_image);
    (of_script != of_command).then(|| format!("{of_script:#?}\n  instead of\n{of_command:#?}\n{script}"))
}

#[test]
fn list_and_status_print_the_same_in_a_dry_run() {
    let machine = Machine::in_story(Speaks::Docker, "running, published");
    for (command, start) in [("list", "  PROJECT"), ("status", "Container: ")] {
        let outcome = machine.cage(command);
        assert!(outcome.stdout.starts_with(start) && outcome.changes().is_empty(), "{}", outcome.stdout);
        assert_eq!(machine.cage(&format!("--dry-run {command}")).stdout, outcome.stdout);
    }
}

#[test]
fn the_script_does_what_the_command_does() {
    let mut wrong = String::new();
    for speaks in [Speaks::Docker, Speaks::Podman] {
        for (words, command) in CASES {
            if let Some(complaint) = complaint(speaks, words, command) {
                let _ = write!(wrong, "\n\n{speaks:?}, {words}: cage {command}\n{complaint}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn verbose_echoes_exactly_the_executed_commands() {
    for (words, command) in CASES {
        let mut machine = Machine::in_story(Speaks::Docker, words);
        machine.enter("it's a $(dir)\n");
        let outcome = machine.cage(&format!("--verbose {command}"));
        let echoed: Vec<&str> = outcome.stderr.lines().filter_map(|line| line.strip_prefix("+ ")).collect();
        let echoed = echoed.iter().filter(|line| !line.ends_with(" --version")).copied().collect::<Vec<_>>();
        assert_eq!(echoed.len(), outcome.calls.len(), "{words}: {command}: {}", outcome.stderr);
        let again = machine.run(machine.command("/bin/bash").args(["-c", &echoed.join("\n")]));
        assert_eq!(again.calls, outcome.calls, "{words}: {command}");
    }
}

#[test]
fn a_plan_without_the_image_states_its_assumptions() {
    for speaks in [Speaks::Docker, Speaks::Podman] {
        for command in ["start", "run true"] {
            let outcome =
                Machine::in_story(speaks, "none, image missing").cage(&format!("--dry-run {command}"));
            let lines: Vec<&str> = outcome.stderr.lines().collect();
            assert_eq!((outcome.code, lines.len()), (0, 1), "{}", outcome.stderr);
            assert!(
                lines[0].starts_with("cage: warning: the image is not here yet: assuming "),
                "{}",
                lines[0]
            );
            // The controls: the image is here, or the command doesn't need it.
            let here = Machine::in_story(speaks, "none").cage(&format!("--dry-run {command}"));
            assert_eq!((here.code, here.stderr.as_str()), (0, ""));
            let up =
                Machine::in_story(speaks, "running, image missing").cage(&format!("--dry-run {command}"));
            assert_eq!((up.code, up.stderr.as_str()), (0, ""));
        }
    }
}
