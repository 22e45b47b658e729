//! `cage doctor`: every problem is reported, and nothing is created.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::machine::{Machine, Outcome, Speaks};

const BOTH: [Speaks; 2] = [Speaks::Docker, Speaks::Podman];

/// Makes the engine answer doctor's calls, including the probe inside.
fn healthy(machine: &Machine) {
    let engine = machine.engine();
    match engine.speaks {
        Speaks::Docker => {
            let info = json!({
                "ServerVersion": "28.2.2", "Architecture": "x86_64",
                "OperatingSystem": "Debian GNU/Linux 12 (bookworm)", "Name": "vm",
                "SecurityOptions": ["name=seccomp,profile=default"],
            });
            engine.answer("info-format", 0, "", &info.to_string());
        }
        Speaks::Podman => {
            let info = json!({
                "host": {"arch": "amd64", "security": {"seccompEnabled": true}},
                "version": {"Version": "5.4.2"},
            });
            engine.answer("info-format", 0, "", &info.to_string());
        }
    }
    inside(machine, "echo agent 0; echo 256 SHA256:x me");
}

/// Makes the probe inside run `script`.
fn inside(machine: &Machine, script: &str) {
    for call in ["run", "exec"] {
        machine.engine().act(call, &format!("case \"$*\" in *ssh-add*) {script}; exit 0 ;; esac"));
    }
}

/// Returns a machine without problems, except that there is no SSH agent.
fn machine(speaks: Speaks, words: &str) -> Machine {
    let machine = Machine::in_story(speaks, words);
    healthy(&machine);
    machine
}

/// Returns name and level of the checks that are not ok.
fn wrong(outcome: &Outcome) -> Vec<(String, String)> {
    let printed: Value =
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{}", outcome.stdout));
    assert_eq!(printed["version"], 1);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let checks = printed["checks"].as_array().unwrap().iter();
    let checks = checks.map(|check| (text(&check["name"]), text(&check["level"])));
    checks.filter(|(name, level)| level != "ok" && name != "ssh-agent" && name != "user-namespaces").collect()
}

fn one(name: &str, level: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), level.to_owned())]
}

#[test]
fn a_healthy_machine_has_no_findings_and_nothing_is_created() {
    for speaks in BOTH {
        for words in ["none", "running", "stopped", "paused", "restarting", "no home"] {
            let machine = machine(speaks, words);
            let outcome = machine.cage("doctor --json");
            assert_eq!(
                (outcome.code, wrong(&outcome)),
                (0, vec![]),
                "{speaks:?}, {words}: {}",
                outcome.stdout
            );
            // Each call is a query, or runs a container that is removed at its end, without a pull.
            for call in outcome.changes() {
                let goes = call[0] == "run" && call[1] == "--rm" && call.join(" ").contains("--pull never");
                let asks = ["version", "system", "images", "exec", "volume"].contains(&call[0].as_str());
                assert!(goes || asks, "{call:?}");
                assert!(!call.join(" ").starts_with("volume create"), "{call:?}");
            }
            let runs = outcome.calls.iter().filter(|call| call[0] == "run").count();
            // The container that shows the image's user. Without an agent there is nothing else to try.
            assert_eq!(runs, 1);
            assert_eq!(machine.state_files(), [""; 0].map(std::path::PathBuf::from));
        }
        let machine = machine(speaks, "image missing");
        let outcome = machine.cage("doctor --json");
        assert_eq!((outcome.code, wrong(&outcome)), (0, vec![]));
        assert!(
            outcome.calls.iter().all(|call| call[0] != "run" && call[0] != "pull"),
            "{:?}",
            outcome.calls
        );
        let outcome = machine.cage("doctor --dry-run");
        assert!(outcome.calls.iter().all(|call| call[0] != "run"));
    }
}

#[test]
fn text_output_has_a_line_per_check_and_the_fix_below() {
    let mut machine = machine(Speaks::Docker, "none, local image, image missing");
    machine.env.push(("CAGE_IMGAE", "x".into()));
    let outcome = machine.cage("doctor");
    assert_eq!(outcome.code, 1);
    assert_eq!(outcome.stderr, "cage: 1 problem, 2 warnings\n");
    let told = machine.anonymous(&outcome.stdout);
    let begin = "\
warning  settings     CAGE_IMGAE is not a variable of cage
                      fix: did you mean CAGE_IMAGE?
ok       settings     set: CAGE_IMAGE
ok       engine       docker 28.2.2 answers at unix:///var/run/docker.sock; used
ok       mode         run by root on this machine
ok       limits       the engine can limit processes, memory and processors
ok       protections  seccomp
problem  image        lab is not on this machine, and a name without a slash is never pulled
                      fix: build it, or set CAGE_IMAGE to an image that can be pulled
";
    assert!(told.starts_with(begin), "{told}");
    assert!(told.ends_with("ok       project      DIR\n"), "{told}");
    assert!(!told.contains('\u{1b}'), "no colour but on a terminal");
}

#[test]
fn engine_errors_are_reported() {
    let mut absent = Machine::new();
    let outcome = absent.cage("doctor --json");
    assert_eq!((outcome.code, wrong(&outcome)), (1, one("engine", "problem")));
    assert!(outcome.stdout.contains("no container runtime found"), "{}", outcome.stdout);
    absent.env.push(("CAGE_RUNTIME", "podmann".into()));
    assert!(absent.cage("doctor").stdout.contains("container runtime `podmann` not found"));

    let refuse = |machine: &Machine, words: &str| machine.engine().answer("info-format", 1, words, "");
    let words = "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?";
    let down = machine(Speaks::Docker, "none");
    refuse(&down, words);
    let outcome = down.cage("doctor");
    assert_eq!(outcome.code, 1);
    let problem = "problem  engine     docker: no engine answers at unix:///var/run/docker.sock\n";
    assert!(outcome.stdout.contains(problem), "{}", outcome.stdout);
    let forbidden = machine(Speaks::Docker, "none");
    let words = "permission denied while trying to connect to the Docker daemon socket at unix:///x";
    refuse(&forbidden, words);
    let outcome = forbidden.cage("doctor");
    assert_eq!(outcome.code, 1);
    assert!(outcome.stdout.contains("you have no permission to use docker"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("fix: add yourself to the engine's group"), "{}", outcome.stdout);

    // If another engine answers it is a warning, because cage uses that.
    let mut both = forbidden;
    both.install("podman", Speaks::Podman);
    healthy(&both);
    let outcome = both.cage("doctor --json");
    assert_eq!((outcome.code, wrong(&outcome)), (0, one("engine", "warning")), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("podman 5.4.2 answers; used"), "{}", outcome.stdout);
    // Unless the user chose the failing engine.
    let outcome = both.cage("--runtime docker doctor");
    assert_eq!(outcome.code, 1);
    assert!(outcome.stdout.contains("or use the one that answers: `--runtime podman`"), "{}", outcome.stdout);
}

#[test]
fn an_engine_that_hangs_does_not_hang_doctor() {
    let outcome = with_a_call_that_hangs("info-format");
    assert_eq!(outcome.code, 1);
    let slow = "`docker info --format '{{json .}}'`: no answer within 10 s";
    assert!(outcome.stdout.contains(slow), "{}", outcome.stdout);
}

#[test]
fn an_image_that_hangs_does_not_hang_doctor() {
    let outcome = with_a_call_that_hangs("run");
    let printed = &outcome.stdout;
    assert!(printed.contains("ok       engine") && printed.contains("problem  image"), "{printed}");
    assert!(printed.contains("no answer within 10 s"), "{printed}");
    let name = outcome.call("rm").last().unwrap();
    assert!(name.starts_with("cage-doctor-"), "the container is removed: {name}");
}

fn with_a_call_that_hangs(call: &str) -> Outcome {
    let mut machine = machine(Speaks::Docker, "none");
    let _agent = machine.agent();
    machine.engine().act(call, "/bin/sleep 100");
    let start = Instant::now();
    let outcome = machine.cage("doctor");
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    assert!(outcome.stdout.contains("ok       project"), "the rest is printed: {}", outcome.stdout);
    outcome
}

#[test]
fn invalid_settings_are_reported_and_ignored() {
    for (name, value) in [
        ("CAGE_IMAGE", "--privileged"),
        ("CAGE_LABEL", "a=b"),
        ("CAGE_HOME_VOLUME", "/etc"),
        ("CAGE_DETACH_KEYS", "foo"),
        ("CAGE_SSH", "maybe"),
        ("CAGE_MEMORY", "lots"),
        ("CAGE_CREATE_ARGS", "'secret"),
    ] {
        let mut machine = machine(Speaks::Docker, "none");
        machine.env.push((name, value.into()));
        assert_eq!(machine.cage("start").code, 1, "the control");
        let outcome = machine.cage("doctor --json");
        assert_eq!((outcome.code, wrong(&outcome)), (1, one("settings", "problem")), "{}", outcome.stdout);
        assert!(outcome.stdout.contains(name) && !outcome.stdout.contains("secret"), "{}", outcome.stdout);
        let given = |call: &Vec<String>| call.iter().any(|word| word == value);
        assert!(!outcome.calls.iter().any(given), "{:?}", outcome.calls);
    }
}

#[test]
fn errors_in_files_have_name_and_line_but_no_value() {
    let machine = machine(Speaks::Docker, "none");
    fs::write(machine.project.join(".cage.env"), "TOKEN=hunter2\nhunter3 x=1\n").unwrap();
    let outcome = machine.cage("doctor --json");
    assert_eq!((outcome.code, wrong(&outcome)), (1, one("env-files", "problem")));
    assert!(outcome.stdout.contains(".cage.env, line 2: white space"), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains("hunter"), "{}", outcome.stdout);
    fs::write(machine.project.join(".cage.env"), "TOKEN=hunter2\n").unwrap();
    let outcome = machine.cage("doctor --verbose");
    assert_eq!(outcome.code, 0);
    assert!(outcome.stdout.contains("env-files    1 variable\n"), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains("hunter") && !outcome.stderr.contains("hunter"));
}

#[test]
fn an_unsuitable_directory_is_a_warning() {
    let machine = machine(Speaks::Docker, "none");
    for dir in ["/", "/nonexistent", machine.home().to_str().unwrap()] {
        let outcome = machine.cage_args(["-C", dir, "doctor", "--json"]);
        assert_eq!((outcome.code, wrong(&outcome)), (0, one("project", "warning")), "{}", outcome.stdout);
    }
    // In a deleted directory.
    let gone = machine.project.join("gone");
    let mut command = machine.command("/bin/sh");
    let script = "/bin/mkdir gone && cd gone && /bin/rmdir ../gone && exec \"$0\" doctor --json";
    let outcome = machine.run(command.args(["-c", script, env!("CARGO_BIN_EXE_cage")]));
    assert!(!gone.exists());
    assert_eq!((outcome.code, wrong(&outcome)), (0, one("project", "warning")), "{}", outcome.stderr);
}

#[test]
fn the_agent_is_checked_outside_and_inside() {
    for speaks in BOTH {
        let mut machine = machine(speaks, "none");
        let told = |machine: &Machine| {
            let outcome = machine.cage("doctor");
            assert_eq!(outcome.code, 0, "{}", outcome.stdout);
            let line = outcome.stdout.lines().find(|line| line.contains(" ssh-agent ")).unwrap().to_owned();
            (line.split_whitespace().next().unwrap().to_owned(), line, outcome)
        };
        let (level, line, _) = told(&machine);
        assert_eq!(level, "warning", "{line}");
        assert!(line.contains("SSH_AUTH_SOCK is not set"), "{line}");

        let (socket, listener) = machine.agent();
        let answers = std::thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            for stream in listener.incoming().take(3) {
                let mut stream = stream.unwrap();
                stream.read_exact(&mut [0; 5]).unwrap();
                stream.write_all(&[0, 0, 0, 5, 12, 0, 0, 0, 2]).unwrap();
            }
        });
        let (level, line, outcome) = told(&machine);
        assert_eq!(
            (level.as_str(), line.contains("2 keys on this machine, 1 key inside (`ssh-add -c` ")),
            ("ok", true),
            "{line}"
        );
        let look =
            outcome.calls.iter().find(|call| call.iter().any(|word| word.contains("ssh-add"))).unwrap();
        let mount = format!("type=bind,source={},target=/run/host-services/ssh-auth.sock", socket.display());
        assert!(look.contains(&mount), "{look:?}");

        inside(&machine, "echo agent 2; echo 'Error connecting to agent: Permission denied'");
        let (level, line, _) = told(&machine);
        assert_eq!(level, "warning");
        assert!(
            line.ends_with("does not work inside: Error connecting to agent: Permission denied"),
            "{line}"
        );

        let refused = "Error response from daemon: invalid mount config for type \"bind\": bind source path does not exist: /agent";
        inside(&machine, &format!("case \"$*\" in *ssh-auth.sock*) echo '{refused}' >&2; exit 125;; esac"));
        let (level, line, _) = told(&machine);
        assert_eq!(level, "warning", "{line}");
        assert!(
            line.contains("2 keys on this machine; does not work inside: the engine can't see"),
            "{line}"
        );
        answers.join().unwrap();

        machine.env.push(("CAGE_SSH", "off".into()));
        let (level, line, outcome) = told(&machine);
        assert_eq!(level, "ok", "{line}");
        assert!(!outcome.calls.concat().concat().contains("ssh-auth.sock"));
    }
}

#[test]
fn json_output_has_the_checks_and_facts() {
    let mut machine = machine(Speaks::Docker, "running");
    machine.env.push(("CAGE_CREATE_ARGS", "-e TOKEN=hunter2".into()));
    let outcome = machine.cage("doctor --json");
    assert_eq!(outcome.stdout.lines().count(), 1);
    assert!(!outcome.stdout.contains("hunter2"));
    let mut printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let checks = printed.as_object_mut().unwrap().remove("checks").unwrap();
    assert_eq!(
        checks[0],
        json!({"name": "settings", "level": "ok", "message": "set: CAGE_CREATE_ARGS", "fix": null})
    );
    let engine = json!({
        "name": "docker", "kind": "docker", "rootless": false, "machine": null, "version": "28.2.2",
        "endpoint": "unix:///var/run/docker.sock",
    });
    let facts = json!({
        "version": 1, "cage_version": env!("CARGO_PKG_VERSION"), "os": "linux", "engine": engine,
        "image": "ghcr.io/pacificsky/devcontainer-lite:latest", "project": machine.project,
        "variables": ["CAGE_CREATE_ARGS"],
    });
    assert_eq!(printed, facts);
    let absent = Machine::new().cage("doctor --json");
    let printed: Value = serde_json::from_str(&absent.stdout).unwrap();
    assert_eq!(printed["engine"], Value::Null);
}

#[test]
fn text_from_outside_is_escaped() {
    let evil = "\u{1b}[2J\u{202e}\u{9b}";
    for speaks in BOTH {
        let mut machine = Machine::in_story(speaks, "none");
        machine.enter(format!("a{evil}"));
        machine.env.push(("CAGE_\u{1b}[2J", "x".into()));
        machine.env.push(("DOCKER_HOST", format!("unix:///{evil}").into()));
        let info = json!({
            "OperatingSystem": evil, "Name": evil, "ServerVersion": evil, "Architecture": evil, "version": {"Version": evil},
            "host": {"arch": evil},
        });
        machine.engine().answer("info-format", 0, "", &info.to_string());
        inside(&machine, &format!("echo agent 2; echo '{evil}'"));
        for args in ["doctor", "doctor --json"] {
            let outcome = machine.cage(args);
            outcome.assert_harmless();
            assert!(outcome.stdout.contains("\\u"), "the control: {}", outcome.stdout);
        }
    }
}

#[test]
fn an_invalid_engine_answer_is_reported() {
    for info in ["", "{}", "null", "{\"SecurityOptions\": 7}", "{\"host\": 7}"] {
        for speaks in BOTH {
            let machine = Machine::in_story(speaks, "none");
            machine.engine().answer("info-format", 0, "", info);
            let outcome = machine.cage("doctor --json");
            assert!([0, 1].contains(&outcome.code), "{}", outcome.stderr);
            let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
            assert!(printed["checks"].as_array().is_some_and(|checks| checks.len() > 3), "{printed}");
        }
    }
}

#[test]
fn a_program_that_can_not_be_run_is_reported() {
    let machine = Machine::new();
    let program = machine.root().join("bin/docker");
    fs::write(&program, "#!/nonexistent\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let outcome = machine.cage("doctor --json");
    assert_eq!((outcome.code, wrong(&outcome)), (1, one("engine", "problem")), "{}", outcome.stdout);
}

#[test]
fn what_is_left_of_the_script_is_reported() {
    let mut machine = machine(Speaks::Docker, "none");
    let bins: Vec<_> = ["one", "two", "three"].map(|name| machine.root().join(name)).into();
    for (bin, text) in bins.iter().zip(["#!/bin/sh\n", "\x7fELF", ""]) {
        fs::create_dir(bin).unwrap();
        if text.is_empty() {
            // The same program by another path.
            symlink(bins[0].join("cage"), bin.join("cage")).unwrap();
        } else {
            fs::write(bin.join("cage"), text).unwrap();
            fs::set_permissions(bin.join("cage"), fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    let own = machine.env[0].1.to_string_lossy().into_owned();
    let mut path = |bins: &[&std::path::PathBuf]| {
        let dirs = bins.iter().map(|bin| bin.display().to_string()).chain([own.clone()]);
        machine.env[0].1 = dirs.collect::<Vec<_>>().join(":").into();
        machine.anonymous(&machine.cage("doctor").stdout)
    };
    assert!(!path(&[&bins[0], &bins[2]]).contains("program  "), "the control: only one");
    let told = path(&[&bins[0], &bins[2], &bins[1]]);
    let two = "PATH has 2 programs called cage: ROOT/one/cage (a script), ROOT/two/cage\n";
    assert!(told.contains(two), "{told}");
    for name in ["CAGE_SRC_ROOT", "CAGE_VM_CPU", "CAGE_VM_MEMORY", "CAGE_VM_DISK"] {
        machine.env.push((name, "4".into()));
        let told = machine.cage("doctor").stdout;
        assert!(told.contains(&format!("{name} is for the script's `dstart`")), "{told}");
    }
}
