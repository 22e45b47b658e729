//! What must not get through: links and labels that were planted, directories that are nobody's project, and commands that
//! were cut short.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::lab::{World, eventually, free_port};

on_each_engine!(
    a_source_that_became_a_link_is_refused,
    what_is_nobodys_project_is_refused,
    an_interrupted_start_leaves_nothing,
    after_a_killed_restart_start_brings_one_cage_up,
    labels_of_an_image_are_not_the_cages,
);

fn a_source_that_became_a_link_is_refused(world: &World) {
    let (data, secret) = (world.project.join("data"), world.root().join("secret"));
    world.write(&data.join("file"), "harmless");
    world.write(&secret.join("file"), "secret");
    world.cage("start -d -v ./data:/data").ok();
    world.inside("cat /data/file").ok().prints("harmless");
    world.cage("stop").ok();
    let id = world.container_id();

    // The project is writable inside, so the cage could have done this.
    fs::remove_dir_all(&data).unwrap();
    symlink(&secret, &data).unwrap();
    let leads = format!("now leads to {}", secret.display());
    for command in ["start -d", "restart", "restart --pull never"] {
        world.cage(command).exits(1).says(&leads);
    }
    world.cage("run cat /data/file").exits(125).says(&leads).prints("");
    assert_eq!((world.container_id(), world.state()), (id, "exited".into()));

    // The control: the engine follows it.
    world.engine(&format!("start {}", world.name())).ok();
    world.inside("cat /data/file").ok().prints("secret");
    world.cage("stop").ok();
    world.cage("restart --fresh").ok();
    assert_ne!(world.inside("cat /data/file").run().code, 0);
}

fn what_is_nobodys_project_is_refused(world: &World) {
    let link = world.root().join("link");
    symlink("/etc", &link).unwrap();
    let (home, link) = (world.home.display().to_string(), link.display().to_string());
    for dir in ["/etc", "/tmp", "/proc/self", &home, &link] {
        world.cage(&format!("-C {dir} start -d")).exits(1).says("can't be a project");
        world.cage(&format!("-C {dir} run true")).exits(125).says("can't be a project");
    }
    // All programs are in this one, and none of a project's own is an engine.
    world.cage("-C / start -d").exits(1);
    // So is whatever the home is in.
    world.cage(&format!("-C {} start -d", world.root().display())).exits(1).says("can't be a project");
    for target in ["/etc", "/etc/", "/etc/passwd", "/"] {
        world.cage(&format!("start -d -v .:{target}")).exits(2);
        world.cage(&format!("start -d -v x:{target}")).exits(2);
    }
    assert!(world.cages().is_empty() && !world.has_volume() && links(world).is_empty());
}

/// The links to SSH agents that there are.
fn links(world: &World) -> Vec<PathBuf> {
    let state = world.home.join(".local/state/cage");
    let entries = fs::read_dir(state).map(|entries| entries.map(|entry| entry.unwrap().path()).collect());
    let mut links: Vec<PathBuf> = entries.unwrap_or_default();
    links.retain(|path| path.is_symlink());
    links
}

/// Starts `cage WORDS…` in a process group of its own, as a shell does.
fn spawn(world: &World, words: &[&str]) -> Child {
    let mut command = world.command(world.binary());
    command.args(words).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Moments at which something may be cut short.
fn moments() -> impl Iterator<Item = Duration> {
    [50, 150, 250, 350, 450, 600, 750, 900, 1200].into_iter().map(Duration::from_millis)
}

fn an_interrupted_start_leaves_nothing(world: &World) {
    let mut interrupted = 0;
    for moment in moments() {
        let mut start = spawn(world, &["start", "-d"]);
        thread::sleep(moment);
        // As Ctrl-C does, which the engine's client gets too.
        let group = Pid::from_child(&start);
        // It may be done already.
        let _ = kill_process_group(group, Signal::INT);
        let status = start.wait().unwrap();
        if !status.success() {
            interrupted += 1;
            assert_eq!(world.cages(), [] as [String; 0], "after {moment:?}: {status}");
            assert_eq!(links(world), [] as [PathBuf; 0], "after {moment:?}: {status}");
        }
        world.cage("start -d").ok().prints(&format!("{}\n", world.name()));
        assert_eq!((world.cages(), world.state()), (vec![world.name()], "running".into()));
        world.cage("rm").ok();
    }
    assert!(interrupted > 0, "no moment was early enough");
}

fn after_a_killed_restart_start_brings_one_cage_up(world: &World) {
    let port = free_port();
    world.cage(&format!("start -d -p {port}:80")).ok();
    let name = world.name();
    let mut killed = 0;
    for (moment, alone) in moments().flat_map(|moment| [(moment, false), (moment, true)]) {
        let mut restart = spawn(world, &["restart", "-d"]);
        thread::sleep(moment);
        if alone {
            let _ = restart.kill();
        } else {
            let _ = kill_process_group(Pid::from_child(&restart), Signal::KILL);
        }
        killed += i32::from(!restart.wait().unwrap().success());
        let when = format!("{} after {moment:?}", if alone { "alone" } else { "with its client" });
        // An engine goes on with what it was asked for, and that is there only once it is done: so wait a little, and look
        // again if it took longer.
        eventually(&format!("one cage is left of a restart killed {when}"), || {
            world.cage("start -d").ok().prints(&format!("{name}\n"));
            thread::sleep(Duration::from_millis(500));
            world.cages() == [name.as_str()] && world.state() == "running"
        });
        let status = world.cage("status").ok().out;
        assert!(status.contains(&format!("  80/tcp -> 127.0.0.1:{port}\n")), "killed {when}: {status}");
    }
    assert!(killed > 0, "no moment was early enough");
}

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
