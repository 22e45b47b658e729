//! The user's files, SSH agent, variables, home and git repository.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use super::lab::{Engine, Ran, World};
use crate::common::{eventually, is_root};

on_each_engine!(
    everybody:
    files_created_inside_belong_to_the_user,
    files_belong_to_the_user_with_a_numeric_image_user,
    files_of_a_root_image_have_the_engines_owner,
    keys_of_the_current_agent_are_available,
    git_works_in_a_linked_worktree,
    the_host_has_the_same_name_on_every_engine,
);

on_each_engine!(
    clients:
    variables_are_set_inside_and_not_in_labels,
    a_changed_env_file_is_reported_and_applied_by_restart,
    a_project_home_is_removed_only_on_request,
);

fn the_host_has_the_same_name_on_every_engine(world: &World) {
    if owner(&world.project).0 == 0 {
        chown(&world.project, Some(12345), Some(23456)).unwrap();
    }
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let connect = format!("run -- bash -c 'exec 3<>/dev/tcp/host.docker.internal/{port}'");
    world.cage(&connect).ok();
    // Also after a stop: podman writes /etc/hosts again.
    world.cage("stop").ok();
    world.cage(&connect).ok();
    // Nobody inside is root, who could write that file.
    world.cage("restart --no-root").ok();
    world.cage(&connect).ok();
    drop(listener);
    assert_ne!(world.cage(&connect).run().code, 0, "the control");
}

/// Returns the owner of a file.
#[track_caller]
pub fn owner(path: &Path) -> (u32, u32) {
    let metadata = fs::symlink_metadata(path).unwrap();
    (metadata.uid(), metadata.gid())
}

/// Creates and changes files in a new cage of this image, and checks their owner on the host.
#[track_caller]
fn makes_files_of(world: &World, image: &str, expected: (u32, u32)) {
    let existing = world.project.join("existing");
    world.write(&existing, "before\n");
    chown(&existing, Some(owner(&world.project).0), Some(owner(&world.project).1)).unwrap();
    let existing_owner = owner(&existing);
    let script = "touch file && mkdir dir && touch dir/inner && ln -s file link && echo after >>existing \
                  && touch ~/mine && test -O ~/mine && sudo -n true";
    world.cage(&format!("run -- sh -c '{script}'")).env("CAGE_IMAGE", image).ok();
    assert_eq!(fs::read_to_string(&existing).unwrap(), "before\nafter\n");
    assert_eq!(owner(&existing), existing_owner);
    for name in ["file", "dir", "dir/inner", "link"] {
        assert_eq!(owner(&world.project.join(name)), expected, "{name} of {image} on {}", world.engine);
    }
    world.cage("rm").ok();
    for name in ["file", "link", "existing"] {
        fs::remove_file(world.project.join(name)).unwrap();
    }
    fs::remove_dir_all(world.project.join("dir")).unwrap();
}

fn files_created_inside_belong_to_the_user(world: &World) {
    makes_files_of(world, "cage-lab", owner(&world.project));
    if matches!(world.engine, Engine::Docker | Engine::Podman) && is_root() {
        // `sudo cage` in another user's project: the home gets that owner.
        chown(&world.project, Some(12345), Some(23456)).unwrap();
        // Code in a cage could have given it away, so the numbers from before the first cage count.
        world
            .cage("start -d")
            .ok()
            .says("belonged to 0:0 before its first cage and belongs to 12345:23456 now");
        world.cage("run touch root").ok();
        assert_eq!(owner(&world.project.join("root")), (0, 0));
        fs::remove_file(world.project.join("root")).unwrap();
        let baseline = world.home.join(format!(".local/state/cage/{}.baseline", world.name()));
        world.cage("rm").ok();
        fs::remove_file(baseline).unwrap();
        makes_files_of(world, "cage-lab", (12345, 23456));
    }

    // The control: without cage, the image's user is another user on the host.
    let open = world.root().join("open");
    world.mkdir(&open);
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    world.engine(&format!("run --rm --volume {}:/open cage-lab touch /open/plain", open.display())).ok();
    assert_ne!(owner(&open.join("plain")), owner(&open));
}

fn files_belong_to_the_user_with_a_numeric_image_user(world: &World) {
    let image = world.build("numeric", "USER 501");
    makes_files_of(world, &image, owner(&world.project));
}

fn files_of_a_root_image_have_the_engines_owner(world: &World) {
    let image = world.build("root", "USER root");
    if world.engine.is_rootless() {
        makes_files_of(world, &image, owner(&world.project));
    } else {
        if is_root() {
            chown(&world.project, Some(12345), Some(23456)).unwrap();
        }
        // Such an image needs root.
        makes_files_of(world, &image, (0, 0));
    }
}

/// A running SSH agent with one key.
pub struct Agent {
    process: Child,
    /// The path of its socket.
    pub socket: PathBuf,
    /// The comment of its key.
    pub key: String,
}

impl Agent {
    #[track_caller]
    pub fn start(world: &World, key: &str) -> Self {
        // An agent answers only its own user.
        let socket = world.home.join(format!("{key}.agent"));
        let mut command = world.command("ssh-agent");
        let process = command.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        let agent = Self { process, socket, key: key.to_owned() };
        eventually("the agent listens", || agent.socket.exists());
        let file = world.home.join(format!("{key}.key")).display().to_string();
        let args = ["-q", "-t", "ed25519", "-N", "", "-C", key, "-f", &file].map(str::to_owned);
        world.call("ssh-keygen", &args).ok();
        world.call("ssh-add", &[file]).env("SSH_AUTH_SOCK", &agent.socket).ok();
        agent
    }

    pub fn cage(&self, world: &World, words: &str) -> super::lab::Call {
        world.cage(words).env("SSH_AUTH_SOCK", &self.socket)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the existing links to agents.
pub fn links(world: &World) -> Vec<PathBuf> {
    let state = world.home.join(".local/state/cage");
    let entries = fs::read_dir(state).map(|entries| entries.map(|entry| entry.unwrap().path()).collect());
    let mut links: Vec<PathBuf> = entries.unwrap_or_default();
    links.retain(|path| path.is_symlink());
    links
}

fn keys_of_the_current_agent_are_available(world: &World) {
    let first = Agent::start(world, "first-key");
    let shows = |ran: Ran, shown: &str, hidden: &str| {
        assert!(ran.out.contains(shown) && !ran.out.contains(hidden), "{ran}");
    };
    shows(first.cage(world, "run -- ssh-add -l").ok(), &first.key, "second-key");
    assert_eq!(links(world).len(), 1);
    first.cage(world, "start -d").ok().says_not("SSH agent has changed");

    let second = Agent::start(world, "second-key");
    drop(first);
    second.cage(world, "start -d").ok().says("your SSH agent has changed");
    world.cage("stop").ok();
    second.cage(world, "start -d").ok().says_not("SSH agent has changed");
    shows(second.cage(world, "run -- ssh-add -l").ok(), &second.key, "first-key");

    // A cage whose agent is gone starts without one.
    drop(second);
    world.cage("stop").ok();
    world.cage("start -d").ok();
    assert_ne!(world.cage("run -- ssh-add -l").run().code, 0);
    world.cage("rm").ok();
    assert_eq!(links(world), [] as [PathBuf; 0]);
}

fn variables_are_set_inside_and_not_in_labels(world: &World) {
    let (written, taken) = ("written it's a=b", "taken from here");
    world
        .cage("start -d -e \"WRITTEN=written it's a=b\" -e TAKEN -e EMPTY=")
        .env("TAKEN", taken)
        .ok()
        .says_not(written);
    let print = "run -- sh -c 'echo \"$WRITTEN/$TAKEN/${EMPTY-unset}\"'";
    let expected = format!("{written}/{taken}/\n");
    world.cage(print).ok().prints(&expected);
    // The value at the cage's creation is used.
    world.cage("restart").env("TAKEN", "something else").ok();
    world.cage(print).ok().prints(&expected);

    let labels = world.inspect("{{json .Config.Labels}}");
    assert!(labels.contains("-e WRITTEN -e TAKEN -e EMPTY"), "the control: {labels}");
    let status = world.cage("status --verbose").run();
    for text in [&labels, &status.out, &status.err] {
        assert!(!text.contains("a=b") && !text.contains(taken), "{text}");
    }
    world.cage("start -d -e NOWHERE").exits(1).says("NOWHERE has no value here");
    world.cage("restart --fresh").ok();
    world.cage(print).ok().prints("//unset\n");
}

fn a_changed_env_file_is_reported_and_applied_by_restart(world: &World) {
    let file = world.project.join(".cage.env");
    let told = "env files have changed since the cage was made; `cage restart` applies them";
    world.write(&file, "SECRET=first-value\n");
    world.cage("start -d").ok();
    world.cage("start -d").ok().says_not("env files");
    world.write(&file, "SECRET=second-value\n");
    world.cage("start -d").ok().says(told).says_not("second-value");
    world.cage("run printenv SECRET").ok().prints("first-value\n");
    world.cage("stop").ok();
    world.cage("start -d").ok().says(told);
    world.cage("restart").ok().says_not("env files");
    world.cage("run printenv SECRET").ok().prints("second-value\n");
    let labels = world.inspect("{{json .Config.Labels}}");
    assert!(!labels.contains("second-value"), "{labels}");
    // Command line options win.
    world.cage("restart -e SECRET=typed").ok();
    world.cage("run printenv SECRET").ok().prints("typed\n");
}

/// The home of a project, removed also after a failure.
struct OwnHome<'a>(&'a World);

impl Drop for OwnHome<'_> {
    fn drop(&mut self) {
        self.0.cage("rm --home").run();
    }
}

fn a_project_home_is_removed_only_on_request(world: &World) {
    let name = world.name();
    let own = format!("{}-{}", world.volume(), name.strip_prefix("cage-").unwrap());
    // podman's `volume inspect` finds a volume also by the beginning of its name, if there is but one.
    let has = |volume: &str| world.engine("volume ls --quiet").ok().out.lines().any(|name| name == volume);
    let exists = || has(&own);
    let _own_home = OwnHome(world);

    world.cage("run --home project -- sh -c 'echo kept >~/mine'").ok();
    assert!(exists() && !has(&world.volume()));
    world.cage("restart").ok();
    world.cage("restart --fresh").ok();
    world.cage("run -- sh -c 'cat ~/mine; stat -c %U ~'").ok().prints("kept\nvscode\n");
    world.cage("rm").ok();
    assert!(exists() && !has(&world.volume()));
    // Nor when the missing shared home, whose name is a prefix, is removed.
    world.cage("rmconfig --yes").ok().says("No shared home volume");
    world.cage("obliterate --yes").ok();
    assert!(exists());
    world.cage("start -d --home project").ok();
    world.cage("run -- sh -c 'cat ~/mine'").ok().prints("kept\n");
    world.cage("rm --home").ok();
    assert!(!exists());

    // Also without the cage, and never the shared home.
    world.cage("start -d --home project").ok();
    world.cage("rm").ok();
    assert!(exists());
    world.cage("rm --home").ok();
    assert!(!exists());
    world.cage("start -d").ok();
    world.cage("rm --home").ok().says("has no home of its own");
    assert!(has(&world.volume()));
}

/// Returns the command `git WORDS…` on the host.
#[track_caller]
pub fn git(world: &World, dir: &Path, words: &str) -> Ran {
    let args = format!("-c user.name=x -c user.email=x@example.com {words}");
    world.call("git", &shell_words::split(&args).unwrap()).dir(dir).ok()
}

/// Creates a repository outside of the project, with the project and `other` as its worktrees.
pub fn linked_worktrees(world: &World) -> (PathBuf, PathBuf) {
    let (repository, other) = (world.root().join("repository"), world.root().join("other"));
    for dir in [&repository, &other] {
        world.mkdir(dir);
    }
    git(world, &repository, "init -q .");
    git(world, &repository, "commit -q --allow-empty -m first");
    for dir in [&world.project, &other] {
        git(world, &repository, &format!("worktree add -q {}", dir.display()));
    }
    // By default git prunes only after months.
    git(world, &repository, "config gc.worktreePruneExpire now");
    (repository, other)
}

fn git_works_in_a_linked_worktree(world: &World) {
    let (repository, other) = linked_worktrees(world);
    world.write(&world.project.join("new file"), "");
    world.cage("run -- git status --short").ok().prints("?? \"new file\"\n");
    let commit = "git add . && git -c user.name=x -c user.email=x@example.com commit -q -m inside";
    world.cage(&format!("run -- sh -c '{commit}'")).ok();
    git(world, &world.project, "log -1 --format=%s").prints("inside\n");

    world.cage("run -- git gc --quiet").ok();
    let administration = repository.join(".git/worktrees/other");
    assert!(administration.exists());
    git(world, &other, "status --short").prints("");
    // The control: without the cage's placeholder and git settings it is pruned.
    world.inside(&format!("sudo rm {}/.git", other.display())).ok();
    world.cage("run -- env -u GIT_CONFIG_COUNT git gc --quiet").ok();
    assert!(!administration.exists());
}
