//! Many situations, from what engines were recorded to say.

use serde_json::json;

use super::engines::{Silence, Why, chosen};
use super::*;
use crate::engine::container::{Container, Image, State};
use crate::engine::runtime::{Runtime, RuntimeKind, Volume};
use crate::host::machine::Os;
use crate::host::project::cage_name;
use crate::lifecycle::unused::{LostCage, OldImage};

/// docker 28 on a 20.10 engine, as Debian 12 has it.
const VERSION: &str = r#"{"Client":{"Version":"28.2.2"},"Server":{"Platform":{"Name":""},"Components":[
    {"Name":"Engine","Version":"20.10.24+dfsg1"},{"Name":"containerd","Version":"1.6.20~ds1"},
    {"Name":"runc","Version":"1.1.5+ds1"},{"Name":"docker-init","Version":"0.19.0"}],
    "Version":"20.10.24+dfsg1","Os":"linux","Arch":"amd64"}}"#;
const INFO: &str = r#"{"OperatingSystem":"Debian GNU/Linux 12 (bookworm)","Name":"vm","DockerRootDir":"/var/lib/docker",
    "MemoryLimit":true,"CpuCfsQuota":true,"PidsLimit":true,"SecurityOptions":["name=seccomp,profile=default"]}"#;

/// podman 4.3 without root on cgroup v2, where systemd hands on two controllers.
const PODMAN: &str = r#"{"host":{"arch":"amd64","cgroupVersion":"v2","cgroupControllers":["memory","pids"],
    "ociRuntime":{"name":"crun","version":"crun version 1.14\ncommit: 1"},
    "security":{"rootless":true,"seccompEnabled":true,"apparmorEnabled":false},"serviceIsRemote":false},
    "store":{"graphRoot":"/home/me/.local/share/containers/storage"},"version":{"Version":"4.3.1"}}"#;

fn candidate(kind: RuntimeKind, endpoint: &str, server: Result<Server, Silence>) -> Candidate {
    let runtime = Runtime::sample(kind);
    Candidate {
        name: runtime.name.clone(),
        path: format!("/usr/bin/{}", runtime.name).into(),
        tried: true,
        runtime: Some(runtime),
        client: Some("28.2.2".into()),
        endpoint: endpoint.into(),
        server,
    }
}

fn silent(why: Why) -> Result<Server, Silence> {
    Err(Silence { why, told: Told::new("what it said").fix("what helps") })
}

fn docker(host: &Host) -> Candidate {
    let server = Server::recorded_docker(host, VERSION, INFO);
    candidate(RuntimeKind::Docker, "unix:///var/run/docker.sock", Ok(server))
}

fn podman(host: &Host) -> Candidate {
    let mut candidate = candidate(RuntimeKind::Podman, "", Ok(Server::recorded_podman(host, PODMAN)));
    candidate.client = Some("4.3.1".into());
    candidate
}

fn project() -> Project {
    let path = "/home/me/app";
    Project { path: path.into(), name: cage_name(path), inode: 1, gid: 1000, reached: path.into() }
}

/// A machine where nothing is wrong, with these engines.
fn facts(host: &Host, candidates: Vec<Candidate>) -> Facts {
    let chosen = chosen(&candidates);
    let answers = chosen.is_some_and(|index| candidates[index].server.is_ok());
    let user =
        ImageUser { name: "vscode".into(), ids: Ids { uid: 501, gid: 20 }, home: "/home/vscode".into() };
    let image = Image { date: Some("2000-01-01".into()), size: 193_000_000, ..Image::sample("sha256:1") };
    let store = Store {
        cages: vec![Container::sample(&project(), State::Stopped)],
        image: Some(image),
        home: Some(Volume::sample("cage-home", "null")),
    };
    let inside = Inside {
        store: Ok(store),
        user: Some(Ok(user)),
        trial: Trial {
            agent: AgentInside::Works(1),
            owner: Some(Ids { uid: 1000, gid: 1000 }),
            expected: None,
            init: Some(true),
            error: None,
        },
        disk: Disk {
            cages: Some(12),
            home: Some(1_200_000_000),
            own_homes: Some(0),
            free: Some(80_000_000_000),
        },
        unused: Unused::default(),
        person: host.ids,
        nested: None,
    };
    Facts {
        host: host.clone(),
        wrong: Vec::new(),
        choice: None,
        candidates,
        none_found: None,
        chosen,
        kernel: None,
        project: Ok(project()),
        not_here: None,
        env: Some(Ok(3)),
        seed: Ok(Some("/home/me/.config/cage/home".into())),
        agent: Some(Ok(1)),
        inside: answers.then_some(inside),
    }
}

/// What is told, one a line; the fix after `->`.
fn told(facts: &Facts) -> String {
    let line = |check: Check| {
        let fix = check.fix.map(|fix| format!(" -> {fix}")).unwrap_or_default();
        format!("{:?} {}: {}{fix}\n", check.level, check.name, check.message)
    };
    checks(facts).into_iter().map(line).collect::<String>().replace(&days_since_2000(), "N days ago")
}

fn days_since_2000() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 86400;
    format!("{} days ago", now - 10957)
}

/// The checks of these names that are not ok.
fn wrong(facts: &Facts) -> Vec<(&'static str, Level)> {
    let wrong = checks(facts).into_iter().filter(|check| check.level != Level::Ok);
    wrong.map(|check| (check.name, check.level)).collect()
}

fn with(facts: &mut Facts, change: impl FnOnce(&mut Inside)) {
    change(facts.inside.as_mut().unwrap());
}

fn server_of(facts: &mut Facts) -> &mut Server {
    facts.candidates[0].server.as_mut().unwrap()
}

#[test]
fn all_is_well_on_linux() {
    let host = Host::sample(&[("CAGE_IMAGE", "ghcr.io/x/y"), ("CAGE_RUNTIME", "docker")]);
    let mut facts = facts(&host, vec![docker(&host)]);
    facts.choice = Some("CAGE_RUNTIME");
    server_of(&mut facts).oci_runtime = Some(("runc".into(), "1.2.8".into()));
    insta::assert_snapshot!(told(&facts), @"
    Ok settings: set: CAGE_IMAGE, CAGE_RUNTIME
    Ok engine: docker: 20.10.24+dfsg1 answers to the client 28.2.2 at unix:///var/run/docker.sock; cage uses it, as CAGE_RUNTIME says
    Ok mode: run by root on this machine
    Ok oci-runtime: runc 1.2.8
    Ok limits: processes, memory and processors can be limited
    Ok protections: seccomp
    Ok image: ghcr.io/x/y, made on 2000-01-01, N days ago, 193 MB, user vscode (501:20)
    Ok home: cage-home, 1.2 GB, yours
    Ok disk: cages 12 B, shared home 1.2 GB, image 193 MB, 80 GB left
    Ok cages: 1, 0 of them up
    Ok init: the engine has one, which cages start with
    Ok ssh-agent: here 1 key; inside 1 key
    Ok env-files: variables: 3
    Ok seed: /home/me/.config/cage/home
    Ok project: /home/me/app; its cage is stopped
    ");
}

#[test]
fn without_root_podman_maps_and_limits_as_far_as_it_can() {
    let mut host = Host::sample(&[]);
    host.cgroup_v2 = true;
    let mut facts =
        facts(&host, vec![candidate(RuntimeKind::Docker, "", silent(Why::Forbidden)), podman(&host)]);
    facts.kernel = Some(Kernel {
        has_mappers: true,
        subordinates: (65536, 65536),
        user: "me".into(),
        ..Kernel::default()
    });
    // Root inside is the person outside.
    with(&mut facts, |inside| inside.trial.owner = Some(Ids::ROOT));
    insta::assert_snapshot!(told(&facts), @"
    Warning engine: docker: what it said; cage uses another -> what helps
    Ok engine: podman: 4.3.1 answers; cage uses it
    Ok user-namespaces: allowed, and me has 65536 subordinate users
    Ok mode: run without root on this machine
    Ok oci-runtime: crun 1.14
    Warning limits: this engine can't limit processors: a cage may use any amount -> let systemd hand them on: `Delegate=cpu cpuset io memory pids` for user@.service, then log in again
    Ok protections: seccomp
    Ok image: ghcr.io/pacificsky/devcontainer-lite:latest, made on 2000-01-01, N days ago, 193 MB, user vscode (501:20)
    Ok home: cage-home, 1.2 GB, yours
    Ok disk: cages 12 B, shared home 1.2 GB, image 193 MB, 80 GB left
    Ok cages: 1, 0 of them up
    Ok init: the engine has one, which cages start with
    Ok ssh-agent: here 1 key; inside 1 key
    Ok env-files: variables: 3
    Ok seed: /home/me/.config/cage/home
    Ok project: /home/me/app; its cage is stopped
    ");
    facts.candidates[1].server.as_mut().unwrap().version = "4.2.9".into();
    assert!(wrong(&facts).contains(&("version", Level::Problem)));
}

#[test]
fn without_an_engine_that_answers_the_rest_is_told_all_the_same() {
    let host = Host::sample(&[]);
    let mut none = facts(&host, vec![]);
    none.none_found = Some(Told::new("no container runtime found").fix("install one"));
    insta::assert_snapshot!(told(&none), @"
    Problem engine: no container runtime found -> install one
    Ok ssh-agent: here 1 key
    Ok env-files: variables: 3
    Ok seed: /home/me/.config/cage/home
    Ok project: /home/me/app
    ");
    assert_eq!(none.silence().unwrap().message, "no container runtime found");

    let down =
        facts(&host, vec![candidate(RuntimeKind::Docker, "unix:///var/run/docker.sock", silent(Why::Down))]);
    assert_eq!(wrong(&down), [("engine", Level::Problem)]);
    assert!(
        told(&down).contains(
            "docker: nothing answers at unix:///var/run/docker.sock -> `sudo systemctl start docker`"
        )
    );
}

#[test]
fn which_engine_is_used_is_what_the_commands_do() {
    let host = Host::sample(&[]);
    let made = |whys: &[Option<Why>]| {
        let of = |why: &Option<Why>| match why {
            None => docker(&host),
            Some(why) => candidate(RuntimeKind::Docker, "", silent(*why)),
        };
        whys.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(chosen(&made(&[None, None])), Some(0));
    for passed_over in [Why::Down, Why::Forbidden, Why::Stub] {
        assert_eq!(chosen(&made(&[Some(passed_over), None])), Some(1));
        assert_eq!(chosen(&made(&[Some(passed_over), Some(Why::Broken), None])), Some(2));
        assert_eq!(chosen(&made(&[Some(passed_over)])), None);
    }
    for stops in [Why::Late, Why::Broken] {
        assert_eq!(chosen(&made(&[Some(stops), None])), Some(0));
    }
    // The other one is named, where it would help.
    let mut late = facts(&host, vec![candidate(RuntimeKind::Docker, "", silent(Why::Late)), podman(&host)]);
    let said = told(&late);
    assert!(said.contains("Problem engine: docker: what it said; cage waits for it -> what helps; or use what answers: `--runtime podman`"), "{said}");
    late.candidates[0].tried = false;
    late.chosen = None;
    assert!(told(&late).contains("Ok engine: docker: what it said"));
}

#[test]
fn an_engine_that_is_down_is_told_how_to_start() {
    let host = Host::sample(&[]);
    let how = |os, kind, endpoint: &str| {
        let mut host = host.clone();
        host.os = os;
        let said = told(&facts(&host, vec![candidate(kind, endpoint, silent(Why::Down))]));
        let line = said.lines().find(|line| line.contains(" engine: ")).unwrap();
        line.split(" -> ").nth(1).unwrap().to_owned()
    };
    let docker = |os, endpoint: &str| how(os, RuntimeKind::Docker, endpoint);
    assert_eq!(docker(Os::Mac, "unix:///Users/u/.colima/default/docker.sock"), "`colima start`");
    assert_eq!(docker(Os::Mac, "unix:///Users/u/.colima/docker.sock"), "`colima start`");
    assert_eq!(docker(Os::Linux, "unix:///home/u/.config/colima/work/docker.sock"), "`colima -p work start`");
    assert_eq!(docker(Os::Mac, "unix:///Users/u/.orbstack/run/docker.sock"), "start OrbStack");
    assert_eq!(docker(Os::Mac, "unix:///Users/u/.rd/docker.sock"), "start Rancher Desktop");
    assert_eq!(docker(Os::Mac, "unix:///Users/u/.docker/run/docker.sock"), "start Docker Desktop");
    assert_eq!(docker(Os::Linux, "unix:///home/u/.docker/desktop/docker.sock"), "start Docker Desktop");
    assert_eq!(docker(Os::Linux, "unix:///run/user/1000/docker.sock"), "`systemctl --user start docker`");
    assert_eq!(docker(Os::Mac, "unix:///var/run/docker.sock"), "start Docker Desktop, OrbStack or colima");
    assert!(docker(Os::Linux, "ssh://me@build").contains("unset DOCKER_HOST"));
    assert_eq!(how(Os::Mac, RuntimeKind::Podman, ""), "`podman machine start`");
    assert_eq!(how(Os::Linux, RuntimeKind::Podman, ""), "`podman info` says why");
}

/// A Mac with this product.
fn mac(system: &str, name: &str, platform: &str, endpoint: &str) -> Facts {
    let mut host = Host::sample(&[]);
    host.os = Os::Mac;
    let version = json!({"Client": {"Version": "28.3.2"}, "Server": {
        "Platform": {"Name": platform}, "Version": "28.3.2", "Arch": "arm64",
        "Components": [{"Name": "runc", "Version": "1.2.5"}, {"Name": "docker-init", "Version": "0.19.0"}],
    }});
    let info = json!({"OperatingSystem": system, "Name": name, "DockerRootDir": "/var/lib/docker",
        "SecurityOptions": ["name=seccomp,profile=unconfined"], "PidsLimit": true});
    let server = Server::recorded_docker(&host, &version.to_string(), &info.to_string());
    let mut facts = facts(&host, vec![candidate(RuntimeKind::Docker, endpoint, Ok(server))]);
    with(&mut facts, |inside| {
        inside.store.as_mut().unwrap().image.as_mut().unwrap().architecture = "arm64".into();
    });
    facts
}

#[test]
fn products_on_a_mac_have_their_own_ways() {
    let desktop = mac(
        "Docker Desktop",
        "docker-desktop",
        "Docker Desktop 4.44.2 (201120)",
        "unix:///Users/u/.docker/run/docker.sock",
    );
    insta::assert_snapshot!(told(&desktop), @"
    Ok engine: docker: 28.3.2 answers to the client 28.2.2 at unix:///Users/u/.docker/run/docker.sock; cage uses it: docker comes first
    Ok mode: in a virtual machine (Docker Desktop): Docker Desktop 4.44.2 (201120)
    Problem version: containers of Docker Desktop 4.44.2 (201120) can take this machine over (CVE-2025-9074) -> update Docker Desktop to 4.44.3 or newer
    Warning oci-runtime: runc 1.2.5 is older than 1.2.8 or 1.3.3: unless your distribution has mended it, a cage can break out (CVE-2025-31133, CVE-2025-52565, CVE-2025-52881) -> update Docker Desktop
    Ok limits: processes, memory and processors can be limited
    Ok protections: no filter of system calls (seccomp), as the product has it
    Ok image: ghcr.io/pacificsky/devcontainer-lite:latest, made on 2000-01-01, N days ago, 193 MB, user vscode (501:20)
    Ok home: cage-home, 1.2 GB, of 1000:1000 inside
    Ok disk: cages 12 B, shared home 1.2 GB, image 193 MB, 80 GB left
    Ok cages: 1, 0 of them up
    Ok init: the engine has one, which cages start with
    Ok ssh-agent: here 1 key; inside 1 key
    Ok env-files: variables: 3
    Ok seed: /home/me/.config/cage/home
    Ok project: /home/me/app; its cage is stopped
    ");
    let newer = mac("Docker Desktop", "docker-desktop", "Docker Desktop 4.44.3 (202357)", "");
    assert!(!wrong(&newer).contains(&("version", Level::Problem)));

    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("default")).unwrap();
    std::fs::write(dir.path().join("default/colima.yaml"), "forwardAgent: false\n").unwrap();
    let socket = format!("unix://{}/default/docker.sock", dir.path().display());
    let mut colima = mac("Ubuntu 24.04 LTS", "colima", "Docker Engine - Community", &socket);
    with(&mut colima, |inside| inside.trial.agent = AgentInside::Fails("Error connecting to agent".into()));
    let said = told(&colima);
    assert!(said.contains("in a virtual machine (Colima): Docker Engine - Community"), "{said}");
    assert!(said.contains("`colima stop && colima start --ssh-agent` turns it on"), "{said}");

    for (system, name, remedy) in [
        ("OrbStack", "orbstack", "did an agent run when the engine started?"),
        ("Rancher Desktop", "lima-rancher-desktop", "override.yaml"),
        ("Ubuntu 24.04 LTS", "lima-docker", "lima.yaml"),
    ] {
        let mut product = mac(system, name, "", "");
        // The product brings an agent of its own.
        product.agent = None;
        with(&mut product, |inside| inside.trial.agent = AgentInside::Fails("Permission denied".into()));
        let said = told(&product);
        assert!(
            said.contains("SSH_AUTH_SOCK is not set here; inside it does not work: Permission denied"),
            "{said}"
        );
        assert!(said.contains(remedy), "{said}");
    }
}

#[test]
fn podman_machine_has_no_way_for_an_agent() {
    let mut host = Host::sample(&[]);
    host.os = Os::Mac;
    let mut facts = facts(&host, vec![podman(&host)]);
    with(&mut facts, |inside| inside.trial.agent = AgentInside::Untried("there is none here".into()));
    let said = told(&facts);
    assert!(
        said.contains("Warning ssh-agent: here 1 key; podman machine can't bring your SSH agent"),
        "{said}"
    );
}

#[test]
fn each_thing_that_is_wrong_is_told_and_how_to_mend_it() {
    let host = Host::sample(&[]);
    let changed = |name: &'static str, level: Level, change: &dyn Fn(&mut Facts)| {
        let mut facts = facts(&host, vec![docker(&host)]);
        server_of(&mut facts).oci_runtime = Some(("crun".into(), "1.0".into()));
        assert_eq!(wrong(&facts), [], "the control: all is well");
        change(&mut facts);
        assert_eq!(wrong(&facts), [(name, level)], "{}", told(&facts));
        let check = checks(&facts).into_iter().find(|check| check.level == level).unwrap();
        assert!(check.fix.is_some(), "{check:?}");
    };
    let (warning, problem) = (Level::Warning, Level::Problem);
    changed("settings", problem, &|f| f.wrong.push(Told::new("CAGE_SSH is neither").fix("x")));
    changed("settings", warning, &|f| f.host = Host::sample(&[("CAGE_IMGAE", "x")]));
    changed("endpoint", problem, &|f| f.candidates[0].endpoint = "ssh://me@build".into());
    changed("oci-runtime", warning, &|f| {
        server_of(f).oci_runtime = Some(("runc".into(), "1.1.5+ds1".into()));
    });
    changed("oci-runtime", warning, &|f| server_of(f).oci_runtime = Some(("runc".into(), "1.3.2".into())));
    changed("version", problem, &|f| server_of(f).version = "19.03.5".into());
    changed("version", problem, &|f| f.candidates[0].client = Some("19.03.5".into()));
    changed("limits", warning, &|f| {
        server_of(f).engine.unenforced = vec![crate::engine::runtime::Limit::Memory];
    });
    changed("protections", warning, &|f| server_of(f).seccomp = false);
    changed("store", problem, &|f| with(f, |i| i.store = Err(Told::new("x").fix("y"))));
    changed("image", problem, &|f| with(f, |i| i.user = Some(Err(Told::new("no sh").fix("y")))));
    changed("image", warning, &|f| {
        with(f, |i| i.store.as_mut().unwrap().image.as_mut().unwrap().architecture = "arm64".into());
    });
    changed("image", problem, &|f| {
        f.host = Host::sample(&[("CAGE_IMAGE", "lab")]);
        with(f, |i| i.store.as_mut().unwrap().image = None);
    });
    changed("home", problem, &|f| {
        with(f, |i| i.store.as_mut().unwrap().home = Some(Volume::sample("cage-home", r#"{"o":"bind"}"#)));
    });
    changed("home", warning, &|f| with(f, |i| i.trial.owner = Some(Ids { uid: 501, gid: 20 })));
    changed("disk", warning, &|f| with(f, |i| i.disk.free = Some(1_000_000_000)));
    changed("unused", warning, &|f| {
        let (container, project) = (Container::sample(&project(), State::Stopped), "/gone".to_owned());
        with(f, |i| i.unused.cages.push(LostCage { container, project, doubt: None }));
    });
    changed("unused", warning, &|f| {
        with(f, |i| i.unused.images.push(OldImage { id: "1".into(), date: None, size: 7 }));
    });
    changed("init", warning, &|f| with(f, |i| i.trial.init = Some(false)));
    changed("ssh-agent", warning, &|f| f.agent = None);
    changed("ssh-agent", warning, &|f| f.agent = Some(Err("Connection refused".into())));
    changed("ssh-agent", warning, &|f| with(f, |i| i.trial.agent = AgentInside::Works(0)));
    changed("ssh-agent", warning, &|f| with(f, |i| i.trial.agent = AgentInside::Fails("refused".into())));
    changed("env-files", problem, &|f| f.env = Some(Err(Told::new(".cage.env, line 2").fix("y"))));
    changed("seed", problem, &|f| f.seed = Err(Told::new("cannot use it").fix("y")));
    changed("project", warning, &|f| f.not_here = Some(Told::new("can't be a project").fix("y")));
    changed("project", warning, &|f| with(f, |i| i.nested = Some(Told::new("another can write").fix("y"))));
    changed("project", warning, &|f| f.project = Err(Told::new("no such directory").fix("y")));
}

#[test]
fn what_is_not_there_yet_is_fine() {
    let host = Host::sample(&[("CAGE_SSH", "off")]);
    let mut facts = facts(&host, vec![docker(&host)]);
    server_of(&mut facts).oci_runtime = None;
    facts.agent = None;
    facts.env = Some(Ok(0));
    facts.seed = Ok(None);
    with(&mut facts, |inside| {
        inside.store = Ok(Store::default());
        inside.user = None;
        inside.trial = Trial::failed();
        inside.disk = Disk::default();
    });
    assert_eq!(wrong(&facts), []);
    assert!(told(&facts).contains("is not here yet: `cage start` pulls it"));
}

#[test]
fn a_setting_that_is_misspelt_is_guessed() {
    assert_eq!(meant("CAGE_IMGAE"), Some("CAGE_IMAGE"));
    assert_eq!(meant("CAGE_RUNTIM"), Some("CAGE_RUNTIME"));
    assert_eq!(meant("CAGE_SOMETHING"), None);
}

#[test]
fn an_error_is_told_on_one_line() {
    let error = anyhow::anyhow!("`docker info`: exit status 1\nsome\nthe last words\n");
    assert_eq!(Told::of(&error).message, "`docker info`: exit status 1: the last words");
    let error = anyhow::anyhow!("Docker is not running.\n`docker info`: exit status 1");
    assert_eq!(Told::of(&error).message, "Docker is not running.");
}
