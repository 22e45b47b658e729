//! Checks of facts that are made from recorded answers of engines.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use anyhow::anyhow;
use serde_json::json;

use super::checks::similar_setting;
use super::engines::{Client, used};
use super::facts::Resources;
use super::probe::AgentInside;
use super::report::one_line;
use super::*;
use crate::base::error::Failure;
use crate::cage::existing::Cage;
use crate::cage::user::ImageUser;
use crate::engine::container::State;
use crate::engine::dialect::Dialect;
use crate::engine::error::EngineError;
use crate::engine::info::{Info, Limit, Mode, Product};
use crate::engine::query::Volume;
use crate::engine::runtime::Runtime;
use crate::host::ids::Ids;
use crate::host::machine::{Host, Os};
use crate::host::project::{Project, cage_name};
use crate::host::systemd::Systemd;

/// docker 20.10, as Debian 12 has it.
const INFO: &str = r#"{"ServerVersion":"20.10.24+dfsg1","Architecture":"x86_64","OperatingSystem":"Debian GNU/Linux 12 (bookworm)","Name":"vm","DockerRootDir":"/var/lib/docker",
    "MemoryLimit":true,"CpuCfsQuota":true,"PidsLimit":true,"SecurityOptions":["name=seccomp,profile=default"]}"#;

/// podman 4.3 without root on cgroup v2, where systemd hands on two controllers.
const PODMAN: &str = r#"{"host":{"arch":"amd64","cgroupVersion":"v2","cgroupControllers":["memory","pids"],
    "ociRuntime":{"name":"crun","version":"crun version 1.14\ncommit: 1"},
    "security":{"rootless":true,"seccompEnabled":true,"apparmorEnabled":false},"serviceIsRemote":false},
    "store":{"graphRoot":"/home/me/.local/share/containers/storage"},"version":{"Version":"4.3.1"}}"#;

fn client(kind: Dialect, endpoint: &str, info: anyhow::Result<Info>) -> Client {
    let runtime = Runtime::sample(kind);
    Client {
        name: runtime.name.clone(),
        tried: true,
        runtime: Some(runtime),
        is_unprotected: false,
        endpoint: endpoint.into(),
        info,
        free_space: None,
    }
}

fn answer(kind: Dialect, host: &Host, info: &str) -> anyhow::Result<Info> {
    kind.read_info(info, kind.program(), host)
}

fn docker(host: &Host) -> Client {
    client(Dialect::Docker, "unix:///var/run/docker.sock", answer(Dialect::Docker, host, INFO))
}

fn podman(host: &Host) -> Client {
    client(Dialect::Podman, "", answer(Dialect::Podman, host, PODMAN))
}

/// Returns a client whose engine fails with this message.
fn failing(kind: Dialect, endpoint: &str, words: &str) -> Client {
    let invocation = Runtime::sample(kind).command(["version"]);
    let error = EngineError::new(&invocation, ExitStatus::from_raw(256), words.as_bytes());
    client(kind, endpoint, Err(error.into()))
}

const DOWN: &str = "Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?";
const FORBIDDEN: &str = "permission denied while trying to connect to the docker API at unix:///x.sock";
const BROKEN: &str = "something else";

fn slow() -> Client {
    let invocation = Runtime::sample(Dialect::Docker).command(["version"]);
    client(Dialect::Docker, "", Err(EngineError::timed_out(&invocation, TIME_LIMIT).into()))
}

/// Returns a client that can't name its version.
fn stub() -> Client {
    Client { runtime: None, ..failing(Dialect::Docker, "", BROKEN) }
}

fn error(message: &str) -> anyhow::Error {
    Failure::new(message).hint("the hint").into()
}

fn project() -> Project {
    let path = "/home/me/app";
    Project {
        path: path.into(),
        name: cage_name(path),
        inode: 1,
        owner: Ids { uid: 1000, gid: 1000 },
        reached: path.into(),
    }
}

/// Returns the facts of a machine with these clients and nothing wrong.
fn facts(host: &Host, clients: Vec<Client>) -> Facts {
    let used = used(&clients);
    let answers = used.is_some_and(|index| clients[index].info.is_ok());
    let vscode =
        ImageUser { name: "vscode".into(), ids: Ids { uid: 501, gid: 20 }, home: "/home/vscode".into() };
    let resources = Resources {
        cages: vec![Cage::sample(&project(), State::Stopped)],
        has_image: true,
        image_user: Some(Ok(vscode)),
        home: Some(Volume { name: "cage-home".into(), is_plain: true, directory: "/x".into() }),
        agent: AgentInside::Works(1),
    };
    Facts {
        host: host.clone(),
        programs: Vec::new(),
        invalid_settings: Vec::new(),
        chosen_by: None,
        clients,
        no_client: None,
        used,
        rootless_problems: Vec::new(),
        project: Ok(project().path),
        env_files: Some(Ok(3)),
        personal: None,
        agent: Some(Ok(1)),
        resources: answers.then_some(Ok(resources)),
    }
}

/// Returns one line for each check, with the fix after `->`.
fn printed(facts: &Facts) -> String {
    let line = |check: Check| {
        let fix = check.fix.map(|fix| format!(" -> {fix}")).unwrap_or_default();
        format!("{:?} {}: {}{fix}\n", check.level, check.name, check.message)
    };
    checks(facts).into_iter().map(line).collect()
}

/// Returns name and level of the checks that are not ok.
fn wrong(facts: &Facts) -> Vec<(&'static str, Level)> {
    let wrong = checks(facts).into_iter().filter(|check| check.level != Level::Ok);
    wrong.map(|check| (check.name, check.level)).collect()
}

fn resources(facts: &mut Facts) -> &mut Resources {
    facts.resources.as_mut().unwrap().as_mut().unwrap()
}

fn info(facts: &mut Facts) -> &mut Info {
    facts.clients[0].info.as_mut().unwrap()
}

#[test]
fn nothing_is_wrong_with_docker_on_linux() {
    let host = Host::sample(&[("CAGE_IMAGE", "ghcr.io/x/y"), ("CAGE_RUNTIME", "docker")]);
    let mut facts = facts(&host, vec![docker(&host)]);
    facts.chosen_by = Some("as CAGE_RUNTIME says");
    facts.clients[0].free_space = Some(80_000_000_000);
    insta::assert_snapshot!(printed(&facts), @"
    Ok settings: set: CAGE_IMAGE, CAGE_RUNTIME
    Ok engine: docker 20.10.24+dfsg1 answers at unix:///var/run/docker.sock; used, as CAGE_RUNTIME says
    Ok mode: run by root on this machine
    Ok limits: the engine can limit processes, memory and processors
    Ok protections: seccomp
    Ok disk: 80 GB free for images and cages
    Ok image: ghcr.io/x/y, user vscode (501:20)
    Ok home: cage-home
    Ok ssh-agent: 1 key on this machine, 1 key inside (`ssh-add -c` asks before each use)
    Ok env-files: 3 variables
    Ok project: /home/me/app
    ");
}

#[test]
fn rootless_podman_is_used_when_docker_is_forbidden() {
    let mut host = Host::sample(&[]);
    host.set_systemd(Systemd {
        controllers: Some(vec!["memory".into(), "pids".into()]),
        ends_at_logout: false,
    });
    let mut facts = facts(&host, vec![failing(Dialect::Docker, "", FORBIDDEN), podman(&host)]);
    insta::assert_snapshot!(printed(&facts), @"
    Warning engine: docker: you have no permission to use docker; cage uses podman -> add yourself to the engine's group (`sudo usermod -aG docker $USER`, then log in again), or use rootless podman: `cage --runtime podman …`
    Ok engine: podman 4.3.1 answers; used
    Ok mode: run without root on this machine
    Warning limits: the engine can't limit processors -> put `Delegate=cpu cpuset io memory pids` into the unit user@.service, then log in again
    Ok protections: seccomp
    Ok image: ghcr.io/pacificsky/devcontainer-lite:latest, user vscode (501:20)
    Ok home: cage-home
    Ok ssh-agent: 1 key on this machine, 1 key inside (`ssh-add -c` asks before each use)
    Ok env-files: 3 variables
    Ok project: /home/me/app
    ");
    facts.clients[1].info.as_mut().unwrap().version = "4.2.9".into();
    assert!(wrong(&facts).contains(&("version", Level::Problem)));
}

#[test]
fn the_rest_is_checked_without_an_engine() {
    let host = Host::sample(&[]);
    let mut none = facts(&host, vec![]);
    none.no_client = Some(error("no container runtime found"));
    insta::assert_snapshot!(printed(&none), @"
    Problem engine: no container runtime found -> the hint
    Ok ssh-agent: 1 key on this machine
    Ok env-files: 3 variables
    Ok project: /home/me/app
    ");
    let down = facts(&host, vec![failing(Dialect::Docker, "unix:///var/run/docker.sock", DOWN)]);
    assert_eq!(wrong(&down), [("engine", Level::Problem)]);
    insta::assert_snapshot!(printed(&down).lines().next().unwrap(), @"Problem engine: docker: no engine answers at unix:///var/run/docker.sock -> `sudo systemctl start docker`");
}

#[test]
fn doctor_uses_the_engine_that_the_other_commands_use() {
    let host = Host::sample(&[]);
    let broken = || failing(Dialect::Docker, "", BROKEN);
    let down = || failing(Dialect::Docker, "", DOWN);
    let forbidden = || failing(Dialect::Docker, "", FORBIDDEN);
    assert_eq!(used(&[docker(&host), docker(&host)]), Some(0));
    let skipped: [&dyn Fn() -> Client; 3] = [&stub, &down, &forbidden];
    for skipped in skipped {
        assert_eq!(used(&[skipped(), docker(&host)]), Some(1));
        assert_eq!(used(&[skipped(), broken(), docker(&host)]), Some(2));
        assert_eq!(used(&[skipped(), slow(), docker(&host)]), Some(1), "cage would wait");
        assert_eq!(used(&[skipped()]), None);
    }
    assert_eq!(used(&[slow(), docker(&host)]), Some(0));
    assert_eq!(used(&[broken(), docker(&host)]), Some(0));
    // The other engine is named where it would help.
    let mut slow = facts(&host, vec![slow(), podman(&host)]);
    insta::assert_snapshot!(printed(&slow).lines().next().unwrap(), @"Problem engine: docker: `docker version`: no answer within 10 s -> the engine or this machine may be busy: try again, with `--verbose` to see each engine command; or use the one that answers: `--runtime podman`, CAGE_RUNTIME=podman");
    slow.clients[0].tried = false;
    slow.used = None;
    assert!(printed(&slow).starts_with("Ok engine: docker: `docker version`: no answer within 10 s"));
}

#[test]
fn an_engine_that_is_down_comes_with_the_command_that_starts_it() {
    let host = Host::sample(&[]);
    let how = |os, kind, endpoint: &str| {
        let mut host = host.clone();
        host.os = os;
        let printed = printed(&facts(&host, vec![failing(kind, endpoint, DOWN)]));
        let line = printed.lines().find(|line| line.contains(" engine: ")).unwrap();
        line.split(" -> ").nth(1).unwrap().to_owned()
    };
    let docker = |os, endpoint: &str| how(os, Dialect::Docker, endpoint);
    assert_eq!(docker(Os::Mac, "unix:///Users/u/.colima/default/docker.sock"), "`colima start`");
    assert_eq!(docker(Os::Mac, "unix:///Users/u/.orbstack/run/docker.sock"), "start OrbStack");
    assert_eq!(docker(Os::Mac, "unix:///Users/u/.rd/docker.sock"), "start Rancher Desktop");
    assert_eq!(docker(Os::Mac, "unix:///Users/u/.docker/run/docker.sock"), "start Docker Desktop");
    assert_eq!(docker(Os::Linux, "unix:///home/u/.docker/desktop/docker.sock"), "start Docker Desktop");
    assert_eq!(docker(Os::Linux, "unix:///run/user/1000/docker.sock"), "`systemctl --user start docker`");
    assert_eq!(docker(Os::Linux, "unix:///var/run/docker.sock"), "`sudo systemctl start docker`");
    assert_eq!(docker(Os::Mac, "unix:///var/run/docker.sock"), "start Docker Desktop, OrbStack or colima");
    assert!(docker(Os::Linux, "ssh://me@build").starts_with("on that machine"));
    assert_eq!(how(Os::Mac, Dialect::Podman, ""), "`podman machine start`");
    assert_eq!(how(Os::Linux, Dialect::Podman, ""), "`podman info` shows the reason");
}

/// Returns the facts of a Mac with the product that has a virtual machine of this system and name.
fn mac(system: &str, name: &str, endpoint: &str) -> Facts {
    let mut host = Host::sample(&[]);
    host.os = Os::Mac;
    let info = json!({"ServerVersion": "28.3.2", "Architecture": "aarch64", "OperatingSystem": system, "Name": name, "DockerRootDir": "/var/lib/docker",
        "SecurityOptions": ["name=seccomp,profile=unconfined"], "PidsLimit": true});
    let info = answer(Dialect::Docker, &host, &info.to_string());
    facts(&host, vec![client(Dialect::Docker, endpoint, info)])
}

#[test]
fn each_product_on_a_mac_has_its_own_fix_for_the_agent() {
    let desktop = mac("Docker Desktop", "docker-desktop", "unix:///Users/u/.docker/run/docker.sock");
    insta::assert_snapshot!(printed(&desktop), @"
    Ok engine: docker 28.3.2 answers at unix:///Users/u/.docker/run/docker.sock; used
    Ok mode: in a virtual machine (Docker Desktop)
    Ok limits: the engine can limit processes, memory and processors
    Ok protections: no seccomp, as usual in this product's virtual machine
    Ok image: ghcr.io/pacificsky/devcontainer-lite:latest, user vscode (501:20)
    Ok home: cage-home
    Ok ssh-agent: 1 key on this machine, 1 key inside (`ssh-add -c` asks before each use)
    Ok env-files: 3 variables
    Ok project: /home/me/app
    ");

    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("default")).unwrap();
    std::fs::write(dir.path().join("default/colima.yaml"), "forwardAgent: false\n").unwrap();
    let socket = format!("unix://{}/default/docker.sock", dir.path().display());
    let mut colima = mac("Ubuntu 24.04 LTS", "colima", &socket);
    resources(&mut colima).agent = AgentInside::Fails("Error connecting to agent".into());
    let text = printed(&colima);
    assert!(text.contains("in a virtual machine (Colima)"), "{text}");
    assert!(text.contains("`colima stop && colima start --ssh-agent` turns it on"), "{text}");

    for (system, name, fix) in [
        ("OrbStack", "orbstack", "did an agent run when the engine started?"),
        ("Rancher Desktop", "lima-rancher-desktop", "override.yaml"),
        ("Ubuntu 24.04 LTS", "lima-docker", "lima.yaml"),
    ] {
        let mut product = mac(system, name, "");
        // The product provides an agent.
        product.agent = None;
        resources(&mut product).agent = AgentInside::Fails("Permission denied".into());
        let text = printed(&product);
        assert!(
            text.contains("no SSH_AUTH_SOCK on this machine; does not work inside: Permission denied"),
            "{text}"
        );
        assert!(text.contains(fix), "{text}");
    }
}

#[test]
fn podman_machine_can_not_mount_an_agent() {
    let mut host = Host::sample(&[]);
    host.os = Os::Mac;
    let mut facts = facts(&host, vec![podman(&host)]);
    resources(&mut facts).agent = AgentInside::Untried("there is no agent to mount".into());
    let text = printed(&facts);
    let line = "Warning ssh-agent: 1 key on this machine; does not work inside -> podman machine can't bring";
    assert!(text.contains(line), "{text}");
}

#[test]
fn each_wrong_thing_is_named_and_has_a_fix() {
    let host = Host::sample(&[]);
    let changed = |name: &'static str, level: Level, change: &dyn Fn(&mut Facts)| {
        let mut facts = facts(&host, vec![docker(&host)]);
        assert_eq!(wrong(&facts), [], "the control: nothing is wrong");
        change(&mut facts);
        assert_eq!(wrong(&facts), [(name, level)], "{}", printed(&facts));
        let check = checks(&facts).into_iter().find(|check| check.level == level).unwrap();
        assert!(check.fix.is_some(), "{check:?}");
    };
    let (warning, problem) = (Level::Warning, Level::Problem);
    changed("settings", problem, &|f| f.invalid_settings.push(error("CAGE_SSH is neither")));
    changed("settings", warning, &|f| f.host = Host::sample(&[("CAGE_IMGAE", "x")]));
    changed("settings", warning, &|f| f.host = Host::sample(&[("CAGE_SOMETHING", "x")]));
    changed("endpoint", warning, &|f| {
        f.clients[0].is_unprotected = true;
        f.clients[0].info.as_mut().unwrap().engine.machine = Some(Product::Elsewhere);
    });
    changed("user-namespaces", problem, &|f| {
        f.rootless_problems.push(Check::problem("user-namespaces", "off", "turn them on"));
    });
    changed("version", problem, &|f| info(f).version = "19.03.5".into());
    changed("limits", warning, &|f| info(f).engine.unenforced = vec![Limit::Memory]);
    changed("logout", warning, &|f| {
        f.host.set_systemd(Systemd { controllers: None, ends_at_logout: true });
        info(f).engine.mode = Mode::Rootless;
    });
    changed("protections", warning, &|f| info(f).seccomp = false);
    changed("disk", warning, &|f| f.clients[0].free_space = Some(1_000_000_000));
    changed("engine", problem, &|f| f.resources = Some(Err(error("no answer"))));
    changed("image", problem, &|f| resources(f).image_user = Some(Err(error("no sh"))));
    changed("image", problem, &|f| {
        f.host = Host::sample(&[("CAGE_IMAGE", "lab")]);
        resources(f).has_image = false;
        resources(f).image_user = None;
    });
    changed("home", problem, &|f| {
        resources(f).home = Some(Volume { name: "cage-home".into(), is_plain: false, directory: "".into() });
    });
    changed("ssh-agent", warning, &|f| f.agent = None);
    changed("ssh-agent", warning, &|f| f.agent = Some(Err("Connection refused".into())));
    changed("ssh-agent", warning, &|f| resources(f).agent = AgentInside::Works(0));
    changed("ssh-agent", warning, &|f| resources(f).agent = AgentInside::Fails("refused".into()));
    changed("env-files", problem, &|f| f.env_files = Some(Err(error(".cage.env, line 2"))));
    changed("project", warning, &|f| f.project = Err(error("no such directory")));
}

#[test]
fn missing_objects_are_not_a_problem() {
    let host = Host::sample(&[("CAGE_SSH", "off")]);
    let mut facts = facts(&host, vec![docker(&host)]);
    facts.agent = None;
    facts.env_files = Some(Ok(0));
    facts.resources = Some(Ok(Resources {
        cages: Vec::new(),
        has_image: false,
        image_user: None,
        home: None,
        agent: AgentInside::Untried("the image is not on this machine".into()),
    }));
    assert_eq!(wrong(&facts), []);
    assert!(printed(&facts).contains("is not on this machine yet: `cage start` pulls it"));
}

#[test]
fn a_misspelt_setting_is_recognised() {
    assert_eq!(similar_setting("CAGE_IMGAE"), Some("CAGE_IMAGE"));
    assert_eq!(similar_setting("CAGE_RUNTIM"), Some("CAGE_RUNTIME"));
    assert_eq!(similar_setting("CAGE_SOMETHING"), None);
}

#[test]
fn an_error_is_shown_on_one_line() {
    let error = anyhow!("`docker info`: exit status 1\nsome\nthe last words\n");
    assert_eq!(one_line(&error), "`docker info`: exit status 1: the last words");
    let error = anyhow!("Docker is not running.\n`docker info`: exit status 1");
    assert_eq!(one_line(&error), "Docker is not running.");
}
