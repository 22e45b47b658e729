//! The plans of new, resumed and replaced cages, as scripts.

use std::net::Ipv4Addr;

use super::context::{Context, Entry, SETTLE};
use super::exec::{ExecCommand, ExecTarget};
use super::new_cage::{Features, NewCage};
use super::plan::Plan;
use super::preflight::Preflight;
use super::resume::{Changes, Resumption};
use super::session::{Global, Session};
use crate::audit::Record;
use crate::base::text::quote;
use crate::cage::create_options::CreateOptions;
use crate::cage::existing::{Cage, IMAGE_LABEL};
use crate::cage::home::PREPARE;
use crate::cage::image_facts::Outside;
use crate::cage::mount_points::MountPoints;
use crate::cage::ssh_agent::{Link, SOCKET};
use crate::cage::user::{ImageUser, Mapping};
use crate::engine::container::State;
use crate::engine::dialect::Dialect;
use crate::engine::image::Image;
use crate::engine::info::{Engine, Limit, Mode, Product};
use crate::engine::new_file::NewFile;
use crate::engine::runner::Runner;
use crate::engine::runtime::Runtime;
use crate::engine::signals::Interrupts;
use crate::host::ids::Ids;
use crate::host::machine::{Host, Os};
use crate::host::project::{Project, cage_name};
use crate::host::systemd::Systemd;
use crate::host::worktree::GitDir;
use crate::lifecycle::exec::EXEC_COMMAND;
use crate::lifecycle::mount_points;
use crate::lifecycle::worktrees::Worktrees;

/// Who runs the containers, and in which virtual machine.
type Where = (Mode, Option<Product>);
const ROOTFUL: Where = (Mode::Rootful, None);
const ROOTLESS: Where = (Mode::Rootless, None);
const MACHINE: Where = (Mode::Rootful, Some(Product::Colima));

const NEWER: &str = "sha256:2222222222";

fn project(path: &str) -> Project {
    Project { path: path.into(), name: cage_name(path), inode: 7, owner: Ids::ROOT, reached: path.into() }
}

fn new_cage<'a>(context: &Context<'a>, (mode, machine): Where, options: CreateOptions) -> NewCage<'a> {
    let engine = Engine {
        mode,
        machine,
        selinux: false,
        remaps: false,
        unenforced: Vec::new(),
        copies_through_links: false,
    };
    let ids = Ids { uid: 501, gid: 20 };
    let user = ImageUser { name: "vscode".into(), ids, home: "/home/vscode".into() };
    let host = &context.session.host;
    let mapping = Mapping::decide(context.runtime.kind, &engine, &user, host.ids, None);
    let places = mount_points::places(&user.home, &context.project.path, None, &options);
    let address = || Some(Ipv4Addr::new(10, 1, 2, 3).into());
    NewCage {
        worktrees: Worktrees::of(context.project.dir(), Vec::new(), None),
        context: *context,
        points: MountPoints::of(&user.home, &places).unwrap(),
        options: options.with_defaults(host, &context.project.path).unwrap(),
        preflight: Preflight::sample(engine.clone()),
        link: Link::of(host, &context.project.name),
        add_host: context.runtime.kind.add_host(&engine, true, address),
        seccomp: None,
        writers: Vec::new(),
        roots_files: false,
        outside: Outside::default(),
        new_files: match mapping {
            Mapping::Renumber(_) => vec![NewFile::readable("/etc/passwd", user.name.as_str())],
            _ => Vec::new(),
        },
        user,
        mapping,
        git: GitDir::None,
        advice: None,
        seed: None,
        notes: Vec::new(),
        features: Features { init: true, agent: true },
        record: Record::default(),
        baseline: None,
    }
}

fn options(label: &str) -> CreateOptions {
    CreateOptions::from_label(label, &[]).unwrap()
}

fn session(host: Host) -> Session {
    let global = Global { directory: None, runtime: None, verbose: false, dry_run: false };
    let runner = Runner { verbose: false, limit: None };
    Session { host, global, runner, interrupts: Interrupts::register(u64::MAX) }
}

/// The script of a plan, made on a machine with this runtime.
fn script(kind: Dialect, variables: &[(&str, &str)], path: &str, plan: impl Fn(&Context) -> Plan) -> String {
    let session = session(Host::sample(variables));
    let (runtime, project) = (Runtime::sample(kind), project(path));
    let image = Image { environment: vec!["LANG=C".into()], ..Image::sample(NEWER) };
    plan(&Context { session: &session, runtime: &runtime, project: &project, image: Some(&image) })
        .script_with_undo()
}

fn create(kind: Dialect, place: Where, path: &str, entry: &Entry) -> String {
    let text = script(kind, &[("CAGE_IMAGE", "local")], path, |context| {
        new_cage(context, place, options("-p 3000:3000 -v pg:/pg:ro")).create(None, entry).unwrap()
    });
    brief(&text)
}

/// Returns a script without the text of scripts and files in it.
fn brief(script: &str) -> String {
    let file = |line: &str| match line.split_once(" | base64 -d | ") {
        Some((_, command)) => format!("FILES | {command}"),
        None => line.to_owned(),
    };
    let lines: Vec<String> = script.lines().map(file).map(|line| without_engine(&line)).collect();
    lines.join("\n").replace(&quote(PREPARE), "PREPARE").replace(&quote(SETTLE), "SETTLE")
}

/// Returns a line of a script without the label of the engine's properties.
fn without_engine(line: &str) -> String {
    let label = line.split_once(" --label 'cage.engine={");
    let rest = label.and_then(|(before, rest)| Some((before, rest.split_once("}'")?.1)));
    rest.map_or_else(|| line.to_owned(), |(before, after)| format!("{before}{after}"))
}

fn come_back(kind: Dialect, state: State, typed: &str, entry: &Entry) -> String {
    script(kind, &[], "/p/app", |context| {
        let mut container = Cage::sample(context.project, state);
        container.container().image_id = NEWER.into();
        let (kept, typed) = (container.options().unwrap(), options(typed));
        let (kept, typed) = (&kept, &typed);
        let changes = Changes::default();
        Resumption { context: *context, cage: &container, kept, typed, changes, neighbours: Vec::new() }.plan(
            Vec::new(),
            Vec::new(),
            entry,
        )
    })
    .replace(&quote(SETTLE), "SETTLE")
    .replace(&quote(EXEC_COMMAND), "EXEC_COMMAND")
}

fn replace(kind: Dialect, state: State, entry: &Entry) -> String {
    let text = script(kind, &[("CAGE_IMAGE", "local")], "/p/app", |context| {
        let container = Cage::sample(context.project, state);
        let podman_machine = (Mode::Rootless, Some(Product::PodmanMachine));
        let place = if kind.keeps_ids() { podman_machine } else { MACHINE };
        new_cage(context, place, options("-p 3000:3000")).replace(&container, entry).unwrap()
    });
    brief(&text)
}

#[test]
fn a_new_cage_in_every_mode() {
    use Dialect::{Docker, Podman};
    insta::assert_snapshot!(create(Docker, ROOTFUL, "/p/app", &Entry::Attach), @r#"
    printf '%s\n' 'cage: Creating cage-app-f6965073' >&2
    mkdir -p /home/me/.local/state/cage && ln -sfn /dev/null /home/me/.local/state/cage/cage-app-f6965073.agent
    # undo: rm -rf /home/me/.local/state/cage/cage-app-f6965073.agent
    docker create --interactive --tty --pull never --name cage-app-f6965073 --hostname cage-app-f6965073 --workdir /p/app --label cage.project=/p/app --label cage.image=local --label cage.inode=7 --label 'cage.options=-p 127.0.0.1:3000:3000 -v pg:/pg:ro --image local' --label cage.defaults=CAGE_IMAGE --label cage.user=vscode:501:20:/home/vscode --label cage.owner=1000:1000 --label cage.env=e3b0 --label cage.keep-id= --label cage.seen= --label cage.since=0 --label cage.terminal= --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/p/app,target=/p/app --mount type=bind,source=/home/me/.local/state/cage/cage-app-f6965073.agent,target=/run/host-services/ssh-auth.sock --mount type=volume,source=pg,target=/pg,ro --publish 127.0.0.1:3000:3000 --env UV_PROJECT_ENVIRONMENT=.cage-venv --env TERM=xterm-256color --env TZ=Europe/Berlin --env SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock --user vscode --add-host host.docker.internal:host-gateway --cap-drop MKNOD --cap-drop SETFCAP --pids-limit 4096 --shm-size 1g --log-driver none --stop-signal SIGHUP --init local >/dev/null
    # undo: docker rm --force --volumes cage-app-f6965073 >/dev/null; rm -rf /home/me/.local/state/cage/cage-app-f6965073.agent
    docker run --rm --pull never --network none --workdir / --user 0 --env LD_LIBRARY_PATH= --env LD_PRELOAD= --env LD_AUDIT= --cap-drop ALL --cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add FOWNER --cap-add FSETID --security-opt no-new-privileges --mount type=volume,source=cage-home,target=/home/vscode --entrypoint /bin/sh local -c PREPARE sh /home/vscode 1000:1000 >/dev/null
    FILES | docker cp - cage-app-f6965073:/ >/dev/null
    printf '%s\n' 'cage: no SSH agent is running here: git over SSH will fail in this cage' >&2
    [ "$(realpath /p/app)" = /p/app ]
    exec docker start --attach --interactive --detach-keys 'ctrl-\' cage-app-f6965073
    "#);
    insta::assert_snapshot!(create(Podman, ROOTFUL, "/p/app", &Entry::Name), @r#"
    printf '%s\n' 'cage: Creating cage-app-f6965073' >&2
    mkdir -p /home/me/.local/state/cage && ln -sfn /dev/null /home/me/.local/state/cage/cage-app-f6965073.agent
    # undo: rm -rf /home/me/.local/state/cage/cage-app-f6965073.agent
    podman create --interactive --tty --pull never --name cage-app-f6965073 --hostname cage-app-f6965073 --workdir /p/app --label cage.project=/p/app --label cage.image=local --label cage.inode=7 --label 'cage.options=-p 127.0.0.1:3000:3000 -v pg:/pg:ro --image local' --label cage.defaults=CAGE_IMAGE --label cage.user=vscode:501:20:/home/vscode --label cage.owner=1000:1000 --label cage.env=e3b0 --label cage.keep-id= --label cage.seen= --label cage.since=0 --label cage.terminal= --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/p/app,target=/p/app --mount type=bind,source=/home/me/.local/state/cage/cage-app-f6965073.agent,target=/run/host-services/ssh-auth.sock --mount type=volume,source=pg,target=/pg,ro --publish 127.0.0.1:3000:3000 --env UV_PROJECT_ENVIRONMENT=.cage-venv --env TERM=xterm-256color --env TZ=Europe/Berlin --env SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock --user vscode --cap-drop MKNOD --cap-drop SETFCAP --pids-limit 4096 --shm-size 1g --log-driver none --stop-signal SIGHUP --init local >/dev/null
    # undo: podman rm --force --volumes cage-app-f6965073 >/dev/null; rm -rf /home/me/.local/state/cage/cage-app-f6965073.agent
    podman run --rm --pull never --network none --workdir / --user 0 --env LD_LIBRARY_PATH= --env LD_PRELOAD= --env LD_AUDIT= --cap-drop ALL --cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add FOWNER --cap-add FSETID --security-opt no-new-privileges --mount type=volume,source=cage-home,target=/home/vscode --entrypoint /bin/sh local -c PREPARE sh /home/vscode 1000:1000 >/dev/null
    FILES | podman cp -a=false - cage-app-f6965073:/ >/dev/null
    printf '%s\n' 'cage: no SSH agent is running here: git over SSH will fail in this cage' >&2
    [ "$(realpath /p/app)" = /p/app ]
    podman start cage-app-f6965073 >/dev/null
    podman exec --workdir / --user 0 --env LD_LIBRARY_PATH= --env LD_PRELOAD= --env LD_AUDIT= cage-app-f6965073 /bin/sh -c SETTLE sh '' >/dev/null
    # keep
    printf '%s\n' cage-app-f6965073
    "#);
    insta::assert_snapshot!(create(Podman, ROOTLESS, "/p/app", &Entry::Name), @r#"
    printf '%s\n' 'cage: Creating cage-app-f6965073' >&2
    mkdir -p /home/me/.local/state/cage && ln -sfn /dev/null /home/me/.local/state/cage/cage-app-f6965073.agent
    # undo: rm -rf /home/me/.local/state/cage/cage-app-f6965073.agent
    podman volume create cage-home >/dev/null 2>&1 || true
    podman create --interactive --tty --pull never --name cage-app-f6965073 --hostname cage-app-f6965073 --workdir /p/app --label cage.project=/p/app --label cage.image=local --label cage.inode=7 --label 'cage.options=-p 127.0.0.1:3000:3000 -v pg:/pg:ro --image local' --label cage.defaults=CAGE_IMAGE --label cage.user=vscode:501:20:/home/vscode --label cage.owner=501:20 --label cage.env=e3b0 --label cage.keep-id=501:20 --label cage.seen= --label cage.since=0 --label cage.terminal= --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/p/app,target=/p/app --mount type=bind,source=/home/me/.local/state/cage/cage-app-f6965073.agent,target=/run/host-services/ssh-auth.sock --mount type=volume,source=pg,target=/pg,ro --publish 127.0.0.1:3000:3000 --env UV_PROJECT_ENVIRONMENT=.cage-venv --env TERM=xterm-256color --env TZ=Europe/Berlin --env SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock --user vscode --cap-drop MKNOD --cap-drop SETFCAP --pids-limit 4096 --shm-size 1g --log-driver none --stop-signal SIGHUP --userns=keep-id:uid=501,gid=20 --init local >/dev/null
    # undo: podman rm --force --volumes cage-app-f6965073 >/dev/null; rm -rf /home/me/.local/state/cage/cage-app-f6965073.agent
    podman run --rm --pull never --network none --workdir / --user 0 --env LD_LIBRARY_PATH= --env LD_PRELOAD= --env LD_AUDIT= --cap-drop ALL --cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add FOWNER --cap-add FSETID --security-opt no-new-privileges --userns=keep-id:uid=501,gid=20 --mount type=volume,source=cage-home,target=/home/vscode --entrypoint /bin/sh local -c PREPARE sh /home/vscode 501:20 >/dev/null
    printf '%s\n' 'cage: no SSH agent is running here: git over SSH will fail in this cage' >&2
    [ "$(realpath /p/app)" = /p/app ]
    podman start cage-app-f6965073 >/dev/null
    podman exec --workdir / --user 0 --env LD_LIBRARY_PATH= --env LD_PRELOAD= --env LD_AUDIT= cage-app-f6965073 /bin/sh -c SETTLE sh '' >/dev/null
    # keep
    printf '%s\n' cage-app-f6965073
    "#);
    insta::assert_snapshot!(create(Docker, ROOTLESS, "/p/app", &Entry::Name), @r#"
    printf '%s\n' 'cage: Creating cage-app-f6965073' >&2
    mkdir -p /home/me/.local/state/cage && ln -sfn /dev/null /home/me/.local/state/cage/cage-app-f6965073.agent
    # undo: rm -rf /home/me/.local/state/cage/cage-app-f6965073.agent
    docker create --interactive --tty --pull never --name cage-app-f6965073 --hostname cage-app-f6965073 --workdir /p/app --label cage.project=/p/app --label cage.image=local --label cage.inode=7 --label 'cage.options=-p 127.0.0.1:3000:3000 -v pg:/pg:ro --image local' --label cage.defaults=CAGE_IMAGE --label cage.user=vscode:501:20:/home/vscode --label cage.owner=0:0 --label cage.env=e3b0 --label cage.keep-id= --label cage.seen= --label cage.since=0 --label cage.terminal= --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/p/app,target=/p/app --mount type=bind,source=/home/me/.local/state/cage/cage-app-f6965073.agent,target=/run/host-services/ssh-auth.sock --mount type=volume,source=pg,target=/pg,ro --publish 127.0.0.1:3000:3000 --env UV_PROJECT_ENVIRONMENT=.cage-venv --env TERM=xterm-256color --env TZ=Europe/Berlin --env IS_SANDBOX=1 --env SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock --user vscode --add-host host.docker.internal:10.1.2.3 --cap-drop MKNOD --cap-drop SETFCAP --pids-limit 4096 --shm-size 1g --log-driver none --stop-signal SIGHUP --init local >/dev/null
    # undo: docker rm --force --volumes cage-app-f6965073 >/dev/null; rm -rf /home/me/.local/state/cage/cage-app-f6965073.agent
    docker run --rm --pull never --network none --workdir / --user 0 --env LD_LIBRARY_PATH= --env LD_PRELOAD= --env LD_AUDIT= --cap-drop ALL --cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add FOWNER --cap-add FSETID --security-opt no-new-privileges --mount type=volume,source=cage-home,target=/home/vscode --entrypoint /bin/sh local -c PREPARE sh /home/vscode 0:0 >/dev/null
    FILES | docker cp - cage-app-f6965073:/ >/dev/null
    printf '%s\n' 'cage: no SSH agent is running here: git over SSH will fail in this cage' >&2
    [ "$(realpath /p/app)" = /p/app ]
    docker start cage-app-f6965073 >/dev/null
    docker exec --workdir / cage-app-f6965073 /bin/sh -c : >/dev/null
    # keep
    printf '%s\n' cage-app-f6965073
    "#);
    insta::assert_snapshot!(create(Docker, MACHINE, "/p/app", &Entry::Name), @r#"
    printf '%s\n' 'cage: Creating cage-app-f6965073' >&2
    docker create --interactive --tty --pull never --name cage-app-f6965073 --hostname cage-app-f6965073 --workdir /p/app --label cage.project=/p/app --label cage.image=local --label cage.inode= --label 'cage.options=-p 127.0.0.1:3000:3000 -v pg:/pg:ro --image local' --label cage.defaults=CAGE_IMAGE --label cage.user=vscode:501:20:/home/vscode --label cage.owner=501:20 --label cage.env=e3b0 --label cage.keep-id= --label cage.seen= --label cage.since=0 --label cage.terminal= --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/p/app,target=/p/app --mount type=bind,source=/run/host-services/ssh-auth.sock,target=/run/host-services/ssh-auth.sock --mount type=volume,source=pg,target=/pg,ro --publish 127.0.0.1:3000:3000 --env UV_PROJECT_ENVIRONMENT=.cage-venv --env TERM=xterm-256color --env TZ=Europe/Berlin --env SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock --cap-drop MKNOD --cap-drop SETFCAP --pids-limit 4096 --shm-size 1g --log-driver none --stop-signal SIGHUP --init local >/dev/null
    # undo: docker rm --force --volumes cage-app-f6965073 >/dev/null; rm -rf /home/me/.local/state/cage/cage-app-f6965073.agent
    docker run --rm --pull never --network none --workdir / --user 0 --env LD_LIBRARY_PATH= --env LD_PRELOAD= --env LD_AUDIT= --cap-drop ALL --cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add FOWNER --cap-add FSETID --security-opt no-new-privileges --mount type=volume,source=cage-home,target=/home/vscode --entrypoint /bin/sh local -c PREPARE sh /home/vscode 501:20 >/dev/null
    [ "$(realpath /p/app)" = /p/app ]
    docker start cage-app-f6965073 >/dev/null
    docker exec --workdir / --user 0 --env LD_LIBRARY_PATH= --env LD_PRELOAD= --env LD_AUDIT= cage-app-f6965073 /bin/sh -c SETTLE sh /run/host-services/ssh-auth.sock >/dev/null
    # keep
    printf '%s\n' cage-app-f6965073
    "#);
}

#[test]
fn a_project_below_the_home_gets_a_directory_there() {
    let path = "/home/vscode/src/app";
    insta::assert_snapshot!(create(Dialect::Docker, ROOTFUL, path, &Entry::Name), @r#"
    printf '%s\n' 'cage: Creating cage-app-4fe250cd' >&2
    mkdir -p /home/me/.local/state/cage && ln -sfn /dev/null /home/me/.local/state/cage/cage-app-4fe250cd.agent
    # undo: rm -rf /home/me/.local/state/cage/cage-app-4fe250cd.agent
    docker create --interactive --tty --pull never --name cage-app-4fe250cd --hostname cage-app-4fe250cd --workdir /home/vscode/src/app --label cage.project=/home/vscode/src/app --label cage.image=local --label cage.inode=7 --label 'cage.options=-p 127.0.0.1:3000:3000 -v pg:/pg:ro --image local' --label cage.defaults=CAGE_IMAGE --label cage.user=vscode:501:20:/home/vscode --label cage.owner=1000:1000 --label cage.env=e3b0 --label cage.keep-id= --label cage.seen= --label cage.since=0 --label cage.terminal= --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/home/vscode/src/app,target=/home/vscode/src/app --mount type=bind,source=/home/me/.local/state/cage/cage-app-4fe250cd.agent,target=/run/host-services/ssh-auth.sock --mount type=volume,source=pg,target=/pg,ro --publish 127.0.0.1:3000:3000 --env UV_PROJECT_ENVIRONMENT=.cage-venv --env TERM=xterm-256color --env TZ=Europe/Berlin --env SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock --user vscode --add-host host.docker.internal:host-gateway --cap-drop MKNOD --cap-drop SETFCAP --pids-limit 4096 --shm-size 1g --log-driver none --stop-signal SIGHUP --init local >/dev/null
    # undo: docker rm --force --volumes cage-app-4fe250cd >/dev/null; rm -rf /home/me/.local/state/cage/cage-app-4fe250cd.agent
    docker run --rm --pull never --network none --workdir / --user 0 --env LD_LIBRARY_PATH= --env LD_PRELOAD= --env LD_AUDIT= --cap-drop ALL --cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add FOWNER --cap-add FSETID --security-opt no-new-privileges --mount type=volume,source=cage-home,target=/home/vscode --entrypoint /bin/sh local -c PREPARE sh /home/vscode 1000:1000 d:src/app >/dev/null
    FILES | docker cp - cage-app-4fe250cd:/ >/dev/null
    printf '%s\n' 'cage: no SSH agent is running here: git over SSH will fail in this cage' >&2
    [ "$(realpath /home/vscode/src/app)" = /home/vscode/src/app ]
    docker start cage-app-4fe250cd >/dev/null
    docker exec --workdir / cage-app-4fe250cd /bin/sh -c : >/dev/null
    # keep
    printf '%s\n' cage-app-4fe250cd
    "#);
}

#[test]
fn seeds_and_an_agent_come_along() {
    let text = script(Dialect::Docker, &[("CAGE_IMAGE", "local")], "/p/it's", |context| {
        let mut new = NewCage {
            seed: Some("/home/me/.config/cage/home".into()),
            advice: Some("advice".into()),
            features: Features { init: false, agent: true },
            ..new_cage(context, ROOTFUL, CreateOptions::default())
        };
        new.preflight.engine.selinux = true;
        new.create(None, &Entry::Name).unwrap()
    });
    insta::assert_snapshot!(brief(&text), @r#"
    printf '%s\n' 'cage: Creating cage-it-s-86c97e5b' >&2
    printf '%s\n' 'cage: warning: advice' >&2
    mkdir -p /home/me/.local/state/cage && ln -sfn /dev/null /home/me/.local/state/cage/cage-it-s-86c97e5b.agent
    # undo: rm -rf /home/me/.local/state/cage/cage-it-s-86c97e5b.agent
    docker create --interactive --tty --pull never --name cage-it-s-86c97e5b --hostname cage-it-s-86c97e5b --workdir '/p/it'\''s' --label 'cage.project=/p/it'\''s' --label cage.image=local --label cage.inode=7 --label 'cage.options=--image local' --label cage.defaults=CAGE_IMAGE --label cage.user=vscode:501:20:/home/vscode --label cage.owner=1000:1000 --label cage.env=e3b0 --label cage.keep-id= --label cage.seen= --label cage.since=0 --label cage.terminal= --mount type=volume,source=cage-home,target=/home/vscode --mount 'type=bind,source=/p/it'\''s,target=/p/it'\''s' --mount type=bind,source=/home/me/.local/state/cage/cage-it-s-86c97e5b.agent,target=/run/host-services/ssh-auth.sock --env UV_PROJECT_ENVIRONMENT=.cage-venv --env TERM=xterm-256color --env TZ=Europe/Berlin --env SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock --user vscode --add-host host.docker.internal:host-gateway --cap-drop MKNOD --cap-drop SETFCAP --pids-limit 4096 --shm-size 1g --log-driver none --stop-signal SIGHUP --security-opt=label=disable local >/dev/null
    # undo: docker rm --force --volumes cage-it-s-86c97e5b >/dev/null; rm -rf /home/me/.local/state/cage/cage-it-s-86c97e5b.agent
    printf '%s\n' 'cage: Seeding home directory from /home/me/.config/cage/home' >&2
    docker run --rm --pull never --network none --workdir / --user 0 --env LD_LIBRARY_PATH= --env LD_PRELOAD= --env LD_AUDIT= --cap-drop ALL --cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add FOWNER --cap-add FSETID --security-opt no-new-privileges --security-opt=label=disable --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/home/me/.config/cage/home,target=/cage-seed,readonly --entrypoint /bin/sh local -c PREPARE sh /home/vscode 1000:1000 >/dev/null
    FILES | docker cp - cage-it-s-86c97e5b:/ >/dev/null
    printf '%s\n' 'cage: no SSH agent is running here: git over SSH will fail in this cage' >&2
    [ "$(realpath '/p/it'\''s')" = '/p/it'\''s' ]
    docker start cage-it-s-86c97e5b >/dev/null
    docker exec --workdir / cage-it-s-86c97e5b /bin/sh -c : >/dev/null
    # keep
    printf '%s\n' cage-it-s-86c97e5b
    "#);
}

#[test]
fn a_limit_that_the_engine_refuses_is_left_out_and_told() {
    let text = script(Dialect::Podman, &[], "/p/app", |context| {
        let mut new = new_cage(context, ROOTLESS, options("--cpus 2 --memory 4g"));
        new.preflight.engine.unenforced = vec![Limit::Processors, Limit::Processes];
        new.create(None, &Entry::Name).unwrap()
    });
    let create = text.lines().find(|line| line.starts_with("podman create")).unwrap();
    assert!(create.contains(" --memory 4g ") && !create.contains(" --pids-limit "), "{create}");
    assert!(create.matches("--cpus").count() == 1, "only in the label: {create}");
    assert!(text.contains(" limit processors: the cage may use any amount"), "{text}");
}

#[test]
fn the_projects_group_comes_along_only_where_it_is_the_same() {
    for (place, expected) in [(ROOTFUL, true), (ROOTLESS, false)] {
        let mut host = Host::sample(&[]);
        host.groups = vec![2000];
        let (session, runtime) = (session(host), Runtime::sample(Dialect::Docker));
        let project = Project { owner: Ids { uid: 1000, gid: 2000 }, ..project("/p/app") };
        let context = Context { session: &session, runtime: &runtime, project: &project, image: None };
        let plan = new_cage(&context, place, options("")).create(None, &Entry::Name).unwrap();
        assert_eq!(plan.script_with_undo().contains("--group-add"), expected, "{place:?}");
    }
}

#[test]
fn a_user_whose_cage_ends_at_logout_is_warned() {
    let warned = |kind, uid, ends_at_logout, entry: Entry| {
        let mut host = Host::sample(&[("DOCKER_HOST", "unix:///run/user/1000/docker.sock")]);
        host.ids.uid = uid;
        host.set_systemd(Systemd { controllers: None, ends_at_logout });
        let (session, runtime, project) = (session(host), Runtime::sample(kind), project("/p/app"));
        let context = Context { session: &session, runtime: &runtime, project: &project, image: None };
        let text = context
            .enter(ExecTarget { id: "ID", fixed: "", image: "local" }, None, &entry)
            .script_with_undo();
        text.contains("logging out ends this cage; `loginctl enable-linger` keeps it")
    };
    for kind in [Dialect::Docker, Dialect::Podman] {
        assert!(warned(kind, 1000, true, Entry::Name) && warned(kind, 1000, true, Entry::Attach));
        assert!(!warned(kind, 1000, false, Entry::Name), "lingers");
        assert!(!warned(kind, 1001, true, Entry::Name) || kind == Dialect::Podman, "another user's docker");
        assert!(!warned(kind, 1000, true, Entry::Exec(ExecCommand::default())));
    }
}

#[test]
fn coming_back_to_a_running_cage() {
    insta::assert_snapshot!(come_back(Dialect::Docker, State::Running, "", &Entry::Attach), @r"
    printf '%s\n' 'cage: Re-attaching to cage-app-f6965073' >&2
    exec docker attach --detach-keys 'ctrl-\' 0123456789ab
    ");
    insta::assert_snapshot!(come_back(Dialect::Podman, State::Running, "", &Entry::Attach), @r"
    printf '%s\n' 'cage: Re-attaching to cage-app-f6965073' >&2
    exec podman attach --detach-keys 'ctrl-\' --sig-proxy=false 0123456789ab
    ");
    insta::assert_snapshot!(come_back(Dialect::Docker, State::Running, "", &Entry::Name), @r"printf '%s\n' cage-app-f6965073");
    let command = Entry::Exec(ExecCommand {
        command: ["npm", "test"].map(str::to_owned).to_vec(),
        ..ExecCommand::default()
    });
    insta::assert_snapshot!(come_back(Dialect::Docker, State::Running, "", &command), @"exec docker exec --interactive --workdir / --env CAGE_SESSION=1-1 --tty --detach-keys ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^,ctrl-^ --env TERM=xterm-256color 0123456789ab /bin/sh -c EXEC_COMMAND ghcr.io/pacificsky/devcontainer-lite:latest '' 'COLORTERM TERM_PROGRAM TERM_PROGRAM_VERSION VTE_VERSION COLORFGBG' 30 100 -- npm test");
}

/// What is particular to a cage on an engine that said `info`, where the image's user can't write the project, which looks
/// to belong to `looks`.
fn particulars(os: Os, wsl: bool, info: &str, looks: Option<(u32, u32)>) -> String {
    let mut host = Host::sample(&[("CAGE_IMAGE", "local")]);
    (host.os, host.wsl) = (os, wsl);
    let (runtime, project) = (Runtime::sample(Dialect::Docker), project("/p/app"));
    let session = session(host);
    let context = Context { session: &session, runtime: &runtime, project: &project, image: None };
    let engine = Engine::recorded(os, info);
    let mut new = new_cage(&context, (engine.mode, engine.machine), options(""));
    let looks = looks.map(|(uid, gid)| Ids { uid, gid });
    new.mapping = Mapping::decide(runtime.kind, &engine, &new.user, Ids { uid: 501, gid: 20 }, looks);
    new.preflight.engine = engine;
    let script = new.create(None, &Entry::Name).unwrap().script();
    let words =
        shell_words::split(script.lines().find(|line| line.starts_with("docker create")).unwrap()).unwrap();
    let value = |flag: &str, part: &str| {
        let mut pairs = words.windows(2).filter(|pair| pair[0] == flag && pair[1].contains(part));
        pairs.next().map_or("-", |pair| pair[1].as_str()).to_owned()
    };
    let agent = value("--mount", SOCKET).replace(",target=/run/host-services/ssh-auth.sock", "");
    let owner = value("--label", "cage.owner=");
    let settles = if script.contains(&quote(SETTLE)) { ", opened to the user" } else { "" };
    format!("{owner} user={} agent={agent}{settles} host={}", value("--user", ""), value("--add-host", ""))
}

#[test]
fn every_product_has_its_way() {
    let desktop = r#"{"OperatingSystem": "Docker Desktop", "Name": "docker-desktop", "KernelVersion": "5.10.104-linuxkit"}"#;
    let colima = r#"{"OperatingSystem": "Ubuntu 24.04 LTS", "Name": "colima", "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"]}"#;
    let orbstack = r#"{"OperatingSystem": "OrbStack", "Name": "orbstack"}"#;
    let rancher = r#"{"OperatingSystem": "Alpine Linux v3.20", "Name": "lima-rancher-desktop"}"#;
    let lima = r#"{"OperatingSystem": "Ubuntu 24.04 LTS", "Name": "lima-docker", "SecurityOptions": ["name=seccomp,profile=default", "name=rootless"]}"#;
    let rows = [
        ("Docker Desktop, Mac", particulars(Os::Mac, false, desktop, None)),
        ("Docker Desktop, Linux", particulars(Os::Linux, false, desktop, Some((0, 0)))),
        ("Docker Desktop, WSL", particulars(Os::Linux, true, desktop, Some((1000, 1000)))),
        ("OrbStack", particulars(Os::Mac, false, orbstack, None)),
        ("Colima", particulars(Os::Mac, false, colima, None)),
        ("Colima, the Mac's second user", particulars(Os::Mac, false, colima, Some((502, 20)))),
        ("Rancher Desktop", particulars(Os::Mac, false, rancher, Some((0, 0)))),
        ("Lima", particulars(Os::Mac, false, lima, Some((0, 0)))),
    ];
    let table = rows.map(|(product, particulars)| format!("{product}: {particulars}")).join("\n");
    insta::assert_snapshot!(table, @"
    Docker Desktop, Mac: cage.owner=501:20 user=- agent=type=bind,source=/run/host-services/ssh-auth.sock, opened to the user host=-
    Docker Desktop, Linux: cage.owner=0:0 user=vscode agent=type=bind,source=/run/host-services/ssh-auth.sock, opened to the user host=-
    Docker Desktop, WSL: cage.owner=1000:1000 user=vscode agent=type=bind,source=/home/me/.local/state/cage/cage-app-f6965073.agent host=-
    OrbStack: cage.owner=501:20 user=- agent=type=bind,source=/run/host-services/ssh-auth.sock, opened to the user host=-
    Colima: cage.owner=501:20 user=- agent=type=bind,source=/run/host-services/ssh-auth.sock, opened to the user host=-
    Colima, the Mac's second user: cage.owner=502:20 user=vscode agent=type=bind,source=/run/host-services/ssh-auth.sock, opened to the user host=-
    Rancher Desktop: cage.owner=0:0 user=vscode agent=type=bind,source=/run/host-services/ssh-auth.sock, opened to the user host=-
    Lima: cage.owner=0:0 user=vscode agent=type=bind,source=/run/host-services/ssh-auth.sock, opened to the user host=-
    ");
}

#[test]
fn coming_back_to_a_stopped_or_frozen_cage() {
    insta::assert_snapshot!(come_back(Dialect::Podman, State::Stopped, "", &Entry::Attach), @r"
    printf '%s\n' 'cage: Restarting cage-app-f6965073' >&2
    (sleep 1; podman exec --workdir / --user 0 --env LD_LIBRARY_PATH= --env LD_PRELOAD= --env LD_AUDIT= 0123456789ab /bin/sh -c SETTLE sh '') >/dev/null 2>&1 &
    exec podman start --attach --interactive --detach-keys 'ctrl-\' --sig-proxy=false 0123456789ab
    ");
    insta::assert_snapshot!(come_back(Dialect::Docker, State::Created, "", &Entry::Name), @r"
    printf '%s\n' 'cage: Restarting cage-app-f6965073' >&2
    docker start 0123456789ab >/dev/null
    printf '%s\n' cage-app-f6965073
    ");
    insta::assert_snapshot!(come_back(Dialect::Docker, State::Paused, "", &Entry::Name), @r"
    printf '%s\n' 'cage: Unpausing cage-app-f6965073' >&2
    docker unpause 0123456789ab >/dev/null
    printf '%s\n' cage-app-f6965073
    ");
}

#[test]
fn options_that_would_need_a_new_cage_are_told_one_by_one() {
    let typed = "-p 3000:3000 -v '/a b:/t'";
    insta::assert_snapshot!(come_back(Dialect::Docker, State::Running, typed, &Entry::Name), @r"
    printf '%s\n' 'cage: cage-app-f6965073 exists without `-p 3000:3000`; `cage restart -p 3000:3000` applies it' >&2
    printf '%s\n' 'cage: cage-app-f6965073 exists without `-v '\''/a b:/t'\''`; `cage restart -v '\''/a b:/t'\''` applies it' >&2
    printf '%s\n' cage-app-f6965073
    ");
}

#[test]
fn another_image_and_a_newer_one_are_told_apart() {
    let told = |image: &str, made_of: &str| {
        script(Dialect::Docker, &[("CAGE_IMAGE", image)], "/p/app", |context| {
            let mut container = Cage::sample(context.project, State::Running);
            container.container().labels.insert(IMAGE_LABEL.into(), made_of.into());
            context.tell_image(&container, &options(""))
        })
    };
    insta::assert_snapshot!(told("r/x:1", "r/x:1"), @r"printf '%s\n' 'cage: A newer image is available. Run `cage upgrade` to upgrade.' >&2");
    insta::assert_snapshot!(told("local", "local"), @r"printf '%s\n' 'cage: A newer image is available. Run `cage restart` to use it.' >&2");
    insta::assert_snapshot!(told("r/x:2", "r/x:1"), @r"printf '%s\n' 'cage: cage-app-f6965073 was made of r/x:1; `cage restart` makes it of r/x:2' >&2");
}

#[test]
fn a_new_cage_runs_before_the_old_one_goes() {
    insta::assert_snapshot!(replace(Dialect::Docker, State::Running, &Entry::Name), @r#"
    printf '%s\n' 'cage: Creating cage-app-f6965073' >&2
    docker create --interactive --tty --pull never --name cage-app-f6965073.new --hostname cage-app-f6965073 --workdir /p/app --label cage.project=/p/app --label cage.image=local --label cage.inode= --label 'cage.options=-p 127.0.0.1:3000:3000 --image local' --label cage.defaults=CAGE_IMAGE --label cage.user=vscode:501:20:/home/vscode --label cage.owner=501:20 --label cage.env=e3b0 --label cage.keep-id= --label cage.seen= --label cage.since=0 --label cage.terminal= --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/p/app,target=/p/app --mount type=bind,source=/run/host-services/ssh-auth.sock,target=/run/host-services/ssh-auth.sock --publish 127.0.0.1:3000:3000 --env UV_PROJECT_ENVIRONMENT=.cage-venv --env TERM=xterm-256color --env TZ=Europe/Berlin --env SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock --cap-drop MKNOD --cap-drop SETFCAP --pids-limit 4096 --shm-size 1g --log-driver none --stop-signal SIGHUP --init local >/dev/null
    # undo: docker rm --force --volumes cage-app-f6965073.new >/dev/null
    docker run --rm --pull never --network none --workdir / --user 0 --env LD_LIBRARY_PATH= --env LD_PRELOAD= --env LD_AUDIT= --cap-drop ALL --cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add FOWNER --cap-add FSETID --security-opt no-new-privileges --mount type=volume,source=cage-home,target=/home/vscode --entrypoint /bin/sh local -c PREPARE sh /home/vscode 501:20 >/dev/null
    { echo restarted >/home/me/.local/state/cage/cage-app-f6965073.ended; } 2>/dev/null || true
    docker stop -t 5 0123456789ab >/dev/null
    # undo: docker rm --force --volumes cage-app-f6965073.new >/dev/null; printf '%s\n' 'cage: cage-app-f6965073 is still the old one, and is stopped' >&2
    [ "$(realpath /p/app)" = /p/app ]
    # undo: docker rm --force --volumes cage-app-f6965073.new >/dev/null; docker start 0123456789ab >/dev/null; printf '%s\n' 'cage: cage-app-f6965073 is the old one again; its programs have ended' >&2
    docker start cage-app-f6965073.new >/dev/null
    docker exec --workdir / --user 0 --env LD_LIBRARY_PATH= --env LD_PRELOAD= --env LD_AUDIT= cage-app-f6965073.new /bin/sh -c SETTLE sh /run/host-services/ssh-auth.sock >/dev/null
    # keep
    docker rm --force --volumes 0123456789ab >/dev/null
    docker rename cage-app-f6965073.new cage-app-f6965073 >/dev/null
    printf '%s\n' cage-app-f6965073
    "#);
    insta::assert_snapshot!(replace(Dialect::Podman, State::Stopped, &Entry::Attach), @r#"
    printf '%s\n' 'cage: Creating cage-app-f6965073' >&2
    podman volume create cage-home >/dev/null 2>&1 || true
    podman create --interactive --tty --pull never --name cage-app-f6965073.new --hostname cage-app-f6965073 --workdir /p/app --label cage.project=/p/app --label cage.image=local --label cage.inode= --label 'cage.options=-p 127.0.0.1:3000:3000 --image local' --label cage.defaults=CAGE_IMAGE --label cage.user=vscode:501:20:/home/vscode --label cage.owner=501:20 --label cage.env=e3b0 --label cage.keep-id=501:20 --label cage.seen= --label cage.since=0 --label cage.terminal= --mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=/p/app,target=/p/app --publish 127.0.0.1:3000:3000 --env UV_PROJECT_ENVIRONMENT=.cage-venv --env TERM=xterm-256color --env TZ=Europe/Berlin --user vscode --cap-drop MKNOD --cap-drop SETFCAP --pids-limit 4096 --shm-size 1g --log-driver none --stop-signal SIGHUP --userns=keep-id:uid=501,gid=20 --init local >/dev/null
    # undo: podman rm --force --volumes cage-app-f6965073.new >/dev/null
    podman run --rm --pull never --network none --workdir / --user 0 --env LD_LIBRARY_PATH= --env LD_PRELOAD= --env LD_AUDIT= --cap-drop ALL --cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add FOWNER --cap-add FSETID --security-opt no-new-privileges --userns=keep-id:uid=501,gid=20 --mount type=volume,source=cage-home,target=/home/vscode --entrypoint /bin/sh local -c PREPARE sh /home/vscode 501:20 >/dev/null
    [ "$(realpath /p/app)" = /p/app ]
    podman start cage-app-f6965073.new >/dev/null
    podman exec --workdir / --user 0 --env LD_LIBRARY_PATH= --env LD_PRELOAD= --env LD_AUDIT= cage-app-f6965073.new /bin/sh -c SETTLE sh '' >/dev/null
    # keep
    podman rm --force --volumes 0123456789ab >/dev/null
    podman rename cage-app-f6965073.new cage-app-f6965073 >/dev/null
    exec podman attach --detach-keys 'ctrl-\' --sig-proxy=false cage-app-f6965073
    "#);
}
