//! Row 13: files that are setuid root, written into the project. `cage check` reports them; `--no-root` keeps them from
//! being made.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::common::is_root;
use crate::lab::World;
use crate::yours::owner;

on_each_engine!(
    a_setuid_program_is_made_works_and_is_told,
    without_root_no_setuid_file_is_made,
    nor_by_an_image_whose_user_is_root,
    where_nobody_but_root_could_write_it_is_refused,
    nobody_is_made_root_by_cage_itself,
    without_root_no_setuid_file_works,
);

on_each_engine!(clients: one_in_the_repository_of_a_worktree_is_told_too);

const MAKE: &str = "sudo -n sh -c 'cp /usr/bin/id tool && chown 0:0 tool && chmod 4755 tool'";

/// The same by whoever one is.
const MAKE_OWN: &str = "cp /usr/bin/id tool && chmod 4755 tool";

/// What a person has that is not root.
fn ordinary(world: &World) {
    if owner(&world.project).0 == 0 {
        chown(&world.project, Some(12345), Some(23456)).unwrap();
    }
}

/// As whom a setuid program acts that somebody else on this machine runs, who is nobody special.
fn acts_as(world: &World, tool: &Path) -> u32 {
    let mode = fs::metadata(tool).unwrap().permissions().mode();
    assert_eq!(mode & 0o4111, 0o4111, "{}: {mode:o}", tool.display());
    if !is_root() {
        return owner(tool).0;
    }
    let ran = Command::new(tool).arg("-u").uid(65534).gid(65534).current_dir(world.root()).output().unwrap();
    String::from_utf8_lossy(&ran.stdout).trim().parse().unwrap()
}

fn run(script: &str) -> String {
    format!("run -- sh -c {}", shell_words::quote(script))
}

fn a_setuid_program_is_made_works_and_is_told(world: &World) {
    ordinary(world);
    let tool = world.project.join("tool");
    world.cage("start -d").ok();
    world.cage("check").ok().prints("");
    world.cage(&run(MAKE)).ok();
    if world.engine.is_rootless() {
        // Immune: it is a program of the person's own, or of one of the numbers that are theirs.
        assert_ne!(acts_as(world, &tool), 0);
    } else {
        assert_eq!(acts_as(world, &tool), 0, "the control: whoever runs it is root");
    }
    let line = "tool: setuid program  (runs with the rights of its owner)\n";
    world.cage("check").exits(3).prints(line);
    let json: serde_json::Value = serde_json::from_str(&world.cage("check --json").exits(3).out).unwrap();
    assert_eq!(
        (&json["findings"][0]["path"], &json["findings"][0]["what"]),
        (&"tool".into(), &"setuid program".into())
    );
    // Deep in the tree, too.
    world.cage(&run("sudo -n sh -c 'mkdir -p a/b && mv tool a/b/innocent && chmod 2755 a/b/innocent'")).ok();
    world
        .cage("check")
        .exits(3)
        .prints("a/b/innocent: setgid program  (runs with the rights of its group)\n");
    world.cage(&run("sudo -n rm -r a")).ok();
    world.cage("check").ok().prints("");
}

fn one_in_the_repository_of_a_worktree_is_told_too(world: &World) {
    let (repository, _) = crate::yours::linked_worktrees(world);
    let there = repository.join(".git");
    world.cage("start -d").ok();
    world.cage("check").ok().prints("");
    world.cage(&run(&format!("cd {} && {MAKE}", there.display()))).ok();
    let tool = there.join("tool");
    assert_eq!(acts_as(world, &tool) == 0, !world.engine.is_rootless(), "the control");
    let line = format!("{}: setuid program  (runs with the rights of its owner)\n", tool.display());
    world.cage("check").exits(3).prints(&line);
}

fn without_root_no_setuid_file_is_made(world: &World) {
    ordinary(world);
    let tool = world.project.join("tool");
    // The control: by default root inside makes one.
    world.cage(&run(MAKE)).ok();
    let made = fs::metadata(&tool).unwrap();
    assert_eq!((made.permissions().mode() & 0o4000, made.uid() == 0), (0o4000, !world.engine.is_rootless()));
    fs::remove_file(&tool).unwrap();

    world.cage("restart --no-root").ok();
    let ran = world.cage(&run(MAKE)).run();
    assert!(ran.code != 0 && !tool.exists(), "{ran}");
    let status = world.cage("status").ok().out;
    assert!(status.contains(", without root's power\n"), "{status}");
    // One can be made whose owner is the person, and it acts as nobody else. It is told all the same.
    world.cage(&run(MAKE_OWN)).ok();
    assert_eq!(owner(&tool), owner(&world.project));
    assert_ne!(acts_as(world, &tool), 0);
    assert!(world.cage("check").exits(3).out.contains("tool: setuid program"));
    // It stays so until told otherwise.
    world.cage("restart").ok();
    world.cage("stop").ok();
    assert_ne!(world.cage("run -- sudo -n true").run().code, 0);
    world.cage("run -- sh -c 'touch made && test -O made && touch ~/mine && git init -q repository'").ok();
    assert_eq!(owner(&world.project.join("made")), owner(&world.project));
    world.cage("restart --fresh").ok();
    world.cage("run -- sudo -n true").ok();
}

fn nor_by_an_image_whose_user_is_root(world: &World) {
    ordinary(world);
    let tool = world.project.join("tool");
    let image = world.build("root", "USER root");
    let cage = |words: &str| world.cage(words).env("CAGE_IMAGE", &image);
    // The controls: by default, and in a container of the engine's that has none of root's power but its number.
    cage(&run(MAKE_OWN)).ok();
    let is_roots = |tool: &Path| (acts_as(world, tool) == 0) != world.engine.is_rootless();
    assert!(is_roots(&tool));
    fs::remove_file(&tool).unwrap();
    let flags = "--cap-drop ALL --security-opt no-new-privileges --user 0";
    let open = world.root().join("open");
    world.mkdir(&open);
    chown(&open, Some(if world.engine.is_rootless() { owner(&world.project).0 } else { 0 }), None).unwrap();
    let script = shell_words::quote("cp /usr/bin/id /open/tool && chmod 4755 /open/tool").into_owned();
    world.engine(&format!("run --rm {flags} --volume {}:/open {image} sh -c {script}", open.display())).ok();
    assert!(is_roots(&open.join("tool")));

    cage("restart --no-root").ok();
    cage(&run(MAKE_OWN)).ok();
    assert_eq!(owner(&tool), owner(&world.project));
    assert_ne!(acts_as(world, &tool), 0);
    // It is a cage like any other.
    cage("run -- sh -c 'touch made ~/mine && test -O ~ && cd ~ && pwd'").ok().prints("/root\n");
    cage("stop").ok();
    cage("run -- test -O made").ok();
    fs::remove_file(&tool).unwrap();
    cage("restart --fresh").ok();
    cage("run -- sh -c 'test \"$(id -u)\" = 0 && test -O ~ && touch ~/mine'").ok();
}

fn where_nobody_but_root_could_write_it_is_refused(world: &World) {
    if world.engine.is_rootless() || owner(&world.project).0 != 0 {
        world.cage("start -d --no-root").ok();
        return;
    }
    // The control: root's number is enough.
    let tool = world.project.join("tool");
    world.cage(&run(MAKE_OWN)).ok();
    assert_eq!(acts_as(world, &tool), 0);
    world.cage("restart --no-root").exits(1).says("--no-root is not possible here").says("chown -R");
    // The one that is there stays.
    world.cage("run true").ok();
    world.cage("rm").ok();
    world.cage("start -d --no-root").exits(1).says("--no-root is not possible here");
    assert!(world.cages().is_empty());
    ordinary(world);
    // Root in a cage could have done that too: the person says that it was them.
    let given =
        world.cage("start -d --no-root").exits(1).says("before its first cage").says("remove the file");
    let baseline = given.err.split_once("remove ").unwrap().1.lines().next().unwrap();
    fs::remove_file(baseline).unwrap();
    world.cage("start -d --no-root").ok();
}

/// Leaves a program that acts as root, if root's number runs it.
const TRAP: &str = r#"#!/bin/dash
if [ "$(id -u)" = 0 ]; then cp /usr/bin/id "$TRAPPED/tool" && chmod 4755 "$TRAPPED/tool"; fi
exec /bin/dash "$@"
"#;

fn nobody_is_made_root_by_cage_itself(world: &World) {
    ordinary(world);
    let project = world.project.display();
    let tool = world.project.join("tool");
    // Whatever anybody runs in it by `/bin/sh` runs this first, as a library that is loaded into everything would do.
    let trap = shell_words::quote(TRAP).replace('\n', "\\n");
    let image = world.build("trap", &format!("USER root\nRUN printf {trap} >/bin/trapped && chmod 755 /bin/trapped && ln -sf trapped /bin/sh\nUSER vscode"));
    let cage = |words: &str| world.cage(words).env("CAGE_IMAGE", &image);
    world.write(&world.project.join(".cage.env"), &format!("TRAPPED={project}\n"));
    fs::set_permissions(&world.project, fs::Permissions::from_mode(0o777)).unwrap();
    cage("start -d --no-root").ok();
    for command in ["stop", "start -d", "restart", "run true", "status"] {
        cage(command).ok();
    }
    assert!(!tool.exists() || owner(&tool) == owner(&world.project), "root ran it");
    cage("run -- bash -c 'exec 3<>/dev/tcp/host.docker.internal/1'").exits(1).says("Connection refused");
    // The control: what root's number runs there does leave it.
    let _ = fs::remove_file(&tool);
    world.engine(&format!("exec --user 0 {} /bin/sh -c :", world.name())).ok();
    assert!(acts_as(world, &tool) == 0 || world.engine.is_rootless());
}

fn without_root_no_setuid_file_works(world: &World) {
    ordinary(world);
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
    for script in ["sudo -n id", "su -c id", "chown 54321 ~", "mount -t tmpfs x /mnt", "chroot / true"] {
        let ran = cage(&format!("run -- sh -c '{script}'")).run();
        assert!(ran.code != 0 && !ran.out.contains("uid=0"), "{ran}");
    }
    assert!(world.inspect("{{json .HostConfig.SecurityOpt}}").contains("no-new-privileges"));
}
