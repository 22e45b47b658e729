//! Typical work with a cage and beside it, on every engine, as root and as an ordinary user.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Child, Stdio};

use super::lab::{BUSYBOX_IMAGE, Engine, World};
use super::yours::{Agent, git, owner};
use crate::common::{eventually, free_port, is_root};

on_each_engine!(
    everybody:
    host_and_cage_create_edit_and_delete_files,
    root_inside_can_install_packages,
    git_clones_over_ssh_with_the_current_agent,
    the_home_changes_its_owner,
    a_busybox_image_works,
);

on_each_engine!(
    clients:
    git_commits_on_host_and_in_cage,
    git_works_in_a_submodule_and_a_worktree_of_a_bare_repository,
);

/// Returns a command that runs a shell script on the host.
#[track_caller]
fn on_the_host(world: &World, script: &str) {
    world.call("sh", &["-euc".to_owned(), script.to_owned()]).ok();
}

/// Returns a command that runs a shell script in the cage.
#[track_caller]
fn in_the_cage(world: &World, script: &str) {
    world.cage(&format!("run -- sh -euc {}", shell_words::quote(script))).ok();
}

fn host_and_cage_create_edit_and_delete_files(world: &World) {
    on_the_host(
        world,
        "mkdir -m 700 theirs; umask 077; echo 1 >theirs/file; echo 1 >theirs/gone; mkdir theirs/empty",
    );
    in_the_cage(
        world,
        "echo 2 >>theirs/file; rm theirs/gone; rmdir theirs/empty; touch theirs/new; chmod 755 theirs
         mkdir -m 700 mine; umask 077; echo 1 >mine/file; echo 1 >mine/gone; ln -s file mine/link; mkfifo mine/fifo",
    );
    on_the_host(
        world,
        "test \"$(cat theirs/file)\" = \"$(printf '1\\n2')\"; test ! -e theirs/gone; rm theirs/new
         echo 2 >>mine/file; rm mine/gone mine/fifo; chmod 755 mine; mv mine/link mine/moved",
    );
    in_the_cage(
        world,
        "test \"$(cat mine/moved)\" = \"$(printf '1\\n2')\"; test ! -e theirs/new; rm -r mine theirs",
    );
    assert_eq!(fs::read_dir(&world.project).unwrap().count(), 0);
}

fn git_commits_on_host_and_in_cage(world: &World) {
    let commit = |name: &str| {
        format!(
            "echo {name} >{name}; git add .; git -c user.name=x -c user.email=x@example.com commit -q -m {name}"
        )
    };
    on_the_host(world, &format!("git init -q -b main .; {}", commit("outside")));
    in_the_cage(world, &format!("test -z \"$(git status --short)\"; {}", commit("inside")));
    on_the_host(world, &format!("test -z \"$(git status --short)\"; {}", commit("again")));
    in_the_cage(world, "test \"$(git log --format=%s | tr '\\n' ' ')\" = 'again inside outside '; git gc -q");
    on_the_host(world, "git fsck --strict");

    // A worktree that is not visible inside is not pruned.
    let elsewhere = world.home.join("elsewhere");
    on_the_host(
        world,
        &format!("git worktree add -q {}; git config gc.worktreePruneExpire now", elsewhere.display()),
    );
    in_the_cage(world, "git gc -q");
    git(world, &elsewhere, "status --short").prints("");
    let placeholder = elsewhere.join(".git").display().to_string();
    in_the_cage(world, &format!("sudo rm {placeholder}; env -u GIT_CONFIG_COUNT git gc -q"));
    assert_ne!(world.call("git", &["status".to_owned()]).dir(&elsewhere).run().code, 0, "the control");
    on_the_host(world, "rm -rf .git");
}

fn root_inside_can_install_packages(world: &World) {
    in_the_cage(
        world,
        "mkdir -p /tmp/p/DEBIAN /tmp/p/opt/p
         printf '%s\\n' 'Package: p' 'Version: 1' 'Architecture: all' 'Maintainer: x <x@example.com>' \
             'Description: x' >/tmp/p/DEBIAN/control
         printf '%s\\n' '#!/bin/sh' 'useradd --system p && chown -R p /opt/p' >/tmp/p/DEBIAN/postinst
         chmod 755 /tmp/p/DEBIAN/postinst
         dpkg-deb --build /tmp/p /tmp/p.deb
         sudo apt-get install -y /tmp/p.deb
         test \"$(stat -c %U /opt/p)\" = p
         sudo -u p id -un",
    );
}

/// An SSH server on the host that accepts only this key.
pub struct Server {
    process: Child,
    /// The port that it listens on; its key is in the home, in `host-PORT`.
    pub port: u16,
}

impl Server {
    #[track_caller]
    pub fn start(world: &World, agent: &Agent) -> Self {
        let (port, dir) = (free_port(), world.home.display().to_string());
        let key = format!("{dir}/host-{port}");
        let keygen = ["-q", "-t", "ed25519", "-N", "", "-f", &key].map(str::to_owned);
        world.call("ssh-keygen", &keygen).ok();
        let mut command = world.command("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f", "/dev/null", "-p", &port.to_string(), "-h", &key]);
        let keys = format!("AuthorizedKeysFile={dir}/{}.key.pub", agent.key);
        for option in [&keys, "StrictModes=no", "PidFile=none", "UsePAM=no", "PermitRootLogin=yes"] {
            command.args(["-o", option]);
        }
        let process = command.stderr(Stdio::null()).spawn().unwrap();
        eventually("sshd listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { process, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn git_clones_over_ssh_with_the_current_agent(world: &World) {
    let repository = world.root().join("repository");
    world.mkdir(&repository);
    git(world, &repository, "init -q .");
    git(world, &repository, "commit -q --allow-empty -m first");
    let user = world.call("id", &["-un".to_owned()]).ok().out.trim().to_owned();
    let clones = |agent: &Agent, server: &Server, into: &str| {
        let url = format!("ssh://{user}@host.docker.internal:{}{}", server.port, repository.display());
        let ssh = "ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes";
        let clone = format!("run -- env 'GIT_SSH_COMMAND={ssh}' git clone -q {url} {into}");
        agent.cage(world, &clone).run().code == 0
    };

    let first = Agent::start(world, "first-key");
    let server = Server::start(world, &first);
    first.cage(world, "start -d").ok();
    assert!(clones(&first, &server, "one"));
    assert_eq!(owner(&world.project.join("one/.git/HEAD")), owner(&world.project));

    let second = Agent::start(world, "second-key");
    let server = Server::start(world, &second);
    drop(first);
    assert!(!clones(&second, &server, "two"), "the control: the cage still has the first agent");
    second.cage(world, "stop").ok();
    second.cage(world, "start -d").ok();
    assert!(clones(&second, &server, "two"));
}

fn the_home_changes_its_owner(world: &World) {
    let volume = format!("--volume {}:/home/vscode", world.volume());
    // As an engine creates it, and as another user left it.
    world.engine(&format!("run --rm {volume} cage-lab sh -c 'echo 1 >~/kept; mkdir -p ~/a/b'")).ok();
    world.engine(&format!("run --rm --user 0 {volume} cage-lab chown -hR 777:888 /home/vscode")).ok();
    let mine = "test -O ~/kept; test -O ~/a/b; echo 1 >>~/kept; touch ~/a/b/$$; test -O ~";
    in_the_cage(world, mine);
    if matches!(world.engine, Engine::Docker | Engine::Podman) && is_root() {
        // The next project belongs to another user.
        world.cage("rm").ok();
        chown(&world.project, Some(12345), Some(23456)).unwrap();
        in_the_cage(world, mine);
        chown(&world.project, Some(0), Some(0)).unwrap();
    }
    // The next image has another user, with another home.
    world.cage("rm").ok();
    let start = |image: &str| world.cage("start -d").env("CAGE_IMAGE", image).ok();
    start(BUSYBOX_IMAGE);
    in_the_cage(world, mine);
    world.cage("rm").ok();
    start("cage-lab");
    in_the_cage(world, mine);
    // A known image and a home in order need no container but the cage, except where the user can't see the volume.
    world.cage("rm").ok();
    let verbose = world.cage("start -d --verbose").ok();
    let is_hidden = world.engine == Engine::GroupDocker || (world.engine == Engine::Docker && !is_root());
    assert_eq!(verbose.err.contains(" run --rm "), is_hidden, "{verbose}");
    in_the_cage(world, mine);
}

fn a_busybox_image_works(world: &World) {
    let seed = world.home.join(".config/cage/home");
    world.program(&seed.join("bin/mine"), "#!/bin/sh\necho seeded\n");
    world.write(&seed.join(".secret"), "x");
    fs::set_permissions(seed.join(".secret"), fs::Permissions::from_mode(0o600)).unwrap();
    world.write(&world.project.join(".cage.env"), "FROM_FILE=a b#c\n");
    let cage = |words: &str| world.cage(words).env("CAGE_IMAGE", BUSYBOX_IMAGE);
    cage("start -d").ok();
    let script = "test -O . && touch made && test -O ~ && ~/bin/mine && stat -c %a ~/.secret && echo $FROM_FILE && whoami";
    let expected = "seeded\n600\na b#c\ndev\n";
    world.cage(&format!("run -- sh -c '{script}'")).ok().prints(expected);
    assert_eq!(owner(&world.project.join("made")), owner(&world.project));
    world.cage("shell").stdin("echo shell $((6 * 7))\n").ok().prints("shell 42\n");
    world.cage("run -- sh -c 'rm ~/.secret'").ok();
    cage("restart").ok();
    world.cage(&format!("run -- sh -c '{script}'")).ok().prints(expected);
    world.cage("stop").ok();
    cage("rmconfig --yes").ok();
}

fn git_works_in_a_submodule_and_a_worktree_of_a_bare_repository(world: &World) {
    let make = |name: &str| {
        let dir = world.root().join(name);
        world.mkdir(&dir);
        git(world, &dir, "init -q .");
        git(world, &dir, "commit -q --allow-empty -m first");
        dir
    };
    let (library, above) = (make("library"), make("above"));
    git(
        world,
        &above,
        &format!("-c protocol.file.allow=always submodule --quiet add {} library", library.display()),
    );
    let bare = world.home.join("bare.git");
    git(world, &library, &format!("clone -q --bare . {}", bare.display()));
    git(world, &bare, &format!("worktree add -q {}", world.home.join("branch").display()));
    let works_in = |project: &Path| {
        let commit =
            "touch new && git add new && git -c user.name=x -c user.email=x@example.com commit -q -m inside";
        let run = format!("-C {} run -- sh -c '{commit} && git status --short'", project.display());
        world.cage(&run).ok().prints("");
        git(world, project, "log -1 --format=%s").prints("inside\n");
        assert_eq!(owner(&project.join("new")), owner(project));
        world.cage(&format!("-C {} rm", project.display())).ok();
    };
    works_in(&above.join("library"));
    works_in(&world.home.join("branch"));
}
