//! Row 29: root's number, or a group with power on the host, is had in spite of `--no-root`.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};

use crate::common::is_root;
use crate::lab::{Engine, World};
use crate::yours::owner;

on_each_engine!(
    a_command_does_not_run_as_root,
    the_projects_owner_and_group_give_no_power,
    nor_does_a_changed_etc_passwd,
);

fn a_command_does_not_run_as_root(world: &World) {
    if owner(&world.project).0 == 0 {
        chown(&world.project, Some(12345), Some(23456)).unwrap();
    }
    fs::create_dir(world.project.join("open")).unwrap();
    let make = |user: &str| {
        format!("run -u {user} -- sh -c 'cp /usr/bin/id /tmp/tool && chmod 4755 /tmp/tool && id -u'")
    };
    // The control: without the flag there is such a user.
    world.cage(&make("root")).ok().prints("0\n");
    world.cage("restart --no-root").ok();
    for user in [
        "root",
        "0",
        "0:0",
        "00",
        "+0",
        "0:1000",
        "1000:0",
        "1000",
        "root:root",
        "vscode:0",
        "nobody",
        "",
        "1000:42",
    ] {
        let ran = world.cage(&make(&format!("'{user}'"))).exits(125);
        ran.says("the cage has --no-root");
    }
    world.cage(&make("1234:2345")).ok().prints("1234\n");
    world.cage("run id -u").ok();
    world.cage("rm").ok();
    world.cage(&format!("{} --no-root -u root true", "run")).exits(125).says("the cage has --no-root");
    assert!(world.cages().is_empty());
}

fn the_projects_owner_and_group_give_no_power(world: &World) {
    let group = fs::read_to_string("/etc/group").unwrap();
    let shadow =
        group.lines().find_map(|line| line.strip_prefix("shadow:x:")?.split(':').next()?.parse::<u32>().ok());
    let (Some(shadow), true) = (shadow, is_root() && !world.engine.is_rootless()) else {
        // Immune: the groups inside are none of this machine's.
        let groups = world.cage("run cat /proc/self/gid_map").ok().out;
        assert!(!groups.split_whitespace().eq(["0", "0", "4294967295"]), "{groups}");
        return;
    };
    // Root in an ordinary cage gives the directory away.
    chown(&world.project, Some(12345), Some(23456)).unwrap();
    world.cage(&format!("run sudo chgrp {shadow} {}", world.project.display())).ok();
    assert_eq!(fs::metadata(&world.project).unwrap().gid(), shadow);
    world.cage("restart --no-root").ok();
    // The group of before the first cage.
    assert_eq!(world.cage("run id -G").ok().out, "23456\n");
    // Where that is the powerful one, the owner's number serves as the group.
    world.cage("rm").ok();
    let state = world.root().join("home/.local/state/cage");
    let name_of = |entry: &fs::DirEntry| entry.file_name().into_string().unwrap();
    let kept = fs::read_dir(state).unwrap().flatten().find(|entry| name_of(entry).ends_with(".baseline"));
    fs::remove_file(kept.unwrap().path()).unwrap();
    world.cage("start -d --no-root").ok();
    assert_eq!(world.cage("run id -G").ok().out, "12345\n");

    // By sudo, it is who runs cage.
    let sudo = |words: &str| world.cage(words).env("SUDO_UID", "4321").env("SUDO_GID", "5432");
    chown(&world.project, Some(4321), Some(5432)).unwrap();
    sudo("restart --fresh").ok();
    sudo(&format!("run sudo chown 12345:{shadow} {}", world.project.display())).ok();
    sudo("restart --no-root").ok();
    assert_eq!(sudo("run -- sh -c 'id -u; id -G'").ok().out, "4321\n5432\n");
}

fn nor_does_a_changed_etc_passwd(world: &World) {
    if owner(&world.project).0 == 0 {
        chown(&world.project, Some(12345), Some(23456)).unwrap();
    }
    // As in images that run with any number.
    let image = world.build("open-etc", "USER root\nRUN chmod 777 /etc\nUSER vscode");
    let rewrite = "cd /etc && for file in passwd group; do mv $file old && cat old >$file; done && \
                   sed -i 's/^vscode:x:[0-9]*:[0-9]*:/vscode:x:0:0:/' passwd && echo planted:x:4321:vscode >>group";
    // The control: the engine alone looks the name up again.
    let name = format!("{}-control", world.id);
    world.will_remove_container(&name);
    world.engine(&format!("run -d --name {name} --user vscode {image} sleep 1000")).ok();
    world.engine(&format!("exec {name} sh -c {}", shell_words::quote(rewrite))).ok();
    assert_eq!(world.engine(&format!("exec {name} id -u")).ok().out, "0\n");

    world.cage(&format!("start -d --no-root --image {image}")).ok();
    let ids = world.cage("run -- sh -c 'id -u; id -G'").ok().out;
    // In a rootless docker, the host's user is 0 inside.
    let is_zero = world.engine == Engine::RootlessDocker;
    assert_eq!(ids.starts_with("0\n"), is_zero, "{ids}");
    world.inside(rewrite).ok();
    for restart in [false, true] {
        if restart {
            world.cage("stop").ok();
            world.cage("start -d").ok();
        }
        assert_eq!(world.cage("run -- sh -c 'id -u; id -G'").ok().out, ids);
        let first = world.cage("run cat /proc/1/status").ok().out;
        assert_eq!(first.contains("\nUid:\t0"), is_zero, "{first}");
        assert!(!first.contains("4321"), "{first}");
    }
}
