//! Row 13: files that are setuid root, written into the project. `cage check` reports them; `--no-root` keeps them from
//! being made.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use crate::engines::lab::World;
use crate::engines::on_each_engine;
use crate::engines::yours::owner;

on_each_engine!(without_root_no_setuid_file_is_made, without_root_no_setuid_file_works);

const MAKE: &str = "sudo -n sh -c 'cp /usr/bin/id tool && chown 0:0 tool && chmod 4755 tool'";

fn without_root_no_setuid_file_is_made(world: &World) {
    let tool = world.project.join("tool");
    // The control: by default root inside makes one.
    world.cage(&format!("run -- sh -c {}", shell_words::quote(MAKE))).ok();
    let made = fs::metadata(&tool).unwrap();
    assert_eq!(made.permissions().mode() & 0o4000, 0o4000);
    if world.engine.is_rootless() {
        // Immune: it is a program of the person's own, or of one of the numbers that are theirs.
        assert_ne!(made.uid(), 0);
    } else {
        assert_eq!(made.uid(), 0, "it is root's on the host");
    }
    fs::remove_file(&tool).unwrap();

    world.cage("restart --no-root").ok();
    let ran = world.cage(&format!("run -- sh -c {}", shell_words::quote(MAKE))).run();
    assert!(ran.code != 0 && !tool.exists(), "{ran}");
    let status = world.cage("status").ok().out;
    assert!(status.contains(", without root's power\n"), "{status}");
    // It stays so until told otherwise.
    world.cage("restart").ok();
    world.cage("stop").ok();
    assert_ne!(world.cage("run -- sudo -n true").run().code, 0);
    world.cage("run -- sh -c 'touch made && test -O made && touch ~/mine && git init -q repository'").ok();
    assert_eq!(owner(&world.project.join("made")), owner(&world.project));
    world.cage("restart --fresh").ok();
    world.cage("run -- sudo -n true").ok();
}

fn without_root_no_setuid_file_works(world: &World) {
    // The image has one more setuid program.
    let lines = "USER root\nRUN cp /usr/bin/id /usr/local/bin/rootid && chmod 4755 /usr/local/bin/rootid\nUSER vscode";
    let image = world.build("setuid", lines);
    let cage = |words: &str| world.cage(words).env("CAGE_IMAGE", &image);
    let field = |name: &str| {
        let status = cage("run cat /proc/self/status").ok().out;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        line.unwrap().to_owned()
    };
    cage("start -d").ok();
    cage("run rootid -u").ok().prints("0\n");
    assert_eq!(field("NoNewPrivs"), "0");
    assert_ne!(u64::from_str_radix(&field("CapBnd"), 16), Ok(0));

    cage("restart --no-root").ok();
    let me = cage("run id -u").ok().out;
    cage("run rootid -u").ok().prints(&me);
    assert_eq!(field("NoNewPrivs"), "1");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(u64::from_str_radix(&field(set), 16), Ok(0), "{set}");
    }
    // Whoever one is inside, rootless docker's root included, one is nobody special.
    for script in ["sudo -n id", "su -c id", "chown 12345 ~", "mount -t tmpfs x /mnt", "chroot / true"] {
        let ran = cage(&format!("run -- sh -c '{script}'")).run();
        assert!(ran.code != 0 && !ran.out.contains("uid=0"), "{ran}");
    }
    assert!(world.inspect("{{json .HostConfig.SecurityOpt}}").contains("no-new-privileges"));
}
