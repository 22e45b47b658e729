//! Which engine a command is about: a cage and a home belong to one, and no other takes its place by itself.

use std::fs;

use super::differences::docker_and_podman;
use super::machine::{Cage, Engine, Machine, Outcome};

/// Commands about a cage or the home that need an engine. `run` has an exit code for cage's own failures.
const COMMANDS: [&str; 14] = [
    "start",
    "run true",
    "shell",
    "forward 0:3000",
    "status",
    "list",
    "update",
    "stop",
    "rm",
    "restart",
    "upgrade",
    "prune --yes",
    "rmconfig --yes",
    "obliterate --yes",
];

/// Returns a machine on which docker has the project's cage and the home, as cage knows.
fn started() -> Machine {
    let machine = docker_and_podman();
    let outcome = machine.cage("start");
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    machine
}

/// Checks that a command failed because of its engine, with both ways out, and that no other engine was asked.
#[track_caller]
fn refuses(machine: &Machine, outcome: &Outcome, start: &str) {
    let said = &outcome.stderr;
    assert!(outcome.code == 1 || outcome.code == 125, "{said}");
    assert!(said.contains(" is in docker"), "{said}");
    assert!(said.contains(&format!("hint: {start}")) && said.contains("`--runtime podman`"), "{said}");
    assert_eq!(machine.engines[1].all_calls(), Vec::<Vec<String>>::new(), "{said}");
}

#[test]
fn no_engine_takes_the_place_of_one_that_is_out_of_reach() {
    let machine = started();
    let name = Cage::of(&machine.project).name;
    let docker = &machine.engines[0];
    for (trouble, start) in
        [(Engine::is_down as fn(&Engine), "start it (`"), (Engine::is_forbidden, "get access to it, ")]
    {
        trouble(docker);
        for command in COMMANDS {
            let outcome = machine.cage(command);
            refuses(&machine, &outcome, start);
            let is_about_all =
                ["list", "update", "prune --yes", "rmconfig --yes", "obliterate --yes"].contains(&command);
            let what = if is_about_all { "cage-home" } else { name.as_str() };
            assert!(outcome.stderr.starts_with(&format!("error: {what} is in docker")), "{}", outcome.stderr);
        }
    }
    fs::remove_file(machine.root().join("bin/docker")).unwrap();
    for command in COMMANDS {
        refuses(&machine, &machine.cage(command), "put `docker` into PATH, ");
    }

    // The way out, after which podman is the engine of this cage.
    assert_eq!(machine.cage("start --runtime podman").code, 0);
    let outcome = machine.cage("status");
    assert!(outcome.code == 0 && outcome.stderr.is_empty(), "{}", outcome.stderr);
}

#[test]
fn the_first_cage_of_a_second_engine_is_no_substitute_for_the_home() {
    let mut machine = started();
    machine.engines[0].is_down();
    machine.engines[1].answer(
        "volume-inspect",
        125,
        "Error: inspecting object: no such volume cage-home",
        "",
    );
    machine.enter("other");
    for command in ["start", "run true"] {
        let outcome = machine.cage(command);
        refuses(&machine, &outcome, "start it (`");
        assert!(outcome.stderr.starts_with("error: cage-home is in docker"), "{}", outcome.stderr);
    }
    machine.env.push(("CAGE_RUNTIME", "podman".into()));
    let outcome = machine.cage("start");
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
}

#[test]
fn a_cage_is_found_in_its_engine_without_naming_it() {
    let machine = docker_and_podman();
    machine.cage("start --runtime podman");
    for command in ["start", "run true", "status", "stop", "rm", "restart"] {
        machine.cage(command);
        let asked: Vec<bool> = machine.engines.iter().map(|engine| !engine.calls().is_empty()).collect();
        assert_eq!(asked, [false, true], "{command}");
    }
    // One that is above the current directory, too.
    let mut machine = machine;
    machine.enter("app/deep");
    for command in ["shell", "run true", "stop"] {
        machine.cage(command);
        assert!(machine.engines[0].calls().is_empty(), "{command}");
    }
}

/// Makes docker silent at the address where it was first.
fn is_gone_from_its_first_address(docker: &Engine) {
    let words =
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?";
    for call in ["container-inspect", "volume-inspect"] {
        docker.act(
            call,
            &format!("case ${{DOCKER_HOST:-}} in */run/docker.sock) echo '{words}' >&2; exit 1 ;; esac"),
        );
    }
}

#[test]
fn another_address_is_another_engine() {
    let mut machine = started();
    is_gone_from_its_first_address(&machine.engines[0]);
    machine.env.push(("DOCKER_HOST", "unix:///elsewhere/docker.sock".into()));
    let cage = Cage { status: "running".into(), ..Cage::of(&machine.project) };
    for command in ["start", "run true", "stop", "rm", "restart", "status"] {
        let said = machine.cage(command).stderr;
        assert!(said.starts_with(&format!("error: {} is in docker", cage.name)), "{command}: {said}");
        assert!(said.contains("and this is docker at unix:///elsewhere/docker.sock\n"), "{command}: {said}");
        assert!(
            said.contains("hint: DOCKER_HOST or `docker context use` leads there; or"),
            "{command}: {said}"
        );
    }
    // What removes things asks for the name even where it finds some.
    machine.engines[0].add(&cage);
    for command in ["stop", "rm", "restart", "obliterate --yes", "prune"] {
        let outcome = machine.cage(command);
        assert!(outcome.code == 1 && outcome.changes().is_empty(), "{command}: {}", outcome.stderr);
    }
    assert_eq!(machine.cage("stop --runtime docker").code, 0);
}

#[test]
fn a_variable_that_is_always_set_is_no_choice() {
    let mut machine = docker_and_podman();
    machine.env.push(("CAGE_RUNTIME", "docker".into()));
    assert_eq!(machine.cage("start").code, 0);
    is_gone_from_its_first_address(&machine.engines[0]);
    machine.env.push(("DOCKER_HOST", "unix:///elsewhere/docker.sock".into()));
    let said = machine.cage("start").stderr;
    assert!(said.contains("and this is docker at unix:///elsewhere/docker.sock"), "{said}");
    assert_eq!(machine.cage("start --runtime docker").code, 0);
}

#[test]
fn what_cage_remembers_goes_with_the_cage_and_must_be_readable() {
    let machine = docker_and_podman();
    let cage = Cage { status: "exited".into(), ..Cage::of(&machine.project) };
    let file = machine.home().join(format!(".local/state/cage/{}.engine", cage.name));
    machine.engines[0].add(&cage);
    machine.engines[0].tell_cages(std::slice::from_ref(&cage));
    assert_eq!(machine.cage("start").code, 0, "an older cage, started again");
    assert!(file.exists());
    assert_eq!(machine.cage("rm").code, 0);
    assert!(!file.exists());

    for text in ["", "{}", "not JSON", "{\"place\": {\"kind\": \"rkt\"}}"] {
        fs::write(&file, text).unwrap();
        let outcome = machine.cage("start");
        let named = format!("error: cannot read {}", file.display());
        assert!(outcome.code == 1 && outcome.stderr.starts_with(&named), "{}", outcome.stderr);
        assert!(outcome.calls.is_empty(), "{:?}", outcome.calls);
    }
    assert_eq!(machine.cage("start --runtime docker").code, 1, "it can't be kept");
    fs::remove_file(&file).unwrap();
    assert_eq!(machine.cage("start").code, 0);
    assert_eq!(machine.cage("obliterate --yes").code, 0);
    let left = machine.state_files();
    assert!(left.iter().all(|file| file.extension().is_none_or(|kind| kind != "engine")), "{left:?}");
}
