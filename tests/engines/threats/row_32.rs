//! Row 32: a container that an older script or another program made has more of this machine than its options say.

use crate::lab::{Engine, World};

on_each_engine!(what_a_container_really_has_is_told);

fn what_a_container_really_has_is_told(world: &World) {
    let config = world.home.join(".gitconfig");
    world.write(&config, "");
    // Its name is what counts.
    let socket = world.root().join("docker.sock");
    world.write(&socket, "");
    world.cage("start -d").ok();
    // The control: nothing is told of one of cage's own.
    world.cage("start -d").ok().says_not("warning");
    let (name, user) = (world.name(), world.inspect("{{.Config.User}}"));
    world.cage("rm").ok();

    let (project, label) = (world.project.display().to_string(), world.label());
    let mount = |source: &std::path::Path, target: &str| {
        format!("--mount type=bind,source={},target={target}", source.display())
    };
    let mounts = [
        mount(&world.project, &project),
        mount(&socket, "/var/run/docker.sock"),
        mount(&config, "/home/vscode/.gitconfig"),
    ];
    let flags = format!(
        "--interactive --tty --user {user} --label {label}={project} --workdir {project} --cap-add SYS_ADMIN \
         --device /dev/null --security-opt seccomp=unconfined --restart on-failure:1"
    );
    world.engine(&format!("create --name {name} {flags} {} cage-lab", mounts.join(" "))).ok();
    for command in ["start -d", "status"] {
        let ran = world.cage(command).ok();
        let told = format!("{}{}", ran.out, ran.err).split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        for expected in [
            format!(
                "the mounted {} gives the cage control of this machine through an engine's socket",
                socket.display()
            ),
            format!("{} is mounted writable: {} counts on this machine", config.display(), config.display()),
            "SYS_ADMIN: root in the cage has more power".to_owned(),
            "the container lacks a protection of the engine's".to_owned(),
            "the engine starts the container by itself, without cage's checks".to_owned(),
        ] {
            assert!(told.contains(&expected), "{command}: {expected}: {ran}");
        }
        // Rootless podman mounts devices as files.
        let is_told = told.contains("the container has devices of this machine");
        assert_eq!(is_told, world.engine != Engine::RootlessPodman, "{ran}");
    }
    world.cage("rm").ok();
}
