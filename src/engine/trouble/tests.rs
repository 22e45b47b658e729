//! Recorded messages of engines, and the kind of failure that each is.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;

use super::*;

fn args(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// What an engine answered to a command that failed.
#[derive(Deserialize)]
struct Answer {
    kind: String,
    command: String,
    words: String,
    /// The taken port, if it isn't the usual one.
    port: Option<String>,
}

/// `scripts/record` writes the file.
#[test]
fn failures_are_recognised_on_every_engine() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded.json");
    let recorded: BTreeMap<String, Vec<Answer>> =
        serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    for (engine, answers) in recorded {
        for Answer { kind, command, words, port } in answers {
            let found = recognise(&words, &args(&command));
            assert_eq!(format!("{found:?}"), kind, "{engine}: `{command}`: {words}");
            if found == Trouble::PortTaken {
                let port = port.unwrap_or_else(|| "127.0.0.1:3000".to_owned());
                assert_eq!(taken_port(&words), Some(port), "{engine}: {words}");
            }
        }
    }
}

#[test]
fn text_of_the_user_is_no_kind_of_failure() {
    for (words, trouble) in [
        ("Error: keep-id/x: image not known", Trouble::NoSuchImage),
        ("Error response from daemon: No such image: keep-id/docker-init:latest", Trouble::NoSuchImage),
        (
            "Error response from daemon: pull access denied for docker-init, repository does not exist",
            Trouble::Other,
        ),
        ("Error: initializing source docker://catatonit:latest: reading manifest", Trouble::Other),
        (
            "OCI runtime exec failed: exec failed: unable to start container process: exec: \"docker-init\": executable file not found in $PATH: unknown",
            Trouble::Other,
        ),
        (
            "OCI runtime exec failed: exec failed: exec: \"possible container breakout\": executable file not found in $PATH: unknown",
            Trouble::Other,
        ),
        (
            "Error: can not pause containers on rootless containers with cgroup V1: this container does not have a cgroup",
            Trouble::NoFreezer,
        ),
        (
            "Error response from daemon: Cannot pause container f417: OCI runtime pause failed: cannot toggle freezer: cgroups not configured for container: unknown",
            Trouble::NoFreezer,
        ),
        ("Error: statfs /srv/no space left on device: no such file or directory", Trouble::NotShared),
        (
            "Error response from daemon: invalid mount config for type \"bind\": bind source path does not exist: /srv/port is already allocated",
            Trouble::NotShared,
        ),
        ("Error: workdir \"/srv/statfs /x is not running\" does not exist on container 1", Trouble::Other),
        ("cat: '/x/Cannot connect to the Docker daemon at': No such file or directory", Trouble::Other),
    ] {
        assert_eq!(recognise(words, &args("create --name x image")), trouble, "{words}");
    }
    let words = "Error: could not find \"catatonit\" in one of {[]}";
    assert_eq!(recognise(words, &args("create --init catatonit/x")), Trouble::Other, "an image's name");
    assert_eq!(recognise(words, &args("create x")), Trouble::Other, "no init was wanted");
}

#[test]
fn missing_things_may_stand_beside_warnings_only() {
    // Recorded: podman 4.3.1.
    let two = "error inspecting object: no such container y\nError: inspecting object: no such container x";
    assert!(is_only_of_missing_things(two));
    let image =
        "error inspecting object: no such object: \"x\"\nError: inspecting object: y: image not known";
    assert!(is_only_of_missing_things(image));
    let warned = "time=\"2026\" level=warning msg=\"cgroups\"\nError: No such object: x";
    assert!(is_only_of_missing_things(warned));
    assert!(!is_only_of_missing_things("Error: No such object: x\nError: database is locked"));
    assert!(!is_only_of_missing_things(""));
}

#[test]
fn an_engine_that_does_not_answer_is_named_by_its_address() {
    for (words, why) in [
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
            None,
        ),
        (
            "Cannot connect to the Docker daemon at unix:///nosuch.sock. Is the docker daemon running?\n\n",
            Some("Cannot connect to the Docker daemon at unix:///nosuch.sock. Is the docker daemon running?"),
        ),
        (
            "error during connect: Get \"http://nosuch:2375/v1.50/containers/json\": dial tcp: lookup nosuch on 10.0.0.1:53: no such host",
            Some("dial tcp: lookup nosuch on 10.0.0.1:53: no such host"),
        ),
        (
            "Cannot connect to Podman. Please verify your connection\nError: unable to connect to Podman socket: Get \"http://d/v4.3.1/libpod/_ping\": dial unix /nosuch.sock: connect: no such file or directory",
            Some("dial unix /nosuch.sock: connect: no such file or directory"),
        ),
    ] {
        assert_eq!(no_answer(words), why, "{words}");
        assert_eq!(recognise(words, &args("ps")), Trouble::Unreachable, "{words}");
    }
}
