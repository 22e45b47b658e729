//! Row 18: links planted in the home before files are put there, and a home that is only half filled.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;

use crate::common::is_root;
use crate::lab::World;

on_each_engine!(seeding_fills_the_home_before_anything_runs);

on_each_engine!(
    clients:
    seeding_never_overwrites,
    seeding_follows_no_planted_link,
    a_seed_that_cannot_be_read_is_named_and_nothing_is_left,
);

fn seeding_fills_the_home_before_anything_runs(world: &World) {
    let seed = world.home.join(".config/cage/home");
    world.write(&seed.join("secret"), "s");
    world.write(&seed.join("bin/tool"), "#!/bin/sh\necho tool\n");
    world.write(&seed.join("two words/.a b"), "spaces");
    world.write(&seed.join(".hidden"), "");
    world.write(&seed.join("..odd"), "");
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&seed.join("secret"), 0o600);
    mode(&seed.join("bin/tool"), 0o755);
    symlink("secret", seed.join("link")).unwrap();
    symlink("/no/where", seed.join("dangling")).unwrap();
    // The first process must find its files: this one ends if it doesn't.
    let image = world.build("early", "CMD [\"sh\", \"-c\", \"cat ~/secret && exec sleep 1000\"]");
    world.cage("start").env("CAGE_IMAGE", &image).ok().says("Seeding home directory from ");
    assert_eq!(world.state(), "running");
    let listing =
        "cd ~ && stat -c '%U:%G %a %N' secret bin bin/tool 'two words/.a b' .hidden ..odd link dangling";
    world.inside(listing).ok().prints(
        "vscode:vscode 600 'secret'\n\
         vscode:vscode 755 'bin'\n\
         vscode:vscode 755 'bin/tool'\n\
         vscode:vscode 644 'two words/.a b'\n\
         vscode:vscode 644 '.hidden'\n\
         vscode:vscode 644 '..odd'\n\
         vscode:vscode 777 'link' -> 'secret'\n\
         vscode:vscode 777 'dangling' -> '/no/where'\n",
    );
    world.inside("~/bin/tool; cat ~/link ~/'two words/.a b'").ok().prints("tool\nsspaces");
    // What the image has there is there too.
    world.inside("grep -q PROMPT= ~/.zshrc").ok();
}

fn seeding_never_overwrites(world: &World) {
    let seed = world.home.join(".config/cage/home");
    world.write(&seed.join(".zshrc"), "from the host");
    world.write(&seed.join("dir/from-host"), "host");
    world.write(&seed.join("linked/file"), "host");
    world.mkdir(&world.root().join("elsewhere"));
    let prepare = "mkdir ~/dir ~/elsewhere && echo mine >~/dir/mine && ln -s elsewhere ~/linked";
    // Not seeded yet: this home is from before.
    world.cage(&format!("run -- sh -c '{prepare}'")).env("HOME", world.root().join("elsewhere")).ok();
    world.cage("restart").ok();
    world.inside("grep -q PROMPT= ~/.zshrc && cat ~/dir/mine ~/dir/from-host").ok().prints("mine\nhost");
    world.inside("test -L ~/linked && ls -A ~/elsewhere").ok().prints("");
    world.inside("echo later >~/dir/from-host").ok();
    world.cage("restart").ok();
    world.inside("cat ~/dir/from-host").ok().prints("later\n");
}

fn seeding_follows_no_planted_link(world: &World) {
    let seed = world.home.join(".config/cage/home");
    let planted = "mkdir ~/kept && echo mine >~/kept/file && ln -s kept/file ~/settings && ln -s kept ~/dir
                   ln -s /etc ~/system && ln -s nowhere ~/dangling";
    world.cage(&format!("run -- sh -c '{planted}'")).ok();
    world.cage("rm").ok();
    for file in ["settings", "dir/file", "system/passwd", "system/new", "dangling"] {
        world.write(&seed.join(file), "root::0:0::/:/bin/sh\n");
    }
    // The control: a plain copy goes through the link, as root.
    let volumes = format!("--volume {}:/home/vscode --volume {}:/seed:ro", world.volume(), seed.display());
    let copy = "cp /seed/settings /home/vscode; cp -R /seed/system/. /home/vscode/system/
                cat /home/vscode/kept/file /etc/passwd; echo mine >/home/vscode/kept/file";
    let copied = world.engine(&format!("run --rm --user 0 {volumes} cage-lab sh -c '{copy}'")).ok().out;
    assert_eq!(copied, "root::0:0::/:/bin/sh\n".repeat(2));

    world.cage("start -d").ok();
    let look = "cat ~/kept/file; ls -A ~/kept; test ! -e /etc/new && test ! -e ~/nowhere
                grep -c ^vscode: /etc/passwd; readlink ~/settings ~/dir ~/system ~/dangling";
    let expected = "mine\nfile\n1\nkept/file\nkept\n/etc\nnowhere\n";
    world.inside(look).ok().prints(expected);
    // Nor does it when the home changes hands: what a link leads to keeps its owner.
    let owners = "stat -c %u /etc/passwd /etc";
    world.inside("sudo chown 12345 ~").ok();
    world.cage("restart").ok();
    world.inside(owners).ok().prints("0\n0\n");
    world.inside(look).ok().prints(expected);
}

fn a_seed_that_cannot_be_read_is_named_and_nothing_is_left(world: &World) {
    let secret = world.home.join(".config/cage/home/not yours");
    world.write(&secret, "");
    if !world.engine.is_rootless() || !is_root() {
        // Root reads it all, and without root there is nobody else's file.
        world.cage("start").ok();
        return;
    }
    chown(&secret, Some(0), Some(0)).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    world.cage("start").exits(1).says("not yours");
    assert!(world.cages().is_empty());
    // Of the attempt, cage remembers only where cages can write, and what the image says of itself.
    let left = world.home.join(".local/state/cage").read_dir().unwrap();
    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_other = |name: &String| !name.starts_with("writable.") && !name.starts_with("image.");
    assert_eq!(left.filter(is_other).count(), 0);
}
