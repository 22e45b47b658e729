//! Every command in every state that a project's container can be in.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use super::lab::{Engine, World};
use crate::common::free_port;

on_each_engine!(
    start_creates_a_cage_and_reattaches,
    restart_creates_a_clean_container,
    a_known_image_and_home_need_no_helper,
);

on_each_engine!(
    clients:
    commands_without_a_cage_fail_and_create_nothing,
    stop_keeps_the_container,
    rm_keeps_project_and_home,
    shell_runs_commands_from_a_pipe,
    status_shows_name_state_and_ports,
    list_shows_every_cage,
    rm_removes_a_cage_without_directory_by_name,
    run_passes_streams_and_exit_code,
    run_starts_the_cage,
    rmconfig_without_cages_removes_the_home,
    obliterate_removes_everything,
    update_and_upgrade_refuse_local_images,
);

on_each_engine!(registry: update_pulls, upgrade_replaces_a_cage_of_an_older_image);

fn start_creates_a_cage_and_reattaches(world: &World) {
    let name = world.name();
    let created = world.cage("start").ok().prints(&format!("{name}\n"));
    created.says(&format!("cage: Creating {name}\n")).says_not("Pulling");
    let id = world.container_id();
    assert_eq!(world.state(), "running");

    world.cage("start").ok().prints(&format!("{name}\n")).says_not("Creating");
    world.cage("start --detach").ok().prints(&format!("{name}\n"));
    assert_eq!(world.container_id(), id);

    world.cage("stop").ok();
    world.cage("start").ok().prints(&format!("{name}\n")).says(&format!("cage: Restarting {name}\n"));
    assert_eq!((world.container_id(), world.state()), (id, "running".into()));
}

fn commands_without_a_cage_fail_and_create_nothing(world: &World) {
    let path = world.project.display().to_string();
    for command in ["stop", "rm"] {
        let ran = world.cage(command).exits(1);
        assert_eq!(ran.err, format!("error: No container for {path}\n"));
    }
    let ran = world.cage("restart").exits(1);
    assert_eq!(ran.err, format!("error: No container for {path}. Use 'cage start' to create one.\n"));
    let none = format!("error: No container for {path}\nhint: `cage start` creates one\n");
    assert_eq!(world.cage("shell").exits(1).err, none);
    for command in ["stop", "rm", "shell"] {
        world.cage(&format!("{command} cage-nobody-00000000")).exits(1).says("cage-nobody-00000000");
    }
    world.cage("obliterate --yes").ok().says("cage: No cage containers to remove\n");
    world.cage("rmconfig --yes").ok().says("cage: No shared home volume to remove\n");
    assert!(world.cages().is_empty());
    assert!(!world.has_volume());
}

fn stop_keeps_the_container(world: &World) {
    world.cage("start").ok();
    let name = world.name();
    world.cage("stop").ok().says(&format!("cage: Stopping {name}\n"));
    assert_eq!(world.state(), "exited");
    world.cage("stop").ok().says(&format!("cage: {name} is already stopped\n"));
    world.cage("start").ok();
    world.cage(&format!("stop {name}")).dir(&world.home).ok().says(&format!("cage: Stopping {name}\n"));
    assert_eq!(world.state(), "exited");
}

fn a_known_image_and_home_need_no_helper(world: &World) {
    let helpers = |plan: &str| plan.lines().filter(|line| line.contains(" run --rm ")).count();
    let plan = || world.cage("start -d --dry-run").ok().out;
    assert!(helpers(&plan()) > 0, "the control");
    world.cage("start -d").ok();
    world.cage("rm").ok();
    assert_eq!(helpers(&plan()), 0, "{}", plan());
}

fn rm_keeps_project_and_home(world: &World) {
    world.write(&world.project.join("work"), "mine");
    world.cage("run touch /home/vscode/kept").ok();
    let name = world.name();
    world.cage("rm").ok().says(&format!("cage: Stopping and removing {name}\n"));
    assert!(world.cages().is_empty());
    assert_eq!(fs::read_to_string(world.project.join("work")).unwrap(), "mine");

    world.cage("start").ok();
    world.inside("ls /home/vscode/kept").ok();
    world.cage("stop").ok();
    world.cage("rm").ok().says(&format!("cage: Removing {name}\n"));
    assert!(world.cages().is_empty());
}

fn restart_creates_a_clean_container(world: &World) {
    world.cage("run -- sh -c 'sudo touch /usr/broken && touch /home/vscode/kept'").ok();
    let (name, first) = (world.name(), world.container_id());
    world.cage("restart").ok().prints(&format!("{name}\n"));
    assert_ne!(world.container_id(), first);
    assert_eq!((world.state(), world.cages()), ("running".into(), vec![name.clone()]));
    world.inside("test ! -e /usr/broken && test -e /home/vscode/kept").ok();
    assert_eq!(world.inside("hostname").ok().out.trim(), name);

    world.cage("stop").ok();
    let second = world.container_id();
    world.cage("restart -d").ok().prints(&format!("{name}\n"));
    assert_ne!(world.container_id(), second);
    assert_eq!((world.state(), world.cages()), ("running".into(), vec![name]));
}

fn shell_runs_commands_from_a_pipe(world: &World) {
    world.cage("start").ok();
    let name = world.name();
    let ran = world.cage("shell").stdin("echo $ZSH_NAME in $PWD; exit 7\n").exits(7);
    let ran = ran.says(&format!("cage: Opening shell in {name}\n"));
    ran.prints(&format!("zsh in {}\n", world.project.display()));
    world.cage(&format!("shell {name}")).dir(&world.home).stdin("whoami\n").ok().prints("vscode\n");

    world.cage("stop").ok();
    world
        .cage("shell")
        .stdin("touch never\n")
        .exits(1)
        .says(&format!("error: Container {name} is not running\n"));
    assert_eq!(world.state(), "exited");
}

fn status_shows_name_state_and_ports(world: &World) {
    let name = world.name();
    world.cage("status").ok().prints(&format!("Container: {name}\nState:     none\n"));
    world.cage("start").ok();
    world.cage("status").ok().begins(&format!("Container: {name}\nState:     running\nPorts:     (none)\n"));

    let port = free_port();
    world.cage(&format!("restart -p {port}:80")).ok();
    let with_port =
        |state| format!("Container: {name}\nState:     {state}\nPorts:\n  80/tcp -> 127.0.0.1:{port}\n");
    world.cage("status").ok().begins(&with_port("running"));
    world.cage("stop").ok();
    world.cage("status").ok().begins(&with_port("stopped"));
    world.cage(&format!("status {name}")).dir(&world.home).ok().begins(&with_port("stopped"));
}

fn list_shows_every_cage(world: &World) {
    world.cage("list").ok().prints("").says("cage: no cages yet: run `cage start` in a project\n");
    let second = world.root().join("second");
    world.mkdir(&second);
    world.cage("start").ok();
    world.cage("start").dir(&second).ok();
    world.cage("stop").dir(&second).ok();
    let listed = world.cage("list").dir(&world.home).ok().out;
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let lines: Vec<Vec<String>> = listed.lines().map(words).collect();
    assert_eq!(lines.len(), 3, "{listed}");
    assert_eq!(lines[0], ["PROJECT", "STATE", "PORTS", "IMAGE", "NAME"]);
    let is_recent = |age: &str| age.ends_with('s') || age == "1m";
    for (line, project, state) in [(&lines[1], &world.project, "running"), (&lines[2], &second, "stopped")] {
        let name = line.last().unwrap();
        assert_eq!(line[..2], [project.display().to_string(), state.to_owned()], "{listed}");
        assert!(is_recent(&line[2]) && line[3] == "cage-lab" && world.cages().contains(name), "{listed}");
    }
    let marked = world.cage("list").dir(&second).ok().out;
    assert!(marked.lines().nth(2).unwrap().starts_with(&format!("* {} ", second.display())), "{marked}");
    assert_eq!(marked.matches('*').count(), 1, "{marked}");
}

fn rm_removes_a_cage_without_directory_by_name(world: &World) {
    let gone = world.root().join("gone");
    world.mkdir(&gone);
    let name = world.cage("start").dir(&gone).ok().out;
    fs::remove_dir(&gone).unwrap();
    let listed = world.cage("list").ok().out;
    assert!(listed.contains(&format!("{} (directory gone) ", gone.display())), "{listed}");
    world.cage(&format!("rm {name}")).ok();
    assert!(world.cages().is_empty());
}

fn run_passes_streams_and_exit_code(world: &World) {
    world.cage("run -- sh -c 'exit 7'").exits(7);
    let missing = "error: `no-such-agent` is not in cage-lab\nhint: docs/images.md in cage's repository ";
    for command in ["run no-such-agent --yes", "shell -- no-such-agent"] {
        let told = world.cage(command).exits(127).says(missing);
        assert!(told.err.ends_with("into an image\n") && !told.err.contains("not found"), "{told}");
    }
    world.cage("run ./missing").exits(127).says("error: there is no `./missing` in the cage, ");
    // The control: a program that is there and fails in the same way.
    let failing = world.cage("run -- sh -c 'echo mine >&2; exit 127'").exits(127);
    assert!(failing.err.contains("mine\n") && !failing.err.contains("error:"), "{failing}");
    world.write(&world.project.join("not-executable"), "");
    world.cage("run ./not-executable").exits(126);
    world.cage("run cat").stdin("piped\n\0in").ok().prints("piped\n\0in");
    world
        .cage(r#"run printf '[%s]' 'two words' '' "it's" '$HOME' --verbose"#)
        .ok()
        .prints("[two words][][it's][$HOME][--verbose]");
    world.cage("run -- sh -c 'echo out; echo err >&2'").ok().prints("out\n").says("err\n");
    world.cage("run whoami").ok().prints("vscode\n");
    world.cage("run pwd").ok().prints(&format!("{}\n", world.project.display()));
    world.cage("run tty").exits(1).prints("not a tty\n");
}

fn run_starts_the_cage(world: &World) {
    let name = world.name();
    world.cage("run hostname").ok().prints(&format!("{name}\n")).says(&format!("cage: Creating {name}\n"));
    let id = world.container_id();
    assert_eq!(world.cage("run hostname").ok().err, "");
    world.cage("stop").ok();
    world.cage("run hostname").ok().prints(&format!("{name}\n")).says(&format!("cage: Restarting {name}\n"));
    assert_eq!(world.container_id(), id);
    world.cage("rm").ok();
    world.cage("run true").env("CAGE_IMAGE", format!("{}-absent", world.id)).exits(125);
    assert!(world.cages().is_empty());
}

fn rmconfig_without_cages_removes_the_home(world: &World) {
    world.cage("start").ok();
    world.cage("rm").ok();
    assert!(world.has_volume());
    world
        .cage("rmconfig --yes")
        .ok()
        .says(&format!("cage: Removing shared home volume {}\n", world.volume()));
    assert!(!world.has_volume());
}

fn obliterate_removes_everything(world: &World) {
    let second = world.root().join("second");
    world.mkdir(&second);
    world.cage("start").ok();
    world.cage("start").dir(&second).ok();
    world.cage("stop").dir(&second).ok();
    world.cage("obliterate --yes").dir(&world.home).ok().says("cage: Removing all cage containers\n");
    assert!(world.cages().is_empty());
    assert!(!world.has_volume());
}

fn update_and_upgrade_refuse_local_images(world: &World) {
    for command in ["update", "upgrade"] {
        let ran = world.cage(command).exits(1);
        ran.says("error: Cannot update local image 'cage-lab'. Pull or build it manually.\n");
    }
}

fn update_pulls(world: &World) {
    let image = world.registry_image();
    world.push("cage-lab", &image);
    let here = || world.engine(&format!("image inspect {image}")).run().code == 0;
    assert!(!here(), "the control: it is not here yet");
    world.cage("update").env("CAGE_IMAGE", &image).ok().says("cage: Pulling ");
    assert!(here());

    let newer = world.build("newer", "LABEL newer=yes");
    world.push(&newer, &image);
    let id = |name: &str| world.engine(&format!("image inspect --format '{{{{.Id}}}}' {name}")).ok().out;
    assert_ne!(id(&image), id(&newer), "the control: what is here is the old one");
    world.cage("update").env("CAGE_IMAGE", &image).ok();
    assert_eq!(id(&image), id(&newer));

    let nowhere = world.registry_image().replace(":latest", ":nowhere");
    world.cage("update").env("CAGE_IMAGE", &nowhere).exits(1).says(&nowhere);
}

fn upgrade_replaces_a_cage_of_an_older_image(world: &World) {
    let image = world.registry_image();
    let cage = |words: &str| world.cage(words).env("CAGE_IMAGE", &image);
    world.push("cage-lab", &image);
    cage("upgrade").ok().says("cage: No existing container. Use 'cage start' to create one.\n");
    assert!(world.cages().is_empty());

    let name = cage("start -v /cache").ok().says("cage: Pulling ").out;
    let first = world.container_id();
    cage("upgrade").ok().says("cage: Container is already on the latest image.\n").prints("");
    assert_eq!(world.container_id(), first);

    let newer = world.build("newer", "LABEL newer=yes");
    world.push(&newer, &image);
    cage("start").ok().says_not("A newer image is available");
    cage("update").ok();
    cage("start").ok().says("cage: A newer image is available. Run `cage upgrade` to upgrade.\n");
    assert_eq!(world.container_id(), first);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let upgrade = format!("upgrade -p {}:80", taken.local_addr().unwrap().port());
    let started = || world.inspect("{{.Id}} {{.State.StartedAt}}");
    let before = started();
    cage(&upgrade).exits(1).says(" is taken\n").says_not("Removing");
    assert_eq!(started(), before);
    cage("upgrade").ok().says(&format!("cage: Removing old container {name}")).prints(&name);
    assert_ne!(world.container_id(), first);
    assert_eq!(world.inspect("{{index .Config.Labels \"newer\"}}"), "yes");
    world.inside("grep /cache /proc/mounts").ok();
    assert_eq!((world.state(), world.cages().len()), ("running".into(), 1));
    if world.engine == Engine::Docker {
        // An upgrade of a stopped cage does not depend on the engine.
        cage("stop").ok();
        cage("upgrade").ok().says("already on the latest image");
        assert_eq!(world.state(), "exited");
    }
}

#[test]
fn help_and_version_need_no_engine() {
    let cage =
        |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_cage")).args(args).env_clear().output().unwrap();
    let text = |args: &[&str]| {
        let output = cage(args);
        assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let version = concat!("cage ", env!("CARGO_PKG_VERSION"), "\n");
    for args in [["version"], ["-V"], ["--version"]] {
        assert_eq!(text(&args), version);
    }
    for args in [&[][..], &["help"], &["-h"], &["--help"]] {
        let help = text(args);
        assert!(help.contains("Usage: cage ") && help.contains("obliterate"), "{args:?}: {help}");
    }
    let refused = cage(&["strat"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("'start'"));
}
