//! Row 25: a file that programs of this machine run or trust, or a directory with one, is mounted writable.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::text;
use crate::common::{is_root, skipped};
use crate::lab::{Engine, PATH, World, run};

on_each_engine!(a_dotfile_is_not_mounted_writable);

on_each_engine!(clients: nor_is_a_directory_with_sockets_mounted);

on_each_engine!(clients: nor_is_a_directory_where_a_shell_finds_programs);

#[test]
fn nor_is_one_of_the_person_behind_sudo() {
    run(Engine::Docker, false, person_behind_sudo);
}

fn a_dotfile_is_not_mounted_writable(world: &World) {
    let home = world.home.clone();
    let config = home.join(".gitconfig");
    world.write(&config, "[user]\n");
    world.write(&home.join(".config/git/config"), "");
    world.write(&home.join(".claude/settings.json"), "{}");
    world.write(&home.join("notes/x"), "");
    // A dotfile manager's.
    world.write(&home.join("dotfiles/profile"), "");
    std::os::unix::fs::symlink(home.join("dotfiles/profile"), home.join(".profile")).unwrap();

    // The control: the engine alone lets the container write it.
    let mount = format!("type=bind,source={},target=/x", config.display());
    world.engine(&format!("run --rm --user 0 --mount {mount} cage-lab sh -c 'echo planted >>/x'")).ok();
    assert!(text(&config).contains("planted"));
    fs::write(&config, "[user]\n").unwrap();

    for source in [".gitconfig", ".config", ".config/git", ".claude", "dotfiles", "dotfiles/profile", ""] {
        let source = home.join(source).display().to_string();
        let refused = world.cage(&format!("start -d -v {source}:/x")).exits(1);
        refused.says("can't be writable: ").says("hint: add `:ro`");
        world.cage(&format!("run -v {source}:/x:rw true")).exits(125);
    }
    // Hidden files and directories that cage has not heard of, and one that a link among settings leads to.
    world.write(&home.join(".unheard-of"), "");
    world.write(&home.join(".unknown/bin/tool"), "");
    world.write(&home.join(".config/unknown/key"), "");
    world.write(&home.join(".local/share/unknown/startup.sh"), "");
    world.write(&home.join("linked/options.lua"), "");
    world.mkdir(&home.join(".config/nvim/lua"));
    std::os::unix::fs::symlink(home.join("linked/options.lua"), home.join(".config/nvim/lua/o.lua")).unwrap();
    let unknown = [".unheard-of", ".unknown", ".unknown/bin", ".config/unknown", ".local/share/unknown"];
    for source in unknown.into_iter().chain(["linked", "linked/options.lua"]) {
        let source = home.join(source).display().to_string();
        world.cage(&format!("start -d -v {source}:/x")).exits(1).says("can't be writable: ");
    }
    world.cage("start -d -v /etc:/x").exits(1).says("can't be writable: it is a system directory");
    assert!(world.cages().is_empty());

    let (config, notes) = (config.display(), home.join("notes"));
    world.cage(&format!("start -d -v {config}:/x:ro -v {}:/notes", notes.display())).ok();
    world.cage("run sh -c 'echo planted >>/x'").run();
    assert_eq!(text(&home.join(".gitconfig")), "[user]\n");
    world.cage(&format!("restart --allow-dangerous-dir -v {config}:/x")).ok();
    world.cage("run sudo sh -c 'echo chosen >>/x'").ok();
    assert!(text(&home.join(".gitconfig")).contains("chosen"));
}

fn nor_is_a_directory_where_a_shell_finds_programs(world: &World) {
    let (tools, conda) = (world.home.join("tools/bin"), world.home.join("miniconda3"));
    let own = world.project.join("node_modules/.bin");
    for dir in [&tools, &conda.join("bin"), &own] {
        world.program(&dir.join("tool"), "#!/bin/sh\n");
    }
    let path = format!("{}:{}:{PATH}", own.display(), tools.display());
    let cage = |words: &str| world.cage(words).env("PATH", &path);
    for (source, why) in [
        (tools.join("tool"), "your shell looks for programs in "),
        (world.home.join("tools"), "your shell looks for programs in "),
        (conda.join("bin"), "/miniconda3 counts on this machine"),
    ] {
        let mount = format!("-v {}:/x", source.display());
        cage(&format!("start -d {mount}")).exits(1).says("can't be writable: ").says(why);
        cage(&format!("start -d --dry-run {mount}:ro")).ok();
    }
    // What is in the project is the project's own, and the project itself is none of the user's directories.
    cage(&format!("start -d -v ./node_modules:/own -v {}:/x:ro", tools.display())).ok();
    cage("rm").ok();
    // The control: without the variable nobody knows, and this is what the cage could do.
    world.cage(&format!("start -d -v {}:/x", tools.display())).ok();
    world.cage("run -- sh -c 'echo echo planted >>/x/tool'").ok();
    world.call(tools.join("tool"), &[]).ok().prints("planted\n");
}

/// A read-only mount, too.
fn nor_is_a_directory_with_sockets_mounted(world: &World) {
    if Command::new("tmux").arg("-V").output().is_err() {
        return skipped(world.engine, "no tmux");
    }
    let dir = world.root().join("tmux");
    world.mkdir(&dir);
    let tmux = |words: &str| {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        world.call("tmux", &words).env("TMUX_TMPDIR", &dir).ok()
    };
    tmux("-f /dev/null new-session -d");
    let sockets = tmux("display-message -p #{socket_path}").out.trim_end().to_owned();
    let sockets = Path::new(&sockets).parent().unwrap().display();
    let shots = world.root().join("shots");
    world.mkdir(&shots);
    let refused = |source: &str| {
        for mode in ["", ":ro"] {
            let refused = world.cage(&format!("start -d -v {source}:/x{mode}")).exits(1);
            refused.says("can't be mounted, not even read-only: ").says("hint: mount only the directory");
        }
    };
    refused("/tmp");
    refused(&sockets.to_string());
    refused(&dir.display().to_string());
    assert!(world.cages().is_empty());
    let told = "gives the cage control of programs of this machine through the socket ";
    world.cage(&format!("start -d -v {}:/x", shots.display())).ok().says_not(told);
    world.cage("rm").ok();
    // The control: the server listens to code in the cage in spite of the read-only mount.
    world.cage(&format!("start -d --allow-dangerous-dir -v {sockets}:/x:ro")).ok().says(told);
    assert!(world.cage("status").ok().out.contains(told));
    world.inside("perl -MIO::Socket::UNIX -e 'exit !IO::Socket::UNIX->new(q(/x/default))'").ok();
    world.cage("rm").ok();
    tmux("kill-server");
}

/// Also of row 3.
fn person_behind_sudo(world: &World) {
    if !is_root() {
        return skipped("sudo", "needs root");
    }
    let person = world.root().join("person");
    let at = |path: &str| person.join(path).display().to_string();
    for file in [".bashrc", ".ssh/id", "bin/tool", "linked/options.lua", "settings/git", "app/x", "notes/x"] {
        world.write(&person.join(file), "private\n");
    }
    world.mkdir(&person.join(".config/nvim"));
    world.write(&person.join(".unheard-of"), "");
    std::os::unix::fs::symlink(person.join("linked/options.lua"), person.join(".config/nvim/o.lua")).unwrap();
    world.write(&person.join(".gitconfig"), "[include]\npath = ~/settings/git\n");
    let users = world.root().join("passwd");
    let own = "root:x:0:0:root:/root:/bin/sh";
    world.write(&users, &format!("{own}\nperson:x:4321:4321::{}:/bin/sh\n", person.display()));
    let know_person = format!("mount --bind {} /etc/passwd", users.display());
    let by = |names: &[(&str, &str)], words: &str| {
        let call = world.changed(&know_person, &world.cage_command(words));
        names.iter().fold(call, |call, (name, value)| call.env(name, value))
    };
    let sudo = |words: &str| by(&[("SUDO_UID", "4321"), ("SUDO_GID", "4321")], words);

    // The control: as root, the places belong to somebody else, and this is what code in a cage can do there.
    let (config, key) = (at(".bashrc"), at(".ssh"));
    by(&[], &format!("start -d -v {config} -v {key}")).ok();
    world.inside(&format!("cat {key}/id && echo planted | sudo tee -a {config}")).ok().begins("private");
    assert!(text(&person.join(".bashrc")).contains("planted"));
    world.cage("rm").ok();

    for source in [".bashrc", ".ssh", "bin", "linked", ".unheard-of", "settings", "settings/git", ""] {
        let refused = sudo(&format!("start -d -v {}:/x", at(source))).exits(1);
        refused.says("--allow-dangerous-dir if you mean it");
    }
    for project in ["", ".ssh", "bin", "linked", "settings"] {
        let words = format!("-C {} start --dry-run", at(project));
        by(&[], &words).ok();
        sudo(&words).exits(1).says("--allow-dangerous-dir");
    }
    // Other programs tell the person otherwise.
    for names in [[("PKEXEC_UID", "4321")], [("DOAS_USER", "person")], [("SUDO_USER", "person")]] {
        by(&names, &format!("start -d -v {config}:/x")).exits(1).says("can't be writable: ");
    }
    sudo("start -d --dry-run").env("SUDO_UID", "1234").env("SUDO_HOME", &person).dir(&person).exits(1);
    assert!(world.cages().is_empty());
    // The rest of the home is as ever.
    sudo(&format!("-C {} start -d -v {config}:/x:ro -v {}:/notes", at("app"), at("notes"))).ok();
}
