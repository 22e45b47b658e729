//! Row 8: an image has the labels that cages have.

use crate::lab::World;

on_each_engine!(labels_of_an_image_are_not_the_cages);

on_each_engine!(clients: a_container_of_a_labelled_image_is_no_cage);

fn labels_of_an_image_are_not_the_cages(world: &World) {
    let nasty = "-v /:/host --volume=/:/host2";
    let labels =
        ["options", "keep-id", "owner", "user", "env", "inode"].map(|key| format!("cage.{key}={nasty:?}"));
    let image =
        world.build("nasty", &format!("LABEL {} cage.project=/etc {}=/etc", labels.join(" "), world.label()));
    let label =
        world.engine(&format!("image inspect --format '{{{{json .Config.Labels}}}}' {image}")).ok().out;
    assert!(label.contains("/:/host2"), "the control: {label}");

    let untouched = |what: &str| {
        let mounts = world.inspect("{{range .Mounts}}{{println .Source .Destination}}{{end}}");
        assert!(
            !mounts.lines().any(|line| line.starts_with("/ ")) && !mounts.contains("/host\n"),
            "{what}: {mounts}"
        );
        assert!(!world.inspect("{{json .Config.Labels}}").contains("/:/host"), "{what}");
        world.inside("test ! -e /host && test ! -e /host2 && touch ~/mine").ok();
        assert_eq!(world.cages(), [world.name()]);
    };
    let cage = |words: &str| world.cage(words).env("CAGE_IMAGE", &image);
    cage("start -d").ok();
    untouched("start");
    let dry = cage("restart --dry-run").ok();
    assert!(!dry.out.contains("/:/host") && !dry.out.contains("source=/,"), "{dry}");
    cage("restart").ok();
    untouched("restart");
    let dry = cage("rmconfig --dry-run").ok();
    assert!(!dry.out.contains("/:/host"), "{dry}");
    cage("rmconfig --yes").ok();
    cage("start -d").ok();
    untouched("rmconfig");
}

fn a_container_of_a_labelled_image_is_no_cage(world: &World) {
    let image = world.build("labelled", &format!("LABEL {}={}", world.label(), world.project.display()));
    let bystander = format!("{}-bystander", world.id);
    world.will_remove_container(&bystander);
    world.engine(&format!("run --detach --name {bystander} {image} sleep 1000")).ok();
    // The control: to the engine it has the label.
    assert_eq!(world.cages(), [bystander.as_str()]);

    assert!(!world.cage("list").ok().out.contains("bystander"));
    for command in ["stop", "rm", "shell", "status"] {
        world.cage(&format!("{command} {bystander}")).exits(1).says("cage leaves it alone");
    }
    world.cage("rmconfig --yes").ok();
    world.cage("obliterate --yes").ok().says("No cage containers to remove");
    assert_eq!(world.inspect_container(&bystander, "{{.State.Status}}"), "running");
    // Nor does it stand in the way of the real one, or of another project.
    world.cage("start -d").ok();
    world.cage("obliterate --yes").ok();
    assert_eq!(world.cages(), [bystander.as_str()]);
}
