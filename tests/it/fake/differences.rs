//! Intended differences from the original, as far as a fake engine can show them. The numbers are those of the
//! list of differences.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, Signal, kill_process};
use unicode_width::UnicodeWidthStr as _;

use crate::common::{eventually, is_root};

use super::machine::{Cage, Engine, IMAGE, IMAGE_ID, Machine, Outcome, Speaks};

/// Returns the values of a flag of an engine call.
fn values<'a>(call: &'a [String], flag: &str) -> Vec<&'a str> {
    call.windows(2).filter(|pair| pair[0] == flag).map(|pair| pair[1].as_str()).collect()
}

/// Returns which container has which name after the successful calls, when `NAME` existed before.
fn bearers(
    machine: &Machine,
    before: &[(&str, &str)],
    outcome: &Outcome,
    refused: &str,
) -> BTreeMap<String, String> {
    let mut bearers: BTreeMap<String, String> =
        before.iter().map(|(name, who)| ((*name).to_owned(), (*who).to_owned())).collect();
    for call in outcome.changes() {
        let call = machine.anonymous_call(call);
        let meant = |name: &str, who: &str| {
            call[1..].iter().any(|word| word == name || (word == "ID" && who == "old"))
        };
        match call[0].as_str() {
            kind if kind == refused => {}
            "create" => drop(bearers.insert(values(&call, "--name")[0].to_owned(), "new".to_owned())),
            "rm" => bearers.retain(|name, who| !meant(name, who)),
            "rename" => {
                let from = bearers.iter().find(|(name, who)| meant(name, who)).map(|(name, _)| name.clone());
                let who = bearers.remove(&from.expect("the container to rename is there")).unwrap();
                assert_eq!(bearers.insert(call[2].clone(), who), None, "the name is free");
            }
            _ => {}
        }
    }
    bearers
}

#[test]
fn one_directory_has_one_cage_by_any_path() {
    // 1
    let machine = Machine::in_story(Speaks::Docker, "running");
    let name = Cage::of(&machine.project).name;
    symlink(&machine.project, machine.root().join("link")).unwrap();
    let there = machine.root().join("link").display().to_string();
    for directory in [there.as_str(), ".", "../app", "../../link/", "../app/../app//"] {
        assert_eq!(machine.cage(&format!("-C {directory} start")).stdout, format!("{name}\n"), "{directory}");
        assert_eq!(machine.cage(&format!("start --directory {directory}")).stdout, format!("{name}\n"));
    }
}

#[test]
fn a_cage_has_project_home_and_agent() {
    let mut machine = Machine::in_story(Speaks::Docker, "none");
    let (_socket, _agent) = machine.agent();
    fs::create_dir(machine.project.join("a:b")).unwrap();
    let outcome = machine.cage("start -p 3000:3000 -p 0.0.0.0:80:8080/udp -v ./a:b:/data:ro -v pg:/pg");
    // The agent's mount has a test of its own.
    let (create, agent): (Vec<String>, Vec<String>) = outcome
        .call("create")
        .iter()
        .map(|word| machine.anonymous(word))
        .partition(|word| !word.ends_with(",target=/run/host-services/ssh-auth.sock"));
    assert_eq!(agent.len(), 1);
    // Other labels may change; these are used by other programs and by later versions of cage.
    let promised = ["cage.project=", "cage.image=", "cage.inode=", "cage.options="];
    let mut rest = create.as_slice();
    let mut create: Vec<&str> = Vec::new();
    while let [word, more @ ..] = rest {
        let noted = word == "--label" && !promised.iter().any(|label| more[0].starts_with(label));
        rest = if noted { &more[1..] } else { more };
        if !noted {
            create.push(word);
        }
    }
    let sandbox = if is_root() { "--env IS_SANDBOX=1" } else { "" };
    let expected = [
        "create --interactive --tty --pull never --name NAME --hostname NAME --workdir DIR",
        "--label cage.project=DIR --label cage.image=IMAGE --label cage.inode=INODE",
        "--label \"cage.options=-p 127.0.0.1:3000:3000 -p 0.0.0.0:80:8080/udp -v DIR/a:b:/data:ro -v pg:/pg\"",
        "--mount type=volume,source=cage-home,target=/home/vscode --mount type=bind,source=DIR,target=DIR",
        "--mount",
        "--mount type=bind,source=DIR/a:b,target=/data,readonly --mount type=volume,source=pg,target=/pg",
        "--publish 127.0.0.1:3000:3000 --publish 0.0.0.0:80:8080/udp",
        "--env UV_PROJECT_ENVIRONMENT=.cage-venv --env LANG=C.UTF-8 --env TZ=Asia/Tokyo",
        sandbox,
        "--env SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock",
        "--add-host host.docker.internal:host-gateway --cap-drop MKNOD --cap-drop SETFCAP",
        "--pids-limit 4096 --shm-size 1g --log-driver none --stop-signal SIGHUP --init IMAGE",
    ];
    assert_eq!(create, shell_words::split(&expected.join(" ")).unwrap());
}

#[test]
fn a_missing_mount_source_is_not_created() {
    // 3
    let machine = Machine::in_story(Speaks::Docker, "none");
    let outcome = machine.cage("start -v ./gone:/data");
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.stderr.starts_with("error: volume source ./gone: No such file or directory"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.calls.is_empty() && !machine.project.join("gone").exists());
}

#[test]
fn an_agent_that_can_not_be_mounted_is_left_out_with_a_warning() {
    let desktop = r#"{"OperatingSystem": "Docker Desktop", "Name": "docker-desktop"}"#;
    let socket = "type=bind,source=/run/host-services/ssh-auth.sock,target=/run/host-services/ssh-auth.sock";
    let words = "Error response from daemon: invalid mount config for type \"bind\": bind source path does not exist: \
                 /run/host-services/ssh-auth.sock";
    let mounts_agent = |call: &[String]| values(call, "--mount").contains(&socket);
    for (call, code) in [("create", 1), ("start", 1)] {
        for words_of in ["none", "stopped"] {
            let command = if words_of == "none" { "start" } else { "restart" };
            let machine = Machine::in_story(Speaks::Docker, words_of);
            machine.engine().answer("info-format", 0, "", desktop);
            let control = machine.cage(command);
            assert!(mounts_agent(control.call("create")), "the control: {:?}", control.calls);

            machine.engine().first(call, code, words);
            let outcome = machine.cage(command);
            assert_eq!(outcome.code, 0, "{}", outcome.stderr);
            assert!(outcome.stderr.contains("cage: warning: the engine can't mount your SSH agent's socket"));
            let creates: Vec<_> = outcome.calls.iter().filter(|call| call[0] == "create").collect();
            assert_eq!(creates.len(), 2, "{:?}", outcome.calls);
            assert!(mounts_agent(creates[0]) && !mounts_agent(creates[1]), "{creates:?}");
            // The user didn't choose this, so the next cage gets the agent again.
            assert!(!creates[1].iter().any(|word| word.contains("--no-ssh")), "{creates:?}");
        }
    }

    // A stopped cage whose agent is gone is kept, and the error says what to do.
    let machine = Machine::in_story(Speaks::Docker, "stopped");
    machine.engine().answer("start", 1, words, "");
    let outcome = machine.cage("start");
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains("`cage restart --no-ssh` leaves it out"), "{}", outcome.stderr);
    assert!(outcome.changes().iter().all(|call| call[0] != "rm"), "{:?}", outcome.calls);
}

#[test]
fn a_signal_between_two_plans_ends_cage_before_the_next() {
    // The pull is a separate plan; the next plan hasn't begun.
    let machine = Machine::in_story(Speaks::Docker, "none");
    let pulled = machine.root().join("pulled");
    machine.engine().act("pull", &format!(": >{}", pulled.display()));
    machine.engine().act("inspect", &format!("[ ! -e {} ] || /bin/sleep 3", pulled.display()));
    for signal in [Signal::TERM, Signal::INT] {
        machine.engine().forget();
        let mut command = machine.command(env!("CARGO_BIN_EXE_cage"));
        let mut start = command.arg("start").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let asks = || machine.engine().all_calls().iter().filter(|call| call[0] == "inspect").count() == 2;
        eventually("it asks about the image", asks);
        kill_process(Pid::from_child(&start), signal).unwrap();
        let status = start.wait().unwrap();
        assert_eq!(status.signal(), Some(signal.as_raw()), "{status}");
        let calls = machine.engine().all_calls();
        assert!(calls.iter().any(|call| call[0] == "pull"), "the control: {calls:?}");
        assert!(calls.iter().all(|call| call[0] != "create"), "{calls:?}");
    }
}

#[test]
fn ctrl_backslash_ends_cage_like_ctrl_c_from_the_start() {
    // Printing the version, which needs nothing else, blocks on a full pipe.
    let (_reader, mut full) = std::io::pipe().unwrap();
    ioctl_fionbio(&full, true).unwrap();
    while full.write(&[0; 4096]).is_ok() {}
    ioctl_fionbio(&full, false).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cage"));
    let mut cage = command.arg("version").stdout(full).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(1));
    kill_process(Pid::from_child(&cage), Signal::QUIT).unwrap();
    let status = cage.wait().unwrap();
    assert_eq!(status.code(), Some(131), "{status}");
}

#[test]
fn slow_steps_print_a_message() {
    let machine = Machine::in_story(Speaks::Docker, "none");
    let told = "cage: Making the home ready...\n";
    assert!(!machine.cage("start").stderr.contains(told), "the control");
    machine.engine().act("run", "/bin/sleep 1.5");
    let outcome = machine.cage("start");
    assert!(outcome.stderr.contains(told), "{}", outcome.stderr);
}

#[test]
fn a_link_with_another_path_in_the_engine_is_still_set() {
    // Docker Desktop has other paths for mounts from WSL.
    let mut machine = Machine::in_story(Speaks::Docker, "none");
    let (socket, _agent) = machine.agent();
    let mut cage = Cage { status: "exited".into(), ..Cage::of(&machine.project) };
    cage.agent = Some("/run/desktop/mnt/host/wsl/docker-desktop-bind-mounts/Ubuntu/0a1b");
    machine.engine().add(&cage);
    assert_eq!(machine.cage("start").code, 0);
    let links: Vec<_> = machine.state_files().iter().filter_map(|link| fs::read_link(link).ok()).collect();
    assert_eq!(links, [socket]);
}

#[test]
fn docker_client_with_podman_service_is_refused_with_a_hint() {
    let machine = Machine::in_story(Speaks::Docker, "none");
    // Recorded from docker 28 with podman 4.3.
    let podman = r#"{"OperatingSystem": "debian", "OSVersion": "12", "Name": "vm", "ServerVersion": "4.3.1",
        "Plugins": {"Volume": ["local"], "Network": ["bridge", "macvlan"], "Authorization": null,
            "Log": ["k8s-file", "none", "passthrough", "journald"]}}"#;
    machine.engine().answer("info-format", 0, "", podman);
    let outcome = machine.cage("start");
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.stderr.contains("error: `docker` talks to podman here\nhint: `--runtime podman`"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.changes().iter().all(|call| call[0] == "pull"), "{:?}", outcome.calls);
}

pub fn docker_and_podman() -> Machine {
    let mut machine = Machine::new();
    machine.install("docker", Speaks::Docker).image(IMAGE, "11");
    machine.install("podman", Speaks::Podman).image(IMAGE, "22");
    machine
}

#[test]
fn podman_is_used_with_a_warning_if_docker_does_not_answer() {
    // 4
    for command in ["start", "status", "list", "update", "run true"] {
        let machine = docker_and_podman();
        machine.cage(command);
        assert_eq!(machine.engines[1].calls(), Vec::<Vec<String>>::new(), "docker answers `{command}`");
        for trouble in [Engine::is_down, Engine::is_forbidden] {
            // Nobody has a cage or a home yet.
            let _ = fs::remove_dir_all(machine.home().join(".local"));
            trouble(&machine.engines[0]);
            let outcome = machine.cage(command);
            assert_eq!(outcome.code, 0, "{command}: {}", outcome.stderr);
            assert_eq!(outcome.stderr.matches("using podman").count(), 1, "{command}: {}", outcome.stderr);
        }
        let _ = fs::remove_dir_all(machine.home().join(".local"));
        machine.engines[1].is_down();
        let outcome = machine.cage(command);
        let ours = if command == "run true" { 125 } else { 1 };
        assert_eq!((outcome.code, outcome.changes().len()), (ours, 0), "neither answers: {}", outcome.stderr);
        assert!(outcome.stderr.contains("error: you have no permission to use docker"), "{}", outcome.stderr);
    }
}

#[test]
fn podman_is_used_if_docker_is_a_stub() {
    // 4: WSL without Docker Desktop's integration has such a script in PATH.
    let machine = docker_and_podman();
    let words = "The command 'docker' could not be found in this WSL 2 distro.";
    machine.engines[0].answer("--version", 1, words, "");
    let outcome = machine.cage("status");
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
}

#[test]
fn a_chosen_runtime_has_no_fallback() {
    // 4
    let mut machine = docker_and_podman();
    let docker = machine.root().join("bin/docker").display().to_string();
    let used = |machine: &Machine, args: &str| {
        let outcome = machine.cage(args);
        (
            outcome.code,
            machine.engines.iter().filter(|engine| !engine.calls().is_empty()).count(),
            outcome.stderr,
        )
    };
    assert_eq!(machine.cage("list --runtime podman").code, 0);
    assert!(machine.engines[0].all_calls().is_empty(), "docker is not even asked what it is");
    machine.env.push(("CAGE_RUNTIME", "podman".into()));
    machine.cage("list");
    assert!(machine.engines[0].all_calls().is_empty());
    machine.cage(&format!("list --runtime {docker}"));
    assert!(machine.engines[1].all_calls().is_empty(), "the flag wins over the variable");

    machine.engines[0].is_down();
    let (code, asked, stderr) = used(&machine, "list --runtime docker");
    assert_eq!((code, asked), (1, 1), "{stderr}");
    assert!(
        stderr.starts_with("error: Docker is not running. Start Docker (or colima/podman) first.\n"),
        "{stderr}"
    );
    let (code, asked, stderr) = used(&machine, "list --runtime nerdctl");
    assert_eq!((code, asked), (1, 0));
    assert!(stderr.starts_with("error: container runtime `nerdctl` not found\nhint: "), "{stderr}");
}

#[test]
fn engine_errors_and_a_missing_container_are_distinguished() {
    // 5
    let says = |machine: &Machine, command: &str, code: i32, first: &str, hint: &str| {
        let outcome = machine.cage(command);
        let stderr = &outcome.stderr;
        assert_eq!((outcome.code, outcome.stdout.as_str()), (code, ""), "{stderr}");
        assert!(stderr.starts_with(&format!("error: {first}")), "{command}: {stderr}");
        assert!(
            stderr.lines().any(|line| line.starts_with("hint: ") && line.contains(hint)),
            "{command}: {stderr}"
        );
        assert!(outcome.changes().is_empty(), "{:?}", outcome.calls);
    };
    for command in [
        "start",
        "stop",
        "rm",
        "restart",
        "shell",
        "status",
        "update",
        "upgrade",
        "list",
        "rmconfig",
        "obliterate",
    ] {
        says(&Machine::new(), command, 1, "no container runtime found", "podman");
        let machine = Machine::in_story(Speaks::Docker, "running");
        machine.engine().is_down();
        says(
            &machine,
            command,
            1,
            "Docker is not running. Start Docker (or colima/podman) first.",
            "start it",
        );
        let told = machine.cage(command).stderr;
        assert!(
            !told.contains("Cannot connect") && told.lines().count() == 2,
            "once, and no raw text: {told}"
        );
        machine.engine().is_forbidden();
        says(&machine, command, 1, "you have no permission to use docker", "usermod -aG docker");
    }
    says(&Machine::new(), "run true", 125, "no container runtime found", "podman");
}

#[test]
fn restart_and_upgrade_keep_add_and_forget_options() {
    // 10
    for command in ["restart", "upgrade"] {
        let machine = Machine::in_story(Speaks::Docker, "running, newer image, published");
        let publish = |options: &str| {
            let outcome = machine.cage(&format!("{command} {options}"));
            let create = outcome.call("create").to_vec();
            let label =
                values(&create, "--label").into_iter().find_map(|label| label.strip_prefix("cage.options="));
            (values(&create, "--publish").join(" "), label.unwrap().to_owned())
        };
        let kept = "127.0.0.1:3000:3000";
        assert_eq!(publish(""), (kept.into(), format!("-p {kept}")));
        let more = "127.0.0.1:4000:4000";
        assert_eq!(publish("-p 4000:4000"), (format!("{kept} {more}"), format!("-p {kept} -p {more}")));
        assert_eq!(publish("-p 3000:80"), ("127.0.0.1:3000:80".into(), "-p 127.0.0.1:3000:80".into()));
        assert_eq!(publish("--fresh"), (String::new(), String::new()));
        assert_eq!(publish("--fresh -p 4000:4000"), (more.into(), format!("-p {more}")));
    }
}

#[test]
fn unreadable_options_prevent_replacement_and_start() {
    let unread = "cannot read the options of";
    for (state, command) in [
        ("running", "restart"),
        ("running, newer image", "upgrade"),
        ("running", "start --no-ssh"),
        ("running", "run -p 3000 true"),
        ("stopped", "start"),
        ("stopped", "run true"),
    ] {
        let machine = Machine::in_story(Speaks::Docker, state);
        let control = machine.cage(command);
        assert!(!control.stderr.contains(unread), "the control: {}", control.stderr);
        let machine = Machine::in_story(Speaks::Docker, &format!("{state}, options of a newer cage"));
        let outcome = machine.cage(command);
        assert!(
            outcome.code != 0
                && outcome.stderr.contains(&format!("error: {unread}"))
                && outcome.stderr.contains("`cage restart --fresh`"),
            "{command}: {}",
            outcome.stderr
        );
        assert_eq!(outcome.changes(), [] as [&[String]; 0], "{command}");
    }
    // A running cage can be entered without its options.
    let machine = Machine::in_story(Speaks::Docker, "running, options of a newer cage");
    for command in ["start", "run true"] {
        let outcome = machine.cage(command);
        assert_eq!(outcome.code, 0, "{command}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(&format!("warning: {unread}")), "{command}: {}", outcome.stderr);
    }
    assert!(machine.cage("status").stdout.contains(&format!("Warning:   {unread}")));
    let fresh = machine.cage("restart --fresh --no-ssh");
    assert!(values(fresh.call("create"), "--label").contains(&"cage.options=--no-ssh"), "{}", fresh.stderr);
}

#[test]
fn the_second_of_two_starts_attaches_to_the_first_cage() {
    // 14
    for speaks in [Speaks::Docker, Speaks::Podman] {
        let machine = Machine::in_story(speaks, "none, appears");
        let transcript = machine.transcript(&machine.cage("start"));
        let transcript = transcript.replace(" ; info --format {{json .}}", "");
        let expected = "> LOOK ; SAFE ; pull --quiet IMAGE ; LOOK\ncage: Pulling IMAGE\n| NAME\n";
        assert_eq!(transcript, expected);
    }
}

#[test]
fn concurrent_starts_create_one_cage() {
    // 14: this engine accepts duplicate names, so only cage's lock prevents them.
    let machine = Machine::in_story(Speaks::Docker, "running");
    let engine = machine.engine();
    engine.act("inspect", r#"[ -e "$dir/named" ] || set -- inspect nothing nothing "$4""#);
    engine.act("create", r#"/bin/sleep 0.2; : >"$dir/named""#);
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let mut command = machine.command(env!("CARGO_BIN_EXE_cage"));
            command.arg("start").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for start in starts {
        let output = start.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(machine.anonymous(&String::from_utf8_lossy(&output.stdout)), "NAME\n", "{stderr}");
        assert!(output.status.success(), "{stderr}");
    }
    let creates = engine.calls().into_iter().filter(|call| call[0] == "create").count();
    assert_eq!(creates, 1);
}

#[test]
fn a_name_conflict_is_retried() {
    // 14: without a home, or with two users, only the engine prevents duplicates.
    let mut machine = Machine::in_story(Speaks::Docker, "none, appears late");
    machine.env.push(("HOME", "none".into()));
    machine.env.push(("CAGE_RUNTIME", machine.root().join("bin/docker").into()));
    let name = format!("/{}", Cage::of(&machine.project).name);
    let taken = format!("Conflict. The container name {name:?} is already in use by container \"y\".");
    machine.engine().first("create", 1, &format!("Error response from daemon: {taken}"));
    let outcome = machine.cage("start");
    assert_eq!(
        (outcome.code, machine.anonymous(&outcome.stdout).as_str()),
        (0, "NAME\n"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_cage_that_disappears_is_created_again() {
    // 14
    let machine = Machine::in_story(Speaks::Docker, "stopped, settles gone");
    let id = &Cage::of(&machine.project).id[..12];
    machine.engine().first("start", 1, &format!("Error response from daemon: No such container: {id}"));
    let outcome = machine.cage("start");
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let changes: Vec<&str> = outcome.changes().iter().map(|call| call[0].as_str()).collect();
    assert_eq!(changes, ["start", "pull", "create", "run", "start"]);
}

#[test]
fn a_missing_container_of_another_name_is_not_retried() {
    for (call, words) in [
        ("create", "Error response from daemon: No such container: other"),
        ("create", "Error: no container with name or ID \"other\" found: no such container"),
        ("start", "Error response from daemon: No such container: other"),
    ] {
        let machine = Machine::in_story(Speaks::Docker, "none");
        machine.engine().answer(call, 1, words, "");
        let outcome = machine.cage("start -- --volumes-from other");
        assert_eq!(outcome.code, 1);
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
        let creates = outcome.calls.iter().filter(|call| call[0] == "create").count();
        assert_eq!(creates, 1, "{:?}", outcome.changes());
    }
}

#[test]
fn shell_chooses_the_best_shell_and_uses_an_existing_terminal() {
    // 16, 17
    let machine = Machine::in_story(Speaks::Docker, "running");
    let outcome = machine.cage("shell");
    let exec = machine.anonymous_call(outcome.call("exec"));
    let [start @ .., script, _, dir, _, _] = &exec[..] else { panic!("{exec:?}") };
    let expected = "exec --interactive --workdir / --env CAGE_SESSION=SESSION ID /bin/sh -c";
    assert_eq!((start.join(" ").as_str(), dir.as_str()), (expected, "DIR"), "nothing is said of a terminal");
    let order: Vec<_> =
        ["SHELL", "zsh", "bash", "/bin/sh -l"].map(|shell| script.find(shell).unwrap()).into();
    assert!(order.is_sorted(), "{script}");
}

#[test]
fn a_cage_has_no_init_if_the_engine_has_none() {
    // 11
    for (call, words) in [
        (
            "start",
            "Error response from daemon: exec: \"docker-init\": executable file not found in $PATH: unknown",
        ),
        (
            "create",
            "Error: container-init binary not found on the host: stat /usr/libexec/podman/catatonit: no such file",
        ),
    ] {
        let machine = Machine::in_story(Speaks::Docker, "none, local image");
        machine.engine().first(call, 127, words);
        let outcome = machine.cage("start");
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        let creates = outcome.calls.iter().filter(|call| call[0] == "create");
        let with_init: Vec<bool> = creates.map(|call| call.contains(&"--init".to_owned())).collect();
        assert_eq!(with_init, [true, false]);
        let undone = outcome.calls.iter().filter(|call| call[0] == "rm").count();
        assert_eq!(undone, usize::from(call == "start"), "{:?}", outcome.changes());
    }
}

#[test]
fn run_passes_the_exit_code_and_exits_125_on_failure() {
    let machine = Machine::in_story(Speaks::Docker, "running");
    machine.engine().answer("container-inspect-format", 0, "", "running 0\n");
    for code in [0, 1, 7, 125, 126, 127, 137, 255] {
        machine.engine().answer("exec", code, "", "out\n");
        let outcome = machine.cage("run make");
        assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (code, "out\n", ""));
    }
    // Exit codes of the engines' clients when a cage stops meanwhile.
    let missing = format!("Error: No such container: {}", &Cage::of(&machine.project).id[..12]);
    for (code, state, reason) in [
        (1, (0, "", "exited 137 false \"\"\n"), "exited with 137;"),
        (1, (0, "", "exited 129 false \"\"\n"), "the first shell of "),
        (1, (0, "", "exited 0 false \"\"\n"), "the first shell of "),
        (255, (1, missing.as_str(), ""), "was removed or restarted;"),
    ] {
        machine.engine().answer("exec", code, "", "");
        machine.engine().answer("container-inspect-format", state.0, state.1, state.2);
        let outcome = machine.cage("run make");
        assert_eq!(outcome.code, 125);
        assert!(outcome.stderr.contains(reason), "{}", outcome.stderr);
    }
    for words in
        ["none, create fails", "none, start fails", "stopped, start fails", "none, offline, image missing"]
    {
        assert_eq!(Machine::in_story(Speaks::Docker, words).cage("run make").code, 125, "{words}");
    }
}

/// A script for `exec`: the command in the cage runs `doing` and then waits for a signal, whose
/// number is then in `$number`.
fn until_signalled(doing: &str, then: &str) -> String {
    format!(
        "case $* in */proc/*)
             for number; do :; done
             echo \"$number\" >\"$dir/signalled.half\"
             /bin/mv \"$dir/signalled.half\" \"$dir/signalled\"
             exit ;;
         esac
         {doing}
         tries=0
         until [ -e \"$dir/signalled\" ]; do
             [ $((tries += 1)) -lt 1000 ] || exit 99
             /bin/sleep 0.01
         done
         read -r number <\"$dir/signalled\"
         {then}"
    )
}

#[test]
fn signals_are_passed_to_the_command() {
    // 18: the engines' clients don't pass signals on.
    let as_killed = "exit $((128 + number))";
    for speaks in [Speaks::Docker, Speaks::Podman] {
        for (command, number, then, code) in [
            ("run sleep 1000", 1, as_killed, 129),
            ("run sleep 1000", 2, as_killed, 130),
            ("run sleep 1000", 3, as_killed, 131),
            ("run sleep 1000", 15, as_killed, 143),
            ("shell", 1, as_killed, 129),
            ("shell", 15, as_killed, 143),
            ("run tidy-up", 15, "exit 7", 7),
            ("run ignore", 15, "exit 0", 0),
        ] {
            let machine = Machine::in_story(speaks, "running");
            machine.engine().act("exec", &until_signalled(&format!("kill -{number} $PPID"), then));
            let outcome = machine.cage(command);
            let calls: Vec<Vec<String>> =
                outcome.calls.iter().map(|call| machine.anonymous_call(call)).collect();
            assert_eq!(outcome.code, code, "{command}, {number}: {}, {calls:?}", outcome.stderr);
            assert_eq!(calls.len(), 3, "{command}, {number}: {calls:?}");
            let [exec, _workdir, _root, container, shell, flag, _, name, session, passed] = &calls[2][..]
            else {
                panic!("{command}, {number}: {:?}", calls[2])
            };
            let number = number.to_string();
            let expected = ["exec", "ID", "/bin/sh", "-c", "sh", "CAGE_SESSION=SESSION", &number];
            assert_eq!([exec, container, shell, flag, name, session, passed], expected);
            let session = |call: &[String]| call.iter().find(|word| word.starts_with("CAGE_")).cloned();
            assert_eq!(
                session(&outcome.calls[1]),
                session(&outcome.calls[2]),
                "it is meant for this command"
            );
        }
    }
}

#[test]
fn a_command_gets_a_hangup_if_its_client_is_killed() {
    // 18
    for (command, number) in [("run sleep 1000", 9), ("run sleep 1000", 15), ("shell", 1)] {
        let machine = Machine::in_story(Speaks::Docker, "running");
        let killed = format!("kill -{number} $$");
        machine.engine().act("exec", &until_signalled(&killed, ""));
        let outcome = machine.cage(command);
        assert_eq!(outcome.code, 128 + number, "{command}: {}", outcome.stderr);
        let last = outcome.calls.last().unwrap();
        assert_eq!((outcome.calls.len(), last.last().unwrap().as_str()), (3, "1"), "{command}: {last:?}");
    }
    // The control: when the client ends by itself, cage checks the container and sends no signal.
    let machine = Machine::in_story(Speaks::Docker, "running");
    machine.engine().answer("exec", 143, "", "");
    machine.engine().answer("container-inspect-format", 0, "", "running 0 false \"\"\n");
    let outcome = machine.cage("run true");
    assert_eq!((outcome.code, outcome.calls.len()), (143, 3), "{:?}", outcome.calls);
    assert_eq!(outcome.calls[2][0], "container", "{:?}", outcome.calls);
}

#[test]
fn a_signal_that_ends_the_client_is_still_passed_on() {
    // 18: Ctrl-C without a terminal reaches cage and the client, and the client may have exited, with a code of
    // its own, before cage handles the signal.
    let machine = Machine::in_story(Speaks::Docker, "running");
    machine.engine().act("exec", &until_signalled("kill -15 $PPID; exit 143", ""));
    for _ in 0..30 {
        let outcome = machine.cage("run sleep 1000");
        assert_eq!((outcome.code, outcome.calls.len()), (143, 3), "{:?}", outcome.calls);
    }
}

#[test]
fn each_run_has_its_own_mark() {
    // 18: a signal for one command must not reach another one.
    let machine = Machine::in_story(Speaks::Docker, "running");
    let mark = || values(machine.cage("run true").call("exec"), "--env").join(" ");
    assert_ne!(mark(), mark());
}

#[test]
fn a_foreign_container_of_the_same_name_is_left_alone() {
    // 19
    for (words, whose) in [
        ("stranger, running", "was not made by cage"),
        ("stranger, stopped", "was not made by cage"),
        ("other project, running", "is labelled as the cage of /elsewhere/app"),
        ("other project, dead", "is labelled as the cage of /elsewhere/app"),
    ] {
        for command in [
            "start",
            "stop",
            "rm",
            "restart",
            "shell",
            "status",
            "upgrade",
            "run true",
            "stop NAME",
            "rm NAME",
        ] {
            let machine = Machine::in_story(Speaks::Docker, words);
            let outcome = machine.cage(&command.replace("NAME", &Cage::of(&machine.project).name));
            let code = if command == "run true" { 125 } else { 1 };
            assert_eq!((outcome.code, outcome.stdout.as_str()), (code, ""), "{words}: {command}");
            let expected = format!("error: container NAME {whose}\nhint: ");
            let stderr = machine.anonymous(&outcome.stderr);
            assert!(stderr.starts_with(&expected), "{words}: {command}: {stderr}");
            assert_eq!(outcome.changes(), Vec::<&[String]>::new(), "{words}: {command}");
        }
        for command in ["obliterate", "rmconfig"] {
            let outcome = Machine::in_story(Speaks::Docker, words).cage(command);
            assert!(
                outcome.calls.iter().all(|call| !["rm", "stop"].contains(&call[0].as_str())),
                "{words}: {command}"
            );
        }
    }
}

#[test]
fn a_failed_replacement_keeps_the_old_cage() {
    // 23
    for command in ["restart", "upgrade"] {
        for refused in ["create", "stop", "start"] {
            let machine = Machine::in_story(Speaks::Docker, "running, newer image");
            machine.engine().answer(refused, 1, "Error response from daemon: no", "");
            let outcome = machine.cage(command);
            assert_eq!(outcome.code, 1, "{command}, {refused}");
            assert!(outcome.stderr.contains("Error response from daemon: no"), "{}", outcome.stderr);
            let after = bearers(&machine, &[("NAME", "old")], &outcome, refused);
            assert_eq!(after, BTreeMap::from([("NAME".into(), "old".into())]), "{command}, {refused}");
        }
        let machine = Machine::in_story(Speaks::Docker, "stopped, newer image");
        let after = bearers(&machine, &[("NAME", "old")], &machine.cage(command), "");
        assert_eq!(
            after,
            BTreeMap::from([("NAME".into(), "new".into())]),
            "the control: {command} that succeeds"
        );
    }
}

#[test]
fn start_completes_an_interrupted_restart() {
    // 23: the old cage is gone, the new one runs under its temporary name, on the same ports.
    for command in ["start", "run true"] {
        let machine = Machine::in_story(Speaks::Docker, "none");
        let cage = Cage::of(&machine.project);
        let left_over = Cage { name: format!("{}.new", cage.name), status: "running".into(), ..cage };
        machine.engine().add(&left_over);
        let outcome = machine.cage(command);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        let after = bearers(&machine, &[("NAME.new", "old")], &outcome, "");
        assert_eq!(after.keys().collect::<Vec<_>>(), ["NAME"], "{command}: {:?}", outcome.changes());
    }
}

#[test]
fn the_leftover_of_an_interrupted_restart_is_removed() {
    // 23
    let machine = Machine::in_story(Speaks::Docker, "running");
    let cage = Cage::of(&machine.project);
    let name = format!("{}.new", cage.name);
    machine.engine().add(&Cage { name, id: "e".repeat(64), status: "created".into(), ..cage });
    let outcome = machine.cage("restart");
    let changes: Vec<&str> = outcome.changes().iter().map(|call| call[0].as_str()).collect();
    assert_eq!(changes[..2], ["rm", "pull"]);
    assert_eq!(outcome.call("rm").last().unwrap(), "eeeeeeeeeeee");
}

#[test]
fn an_interrupted_restart_with_a_running_successor_is_completed() {
    // 23: by any next command.
    for command in ["start", "status", "shell", "stop"] {
        let machine = Machine::in_story(Speaks::Docker, "stopped");
        let cage = Cage::of(&machine.project);
        let name = format!("{}.new", cage.name);
        machine.engine().add(&Cage {
            name: name.clone(),
            id: "e".repeat(64),
            status: "running".into(),
            ..cage
        });
        let outcome = machine.cage(command);
        let changes: Vec<&str> = outcome.changes().iter().map(|call| call[0].as_str()).collect();
        assert_eq!(changes[..2], ["rm", "rename"], "{command}");
        assert_ne!(outcome.call("rm").last().unwrap(), "eeeeeeeeeeee", "the old one goes");
        assert!(outcome.stderr.contains("was cut short"), "{}", outcome.stderr);
    }
}

#[test]
fn a_failed_first_start_leaves_nothing_and_names_the_port() {
    // 24
    let docker = "Error response from daemon: driver failed programming external connectivity on endpoint cage: \
                  Bind for 127.0.0.1:3000 failed: port is already allocated";
    let podman = "Error: unable to start container \"x\": cannot listen on the TCP port: listen tcp4 127.0.0.1:3000: \
                  bind: address already in use";
    for (speaks, words) in [(Speaks::Docker, docker), (Speaks::Podman, podman)] {
        for words_of in ["none", "dead"] {
            let machine = Machine::in_story(speaks, words_of);
            machine.engine().answer("start", 126, words, "");
            let outcome = machine.cage("start -p 3000:3000");
            assert_eq!(outcome.code, 1);
            assert!(outcome.stderr.contains("\nerror: port 127.0.0.1:3000 is taken\n"), "{}", outcome.stderr);
            assert!(outcome.stderr.contains("\nhint: "), "{}", outcome.stderr);
            let last = outcome.changes().last().map(|call| machine.anonymous(&call.join(" ")));
            assert_eq!(last.as_deref(), Some("rm --force --volumes NAME"));
            assert_eq!(machine.state_files(), Vec::<PathBuf>::new());
            machine.engine().answer("start", 0, "", "");
            machine.cage("start");
            assert_eq!(machine.state_files().len(), 4, "the control: also the engines of cage and home");
        }
    }
}

#[test]
fn a_stopped_cage_that_fails_to_start_is_not_removed() {
    // 24: the control of the test above.
    let outcome = Machine::in_story(Speaks::Docker, "stopped, start fails").cage("start");
    assert_eq!(outcome.code, 1);
    assert!(outcome.changes().iter().all(|call| call[0] != "rm"), "{:?}", outcome.calls);
}

#[test]
fn env_files_override_all_default_variables_except_the_agent() {
    // 26
    let mut machine = Machine::in_story(Speaks::Docker, "none");
    let (_socket, _agent) = machine.agent();
    let env = |machine: &Machine| values(machine.cage("start").call("create"), "--env").join(" ");
    let agent = "SSH_AUTH_SOCK=/run/host-services/ssh-auth.sock";
    let sandbox = if is_root() { "IS_SANDBOX=1 " } else { "" };
    assert_eq!(
        env(&machine),
        format!("UV_PROJECT_ENVIRONMENT=.cage-venv LANG=C.UTF-8 TZ=Asia/Tokyo {sandbox}{agent}")
    );
    let lines = "UV_PROJECT_ENVIRONMENT=venv\nTZ=UTC\nIS_SANDBOX=0\nLC_CTYPE=C\nSSH_AUTH_SOCK=/tmp/fake\n";
    fs::write(machine.project.join(".cage.env"), lines).unwrap();
    assert_eq!(env(&machine), agent);
    assert!(machine.engine().stdin().contains("UV_PROJECT_ENVIRONMENT=venv\n"));
    // An engine reads `--env` after its env files.
    assert!(values(machine.cage("start").call("create"), "--env").contains(&agent));
}

#[cfg(target_os = "linux")]
#[test]
fn a_replaced_project_directory_is_detected() {
    // 27
    let mut machine = Machine::in_story(Speaks::Docker, "none");
    machine.enter("app");
    let mut cage = Cage::of(&machine.project);
    cage.status = "running".into();
    let inode = cage.labels[1].1.clone();
    cage.labels[1].1 = "1".into();
    machine.engine().add(&cage);

    machine.engine().answer("exec", 0, "", "1 /the/old/one\n");
    let start = machine.cage("start");
    assert!(start.stderr.starts_with("cage: warning: the directory "), "{}", start.stderr);
    assert!(start.stderr.contains("`cage restart`") && start.code == 0, "{}", start.stderr);
    let shell = machine.cage("shell");
    assert!(shell.stderr.starts_with("error: the project directory was replaced"), "{}", shell.stderr);
    assert!(shell.stderr.contains("\nhint: `cage restart`") && shell.code == 1, "{}", shell.stderr);

    // The control: the cage was restarted meanwhile and has the current directory.
    machine.engine().answer("exec", 0, "", &format!("{inode} /the/new/one\n"));
    assert_eq!(machine.cage("start").stderr, "");
    assert_eq!(machine.cage("shell").code, 0);
}

#[test]
fn podman_named_docker_or_with_warnings_is_supported() {
    // 31: the script of the package podman-docker, and rootless podman outside a login session.
    let shim = "Emulate Docker CLI using podman. Create /etc/containers/nodocker to quiet msg.";
    let warning = "time=\"2026-11-23T15:00:00Z\" level=warning msg=\"The cgroupv2 manager is set to systemd but there \
                   is no systemd user session available\"";
    for (name, notice, status) in [
        ("docker", shim, "running"),
        ("podman", warning, "running"),
        ("docker", shim, ""),
        ("podman", warning, ""),
    ] {
        let mut machine = Machine::new();
        let cage = Cage { status: status.into(), ..Cage::of(&machine.project) };
        let engine = machine.install(name, Speaks::Podman);
        engine.notice(notice);
        engine.image(IMAGE, IMAGE_ID);
        engine.add(&cage);
        engine.tell_cages(if status.is_empty() { &[] } else { std::slice::from_ref(&cage) });
        let list = machine.cage("list");
        assert_eq!(list.stdout.contains(&cage.name), status == "running", "{}", list.stderr);
        for command in ["status", "start", "obliterate --yes"] {
            let outcome = machine.cage(command);
            assert_eq!(outcome.code, 0, "{name}, {status}: {command}: {}", outcome.stderr);
        }
    }
}

#[test]
fn list_columns_fit_their_content() {
    // 33
    let mut machine = Machine::in_story(Speaks::Podman, "none");
    let mut cages = Vec::new();
    for (name, status) in [("a", "running"), ("a-much-longer-name-than-that", "exited"), ("日本語", "paused")]
    {
        machine.enter(name);
        let mut cage = Cage { status: status.into(), ..Cage::of(&machine.project) };
        cage.name = cage.name.replace("日本語", "project");
        machine.engine().add(&cage);
        cages.push(cage);
    }
    machine.engine().tell_cages(&cages);
    fs::remove_dir(machine.root().join("src/a")).unwrap();
    let stdout = machine.cage("list").stdout;
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines.len(), 4);
    let column = |line: &str, title: &str| {
        let at = lines[0].find(title).unwrap();
        let ends = line.char_indices().map(|(end, _)| end);
        line[ends.into_iter().find(|end| line[..*end].width() == at).unwrap()..].to_owned()
    };
    for cage in &cages {
        let line = lines.iter().find(|line| line.ends_with(&cage.name)).unwrap();
        assert_eq!(column(line, "NAME"), cage.name);
        assert!(column(line, "IMAGE").starts_with(&format!("{IMAGE}  ")), "{line}");
        assert_eq!(line.contains(" (directory gone)  "), cage.status == "running", "{line}");
    }
}

#[test]
fn a_cage_that_disappears_during_list_is_left_out() {
    for speaks in [Speaks::Docker, Speaks::Podman] {
        let mut machine = Machine::in_story(speaks, "none");
        let here = Cage { status: "exited".into(), ..Cage::of(&machine.project) };
        machine.enter("other");
        let gone = Cage { status: "exited".into(), ..Cage::of(&machine.project) };
        machine.engine().add(&here);
        machine.engine().tell_cages(&[gone, here.clone()]);
        let outcome = machine.cage("list");
        assert_eq!((outcome.code, outcome.stdout.lines().count()), (0, 2), "{}", outcome.stderr);
        assert!(outcome.stdout.contains(&here.name), "{}", outcome.stdout);
    }
}

#[test]
fn reattaching_needs_one_query_and_list_two() {
    let machine = Machine::in_story(Speaks::Docker, "running");
    machine.cage("start");
    // Unlike a real docker, a script is asked for its version.
    let calls: Vec<String> =
        machine.engine().all_calls().iter().map(|call| machine.anonymous(&call.join(" "))).collect();
    assert_eq!(calls, ["--version", "inspect NAME NAME.new IMAGE"]);
    assert_eq!(machine.cage("status").calls.len(), 1);
    assert_eq!(machine.cage("run true").calls.len(), 2);
    assert_eq!(machine.cage("shell").calls.len(), 2);
    for count in [1, 60] {
        let mut machine = Machine::in_story(Speaks::Docker, "none");
        let cages: Vec<Cage> = (0..count)
            .map(|number| {
                machine.enter(format!("p{number}"));
                Cage { status: "exited".into(), ..Cage::of(&machine.project) }
            })
            .collect();
        for cage in &cages {
            machine.engine().add(cage);
        }
        machine.engine().tell_cages(&cages);
        let outcome = machine.cage("list");
        assert_eq!((outcome.stdout.lines().count(), outcome.calls.len()), (count + 1, 2));
    }
}

#[test]
fn label_and_home_volume_can_be_chosen() {
    let mut machine = Machine::in_story(Speaks::Docker, "running");
    machine.env.extend([("CAGE_LABEL", "my.label".into()), ("CAGE_HOME_VOLUME", "my-home".into())]);
    let told = machine.transcript(&machine.cage("obliterate --yes"));
    assert!(told.contains("--filter label=my.label ") && told.contains(" ; volume rm my-home\n"), "{told}");
    assert!(!told.contains(" ; rm "), "the cage has the other label: {told}");
    assert!(machine.cage("start").stderr.starts_with("error: container "));
}

#[test]
fn a_podman_on_another_machine_is_refused_however_it_is_chosen() {
    let address = "ssh://me@build:22/run/podman.sock";
    let start = |choice: Option<(&'static str, &str)>| {
        let mut machine = Machine::in_story(Speaks::Podman, "none");
        // The answer of `system connection list`.
        machine.engine().answer("system", 0, "", &format!(r#"[{{"Name":"build","URI":"{address}"}}]"#));
        machine.env.extend(choice.map(|(name, value)| (name, value.into())));
        machine.cage("start")
    };
    assert_eq!(start(None).code, 0, "the control");
    for choice in [("CONTAINER_CONNECTION", "build"), ("CONTAINER_HOST", address)] {
        let outcome = start(Some(choice));
        let said = format!("the engine is on another machine, {address}, where ");
        assert!(outcome.code == 1 && outcome.stderr.contains(&said), "{choice:?}: {}", outcome.stderr);
        // A short-lived container doesn't see the project.
        let is_harmless = |call: &&[String]| call[0] == "system" || call[..2] == ["run", "--rm"];
        assert!(outcome.changes().iter().all(is_harmless), "{:?}", outcome.changes());
    }
}

#[test]
fn an_image_is_not_missed_because_another_one_was_removed() {
    let machine = Machine::in_story(Speaks::Podman, "stopped, local image");
    let fails =
        r#"echo '[]'; echo 'Error: locating image with ID "3a29ddc73d92": image not known' >&2; exit 125"#;
    machine.engine().act("inspect", &format!(r#"[ -e "$dir/asked" ] || {{ : >"$dir/asked"; {fails}; }}"#));
    let outcome = machine.cage("start");
    assert_eq!((outcome.code, outcome.changes()[0][0].as_str()), (0, "start"), "{}", outcome.stderr);
}
