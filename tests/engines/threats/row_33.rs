//! Row 33: links planted on the way to a mount point, in the project, in another mounted directory or in the home.

use std::fs;
use std::os::unix::fs::symlink;

use crate::lab::World;

on_each_engine!(no_mount_point_is_created_through_a_link);

on_each_engine!(clients: what_cannot_be_a_mount_point_is_refused_before_anything_is_made);

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
