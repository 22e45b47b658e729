//! Cages that the script made, on real engines: from their first `cage status` to a new cage, and back.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::lab::{IMAGE, World};
use crate::common::{absent, free_port};

on_each_engine!(
    clients:
    a_cage_of_the_script_goes_the_whole_way,
    the_home_of_a_running_cage_is_not_taken_without_a_word,
    a_cage_that_was_named_after_a_link_is_found,
    a_mount_that_is_gone_is_never_made,
    labels_of_later_scripts_are_followed,
);

on_each_engine!(podmans: a_home_moves_from_docker_to_podman);

on_each_engine!(everybody: what_is_told_instead_of_dstart_works);

on_each_engine!(registry: upgrade_takes_over_what_the_script_made);

/// Returns the name that the script gives the cage of a directory.
fn scripts_name(path: &Path) -> String {
    let base = path.file_name().unwrap().to_string_lossy();
    format!("cage-{base}-{}", &hex::encode(Sha256::digest(path.to_str().unwrap()))[..8])
}

/// Creates the container as the script does, with `more` where it puts ports and mounts, and starts it.
fn script_starts(world: &World, path: &Path, more: &str, image: &str) -> String {
    let (name, path) = (scripts_name(path), path.display());
    let create = format!(
        "create -it --name {name} --hostname {name} --workdir {path} -v {path}:{path} -v {}:/home/vscode \
         -e UV_PROJECT_ENVIRONMENT=.cage-venv -l {}={path} {more} {image}",
        world.volume(),
        world.label()
    );
    world.engine(&create).ok();
    world.engine(&format!("start {name}")).ok();
    name
}

/// Makes the socket of an SSH agent, and returns its path and the script's arguments for it.
fn agent(world: &World) -> (PathBuf, UnixListener, String) {
    let socket = world.root().join("agent/socket");
    world.mkdir(socket.parent().unwrap());
    let listener = UnixListener::bind(&socket).unwrap();
    world.give(&socket);
    let words = format!("-v {}:/tmp/ssh-agent.sock -e SSH_AUTH_SOCK=/tmp/ssh-agent.sock", socket.display());
    (socket, listener, words)
}

/// Returns the commands of docs/from-the-script.md that contain these words, for this world's home and image.
fn documented(world: &World, words: &[&str]) -> String {
    let page = include_str!("../../docs/from-the-script.md");
    let line = |word: &&str| page.lines().find(|line| line.contains(*word)).unwrap();
    let lines: Vec<&str> = words.iter().map(line).collect();
    lines.join("\n").replace("cage-home", &world.volume()).replace("\"$image\"", IMAGE)
}

/// Runs a shell script in the project.
fn sh(world: &World, script: &str) -> crate::lab::Call {
    world.call("sh", &["-c".to_owned(), script.to_owned()])
}

const MARK: &str = "made by the script: no limits, all capabilities; `cage restart` applies cage's own";

fn a_cage_of_the_script_goes_the_whole_way(world: &World) {
    let (socket, listener, of_agent) = agent(world);
    let [data, fixed, sockets] = ["data", "fixed", "engine"].map(|name| world.root().join(name));
    for dir in [&data, &fixed, &sockets] {
        world.write(&dir.join("file"), "");
    }
    let engine_socket = sockets.join("docker.sock");
    let engine = UnixListener::bind(&engine_socket).unwrap();
    let [open, local] = [free_port(), free_port()];
    let more = format!(
        "-p {open}:80 -p 127.0.0.1:{local}:81 {of_agent} -v {}:/data -v {}:/fixed:ro -v {1}:/again -v {}:/named \
         -v {}:/var/run/docker.sock -v /nameless",
        data.display(),
        fixed.display(),
        world.extra_volume(),
        engine_socket.display()
    );
    let name = script_starts(world, &world.project, &more, IMAGE);
    assert_eq!(name, world.name());

    // While it runs, everything works as it is, and it is marked.
    let status = world.cage("status").ok().out;
    assert!(status.contains(&format!("Warning:   {MARK}\n")), "{status}");
    if world.engine.is_docker() {
        assert!(status.contains("Dropped capabilities: none\n"), "{status}");
    }
    assert!(world.cage("status --json").ok().out.contains(MARK));
    world
        .cage("start")
        .ok()
        .prints(&format!("{name}\n"))
        .says(MARK)
        .says("docker.sock gives the cage control");
    world.cage("run -- pwd").ok().prints(&format!("{}\n", world.project.display()));

    // After a reboot the agent's socket is gone: docker would make a directory there.
    drop(listener);
    fs::remove_file(&socket).unwrap();
    world.cage("stop").ok();
    for command in ["start", "run -- true"] {
        let code = if command == "start" { 1 } else { 125 };
        let told =
            world.cage(command).exits(code).says(&format!("mounts {}, which is gone", socket.display()));
        told.says("hint: `cage restart`");
        assert!(!socket.exists() && world.state() == "exited");
    }

    // A new cage takes over what was typed, and says so; never an engine's socket.
    let ran = world.cage("restart").ok();
    let mounts = format!(
        "-v {}:/data -v {}:/fixed:ro -v {1}:/again -v {}:/named",
        data.display(),
        fixed.display(),
        world.extra_volume()
    );
    for option in format!("-p 127.0.0.1:{open}:80 -p 127.0.0.1:{local}:81 {mounts}")
        .split(" -")
        .map(|word| word.trim_start_matches('-'))
    {
        let taken = ran
            .err
            .lines()
            .find(|line| line.starts_with("cage: taken over from the script's cage: "))
            .unwrap();
        assert!(taken.contains(option), "{option}: {taken}");
    }
    let ran = ran.says("its ports were open to the network; now they are on 127.0.0.1");
    let ran = ran.says(&format!(
        "warning: not taken over: `-v {}:/var/run/docker.sock`: an engine's socket",
        engine_socket.display()
    ));
    ran.says_not("agent").says_not("nameless").says_not(MARK);
    drop(engine);
    world.inside("test -e /data/file && test -e /fixed/file && ! touch /fixed/x && test -d /named && test ! -e /var/run/docker.sock").ok();
    let ports = world.inspect("{{json .HostConfig.PortBindings}}");
    assert!(
        ports.contains(&open.to_string()) && ports.contains(&local.to_string()) && !ports.contains("0.0.0.0"),
        "{ports}"
    );
    assert_eq!(world.cages().join(" "), name);
    assert!(!world.cage("status").ok().out.contains("made by the script"));
    world.cage("restart").ok().says_not("taken over");
    world.inside("test -e /data/file && echo kept >~/kept").ok();
    world.cage("rm").ok();

    // And back: the script finds the home, once it belongs to the script's user again.
    script_starts(world, &world.project, "", IMAGE);
    world.inside("cat ~/kept && ! touch ~/new").ok().prints("kept\n");
    let give_back = documented(world, &["--entrypoint chown"]).replace("docker", world.engine.program());
    sh(world, &give_back).ok();
    world.inside("cat ~/kept && touch ~/new").ok().prints("kept\n");
    world.cage("restart --fresh").ok().says_not("taken over");
    world.inside("cat ~/kept && touch ~/new").ok().prints("kept\n");
    world.cage("rm").ok();
    assert!(world.cages().is_empty());
}

/// Labels of later scripts say which ports and mounts were typed; they can't add any, because an image can have such labels.
fn labels_of_later_scripts_are_followed(world: &World) {
    let [typed, of_file, secret] = ["typed", "file", "secret"].map(|name| world.root().join(name));
    for dir in [&typed, &of_file, &secret] {
        world.write(&dir.join(dir.file_name().unwrap()), "");
    }
    let port = free_port();
    let labels = |ports: &str, volumes: &str| {
        format!("-l 'cage.ports={ports}' -l 'cage.volumes={volumes}' -l cage.image={IMAGE}")
    };
    let more = format!(
        "-p {port}:80 -p 81 -v {0}:/typed -v {1}:{1}:ro -v {2}:/file {3}",
        typed.display(),
        secret.display(),
        of_file.display(),
        labels(
            &format!("{port}:80 81 9:9"),
            &format!("{0}:/typed\n{1}::ro\n{1}:/data\n", typed.display(), secret.display())
        )
    );
    script_starts(world, &world.project, &more, IMAGE);
    let ran = world.cage("restart").ok();
    let ran =
        ran.says(&format!("taken over from the script's cage: -p 127.0.0.1:{port}:80 -p 127.0.0.1::81 -v "));
    let ran = ran.says("not taken over: `-p 9:9`: the container doesn't have it");
    ran.says("not taken over: `-v …:/data`: the container doesn't have it");
    let look = format!(
        "test -e /typed/typed && test -e {}/secret && ! test -e /file && ! test -e /data",
        secret.display()
    );
    world.inside(&look).ok();

    // A label that can't be read is an error, and the old cage stays.
    for bad in [labels("x:y", ""), labels("", "/typed\nsome:thing")] {
        world.cage("rm").ok();
        script_starts(world, &world.project, &bad, IMAGE);
        let id = world.container_id();
        world.cage("restart").exits(1).says("error: cannot read `").says("`cage restart --fresh`");
        assert_eq!((world.container_id(), world.state()), (id, "running".into()));
    }
    // One that says nothing is none.
    world.cage("rm").ok();
    script_starts(world, &world.project, "-l cage.image=", IMAGE);
    world.cage("start").ok().says_not("cannot read").says_not("made of ;");
    world.cage("restart").ok().says_not("image:");
    // Nor does a label of this program in the image of a script's cage, as far as docker can tell them apart.
    if world.engine.is_docker() {
        world.cage("rm").ok();
        let label = format!("-l 'cage.options=-v {}:/x:ro'", secret.display());
        script_starts(world, &world.project, &label, IMAGE);
        world.cage("restart").ok();
        world.inside("test ! -e /x").ok();
    }
    // A mount is judged like one that is typed.
    world.cage("rm").ok();
    world.write(&world.home.join(".bashrc"), "");
    let bashrc = world.home.join(".bashrc");
    script_starts(world, &world.project, &format!("-v {}:/rc", bashrc.display()), IMAGE);
    world.cage("restart").exits(1).says("can't be writable");
    world.cage(&format!("restart -v {}:/rc:ro", bashrc.display())).ok().says_not("taken over");
}

fn the_home_of_a_running_cage_is_not_taken_without_a_word(world: &World) {
    let other = world.root().join("other");
    world.mkdir(&other);
    let name = script_starts(world, &other, "", IMAGE);
    world.engine(&format!("exec {name} touch /home/vscode/mine")).ok();
    // The control: a home of its own takes nothing from it.
    let words = format!("{name} of the script is running in the home {}", world.volume());
    world.cage("start --home project").ok().says_not(&words);
    world.engine(&format!("exec {name} touch /home/vscode/mine")).ok();
    world.cage("rm --home").ok();

    let loses = |name: &str| world.engine(&format!("exec {name} touch /home/vscode/mine")).run().code != 0;
    let told = world.cage("start").ok();
    // Where the user's number is the script's, nothing changes.
    assert_eq!(told.err.contains(&words), loses(&name), "{told}");
    assert!(loses(&name), "the lab's users have other numbers");
    told.says(&format!("`cage restart -C {}`", other.display())).says("`--home project`");
    // It happens once.
    let third = world.root().join("third");
    world.mkdir(&third);
    world.cage("start").dir(&third).ok().says_not("of the script");
    // A new cage there can write the home again.
    world.cage(&format!("restart -C {}", other.display())).ok().says_not("of the script is running");
    world.engine(&format!("exec --user vscode {name} touch /home/vscode/mine")).ok();
}

fn a_cage_that_was_named_after_a_link_is_found(world: &World) {
    let link = world.root().join("link");
    symlink(world.root(), &link).unwrap();
    let path = link.join("project");
    world.mkdir(&world.project.join("sub"));
    let name = script_starts(world, &path, "", IMAGE);
    let canonical = scripts_name(&world.project);
    assert_ne!(name, canonical);
    let there = path.display();
    for (dir, pwd) in [(&world.project, &world.project), (&world.project, &path)] {
        let cage = |words: &str| world.cage(words).dir(dir).env("PWD", pwd).ok();
        let status = cage("status").out;
        assert!(status.starts_with(&format!("Container: {name}\nState:     running\n")), "{status}");
        cage("start").says(MARK).prints(&format!("{name}\n"));
        cage("run -- pwd").prints(&format!("{there}\n"));
        cage("check");
        let sub = dir.join("sub");
        world.cage("run -- pwd").dir(&sub).env("PWD", pwd.join("sub")).ok().prints(&format!("{there}/sub\n"));
    }
    world.cage("stop").ok().says(&format!("Stopping {name}"));
    // Code in another cage may have changed the link since.
    world.cage("start").exits(1).says("a path with a link").says("`cage restart`");
    world.cage("restart").ok().says(&format!("using {name}, which the script made"));
    assert_eq!(world.cages().join(" "), canonical);
    world.cage("run -- pwd").ok().prints(&format!("{}\n", world.project.display()));
    world.cage("rm").ok();

    let name = script_starts(world, &path, "", IMAGE);
    world.cage("rm").ok().says(&format!("removing {name}"));
    world.cage("rm").exits(1).says("No container for");
    // Another directory is at the end of the link now.
    script_starts(world, &path, "", IMAGE);
    fs::remove_file(&link).unwrap();
    symlink("/", &link).unwrap();
    world.cage("status").ok().begins(&format!("Container: {canonical}\nState:     none\n"));
}

fn a_mount_that_is_gone_is_never_made(world: &World) {
    let gone = world.root().join("gone");
    world.write(&gone.join("file"), "");
    let is_away = || {
        fs::remove_dir_all(&gone).unwrap();
    };
    // cage's own cage, with an argument for the engine.
    world.cage(&format!("start -- -v {}:/gone", gone.display())).ok();
    world.cage("stop").ok();
    is_away();
    world.cage("start").exits(1).says(&format!("mounts {}, which is gone", gone.display())).says("--fresh");
    assert!(!gone.exists());
    world.cage("rm").ok();

    // A new cage that can't start puts the old one back, but not with a directory in place of a mount.
    world.write(&gone.join("file"), "");
    script_starts(world, &world.project, &format!("-v {}:/gone", gone.display()), IMAGE);
    is_away();
    let broken = world.build("broken", "ENTRYPOINT [\"/no/such/program\"]");
    let ran = world.cage(&format!("restart --image {broken}")).exits(1);
    ran.says(&format!("`-v {}:/gone`: its source is gone", gone.display()))
        .says("stays stopped, because it mounts");
    assert!(!gone.exists() && world.cages() == [world.name()]);
    world.cage("restart").ok();
    assert!(!gone.exists() && world.state() == "running");
}

fn a_home_moves_from_docker_to_podman(world: &World) {
    let volume = world.volume();
    let docker = |words: &str| sh(world, &format!("docker {words}"));
    if docker(&format!("image inspect {IMAGE}")).run().code != 0 {
        return absent("docker", "no answer, or no image");
    }
    // A home that docker has, with all kinds of files.
    let fill =
        "mkdir -m 700 .d && echo key >.d/key && chmod 600 .d/key && ln -s .d/key link && chown -hR 501:20 .";
    let filled = docker(&format!("run --rm --user 0 -w /h -v {volume}:/h {IMAGE} sh -c '{fill}'")).run();
    let moved = sh(
        world,
        &documented(world, &["docker run --rm --user 0 --entrypoint tar", "podman run", "rm home.tar"]),
    )
    .run();
    docker(&format!("volume rm {volume}")).ok();
    assert!(filled.code == 0 && moved.code == 0, "{filled} {moved}");
    world.cage("start").ok();
    world
        .inside("cat ~/link && echo more >>~/.d/key && stat -c %a ~/.d ~/.d/key")
        .ok()
        .prints("key\n700\n600\n");
}

/// Runs the command that `cage dstart` prints, and talks to the engine from inside.
fn what_is_told_instead_of_dstart_works(world: &World) {
    let told = world.cage("dstart").exits(2).says("controls your machine").says("docs/from-the-script.md");
    if !world.engine.is_docker() {
        return;
    }
    let typed = told.err.split("type it: 'cage ").nth(1).unwrap().split("'\n").next().unwrap();
    world.cage(typed).ok().says("control of this machine");
    world.cage("run -- sh -c 'test -S /var/run/docker.sock && test -w /var/run/docker.sock'").ok();
}

fn upgrade_takes_over_what_the_script_made(world: &World) {
    let image = world.registry_image();
    world.push(IMAGE, &image);
    world.engine(&format!("pull {image}")).ok();
    let data = world.root().join("data");
    world.write(&data.join("file"), "");
    script_starts(world, &world.project, &format!("-v {}:/data", data.display()), &image);
    let id = world.container_id();
    // The image is that of the old cage, unless CAGE_IMAGE is set.
    let upgrade = || world.cage("upgrade").env("CAGE_IMAGE", "").ok();
    upgrade().says("already on the latest image");
    assert_eq!(world.container_id(), id);
    world.push(&world.build("newer", "LABEL newer=1"), &image);
    upgrade().says("Removing old container").says(&format!("script's cage: -v {}:/data", data.display()));
    world.inside("test -e /data/file").ok();
    assert_ne!(world.container_id(), id);
}
