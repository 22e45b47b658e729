//! The user's name and address for git, and the keys of hosts, in a cage.

use std::fs;

use super::lab::World;
use super::people::Server;
use super::yours::{Agent, git};

tests_of!(commits_inside_are_by_the_user, false, group_docker GroupDocker, rootless_podman RootlessPodman);
tests_of!(git_connects_to_hosts_that_the_user_knows, false, group_docker GroupDocker, rootless_podman RootlessPodman);

/// Commits in the cage and returns the author.
#[track_caller]
fn author(world: &World) -> String {
    let commit = "git commit -q --allow-empty -m x && git log -1 --format=\"%an <%ae>\"";
    world.cage(&format!("run -- sh -euc {}", shell_words::quote(commit))).ok().out.trim_end().to_owned()
}

fn commits_inside_are_by_the_user(world: &World) {
    git(world, &world.project, "init -q");
    let settings = "[user]\n\tname = Jane \"#1\" O\\\"Hara\n\temail = jane@home.example\n\tsigningkey = SECRET\n\
                    [alias]\n\tx = !SECRET\n[credential]\n\thelper = SECRET\n\
                    [includeIf \"gitdir:**/project/\"]\n\tpath = work\n";
    world.write(&world.home.join(".gitconfig"), settings);
    world.write(&world.home.join("work"), "[user]\nemail = jane@work.example\n");
    world.cage("start -d").ok();
    let jane = "Jane #1 O\"Hara <jane@work.example>";
    assert_eq!(author(world), jane);
    world.cage("run -- git config --show-origin user.email").ok().begins("file:/etc/gitconfig\t");
    world.cage("run -- sh -c 'test ! -e ~/.gitconfig && test ! -e ~/.config/git && test ! -e ~/.ssh'").ok();
    world
        .cage("run -- sh -c '! grep -r SECRET /etc/gitconfig && stat -c %a:%U /etc/gitconfig'")
        .ok()
        .prints("644:root\n");

    // Settings of the home and of the repository win, and those of the home stay there.
    world.cage("run -- git config --global user.email in@home.example").ok();
    assert_eq!(author(world), "Jane #1 O\"Hara <in@home.example>");
    git(world, &world.project, "config user.email in@repository.example");
    assert_eq!(author(world), "Jane #1 O\"Hara <in@repository.example>");
    git(world, &world.project, "config --unset user.email");
    world.cage("run -- sh -c 'rm ~/.gitconfig'").ok();
    assert_eq!(author(world), jane);

    // So do those of an image, and nothing of it is lost.
    let image = world.build(
        "settings",
        "USER root\nRUN git config --system user.name Image && git config --system a.b c && install -m 600 /dev/null /etc/ssh/ssh_known_hosts\nUSER vscode",
    );
    world.cage("restart").env("CAGE_IMAGE", &image).ok();
    assert_eq!(author(world), "Image <jane@work.example>");
    world.cage("run -- git config a.b").ok().prints("c\n");

    // A new cage has the settings of now.
    world.write(&world.home.join("work"), "[user]\nemail = jane@new.example\n");
    world.cage("restart").ok();
    assert_eq!(author(world), "Jane #1 O\"Hara <jane@new.example>");
    world.cage("restart --no-git-identity").ok();
    world.cage("run -- git config user.email").exits(1);
    world.cage("restart --fresh").env("CAGE_NO_GIT_IDENTITY", "1").ok();
    world.cage("run -- git config user.email").exits(1);
    world.write(&world.home.join(".gitconfig"), "[include]\npath = .gitconfig\n");
    world.cage("restart --fresh").ok().says(".gitconfig: too many files include each other");
    world.cage("run -- git config user.email").exits(1);
}

fn git_connects_to_hosts_that_the_user_knows(world: &World) {
    let repository = world.root().join("repository");
    world.mkdir(&repository);
    git(world, &repository, "init -q .");
    git(world, &repository, "commit -q --allow-empty -m first");
    let agent = Agent::start(world, "my-key");
    let server = Server::start(world, &agent);
    let user = world.call("id", &["-un".to_owned()]).ok().out.trim().to_owned();
    git(world, &world.project, "init -q");
    let url = format!("ssh://{user}@host.docker.internal:{}{}", server.port, repository.display());
    git(world, &world.project, &format!("remote add origin {url}"));
    let fetch = || agent.cage(world, "run -- env 'GIT_SSH_COMMAND=ssh -o BatchMode=yes' git fetch -q origin");
    let doctor = || world.cage("doctor").run().out;
    let unknown = "your known_hosts has no key of host.docker.internal";

    agent.cage(world, "start -d").ok();
    assert_ne!(fetch().run().says("Host key verification failed").code, 0, "the control");
    assert!(doctor().contains(unknown), "{}", doctor());

    let known_hosts = world.home.join(".ssh/known_hosts");
    let know = |key: &str, more: &str| {
        let key = fs::read_to_string(world.home.join(key)).unwrap();
        world.write(&known_hosts, &format!("[host.docker.internal]:{} {key}{more}", server.port));
        let hash = format!("-H -f {}", known_hosts.display());
        world.call("ssh-keygen", &shell_words::split(&hash).unwrap()).ok();
        fs::read_to_string(&known_hosts).unwrap()
    };
    let own = format!("host-{}.pub", server.port);
    let lines = know(&own, "other.example ssh-ed25519 AAAA\n");
    agent.cage(world, "restart").ok();
    fetch().ok();
    let inside = world.cage("run -- cat /etc/ssh/ssh_known_hosts").ok().out;
    assert!(
        inside.starts_with("|1|") && inside == format!("{}\n", lines.lines().next().unwrap()),
        "{inside}"
    );
    world.cage("run -- sh -c 'test ! -e ~/.ssh'").ok();
    assert!(!doctor().contains(unknown), "{}", doctor());

    // The commands that cage shows let the agent sign inside.
    let settings = "[user]\nname = x\nemail = x\nsigningkey = ~/my-key.key\n[gpg]\nformat = ssh\n[commit]\ngpgSign = true\n";
    world.write(&world.home.join(".gitconfig"), settings);
    let said = agent.cage(world, "restart").ok().err;
    let commands = said.lines().find_map(|line| line.strip_prefix("cage:   ")).unwrap();
    world.call("sh", &["-euc".to_owned(), commands.to_owned()]).ok();
    let sign = "run -- sh -euc 'git commit -q --allow-empty -m x; git cat-file commit HEAD'";
    assert!(agent.cage(world, sign).ok().out.contains("BEGIN SSH SIGNATURE"));
    agent.cage(world, "restart").ok().says_not("signed");
    // Where the repository itself wants that, each commit would fail.
    git(world, &world.project, "config user.signingkey ~/.ssh/other.pub");
    git(world, &world.project, "config commit.gpgsign true");
    world.write(&world.home.join(".gitconfig"), "[user]\nname = x\nemail = x\n");
    agent.cage(world, "restart").ok().says("no commit is signed inside").says("/.ssh/other.pub");
    git(world, &world.project, "config --unset user.signingkey");

    let other = Server::start(world, &agent);
    know(&format!("host-{}.pub", other.port), "");
    agent.cage(world, "restart").ok();
    assert_ne!(fetch().run().says("Host key verification failed").code, 0);

    // A name that only the user's ssh knows, and keys in another file.
    let settings = format!("Host work\nHostName host.docker.internal\nPort {}\n", server.port);
    let keys = "UserKnownHostsFile ~/.ssh/known_hosts ~/.ssh/of-work\n";
    world.write(&world.home.join(".ssh/config"), &format!("{settings}{keys}"));
    world.write(&world.home.join(".ssh/of-work"), &lines);
    git(world, &world.project, &format!("remote set-url origin {user}@work:{}", repository.display()));
    let told = format!("work is `-p {} host.docker.internal` in your ssh settings", server.port);
    assert!(doctor().contains(&told), "{}", doctor());
    world.write(&world.home.join(".config/cage/home/.ssh/config"), &settings);
    agent.cage(world, "restart").ok();
    fetch().ok();
    assert!(!doctor().contains(&told), "{}", doctor());
}
