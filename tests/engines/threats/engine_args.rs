//! Arguments for the engine's own `create`: they go there as they are, stay, are shown, and what weakens the cage is told.

use crate::lab::World;

on_each_engine!(a_mount_in_disguise_is_what_is_said_of_it);

on_each_engine!(
    clients:
    arguments_for_the_engine_are_passed_kept_shown_and_warned_about,
    the_ones_that_cage_depends_on_are_refused,
    the_variable_is_split_as_a_shell_does,
);

/// The bit of `SYS_PTRACE`.
const PTRACE: u64 = 1 << 19;

fn has_ptrace(world: &World) -> bool {
    let bounding = world.inside("sed -n 's/^CapBnd:\t//p' /proc/self/status").ok().out;
    u64::from_str_radix(bounding.trim(), 16).unwrap() & PTRACE != 0
}

fn arguments_for_the_engine_are_passed_kept_shown_and_warned_about(world: &World) {
    let told =
        "`--cap-add SYS_PTRACE` weakens the cage: it gives root in the cage more power over this machine";
    world.cage("start -d").ok().says_not("weakens");
    let status = world.cage("status").ok().out;
    assert!(
        !has_ptrace(world) && !status.contains("Passed on:") && !status.contains("Warning:"),
        "the control: {status}"
    );
    // A cage that is there is not changed.
    let ignored = world.cage("start -d -- --cap-add SYS_PTRACE").ok();
    ignored
        .says("exists without `-- --cap-add SYS_PTRACE`; `cage restart -- --cap-add SYS_PTRACE` applies it");
    assert!(!has_ptrace(world));

    world.cage("rm").ok();
    world.cage("start -d -- --cap-add SYS_PTRACE --label 'mine=two words'").ok().says(told);
    for command in ["start -d", "restart", "start -d", "restart -- --cap-add SYS_PTRACE"] {
        if command == "start -d" {
            world.cage("stop").ok();
        }
        world.cage(command).ok();
        assert!(has_ptrace(world), "{command}");
        assert_eq!(world.inspect("{{index .Config.Labels \"mine\"}}"), "two words");
        let status = world.cage("status").ok().out;
        for line in [
            "Passed on: --cap-add SYS_PTRACE --label 'mine=two words'\n",
            "Added capabilities: SYS_PTRACE\n",
            &format!("Warning:   {told}\n"),
        ] {
            assert!(status.contains(line), "{line:?} after {command}: {status}");
        }
    }
    world.cage("restart").ok().says(told);
    world.cage("restart --fresh").ok().says_not("weakens");
    assert!(!has_ptrace(world));

    // What takes the wall down is told before it is done.
    for (args, why) in [
        ("--privileged", "root in the cage is root on this machine"),
        ("-v /var/run/docker.sock:/x", "gives the cage control of this machine"),
        ("--network host", "the cage reaches everything that listens on this machine"),
        ("--pid host", "the cage shares it with this machine"),
        ("-v /srv:/srv", "it can change /srv"),
        ("-itv/srv:/srv", "it can change /srv"),
        ("-v /run:/r:ro", "gives the cage control of this machine"),
        (
            "--mount type=volume,target=/v,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/srv",
            "it can change /srv",
        ),
        ("--security-opt=systempaths=unconfined", "it changes a protection"),
    ] {
        let plan = world.cage(&format!("restart --dry-run -- {args}")).ok();
        assert!(plan.out.contains(args) && plan.out.contains(why), "{plan}");
    }
}

fn the_ones_that_cage_depends_on_are_refused(world: &World) {
    let refused = "can't be passed on to the engine";
    let project = format!("--label {}=/elsewhere", world.label());
    for args in [
        "--name mine",
        "--name=mine",
        "--rm",
        "--cidfile x",
        "--restart always",
        "--restart=unless-stopped",
        "--restart on-failure:3",
        "--health-on-failure=restart",
        "--health-startup-cmd true",
        "--pull always",
        "--label cage.project=/x",
        "-tlcage.x=y",
        "-itl cage.image=y",
        &project,
    ] {
        world.cage(&format!("start -d -- {args}")).exits(1).says(refused);
        world.cage(&format!("start -d -- --memory 1g {args}")).exits(1).says(refused);
        world.cage("start -d").env("CAGE_CREATE_ARGS", args).exits(1).says(refused);
    }
    assert!(world.cages().is_empty());
    // The control: another name or label is the engine's business, and it reads letters in one word as is said here.
    world.cage("start -d -- -itlmine=1 -e --rm --restart no").ok();
    assert_eq!(world.inspect("{{index .Config.Labels \"mine\"}}"), "1");
    world.cage("stop").ok();
    world.cage("start -d").ok();
    world.cage("restart -- --name=mine").exits(1).says(refused);
}

fn a_mount_in_disguise_is_what_is_said_of_it(world: &World) {
    let (dir, project) = (world.root().join("elsewhere"), world.project.display());
    world.mkdir(&dir);
    let volume = world.extra_volume();
    let disguised = format!(
        "--mount type=volume,source={volume},target=/v,volume-opt=type=none,volume-opt=o=bind,volume-opt=device={}",
        dir.display()
    );
    world.cage(&format!("start -d -- {disguised}")).ok().says(&format!("it can change {}", dir.display()));
    // The control: so it can.
    world.inside("touch /v/canary || sudo touch /v/canary").ok();
    assert!(dir.join("canary").exists());
    let own = format!("-v {project}:/again");
    world.cage(&format!("restart --fresh -- {own}")).ok().says_not("weakens");
    world
        .cage("restart --fresh --allow-dangerous-dir -v /run:/r:ro")
        .ok()
        .says("gives the cage control of this machine");
    let status = world.cage("status").ok().out;
    assert!(status.contains("Warning:   `-v /run:/r:ro` gives the cage control of this machine"), "{status}");
}

fn the_variable_is_split_as_a_shell_does(world: &World) {
    let args = "--label 'one=two words' --label three=four\\ five --label \"six=it's\"";
    let cage = |words: &str| world.cage(words).env("CAGE_CREATE_ARGS", args);
    cage("start -d -- --label seven=8").ok();
    let label = |name: &str| world.inspect(&format!("{{{{index .Config.Labels \"{name}\"}}}}"));
    let labels = || (label("one"), label("three"), label("six"), label("seven"));
    let expected = || ("two words".into(), "four five".into(), "it's".into(), "8".into());
    assert_eq!(labels(), expected());
    // It is the same cage by a later command without the variable, and twice with it is once.
    world.cage("restart").ok();
    assert_eq!(labels(), expected());
    cage("restart").ok();
    let status = world.cage("status").ok().out;
    assert_eq!(status.matches("three=four").count(), 1, "{status}");
    world
        .cage("start -d")
        .env("CAGE_CREATE_ARGS", "--label 'open")
        .exits(1)
        .says("a quote that is not closed");
    // Not from the project.
    world.write(&world.project.join(".cage.env"), "CAGE_CREATE_ARGS=--privileged\n");
    world.cage("restart --fresh").ok().says_not("weakens");
    assert_eq!((label("one").as_str(), world.inspect("{{.HostConfig.Privileged}}").as_str()), ("", "false"));
}
