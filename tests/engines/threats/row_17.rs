//! Row 17: the volume of the home was made beforehand, as a way to any directory of the host.

use crate::lab::World;

on_each_engine!(a_volume_that_is_a_directory_of_the_host_is_refused);

fn a_volume_that_is_a_directory_of_the_host_is_refused(world: &World) {
    let dir = world.root().join("secret");
    world.write(&dir.join("file"), "secret");
    let volume = world.volume();
    let make = |name: &str| {
        let options = format!("--opt type=none --opt o=bind --opt device={}", dir.display());
        world.engine(&format!("volume create {options} {name}")).ok();
    };
    make(&volume);
    // The control: the engine mounts it.
    let show = format!("run --rm --volume {volume}:/home/vscode cage-lab cat /home/vscode/file");
    // podman without root tries to change the owner the first time.
    let shown = world.engine(&show).run();
    if shown.code != 0 {
        world.engine(&show).ok().prints("secret");
    } else {
        assert_eq!(shown.out, "secret");
    }

    let said = format!("the volume {volume} is not a plain one");
    world.cage("start -d").exits(1).says(&said);
    world.cage("run true").exits(125).says(&said);
    assert!(world.cages().is_empty());
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1, "nothing was put there");
    world.engine(&format!("volume rm {volume}")).ok();
    world.cage("start -d").ok();

    // A home of the project's own is no exception.
    let name = world.name();
    let own = format!("{volume}-{}", name.strip_prefix("cage-").unwrap());
    make(&own);
    let refused = world.cage("restart --home project").run();
    world.engine(&format!("volume rm {own}")).ok();
    assert!(refused.code == 1 && refused.err.contains(&format!("the volume {own} is not")), "{refused}");
    // The cage that was there is still.
    world.cage("run true").ok();

    // With a label or none, a plain one that somebody made is fine.
    world.cage("rm").ok();
    world.engine(&format!("volume rm {volume}")).ok();
    world.engine(&format!("volume create --label mine=1 {volume}")).ok();
    world.cage("start -d").ok();
}
