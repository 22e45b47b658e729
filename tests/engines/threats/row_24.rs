//! Row 24: the source of `-v` is typed by way of a link that code in a cage has put there.

use std::os::unix::fs::symlink;

use super::the_engine_shows;
use crate::lab::World;

on_each_engine!(
    a_link_in_a_cages_reach_does_not_choose_what_is_mounted,
    nor_what_arguments_for_the_engine_mount,
);

fn a_link_in_a_cages_reach_does_not_choose_what_is_mounted(world: &World) {
    let secret = world.root().join("secret");
    world.write(&secret.join("key"), "private");
    let deep = world.project.join("deep");
    world.mkdir(&deep);
    world.cage("start -d").ok();
    // As the agent in the cage does it.
    world
        .inside(&format!("ln -s {} data && ln -s {} deep/er", secret.display(), world.root().display()))
        .ok();
    world.cage("rm").ok();
    // The control: the engine alone follows it.
    assert_eq!(the_engine_shows(world, &world.project.join("data"), "key"), "private");

    let absolute = world.project.join("data").display().to_string();
    for source in ["./data", "./data/", "./deep/../data", "./deep/er/secret", "./data/key", &absolute] {
        let refused = world.cage(&format!("start -d -v {source}:/data")).exits(1);
        refused.says(" leads out to ").says(&world.root().display().to_string());
        world.cage(&format!("run -v {source}:/data:ro true")).exits(125);
    }
    // Nor is it a way to the project, though the cage that made it is gone.
    world.cage("-C data start -d").exits(1).says("/data leads out to ").says(&secret.display().to_string());
    assert!(world.cages().is_empty());
    for allowed in [format!("-C {} start -d", secret.display()), "-C data start -d --allow-nested".to_owned()]
    {
        world.cage(&allowed).ok();
        world.cage(&format!("-C {} rm", secret.display())).ok();
    }

    // Under sudo nobody knows of the way; what is mounted is said.
    let there =
        world.cage("start -d").dir(&world.project.join("data")).env("SUDO_UID", "0").env("SUDO_GID", "0");
    there.ok().says(&format!(" for {}\n", secret.display()));
    world.cage(&format!("-C {} rm", secret.display())).ok();

    // A link that the user made elsewhere, or that stays in the project, is followed.
    let own = world.root().join("own");
    symlink(&secret, &own).unwrap();
    symlink("deep", world.project.join("inside")).unwrap();
    world.cage(&format!("start -d -v {}:/data -v ./inside:/in", own.display())).ok();
    world.cage("run cat /data/key").ok().prints("private");
    world.cage("rm").ok();

    // Nor is one in another place that the cage can write, whether the cage is there or its mount is asked for again.
    let shared = world.root().join("shared");
    world.mkdir(&shared);
    let mount = format!("-v {}:/shared", shared.display());
    world.cage(&format!("start -d {mount}")).ok();
    world.cage(&format!("run ln -s {} /shared/data", secret.display())).ok();
    let typed = format!("-v {}/data:/data:ro", shared.display());
    world.cage(&format!("restart {typed}")).exits(1).says(" leads out to ");
    world.cage("rm").ok();
    world.cage(&format!("start -d {mount} {typed}")).exits(1).says(" leads out to ");

    // Neither is it from the project of another cage, nor is a directory that is reached that way.
    world.cage("start -d").ok();
    let other = world.root().join("other");
    world.mkdir(&other);
    let typed = world.project.join("data").display().to_string();
    let name = world.name();
    let refused = world.cage(&format!("start -d -v {typed}:/data")).dir(&other).exits(1);
    refused.says(&format!("where {name} can write"));
    let refused = world.cage(&format!("-C {typed} start -d")).dir(&other).exits(1);
    refused.says(&format!("where {name} can write"));
    assert_eq!(world.cages(), [name]);
}

fn nor_what_arguments_for_the_engine_mount(world: &World) {
    let (secret, data) = (world.root().join("secret"), world.project.join("data"));
    world.write(&secret.join("key"), "private");
    world.mkdir(&data);
    // A link that the user made elsewhere is followed.
    let own = world.root().join("own");
    symlink(&secret, &own).unwrap();
    let args = format!("-v {}:/data --mount type=bind,source={},target=/own", data.display(), own.display());
    world.cage(&format!("start -d -- {args}")).ok();
    world.cage("run cat /own/key").ok().prints("private");
    world.cage("stop").ok();
    world.cage("start -d").ok();
    // As the agent in the cage does it.
    world.inside(&format!("rmdir data && ln -s {} data", secret.display())).ok();
    // The control: the engine alone follows it.
    assert_eq!(the_engine_shows(world, &data, "key"), "private");
    let why = format!("the link {} leads out to {}", data.display(), secret.display());
    world.cage("restart").exits(1).says(&why);
    world.cage("stop").ok();
    world.cage("start -d").exits(1).says(&why);
    world.cage("run true").exits(125).says(&why);
    // docker removes `..` as text, the kernel doesn't.
    let up = format!("{}/nowhere/../project/data", world.root().display());
    world.cage(&format!("restart --fresh -- -v {up}:/x")).exits(1).says(" leads out to ");
    world
        .cage("restart --fresh -- --mount type=bind,source=./data/key,target=/key")
        .exits(1)
        .says(" leads out to ");
    world.cage("restart --fresh").ok();
}
