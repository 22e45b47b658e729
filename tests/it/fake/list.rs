//! `cage list` for scripts.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use super::machine::{Cage, Machine, Speaks};

#[test]
fn json_and_quiet_output() {
    for speaks in [Speaks::Docker, Speaks::Podman] {
        let mut machine = Machine::in_story(speaks, "running, published");
        let there = Cage {
            status: "running".into(),
            options: "-p 127.0.0.1:3000:3000",
            ..Cage::of(&machine.project)
        };
        machine.enter("gone");
        let gone = Cage { status: "exited".into(), ..Cage::of(&machine.project) };
        fs::remove_dir(&machine.project).unwrap();
        machine.enter("app");
        machine.engine().add(&gone);
        let stranger = Cage { name: "database".into(), id: "d".repeat(64), ..gone.clone() };
        machine.engine().add(&stranger);
        machine.engine().tell_cages(&[there.clone(), stranger, gone.clone()]);

        for args in ["list -q", "list --quiet"] {
            let outcome = machine.cage(args);
            assert_eq!(outcome.stdout, format!("{}\n{}\n", there.name, gone.name));
            assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
        }
        let outcome = machine.cage("list --json");
        assert_eq!((outcome.code, outcome.stdout.lines().count()), (0, 1));
        let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let image_id = |cage: &Cage| match speaks {
            Speaks::Docker => format!("sha256:{}", cage.image_id),
            Speaks::Podman => cage.image_id.to_owned(),
        };
        let cage = |cage: &Cage, state: &str, exists: bool, ports: Value| {
            json!({
                "name": cage.name, "id": cage.id[..12], "state": state, "project": cage.labels[0].1,
                "directory_exists": exists, "image": cage.image, "image_id": image_id(cage),
                "created": "2026-11-23T14:56:50.18856206Z", "ports": ports,
            })
        };
        let port = json!({"port": 3000, "protocol": "tcp", "host_address": "127.0.0.1", "host_port": 3000});
        let cages = [cage(&there, "running", true, json!([port])), cage(&gone, "stopped", false, json!([]))];
        assert_eq!(printed, json!({"version": 1, "cages": cages}));
        assert_eq!(machine.cage("list --json --quiet").code, 2);
    }
}

#[test]
fn without_cages_there_is_an_empty_list() {
    let machine = Machine::in_story(Speaks::Docker, "none");
    let printed: Value = serde_json::from_str(&machine.cage("list --json").stdout).unwrap();
    assert_eq!(printed, json!({"version": 1, "cages": []}));
    assert_eq!(machine.cage("list --quiet").stdout, "");
    machine.engine().is_down();
    let outcome = machine.cage("list --json");
    let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((outcome.code, &printed["version"]), (1, &json!(1)));
    assert!(printed["error"]["message"].as_str().unwrap().contains("Docker is not running"), "{printed}");
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let machine = Machine::in_story(Speaks::Docker, "running");
    for args in [&["list"][..], &["list", "--quiet"], &["list", "--json"]] {
        let mut command = machine.command(env!("CARGO_BIN_EXE_cage"));
        let mut child = command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{args:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
    // The control: a full disk is an error.
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let status = machine
        .command(env!("CARGO_BIN_EXE_cage"))
        .arg("list")
        .stdout(full)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}
