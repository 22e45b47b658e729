//! The user's files with mounts and ports, and those of a project, on real engines.

use std::fs;

use super::lab::World;
use crate::common::free_port;

on_each_engine!(clients: mounts_and_ports_come_from_the_users_files_and_never_from_the_project);

fn mounts_and_ports_come_from_the_users_files_and_never_from_the_project(world: &World) {
    let [data, other, wanted] =
        [world.home.join("data"), world.root().join("other"), world.root().join("a b")];
    for dir in [&data, &other, &wanted] {
        world.write(&dir.join("file"), "here");
    }
    let (port, another) = (free_port(), free_port());
    let mounts = world.home.join(".config/cage/mounts");
    // The project's own directory is there already, whatever a line for other cages says.
    let of_files = format!("# mine\n\n~/data::ro\n{}:/o\n{}::ro\n", other.display(), world.project.display());
    world.write(&mounts, &of_files);
    world.write(&world.home.join(".config/cage/ports"), &format!("{port}:80\n"));
    world.write(
        &world.project.join(".cage.mounts"),
        &format!("{}:/wanted:ro\n/etc:/x\u{1b}[2J\n", wanted.display()),
    );
    world.write(&world.project.join(".cage.ports"), &format!("{another}:81\n"));

    let told = world.cage("start").ok().says("of the project: not read as orders");
    world.inside(&format!("test -e {0}/file && ! touch {0}/new && test -e /o/file", data.display())).ok();
    world.inside("test ! -e /wanted && test ! -e /x*").ok();
    let ports = world.inspect("{{json .HostConfig.PortBindings}}");
    assert!(ports.contains(&port.to_string()) && !ports.contains(&another.to_string()), "{ports}");
    let status = world.cage("status").ok().out;
    for default in [
        format!("Default:   -p 127.0.0.1:{port}:80 (~/.config/cage/ports)\n"),
        format!("Default:   -v {0}:{0}:ro (~/.config/cage/mounts)\n", data.display()),
        format!("Default:   -v {}:/o (~/.config/cage/mounts)\n", other.display()),
    ] {
        assert!(status.contains(&default), "{default}: {status}");
    }
    let json: serde_json::Value = serde_json::from_str(&world.cage("status --json").ok().out).unwrap();
    assert_eq!(json["defaults"][0]["file"], "~/.config/cage/ports");

    // The suggestion does what it says, but for what cage refuses.
    let suggested = told.err.split("type it once: `").nth(1).unwrap().split("`\n").next().unwrap();
    assert!(suggested.contains("$'/etc:/x\\033[2J'"), "{suggested:?}");
    let typed = suggested.replace(" -v $'/etc:/x\\033[2J'", "");
    let ran = world.cage(typed.strip_prefix("cage ").unwrap()).ok();
    ran.says(".cage.mounts of the project").says_not(".cage.ports");
    world.inside("test -e /wanted/file && test -e /o/file").ok();

    // The files are read at each creation. What was typed stays, and wins.
    world.write(&mounts, &format!("{}:/wanted\n", other.display()));
    world.cage("restart").ok();
    world.inside("test ! -e /o && test -e /wanted/file && ! touch /wanted/new").ok();
    let id = world.container_id();
    world.write(&mounts, "/gone\n");
    world.cage("restart").exits(1).says(&format!("{}, line 1: volume source /gone", mounts.display()));
    assert_eq!(world.container_id(), id);
    let doctor = world.cage("doctor").exits(1);
    assert!(doctor.out.contains("mounts, line 1: volume source /gone"), "{doctor}");

    // No cage that can write the file may decide what is mounted.
    fs::remove_file(&mounts).unwrap();
    let config = world.home.join(".config");
    world
        .cage(&format!("restart --fresh -v {}:/config", config.display()))
        .exits(1)
        .says("can't be writable");
    world.cage(&format!("restart --fresh --allow-dangerous-dir -v {}:/config", config.display())).ok();
    let second = world.root().join("second");
    world.mkdir(&second);
    let refused = |file: &str| {
        let start = world.cage("start").dir(&second).exits(1);
        start.says("where a cage can write").says(&format!("{file} is in"));
    };
    refused("ports");
    // Nor which variables of this machine come in, and what is seeded.
    fs::remove_file(config.join("cage/ports")).unwrap();
    world.write(&config.join("cage/env"), "TOKEN\n");
    refused("env");
    fs::remove_file(config.join("cage/env")).unwrap();
    world.write(&config.join("cage/home/.profile"), "");
    refused("home");
    assert_eq!(world.cages().len(), 1);
}
