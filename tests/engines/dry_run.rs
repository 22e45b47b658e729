//! `--dry-run` of a command, run by a shell, does what the command does.

use std::fs;

use super::lab::{Ran, World};

on_each_engine!(clients: a_script_does_the_same_as_its_command, the_script_of_a_failing_start_fails);

on_each_engine!(registry: scripts_of_update_and_upgrade_do_the_same);

/// Scripts of several calls. The tests with a fake engine compare every command in every state.
fn a_script_does_the_same_as_its_command(world: &World) {
    world.write(&world.project.join(".cage.env"), "A=it's \"1\"\n");
    world.write(&world.home.join(".config/cage/home/seeded"), "");
    for (before, command) in [
        ("", "start -v ./data:/it\\'s"),
        ("start -v /kept", "restart"),
        ("start|stop", "run -- sh -c 'echo \"$A\" > made; exit 7'"),
        ("start", "shell"),
        ("run touch /home/vscode/mine", "rmconfig --yes"),
        ("start", "obliterate --yes"),
    ] {
        let (done, after) = attempt(world, before, command, |command| world.cage(command).stdin("pwd").run());
        let (shown, after_script) = attempt(world, before, command, |command| script(world, command));
        assert_eq!(after, after_script, "`{command}` after `{before}`");
        assert_eq!(shown.code, done.code, "`{command}`: {shown}");
        assert_eq!(shown.out, done.out, "`{command}`");
        assert_eq!(told(&shown), told(&done), "`{command}`");
    }
}

/// Brings the world into a state, runs a command, and returns the world's new state.
fn attempt(world: &World, before: &str, command: &str, act: impl Fn(&str) -> Ran) -> (Ran, Vec<String>) {
    world.cage("obliterate --yes").ok();
    let _ = fs::remove_file(world.project.join("made"));
    world.mkdir(&world.project.join("data"));
    for words in before.split('|').filter(|words| !words.is_empty()) {
        world.cage(words).ok();
    }
    let ran = act(command);
    (ran, state(world))
}

/// Returns the state: containers, the home, the project.
fn state(world: &World) -> Vec<String> {
    let mut state = containers(world);
    if world.has_volume() {
        let look = format!("run --rm --user 0 --volume {}:/look cage-lab", world.volume());
        state.push(world.engine(&format!("{look} ls -lA --time-style=+ /look")).ok().out);
    }
    state.push(fs::read_to_string(world.project.join("made")).unwrap_or_default());
    state
}

fn containers(world: &World) -> Vec<String> {
    let format = "{{.Name}} {{.State.Status}} {{.Config.Image}} {{json .Config.Labels}}";
    let variables = "{{range .Config.Env}}{{println}}{{.}}{{end}}";
    let inspect = |name: &String| world.inspect_container(name, &format!("{format}{variables}"));
    let texts: Vec<String> = world.cages().iter().map(inspect).collect();
    let mut lines: Vec<String> = texts.iter().flat_map(|text| text.lines().map(without_times)).collect();
    // Engines don't keep the order of variables.
    lines.sort();
    lines
}

/// Returns labels in JSON without those whose values differ each time.
fn without_times(text: &str) -> String {
    ["\"cage.since\":\"", "\"cage.seen\":\""].iter().fold(text.to_owned(), |text, mark| {
        let Some((before, after)) = text.split_once(mark) else { return text };
        let rest = after.split_once('"').map_or("", |(_, rest)| rest);
        format!("{before}{mark}\"{rest}")
    })
}

/// Runs the script that `--dry-run` prints.
fn script(world: &World, command: &str) -> Ran {
    let before = (containers(world), world.has_volume());
    let plan = world.cage(&format!("--dry-run {command}")).ok();
    assert_eq!((containers(world), world.has_volume()), before, "{plan}");
    let file = world.root().join("plan");
    world.write(&file, &plan.out);
    world.call("bash", &[file.display().to_string()]).stdin("pwd").run()
}

/// Returns cage's messages, without those of slow steps.
fn told(ran: &Ran) -> Vec<&str> {
    let slow = |line: &&str| line.ends_with("...") && !line.contains("Pulling");
    ran.err.lines().filter(|line| line.starts_with("cage: ") && !slow(line)).collect()
}

fn the_script_of_a_failing_start_fails(world: &World) {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let ran = script(world, &format!("start -p {port}:80"));
    assert!(ran.code != 0 && ran.err.contains(&port.to_string()), "{ran}");
    // Unlike the command, a script does not undo earlier steps.
    world.removal(&world.cages().join(" ")).ok();
    drop(taken);
    let ran = script(world, &format!("start -p {port}:80"));
    assert_eq!((ran.code, world.state().as_str()), (0, "running"), "{ran}");
}

fn scripts_of_update_and_upgrade_do_the_same(world: &World) {
    let image = world.registry_image();
    let newer = world.build("newer", "LABEL newer=yes");
    world.push("cage-lab", &image);
    world.cage("start").env("CAGE_IMAGE", &image).ok();
    let first = world.container_id();
    let run = |command: &str| {
        let file = world.root().join("plan");
        world.write(&file, &world.cage(&format!("--dry-run {command}")).env("CAGE_IMAGE", &image).ok().out);
        world.call("bash", &[file.display().to_string()]).ok()
    };
    // The script can't know the new image yet, so it only pulls.
    run("upgrade").says("cage: Pulling ").says_not("Removing old container");
    assert_eq!(world.container_id(), first);

    world.push(&newer, &image);
    let newest = || world.engine(&format!("image inspect {image}")).ok().out.contains("\"newer\": \"yes\"");
    assert!(!newest(), "the control: it is not here yet");
    run("update").says("cage: Pulling ");
    assert!(newest());
    run("upgrade").says("cage: Removing old container ");
    assert_ne!(world.container_id(), first);
    assert_eq!(world.inspect("{{index .Config.Labels \"newer\"}}"), "yes");
    assert_eq!((world.state(), world.cages()), ("running".into(), vec![world.name()]));
}
