//! Images of the user's choice.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};

use super::common::is_root;
use super::lab::{Engine, World};
use super::yours::owner;

on_each_engine!(everybody: an_image_whose_user_has_no_name_works);

tests_of!(an_image_whose_user_has_no_home_works, false, group_docker GroupDocker, rootless_podman RootlessPodman);

on_each_engine!(everybody: an_image_of_root_is_told);

on_each_engine!(everybody: things_of_the_user_outside_of_the_home_are_handed_over_or_told);

on_each_engine!(clients: a_cage_keeps_its_image, the_images_in_the_documents_work);

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

fn things_of_the_user_outside_of_the_home_are_handed_over_or_told(world: &World) {
    if owner(&world.project).0 == 0 {
        chown(&world.project, Some(12345), Some(23456)).unwrap();
    }
    let image = |name: &str, make: &str| {
        let give = "chown -R vscode:vscode /opt/x && chown root:vscode /opt/shared && chmod 775 /opt/shared";
        let run =
            format!("mkdir -p /opt/x/bin /opt/shared && ln -s /etc/passwd /opt/x/link && {make} && {give}");
        world.build(name, &format!("USER root\nRUN groupmod -g 4567 dialout 2>/dev/null; {run}\nUSER vscode"))
    };
    let few = image("few", "touch /opt/x/bin/tool");
    let uses = "touch /opt/x/bin/new && echo >>/opt/x/bin/tool && touch /opt/shared/new";
    for command in ["start -d", "restart -d"] {
        world.cage(command).env("CAGE_IMAGE", &few).ok().says_not("outside");
        world.cage(&format!("run -- sh -c '{uses}'")).ok();
        // What a link leads to is left alone.
        world.cage("run -- sh -c 'test $(stat -c %u /etc/passwd) = 0'").ok();
    }
    if world.engine == Engine::RootlessPodman {
        // The numbers inside are the image's.
        return;
    }
    if !world.engine.is_rootless() && is_root() {
        // A directory of the host that belongs to the image's user's number, mounted over one of these, stays as it is.
        let mounted = world.root().join("mounted");
        world.mkdir(&mounted);
        chown(&mounted, Some(501), Some(20)).unwrap();
        let words = format!("restart -d -v {}:/opt/x/bin", mounted.display());
        world.cage(&words).env("CAGE_IMAGE", &few).ok();
        assert_eq!(owner(&mounted), (501, 20));
        // The control: the directory around it was handed over.
        world
            .inside("stat -c %u /opt/x /opt/x/bin")
            .ok()
            .prints(&format!("{}\n501\n", owner(&world.project).0));
    }
    world.cage("rm").ok();
    let many = image("many", "for i in $(seq 300); do touch /opt/x/$i; done");
    let ran = world.cage("start -d").env("CAGE_IMAGE", &many).ok();
    let is_told = ran.err.contains("warning: many files of the image's user outside of its home");
    let works = world.cage("run touch /opt/x/1").run().code == 0;
    assert_ne!(is_told, works, "{ran}");
    world.cage("restart -d").env("CAGE_IMAGE", &many).ok().says_not("many files");
    world.cage("run -- sh -c 'sudo chown -R vscode /opt/x && touch /opt/x/1'").ok();
    // A new volume has them all; one that was there before is left alone.
    for volume in ["", &format!("{}:", world.extra_volume())] {
        world.cage(&format!("restart --fresh -d -v {volume}/opt/x")).env("CAGE_IMAGE", &many).ok();
        world.cage("run -- sh -c 'touch /opt/x/new /opt/x/1 /opt/x/bin/new'").ok();
    }
    world.cage("run -- sudo chown -R 501 /opt/x").ok();
    world.cage("restart -d").env("CAGE_IMAGE", &many).ok();
    world.cage("run -- sh -c 'test $(stat -c %u /opt/x) = 501'").ok();
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

/// Returns whether a file in the project belongs to its owner.
fn is_owners(world: &World, file: &str) -> bool {
    let uid = |path| fs::metadata(path).unwrap().uid();
    uid(world.project.join(file)) == uid(world.project.clone())
}

fn an_image_whose_user_has_no_name_works(world: &World) {
    let image = world.build("nameless", "USER 4321");
    let mine = |words: &str| world.cage(words).env("CAGE_IMAGE", &image).ok();
    mine("start");
    mine("run -- touch new");
    assert!(is_owners(world, "new"));
    mine("run -- sh -c 'id -un; echo $HOME; echo >~/kept'").prints("cage-user\n/home/cage-user\n");
    mine("restart");
    mine("run -- sh -c 'touch newer ~/kept'");
    assert!(is_owners(world, "newer"));
    // Where the project is root's, nobody else could write it.
    if world.engine.is_rootless() || world.engine == Engine::GroupDocker {
        mine("restart --no-root");
        mine("run -- sh -c 'touch newest ~/kept'");
        assert!(is_owners(world, "newest"));
    }
}

fn an_image_whose_user_has_no_home_works(world: &World) {
    for (name, change, home) in [
        ("slash", "RUN usermod --home / nobody\nUSER nobody", "/home/nobody"),
        ("no-files", "RUN rm /etc/passwd /etc/group\nUSER 4321", "/home/cage-user"),
    ] {
        let image = world.build(name, &format!("USER root\n{change}"));
        let mine = |words: &str| world.cage(words).env("CAGE_IMAGE", &image).ok();
        // The second is the one that ssh and sudo know.
        let homes = "eval echo $HOME ~$(id -un); echo >~/kept; touch new";
        mine(&format!("run -- sh -c '{homes}'")).prints(&format!("{home} {home}\n"));
        assert!(is_owners(world, "new"));
        mine("restart");
        mine("run -- sh -c 'rm ~/kept new'");
        world.cage("rm").ok();
    }
}

fn an_image_of_root_is_told(world: &World) {
    let image = world.build("root", "USER root\nENV HOME=/root");
    let told = "cage: warning: the image's user is root: files that the cage creates in the project belong to root; --no-root";
    let start = world.cage("start").env("CAGE_IMAGE", &image).ok();
    world.cage("run -- touch new").ok();
    // Where root inside is the user, and for root's own project, there is nothing to tell.
    if world.engine == Engine::GroupDocker {
        start.says(told);
        assert!(!is_owners(world, "new"));
        world.cage("restart --no-root").env("CAGE_IMAGE", &image).ok().says_not("belong to root");
        world.cage("run -- touch mine").ok();
        assert!(is_owners(world, "mine"));
    } else {
        start.says_not("belong to root");
        assert!(is_owners(world, "new"));
    }
}

/// The lab has no public registry, so that the base and npm are stand-ins.
fn the_images_in_the_documents_work(world: &World) {
    let documents = [include_str!("../../README.md"), include_str!("../../docs/images.md")];
    let [readme, short] =
        documents.map(|text| text.split("```dockerfile\n").nth(1).unwrap().split("```").next().unwrap());
    assert!(short == readme && short.lines().count() <= 5, "{short}");
    let pinned = include_str!("../../examples/image/Dockerfile");
    let npm = "#!/bin/sh\\ntest $1$2 = install--global || exit 1\\nshift 2\\nfor package; do case $package in \
               @anthropic-ai/claude-code*) name=claude ;; @openai/codex*) name=codex ;; *) exit 1 ;; esac; \
               ln -s /bin/true /usr/local/bin/$name; done\\n";
    let lines = format!(
        "USER root\nRUN useradd --create-home node && printf '{npm}' >/usr/local/bin/npm && chmod 755 /usr/local/bin/npm\nENTRYPOINT []"
    );
    let base = world.build("base", &lines);
    world.cage("start").ok();
    for (name, text) in [("short", short), ("pinned", pinned)] {
        let image = format!("{}-{name}", world.id);
        world.will_remove_image(&image);
        let text = text.replace("docker.io/library/node:24-bookworm", &base);
        assert!(text.contains(&format!("FROM {base}\n")), "{text}");
        let build = world.engine(&format!("build --quiet --tag {image} -")).env("DOCKER_BUILDKIT", "0");
        build.stdin(&text).ok();
        world.cage(&format!("restart --image {image}")).ok();
        world.cage("run -- sh -c 'claude && codex && touch new && id -un'").ok().prints("node\n");
        assert!(is_owners(world, "new"));
    }
}
