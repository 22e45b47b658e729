//! Images of the user's choice.

use super::lab::World;

on_each_engine!(clients: a_cage_keeps_its_image);

on_each_engine!(registry: upgrade_pulls_the_cages_own_image);

fn a_cage_keeps_its_image(world: &World) {
    let [one, two] = ["one", "two"].map(|name| world.build(name, &format!("ENV IMAGE={name}")));
    let has = |name: &str| {
        world.cage("run -- sh -c 'echo $IMAGE'").env("CAGE_IMAGE", "").ok().prints(&format!("{name}\n"))
    };
    let cage = |words: &str| world.cage(words).env("CAGE_IMAGE", "");
    cage(&format!("start --image {one}")).ok();
    has("one");
    let status = cage("status").ok().out;
    assert!(status.contains(&format!("Image:     {one} (--image)\n")), "{status}");
    assert!(status.contains(&format!("Options:   --image {one}\n")), "{status}");
    // A restart keeps it, and starting again asks for no other one.
    cage("restart").ok().says_not("image:");
    cage("start").ok().says_not("image").says_not("made of");
    has("one");
    cage(&format!("start --image {two}")).ok().says(&format!("`cage restart --image {two}` applies it"));
    has("one");

    cage(&format!("restart --image {two}")).ok().says(&format!("cage: image: {one} → {two}\n"));
    has("two");
    // The variable, if it names another image.
    let start = world.cage("start").env("CAGE_IMAGE", &one).ok();
    start.says(&format!("was made of {two}; `cage restart` makes it of {one}"));
    world.cage("restart").env("CAGE_IMAGE", &two).ok().says_not("image:");
    world.cage("restart").env("CAGE_IMAGE", &one).ok().says(&format!("cage: image: {two} → {one}\n"));
    let status = cage("status").ok().out;
    assert!(status.contains(&format!("Image:     {one} (CAGE_IMAGE)\n")), "{status}");
    assert!(status.contains(&format!("Default:   --image {one} (CAGE_IMAGE)\n")), "{status}");
    cage("restart").ok().says_not("image:");
    has("one");
    // A newer build of its own image is noticed.
    world.build("one", "ENV IMAGE=newer");
    cage("start").ok().says("A newer image is available. Run `cage restart` to use it.");
    cage("restart").ok().says_not("image:");
    has("newer");
    cage("upgrade").exits(1).says(&format!("error: Cannot update local image '{one}'."));
    cage("restart --fresh --pull never --dry-run").ok();
    world.cage("restart --fresh").env("CAGE_IMAGE", &two).ok().says(&format!("image: {one} → {two}\n"));
    cage("start --image=--privileged").exits(2);
    cage("restart --image 'a b'").exits(2);
}

fn upgrade_pulls_the_cages_own_image(world: &World) {
    let image = world.registry_image();
    world.push("cage-lab", &image);
    let cage = |words: &str| world.cage(words).env("CAGE_IMAGE", "");
    cage(&format!("start --image {image}")).ok().says("Pulling");
    cage("upgrade").ok().says("already on the latest image");
    world.push(&world.build("newer", "ENV IMAGE=newer"), &image);
    let id = world.container_id();
    cage("upgrade").ok().says("Removing old container").says_not("image:");
    assert_ne!(world.container_id(), id);
    cage("run -- sh -c 'echo $IMAGE'").ok().prints("newer\n");
    // The control: without a cage, the image for new cages.
    cage("rm").ok();
    world.cage("upgrade").exits(1).says("error: Cannot update local image 'cage-lab'.");
}
