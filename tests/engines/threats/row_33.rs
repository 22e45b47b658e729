//! Row 33: links planted on the way to a mount point, in the project, in another mounted directory or in the home.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::Path;

use crate::common::is_root;
use crate::lab::{PATH, World};

on_each_engine!(no_mount_point_is_created_through_a_link);

on_each_engine!(clients: what_cannot_be_a_mount_point_is_refused_before_anything_is_made);

tests_of!(nothing_moves_while_docker_mounts_by_path, false, docker Docker, rootless_docker RootlessDocker);

fn no_mount_point_is_created_through_a_link(world: &World) {
    let (project, outside) = (world.project.display().to_string(), world.root().join("outside"));
    world.mkdir(&outside);
    symlink("/outside", world.project.join("out")).unwrap();
    let mounts = format!("-v {}:/outside -v {project}/out/x", outside.display());
    world.cage(&format!("start -d {mounts}")).exits(1).says("is a symbolic link");
    world.cage("run -- ln -s /outside /home/vscode/out").ok();
    world.cage("rm").ok();
    let mounts = format!("-v {}:/outside -v /home/vscode/out/x", outside.display());
    world.cage(&format!("start -d {mounts}")).exits(1).says("is a symbolic link");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);

    // The control: the engine follows a link, and creates what is missing where that leads.
    let control = format!("--volume {project}:/p --volume {}:/outside --volume /p/out/x", outside.display());
    world.engine(&format!("run --rm {control} cage-lab true")).ok();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

fn what_cannot_be_a_mount_point_is_refused_before_anything_is_made(world: &World) {
    let (project, outside) = (world.project.display().to_string(), world.root().join("outside"));
    world.mkdir(&outside.join("sub"));
    world.mkdir(&world.project.join("real/sub"));
    world.write(&world.project.join("file"), "");
    let link = |name: &str, target: &str| symlink(target, world.project.join(name)).unwrap();
    link("out", outside.to_str().unwrap());
    link("within", "real");
    link("dangling", outside.join("new").to_str().unwrap());
    link("real/up", "../..");
    let refused = |words: &str, said: &str| {
        world.cage(&format!("start -d {words}")).exits(1).says(said);
        assert!(world.cages().is_empty(), "{words}");
    };
    let flags = ["-v ", "-- --tmpfs ", "-- --volume=", "-- --mount type=volume,target=", "-- -itv"];
    let mut flags = flags.into_iter().cycle();
    let link = "is a symbolic link";
    for (rest, said) in [
        ("out", link),
        ("out/x", link),
        ("out/sub", link),
        ("within/sub", link),
        ("dangling", link),
        ("dangling/x", link),
        ("real/up/outside/x", link),
        ("file/x", "it is a file"),
        ("file", "it is a file"),
    ] {
        let target = format!("{project}/{rest}");
        refused(&format!("{}{target}", flags.next().unwrap()), said);
    }
    for rest in ["out", "within/x"] {
        refused(&format!("-v /dev/null:{project}/{rest}:ro"), link);
    }
    refused(&format!("-v /dev/null:{project}/real/sub:ro"), "it is a directory");
    refused(&format!("-v {}:/ro:ro -v /ro/new", outside.display()), "mounted read-only");
    refused("-v /dev/null:/null:ro -v /null/x", "/null is a file");
    refused("-- -v /x/../y", "`..`");
    for twice in [&project, "/home/vscode", "/x -v /x"] {
        refused(&format!("-v {}:{twice}", world.volume()), "twice");
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "nothing was made through a link");
    assert_eq!(fs::read_dir(world.project.join("real")).unwrap().count(), 2);
    assert!(!world.has_volume(), "nor anything on the engine");

    // In the home, where only a container can look.
    let plant =
        "cd && mkdir real && ln -s real link && ln -s /opt out && ln -s /opt/new dangling && touch file";
    world.cage(&format!("run -- sh -c '{plant}'")).ok();
    world.cage("rm").ok();
    for (rest, said) in
        [("link/x", link), ("link", link), ("out/x", link), ("dangling", link), ("file/x", "is a file")]
    {
        refused(&format!("-v {}:/home/vscode/{rest}", outside.display()), said);
    }
    refused("-v /dev/null:/home/vscode/out/x:ro", link);
    refused("-v /dev/null:/home/vscode/real:ro", "is a directory");
    // The control: these are possible.
    let fine = format!("-v /dev/null:/home/vscode/file:ro -v {}:/home/vscode/real/x", outside.display());
    world
        .cage(&format!("start -d {fine} -v {project}/real/x -v {}:/ro:ro -v /ro/sub", outside.display()))
        .ok();
    let names = "cd && ls -Ad link out dangling real/x file";
    world.inside(names).ok().prints("dangling\nfile\nlink\nout\nreal/x\n");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

fn nothing_moves_while_docker_mounts_by_path(world: &World) {
    let version = world.engine("version --format {{.Server.Version}}").ok().out;
    let is_old = version.split('.').next().unwrap().parse::<u32>().unwrap() < 29;
    if is_root() && !world.engine.is_rootless() {
        // Another user than the image's, so that there are files to copy.
        chown(&world.project, Some(12345), Some(23456)).unwrap();
    }
    let (other, stranger, data) =
        (world.root().join("other"), world.root().join("stranger"), world.root().join("data"));
    for dir in [&other, &stranger, &data] {
        world.mkdir(dir);
    }
    // In each cage, code exchanges a directory with a link all the time, and counts.
    let count =
        "i=0; while :; do mv -T a b; mv -T l a; mv -T a l; mv -T b a; i=$((i+1)); echo $i >count; done";
    let script =
        shell_words::quote(&format!("mkdir a; ln -s /etc l; ({count}) >/dev/null 2>&1 &")).into_owned();
    let cage = |dir: &Path, words: &str| world.cage(&format!("-C {} {words}", dir.display()));
    let run_loop = |dir: &Path| {
        let name = cage(dir, "start -d").ok().out;
        let exec = format!("exec --user 0 --workdir {} {} sh -c {script}", dir.display(), name.trim());
        world.engine(&exec).ok();
        crate::common::eventually("it runs", || dir.join("count").exists());
    };
    run_loop(&other);
    cage(&stranger, "start -d --home project").ok();
    run_loop(&stranger);
    run_loop(&world.project);
    // Which of them run for a while after the beginning of `cp`.
    let log = world.home.join("moved");
    let dirs = [&world.project, &other, &stranger].map(|dir| dir.display().to_string()).join(" ");
    let look = |also: &str| {
        let looks = format!(
            "case $1 in cp) PATH={PATH}; for d in {dirs}; do cp $d/count $d/before; done; sleep 0.5
             for d in {dirs}; do cmp -s $d/count $d/before || echo $d; done >{} ;; {also} esac",
            log.display()
        );
        super::client_that(world, &looks)
    };
    let moved = |client: &str, words: &str| {
        let _ = fs::remove_file(&log);
        let words = format!("restart -d {words}");
        let ran = world.cage(&words).env("CAGE_RUNTIME", client).run();
        let text = super::text(&log);
        let run_on = [&world.project, &other, &stranger]
            .map(|dir| text.lines().any(|line| line == dir.display().to_string()));
        (ran, run_on)
    };
    let mounts =
        format!("-v {}/node_modules -v {}:/home/vscode/data", world.project.display(), data.display());
    let (ran, run_on) = moved(&look(""), &mounts);
    let can_pause = !ran.err.contains("cannot pause");
    assert!(can_pause || world.engine.is_rootless(), "this engine can pause: {ran}");
    if is_old && can_pause {
        assert_eq!((ran.code, run_on), (0, [false, false, true]), "{ran}");
        assert_eq!(world.state(), "running");
    } else if is_old {
        assert!(ran.code == 1 && ran.err.contains("hint: `cage stop` there"), "{ran}");
        assert_eq!(world.state(), "running", "nothing has changed");
    }
    // They go on.
    for dir in [&other, &stranger] {
        let before = super::text(&dir.join("count"));
        crate::common::eventually("it goes on", || super::text(&dir.join("count")) != before);
    }
    // The controls: without a pause, and without such mounts, all go on.
    if can_pause {
        run_loop(&world.project);
        let (ran, run_on) = moved(&look("pause | unpause) exit ;;"), "");
        assert_eq!((ran.code, run_on), (0, [false, true, true]), "{ran}");
        run_loop(&world.project);
        let (ran, run_on) = moved(&look(""), "--fresh");
        assert_eq!((ran.code, run_on), (0, [true, true, true]), "{ran}");
    }
    cage(&other, "stop").ok();
    world.cage("stop").ok();
    world.cage(&format!("restart -d {mounts}")).ok();
    world.cage("rm").ok();
    world.cage("start -d").ok();
    for dir in [&other, &stranger] {
        cage(dir, "rm").ok();
    }
}
