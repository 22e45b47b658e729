//! Row 3: the project is a directory with secrets, or one of the system's.

use std::os::unix::fs::symlink;

use super::the_engine_shows;
use crate::lab::World;
use crate::yours::{Agent, links, owner};

on_each_engine!(a_directory_with_secrets_is_refused_by_its_reason);

on_each_engine!(
    clients:
    what_is_nobodys_project_is_refused,
    so_is_one_where_links_of_the_home_lead,
    so_is_one_that_settings_of_git_and_ssh_name,
    so_is_one_that_holds_the_agents_socket,
    a_system_directory_is_refused_whatever_is_asked,
);

fn what_is_nobodys_project_is_refused(world: &World) {
    let link = world.root().join("link");
    symlink("/etc", &link).unwrap();
    let (home, link) = (world.home.display().to_string(), link.display().to_string());
    for dir in ["/etc", "/tmp", "/proc/self", &home, &link] {
        // Only tried, so that it would do no harm if it weren't refused.
        world.cage(&format!("-C {dir} start --dry-run")).exits(1).says("can't be a project");
        world.cage(&format!("-C {dir} run --dry-run true")).exits(125).says("can't be a project");
    }
    // All programs are in this one, and none of a project's own is an engine.
    world.cage("-C / start --dry-run").exits(1);
    // So is whatever the home is in. If it is the user's, the variable may be the project's own.
    let refused = world.cage(&format!("-C {} start --dry-run", world.root().display())).exits(1);
    let is_users = owner(&world.root()) == owner(&world.home);
    refused.says(if is_users { "HOME leads into " } else { "can't be a project" });
    // The control: the engine has nothing against it.
    assert!(the_engine_shows(world, "/etc".as_ref(), "passwd").contains("root:"));
    for target in ["/etc", "/etc/", "/etc/passwd", "/"] {
        world.cage(&format!("start -d -v .:{target}")).exits(2);
        world.cage(&format!("start -d -v x:{target}")).exits(2);
    }
    assert!(world.cages().is_empty() && !world.has_volume() && links(world).is_empty());
}

fn a_directory_with_secrets_is_refused_by_its_reason(world: &World) {
    let home = world.home.clone();
    world.write(&home.join(".ssh/keys/id"), "private key");
    world.write(&home.join(".config/cage/env"), "");
    world.write(&home.join(".config/nvim/lua/init.lua"), "");
    world.mkdir(&home.join("bin"));
    let link = world.root().join("by-a-link");
    symlink(home.join(".ssh"), &link).unwrap();
    let ssh = format!("{}/.ssh is", home.display());
    let inside = format!("{}/.ssh or in it, which is not for others", home.display());
    let cases = [
        (home.join(".ssh"), inside.as_str()),
        (home.join(".ssh/keys"), &inside),
        (link, &inside),
        (home.join(".config"), ".config/cage is in it, which is not for others"),
        (home.join(".config/cage"), ".config/cage or in it, which is not for others"),
        (home.join(".config/nvim/lua"), "/.config/nvim or in it, which counts on this machine"),
        (home.join("bin"), "/bin or in it, which counts on this machine as soon as it is written"),
        (home.clone(), "your whole home directory is in it, with your keys"),
    ];
    for (dir, why) in &cases {
        let cage = |words: &str| world.cage(&format!("-C {} {words}", dir.display()));
        let refused = cage("start -d").exits(1).says("can't be a project: ").says(why);
        refused.says("--allow-dangerous-dir");
        cage("run true").exits(125).says(why);
    }
    // Said once, it is not said for the next one: nothing on this machine remembers it.
    world.write(&home.join(".ssh/.cage.env"), "CAGE_ALLOW_DANGEROUS_DIR=1\n");
    world.cage("start -d").dir(&home.join(".ssh")).exits(1).says(&ssh[..ssh.len() - 3]);
    assert!(world.cages().is_empty() && !world.has_volume() && links(world).is_empty());

    // The controls: the engine has nothing against it, nor has cage when it is told.
    assert_eq!(the_engine_shows(world, &home.join(".ssh/keys"), "id"), "private key");
    for (dir, file) in [(home.join(".ssh"), "keys/id"), (home.clone(), ".ssh/keys/id")] {
        let cage = |words: &str| world.cage(&format!("-C {} {words}", dir.display()));
        cage("start -d --allow-dangerous-dir").ok();
        cage(&format!("run cat {file}")).ok().prints("private key");
        cage("restart").ok();
        cage("restart --fresh").exits(1).says("can't be a project");
        cage("rm").ok();
    }
    // What lies beside is a project like any other.
    world.mkdir(&home.join(".config/editor"));
    world.cage(&format!("-C {} run true", home.join(".config/editor").display())).ok();
}

fn so_is_one_where_links_of_the_home_lead(world: &World) {
    // As managers of dotfiles make them.
    let dotfiles = world.root().join("dotfiles");
    let cage = |words: &str| world.cage(&format!("-C {} {words}", dotfiles.display()));
    world.write(&dotfiles.join("cage-env"), "");
    world.write(&dotfiles.join("bashrc"), "");
    cage("run true").ok();
    cage("rm").ok();
    world.mkdir(&world.home.join(".config/cage"));
    for (link, file) in [(".bashrc", "bashrc"), (".config/cage/env", "cage-env")] {
        symlink(dotfiles.join(file), world.home.join(link)).unwrap();
        cage("start -d")
            .exits(1)
            .says(&format!("{}/{link} ", world.home.display()))
            .says("--allow-dangerous-dir");
        std::fs::remove_file(world.home.join(link)).unwrap();
    }
    // And as they link files one by one, some by way of another link.
    world.write(&dotfiles.join("file"), "");
    symlink(dotfiles.join("file"), dotfiles.join("way")).unwrap();
    for link in [
        ".ssh/config",
        ".docker/config.json",
        ".config/containers/containers.conf",
        ".claude/settings.json",
        ".config/nvim/lua/my/options.lua",
        ".config/unheard-of",
        ".unheard-of",
    ] {
        world.mkdir(world.home.join(link).parent().unwrap());
        for target in ["file", "way"] {
            symlink(dotfiles.join(target), world.home.join(link)).unwrap();
            let why = format!("{}/{link} leads there, and counts on this machine", world.home.display());
            cage("start -d").exits(1).says(&why).says("--allow-dangerous-dir");
            cage("run true").exits(125).says(&why);
            std::fs::remove_file(world.home.join(link)).unwrap();
        }
    }
    // The control: programs that are called by name, and other files, may be there.
    for link in [".local/bin/tool", "notes", "work/.hidden"] {
        world.mkdir(world.home.join(link).parent().unwrap());
        symlink(dotfiles.join("file"), world.home.join(link)).unwrap();
    }
    cage("run true").ok();
    cage("rm").ok();
    // The control: this is what the cage could do.
    symlink(dotfiles.join("cage-env"), world.home.join(".config/cage/env")).unwrap();
    cage("start -d --allow-dangerous-dir").ok();
    cage("run -- sh -c 'echo ROW3_TOKEN >cage-env'").ok();
    world
        .cage("run --allow-dangerous-dir printenv ROW3_TOKEN")
        .env("ROW3_TOKEN", "canary-4f1c")
        .ok()
        .prints("canary-4f1c\n");
    cage("rm").ok();
}

fn so_is_one_that_settings_of_git_and_ssh_name(world: &World) {
    // No link leads there.
    let dotfiles = world.home.join("dotfiles");
    let cage = |words: &str| world.cage(&format!("-C {} {words}", dotfiles.display()));
    world.write(&dotfiles.join("sub/more"), "");
    let (config, ssh) = (world.home.join(".gitconfig"), world.home.join(".ssh/config"));
    let dir = dotfiles.display().to_string();
    world.write(&world.home.join("elsewhere"), "[core]\neditor = vi\n");
    world.write(&world.home.join("other"), &format!("[alias]\nx = !cd {dir} && ./x\n"));
    for (file, line, why) in [
        (&config, "[include]\npath = dotfiles/sub/more", "include.path in your settings of git leads to"),
        (&config, "[include]\npath = ~/dotfiles/not-there-yet", "include.path in"),
        (
            &config,
            "[includeIf \"gitdir:/nowhere/\"]\npath = ~/dotfiles/sub/more",
            "includeif.gitdir:/nowhere/.path in",
        ),
        (&config, "[include]\npath = other", "alias.x in your settings of git leads to"),
        (&config, &format!("[core]\nhooksPath = {dir}/hooks"), "core.hookspath in"),
        (&config, "[credential]\nhelper = !$HOME/dotfiles/x", "credential.helper in"),
        (&config, "[diff \"a\"]\ntextconv = sh -c '~/dotfiles/x \\\"$1\\\"'", "diff.a.textconv in"),
        (&config, "[core]\nsshCommand = ssh -F~/dotfiles/x", "core.sshcommand in"),
        (&config, &format!("[core]\nsshCommand = env -S{dir}/x"), "core.sshcommand in"),
        (&ssh, &format!("Include {}/*files/n?/*", world.home.display()), "include in"),
        (&ssh, "Include ~/dotfiles/ssh/*.conf", "include in your settings of ssh leads to"),
        (&ssh, "Host none\n  ProxyCommand %d/dotfiles/x %h", "proxycommand in"),
        (&ssh, "Match host x exec \"dotfiles=~/dotfiles/x\"", "match in"),
    ] {
        world.write(file, line);
        cage("start -d").exits(1).says(why).says("counts on this machine").says("--allow-dangerous-dir");
        cage("run true").exits(125).says(why);
        // Neither may it be mounted for another project.
        world.cage(&format!("start -d -v {dir}:/mnt")).exits(1).says(why);
        std::fs::remove_file(file).unwrap();
    }
    // The file itself is there.
    world.write(&dotfiles.join("sub/git"), "");
    let start = cage("start -d").env("GIT_CONFIG_GLOBAL", dotfiles.join("sub/git")).exits(1);
    start.says("a file of your settings of git or ssh leads to");
    // These name it, and run nothing there. The rest leads elsewhere.
    let harmless =
        format!("[safe]\ndirectory = {dir}\n[include]\npath = elsewhere\n[core]\nhooksPath = ~/dotfiles2\n");
    world.write(&config, &harmless);
    world.write(&ssh, "Host x\n  IdentityFile ~/.ssh/id\n");
    cage("run true").ok();
    cage("rm").ok();
    world.cage(&format!("run -v {dir}:/mnt:ro true")).ok();
    world.cage("rm").ok();
    // The control: this is what the cage could do.
    world.write(&config, "[include]\npath = ~/dotfiles/sub/more\n");
    cage("start -d --allow-dangerous-dir").ok();
    cage("run -- sh -c 'printf \"[alias]\\nx = !echo canary-3f\\n\" >>sub/more'").ok();
    crate::yours::git(world, &world.project, "x").prints("canary-3f\n");
    cage("rm").ok();
}

fn so_is_one_that_holds_the_agents_socket(world: &World) {
    let agent = Agent::start(world, "my-key");
    let dir = world.root().join("sockets");
    world.mkdir(&dir);
    let socket = dir.join("agent");
    std::fs::rename(&agent.socket, &socket).unwrap();
    let cage = |words: &str| world.cage(&format!("-C {} {words}", dir.display()));
    let why = format!("SSH_AUTH_SOCK leads into {}", dir.display());
    for (words, code) in [("start -d --no-ssh", 1), ("start -d --allow-dangerous-dir", 1), ("run true", 125)]
    {
        cage(words).env("SSH_AUTH_SOCK", &socket).exits(code).says(&why);
    }
    assert!(world.cages().is_empty());

    // The control: without the variable nobody knows, and the agent is there.
    let keys = "run -- env SSH_AUTH_SOCK=agent ssh-add -l";
    cage("start -d --no-ssh").ok();
    assert!(cage(keys).ok().out.contains(&agent.key));
}

fn a_system_directory_is_refused_whatever_is_asked(world: &World) {
    for dir in ["/", "/etc", "/run", "/usr", "/usr/bin", "/var", "/dev/shm", "/proc/self", "/sys"] {
        let words = format!("-C {dir} start --dry-run --allow-dangerous-dir --allow-nested --no-ssh");
        let ran = world.cage(&words).exits(1).prints("");
        // All programs are in the first one, and none of a project's own is an engine.
        if dir != "/" && dir != "/usr" && dir != "/usr/bin" {
            ran.says("system directory").says_not("--allow-dangerous-dir");
        }
    }
    // The control: what others use is refused by default only.
    world.cage("-C /opt start --dry-run").exits(1).says("it is not yours alone");
    let plan = world.cage("-C /opt start --dry-run --allow-dangerous-dir --allow-nested").ok();
    assert!(plan.out.contains("type=bind,source=/opt,target=/opt"), "{plan}");
    assert!(world.cages().is_empty());
}
