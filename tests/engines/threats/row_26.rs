//! Row 26: programs that engines start, some as root, are found in the project by way of PATH.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::text;
use crate::common::free_port;
use crate::emulator::Emulator;
use crate::lab::{PATH, World};

on_each_engine!(programs_in_the_project_are_not_what_engines_start, nor_is_a_home_in_the_project_believed);
on_each_engine!(clients: the_shell_beside_an_attached_client_loads_nothing_from_the_project);

/// Programs that one engine or another looks for in PATH.
const HELPERS: &str = "iptables ip6tables nft conmon runc crun catatonit slirp4netns pasta netavark aardvark-dns fuse-overlayfs \
                       newuidmap newgidmap ssh docker-credential-planted";

/// An image that has to be asked for, with a look at the credentials.
const ABSENT: &str = "127.0.0.1:5000/cage/absent:latest";

fn programs_in_the_project_are_not_what_engines_start(world: &World) {
    let canary = world.home.join("canary");
    let bin = world.project.join("bin");
    for name in HELPERS.split_ascii_whitespace() {
        let script =
            format!("#!/bin/sh\necho {name} >>{}\nPATH={PATH} exec {name} \"$@\"\n", canary.display());
        world.program(&bin.join(name), &script);
        world.program(&world.project.join(name), &script);
    }
    world.write(&world.home.join(".docker/config.json"), r#"{"credsStore":"planted"}"#);
    let links = world.home.join("links");
    symlink(&bin, &links).unwrap();
    let elsewhere = world.root().join("elsewhere");
    world.mkdir(&elsewhere);

    let paths =
        [bin.display().to_string(), links.display().to_string(), "bin".into(), ".".into(), String::new()];
    let ran = || {
        let ran = text(&canary);
        let _ = fs::remove_file(&canary);
        ran
    };
    for (number, path) in paths.iter().enumerate() {
        let path = format!("{path}:{PATH}");
        // The control: the engine alone starts some of them. It resolves relative entries or refuses them.
        let port = free_port();
        world.engine(&format!("run --rm -p 127.0.0.1:{port}:80 cage-lab true")).env("PATH", &path).run();
        world.engine(&format!("pull {ABSENT}")).env("PATH", &path).run();
        let alone = ran();
        assert!(number > 1 || !alone.is_empty(), "{path}: the engine starts none");

        let cage = |words: &str| world.cage(words).env("PATH", &path);
        let start = format!("start -d -p {port}:80");
        let every = [start.as_str(), "run true", "restart", "status", "list", "stop", "run true", "rm"];
        for words in if number == 0 { &every[..] } else { &["run true", "rm"] } {
            cage(words).ok();
            assert_eq!(ran(), "", "{path}: {words}");
        }
        cage("upgrade").env("CAGE_IMAGE", ABSENT).run();
        assert_eq!(ran(), "", "{path}: upgrade");
    }

    // Neither are those in the project of another cage.
    let path = format!("{}:{PATH}", bin.display());
    world.cage("start -d").ok();
    world.cage("run true").dir(&elsewhere).env("PATH", &path).ok();
    world.cage("upgrade").dir(&elsewhere).env("PATH", &path).env("CAGE_IMAGE", ABSENT).run();
    assert_eq!(ran(), "");
    let planted = bin.join(world.engine.program());
    let script = format!(
        "#!/bin/sh\necho client >>{}\nPATH={PATH} exec {} \"$@\"\n",
        canary.display(),
        world.engine.program()
    );
    world.program(&planted, &script);
    let list = world.cage("list").dir(&elsewhere).env("PATH", &path).ok();
    list.says(&format!("cage: warning: not used: {} is in ", planted.display()));
    assert_eq!(ran(), "");
    // What was planted stays when the cage is gone.
    world.cage("rm").ok();
    world.cage("rm").dir(&elsewhere).run();
    world.cage("start -d").dir(&elsewhere).ok();
    world.cage("list").dir(&elsewhere).env("PATH", &path).ok().says("not used: ");
    assert_eq!(ran(), "");

    // Libraries and settings are as dangerous as programs.
    let client = super::client_that(world, &format!("echo \"$LD_LIBRARY_PATH\" >>{}", canary.display()));
    let status = |name: &str, value: &str| {
        world.cage("status").dir(&elsewhere).env("CAGE_RUNTIME", &client).env(name, value)
    };
    let outside = world.home.join("lib");
    world.mkdir(&outside);
    world.mkdir(&world.project.join("lib"));
    let lists = format!("{}:{}", world.project.join("lib").display(), outside.display());
    status("LD_LIBRARY_PATH", &lists).ok();
    assert!(ran().lines().all(|line| line == outside.display().to_string()));
    // A credential helper in Python, a wrapper in bash, an `ssh` with OpenSSL; and where layers and names of images are kept.
    for name in
        ["PYTHONPATH", "BASH_ENV", "OPENSSL_CONF", "TMPDIR", "XDG_CACHE_HOME", "SSL_CERT_DIR", "ANY_NAME"]
    {
        let client = super::client_that(world, &format!("echo \"${name}\" >>{}", canary.display()));
        for (value, expected) in
            [(world.project.join("lib"), String::new()), (outside.clone(), outside.display().to_string())]
        {
            let status = world.cage("status").dir(&elsewhere).env("CAGE_RUNTIME", &client);
            status.env(name, value.display().to_string()).ok();
            let ran = ran();
            assert!(!ran.is_empty() && ran.lines().all(|line| line == expected), "{name}: {ran}");
        }
    }
    let settings = [
        ("CONTAINERS_CONF", ""),
        ("CONTAINERS_STORAGE_CONF", ""),
        ("DOCKER_CONFIG", ""),
        ("XDG_CONFIG_HOME", ""),
        ("XDG_DATA_HOME", ""),
        ("REGISTRY_AUTH_FILE", ""),
        ("STORAGE_OPTS", "overlay.ignore_chown_errors=true,overlay.mount_program="),
    ];
    for (name, start) in settings {
        let told = status(name, &format!("{start}{}", bin.display())).exits(1);
        told.says(&format!("{name} leads into {}, which code in a cage can write", world.project.display()));
        assert_eq!(ran(), "", "{name}");
    }
    world.cage("rm").dir(&elsewhere).ok();
}

fn nor_is_a_home_in_the_project_believed(world: &World) {
    let canary = world.home.join("canary");
    let (bin, home) = (world.project.join("bin"), world.project.join("home"));
    world.cage("start -d").ok();
    let script = format!("#!/bin/sh\necho client >>{}\nexit 1\n", canary.display());
    world.program(&bin.join(world.engine.program()), &script);
    world.mkdir(&home);
    let path = format!("{}:{PATH}", bin.display());
    let cage = |words: &str| world.cage(words).env("HOME", &home).env("PATH", &path);
    // The control: with such a home, nothing tells cage where its cages are.
    cage("list").dir(&world.root().join("home")).run();
    assert!(!text(&canary).is_empty());
    fs::remove_file(&canary).unwrap();

    let leads =
        |name: &str| format!("{name} leads into {}, which code in a cage can write", world.project.display());
    for words in ["list", "status", "check", "start -d", "restart"] {
        cage(words).exits(1).says(&leads("HOME"));
    }
    cage("run true").exits(125).says(&leads("HOME"));
    world.mkdir(&world.project.join("deep"));
    world.mkdir(&world.project.join(".git"));
    cage("list").dir(&world.project.join("deep")).exits(1).says(&leads("HOME"));
    let status = format!("-C {} status", world.project.display());
    cage(&status).dir(&world.home).exits(1).says(&leads("HOME"));
    // Code in the cage can remove what makes the directory above a project. Then cage's files in the user's real home tell.
    fs::remove_dir(world.project.join(".git")).unwrap();
    let users = world.root().join("users");
    let in_home = |real: &Path| {
        fs::write(&users, format!("me:x:{}:0::{}:/bin/sh\n", world.engine_user(), real.display())).unwrap();
        let call = world
            .changed(&format!("mount --bind {} /etc/passwd", users.display()), &world.cage_command("list"));
        call.dir(&world.project.join("deep")).env("HOME", &home).env("PATH", &path)
    };
    in_home(&world.root()).run();
    assert!(!text(&canary).is_empty(), "the control");
    fs::remove_file(&canary).unwrap();
    in_home(&world.home).exits(1).says(&leads("HOME"));
    // By way of a link, too.
    let link = world.root().join("link");
    symlink(&home, &link).unwrap();
    cage("list").env("HOME", &link).exits(1).says(&leads("HOME"));
    assert_eq!(text(&canary), "");

    // Nor are cage's own files, which say what was accepted, and what cages can write.
    world.cage("run touch .envrc").ok();
    world.cage("check").exits(3);
    let state = home.join("state");
    for words in ["check", "check --accept", "status"] {
        world.cage(words).env("XDG_STATE_HOME", &state).exits(1).says(&leads("XDG_STATE_HOME"));
    }
    assert!(!state.exists());
    let outside = world.root().join("state");
    world.cage("check").env("XDG_STATE_HOME", &outside).exits(3);
}

fn the_shell_beside_an_attached_client_loads_nothing_from_the_project(world: &World) {
    let lib = world.project.join("lib").display().to_string();
    let mut terminal = Emulator::run(world, "cage start", &[("LD_LIBRARY_PATH", &lib)]);
    terminal.types("echo in-$((1 + 1))").shows("in-2");
    let read = |process: &str, name: &str| {
        String::from_utf8_lossy(&fs::read(format!("/proc/{process}/{name}")).unwrap_or_default()).into_owned()
    };
    let processes: Vec<String> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .collect();
    let has = |process: &str| read(process, "environ").contains(&format!("LD_LIBRARY_PATH={lib}"));
    // The control: cage itself has the variable.
    let cage = processes.iter().find(|process| has(process) && read(process, "comm") == "cage\n").unwrap();
    let parent = format!("PPid:\t{cage}\n");
    let children: Vec<_> = processes.iter().filter(|it| read(it, "status").contains(&parent)).collect();
    assert!(children.iter().any(|child| read(child, "cmdline").contains("read -r _")), "the shell");
    assert!(!children.iter().any(|child| has(child)));
    terminal.types("exit").shows("code=");
}
