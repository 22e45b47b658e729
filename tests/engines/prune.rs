//! `cage prune` removes unused cages, homes and images, and nothing else.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::lab::World;

on_each_engine!(
    clients:
    only_cages_without_directory_are_removed,
    a_running_cage_without_directory_is_kept,
    the_home_of_a_deleted_project_is_removed,
);

on_each_engine!(registry: a_replaced_image_is_removed_when_unused);

/// Creates a second project beside the first, with a cage.
fn second(world: &World, start: &str) -> (PathBuf, String) {
    let project = world.root().join("second");
    world.mkdir(&project);
    let name = world.cage(start).dir(&project).ok().out.trim().to_owned();
    (project, name)
}

fn has_volume(world: &World, name: &str) -> bool {
    world.engine("volume ls --quiet").ok().out.lines().any(|volume| volume == name)
}

fn only_cages_without_directory_are_removed(world: &World) {
    let (project, name) = second(world, "start -d");
    let first = world.cage("start -d").ok().out.trim().to_owned();
    world.cage("stop").ok();
    world.cage(&format!("stop {name}")).ok();
    let link = world.home.join(".local/state/cage").join(format!("{name}.agent"));
    assert!(link.is_symlink(), "the control");
    world.cage("prune").ok().says("cage: nothing to prune\n").prints("");

    fs::remove_dir_all(&project).unwrap();
    let dry = world.cage("prune --dry-run").ok();
    assert!(dry.out.contains(&format!("Removing {name} ({} is gone)", project.display())), "{dry}");
    assert_eq!(world.cages().len(), 2);
    let ran = world.cage("prune --yes --json").ok().says(&format!("cage: Removing {name}"));
    let printed: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(printed["cages"][0]["name"], name.as_str());
    assert_eq!((&printed["homes"], &printed["images"]), (&json!([]), &json!([])));
    assert_eq!(world.cages(), [first]);
    assert!(!link.is_symlink());
    assert!(world.has_volume(), "the home that all share stays");

    // Also without a user; the control: only cage keeps it.
    world.cage("rm").ok();
    world.cage("prune --yes").ok().says("cage: nothing to prune\n");
    assert!(world.has_volume());
    world.engine(&format!("volume rm {}", world.volume())).ok();
}

fn a_running_cage_without_directory_is_kept(world: &World) {
    let (project, name) = second(world, "start -d");
    fs::remove_dir_all(&project).unwrap();
    let left =
        world.cage("prune --yes").ok().says(&format!("cage: keeping {name}: it is running, although "));
    left.says("cage: nothing to prune\n");
    assert_eq!(world.inspect_container(&name, "{{.State.Status}}"), "running");
    // The engine keeps a cage that starts after the query; the control: a forced removal removes it.
    assert_ne!(world.engine(&format!("rm --volumes {name}")).run().code, 0);
    world.cage(&format!("stop {name}")).ok();
    world.cage("prune --yes").ok().says(&format!("cage: Removing {name}"));
    assert!(world.cages().is_empty());
}

fn the_home_of_a_deleted_project_is_removed(world: &World) {
    let (project, name) = second(world, "start -d --home project");
    let first = world.cage("start -d --home project").ok().out.trim().to_owned();
    // The name of the shared home, which doesn't exist, is the beginning of two others.
    world.cage("restart").ok();
    let home = |name: &str| name.replacen("cage", &world.volume(), 1);
    // With a cage, and without one.
    for keep_cage in [true, false] {
        world.mkdir(&project);
        world.cage("start -d --home project").dir(&project).ok();
        if keep_cage {
            world.cage("stop").dir(&project).ok();
        } else {
            world.cage("rm").dir(&project).ok();
        }
        assert!(has_volume(world, &home(&name)), "the control");
        world.cage("prune").ok().says("cage: nothing to prune\n");
        fs::remove_dir_all(&project).unwrap();
        world
            .cage("prune --yes")
            .ok()
            .says(&format!("cage: Removing the home {}, with its logins", home(&name)));
        assert!(!has_volume(world, &home(&name)) && has_volume(world, &home(&first)));
    }
    // A home without a project's label.
    let nobodys = format!("{}-x-0123abcd", world.volume());
    world.engine(&format!("volume create {nobodys}")).ok();
    let left = world.cage("prune --yes").ok();
    let is_left = has_volume(world, &nobodys);
    world.engine(&format!("volume rm {nobodys}")).ok();
    left.says(&format!("cage: keeping the home {nobodys}: its project is unknown"));
    assert!(is_left);
    world.cage("rm --home").ok();
    assert!(!has_volume(world, &home(&first)));
}

fn a_replaced_image_is_removed_when_unused(world: &World) {
    let image = world.registry_image();
    let cage = |words: &str| world.cage(words).env("CAGE_IMAGE", &image);
    // Unique layers, not shared with another world's image.
    let older = world.build("older", "LABEL older=yes");
    world.push(&older, &image);
    world.engine(&format!("rmi {older}")).ok();
    cage("start -d").ok();
    let id = |name: &str| world.engine(&format!("image inspect --format '{{{{.Id}}}}' {name}")).run();
    let old = id(&image).out.trim().to_owned();
    let newer = world.build("newer", "LABEL newer=yes");
    world.push(&newer, &image);
    cage("update").ok();
    assert_ne!(id(&image).out.trim(), old, "the control: it was replaced");
    cage("prune --yes").ok().says("cage: nothing to prune\n");

    cage("upgrade").ok();
    if world.engine.is_docker() {
        // With another name it is still in use. podman would remove it with that name.
        world.engine(&format!("tag {old} {older}")).ok();
        cage("prune --yes").ok().says("cage: nothing to prune\n");
        world.engine(&format!("rmi {older}")).ok();
    }
    assert_eq!(id(&old).code, 0, "the control");
    cage("prune --yes").ok().says("cage: Removing the old image ");
    assert_ne!(id(&old).code, 0);
    assert_eq!(id(&image).code, 0);
    world.cage("run true").env("CAGE_IMAGE", &image).ok();
}
