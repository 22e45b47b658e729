//! Intended differences from the original script, on real engines. The numbers are those of the list of
//! differences.

use std::fs;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::thread;
use std::time::Duration;

use super::lab::World;
use crate::common::{eventually, free_port, skipped};

on_each_engine!(
    mounts_are_writable_or_read_only_as_requested,
    a_paused_container_is_unpaused,
    rmconfig_empties_a_home_that_is_in_use,
    a_taken_port_is_named_and_no_container_left,
    what_is_missing_or_taken_is_found_before_the_old_cage_ends,
    ports_are_published_on_localhost
);

on_each_engine!(
    clients:
    one_directory_has_one_cage_by_any_path,
    an_existing_image_is_used_offline,
    restart_keeps_options_unless_fresh,
    stop_sends_a_signal_that_ends_shells,
    concurrent_starts_create_one_cage,
    a_created_container_is_started,
    a_broken_image_keeps_the_old_cage,
    an_unreachable_registry_keeps_the_old_cage,
    env_files_set_variables_inside,
    a_replaced_project_directory_is_detected,
    anonymous_volumes_are_removed_with_the_cage,
);

/// 1
fn one_directory_has_one_cage_by_any_path(world: &World) {
    let link = world.root().join("link");
    symlink(&world.project, &link).unwrap();
    let name = world.cage("start").ok().out;
    world.cage("start").dir(&link).ok().prints(&name);
    // A shell keeps the logical path in PWD.
    world.cage("start").dir(&link).env("PWD", &link).ok().prints(&name);
    world.cage(&format!("-C {} start", link.display())).dir(&world.home).ok().prints(&name);
    world.cage("-C ../link/./. start").ok().prints(&name);
    assert_eq!(world.cages().len(), 1);
}

fn mounts_are_writable_or_read_only_as_requested(world: &World) {
    let data = world.root().join("a b:c,d");
    world.write(&data.join("file"), "data");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).unwrap();
    let named = world.extra_volume();
    let script =
        "cat /rw/file /ro/file && touch /rw/new && ! touch /ro/never && sudo touch /named/kept /anonymous/x";
    let mounts = format!("-v '{0}:/rw' -v '{0}:/ro:ro' -v {named}:/named -v /anonymous", data.display());
    world.cage(&format!("run {mounts} -- sh -c {}", shell_words::quote(script))).ok().prints("datadata");
    assert!(data.join("new").exists() && !data.join("never").exists());
    world.cage("restart").ok();
    world.inside("test -e /named/kept && test ! -e /anonymous/x").ok();
}

/// 6
fn an_existing_image_is_used_offline(world: &World) {
    // Nothing listens on port 1.
    let image = format!("127.0.0.1:1/{}:latest", world.id);
    world.cage("start").env("CAGE_IMAGE", &image).exits(1).says(&image);
    assert!(world.cages().is_empty());

    world.engine(&format!("tag cage-lab {image}")).ok();
    world.will_remove_image(&image);
    world.cage("start").env("CAGE_IMAGE", &image).ok().says("cage: warning: could not pull");
    assert_eq!(world.state(), "running");
}

/// 10
fn restart_keeps_options_unless_fresh(world: &World) {
    let (first, second) = (free_port(), free_port());
    world.write(&world.project.join("data/file"), "");
    world.cage(&format!("start -p {first}:80 -v ./data:/it\\'s:ro")).ok();
    let status = || world.cage("status").ok().out;
    let has_mount = || world.inside("test -e \"/it's/file\"").run().code == 0;
    assert!(status().contains(&format!("  80/tcp -> 127.0.0.1:{first}\n")) && has_mount());

    // Options for an existing cage are reported one by one and change nothing.
    let told = world.cage(&format!("start -p {first}:80 -p {second}:81 -v /new")).ok();
    let told = told.says(&format!("`cage restart -p {second}:81` applies it"));
    let told = told.says("`cage restart -v /new` applies it");
    assert_eq!(told.err.lines().count(), 2, "{told}");
    assert!(!status().contains(&second.to_string()));

    world.cage("restart").ok();
    assert!(status().contains(&format!("  80/tcp -> 127.0.0.1:{first}\n")) && has_mount());
    world.cage(&format!("restart -p {second}:81")).ok();
    assert!(
        status().contains(&format!("127.0.0.1:{first}\n  81/tcp -> 127.0.0.1:{second}\n")) && has_mount()
    );
    world.cage("restart --fresh").ok();
    assert!(status().contains("(none)") && !has_mount());
}

/// 11; the saved history is tested at a terminal.
fn stop_sends_a_signal_that_ends_shells(world: &World) {
    let bash = world.build("bash", "CMD [\"bash\", \"-l\"]");
    let edits_a_line = |name: &str| {
        // A shell that is not interactive yet ends with any signal.
        let look = format!("exec --user 0 {name} stty -a -F /dev/console");
        eventually("the shell edits a line", || world.engine(&look).run().out.contains("-icanon"));
    };
    let was_killed = |name: &str| world.inspect_container(name, "{{.State.ExitCode}}") == "137";
    for image in ["cage-lab", &bash] {
        // The control: an engine's own stop signal does not end it; the engine waits and kills it.
        let plain = format!("{}-plain", world.id);
        world.will_remove_container(&plain);
        world.engine(&format!("run --detach --interactive --tty --name {plain} {image}")).ok();
        edits_a_line(&plain);
        world.engine(&format!("stop -t 1 {plain}")).ok();
        assert!(was_killed(&plain), "{image} stops by itself");
        world.removal(&plain).ok();

        world.cage("start").env("CAGE_IMAGE", image).ok();
        edits_a_line(&world.name());
        world.cage("stop").ok();
        assert!(!was_killed(&world.name()), "{image}");
        world.cage("rm").ok();
    }
}

/// 14
fn concurrent_starts_create_one_cage(world: &World) {
    let name = format!("{}\n", world.name());
    for count in [2, 20] {
        thread::scope(|scope| {
            let starts: Vec<_> =
                (0..count).map(|_| world.cage("start -d")).map(|call| scope.spawn(|| call.run())).collect();
            for start in starts {
                let ran = start.join().unwrap();
                assert!(ran.code == 0 && ran.out == name, "{ran}");
            }
        });
        assert_eq!((world.cages().len(), world.state()), (1, "running".into()));
        world.cage("rm").ok();
    }
}

/// 15
fn a_created_container_is_started(world: &World) {
    let create = || {
        let (name, label, path) = (world.name(), world.label(), world.project.display());
        world.engine(&format!("create -it --name {name} --label {label}={path} cage-lab")).ok();
    };
    create();
    let id = world.container_id();
    world.cage("stop").ok().says("is already stopped");
    world.cage("shell").exits(1).says("is not running");
    world.cage("start").ok();
    assert_eq!((world.container_id(), world.state()), (id, "running".into()));
    world.cage("rm").ok();
    create();
    world.cage("rm").ok();
    assert!(world.cages().is_empty());
}

/// 15
fn a_paused_container_is_unpaused(world: &World) {
    world.cage("start").ok();
    let (name, id) = (world.name(), world.container_id());
    let pause = || world.engine(&format!("pause {name}")).run();
    let paused = pause();
    let impossible =
        ["can not pause containers on rootless containers with cgroup V1", "cgroups not configured"];
    if world.engine.is_rootless() && impossible.iter().any(|words| paused.err.contains(words)) {
        return skipped(world.engine, "this machine can't pause rootless containers");
    }
    assert_eq!((paused.code, world.state().as_str()), (0, "paused"));
    world.cage("status").ok().begins(&format!("Container: {name}\nState:     paused\nPorts:     (none)\n"));
    world.cage("start").ok().says(&format!("cage: Unpausing {name}\n"));
    assert_eq!((world.container_id(), world.state()), (id.clone(), "running".into()));
    pause();
    world.cage("run echo hi").ok().prints("hi\n");
    pause();
    world.cage("shell").stdin("echo hi\n").ok().prints("hi\n");
    pause();
    world.cage("stop").ok();
    assert_eq!((world.container_id(), world.state()), (id, "exited".into()));
    world.cage("start").ok();
    pause();
    world.cage("restart").ok();
    assert_eq!(world.state(), "running");
    pause();
    world.cage("rm").ok();
    assert!(world.cages().is_empty());
}

/// 21
fn rmconfig_empties_a_home_that_is_in_use(world: &World) {
    let second = world.root().join("second");
    world.mkdir(&second);
    world.cage("run -- sh -c 'touch ~/mine ~/.hidden; mkdir -p ~/dir/sub; echo changed >~/.zshrc'").ok();
    // More than fit into one command.
    world.inside("cd ~ && seq -f %0200.f 15000 | xargs touch && ! rm -- *").ok();
    world.cage("start").dir(&second).ok();
    world.cage("stop").dir(&second).ok();
    world.cage("rmconfig --yes").dir(&world.home).ok();
    assert_eq!((world.state().as_str(), world.cages().len()), ("exited", 2));

    world.cage("start").ok();
    world.inside("cd ~ && test ! -e mine && test ! -e .hidden && test ! -e dir").ok();
    world
        .inside("grep -q 'PROMPT=' ~/.zshrc && touch ~/new && stat -c %U ~ ~/.zshrc")
        .ok()
        .prints("vscode\nvscode\n");
    world.cage("run cat /home/vscode/new").dir(&second).ok();
}

/// 23
fn a_broken_image_keeps_the_old_cage(world: &World) {
    world.cage("start").ok();
    let (name, id) = (world.name(), world.container_id());
    let absent = format!("{}-absent", world.id);
    world.cage("restart").env("CAGE_IMAGE", &absent).exits(1).says(&absent);
    assert_eq!(
        (world.container_id(), world.state(), world.cages()),
        (id.clone(), "running".into(), vec![name.clone()])
    );

    let broken = world.build("broken", "ENTRYPOINT [\"/no/such/program\"]");
    world.cage("restart").env("CAGE_IMAGE", &broken).exits(1);
    assert_eq!((world.container_id(), world.cages()), (id, vec![name]));
    world.cage("run echo alive").ok().prints("alive\n");

    // Without an old cage there is none afterwards.
    world.cage("rm").ok();
    world.cage("start").env("CAGE_IMAGE", &broken).exits(1);
    world.cage("run true").env("CAGE_IMAGE", &broken).exits(125);
    assert!(world.cages().is_empty());
}

/// 23
fn an_unreachable_registry_keeps_the_old_cage(world: &World) {
    world.cage("start").ok();
    let (name, id) = (world.name(), world.container_id());
    let image = format!("127.0.0.1:1/{}:latest", world.id);
    for command in ["restart", "upgrade"] {
        world.cage(command).env("CAGE_IMAGE", &image).exits(1).says(&image);
        let now = (world.container_id(), world.state(), world.cages());
        assert_eq!(now, (id.clone(), "running".into(), vec![name.clone()]));
    }
}

/// 24
fn a_taken_port_is_named_and_no_container_left(world: &World) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let words = format!("error: port 127.0.0.1:{port} is taken\n");
    world.cage(&format!("start -p {port}:80")).exits(1).says(&words).says("hint: ");
    world.cage(&format!("run -p {port}:80 true")).exits(125).says(&words);
    assert!(world.cages().is_empty());
    let free = free_port();
    world.cage(&format!("start -p {free}:80")).ok();
    let (name, id) = (world.name(), world.container_id());
    world.cage(&format!("restart -p {port}:81")).exits(1).says(&words);
    assert_eq!((world.container_id(), world.cages()), (id, vec![name]));
    world.cage("start").ok();
    drop(taken);
    world.cage(&format!("restart -p {port}:81")).ok();
    world.cage("status").ok().begins(&format!(
        "Container: {}\nState:     running\nPorts:\n  80/tcp -> 127.0.0.1:{free}\n  81/tcp -> 127.0.0.1:{port}\n",
        world.name()
    ));
}

fn what_is_missing_or_taken_is_found_before_the_old_cage_ends(world: &World) {
    // Two ports in a row, of which the second is taken.
    let (first, tcp) = loop {
        let first = free_port();
        if let Ok(tcp) = TcpListener::bind(("127.0.0.1", first + 1)) {
            break (first, tcp);
        }
    };
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let data = world.root().join("data");
    world.mkdir(&data);
    let free = free_port();
    world.cage(&format!("start -p {free}:80 -v {}:/data", data.display())).ok();
    let begun = || world.inspect("{{.Id}} {{.State.Pid}} {{.State.StartedAt}}");
    let before = begun();
    let (tcp_port, udp_port) = (first + 1, udp.local_addr().unwrap().port());
    let image = format!("{}-nowhere", world.id);
    let taken = |port: u16| format!("port 127.0.0.1:{port} is taken");
    for (options, words) in [
        (format!("-p {tcp_port}:81"), taken(tcp_port)),
        (format!("-p {first}-{tcp_port}:81-82"), taken(tcp_port)),
        (format!("-p {udp_port}:81/udp"), taken(udp_port)),
        (format!("-- -p 127.0.0.1:{tcp_port}:81"), taken(tcp_port)),
        ("-p 10.99.99.99:4567:81".to_owned(), "port 10.99.99.99:4567 can't be published".to_owned()),
        (format!("--image {image}"), "the image is not on this machine".to_owned()),
    ] {
        let ran = world.cage(&format!("restart {options}")).exits(1).says(&words).says_not("Creating ");
        ran.says("hint: ").says_not("programs have ended");
        assert_eq!(begun(), before, "{options}");
    }
    fs::remove_dir(&data).unwrap();
    world.cage("restart").exits(1).says(&data.display().to_string());
    assert_eq!(begun(), before);
    world.mkdir(&data);
    // Its own port and that of the same number for another protocol are no obstacle.
    world.cage(&format!("restart -p 0.0.0.0:{free}:80 -p {tcp_port}:80/udp")).ok();
    assert_ne!(begun(), before);
    drop(tcp);
    world.cage(&format!("restart -p {tcp_port}:81")).ok();
}

/// 25
fn ports_are_published_on_localhost(world: &World) {
    let (private, public) = (free_port(), free_port());
    world.cage(&format!("start -p {private}:8080 -p 0.0.0.0:{public}:8080")).ok();
    let serve = "zmodload zsh/net/tcp; ztcp -l 8080; l=$REPLY; while ztcp -a $l; do echo hi >&$REPLY; ztcp -c $REPLY; done";
    world.engine(&format!("exec -d {} zsh -c '{serve}'", world.name())).ok();
    let answer = |address: &str, port: u16| {
        let mut answer = String::new();
        let stream = TcpStream::connect((address, port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        (&stream).read_to_string(&mut answer).ok()?;
        Some(answer)
    };
    eventually("the server in the cage answers", || answer("127.0.0.1", private).as_deref() == Some("hi\n"));
    let outside = outside_address();
    eventually("the public port answers from outside", || {
        answer(&outside, public).as_deref() == Some("hi\n")
    });
    assert_eq!(answer(&outside, private), None);
    let bindings = world.inspect("{{json .HostConfig.PortBindings}}");
    assert!(bindings.contains(&format!(r#"{{"HostIp":"127.0.0.1","HostPort":"{private}"}}"#)), "{bindings}");
}

/// Returns an address of this machine that other machines could use.
fn outside_address() -> String {
    // Nothing is sent: this only selects a local address.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").unwrap();
    socket.local_addr().unwrap().ip().to_string()
}

/// 26, env files
fn env_files_set_variables_inside(world: &World) {
    let print =
        "run -- sh -c 'printf \"%s|\" \"$A\" \"$B\" \"$C\" \"$UV_PROJECT_ENVIRONMENT\" \"$SSH_AUTH_SOCK\"'";
    let socket_inside = "/run/host-services/ssh-auth.sock";
    let ran = world.cage(print).ok().out;
    assert!(ran.starts_with("|||.cage-venv|"), "{ran}");

    let socket = world.root().join("agent");
    let _agent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    world.write(&world.home.join(".config/cage/env"), "# mine\nA=global\nB=global\n");
    let file = "B=project \"q\" $HOME\nC=a=b\nUV_PROJECT_ENVIRONMENT=.venv\nSSH_AUTH_SOCK=/tmp/stolen";
    world.write(&world.project.join(".cage.env"), file);
    let expected = format!("global|project \"q\" $HOME|a=b|.venv|{socket_inside}|");
    world.cage("restart").env("SSH_AUTH_SOCK", &socket).ok();
    world.cage(print).ok().prints(&expected);
    assert!(!world.cage("restart --dry-run").ok().out.contains("stolen"), "values are not for the screen");

    // Values that other programs read otherwise are used as they are, and told when the cage is made.
    world.write(&world.project.join(".cage.env"), "\nA=\"secret\" # ~\nCAGE_IMAGE=x\n");
    let told = world.cage("restart").ok().says(".cage.env, line 2: the quotes are a part of the value of A");
    told.says(".cage.env, line 2: ` #`").says(".cage.env, line 3: CAGE_IMAGE sets").says_not("secret");
    world.cage("start").ok().says_not("line 2");
    world.cage("run -- sh -c 'printf %s \"$A\"'").ok().prints("\"secret\" # ~");

    let (id, key) = (world.container_id(), "-----BEGIN KEY-----\nsecret\n-----END KEY-----");
    world.write(&world.project.join(".cage.env"), &format!("A=1\nKEY=\"{key}\"\n"));
    let ran =
        world.cage("restart").exits(1).says(".cage.env, line 2: the value of KEY continues on the next line");
    ran.says("hint: a value has one line").says("-v FILE").says("base64").says_not("secret");
    let ran = world
        .cage("restart -e KEY")
        .env("KEY", key)
        .exits(1)
        .says("the value of KEY has line breaks\nhint: ");
    ran.says_not("secret");
    assert_eq!(world.container_id(), id);

    world.write(&world.project.join(".cage.env"), "NO NAME=x\n");
    let id = world.container_id();
    world.cage("restart").exits(1).says(".cage.env, line 1: ");
    assert_eq!(world.container_id(), id);
}

/// 27
fn a_replaced_project_directory_is_detected(world: &World) {
    world.cage("start").ok();
    world.cage("start").ok().says_not("replaced");
    fs::remove_dir_all(&world.project).unwrap();
    // Keeps the inode number in use.
    world.mkdir(&world.root().join("in-between"));
    world.write(&world.project.join("new"), "");
    let name = world.name();
    world.cage("start").ok().says("was replaced").says("`cage restart`");
    world.cage("shell").stdin("true\n").exits(1).says("was replaced").says("`cage restart`");
    world.cage("run true").exits(125).says("was replaced").says("`cage restart`");
    let moved = world.engine(&format!("exec --workdir {} {name} ls", world.project.display())).run();
    assert_ne!((moved.code, moved.out.as_str()), (0, "new\n"), "the control: the engine has lost it");
    world.cage("restart").ok().says_not("replaced");
    world.cage("run ls").ok().prints("new\n");
}

/// 28
fn anonymous_volumes_are_removed_with_the_cage(world: &World) {
    let image = world.build("volume", "VOLUME /cache");
    let volumes = || {
        let mounts = world.inspect("{{range .Mounts}}{{println .Name}}{{end}}");
        mounts.lines().filter(|name| name.len() == 64).map(str::to_owned).collect::<Vec<_>>()
    };
    let exists = |volume: &str| world.engine(&format!("volume inspect {volume}")).run().code == 0;
    for command in ["rm", "restart", "obliterate --yes"] {
        world.cage("start").env("CAGE_IMAGE", &image).ok();
        let mine = volumes();
        assert!(mine.len() == 1 && exists(&mine[0]), "the control: there is one");
        world.cage(command).env("CAGE_IMAGE", &image).ok();
        assert!(!exists(&mine[0]), "{command} left it");
    }
}
